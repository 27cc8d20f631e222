"""What became of a weight: the exact relation between what an export holds and what the checkpoint has there.

Every relation is decided by bits, or by the rounding of the one operation that it names, so that it leaves no room for
another story. Values are compared as they are stored: float32, float64, float16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph.graph import Array
from .arrays import bits, content_sum, is_float, same

AlterationKind: TypeAlias = Literal[
    "flipped", "permuted", "reordered", "zeroed", "masked", "clipped", "gridded", "scaled", "mapped"
]
Floats: TypeAlias = npt.NDArray[np.float64]

_ENOUGH = 4
"""Distinct values that must be left as they were before a relation that changes others is believed.

Two independent float32 numbers of one binade are equal once in 2**23: four that are leave no room for chance.
"""
_HEAD = 4096
"""So many values refute nearly every relation, and cost a thousandth of a large kernel."""
_MAX_TRANSPOSED = 5
"""Axes up to which every order is tried: 120 of them, each refuted by its first values."""
_LEVELS = 256
"""Values of eight bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """How an array follows from the original, whose shape it has.

    - ``flipped``: backwards along ``axes``;
    - ``permuted``: ``array = original.take(order, axis)``; ``blocks`` is ``order`` in equal blocks, the fewest that it
      moves whole (gates of a cell), empty if it moves single entries;
    - ``reordered``: the values of ``original.transpose(axes)``, put into the old shape;
    - ``zeroed``: 0 where the original's size is below ``bound``, else equal; ``changed`` of the values are;
    - ``masked``: 0 in ``changed`` places, with no bound that tells them, else equal;
    - ``clipped``: ``numpy.clip(original, *limits)``; ``changed`` of the values differ;
    - ``gridded``: the nearest of at most 256 equal steps, one step width for each entry of ``axis``, or for all;
    - ``scaled``: ``original * factors`` along ``axis``, one factor an entry;
    - ``mapped``: ``function(original)`` of each value: a root, a square, the inverse of either, times or plus
      ``number``, or a root of the sum with it.
    """

    kind: AlterationKind
    axes: tuple[int, ...] = ()
    axis: int | None = None
    order: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    bound: float | None = None
    limits: tuple[float, float] | None = None
    changed: int = 0
    factors: tuple[float, ...] = ()
    function: str = ""
    number: float | None = None


def relation(array: Array, original: Array) -> Alteration | None:
    """What ``array`` is of ``original``, of one shape and float type; None for equal arrays and where nothing fits."""
    if array.shape != original.shape or array.dtype != original.dtype or not is_float(array):
        return None
    if array.size < _ENOUGH or same(array, original) or not np.isfinite(original).all():
        return None
    if not np.isfinite(array).all():
        return None
    for find in (_rearranged, _cut, _on_grid, _by_channel, _mapped):
        found = find(array, original)
        if found is not None:
            return found
    return None


# --- the same values in other places


def _rearranged(array: Array, original: Array) -> Alteration | None:
    if array.max() != original.max() or content_sum(array) != content_sum(original):
        return None  # refuted for a tenth of what sorting costs
    if not np.array_equal(np.sort(bits(array)), np.sort(bits(original))):
        return None
    return _flipped(array, original) or _permuted(array, original) or _reordered(array, original)


def _flipped(array: Array, original: Array) -> Alteration | None:
    wide = [axis for axis, size in enumerate(original.shape) if size > 1]
    for count in range(1, len(wide) + 1):
        for axes in combinations(wide, count):
            if same(array, np.flip(original, axes)):
                return Alteration(kind="flipped", axes=axes)
    return None


def _permuted(array: Array, original: Array) -> Alteration | None:
    """The permutation of one axis, where that is the only one that explains all values."""
    for axis, size in enumerate(original.shape):
        if size < 2:
            continue
        order = _order(_rows(array, axis), _rows(original, axis))
        if order is not None:
            return Alteration(kind="permuted", axis=axis, order=order, blocks=blocks_of(order))
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


