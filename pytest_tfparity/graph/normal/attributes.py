"""Attributes and op names that say the same thing, brought into one spelling."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from .. import ops
from ..graph import Attr, AttrReference, DType, Function, Shape, SharedAttrs, Tensor, listed, once

_SPELLINGS = {
    "RefSwitch": "Switch", "RefMerge": "Merge", "RefEnter": "Enter", "RefExit": "Exit",
    "RefNextIteration": "NextIteration",
    "StatelessIf": "If", "StatelessWhile": "While", "StatelessCase": "Case",
}  # fmt: skip

# Where a result is computed, how it is scheduled, what something is called: never what it is.
_SILENT = frozenset(
    {
        "use_cudnn_on_gpu",
        "frame_name",
        "tensor_array_name",
        "validate_indices",
        "output_shapes",
    }
)
_SILENT_OF = {"RandomUniform": frozenset({"seed", "seed2"})}
"""The seed of a random op says nothing: its numbers are never proven, only that they do not matter."""

_HANDING_ON = frozenset({"Switch", "Merge", "Enter", "Exit", "NextIteration"})
"""Ops that hand on what they read: its type and number are said there."""

_FLOAT, _DOUBLE, _STRING, _BFLOAT16, _HALF = DType(1), DType(2), DType(7), DType(14), DType(19)
_FLOATS = (_FLOAT, _DOUBLE, _BFLOAT16, _HALF)
_OF_ANY_TYPE = frozenset({"LogicalAnd", "LogicalOr", "Equal", "NotEqual"})
_REALS = frozenset(map(DType, (1, 2, 3, 4, 5, 6, 9, 14, 17, 19, 22, 23)))


def plain_op(op: str) -> str:
    """The op without regard to references and state: ``RefSwitch`` as ``Switch``."""
    return _SPELLINGS.get(op, op)


@once
def meaningful(op: str, attrs: Mapping[str, Attr]) -> Mapping[str, Attr]:
    """The attributes that matter to the result of ``op`` and are not at their default.

    Defaults are TensorFlow's own. A writer may leave a default out or write it; a version that
    does not know an attribute behaves as its default says.
    """
    known = ops.registered(op)
    defaults = known.defaults if known else {}
    silent = _SILENT_OF.get(op, frozenset())
    kept = {
        name: value
        for name, value in attrs.items()
        if not name.startswith("_")
        and name not in _SILENT
        and name not in silent
        and not (name == "parallel_iterations" and _is_possible(value))
        and not (name in defaults and encoded(defaults[name]) == encoded(value))
    }
    return SharedAttrs(kept) if isinstance(attrs, SharedAttrs) else kept


def _is_possible(iterations: Attr) -> bool:
    """Whether a loop runs with so many iterations at a time: then their number changes no result."""
    return isinstance(iterations, int) and iterations >= 1


def respelled(op: str, attrs: Mapping[str, Attr]) -> tuple[str, Mapping[str, Attr]]:
    """One spelling for ops that are the same function to the last bit, in output 0."""
    if op in _HANDING_ON:
        return op, {name: value for name, value in attrs.items() if name not in ("T", "N")}
    kind = attrs.get("T")
    if op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
        return "FusedBatchNormV3", _of_fused_batch_norm(attrs)
    if op == "Add" and kind is not None and kind != _STRING:
        return "AddV2", attrs
    if op == "Div" and kind in _FLOATS:
        return "RealDiv", attrs
    if op in ("BatchMatMul", "BatchMatMulV2"):
        return "BatchMatMulV2", attrs
    if op == "BatchMatMulV3" and attrs.get("Ta") == attrs.get("Tb") == attrs.get("Tout"):
        kept = {name: value for name, value in attrs.items() if name not in ("Ta", "Tb", "Tout")}
        return "BatchMatMulV2", {**kept, "T": attrs.get("Ta")}
    return op, attrs


def _of_fused_batch_norm(attrs: Mapping[str, Attr]) -> dict[str, Attr]:
    """What of the attributes counts for output 0, which is the same in all versions.

    The version decides which statistics are handed on; ``U`` is their type.
    """
    silent = {"U"} if attrs.get("U") == _FLOAT else set()
    if attrs.get("is_training") is False:
        silent.add("exponential_avg_factor")
    return {name: value for name, value in attrs.items() if name not in silent}


def commutes(op: str, attrs: Mapping[str, Attr]) -> bool:
    """Whether exchanging both inputs changes no bit of the result (of a NaN at most the payload).

    As TensorFlow registers it; an addition of texts or of lists of tensors is left out, and what is done to complex
    numbers, whose parts are rounded in an order. Maximum and Minimum are not registered so: of two zeros, and of a
    number and NaN, they may take the first.
    """
    known = ops.registered(op)
    if known is None or not known.commutes:
        return False
    return op in _OF_ANY_TYPE or attrs.get("T") in _REALS


def attribute(op: str, attrs: Mapping[str, Attr], name: str) -> Attr:
    """An attribute as it takes effect: the value given, else the default of the op."""
    if attrs.get(name) is not None:
        return attrs[name]
    known = ops.registered(op)
    return known.defaults.get(name) if known else None


def encoded(value: Attr) -> bytes:
    """An attribute as bytes, different bytes for different attributes (constants: see fingerprint)."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    if isinstance(value, Function):
        attrs = b"".join(encoded(key.encode()) + encoded(value.attrs[key]) for key in sorted(value.attrs))
        return b"F" + encoded_text(value.name) + b"%d;" % len(value.attrs) + attrs
    if isinstance(value, Tensor):
        array = value.array
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        shape = encoded(Shape(value.shape))
        return b"T" + encoded(value.dtype) + shape + b"%d;" % len(content) + content
    values = listed(value)
    if values is not None:
        return b"(%d;" % len(values) + b"".join(encoded(each) for each in values)
    raise TypeError(f"{type(value).__name__} is no attribute")


def encoded_text(text: str) -> bytes:
    """A text with its length before it."""
    data = text.encode()
    return b"%d;" % len(data) + data


def _shape(shape: Shape) -> bytes:
    return b"h?;" if shape.dims is None else b"h" + ",".join(map(str, shape.dims)).encode() + b";"


_PLAIN: Mapping[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"b1" if value else b"b0",
    int: lambda value: b"i%d;" % value,
    # Attributes are single precision; compare the bits, so that -0.0 and NaN are themselves.
    float: lambda value: b"f" + struct.pack("<f", value),
    bytes: lambda value: b"s%d;" % len(value) + value,
    DType: lambda value: b"t%d;" % value.number,
    Shape: _shape,
    AttrReference: lambda value: b"r" + encoded_text(value.name),
    type(None): lambda value: b"n",
}
"""How attributes that hold no others are written."""
