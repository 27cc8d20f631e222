"""Tables of a FlatBuffer, read by their offsets; every offset is held against the bytes that are there.

Format: https://flatbuffers.dev/internals/. Scalars are little-endian. A table begins with the distance back to its
vtable, which says for each field, by number, where it lies in the table; 0 or a vtable that ends before it means
the default.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..graph import Array

_SIZES = {"b": 1, "B": 1, "?": 1, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8}
_TABLE_BYTES = 4
"""The least that a table of its own takes: more tables than this allows are the same ones again and again."""


class Malformed(ValueError):
    """The bytes are no FlatBuffer: an offset leads out of them. The message names the byte."""


@dataclass(slots=True)
class Source:
    """The bytes of one file, and how many tables may still be read of it."""

    view: memoryview
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.view) // _TABLE_BYTES

    def number(self, code: str, position: int) -> Any:
        """The scalar of struct's ``code`` at ``position``. Raises Malformed."""
        self.require(position, _SIZES[code])
        return struct.unpack_from(f"<{code}", self.view, position)[0]

    def require(self, position: int, count: int) -> None:
        """Raise Malformed unless ``count`` bytes are there from ``position`` on."""
        if position < 0 or count < 0 or position + count > len(self.view):
            raise Malformed(f"what byte {position} should begin does not lie in the {len(self.view)} bytes")

    def pointed(self, position: int) -> int:
        """Where the offset at ``position`` leads to."""
        return position + int(self.number("I", position))


@dataclass(frozen=True, slots=True)
class Table:
    """One table; fields are asked for by their numbers in the schema. Every method raises Malformed."""

    source: Source
    position: int
    vtable: int
    size: int

    @classmethod
    def at(cls, source: Source, position: int) -> Table:
        """The table that begins at ``position``."""
        source.left -= 1
        if source.left < 0:
            raise Malformed("its tables refer to one another more often than they could stand in it")
        vtable = position - source.number("i", position)
        size = source.number("H", vtable)
        source.require(vtable, size)
        return cls(source, position, vtable, size)

    @classmethod
    def root(cls, view: memoryview) -> Table:
        """The table that the whole of ``view`` is."""
        source = Source(view)
        return cls.at(source, source.pointed(0))

    def place(self, number: int) -> int | None:
        """Where field ``number`` lies; None where it has its default."""
        entry = 4 + 2 * number
        if entry + 2 > self.size:
            return None
        offset = self.source.number("H", self.vtable + entry)
        return self.position + offset if offset else None

    def scalar(self, number: int, code: str, default: Any = 0) -> Any:
        """A scalar of struct's ``code``."""
        place = self.place(number)
        return default if place is None else self.source.number(code, place)

    def table(self, number: int) -> Table | None:
        """A table; None where there is none."""
        place = self.place(number)
        return None if place is None else Table.at(self.source, self.source.pointed(place))

    def tables(self, number: int) -> list[Table]:
        """A vector of tables; empty where there is none."""
        start, count = self._vector(number, 4)
        places = (start + 4 * index for index in range(count))
        return [Table.at(self.source, self.source.pointed(place)) for place in places]

    def bytes(self, number: int) -> memoryview:
        """A vector of bytes, not copied; empty where there is none."""
        start, count = self._vector(number, 1)
        return self.source.view[start : start + count]

    def text(self, number: int) -> str:
        """A string; bytes that are no UTF-8 are spelt out."""
        return bytes(self.bytes(number)).decode("utf-8", "backslashreplace")

    def array(self, number: int, dtype: str) -> Array:
        """A vector of scalars, not copied: shape [n]; empty where there is none."""
        kind = np.dtype(dtype)
        start, count = self._vector(number, kind.itemsize)
        return np.frombuffer(self.source.view, kind, count, start) if count else np.empty(0, kind)

    def _vector(self, number: int, size: int) -> tuple[int, int]:
        place = self.place(number)
        if place is None:
            return 0, 0
        start = self.source.pointed(place)
        count = int(self.source.number("I", start))
        self.source.require(start + 4, count * size)
        return start + 4, count