def _reordered(array: Array, original: Array) -> Alteration | None:
    """Axes exchanged, and the result read as if it still had the old shape."""
    if not 2 <= original.ndim <= _MAX_TRANSPOSED:
        return None
    flat = bits(array)
    for axes in permutations(range(original.ndim)):
        if axes != tuple(range(original.ndim)) and np.array_equal(flat, bits(original.transpose(axes))):
            return Alteration(kind="reordered", axes=axes)
    return None


# --- some values changed, the others left


def _cut(array: Array, original: Array) -> Alteration | None:
    equal = bits(array) == bits(original)
    if np.unique(bits(array)[equal]).size < _ENOUGH:
        return None
    held, right = array.reshape(-1), original.reshape(-1)
    changed = int((~equal).sum())
    if (held[~equal] == 0).all():
        largest, smallest = (
            np.abs(right[~equal]).max(),
            np.abs(right[equal & (held != 0)]).min(initial=np.inf),
        )
        kind: AlterationKind = "zeroed" if largest < smallest else "masked"
        bound = float(smallest) if kind == "zeroed" else None
        return Alteration(kind=kind, bound=bound, changed=changed)
    low, high = held.min(), held.max()
    if same(array, np.clip(original, low, high)):
        return Alteration(kind="clipped", limits=(float(low), float(high)), changed=changed)
    return None


# --- every value changed by one rule


def _on_grid(array: Array, original: Array) -> Alteration | None:
    for axis in (None, *_channels(original)):
        groups = [(array, original)] if axis is None else _pairs(array, original, axis)
        steps: list[float] = []
        shown = 0
        for group in groups:
            held, right = _flat(group)
            step = _step(held, right)
            if step is None:
                break
            steps.append(step)
            # Two values lie on a grid of their own: only the others of each group show one.
            shown += max(np.unique(held).size - 2, 0)
        else:
            if shown >= _ENOUGH:
                return Alteration(kind="gridded", axis=axis, factors=tuple(steps))
    return None


def _channels(original: Array) -> tuple[int, ...]:
    """The axes along which a kernel may have one number an entry, the last first: output channels stand there."""
    return tuple(axis for axis in reversed(range(original.ndim)) if 1 < original.shape[axis] < original.size)


def _pairs(array: Array, original: Array, axis: int) -> Iterator[tuple[Array, Array]]:
    yield from zip(np.moveaxis(array, axis, 0), np.moveaxis(original, axis, 0), strict=True)


def _flat(pair: tuple[Array, Array]) -> tuple[Floats, Floats]:
    one, other = (np.asarray(each, np.float64).reshape(-1) for each in pair)
    return one, other


def _step(held: Floats, right: Floats) -> float | None:
    """The width of the steps on which ``held`` is what is nearest to ``right``; None if there is none.

    A value that lies on a grid by chance, within the rounding of float32, does so once in 2**16 steps of eight bits.
    """
    if np.unique(held[:_HEAD]).size > _LEVELS:
        return None
    levels = np.unique(held)
    if not 1 < levels.size <= min(_LEVELS, held.size) or np.unique(right).size <= levels.size // 2:
        return None
    off = np.abs(held - right).max()
    span, gap = levels[-1] - levels[0], np.diff(levels).min()
    largest = np.abs(levels).max()
    for step in (largest / 127, largest / 128, span / 255, span / 254, gap, gap / 2, gap / 3):
        places = (held - levels[0]) / step
        rounding = 4 * np.finfo(np.float32).eps * largest / step
        on_steps = np.abs(places - np.rint(places)).max() <= max(rounding, 1e-3)
        # The nearest step is at most half a step away, and the value and the step are each rounded once.
        if on_steps and np.rint(places).max() < _LEVELS and off <= 0.5 * step * (1 + 1e-5) + rounding * step:
            return float(step) if off > 0 else None
    return None


