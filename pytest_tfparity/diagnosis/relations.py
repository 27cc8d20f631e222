"""What one array may be of another: its low-precision image, its transpose, a mixture.

Bits where bits decide, rounding where arithmetic was done.
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph.graph import Array, Tensor

_BFLOAT16 = 14
_ULPS = 2.0**-21
"""Rounding of ``d * a + (1 - d) * b`` in float32, relative to the larger term: four ulp."""

Bits: TypeAlias = npt.NDArray[Any]


class Image(NamedTuple):
    """How an array follows from another: a kind of provenance and the number that goes with it."""

    kind: Literal[
        "float16", "bfloat16", "cast", "reshaped", "transposed", "permuted", "negated", "rounded", "scaled"
    ]
    permutation: tuple[int, ...] | None = None
    rounding: Literal["nearest", "truncated"] | None = None
    number: float | None = None


def values(tensor: Tensor) -> Array:
    """The value of ``tensor``, with bfloat16 (stored as bits) as float32."""
    array = tensor.array
    if tensor.dtype.number == _BFLOAT16:
        wide: Array = (array.astype(np.uint32) << 16).view(np.float32)
        return wide
    return array


def bits(array: Array) -> Bits:
    """The contents as unsigned integers, flat: equal bits are equal values, NaN included."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind in "fiu" and flat.dtype.itemsize in (1, 2, 4, 8):
        return flat.view(f"u{flat.dtype.itemsize}")
    return flat.view(np.uint8) if flat.dtype != object else flat


def same(one: Array, other: Array) -> bool:
    """Whether shape, dtype and every bit are equal."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    first, second = bits(one), bits(other)
    return bool(np.array_equal(first[:64], second[:64])) and bool(np.array_equal(first, second))


def sample(array: Array) -> bytes:
    """A few of the bits, spread over the array, with its shape: arrays that differ here are not the same."""
    flat = bits(array)
    few = flat[:: max(1, flat.size // 64)]
    return repr((array.dtype.str, array.shape)).encode() + few.tobytes()


def informative(array: Array) -> bool:
    """Whether the array could only have come from where it is found: not one value throughout."""
    if array.size <= 1:
        return False
    flat = bits(array)
    return bool((flat[:64] != flat[0]).any() or (flat != flat[0]).any())


def is_float(array: Array) -> bool:
    """Whether the array holds floating-point numbers."""
    return array.dtype.kind == "f"


def image(array: Array, original: Array) -> Image | None:
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


def low_precision(array: Array, original: Array) -> Image | None:
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
    return array.reshape(-1)[:4096]


def _low_precision(array: Array, original: Array) -> Image | None:
    found = _rounded_to_half(array, original) or _rounded_to_bfloat16(array, original)
    if found is None and array.dtype != original.dtype and same(array, _cast(original, array.dtype)):
        return Image("cast")
    return found


def _opposite(array: Array, original: Array) -> Image | None:
    return Image("negated") if same(array, np.negative(original)) else None


def _cast(array: Array, dtype: npt.DTypeLike) -> Array:
    with np.errstate(over="ignore"):
        cast: Array = array.astype(dtype)
    return cast


def _rounded_to_half(array: Array, original: Array) -> Image | None:
    if original.dtype == np.float16:
        return None
    if array.dtype == np.float16:
        return Image("float16", rounding="nearest") if same(array, _cast(original, np.float16)) else None
    if array.dtype != np.float32 or (bits(array)[:256] & 0xFFF).any():
        return None
    through = _cast(_cast(original, np.float16), np.float32)
    return Image("float16", rounding="nearest") if same(array, through) else None


def _rounded_to_bfloat16(array: Array, original: Array) -> Image | None:
    if array.dtype != np.float32 or original.dtype != np.float32 or (bits(array) & 0xFFFF).any():
        return None
    whole, rounded = bits(original), bits(array)
    if np.array_equal(rounded, whole & np.uint32(0xFFFF0000)):
        return Image("bfloat16", rounding="truncated")
    even = (whole >> np.uint32(16)) & np.uint32(1)
    nearest = (whole + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
    return Image("bfloat16", rounding="nearest") if np.array_equal(rounded, nearest) else None


def rearranged(array: Array, original: Array) -> Image | None:
    """The same values in another order: reshaped, transposed, or permuted otherwise."""
    if array.dtype != original.dtype or array.size < 4:
        return None
    if array.max() != original.max() or content_sum(array) != content_sum(original):
        return None  # the largest value is found faster than the sum of all
    mine, theirs = bits(array), bits(original)
    if np.array_equal(mine, theirs):
        return Image("reshaped") if array.shape != original.shape else None
    if 2 <= original.ndim <= 5:
        for axes in permutations(range(original.ndim)):
            if tuple(original.shape[axis] for axis in axes) == array.shape and same(
                array, original.transpose(axes)
            ):
                return Image("transposed", permutation=axes)
        if array.ndim == 2 and original.ndim == 2 and np.array_equal(mine, bits(original.T)):
            return Image("transposed", permutation=(1, 0))
    if np.array_equal(np.sort(mine), np.sort(theirs)):
        return Image("permuted")
    return None


def _scaled(array: Array, original: Array) -> Image | None:
    factor, residual = _fit(array, original)
    if factor is None or residual > _ULPS or abs(factor) < 1e-6 or abs(factor - 1.0) < 1e-6:
        return None
    return Image("scaled", number=factor)


def _fit(array: Array, original: Array) -> tuple[float | None, float]:
    if array.size < 4:
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


def _quantised(array: Array, original: Array) -> Image | None:
    step = quantised(array, original)
    return None if step is None else Image("rounded", number=step)


def quantised(array: Array, original: Array) -> float | None:
    """The step between few, equally spaced values, each the nearest one to the original's; None if it is not so."""
    if array.size < 32:
        return None
    head = np.unique(_head(array)).astype(np.float64)
    if not 2 <= head.size <= 256 or head.size * 2 > np.unique(_head(original)).size:
        return None
    gaps = np.diff(head)
    off = float(np.abs(np.subtract(array, original)).max())
    for steps in (1, 2, 3):  # in a small array no two neighbouring levels may occur
        step = float(gaps.min()) / steps
        if not off <= step * 0.51:
            return None
        if np.abs(gaps / step - np.rint(gaps / step)).max() <= 1e-2:
            return step if _on_steps(array, head[0], step) else None
    return None


