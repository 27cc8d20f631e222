"""Arrays with the same values in other places: reshaped, transposed, flipped, permuted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from ...graph.graph import Array
from ..arrays import bits, content_sum, same
from .relation import ENOUGH, Relation

_MOST_TRANSPOSED = 5
"""Axes up to which every order is tried: 120 of them, each refuted by its first values."""


def relaid(array: Array, original: Array) -> Relation | None:
    """The whole of ``original``, reshaped or transposed; None if it is neither, or equal."""
    if not _has_the_same_values(array, original):
        return None
    if np.array_equal(bits(array), bits(original)):
        return Relation(kind="reshaped") if array.shape != original.shape else None
    axes = _transposition(array, original)
    return None if axes is None else Relation(kind="transposed", axes=axes)


def reordered(array: Array, original: Array) -> Relation | None:
    """The values of ``original`` in another order than a transpose gives; None if they are not the same."""
    if not _has_the_same_values(array, original) or same(array, original):
        return None
    if not np.array_equal(np.sort(bits(array)), np.sort(bits(original))):
        return None
    found = None
    if array.shape == original.shape and np.isfinite(original).all():
        found = _flipped(array, original) or _permuted(array, original) or _in_the_old_shape(array, original)
    return found or Relation(kind="permuted")


def _has_the_same_values(array: Array, original: Array) -> bool:
    """Whether no quick look tells the values apart: the largest, then their sum, for a tenth of what sorting costs."""
    return (
        array.dtype == original.dtype
        and array.size == original.size >= ENOUGH
        and bool(array.max() == original.max())
        and content_sum(array) == content_sum(original)
    )


def _transposition(array: Array, original: Array) -> tuple[int, ...] | None:
    """The axes of ``original`` in the order that makes it ``array``; a matrix may be reshaped after it."""
    if not 2 <= original.ndim <= _MOST_TRANSPOSED:
        return None
    for axes in permutations(range(original.ndim)):
        fits = tuple(original.shape[axis] for axis in axes) == array.shape
        if fits and same(array, original.transpose(axes)):
            return axes
    if array.ndim == original.ndim == 2 and np.array_equal(bits(array), bits(original.T)):
        return 1, 0
    return None


def _flipped(array: Array, original: Array) -> Relation | None:
    wide = [axis for axis, size in enumerate(original.shape) if size > 1]
    for count in range(1, len(wide) + 1):
        for axes in combinations(wide, count):
            if same(array, np.flip(original, axes)):
                return Relation(kind="flipped", axes=axes)
    return None


def _permuted(array: Array, original: Array) -> Relation | None:
    """The permutation of one axis, where that is the only one that explains all values."""
    for axis, size in enumerate(original.shape):
        if size < 2:
            continue
        order = _order(_rows(array, axis), _rows(original, axis))
        if order is not None:
            return Relation(kind="permuted", axis=axis, order=order, blocks=blocks_of(order))
    return None


def _rows(array: Array, axis: int) -> list[bytes]:
    """The entries of an axis as bytes."""
    moved = np.ascontiguousarray(np.moveaxis(array, axis, 0))
    return [entry.tobytes() for entry in moved]


def _order(entries: Sequence[bytes], originals: Sequence[bytes]) -> tuple[int, ...] | None:
    """Which original each entry is: of equal ones, that in its own place, else the first that is left."""
    places: dict[bytes, list[int]] = {}
    for index, each in enumerate(originals):
        places.setdefault(each, []).append(index)
    found: list[int | None] = []
    for index, each in enumerate(entries):
        if index in places.get(each, ()):
            places[each].remove(index)
            found.append(index)
        else:
            found.append(None)
    for index, each in enumerate(entries):
        if found[index] is None:
            if not places.get(each):
                return None
            found[index] = places[each].pop(0)
    return tuple(index for index in found if index is not None)


def blocks_of(order: Sequence[int]) -> tuple[int, ...]:
    """``order`` as an order of equal blocks, the fewest possible; empty if it moves single entries.

    The gates i, f, c, o of a cell as i, c, f, o are (0, 2, 1, 3).
    """
    size = len(order)
    for count in range(2, size // 2 + 1):
        width = size // count
        if size % count:
            continue
        starts = order[::width]
        whole = all(order[i] == starts[i // width] + i % width for i in range(size))
        if whole and all(start % width == 0 for start in starts):
            return tuple(start // width for start in starts)
    return ()


def _in_the_old_shape(array: Array, original: Array) -> Relation | None:
    """Axes exchanged, and the result read as if it still had the old shape."""
    if not 2 <= original.ndim <= _MOST_TRANSPOSED:
        return None
    flat = bits(array)
    for axes in permutations(range(original.ndim)):
        if axes != tuple(range(original.ndim)) and np.array_equal(flat, bits(original.transpose(axes))):
            return Relation(kind="reordered", axes=axes)
    return None
