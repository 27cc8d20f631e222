"""TensorProto and the data types of TensorFlow as numpy arrays.

numpy has no bfloat16, float8, float4, int4 and int2: those are arrays of their bits (uint16 for
bfloat16, one uint8 or int8 an element for the others); ``Tensor.dtype`` says what they are.
Quantised types are the integers that they store. Formats: ``types.proto``, ``tensor.proto`` and
``Tensor::FromProto`` of tensorflow/core/framework.
"""

from __future__ import annotations

from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from ...errors import ModelError, UnreadableFile
from ..graph import Array, DType, Shape, Tensor
from . import messages
from .wire import BYTES, VARINT, Malformed, fields, varint

STRING = 7
BFLOAT16 = 14
_HALF = 19
_NUMPY = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 8: "<c8", 9: "<i8", 10: "?", 11: "i1", 12: "u1",
    13: "<i4", 14: "<u2", 15: "<i2", 16: "<u2", 17: "<u2", 18: "<c16", 19: "<f2", 22: "<u4", 23: "<u8",
    24: "u1", 25: "u1", 26: "u1", 27: "u1", 28: "u1", 29: "i1", 30: "u1", 31: "i1", 32: "u1", 33: "u1",
}  # fmt: skip
_DTYPES = {number: np.dtype(code) for number, code in _NUMPY.items()}
_VALUES = {
    1: "float_val", 2: "double_val", 8: "scomplex_val", 9: "int64_val", 10: "bool_val", 14: "half_val",
    18: "dcomplex_val", 19: "half_val", 22: "uint32_val", 23: "uint64_val",
    24: "float8_val", 25: "float8_val", 26: "float8_val", 27: "float8_val", 28: "float8_val",
}  # fmt: skip
_MOST_BYTES = 1 << 31
"""Bytes of a constant of which the last value is repeated: what a GraphDef that spelt it out could hold."""
_MOST_STRINGS = 1 << 24
"""The same for strings, each of them an object."""
_NAMES = {number: name for name, number in messages.data_types().items()}


def base_dtype(dtype: DType) -> DType:
    """``DT_FLOAT_REF`` as ``DT_FLOAT``: the type of the values that a reference refers to."""
    return DType(dtype.number - 100) if dtype.number > 100 else dtype


def is_type(dtype: DType) -> bool:
    """Whether an attribute may be this type: one that TensorFlow knows, and no reference."""
    return dtype == base_dtype(dtype) and dtype.number in _NAMES


def dtype_name(dtype: DType) -> str:
    """``DType(14)`` as ``"bfloat16"``, as TensorFlow spells it."""
    return _NAMES.get(dtype.number, f"DT_{dtype.number}")[3:].lower()


def numpy_dtype(dtype: DType) -> np.dtype[Any] | None:
    """The numpy type that holds values of ``dtype`` (little-endian); None for resources and variants.

    Strings are ``object`` (of ``bytes``); types that numpy lacks are their bits.
    """
    number = base_dtype(dtype).number
    return np.dtype(object) if number == STRING else _DTYPES.get(number)


def dtype_of(array: Array) -> DType:
    """The type of a numpy array: object arrays are strings. ``StopIteration`` for what TensorFlow lacks."""
    if array.dtype.kind in "OSU":
        return DType(STRING)
    plain = array.dtype.newbyteorder("<")
    return DType(next(number for number, known in _DTYPES.items() if known == plain))


def values(tensor: Tensor) -> Array:
    """What ``tensor`` holds, as numbers: bfloat16, of which numpy has the bits alone, as float32."""
    return numbers(tensor, tensor.array)


def numbers(tensor: Tensor, array: Array) -> Array:
    """``array``, a part of what ``tensor`` holds, as :func:`values` gives it."""
    if tensor.dtype.number == BFLOAT16:
        wide: Array = (array.astype(np.uint32) << 16).view(np.float32)
        return wide
    return array


