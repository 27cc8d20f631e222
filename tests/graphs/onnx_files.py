"""Small ONNX files, written without the package: messages of onnx.proto by field numbers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
    "float64": 11, "uint32": 12, "uint64": 13,
}  # fmt: skip


class Op(NamedTuple):
    """An operator: ``Op("Conv", ("x", "kernel"), ("y",), {"strides": [2, 2]})``."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attrs: Mapping[str, Any] = {}
    name: str = ""
    domain: str = ""


def write_onnx(
    path: Path,
    ops: Sequence[Op],
    constants: Mapping[str, np.ndarray],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    *,
    opset: int = 17,
    dtype: str = "float32",
    external: str = "",
) -> Path:
    """Write a model whose inputs and outputs are of ``dtype``; with ``external`` its constants lie in that file."""
    data = bytearray()
    tensors = []
    for name, value in constants.items():
        if external and value.dtype == np.float32:
            where = {"location": external, "offset": str(len(data)), "length": str(value.nbytes)}
            data += np.ascontiguousarray(value).tobytes()
            tensors.append(tensor(name, value, where))
        else:
            tensors.append(tensor(name, value))
    if external:
        (path.parent / Path(external).name).write_bytes(bytes(data))
    graph = b"".join(field(1, _node(each)) for each in ops)
    graph += field(2, b"graph") + b"".join(field(5, each) for each in tensors)
    graph += b"".join(field(11, _value(name, dims, dtype)) for name, dims in inputs.items())
    graph += b"".join(field(12, _value(name, None, dtype)) for name in outputs)
    opsets = field(8, number(2, opset)) + field(8, field(1, b"other") + number(2, 1))
    path.write_bytes(number(1, 8) + field(2, b"tests") + field(7, graph) + opsets)
    return path


def tensor(name: str, value: np.ndarray, external: Mapping[str, str] | None = None) -> bytes:
    """A serialized TensorProto."""
    made = b"".join(number(1, size) for size in value.shape)
    made += number(2, _TYPES[value.dtype.name]) + field(8, name.encode())
    if external is None:
        return made + field(9, np.ascontiguousarray(value).tobytes())
    entries = (field(1, key.encode()) + field(2, text.encode()) for key, text in external.items())
    return made + b"".join(field(13, each) for each in entries) + number(14, 1)


def field(key: int, content: bytes) -> bytes:
    """A field of bytes."""
    return varint(key << 3 | 2) + varint(len(content)) + content


def number(key: int, value: int) -> bytes:
    """A field that is a whole number."""
    return varint(key << 3) + varint(value % (1 << 64))


def varint(value: int) -> bytes:
    """A whole number of variable length."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _node(op: Op) -> bytes:
    made = b"".join(field(1, name.encode()) for name in op.inputs)
    made += b"".join(field(2, name.encode()) for name in op.outputs)
    made += field(3, (op.name or op.outputs[0]).encode()) + field(4, op.op.encode())
    made += b"".join(field(5, _attribute(name, value)) for name, value in op.attrs.items())
    return made + (field(7, op.domain.encode()) if op.domain else b"")


def _attribute(name: str, value: Any) -> bytes:
    made = field(1, name.encode())
    match value:
        case int():
            return made + number(3, value) + number(20, 2)
        case float():
            return made + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
        case str():
            return made + field(4, value.encode()) + number(20, 3)
        case np.ndarray():
            return made + field(5, tensor("", value)) + number(20, 4)
    if all(isinstance(each, int) for each in value):
        return made + b"".join(number(8, each) for each in value) + number(20, 7)
    return made + field(7, np.asarray(value, "<f4").tobytes()) + number(20, 6)


def _value(name: str, dims: Sequence[int] | None, dtype: str) -> bytes:
    kind = number(1, _TYPES[dtype])
    if dims is not None:
        sizes = (number(1, size) if size >= 0 else field(2, b"N") for size in dims)
        kind += field(2, b"".join(field(1, each) for each in sizes))
    return field(1, name.encode()) + field(2, field(1, kind))
