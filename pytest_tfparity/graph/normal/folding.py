"""Constants that are computed of constants, where every TensorFlow on every machine computes the same bits.

Values are moved, compared and counted; integers stay in their range; sums, differences, products and quotients of
float32 and float64 are rounded correctly, as IEEE 754 has it. No further: square roots were Newton's steps in
TensorFlow 1.15 and are in builds for AVX-512, as are ``Rsqrt`` and ``Reciprocal`` everywhere (``psqrt``, ``prsqrt``,
``preciprocal`` in Eigen's ``arch/*/MathFunctions.h``); the order in which floats are summed up is a kernel's own.
Subnormal numbers, which threads flush to zero or not, decide nothing, nor does NaN, whose bits are a processor's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..graph import Array, Attr, DType, Tensor
from ..read.tensors import numpy_dtype
from ..scalars import SCALAR_TYPES
from ..signatures import types_of
from .attributes import attribute
from .form import whole

_MOST = 64 << 20
"""Bytes that all constants computed in one graph may take: it must not need much more memory than its file."""
_MOST_INTEGERS = 1 << 16
"""Elements up to which integers are computed, in Python's own, which cannot leave their range unseen."""
_HIGHEST_RANK = 5
"""Dimensions that every kernel here takes."""

Kernel: TypeAlias = "Callable[[Call], Sequence[Array] | Array | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An op on constants. ``room`` is how many bytes its result may take."""

    op: str
    attrs: Mapping[str, Attr]
    tensors: Sequence[Tensor]
    room: int

    @property
    def arrays(self) -> list[Array]:
        """The values of the arguments."""
        return [tensor.array for tensor in self.tensors]

    def __getitem__(self, name: str) -> Any:
        """An attribute as it takes effect."""
        return attribute(self.op, self.attrs, name)

    def fits(self, *shape: int) -> bool:
        """Whether a result of this shape may be made: a small file can ask for a very large one."""
        kind = numpy_dtype(self.tensors[0].dtype)
        size = 8 if kind is None else max(kind.itemsize, 1)
        return min(shape, default=0) >= 0 and prod(shape) * size <= self.room

    def integers(self, position: int) -> list[int] | None:
        """Argument ``position``, a vector, as integers; None if it is something else."""
        tensor = self.tensors[position]
        if len(tensor.shape) != 1 or tensor.dtype.number not in _INDICES:
            return None
        return [int(each) for each in tensor.array]

    def integer(self, position: int) -> int | None:
        """Argument ``position``, a scalar, as an integer; None if it is something else."""
        tensor = self.tensors[position]
        known = tensor.shape == () and tensor.dtype.number in _INDICES
        return int(tensor.array[()]) if known else None

    def axis(self, position: int, rank: int) -> int | None:
        """Argument ``position`` as a dimension of ``rank``, counted from 0."""
        found = self.integer(position)
        return None if found is None else _axis(found, rank)


class Folding:
    """Computes the constants of one graph, as long as there is room for them."""

    def __init__(self) -> None:
        self._room = _MOST

    def __call__(self, op: str, attrs: Mapping[str, Attr], inputs: Sequence[Tensor]) -> list[Tensor] | None:
        """The outputs of an op of the normal form on constants; None where they are not known, or are too large."""
        types = types_of(op, attrs) if op in _KERNELS and inputs else None
        if types is None or not _are_taken(inputs, types[0]):
            return None
        found = _KERNELS[op](Call(op=op, attrs=attrs, tensors=inputs, room=self._room))
        if found is None:
            return None
        arrays = [found] if isinstance(found, np.ndarray) else list(found)
        kinds = [numpy_dtype(DType(number)) for number in types[1]]
        if [each.dtype for each in arrays] != kinds:
            return None
        self._room -= sum(each.nbytes for each in arrays if each.base is None)
        return [
            Tensor(DType(number), each.shape, _held(each))
            for number, each in zip(types[1], arrays, strict=True)
        ]


def _are_taken(inputs: Sequence[Tensor], types: Sequence[int]) -> bool:
    """Whether ``inputs`` are of these types, and of few enough dimensions."""
    return [each.dtype.number for each in inputs] == [*types] and all(
        len(each.shape) <= _HIGHEST_RANK for each in inputs
    )


