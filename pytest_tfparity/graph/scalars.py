"""Single numbers and booleans that are known without running, in TensorFlow's arithmetic.

Nothing is known where TensorFlow might give other bits: subnormal numbers are flushed to zero or not,
depending on the thread; integers that leave their range are undefined in C++.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .graph import Attr, DType, Tensor
from .ops import DIVISIONS

Scalar: TypeAlias = Any
"""A numpy scalar: a bool, an integer or a float."""

SCALAR_TYPES: Mapping[int, type[np.generic]] = {
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 5: np.int16, 6: np.int8, 9: np.int64, 10: np.bool_,
    17: np.uint16, 22: np.uint32, 23: np.uint64,
}  # fmt: skip
"""The numbers of ``tensorflow.DataType`` whose scalars are followed, as numpy knows them."""

_ABSORBING = {"LogicalAnd": False, "LogicalOr": True}
_LOGIC: Mapping[str, Callable[..., Scalar]] = {
    "LogicalNot": np.logical_not,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
}
_EQUALITIES: Mapping[str, Callable[..., Scalar]] = {"Equal": np.equal, "NotEqual": np.not_equal}
_INEQUALITIES: Mapping[str, Callable[..., Scalar]] = {
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
}
_ARITHMETIC: Mapping[str, Callable[..., Scalar]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
}
_EXTREMES: Mapping[str, Callable[..., Scalar]] = {"Maximum": np.maximum, "Minimum": np.minimum}

FOLDED = frozenset({*_LOGIC, *_EQUALITIES, *_INEQUALITIES, *_ARITHMETIC, *_EXTREMES, *DIVISIONS, "Cast"})
"""Ops whose result is known where those of their inputs are; a scalar where all of these are."""


def scalar_of(tensor: Tensor) -> Scalar | None:
    """A constant of shape ``()`` as a numpy scalar; None for other shapes and for types that are not followed."""
    kind = SCALAR_TYPES.get(tensor.dtype.number)
    return None if kind is None or tensor.shape != () else kind(tensor.array[()])


def folded(op: str, attrs: Mapping[str, Attr], inputs: Sequence[Scalar | None]) -> Scalar | None:
    """The result of an op of ``FOLDED`` on scalars; None where that is not known.

    An input that is not known is None: ``LogicalAnd`` of False and anything is False.
    """
    absorbing = _ABSORBING.get(op)
    if absorbing is not None and any(each is not None and bool(each) == absorbing for each in inputs):
        return np.bool_(absorbing)
    if not inputs or any(each is None or is_subnormal(each) for each in inputs):
        return None
    if op == "Cast":
        return _cast(attrs.get("DstT"), inputs[0])
    alike = len({type(each) for each in inputs}) == 1 and len(inputs) == (1 if op == "LogicalNot" else 2)
    return _of_one_kind(op, inputs) if alike else None


def _of_one_kind(op: str, inputs: Sequence[Scalar]) -> Scalar | None:
    kind = type(inputs[0])
    is_bool = kind is np.bool_
    if op in _LOGIC:
        return _LOGIC[op](*inputs) if is_bool else None
    if op in _EQUALITIES:
        return _EQUALITIES[op](*inputs)
    if is_bool:
        return None
    if op in _INEQUALITIES:
        return _INEQUALITIES[op](*inputs)
    if op in _EXTREMES:
        # Of floats, -0 and 0 or NaN and a number, it is a matter of the order.
        return _EXTREMES[op](*inputs) if issubclass(kind, np.integer) else None
    if issubclass(kind, np.floating):
        return _float_result(np.divide if op in DIVISIONS else _ARITHMETIC[op], inputs)
    return None if op in DIVISIONS else _integer_result(_ARITHMETIC[op], kind, inputs)


def _float_result(function: Callable[..., Scalar], inputs: Sequence[Scalar]) -> Scalar | None:
    if not all(np.isfinite(each) for each in inputs):
        return None
    with np.errstate(all="ignore"):
        result = function(*inputs)
    # What is rounded up to the smallest normal number was below it, and a thread may flush it before.
    is_smallest = abs(result) == np.finfo(result.dtype).tiny
    return result if np.isfinite(result) and not is_subnormal(result) and not is_smallest else None


def _integer_result(
    function: Callable[..., Scalar], kind: type[np.generic], inputs: Sequence[Scalar]
) -> Scalar | None:
    return _in_range(int(function(*(np.array(int(each), object) for each in inputs))), kind)


def _in_range(value: int, kind: type[np.generic]) -> Scalar | None:
    limits = np.iinfo(kind)  # type: ignore[type-var]
    return kind(value) if limits.min <= value <= limits.max else None


def _cast(target: Attr, value: Scalar) -> Scalar | None:
    kind = SCALAR_TYPES.get(target.number) if isinstance(target, DType) else None
    if kind is None or not np.isfinite(value):
        return None
    if kind is np.bool_:
        return np.bool_(value != 0)
    if issubclass(kind, np.integer):
        return _in_range(int(value), kind)
    with np.errstate(all="ignore"):
        result = np.asarray(value).astype(kind)[()]
    # The rounding of a narrower float is an attribute of its own (Truncate).
    exact = not isinstance(value, np.floating) or (float(result) == float(value))
    return result if exact and not is_subnormal(result) else None


def is_subnormal(value: Scalar) -> bool:
    """Whether a number is one that threads of TensorFlow may flush to zero."""
    if not isinstance(value, np.floating):
        return False
    return bool(value != 0 and abs(value) < np.finfo(value.dtype).tiny)


def is_true(value: Scalar) -> bool | None:
    """What ``If`` takes a scalar for: only zero is false (``ToBool`` in functional_ops.cc)."""
    return None if is_subnormal(value) else bool(value != 0)


def holds(tensor: Tensor) -> bool | None:
    """What ``If`` takes a constant for; None where that is not known.

    A scalar is false if it is zero or an empty text, any other tensor if it has no element.
    """
    if tensor.shape != ():
        return 0 not in tensor.shape
    value = scalar_of(tensor)
    if value is not None:
        return is_true(value)
    text = tensor.array[()]
    return len(text) > 0 if isinstance(text, bytes) else None
