"""What one array may be of another: its low-precision image, its transpose, a mixture.

Bits where bits decide, rounding where arithmetic was done.
"""

from __future__ import annotations

from itertools import permutations
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..graph.graph import Array
from .arrays import bits, content_sum, is_float, same

_ULPS = 2.0**-21
"""Rounding of ``d * a + (1 - d) * b`` in float32, relative to the larger term: four ulp. Measured: at most 0.31
of it in the fault cases' mixtures, 0.87 in weights times a factor."""

_HEAD = 4096
"""So many values refute nearly every guess, and cost a thousandth of a large kernel."""
_FEWEST = 4
"""Fewer values fit a factor or a share by chance."""
_SAME_FACTOR = 1e-6
"""Eight ulp: a factor nearer to 1 is rounding, one nearer to 0 no image of the original."""
_APART = 1e3 * _ULPS
"""How far a variable and its average must lie apart: then rounding leaves the share known to a thousandth.
Measured in the fault cases: 150 times as far at least."""
_MISFIT = 1e-2
"""What a mixture may leave unexplained of the distance between both. Measured: 7e-7 at most."""
_FEWEST_ROUNDED = 32
"""Fewer values lie on equal steps by chance."""
_LEVELS = 256
HALF_STEP = 0.51
"""How far a rounded value may lie from the original, in steps: half of one and float32's rounding. Measured over
200 kernels (40 to 40,000 values, 15 to 255 steps, means up to five deviations off): 0.5007 at most."""
_GAP = 1e-2
"""How far the gaps between levels may be from whole steps. Measured likewise: 0.003 at most."""
_PLACE = 0.05
"""How far a value may be from a level, over up to 256 steps of rounding. Measured likewise: 0.040 at most."""


class Relation(NamedTuple):
    """How an array follows from another: a kind of provenance and the number that goes with it."""

    kind: Literal[
        "float16", "bfloat16", "cast", "reshaped", "transposed", "permuted", "negated", "rounded", "scaled"
    ]
    permutation: tuple[int, ...] | None = None
    rounding: Literal["nearest", "truncated"] | None = None
    number: float | None = None


def relation_of(array: Array, original: Array) -> Relation | None:
    """What ``array`` is of ``original``, or None. Equal arrays are no image of each other."""
    if array.size != original.size or not is_float(array) or not is_float(original):
        return None
    if array.shape == original.shape:
        for kind in (_low_precision, _opposite, _scaled, _quantised):
            # The beginning of an array refutes most guesses for a hundredth of the work.
            if (
                kind(_head(array), _head(original)) is not None
                and (found := kind(array, original)) is not None
            ):
                return found
    return rearranged(array, original)


def low_precision(array: Array, original: Array) -> Relation | None:
    """What low-precision image of ``original``, or cast to another float type, ``array`` is; None if none."""
    if array.shape != original.shape or not is_float(array) or not is_float(original):
        return None
    return (
        _low_precision(array, original) if _low_precision(_head(array), _head(original)) is not None else None
    )


def may_be_low_precision(array: Array) -> bool:
    """Whether the values could be float16 or bfloat16 ones, by the first of them."""
    return array.dtype != np.float32 or not (bits(_head(array)) & 0xFFF).any()


def _head(array: Array) -> Array:
    return array.reshape(-1)[:_HEAD]


def _low_precision(array: Array, original: Array) -> Relation | None:
    found = _rounded_to_half(array, original) or _rounded_to_bfloat16(array, original)
    if found is None and array.dtype != original.dtype and same(array, _cast(original, array.dtype)):
        return Relation("cast")
    return found


def _opposite(array: Array, original: Array) -> Relation | None:
    return Relation("negated") if same(array, np.negative(original)) else None


def _cast(array: Array, dtype: npt.DTypeLike) -> Array:
    with np.errstate(over="ignore"):
        cast: Array = array.astype(dtype)
    return cast


def _rounded_to_half(array: Array, original: Array) -> Relation | None:
    if original.dtype == np.float16:
        return None
    if array.dtype == np.float16:
        return Relation("float16", rounding="nearest") if same(array, _cast(original, np.float16)) else None
    if array.dtype != np.float32 or (bits(array)[:256] & 0xFFF).any():
        return None
    through = _cast(_cast(original, np.float16), np.float32)
    return Relation("float16", rounding="nearest") if same(array, through) else None