def _held(array: Array) -> Callable[[], Array]:
    return lambda: array


_INDICES = frozenset({3, 9})


def _axis(axis: int, rank: int) -> int | None:
    return axis % rank if -rank <= axis < rank else None


# --- moves


def _reshape(call: Call) -> Array | None:
    shape, (array, _) = call.integers(1), call.arrays
    if shape is None or shape.count(-1) > 1 or min(shape, default=0) < -1:
        return None
    known = prod(size for size in shape if size != -1)
    if -1 in shape:
        if not known or array.size % known:
            return None
        shape[shape.index(-1)] = array.size // known
    return array.reshape(shape) if prod(shape) == array.size else None


def _transpose(call: Call) -> Array | None:
    order, array = call.integers(1), call.arrays[0]
    return array.transpose(order) if order is not None and sorted(order) == list(range(array.ndim)) else None


def _expand(call: Call) -> Array | None:
    array = call.arrays[0]
    axis = call.axis(1, array.ndim + 1)
    return None if axis is None else np.expand_dims(array, axis)


def _squeeze(call: Call) -> Array | None:
    array = call.arrays[0]
    axes = [_axis(axis, array.ndim) for axis in call["squeeze_dims"]]
    if not axes:
        return array.reshape([size for size in array.shape if size != 1])
    if any(axis is None or array.shape[axis] != 1 for axis in axes):
        return None
    return array.reshape([size for axis, size in enumerate(array.shape) if axis not in axes])


def _concat(call: Call) -> Array | None:
    joined = whole(call.tensors)
    return joined.array if joined is not None and call.fits(*joined.shape) else None


def _pack(call: Call) -> Array | None:
    arrays = call.arrays
    axis = _axis(call["axis"], arrays[0].ndim + 1)
    if axis is None or any(each.shape != arrays[0].shape for each in arrays):
        return None
    return np.stack(arrays, axis) if call.fits(len(arrays), *arrays[0].shape) else None


def _unpack(call: Call) -> list[Array] | None:
    (array,) = call.arrays
    axis = _axis(call["axis"], array.ndim)
    if axis is None or array.shape[axis] != call["num"]:
        return None
    return list(np.moveaxis(array, axis, 0))


def _split(call: Call) -> list[Array] | None:
    axis, count, array = call.axis(0, len(call.tensors[1].shape)), call["num_split"], call.arrays[1]
    if axis is None or array.shape[axis] % count:
        return None
    return np.split(array, count, axis)


def _slice(call: Call) -> Array | None:
    array, begins, sizes = call.arrays[0], call.integers(1), call.integers(2)
    if begins is None or sizes is None or not len(begins) == len(sizes) == array.ndim:
        return None
    ends = [
        length if size == -1 else begin + size
        for begin, size, length in zip(begins, sizes, array.shape, strict=True)
    ]
    ranges = list(zip(begins, ends, array.shape, strict=True))
    if any(not 0 <= begin <= end <= length for begin, end, length in ranges):
        return None
    return np.asarray(array[tuple(slice(begin, end) for begin, end, _ in ranges)])


_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def _strided_slice(call: Call) -> Array | None:
    vectors = [found for position in (1, 2, 3) if (found := call.integers(position)) is not None]
    if len(vectors) != 3 or len(set(map(len, vectors))) != 1:
        return None
    index: list[Any] = []
    for place, bounds in enumerate(zip(*vectors, strict=True)):
        part = _part(*bounds, *(bool(call[mask] >> place & 1) for mask in _MASKS))
        if part is None:
            return None
        index += part
    return _indexed(call.arrays[0], index)


def _part(
    begin: int, end: int, stride: int, no_begin: bool, no_end: bool, ellipsis: bool, new: bool, shrink: bool
) -> list[Any] | None:
    """What numpy takes for one place of a strided slice, as a list of it; None for what is refused or doubtful."""
    if stride == 0 or ellipsis + new + shrink > 1 or (shrink and (no_begin or stride < 0)):
        return None
    if ellipsis or new:
        return [... if ellipsis else None]
    return [begin if shrink else slice(None if no_begin else begin, None if no_end else end, stride)]


