"""An ONNX file as plain data, read without a dependency: its tensors stay where they lie in the mapped file.

Messages and numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); where large
tensors lie in files beside it: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...errors import ModelError
from ..graph import Array, DType
from .file_kind import FileKind, kind_of
from .mapped import foreign_format, mapped
from .tensors import dtype_name, numpy_dtype, sealed, string_array
from .wire import BYTES, FIXED32, VARINT, Field, Malformed, fields, varint

_TYPES = {
    1: 1, 2: 4, 3: 6, 4: 17, 5: 5, 6: 3, 7: 9, 8: 7, 9: 10, 10: 19, 11: 2, 12: 22, 13: 23, 14: 8, 15: 18, 16: 14,
    17: 25, 18: 26, 19: 24, 20: 28, 21: 30, 22: 29,
}  # fmt: skip
"""Numbers of ``TensorProto.DataType`` as those of ``tensorflow.DataType``."""
_STRING, _BFLOAT16, _HALF, _INT4, _UINT4 = 7, 14, 19, 29, 30
_MOST_DEPTH = 16
"""How deep graphs may stand in attributes of nodes (the branches of an ``If``, the body of a ``Loop``)."""
_MOST_BYTES = 1 << 40

_TYPED = frozenset({4, 5, 6, 7, 10, 11})
"""The fields of a tensor that is written number by number."""
_SINGLE = frozenset({(2, FIXED32), (3, VARINT), (4, BYTES), (5, BYTES), (6, BYTES)})
"""The fields of an attribute that is no list, with how they are written."""


class OnnxTensor(NamedTuple):
    """A constant: its name, type, shape, and how its value is loaded (ModelError where its bytes do not fit)."""

    name: str
    dtype: DType
    dims: tuple[int, ...]
    load: Callable[[], Array]


class OnnxValue(NamedTuple):
    """What an input, output or any other tensor is said to be; -1 is an open dimension, ``dims`` None an open rank."""

    name: str
    dtype: DType | None
    dims: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxNode:
    """One operator; an input that is left out has an empty name. ``domain`` is empty for ONNX's own operators."""

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, OnnxAttr]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """Operators in the order in which they run, constants by name; ``inputs`` are those without a constant."""

    name: str
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, OnnxTensor]
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]
    values: Mapping[str, OnnxValue] = field(default_factory=dict)


_Numbers: TypeAlias = "int | float | tuple[int, ...] | tuple[float, ...]"
OnnxAttr: TypeAlias = "_Numbers | bytes | tuple[bytes, ...] | OnnxTensor | OnnxGraph | None"
"""An attribute of a node; None for one of a kind that nothing here reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """A whole file. ``opsets`` are the versions of the operators that it was written for, by domain."""

    graph: OnnxGraph
    opsets: Mapping[str, int]
    producer: str
    external: tuple[Path, ...]

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return self.opsets.get("", 0)


def is_onnx(view: memoryview) -> bool:
    """Whether these bytes are an ONNX model."""
    return foreign_format(view) is None and kind_of(view) is FileKind.ONNX


def read_onnx(path: Path) -> OnnxModel:
    """The model in ``path``. Raises ModelError if it is missing, damaged or another file, or lacks external data."""
    view = mapped(path, "ONNX file")
    if not is_onnx(view):
        found = foreign_format(view) or getattr(kind_of(view), "value", None)
        if found is not None:
            raise ModelError(f"{path} is {found}, not an ONNX model.")
        raise ModelError(f"{path} is no ONNX model, or it is damaged or truncated; write or copy it again.")
    beside = _Beside(path)
    try:
        return _Reader(view, str(path), beside).model()
    except (Malformed, UnicodeDecodeError, struct.error, OverflowError) as error:
        raise ModelError(f"{path} is damaged or truncated ({error}); write or copy it again.") from None


@dataclass(slots=True)
class _Beside:
    """The files that hold external data, each mapped once."""

    path: Path
    opened: dict[Path, memoryview] = field(default_factory=dict)

    def __call__(self, location: str, name: str) -> memoryview:
        """The bytes of ``location``, a path relative to the model's folder and in it. Raises ModelError."""
        relative = PurePosixPath(location)
        folder = self.path.parent
        file = folder / relative
        outside = not location or relative.is_absolute() or ".." in relative.parts or "\\" in location
        if outside or not file.resolve().is_relative_to(folder.resolve()):
            raise ModelError(
                f"{self.path} says that its tensor {name} lies in {location!r}, which is not in its folder: that is not"
                " read. Save the model with its data beside it."
            )
        if file not in self.opened:
            if not file.is_file():
                raise ModelError(
                    f"{self.path} has its weights in {location}, which is not beside it. Copy both files together."
                )
            self.opened[file] = mapped(file, "external data")
        return self.opened[file]


