"""Nodes and functions as serialized NodeDefs and FunctionDefs, for graphs that were changed in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from ..graph import (
    Attr,
    AttrReference,
    DType,
    Function,
    FunctionBody,
    FunctionInput,
    Node,
    Shape,
    Tensor,
)
from ..read import messages
from ..read.tensors import STRING


def node_bytes(node: Node, *, bare: bool = False) -> bytes:
    """``node`` as a serialized ``NodeDef`` that any TensorFlow reads.

    ``bare`` leaves out what large constants hold (:func:`held_apart`): of those there is type and shape.
    """
    raw = messages.NodeDef(name=node.name, op=node.op)
    raw.input.extend(f"{name}:{port}" if port else name for name, port in node.inputs)
    raw.input.extend(f"^{control}" for control in node.controls)
    for key, value in node.attrs.items():
        if bare and held_apart(value):
            _fill_type(raw.attr[key].tensor, value)
        else:
            _fill(raw.attr[key], value)
    data: bytes = raw.SerializeToString()
    return data


def held_apart(value: Attr) -> TypeGuard[Tensor]:
    """Whether an attribute is a constant of which nothing is kept as a file has it: a large one, or a new one."""
    return isinstance(value, Tensor) and value.written is None


def fill_bare(raw: Any, node: Node) -> None:
    """Give a ``NodeDef`` of ``node`` what its large constants hold, where :func:`node_bytes` has left it out."""
    for key, value in node.attrs.items():
        if held_apart(value) and not _holds_values(raw.attr[key].tensor):
            raw.attr[key].tensor.Clear()
            _fill_tensor(raw.attr[key].tensor, value)


def _holds_values(raw: Any) -> bool:
    """Whether a ``TensorProto`` says more than type and shape."""
    return any(field.name not in ("dtype", "tensor_shape", "version_number") for field, _ in raw.ListFields())


def function_bytes(body: FunctionBody, results: Sequence[int]) -> bytes:
    """``body`` as a serialized ``FunctionDef``; ``results`` are the types of its results. No argument is a list.

    Source: tensorflow/core/framework/function.proto, which says how a node names an argument and an output.
    """
    raw = messages.FunctionDefLibrary().function.add()
    raw.signature.name, raw.signature.is_stateful = body.name, body.stateful
    for name in body.arguments:
        kind = body.types[name]
        if not isinstance(kind, DType):
            raise TypeError(f"argument {name} of {body.name} has no type")
        raw.signature.input_arg.add(name=name, type=kind.number)
    for name, number in zip(body.results, results, strict=True):
        raw.signature.output_arg.add(name=name, type=number)
        raw.ret[name] = _input_text(body.returns[name])
    for node in body.nodes:
        inner = raw.node_def.add(name=node.name, op=node.op)
        inner.input.extend(map(_input_text, node.inputs))
        inner.input.extend(f"^{control}" for control in node.controls)
        for key, value in node.attrs.items():
            _fill(inner.attr[key], value)
    data: bytes = raw.SerializeToString()
    return data


def _input_text(source: FunctionInput) -> str:
    parts = [source.node, source.output] if source.output else [source.node]
    return ":".join([*parts, str(source.port)] if source.indexed else parts)


def _fill(raw: Any, value: Attr) -> None:
    """Put ``value`` into an ``AttrValue``."""
    if isinstance(value, tuple) and not isinstance(value, DType | Shape | Tensor | Function | AttrReference):
        raw.list.SetInParent()
        for item in value:
            _append(raw.list, item)
    elif isinstance(value, Tensor):
        _fill_tensor(raw.tensor, value)
    elif isinstance(value, Shape):
        _fill_shape(raw.shape, value)
    elif isinstance(value, Function):
        _fill_function(raw.func, value)
    elif isinstance(value, AttrReference):
        raw.placeholder = value.name
    elif value is not None:
        setattr(raw, _field(value), value.number if isinstance(value, DType) else value)


def _append(listed: Any, item: Attr) -> None:
    if isinstance(item, Tensor):
        _fill_tensor(listed.tensor.add(), item)
    elif isinstance(item, Shape):
        _fill_shape(listed.shape.add(), item)
    elif isinstance(item, Function):
        _fill_function(listed.func.add(), item)
    else:
        getattr(listed, _field(item)).append(item.number if isinstance(item, DType) else item)


def _field(value: Attr) -> str:
    if isinstance(value, DType):
        return "type"
    for kind, name in ((bool, "b"), (int, "i"), (float, "f"), (bytes, "s")):
        if isinstance(value, kind):
            return name
    raise TypeError(f"{type(value).__name__} is no attribute value")


def _fill_function(raw: Any, value: Function) -> None:
    raw.name = value.name
    for key, inner in value.attrs.items():
        _fill(raw.attr[key], inner)


def _fill_shape(raw: Any, shape: Shape) -> None:
    raw.SetInParent()
    if shape.dims is None:
        raw.unknown_rank = True
        return
    for size in shape.dims:
        raw.dim.add(size=size)


def _fill_type(raw: Any, tensor: Tensor) -> None:
    raw.dtype = tensor.dtype.number
    _fill_shape(raw.tensor_shape, Shape(tensor.shape))


def _fill_tensor(raw: Any, tensor: Tensor) -> None:
    _fill_type(raw, tensor)
    array = tensor.array
    if tensor.dtype.number == STRING:
        raw.string_val.extend(
            item if isinstance(item, bytes) else str(item).encode() for item in array.reshape(-1)
        )
    else:
        plain = np.ascontiguousarray(array)
        raw.tensor_content = plain.astype(plain.dtype.newbyteorder("<"), copy=False).tobytes()