def _on_steps(array: Array, low: float, step: float) -> bool:
    """Whether every value lies a whole number of steps above ``low``, and there are at most 256 of them."""
    places = (array - np.float32(low)) / np.float32(step)
    whole = np.rint(places)
    return bool(np.abs(places - whole).max() <= 0.05 and whole.max() - whole.min() <= 256)


def mixture(array: Array, shadow: Array, raw: Array) -> float | None:
    """The d in (0, 1) with ``array = d * shadow + (1 - d) * raw`` to rounding; None if there is none."""
    if not array.shape == shadow.shape == raw.shape or array.size < 4 or not is_float(array):
        return None
    if array.size > 4096 and _mixture(_head(array), _head(shadow), _head(raw)) is None:
        return None
    return _mixture(array, shadow, raw)


def _mixture(array: Array, shadow: Array, raw: Array) -> float | None:
    one, two, three = (each.astype(np.float64).reshape(-1) for each in (array, shadow, raw))
    apart = two - three
    square = float(apart @ apart)
    size = np.maximum(np.abs(two), np.abs(three))
    if not np.isfinite(square) or not np.isfinite(one).all():
        return None
    if np.abs(apart).max() <= 1e3 * _ULPS * size.max():
        return None
    share = float((one - three) @ apart) / square
    off = np.abs(one - (share * two + (1.0 - share) * three))
    fits = bool((off <= _ULPS * size).all()) and float(np.sqrt(off @ off)) <= 1e-2 * np.sqrt(square)
    return share if fits and 1e-6 < share < 1.0 - 1e-6 else None


def cosine(one: Array, other: Array) -> float | None:
    """The cosine of the angle between two arrays of one shape, or None where it means nothing."""
    if one.shape != other.shape or one.size < 2 or not is_float(one) or not is_float(other):
        return None
    first, second = (np.asarray(each, np.float32).reshape(-1) for each in (one, other))
    with np.errstate(all="ignore"):
        product, squares = float(first @ second), float(first @ first) * float(second @ second)
    return product / math.sqrt(squares) if math.isfinite(squares) and squares > 0 else None


def content_sum(array: Array) -> int:
    """The sum of the bits as integers: equal for arrays of the same values in any order."""
    return int(bits(array).sum(dtype=np.uint64))