class _Part(NamedTuple):
    start: int
    end: int


class _Reader:
    """Reads messages of one mapped file. Raises Malformed where it is no such message."""

    def __init__(self, view: memoryview, source: str, beside: _Beside) -> None:
        self._view, self._source, self._beside = view, source, beside

    def model(self) -> OnnxModel:
        graph, producer, opsets = None, "", {}
        for each in fields(self._view, 0, len(self._view)):
            if each.number == 7 and each.wire == BYTES:
                graph = _Part(each.start, each.end)
            elif each.number == 2 and each.wire == BYTES:
                producer = self._text(each)
            elif each.number == 8 and each.wire == BYTES:
                domain, version = "", 0
                for part in fields(self._view, each.start, each.end):
                    if part.number == 1 and part.wire == BYTES:
                        domain = self._text(part)
                    elif part.number == 2 and part.wire == VARINT:
                        version = self._int(part)
                opsets["" if domain == "ai.onnx" else domain] = version
        if graph is None:
            raise Malformed("it holds no graph")
        return OnnxModel(
            graph=self._graph(graph, 0),
            opsets=opsets,
            producer=producer,
            external=tuple(self._beside.opened),
        )

    def _graph(self, where: _Part, depth: int) -> OnnxGraph:
        if depth > _MOST_DEPTH:
            raise Malformed(f"its graphs are nested more than {_MOST_DEPTH} deep")
        name, nodes, constants = "", [], {}
        inputs, outputs, values = [], [], {}
        for each in fields(self._view, *where):
            if each.wire != BYTES:
                continue
            if each.number == 1:
                nodes.append(self._node(each, depth))
            elif each.number == 2:
                name = self._text(each)
            elif each.number == 5:
                tensor = self._tensor(each)
                constants[tensor.name] = tensor
            elif each.number == 11:
                inputs.append(self._value(each))
            elif each.number == 12:
                outputs.append(self._value(each))
            elif each.number == 13:
                value = self._value(each)
                values[value.name] = value
            elif each.number == 15:
                raise ModelError(
                    f"{self._source} holds sparse weights, which are not read. Save it with dense ones."
                )
        return OnnxGraph(
            name=name,
            nodes=tuple(nodes),
            constants=constants,
            inputs=tuple(value for value in inputs if value.name not in constants),
            outputs=tuple(outputs),
            values=values,
        )

    def _node(self, where: Field, depth: int) -> OnnxNode:
        texts: dict[int, str] = {}
        inputs, outputs, attrs = [], [], {}
        for each in fields(self._view, where.start, where.end):
            if each.wire != BYTES:
                continue
            if each.number == 1:
                inputs.append(self._text(each))
            elif each.number == 2:
                outputs.append(self._text(each))
            elif each.number == 5:
                name, value = self._attribute(each, depth)
                attrs[name] = value
            elif each.number in (3, 4, 7):
                texts[each.number] = self._text(each)
        domain = texts.get(7, "")
        return OnnxNode(
            name=texts.get(3, ""),
            op=texts.get(4, ""),
            domain="" if domain == "ai.onnx" else domain,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            attrs=attrs,
        )

    def _attribute(self, where: Field, depth: int) -> tuple[str, OnnxAttr]:
        name, kind, found = "", 0, None
        lists: dict[int, list[Any]] = {7: [], 8: [], 9: []}
        for each in fields(self._view, where.start, where.end):
            if each.number == 1 and each.wire == BYTES:
                name = self._text(each)
            elif each.number == 20 and each.wire == VARINT:
                kind = self._int(each)
            elif each.number in lists:
                lists[each.number] += self._several(each)
            elif (each.number, each.wire) in _SINGLE:
                found = self._single(each, depth)
        if kind + 1 in lists:
            return name, tuple(lists[kind + 1])
        # Numbers at their default are not written: what is meant follows from the kind alone.
        absent: dict[int, OnnxAttr] = {1: 0.0, 2: 0, 3: b""}
        return name, absent.get(kind) if found is None else found

    def _single(self, where: Field, depth: int) -> OnnxAttr:
        """The value of an attribute that is one number, text, tensor or graph."""
        content = self._view[where.start : where.end]
        if where.number == 2:
            return float(struct.unpack("<f", content)[0])
        if where.number == 3:
            return self._int(where)
        if where.number == 4:
            return bytes(content)
        if where.number == 5:
            return self._tensor(where)
        return self._graph(_Part(where.start, where.end), depth + 1)

    def _several(self, where: Field) -> list[int] | list[float] | list[bytes]:
        """Numbers or texts of an attribute that is a list."""
        if where.number == 7:
            return self._packed_floats(where)
        if where.number == 8:
            return self._packed_ints(where)
        return [bytes(self._view[where.start : where.end])]

    def _value(self, where: Field) -> OnnxValue:
        name, dtype, dims = "", None, None
        for each in fields(self._view, where.start, where.end):
            if each.number == 1 and each.wire == BYTES:
                name = self._text(each)
            elif each.number == 2 and each.wire == BYTES:
                dtype, dims = self._type(each)
        return OnnxValue(name, dtype, dims)

    def _type(self, where: Field) -> tuple[DType | None, tuple[int, ...] | None]:
        dtype, dims = None, None
        for tensor in fields(self._view, where.start, where.end):
            if tensor.number != 1 or tensor.wire != BYTES:
                continue
            for each in fields(self._view, tensor.start, tensor.end):
                if each.number == 1 and each.wire == VARINT:
                    dtype = DType(_TYPES.get(self._int(each), 0))
                elif each.number == 2 and each.wire == BYTES:
                    dims = tuple(
                        self._dim(dim)
                        for dim in fields(self._view, each.start, each.end)
                        if dim.number == 1 and dim.wire == BYTES
                    )
        return dtype, dims

    def _dim(self, where: Field) -> int:
        for each in fields(self._view, where.start, where.end):
            if each.number == 1 and each.wire == VARINT:
                size = self._int(each)
                return size if size >= 0 else -1
        return -1

    def _tensor(self, where: Field) -> OnnxTensor:
        name, number, raw = "", 0, None
        dims: list[int] = []
        typed: list[Field] = []
        for each in fields(self._view, where.start, where.end):
            if each.number == 1:
                dims += self._packed_ints(each)
            elif each.number == 2 and each.wire == VARINT:
                number = self._int(each)
            elif each.number == 8 and each.wire == BYTES:
                name = self._text(each)
            elif each.number == 9 and each.wire == BYTES:
                raw = self._view[each.start : each.end]
            elif each.number in _TYPED:
                typed.append(each)
        if min(dims, default=0) < 0 or prod(dims) > _MOST_BYTES:
            raise Malformed(f"tensor {name} has the shape {dims}")
        dtype, shape = DType(_TYPES.get(number, 0)), tuple(dims)
        outside = self._external(where)
        raw = raw if outside is None else self._outside(name, outside)
        if raw is not None:
            _require_bytes(raw, dtype, shape, name, self._source)
            return OnnxTensor(name, dtype, shape, partial(_from_raw, raw, dtype, shape, self._source))
        return OnnxTensor(name, dtype, shape, partial(self._from_typed, typed, dtype, shape, name))

    def _external(self, where: Field) -> dict[str, str] | None:
        """Where a tensor lies in another file; None where it lies in this one."""
        found: dict[str, str] = {}
        is_external = False
        for each in fields(self._view, where.start, where.end):
            if each.number == 13 and each.wire == BYTES:
                key, text = self._entry(each)
                found[key] = text
            elif each.number == 14 and each.wire == VARINT:
                is_external = self._int(each) == 1
        return found if is_external else None

    def _outside(self, name: str, stated: Mapping[str, str]) -> memoryview:
        view = self._beside(stated.get("location", ""), name)
        try:
            offset = int(stated.get("offset", "0"))
            length = int(stated.get("length", str(len(view) - offset)))
        except ValueError:
            raise Malformed(f"the place of tensor {name} is no number") from None
        if offset < 0 or length < 0 or offset + length > len(view):
            raise ModelError(
                f"{self._source} has tensor {name} at bytes {offset} to {offset + length} of"
                f" {stated.get('location')}, which has {len(view)}: the two do not belong together, or it is truncated."
                " Copy both files again."
            )
        return view[offset : offset + length]

    def _from_typed(self, parts: list[Field], dtype: DType, shape: tuple[int, ...], name: str) -> Array:
        """The value of a tensor that is written number by number."""
        count = prod(shape)
        if dtype.number == _STRING:
            texts = [bytes(self._view[each.start : each.end]) for each in parts if each.number == 6]
            if len(texts) != count:
                raise self._wrong_count(name, len(texts), shape)
            return string_array(texts, shape)
        kind = _numbers(dtype, self._source)
        found: list[int] | list[float] = []
        for each in parts:
            if each.number in (5, 7, 11):
                found = [*found, *self._packed_ints(each)]
            elif each.number in (4, 10):
                code = "<f4" if each.number == 4 else "<f8"
                found = [*found, *np.frombuffer(self._view[each.start : each.end], code).tolist()]
        if dtype.number in (_INT4, _UINT4):
            packed = np.array(found, np.int64).astype(np.uint8).tobytes()
            return _halves(memoryview(packed), dtype, shape)
        if len(found) != count:
            raise self._wrong_count(name, len(found), shape)
        if dtype.number in (_HALF, _BFLOAT16):  # the bits, as whole numbers
            return sealed(np.array(found, np.int64).astype("<u2").view(kind).reshape(shape))
        return sealed(
            np.array(found, np.float64 if kind.kind == "f" else np.int64).astype(kind).reshape(shape)
        )

    def _wrong_count(self, name: str, count: int, shape: tuple[int, ...]) -> ModelError:
        return ModelError(
            f"Tensor {name} of {self._source} has {count} values, but the shape {list(shape)}; the file is damaged,"
            " write or copy it again."
        )

    def _entry(self, where: Field) -> tuple[str, str]:
        found = {1: "", 2: ""}
        for each in fields(self._view, where.start, where.end):
            if each.number in found and each.wire == BYTES:
                found[each.number] = self._text(each)
        return found[1], found[2]

    def _text(self, where: Field) -> str:
        return bytes(self._view[where.start : where.end]).decode("utf-8")

    def _int(self, where: Field) -> int:
        return _signed(varint(self._view, where.start, where.end)[0])

    def _packed_ints(self, where: Field) -> list[int]:
        if where.wire == VARINT:
            return [self._int(where)]
        if where.wire != BYTES:
            raise Malformed(f"the number at byte {where.begin} is none")
        found, position = [], where.start
        while position < where.end:
            number, position = varint(self._view, position, where.end)
            found.append(_signed(number))
        return found

    def _packed_floats(self, where: Field) -> list[float]:
        data = self._view[where.start : where.end]
        if where.wire not in (BYTES, FIXED32) or len(data) % 4:
            raise Malformed(f"the numbers at byte {where.begin} are none")
        return [float(each) for each in np.frombuffer(data, "<f4")]


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