def _by_channel(array: Array, original: Array) -> Alteration | None:
    for axis in _channels(original):
        factors: list[float] = []
        for pair in _pairs(array, original, axis):
            factor = _factor(*_flat(pair))
            if factor is None:
                break
            factors.append(factor)
        else:
            return Alteration(kind="scaled", axis=axis, factors=tuple(factors))
    return None


def _factor(held: Floats, right: Floats) -> float | None:
    """The factor that takes ``right`` to ``held`` within two roundings of float32; None if there is none."""
    filled = right != 0
    if (held[~filled] != 0).any() or np.unique(right[filled]).size < _ENOUGH:
        return None
    ratios = held[filled] / right[filled]
    factor = float(np.median(ratios))
    close = np.abs(ratios - factor) <= 4 * np.finfo(np.float32).eps * abs(factor)
    return factor if factor != 0 and close.all() else None


_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "sqrt(x)": np.sqrt,
    "x**2": np.square,
    "1/x": np.reciprocal,
    "1/sqrt(x)": lambda x: 1 / np.sqrt(x),
    "exp(x)": np.exp,
    "log(x)": np.log,
}


def _mapped(array: Array, original: Array) -> Alteration | None:
    held, right = _flat((array, original))
    if right.size > _HEAD and np.unique(right[:_HEAD]).size >= _ENOUGH:
        head = (each.reshape(-1)[:_HEAD] for each in (array, original))
        if _mapped(*head) is None:
            return None
    if np.unique(right[:_HEAD]).size < _ENOUGH and np.unique(right).size < _ENOUGH:
        return None
    rounding = 4 * float(np.finfo(array.dtype.name).eps)
    for name, function in _FUNCTIONS.items():
        with np.errstate(all="ignore"):
            image = function(right)
        if np.isfinite(image).all() and (np.abs(held - image) <= rounding * np.abs(image)).all():
            return Alteration(kind="mapped", function=name)
    return _scaled_or_shifted(held, right, rounding) or _shifted_inside(held, right, rounding)


_INVERSES: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "sqrt(x+c)": (np.square, np.sqrt),
    "1/sqrt(x+c)": (lambda y: 1 / np.square(y), lambda x: 1 / np.sqrt(x)),
}
"""Functions with a number inside, each with its inverse: a deviation that holds its epsilon already."""


def _shifted_inside(held: Floats, right: Floats, rounding: float) -> Alteration | None:
    for name, (inverse, function) in _INVERSES.items():
        with np.errstate(all="ignore"):
            shifts = inverse(held) - right
            if not np.isfinite(shifts).all():
                continue
            shift = float(
                shifts[np.argmin(np.abs(right))]
            )  # where the values are smallest it is rounded least
            image = function(right + shift)
        # A shift is seen where it is larger than the rounding of the sum.
        seen = abs(shift) > 4 * rounding * float(np.abs(right).min())
        if seen and np.isfinite(image).all() and (np.abs(held - image) <= 2 * rounding * np.abs(image)).all():
            return Alteration(kind="mapped", function=name, number=shift)
    return None


def _scaled_or_shifted(held: Floats, right: Floats, rounding: float) -> Alteration | None:
    factor = _factor(held, right)
    if factor is not None:
        return Alteration(kind="mapped", function="x*c", number=factor)
    size = np.maximum(np.abs(held), np.abs(right))
    shift = float(
        (held - right)[np.argmin(size)]
    )  # where the values are smallest their difference is rounded least
    spread = float(right.max() - right.min())
    # A shift is seen where it is larger than the rounding of the sum, and the values are not one number.
    if abs(shift) <= 4 * rounding * float(size.max()) or spread <= 4 * rounding * float(size.max()):
        return None
    if (np.abs(held - (right + shift)) <= rounding * np.maximum(size, abs(shift))).all():
        return Alteration(kind="mapped", function="x+c", number=shift)
    return None
