"""Parts of partitioned variables: how they are spelt, where they are stored, how a whole is put together.

Formats: ``TensorSlice`` and ``EncodeTensorNameSlice`` of TensorFlow (tensorflow/core/framework/
tensor_slice.h, core/util/saved_tensor_slice_util.cc, core/lib/strings/ordered_code.cc).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...errors import ModelError
from ..graph import Array

FULL = -1
"""The length of an extent that takes a whole dimension."""
_ESCAPES = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}


class Extent(NamedTuple):
    """A piece of one dimension: ``length`` places from ``start``, or all of it if length is ``FULL``."""

    start: int
    length: int


Slice: TypeAlias = tuple[Extent, ...]


class SliceSpec(NamedTuple):
    """A part of a tensor as RestoreV2 names it: the whole's shape and the part's place in it."""

    shape: tuple[int, ...]
    place: Slice


def slice_spec(text: str) -> SliceSpec | None:
    """``"10 4 0,5:-"`` taken apart; None for the empty text, which means the whole tensor.

    Raises ModelError if it is not spelt as RestoreV2's ``shape_and_slices``.
    """
    if not text:
        return None
    *dims, places = text.split(" ")
    try:
        shape = tuple(int(dim) for dim in dims)
        extents = tuple(_extent(part) for part in places.split(":")) if places else ()
    except ValueError:
        raise ModelError(f"{text!r} names no part of a variable (expected like '10 4 0,5:-').") from None
    if len(shape) != len(extents):
        raise ModelError(
            f"{text!r} names no part of a variable: {len(shape)} dimensions, {len(extents)} places."
        )
    return SliceSpec(shape, extents)


def _extent(text: str) -> Extent:
    if text == "-":
        return Extent(0, FULL)
    start, _, length = text.partition(",")
    return Extent(int(start), int(length))


def resolved(place: Slice, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The extents as numpy slices of a tensor of ``shape``. Raises ModelError if they reach beyond it."""
    if len(place) != len(shape):
        raise ModelError(f"A part with {len(place)} dimensions does not fit a tensor of shape {list(shape)}.")
    slices = []
    for (start, length), dim in zip(place, shape, strict=True):
        stop = dim if length == FULL else start + length
        if not 0 <= start <= stop <= dim:
            raise ModelError(f"A part from {start} to {stop} reaches beyond a dimension of {dim}.")
        slices.append(slice(start, stop))
    return tuple(slices)


def slice_shape(slices: Iterable[slice]) -> tuple[int, ...]:
    """The shape of what numpy slices with known ends take."""
    return tuple(part.stop - part.start for part in slices)


def assembled(
    wanted: tuple[slice, ...],
    parts: Iterable[tuple[tuple[slice, ...], Callable[[], Array]]],
    kind: np.dtype[Any],
) -> Array | None:
    """The region ``wanted`` of a tensor that is stored in ``parts``; None if they do not cover it.

    A part that is exactly the region is returned as it is, not copied.
    """
    known = list(parts)
    for place, load in known:
        if place == wanted:
            return load()
    whole = np.empty(slice_shape(wanted), kind)
    covered = np.zeros(whole.shape, bool)
    for place, load in known:
        common = [
            slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(place, wanted, strict=True)
        ]
        if any(part.stop <= part.start for part in common):
            continue
        target = tuple(
            slice(c.start - w.start, c.stop - w.start) for c, w in zip(common, wanted, strict=True)
        )
        origin = tuple(slice(c.start - p.start, c.stop - p.start) for c, p in zip(common, place, strict=True))
        whole[target] = load()[origin]
        covered[target] = True
    whole.flags.writeable = False
    return whole if covered.all() else None


def slice_key(name: bytes, place: Slice) -> bytes:
    """The key in the index under which the part ``place`` of the variable ``name`` is stored."""
    escaped = b"".join(_ESCAPES.get(byte, bytes((byte,))) for byte in name)
    numbers = b"".join(_signed(number) for extent in place for number in extent)
    return _unsigned(0) + escaped + b"\x00\x01" + _unsigned(len(place)) + numbers


def _unsigned(value: int) -> bytes:
    """``OrderedCode::WriteNumIncreasing``: the number of bytes, then the bytes, highest first."""
    length = (value.bit_length() + 7) // 8
    return bytes((length,)) + value.to_bytes(length, "big")


def _signed(value: int) -> bytes:
    """``OrderedCode::WriteSignedNumIncreasing``: n bytes for 7n - 1 bits, n told by the leading bits."""
    magnitude = ~value if value < 0 else value
    length = magnitude.bit_length() // 7 + 1
    header = ((1 << length) - 1) << (7 * length)
    bits = 8 * length
    return ((value & ((1 << bits) - 1)) ^ (header & ((1 << bits) - 1))).to_bytes(length, "big")
