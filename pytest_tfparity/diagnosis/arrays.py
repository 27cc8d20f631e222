"""Arrays compared: by their bits, by a sample of them, by the angle between them."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph.graph import Array, Tensor
from ..graph.read.mapped import count_read, pieces
from ..graph.read.tensors import BFLOAT16, numbers

Bits: TypeAlias = npt.NDArray[Any]


def not_finite(tensor: Tensor) -> int:
    """How many values of ``tensor`` are NaN or infinite; read a piece at a time."""
    whole = tensor.array
    if not (is_float(whole) or tensor.dtype.number == BFLOAT16):
        return 0
    finite = sum(int(np.count_nonzero(np.isfinite(numbers(tensor, piece)))) for piece in pieces(whole))
    return whole.size - finite


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
    return bool(np.array_equal(first[:64], second[:64])) and all(
        bool(np.array_equal(left, right)) for left, right in zip(pieces(first), pieces(second), strict=True)
    )


def sample(array: Array) -> bytes:
    """A few of the bits, spread over the array, with its shape: arrays that differ here are not the same."""
    flat = bits(array)
    few = flat[:: max(1, flat.size // 64)].tobytes()
    count_read(array, array.nbytes)  # as pages of a file: the places are all over it
    return repr((array.dtype.str, array.shape)).encode() + few


def informative(array: Array) -> bool:
    """Whether the array could only have come from where it is found: not one value throughout."""
    if array.size <= 1:
        return False
    flat = bits(array)
    return bool((flat[:64] != flat[0]).any() or (flat != flat[0]).any())


def is_float(array: Array) -> bool:
    """Whether the array holds floating-point numbers."""
    return array.dtype.kind == "f"


def cosine(one: Array, other: Array) -> float | None:
    """The cosine of the angle between two arrays of one shape, or None where it means nothing."""
    if one.shape != other.shape or one.size < 2 or not is_float(one) or not is_float(other):
        return None
    first, second = (np.asarray(each, np.float32).reshape(-1) for each in (one, other))
    with np.errstate(all="ignore"):
        product, squares = float(first @ second), float(first @ first) * float(second @ second)
    for each in (one, other):
        count_read(each, each.nbytes)
    return product / math.sqrt(squares) if math.isfinite(squares) and squares > 0 else None


def content_sum(array: Array) -> int:
    """The sum of the bits as integers: equal for arrays of the same values in any order."""
    return int(bits(array).sum(dtype=np.uint64))
