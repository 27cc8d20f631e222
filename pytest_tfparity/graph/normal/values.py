"""What is known of a tensor without running anything: scalars that are constant, bounds of random numbers.

Nothing here changes a graph. It decides which side of a conditional lives, and whether a dropout
keeps everything, so that its random numbers do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Attr, DType, Tensor

Scalar = Any
"""A numpy scalar: bool, an integer or a float. Its arithmetic is IEEE's, as TensorFlow's is."""

_KINDS = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 10: np.bool_}
_INTEGERS = (3, 9)

_FUNCTIONS: Mapping[str, Callable[..., Scalar]] = {
    "LogicalNot": np.logical_not,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
}
FOLDED = frozenset(_FUNCTIONS) | {"Cast"}
"""Ops of scalars whose value is followed."""


def scalar_of(array: np.ndarray[Any, Any], dtype: DType) -> Scalar | None:
    """A scalar constant as a numpy scalar; None for other shapes and for types that are not followed."""
    kind = _KINDS.get(dtype.number)
    if kind is None or array.shape != ():
        return None
    return kind(array[()])


def folded(op: str, attrs: Mapping[str, Attr], inputs: Sequence[Scalar]) -> Scalar | None:
    """The value of ``op`` for constant scalars; None unless TensorFlow gives the same bits everywhere."""
    if op == "Cast":
        return _cast(attrs, inputs[0])
    with np.errstate(all="ignore"):
        result = _FUNCTIONS[op](*inputs)
    if isinstance(result, np.floating):
        # Subnormal numbers are flushed to zero or not, depending on the thread.
        tiny = np.finfo(result.dtype).tiny
        if any(not np.isfinite(x) or (x != 0 and abs(x) < tiny) for x in (*inputs, result)):
            return None
    elif op == "RealDiv":
        return None
    return result


def _cast(attrs: Mapping[str, Attr], value: Scalar) -> Scalar | None:
    target = attrs.get("DstT")
    kind = _KINDS.get(target.number) if isinstance(target, DType) else None
    if kind is None or isinstance(value, np.floating):
        return None
    if isinstance(value, np.int64) and kind is np.int32 and not -(2**31) <= value < 2**31:
        return None
    return kind(value)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every element is at least ``low`` and at most ``high``, and below ``high`` if ``open``.

    ``origin`` is the random node (its index) whose numbers these are.
    """

    low: Scalar
    high: Scalar
    open: bool
    origin: int


def uniform(attrs: Mapping[str, Attr], origin: int) -> Bounds | None:
    """The bounds of ``RandomUniform``: [0, 1), in steps of the mantissa of [1, 2) less 1.

    Source: ``random_distributions.h`` of tensorflow/core/lib/random, ``Uint32ToFloat``.
    """
    target = attrs.get("dtype")
    kind = _KINDS.get(target.number) if isinstance(target, DType) else None
    if kind not in (np.float32, np.float64):
        return None
    return Bounds(kind(0), kind(1), True, origin)


def moved(op: str, bounds: Bounds, by: Scalar) -> Bounds | None:
    """The bounds after ``AddV2``, ``Mul`` or ``Sub`` of a constant; rounding never reverses an order.

    1 + [0, 1) stays below 2, because the numbers are multiples of the last place of [1, 2).
    """
    if not np.isfinite(by) or (op == "Mul" and by < 0):
        return None
    function = {"AddV2": np.add, "Mul": np.multiply, "Sub": np.subtract}[op]
    with np.errstate(all="ignore"):
        low, high = function(bounds.low, by), function(bounds.high, by)
    if not np.isfinite(low) or not np.isfinite(high):
        return None
    exact = (op == "Mul" and by == 1) or (op in ("AddV2", "Sub") and by == 0)
    exact = exact or (op == "AddV2" and by == 1 and bounds.low == 0 and bounds.high == 1)
    return Bounds(low, high, bounds.open and bool(exact), bounds.origin)


def always(op: str, bounds: Bounds, other: Scalar | None) -> bool:
    """Whether ``GreaterEqual(numbers, other)`` is true, or ``Floor(numbers)`` one value, throughout."""
    if op == "GreaterEqual":
        return other is not None and bool(bounds.low >= other)
    if op == "Floor":
        return bounds.open and bool(bounds.high == np.floor(bounds.low) + 1)
    return False


def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The constant that ``ConcatV2`` of constants is; the last part is the axis. None if they do not fit."""
    *tensors, axis = parts
    whole = [tensor for tensor in tensors if tensor is not None]
    if axis is None or axis.shape != () or not whole or len(whole) != len(tensors):
        return None
    rank = len(whole[0].shape)
    along = int(axis.array.item())
    along += rank if along < 0 else 0
    rests = {(tensor.dtype, tensor.shape[:along], tensor.shape[along + 1 :]) for tensor in whole}
    if not 0 <= along < rank or len(rests) != 1 or any(len(tensor.shape) != rank for tensor in whole):
        return None
    first = whole[0].shape
    shape = (*first[:along], sum(tensor.shape[along] for tensor in whole), *first[along + 1 :])
    return Tensor(whole[0].dtype, shape, lambda: np.concatenate([tensor.array for tensor in whole], along))