def shape_of(proto: Any) -> Shape:
    """A ``TensorShapeProto`` as a shape."""
    if proto.unknown_rank:
        return Shape(None)
    return Shape(tuple([dim.size for dim in proto.dim]))


def _sizes(proto: Any) -> tuple[int, ...]:
    """The shape of a value, which is known even where it says that it is not (``TensorShape``, tensor_shape.cc)."""
    return tuple([dim.size for dim in proto.dim])


def small_tensor(data: bytes, source: str) -> Tensor:
    """A serialized TensorProto as a constant that is decoded when asked for."""
    plain = _plain(data)
    if plain is not None:
        dtype, shape, content = plain
        return Tensor(dtype, shape, partial(from_bytes, content, dtype, shape, source), data)
    proto = messages.TensorProto.FromString(data)
    shape = _sizes(proto.tensor_shape)
    return Tensor(DType(proto.dtype), shape, partial(_decode, data, source), data)


def _plain(data: bytes) -> tuple[DType, tuple[int, ...], bytes] | None:
    """Type, shape and content of a TensorProto as TensorFlow writes most: these, in this order, in lengths of one byte.

    None of one that is otherwise, or holds strings.
    """
    if len(data) < 7 or data[0] != 0x08 or data[2] != 0x12 or data[1] >= 100 or data[1] == STRING:
        return None
    shape_end = 4 + data[3]
    content = data[shape_end + 2 :]
    if (
        data[3] >= 0x80
        or not 0 < len(content) < 0x80
        or data[shape_end : shape_end + 2] != b'"%c' % len(content)
    ):
        return None
    return DType(data[1]), _dims(data[2:shape_end]), content


@lru_cache(maxsize=1024)
def _dims(data: bytes) -> tuple[int, ...]:
    """The dimensions that a serialized TensorProto with nothing but a shape has."""
    return _sizes(messages.TensorProto.FromString(data).tensor_shape)


def large_tensor(view: memoryview, start: int, end: int, source: str) -> Tensor:
    """The TensorProto in ``view[start:end]`` as a constant whose content stays a view of the file.

    Raises Malformed if that is no TensorProto.
    """
    number, content = 0, None
    dims: tuple[int, ...] = ()
    for field in fields(view, start, end):
        if field.number == 1 and field.wire == VARINT:
            number, _ = varint(view, field.start, field.end)
        elif field.number == 2 and field.wire == BYTES:
            rest = bytes(view[field.begin : field.end])
            dims = _sizes(messages.TensorProto.FromString(rest).tensor_shape)
        elif field.number == 4 and field.wire == BYTES:
            content = view[field.start : field.end]
    dtype = DType(number)
    if content is None or number == STRING:
        return Tensor(dtype, dims, partial(_decode, view[start:end], source))
    return Tensor(dtype, dims, partial(from_bytes, content, dtype, dims, source))


def from_bytes(content: memoryview | bytes, dtype: DType, shape: tuple[int, ...], source: str) -> Array:
    """The little-endian values in ``content`` as a read-only array of ``shape``, not copied.

    Raises ModelError if ``content`` has another size than ``shape`` needs, UnreadableFile for types
    that are no numbers.
    """
    kind = _known(dtype, shape, source)
    needed = prod(shape) * kind.itemsize
    if len(content) != needed:
        raise ModelError(
            f"A {dtype_name(dtype)} tensor of shape {list(shape)} in {source} needs {needed} bytes and has"
            f" {len(content)}; the file is damaged, write or copy it again."
        )
    array = np.frombuffer(content, kind) if needed else np.empty(0, kind)
    return sealed(array.reshape(shape))


def _known(dtype: DType, shape: tuple[int, ...], source: str) -> np.dtype[Any]:
    kind = _DTYPES.get(base_dtype(dtype).number)
    if kind is None:
        raise UnreadableFile(f"{source} holds a constant of type {dtype_name(dtype)}, which has no numbers.")
    if min(shape, default=0) < 0:
        raise ModelError(f"{source} holds a constant whose shape {list(shape)} is not known.")
    return kind