def _indexed(array: Array, index: list[Any]) -> Array | None:
    used = sum(each is not None and each is not ... for each in index)
    if index.count(...) > 1 or used > array.ndim:
        return None
    places = [*index, *([] if ... in index else [...])]
    at = places.index(...)
    left = [each for each in places[:at] if each is not None]
    right = [each for each in places[at + 1 :] if each is not None]
    sizes = (*array.shape[: len(left)], *array.shape[array.ndim - len(right) :])
    for each, size in zip([*left, *right], sizes, strict=True):
        if isinstance(each, int) and not -size <= each < size:
            return None
    return np.asarray(array[tuple(places)])


def _gather(call: Call) -> Array | None:
    array: Any = call.arrays[0]
    indices: Any = call.arrays[1]
    axis = call.axis(2, array.ndim)
    if axis is None or call["batch_dims"] or not _fit_in(indices, array.shape[axis]):
        return None
    shape = (*array.shape[:axis], *indices.shape, *array.shape[axis + 1 :])
    return np.asarray(np.take(array, indices, axis)) if call.fits(*shape) else None


def _fit_in(indices: Array, size: int) -> bool:
    numbers: Any = indices
    return not indices.size or bool(numbers.min() >= 0 and numbers.max() < size)


def _tile(call: Call) -> Array | None:
    array, counts = call.arrays[0], call.integers(1)
    if counts is None or len(counts) != array.ndim or min(counts, default=0) < 0:
        return None
    shape = [size * count for size, count in zip(array.shape, counts, strict=True)]
    return np.tile(array, counts) if call.fits(*shape) else None


def _fill(call: Call) -> Array | None:
    shape, value = call.integers(0), call.arrays[1]
    if shape is None or len(call.tensors[0].shape) != 1 or value.shape != () or min(shape, default=0) < 0:
        return None
    return np.full(shape, value, value.dtype) if prod(shape) * 8 <= call.room else None


def _broadcast(call: Call) -> Array | None:
    array, shape = call.arrays[0], call.integers(1)
    if shape is None or min(shape, default=0) < 0 or not call.fits(*shape):
        return None
    return np.broadcast_to(array, shape) if _common([array.shape, tuple(shape)]) == tuple(shape) else None


def _reverse(call: Call) -> Array | None:
    array, axes = call.arrays[0], call.integers(1)
    found = [_axis(axis, array.ndim) for axis in axes or ()]
    if axes is None or None in found or len(set(found)) != len(found):
        return None
    return np.asarray(np.flip(array, tuple(axis for axis in found if axis is not None)))


def _pad(call: Call) -> Array | None:
    array, widths = call.arrays[0], call.arrays[1]
    if widths.shape != (array.ndim, 2) or not _fit_in(widths, call.room) or array.dtype == object:
        return None
    pairs = [(int(before), int(after)) for before, after in widths]
    value = call.arrays[2] if call.op == "PadV2" else np.zeros((), array.dtype)
    shape = [before + size + after for size, (before, after) in zip(array.shape, pairs, strict=True)]
    if value.shape != () or not call.fits(*shape):
        return None
    return array if not pairs else np.pad(array, pairs, constant_values=value[()])


def _select(call: Call) -> Array | None:
    condition, one, other = call.arrays
    if call.op == "Select" and not (condition.shape in ((), one.shape) and one.shape == other.shape):
        return None
    shape = _common([condition.shape, one.shape, other.shape])
    if shape is None or not prod(shape) * max(one.itemsize, 1) <= call.room:
        return None
    return np.where(condition, one, other)


