"""A checkpoint of which the index alone is read: its checksums say which of some known values a tensor has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from ..errors import ModelError
from ..graph.graph import Array, Tensor
from ..graph.read.bundle import Bundle, Entry, checksum_of
from .checkpoint import Checkpoint
from .format import SideSpec

_Kind: TypeAlias = "tuple[int, tuple[int, ...], int]"


class NotKnown(ModelError):
    """A tensor has none of the known values, by its checksum."""


class KnownValues:
    """Values by type, shape and checksum (crc32c, as an index has it). Two that share all of them are none."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._of: dict[_Kind, Array | None] = {}
        for tensor in tensors:
            array = tensor.array
            kind = (tensor.dtype.number, tuple(tensor.shape), checksum_of(array))
            if kind not in self._of:
                self._of[kind] = array
            elif (known := self._of[kind]) is not None and not _same(known, array):
                self._of[kind] = None

    def value(self, name: str, entry: Entry) -> Array:
        """The value that the tensor ``name`` has. Raises NotKnown."""
        found = self._of.get((entry.dtype.number, entry.shape, entry.checksum))
        if found is None:
            raise NotKnown(f"{name} of the checkpoint is no constant of the export, by its checksum")
        return found


class IndexedCheckpoint(Checkpoint):
    """A checkpoint whose data files are not read. A tensor that has none of ``known`` raises :class:`NotKnown`."""

    def __init__(self, spec: SideSpec, root: Path, known: KnownValues) -> None:
        super().__init__(spec.path, root, feeds=spec.feeds, **spec.options)
        self._known = known

    @cached_property
    def bundle(self) -> Bundle:
        """The tensors as the index speaks of them."""
        return Bundle(self.prefix, self._known.value)


def _same(first: Array, second: Array) -> bool:
    return first is second or (first.dtype == second.dtype and first.tobytes() == second.tobytes())