def _require_bytes(raw: memoryview, dtype: DType, shape: tuple[int, ...], name: str, source: str) -> None:
    kind = numpy_dtype(dtype)
    if kind is None or dtype.number == _STRING:
        return
    count = prod(shape)
    needed = (count + 1) // 2 if dtype.number in (_INT4, _UINT4) else count * kind.itemsize
    if len(raw) != needed:
        raise ModelError(
            f"Tensor {name} of {source}, {dtype_name(dtype)} of shape {list(shape)}, needs {needed} bytes and has"
            f" {len(raw)}; the file is damaged, write or copy it again."
        )


def _numbers(dtype: DType, source: str) -> np.dtype[np.generic]:
    kind = numpy_dtype(dtype)
    if kind is None or dtype.number == _STRING:
        raise ModelError(f"{source} holds a constant of a type that has no numbers.")
    return kind


def _from_raw(raw: memoryview, dtype: DType, shape: tuple[int, ...], source: str) -> Array:
    if dtype.number in (_INT4, _UINT4):
        return _halves(raw, dtype, shape)
    return sealed(np.frombuffer(raw, _numbers(dtype, source)).reshape(shape))


def _halves(raw: memoryview, dtype: DType, shape: tuple[int, ...]) -> Array:
    """Numbers of four bits, two a byte, the lower half first."""
    pairs = np.frombuffer(raw, np.int8 if dtype.number == _INT4 else np.uint8)
    low = np.left_shift(pairs, 4) >> 4
    both = np.stack([low, pairs >> 4], axis=-1).reshape(-1)
    return sealed(both[: prod(shape)].reshape(shape))