def _common(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape that shapes are broadcast to; None if they do not fit."""
    rank = max(map(len, shapes))
    longest = [(*((1,) * (rank - len(shape))), *shape) for shape in shapes]
    found = []
    for sizes in zip(*longest, strict=True):
        others = set(sizes) - {1}
        if len(others) > 1:
            return None
        found.append(others.pop() if others else 1)
    return tuple(found)


# --- counts


def _shape_of(call: Call) -> list[Array] | None:
    kind = numpy_dtype(call["out_type"])
    sizes: list[Any] = [tensor.shape for tensor in call.tensors]
    if call.op == "Size":
        sizes = [prod(tensor.shape) for tensor in call.tensors]
    return [np.array(each, kind) for each in sizes]


def _rank(call: Call) -> Array:
    return np.array(len(call.tensors[0].shape), np.int32)


def _like(value: int) -> Kernel:
    def kernel(call: Call) -> Array | None:
        (tensor,) = call.tensors
        kind = numpy_dtype(tensor.dtype)
        return None if kind is None or kind.hasobject else np.full(tensor.shape, value, kind)

    return kernel


def _range(call: Call) -> Array | None:
    found = [call.integer(position) for position in range(3)]
    if None in found:
        return None
    start, limit, step = (each for each in found if each is not None)
    if step == 0 or (limit - start) * step < 0:
        return None
    numbers = range(start, limit, step)
    return np.array(numbers, call.arrays[0].dtype) if call.fits(len(numbers)) else None


# --- arithmetic


def _elementwise(function: Callable[..., Any], arguments: int, kinds: str, to_bool: bool = False) -> Kernel:
    """``function`` of numpy on each element, for dtypes of ``kinds`` (numpy's letters)."""

    def kernel(call: Call) -> Array | None:
        arrays = call.arrays
        shape = _common([each.shape for each in arrays])
        if len(arrays) != arguments or shape is None or prod(shape) * 8 > call.room:
            return None
        if not all(each.dtype.kind in kinds and _KIND.get(each.dtype) for each in arrays):
            return None
        if arrays[0].dtype.kind == "f":
            return _of_floats(function, arrays)
        if to_bool or arrays[0].dtype == bool:
            return np.asarray(function(*arrays))
        return _of_integers(function, arrays)

    return kernel


_KIND = {np.dtype(kind): True for kind in SCALAR_TYPES.values()}


def _of_floats(function: Callable[..., Any], arrays: Sequence[Array]) -> Array | None:
    if not all(map(_is_plain, arrays)):
        return None
    with np.errstate(all="ignore"):
        result = np.asarray(function(*arrays))
    return result if result.dtype == bool or _is_plain(result) else None


def _is_plain(array: Array) -> bool:
    """Whether no number is NaN or subnormal; the smallest that is not may be rounded up to, and flushed before."""
    numbers: Any = array
    size = np.abs(numbers)
    return not bool(np.any((size <= np.finfo(numbers.dtype).tiny) & (size != 0)) or np.any(np.isnan(numbers)))


def _of_integers(function: Callable[..., Any], arrays: Sequence[Array]) -> Array | None:
    shape = _common([each.shape for each in arrays])
    if shape is None or prod(shape) > _MOST_INTEGERS:
        return None
    return _in_range(np.asarray(function(*(each.astype(object) for each in arrays))), arrays[0].dtype)


def _in_range(numbers: Array, kind: Any) -> Array | None:
    limits, found = np.iinfo(kind), [int(each) for each in numbers.reshape(-1).tolist()]
    if found and not limits.min <= min(found) <= max(found) <= limits.max:
        return None
    return np.array(found, kind).reshape(numbers.shape)


def _division(function: Callable[..., Any], kinds: str) -> Kernel:
    divide = _elementwise(function, 2, kinds)

    def kernel(call: Call) -> Any:
        return None if kinds != "f" and not call.arrays[1].all() else divide(call)

    return kernel


def _negative(call: Call) -> Any:
    # Older builds take the number from zero, and 0 - 0 is +0.
    is_zero = call.arrays[0].dtype.kind == "f" and not call.arrays[0].all()
    return None if is_zero else _elementwise(np.negative, 1, "if")(call)


def _squared_difference(one: Any, other: Any) -> Any:
    return np.square(one - other)


def _cast(call: Call) -> Array | None:
    array, kind = call.arrays[0], numpy_dtype(call["DstT"])
    if kind is None or not (_KIND.get(array.dtype) and _KIND.get(kind)) or call["Truncate"]:
        return None
    if array.dtype.kind == "u" and array.itemsize > 2:
        return None
    if array.dtype.kind == "f" and not _is_plain(array):
        return None
    if kind.kind in "iu" and array.dtype.kind != "b":
        return _to_integers(array, kind)
    with np.errstate(all="ignore"):
        result = array.astype(kind)
    if kind.kind == "f" and array.dtype.kind == "f":
        source: Any = array
        numbers: Any = result
        lost = np.isinf(numbers) & ~np.isinf(source)
        return result if _is_plain(result) and not lost.any() else None
    return result


def _to_integers(array: Array, kind: Any) -> Array | None:
    numbers: Any = array
    if array.dtype.kind == "f":
        limits = np.iinfo(kind)
        if not np.all(np.isfinite(numbers)):
            return None
        numbers = np.trunc(numbers)
        # The limits as floats are powers of two, the upper one rounded up to one.
        if array.size and not (numbers.min() >= float(limits.min) and numbers.max() < float(limits.max)):
            return None
        return np.asarray(numbers.astype(kind))
    return _in_range(numbers, kind) if array.size <= _MOST_INTEGERS else None


def _reduction(function: Callable[..., Any]) -> Kernel:
    """A sum, product or extreme of integers, over the axes that are argument 1."""

    def kernel(call: Call) -> Array | None:
        array, single = call.arrays[0], call.integer(1)
        axes = call.integers(1) if single is None else [single]
        found = [_axis(axis, array.ndim) for axis in axes or ()]
        if axes is None or None in found or len(set(found)) != len(found) or array.size > _MOST_INTEGERS:
            return None
        over, keep = tuple(axis for axis in found if axis is not None), call["keep_dims"]
        if array.dtype == bool:
            return np.asarray(function(array, axis=over, keepdims=keep))
        if array.dtype.kind not in "iu" or not array.size:
            return None
        return _in_range(np.asarray(function(array.astype(object), axis=over, keepdims=keep)), array.dtype)

    return kernel


_NUMBERS = "iuf"
_KERNELS: Mapping[str, Kernel] = {
    "Reshape": _reshape,
    "Transpose": _transpose,
    "ExpandDims": _expand,
    "Squeeze": _squeeze,
    "ConcatV2": _concat,
    "Pack": _pack,
    "Unpack": _unpack,
    "Split": _split,
    "Slice": _slice,
    "StridedSlice": _strided_slice,
    "GatherV2": _gather,
    "Tile": _tile,
    "Fill": _fill,
    "BroadcastTo": _broadcast,
    "ReverseV2": _reverse,
    "Pad": _pad,
    "PadV2": _pad,
    "Select": _select,
    "SelectV2": _select,
    "Shape": _shape_of,
    "ShapeN": _shape_of,
    "Size": _shape_of,
    "Rank": _rank,
    "ZerosLike": _like(0),
    "OnesLike": _like(1),
    "Range": _range,
    "Cast": _cast,
    "AddV2": _elementwise(np.add, 2, _NUMBERS),
    "Sub": _elementwise(np.subtract, 2, _NUMBERS),
    "Mul": _elementwise(np.multiply, 2, _NUMBERS),
    "Square": _elementwise(np.square, 1, _NUMBERS),
    "SquaredDifference": _elementwise(_squared_difference, 2, "f"),
    "RealDiv": _division(np.divide, "f"),
    "FloorDiv": _division(np.floor_divide, "iu"),
    "FloorMod": _division(np.mod, "iu"),
    "Neg": _negative,
    "Abs": _elementwise(np.abs, 1, "if"),
    "Maximum": _elementwise(np.maximum, 2, "iu"),
    "Minimum": _elementwise(np.minimum, 2, "iu"),
    "Less": _elementwise(np.less, 2, _NUMBERS, to_bool=True),
    "LessEqual": _elementwise(np.less_equal, 2, _NUMBERS, to_bool=True),
    "Greater": _elementwise(np.greater, 2, _NUMBERS, to_bool=True),
    "GreaterEqual": _elementwise(np.greater_equal, 2, _NUMBERS, to_bool=True),
    "Equal": _elementwise(np.equal, 2, "biuf", to_bool=True),
    "NotEqual": _elementwise(np.not_equal, 2, "biuf", to_bool=True),
    "LogicalAnd": _elementwise(np.logical_and, 2, "b", to_bool=True),
    "LogicalOr": _elementwise(np.logical_or, 2, "b", to_bool=True),
    "LogicalNot": _elementwise(np.logical_not, 1, "b", to_bool=True),
    "Sum": _reduction(np.sum),
    "Prod": _reduction(np.prod),
    "Max": _reduction(np.max),
    "Min": _reduction(np.min),
    "All": _reduction(np.all),
    "Any": _reduction(np.any),
}
"""Ops as they are spelt in the normal form, and how they are computed."""
