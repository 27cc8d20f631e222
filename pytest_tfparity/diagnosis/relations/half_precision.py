"""Arrays that went through float16 or bfloat16, or are held in another float type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...graph.graph import Array
from ..arrays import bits, is_float, same
from .relation import Relation, head


def low_precision(array: Array, original: Array) -> Relation | None:
    """What low-precision image of ``original``, or cast to another float type, ``array`` is; None if none."""
    if array.shape != original.shape or not is_float(array) or not is_float(original):
        return None
    return _image(array, original) if _image(head(array), head(original)) is not None else None


def may_be_low_precision(array: Array) -> bool:
    """Whether the values could be float16 or bfloat16 ones, by the first of them."""
    return array.dtype != np.float32 or not (bits(head(array)) & 0xFFF).any()


def _image(array: Array, original: Array) -> Relation | None:
    found = _rounded_to_half(array, original) or _rounded_to_bfloat16(array, original)
    if found is None and array.dtype != original.dtype and same(array, _cast(original, array.dtype)):
        return Relation(kind="cast")
    return found


def _cast(array: Array, dtype: npt.DTypeLike) -> Array:
    with np.errstate(over="ignore"):
        cast: Array = array.astype(dtype)
    return cast


def _rounded_to_half(array: Array, original: Array) -> Relation | None:
    if original.dtype == np.float16 or array.dtype not in (np.float16, np.float32):
        return None
    if array.dtype == np.float32 and (bits(array)[:256] & 0xFFF).any():
        return None
    through = _cast(_cast(original, np.float16), array.dtype)
    return Relation(kind="float16", rounding="nearest") if same(array, through) else None


def _rounded_to_bfloat16(array: Array, original: Array) -> Relation | None:
    if array.dtype != np.float32 or original.dtype != np.float32 or (bits(array) & 0xFFFF).any():
        return None
    whole, rounded = bits(original), bits(array)
    if np.array_equal(rounded, whole & np.uint32(0xFFFF0000)):
        return Relation(kind="bfloat16", rounding="truncated")
    even = (whole >> np.uint32(16)) & np.uint32(1)
    nearest = (whole + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
    return Relation(kind="bfloat16", rounding="nearest") if np.array_equal(rounded, nearest) else None
