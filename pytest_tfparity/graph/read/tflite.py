"""A TFLite file as plain data: subgraphs of tensors and operators, constants, quantisation, signatures.

Fields by their numbers in TensorFlow's schema
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from ...errors import ModelError
from ..graph import Array
from .flatbuffer import Malformed, Table
from .mapped import foreign_format, mapped

MAGIC = b"TFL3"
CUSTOM = 32
"""The code of an operator that the file names itself: a custom op, or one of TensorFlow (``Flex...``)."""
_PLACEHOLDER = 127
_NO_BUFFER = 0
_BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64, 15: 32, 16: 16, 17: 4, 18: 16,
    19: 2, 20: 4,
}  # fmt: skip
"""Of an element, by ``TensorType``; strings, resources and variants have none."""
_LARGE = 1
"""An offset of a buffer from which on its data lie behind the tables, in a file of more than 2 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """What the integers of a tensor mean: ``scale * (integer - zero_point)``.

    ``scale``: float32, shape [1], or one for each place along ``axis``; ``zero_point``: int64, the same shape.
    """

    scale: Array
    zero_point: Array
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TFLiteTensor:
    """A tensor of a subgraph. ``shape`` has -1 where the size is open; ``type`` is a number of ``TensorType``.

    ``contents`` are the bytes of a constant, else None. ``fixed`` is the shape before it is resized.
    """

    name: str
    type: int
    shape: tuple[int, ...]
    fixed: tuple[int, ...]
    contents: memoryview | None
    quantisation: Quantisation | None
    variable: bool
    sparse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An operator: its code (``BuiltinOperator``), indices of tensors (-1: left out) and its options.

    ``custom`` is the name of a custom op. ``options`` is the table of its builtin options.
    """

    code: int
    custom: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """Tensors by index, operators in the order of execution, indices of the inputs and outputs."""

    name: str
    tensors: tuple[TFLiteTensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TFLiteSignature:
    """A signature: names of inputs and outputs to indices of tensors of ``subgraph``."""

    name: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TFLiteModel:
    """A whole file. ``signatures`` is empty in files of old converters."""

    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[TFLiteSignature, ...]


def is_tflite(view: memoryview) -> bool:
    """Whether these bytes say that they are a TFLite file."""
    return bytes(view[4:8]) == MAGIC


def read_tflite(path: Path) -> TFLiteModel:
    """The file as plain data; constants stay in the file. Raises ModelError."""
    view = mapped(path, "TFLite model")
    if not is_tflite(view):
        kind = foreign_format(view)
        raise ModelError(
            f"{path} is no TFLite model: bytes 4 to 8 are not TFL3{f'; it is {kind}' if kind else ''}. Name the file"
            " that the converter wrote."
        )
    try:
        return _model(Table.root(view), view)
    except Malformed as error:
        raise ModelError(
            f"{path} is not a whole TFLite model: {error}. Copy it again, or convert it again."
        ) from None


def _model(root: Table, view: memoryview) -> TFLiteModel:
    codes = [_code(each) for each in root.tables(1)]
    buffers = [_contents(each, view) for each in root.tables(4)]
    subgraphs = tuple(_subgraph(each, codes, buffers) for each in root.tables(2))
    if not subgraphs:
        raise Malformed("it holds no graph")
    return TFLiteModel(
        subgraphs=subgraphs, signatures=tuple(_signature(each, subgraphs) for each in root.tables(7))
    )


def _code(table: Table) -> tuple[int, str, int]:
    """An operator's code, which files of old converters have as a byte, its own name and its version."""
    old, new = int(table.scalar(0, "b")), int(table.scalar(3, "i"))
    code = max(old, new) if old != _PLACEHOLDER else new
    return code, table.text(1) if code == CUSTOM else "", int(table.scalar(2, "i", 1))


def _contents(table: Table, view: memoryview) -> memoryview:
    offset, size = int(table.scalar(1, "Q")), int(table.scalar(2, "Q"))
    if offset <= _LARGE:
        return table.bytes(0)
    table.source.require(offset, size)
    return view[offset : offset + size]