def _rounded_to_bfloat16(array: Array, original: Array) -> Relation | None:
    if array.dtype != np.float32 or original.dtype != np.float32 or (bits(array) & 0xFFFF).any():
        return None
    whole, rounded = bits(original), bits(array)
    if np.array_equal(rounded, whole & np.uint32(0xFFFF0000)):
        return Relation("bfloat16", rounding="truncated")
    even = (whole >> np.uint32(16)) & np.uint32(1)
    nearest = (whole + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
    return Relation("bfloat16", rounding="nearest") if np.array_equal(rounded, nearest) else None


def rearranged(array: Array, original: Array) -> Relation | None:
    """The same values in another order: reshaped, transposed, or permuted otherwise."""
    if array.dtype != original.dtype or array.size < _FEWEST:
        return None
    if array.max() != original.max() or content_sum(array) != content_sum(original):
        return None  # the largest value is found faster than the sum of all
    held, there = bits(array), bits(original)
    if np.array_equal(held, there):
        return Relation("reshaped") if array.shape != original.shape else None
    axes = _transposition(array, original)
    if axes is not None:
        return Relation("transposed", permutation=axes)
    return Relation("permuted") if np.array_equal(np.sort(held), np.sort(there)) else None


def _transposition(array: Array, original: Array) -> tuple[int, ...] | None:
    """The axes of ``original`` in the order that makes it ``array``; a matrix may be reshaped after it."""
    if not 2 <= original.ndim <= 5:
        return None
    for axes in permutations(range(original.ndim)):
        fits = tuple(original.shape[axis] for axis in axes) == array.shape
        if fits and same(array, original.transpose(axes)):
            return axes
    if array.ndim == original.ndim == 2 and np.array_equal(bits(array), bits(original.T)):
        return 1, 0
    return None


def _scaled(array: Array, original: Array) -> Relation | None:
    factor, residual = _fit(array, original)
    if factor is None or residual > _ULPS or abs(factor) < _SAME_FACTOR or abs(factor - 1.0) < _SAME_FACTOR:
        return None
    return Relation("scaled", number=factor)


def _fit(array: Array, original: Array) -> tuple[float | None, float]:
    if array.size < _FEWEST:
        return None, np.inf
    with np.errstate(invalid="ignore"):
        one, other = array.astype(np.float64).reshape(-1), original.astype(np.float64).reshape(-1)
    square = float(other @ other)
    if not np.isfinite(square) or not np.isfinite(one).all() or square == 0.0:
        return None, np.inf
    factor = float(one @ other) / square
    limit = np.abs(factor * other)
    with np.errstate(all="ignore"):
        off = np.abs(one - factor * other) / np.where(limit > 0, limit, 1.0)
    return factor, float(off.max())


def _quantised(array: Array, original: Array) -> Relation | None:
    step = quantised(array, original)
    return None if step is None else Relation("rounded", number=step)


def quantised(array: Array, original: Array) -> float | None:
    """The step between few, equally spaced values, each the nearest one to the original's; None if it is not so."""
    if array.size < _FEWEST_ROUNDED:
        return None
    head = np.unique(_head(array)).astype(np.float64)
    if not 2 <= head.size <= _LEVELS or head.size * 2 > np.unique(_head(original)).size:
        return None
    gaps = np.diff(head)
    off = float(np.abs(np.subtract(array, original)).max())
    for steps in (1, 2, 3):  # in a small array no two neighbouring levels may occur
        step = float(gaps.min()) / steps
        if not off <= step * HALF_STEP:
            return None
        if np.abs(gaps / step - np.rint(gaps / step)).max() <= _GAP:
            return step if _on_steps(array, head[0], step) else None
    return None


def _on_steps(array: Array, low: float, step: float) -> bool:
    """Whether every value lies a whole number of steps above ``low``, and these are at most 8 bits full."""
    places = (array - np.float32(low)) / np.float32(step)
    whole = np.rint(places)
    return bool(np.abs(places - whole).max() <= _PLACE and whole.max() - whole.min() <= _LEVELS)


def mixture(array: Array, shadow: Array, raw: Array) -> float | None:
    """The d in (0, 1) with ``array = d * shadow + (1 - d) * raw`` to rounding; None if there is none."""
    if not array.shape == shadow.shape == raw.shape or array.size < _FEWEST or not is_float(array):
        return None
    if array.size > _HEAD and _mixture(_head(array), _head(shadow), _head(raw)) is None:
        return None
    return _mixture(array, shadow, raw)


def _mixture(array: Array, shadow: Array, raw: Array) -> float | None:
    one, two, three = (each.astype(np.float64).reshape(-1) for each in (array, shadow, raw))
    apart = two - three
    square = float(apart @ apart)
    size = np.maximum(np.abs(two), np.abs(three))
    if not np.isfinite(square) or not np.isfinite(one).all():
        return None
    if np.abs(apart).max() <= _APART * size.max():
        return None
    share = float((one - three) @ apart) / square
    off = np.abs(one - (share * two + (1.0 - share) * three))
    fits = bool((off <= _ULPS * size).all()) and float(np.sqrt(off @ off)) <= _MISFIT * np.sqrt(square)
    return share if fits and _SAME_FACTOR < share < 1.0 - _SAME_FACTOR else None