def sealed(array: Array) -> Array:
    """``array``, which nobody may write to any more: readers share it."""
    array.flags.writeable = False
    return array


def _decode(data: memoryview | bytes, source: str) -> Array:
    try:
        proto = messages.TensorProto.FromString(bytes(data))
    except DecodeError:
        raise ModelError(f"A constant in {source} is damaged; write or copy the file again.") from None
    dtype = base_dtype(DType(proto.dtype))
    shape = _sizes(proto.tensor_shape)
    if dtype.number == STRING:
        return _strings(proto, shape, source)
    if proto.tensor_content:
        return from_bytes(proto.tensor_content, dtype, shape, source)
    kind = _known(dtype, shape, source)
    field = _VALUES.get(dtype.number, "int_val")
    return _filled(_values(getattr(proto, field), field, kind), shape, kind, source)


def _values(values: Any, field: str, kind: np.dtype[Any]) -> Array:
    if field == "float8_val":
        return np.frombuffer(values, kind)
    if field == "half_val":
        # int32 fields of which the low 16 bits count.
        return (np.array(values, np.int64) & 0xFFFF).astype("<u2").view(kind)
    if field in ("scomplex_val", "dcomplex_val"):
        half = "<f4" if field == "scomplex_val" else "<f8"
        return np.array(values[: len(values) // 2 * 2], half).view(kind)
    if field == "int_val":
        return np.array(values, np.int64).astype(kind)
    return np.array(values, kind)


def _filled(values: Array, shape: tuple[int, ...], kind: np.dtype[Any], source: str) -> Array:
    """Values as ``Tensor::FromProto`` fills them in: the last one repeats, none at all means zero."""
    count = prod(shape)
    if len(values) == count:
        return sealed(values.reshape(shape))
    last = values[-1] if len(values) else np.zeros((), kind)[()]
    _require_room(count * kind.itemsize, _MOST_BYTES, shape, source)
    array = np.full(count, last, kind)
    kept = values[:count]
    array[: len(kept)] = kept
    return sealed(array.reshape(shape))


def _strings(proto: Any, shape: tuple[int, ...], source: str) -> Array:
    if min(shape, default=0) < 0:
        raise ModelError(f"{source} holds a constant whose shape {list(shape)} is not known.")
    count = prod(shape)
    if proto.tensor_content:
        try:
            values = packed_strings(proto.tensor_content, count, skipped=0)
        except Malformed:
            raise ModelError(f"A string constant in {source} is damaged; write the file again.") from None
    else:
        values = list(proto.string_val[:count])
        if len(values) < count:
            _require_room(count, _MOST_STRINGS, shape, source)
        values += [values[-1] if values else b""] * (count - len(values))
    return string_array(values, shape)


def _require_room(needed: int, most: int, shape: tuple[int, ...], source: str) -> None:
    """Raise ModelError before one value is repeated more often than any model needs it."""
    if needed > most:
        raise ModelError(
            f"A constant of shape {list(shape)} in {source} does not fit in memory: a value of it is to be repeated"
            " until the shape is full. The file is damaged; write or copy it again."
        )


def packed_strings(data: memoryview | bytes, count: int, *, skipped: int) -> list[bytes]:
    """``count`` strings stored as all lengths (varints), ``skipped`` bytes, then all contents.

    Raises Malformed if they do not fill ``data`` exactly.
    """
    lengths, position = [], 0
    if count > len(data):
        raise Malformed(f"{count} strings do not fit into {len(data)} bytes")
    for _ in range(count):
        length, position = varint(data, position, len(data))
        lengths.append(length)
    position += skipped
    values = []
    for length in lengths:
        values.append(bytes(data[position : position + length]))
        position += length
    if position != len(data):
        raise Malformed(f"the strings need {position} bytes and have {len(data)}")
    return values


def string_array(values: list[bytes], shape: tuple[int, ...]) -> Array:
    """Strings as a read-only object array of ``shape``."""
    array = np.empty(len(values), object)
    array[:] = values
    return sealed(array.reshape(shape))