def _subgraph(table: Table, codes: list[tuple[int, str, int]], buffers: list[memoryview]) -> Subgraph:
    tensors = tuple(_tensor(each, buffers) for each in table.tables(0))
    operators = tuple(_operator(each, codes, len(tensors)) for each in table.tables(3))
    return Subgraph(
        name=table.text(4),
        tensors=tensors,
        operators=operators,
        inputs=_indices(table.array(1, "<i4"), len(tensors), least=0),
        outputs=_indices(table.array(2, "<i4"), len(tensors), least=0),
    )


def _tensor(table: Table, buffers: list[memoryview]) -> TFLiteTensor:
    fixed = tuple(int(size) for size in table.array(0, "<i4"))
    signature = tuple(int(size) for size in table.array(7, "<i4"))
    buffer = int(table.scalar(2, "I"))
    if buffer >= max(len(buffers), 1):
        raise Malformed(f"tensor {table.text(3)} lies in buffer {buffer} of {len(buffers)}")
    contents = buffers[buffer] if buffer != _NO_BUFFER else memoryview(b"")
    name, variable = table.text(3), bool(table.scalar(5, "?", False))
    given = len(contents) > 0 or (buffer != _NO_BUFFER and 0 in fixed)
    kind, sparse = int(table.scalar(1, "b")), table.place(6) is not None
    if given and not variable and not sparse:
        _require_size(name, kind, fixed, len(contents))
    return TFLiteTensor(
        name=name,
        type=kind,
        shape=signature if len(signature) == len(fixed) else fixed,
        fixed=fixed,
        contents=contents if given and not variable else None,
        quantisation=_quantisation(table.table(4), fixed, name),
        variable=variable,
        sparse=sparse,
    )


def _require_size(name: str, kind: int, shape: tuple[int, ...], size: int) -> None:
    """Raise Malformed unless a constant has as many bytes as its shape needs."""
    bits = _BITS.get(kind)
    if bits is not None and (min(shape, default=0) < 0 or size != -(-prod(shape) * bits // 8)):
        raise Malformed(f"tensor {name} of shape {list(shape)} has {size} bytes")


def _quantisation(table: Table | None, shape: tuple[int, ...], name: str) -> Quantisation | None:
    """The parameters of a tensor; None where the table holds none, as for floats."""
    if table is None:
        return None
    scale, zero_point = table.array(2, "<f4"), table.array(3, "<i8")
    if not scale.size:
        return None
    axis = int(table.scalar(6, "i"))
    if not zero_point.size:
        zero_point = np.zeros(scale.size, np.int64)
    several = scale.size > 1 and not (0 <= axis < len(shape) and shape[axis] == scale.size)
    if several or zero_point.size not in (1, scale.size):
        raise Malformed(
            f"tensor {name} of shape {list(shape)} has {scale.size} scales and {zero_point.size} zero points"
            f" along axis {axis}"
        )
    return Quantisation(scale=scale, zero_point=np.broadcast_to(zero_point, scale.shape), axis=axis)


def _operator(table: Table, codes: list[tuple[int, str, int]], tensors: int) -> Operator:
    index = int(table.scalar(0, "I"))
    if index >= len(codes):
        raise Malformed(f"an operator has code {index} of {len(codes)}")
    code, custom, version = codes[index]
    return Operator(
        code=code,
        custom=custom,
        version=version,
        inputs=_indices(table.array(1, "<i4"), tensors),
        outputs=_indices(table.array(2, "<i4"), tensors),
        options=table.table(4) if table.scalar(3, "B") else None,
    )


def _indices(found: Array, count: int, least: int = -1) -> tuple[int, ...]:
    if found.size and not (least <= int(found.min()) and int(found.max()) < count):
        raise Malformed(f"tensor {int(found.max())} is named where there are {count}")
    return tuple(int(index) for index in found)


def _signature(table: Table, subgraphs: tuple[Subgraph, ...]) -> TFLiteSignature:
    index = int(table.scalar(4, "I"))
    if index >= len(subgraphs):
        raise Malformed(f"a signature is of graph {index} of {len(subgraphs)}")
    count = len(subgraphs[index].tensors)
    return TFLiteSignature(
        name=table.text(2),
        subgraph=index,
        inputs=_named(table.tables(0), count),
        outputs=_named(table.tables(1), count),
    )


def _named(tables: list[Table], count: int) -> Mapping[str, int]:
    found = {table.text(0): int(table.scalar(1, "I")) for table in tables}
    if any(index >= count for index in found.values()):
        raise Malformed(f"a signature names tensor {max(found.values())} of {count}")
    return found
