"""ONNX's operators on axes and shapes as TensorFlow ops: what is transposed, reduced, reshaped, joined and cut.

Semantics: https://github.com/onnx/onnx/blob/main/docs/Operators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import numpy as np

from ..graph import Array, DType, TensorName
from ..read.onnx import OnnxTensor
from ..read.tensors import dtype_of
from .builder import INT32
from .onnx_op import Dims, NotLifted, Op, Order, Value, channels_last

Lifting: TypeAlias = Callable[[Op], "list[Value | None]"]
_INT64 = DType(9)


def folded(of: Op, value: Array) -> list[Value | None]:
    """The result is a constant, of the name of the tensor in the file."""
    held = np.asarray(value)
    name = of.node.outputs[0]
    of.lifter.fold(name, OnnxTensor(name, dtype_of(held), held.shape, lambda: held))
    return []


def broadcast(shapes: list[Dims]) -> Dims:
    """The shape that arrays of ``shapes`` have together; None where one of them is not known."""
    if any(dims is None for dims in shapes):
        return None
    rank = max(len(dims or ()) for dims in shapes)
    padded = [(1,) * (rank - len(dims or ())) + tuple(dims or ()) for dims in shapes]
    return tuple(
        max(sizes) if -1 not in sizes or max(sizes) > 1 else -1 for sizes in zip(*padded, strict=True)
    )


def _transpose(of: Op) -> list[Value | None]:
    """Another order of axes costs no node until somebody asks for the file's own."""
    axes = of.ints("perm")
    axes = list(range(of.rank(0)))[::-1] if axes is None else axes
    constant = of.constant(0)
    if constant is not None:
        return folded(of, constant.load().transpose(axes))
    return [_turned(of, axes)]


def _turned(of: Op, axes: list[int]) -> Value:
    """Input 0 with its axes in another order."""
    source, dims, rank = of.value(0), of.dims(0), len(axes)
    held = source.order or tuple(range(rank))
    order = tuple(axes.index(axis) for axis in held)
    turned = tuple(dims[axis] for axis in axes) if dims is not None else None
    return Value(source.tensor, None if order == tuple(range(rank)) else order, turned)


def _reduction(op: str) -> Lifting:
    def lift(of: Op) -> list[Value | None]:
        source, rank, dims = of.value(0), of.rank(0), of.dims(0)
        keeps = bool(of.whole("keepdims", 1))
        stated = of.axes(1)
        if stated == [] or stated is None:
            if of.whole("noop_with_empty_axes", 0):
                return [source]
            stated = list(range(rank))
        axes = sorted(axis % rank for axis in stated)
        return [reduced(of, op, source, dims, axes, rank, keeps)]

    return lift


def reduced(of: Op, op: str, source: Value, dims: Dims, axes: list[int], rank: int, keeps: bool) -> Value:
    """``source`` reduced over the file's ``axes``."""
    held = source.order or tuple(range(rank))
    places = sorted(held.index(axis) for axis in axes)
    at = of.make.array(f"{of.name}/reduction_indices", np.asarray(places, np.int32))
    made = of.add(op, [source.tensor, at], keep_dims=keeps)
    if keeps:
        shape = None if dims is None else tuple(1 if axis in axes else size for axis, size in enumerate(dims))
        return Value(made, source.order, shape)
    return Value(made, _left(held, axes), _without(dims, axes))


def _squeeze(of: Op) -> list[Value | None]:
    rank, dims = of.rank(0), of.dims(0)
    stated = of.axes(1)
    axes = _ones(dims) if stated is None else sorted(axis % rank for axis in stated)
    constant = of.constant(0)
    if constant is not None:
        return folded(of, np.squeeze(constant.load(), tuple(axes)))
    source = of.value(0)
    pooled = _pooled(of, source, axes)
    if pooled is not None:
        return [Value(pooled, None, None if dims is None else dims[:2])]
    held = source.order or tuple(range(rank))
    made = of.add("Squeeze", [source.tensor], squeeze_dims=tuple(sorted(held.index(axis) for axis in axes)))
    return [Value(made, _left(held, axes), _without(dims, axes))]


def _ones(dims: Dims) -> list[int]:
    """The axes of one element, of a shape that is wholly known."""
    if dims is None or any(size < 0 for size in dims):
        raise NotLifted
    return [axis for axis, size in enumerate(dims) if size == 1]


def _left(held: tuple[int, ...], axes: list[int]) -> Order:
    """The order of the axes that are left of ``held`` where ``axes`` are gone."""
    left = [axis for axis in held if axis not in axes]
    order = tuple(sorted(left).index(axis) for axis in left)
    return None if order == tuple(range(len(order))) else order


def _without(dims: Dims, axes: list[int]) -> Dims:
    return None if dims is None else tuple(size for axis, size in enumerate(dims) if axis not in axes)


def _pooled(of: Op, source: Value, axes: list[int]) -> TensorName | None:
    """A mean over the whole image without its axes, as layers write it, where they are taken away again."""
    found = of.make.node(source.tensor.node)
    if found.op not in ("Mean", "Max") or not found.attrs.get("keep_dims") or source.dims is None:
        return None
    if axes != list(range(2, len(source.dims))) or source.order != channels_last(len(source.dims)):
        return None
    held = of.make.held(found.inputs[1])
    if held is None or held.array.tolist() != list(range(1, len(source.dims) - 1)):
        return None
    return of.make.add(found.op, found.name, found.inputs, keep_dims=False)


def _unsqueeze(of: Op) -> list[Value | None]:
    axes = of.axes(1)
    if axes is None:
        raise NotLifted
    rank = of.rank(0) + len(axes)
    places = sorted(axis % rank for axis in axes)
    constant = of.constant(0)
    if constant is not None:
        return folded(of, np.expand_dims(constant.load(), tuple(places)))
    dims, result = of.dims(0), of.plain(0)
    shape = None if dims is None else list(dims)
    for index, place in enumerate(places):
        at = of.make.array(f"{of.name}/dim", place)
        result = of.add("ExpandDims", [result, at], None if index == len(places) - 1 else "ExpandDims")
        if shape is not None:
            shape.insert(place, 1)
    return [Value(result, None, None if shape is None else tuple(shape))]


def _reshape(of: Op) -> list[Value | None]:
    dims = of.dims(0)
    if of.constant(1) is None and "shape" not in of.node.attrs:
        return [_reshaped_by_tensor(of, dims)]
    sizes = _without_zeros(of, of.ints("shape") or of.numbers(1), dims)
    constant = of.constant(0)
    if constant is not None and -1 not in sizes[1:]:
        return folded(of, constant.load().reshape(sizes))
    moved = _moved_ones(dims, sizes)
    if moved is not None:
        return [_turned(of, moved)]
    pooled = _without_image(of, dims) if len(sizes) == 2 else None
    if pooled is not None:
        return [pooled]
    to = of.make.array(f"{of.name}/shape", sizes)
    return [Value(of.add("Reshape", [of.plain(0), to]), None, _reshaped(dims, sizes))]


def _without_image(of: Op, dims: Dims) -> Value | None:
    """Input 0, an image of one element that is a mean over a larger one, without its axes; None for any other."""
    if dims is None or len(dims) < 3 or set(dims[2:]) != {1}:
        return None
    pooled = _pooled(of, of.value(0), list(range(2, len(dims))))
    return None if pooled is None else Value(pooled, None, dims[:2])


def _reshaped_by_tensor(of: Op, dims: Dims) -> Value:
    """To a shape that the file computes, of which all but one size may be known."""
    known = of.known(1)
    if known is not None and known.count(None) + known.count(-1) < 2:
        return _reshaped_by_sizes(of, dims, [-1 if size is None else size for size in known])
    shape = None if known is None else tuple(-1 if size is None else size for size in known)
    return Value(of.add("Reshape", [of.plain(0), of.plain(1)]), None, shape)


def _moved_ones(dims: Dims, sizes: list[int]) -> list[int] | None:
    """The order of axes that a reshape is which only moves axes of one element; None for any other."""
    if dims is None or len(dims) != len(sizes):
        return None
    whole = [axis for axis, size in enumerate(dims) if size != 1]
    if [dims[axis] for axis in whole] != [size for size in sizes if size != 1] or sizes.count(-1) > 1:
        return None
    ones = iter([axis for axis, size in enumerate(dims) if size == 1])
    others = iter(whole)
    return [next(ones) if size == 1 else next(others) for size in sizes]


def _reshaped_by_sizes(of: Op, dims: Dims, sizes: list[int]) -> Value:
    """A shape that is computed from sizes of which all but one are known: as layers write it, if that is the batch."""
    source = of.plain(0)
    rows = dims is not None and len(dims) > 0 and dims[0] < 0 and min((*dims[1:], 0)) == 0
    if rows and dims is not None and sizes[0] == -1 and int(np.prod(dims[1:])) == int(np.prod(sizes[1:])):
        sides = [of.make.array(f"{of.name}/strided_slice/stack", [each]) for each in (0, 1, 1)]
        shape = of.add("Shape", [source], "Shape", out_type=INT32)
        batch = of.add("StridedSlice", [shape, *sides], "strided_slice", Index=INT32, shrink_axis_mask=1)
        rest = [of.make.array(f"{of.name}/shape/{index}", size) for index, size in enumerate(sizes[1:], 1)]
        to = of.add("Pack", [batch, *rest], "shape")
    else:
        to = of.make.array(f"{of.name}/shape", sizes)
    return Value(of.add("Reshape", [source, to]), None, _reshaped(dims, sizes))


def _without_zeros(of: Op, stated: list[int], dims: Dims) -> list[int]:
    """A shape without the zeros that stand for the size that was there before."""
    if of.whole("allowzero", 0) or 0 not in stated:
        return stated
    found = list(stated)
    for axis, size in enumerate(stated):
        known = dims[axis] if size == 0 and dims is not None and axis < len(dims) else -1
        if size == 0:
            found[axis] = known
    if found.count(-1) > 1:
        if found.count(-1) > 2 or found[0] != -1 or dims is None or min(dims[1:]) < 1:
            raise NotLifted
        rest = int(np.prod([size for size in found if size > 0]))
        found[found.index(-1, 1)] = int(np.prod(dims[1:])) // max(rest, 1)
    return found


def _reshaped(dims: Dims, sizes: list[int]) -> Dims:
    """The shape that a reshape from ``dims`` to ``sizes`` gives, as far as it is known."""
    if -1 not in sizes or dims is None or min(dims, default=1) < 0:
        return tuple(sizes)
    known = int(np.prod([size for size in sizes if size > 0]))
    fill = int(np.prod(dims)) // known if known else -1
    return tuple(fill if size == -1 else size for size in sizes)


def _flatten(of: Op) -> list[Value | None]:
    rank, dims, axis = of.rank(0), of.dims(0), of.whole("axis", 1)
    axis = axis % rank if axis < 0 else axis
    if dims is None or axis == 0 or any(size < 0 for size in dims[axis:]):
        raise NotLifted
    pooled = _without_image(of, dims) if axis == 1 else None
    if pooled is not None:
        return [pooled]
    size = int(np.prod(dims[axis:]))
    to = of.make.array(f"{of.name}/shape", (-1, size))
    return [Value(of.add("Reshape", [of.plain(0), to]), None, (dims[0] if axis == 1 else -1, size))]


def _concat(of: Op) -> list[Value | None]:
    positions = [position for position in range(len(of.node.inputs)) if of.has(position)]
    if all(of.constant(position) is not None for position in positions):
        return folded(of, np.concatenate([of.array(position) for position in positions], of.whole("axis")))
    rank = of.rank(positions[0])
    axis = of.whole("axis") % rank
    computed = [of.value(position) for position in positions if of.constant(position) is None]
    order = next((each.order for each in computed if each.order and len(each.order) == rank), None)
    tensors = [
        of.lifter.in_order(of.value(position), order) if order else of.plain(position)
        for position in positions
    ]
    at = of.make.array(f"{of.name}/axis", axis if order is None else order.index(axis))
    dims = _joined([of.dims(position) for position in positions], axis)
    return [Value(of.add("ConcatV2", [*tensors, at]), order, dims)]


def _joined(shapes: list[Dims], axis: int) -> Dims:
    """The shape of arrays that are put together along ``axis``."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    sizes = [shape[axis] for shape in known]
    total = -1 if min(sizes) < 0 else sum(sizes)
    return (*known[0][:axis], total, *known[0][axis + 1 :])


def _gather(of: Op) -> list[Value | None]:
    axis = of.whole("axis", 0)
    if of.constant(0) is not None and of.constant(1) is not None:
        return folded(of, of.array(0).take(of.array(1).astype(np.int64), axis))
    at = of.make.array(f"{of.name}/axis", axis)
    source, indices = of.dims(0), of.dims(1)
    dims: Dims = None
    if source is not None and indices is not None:
        axis %= len(source)
        dims = (*source[:axis], *indices, *source[axis + 1 :])
    return [Value(of.add("GatherV2", [of.plain(0), of.plain(1), at]), None, dims)]


def _slice(of: Op) -> list[Value | None]:
    rank, dims = of.rank(0), of.dims(0)
    taken = _taken(of, rank)
    constant = of.constant(0)
    if constant is not None:
        return folded(of, constant.load()[tuple(taken)])
    sides = (
        [each.start or 0 for each in taken],
        [each.stop or 0 for each in taken],
        [each.step for each in taken],
    )
    stacks = [of.make.array(f"{of.name}/stack", each) for each in sides]
    made = of.add(
        "StridedSlice",
        [of.plain(0), *stacks],
        Index=INT32,
        begin_mask=_mask(each.start for each in taken),
        end_mask=_mask(each.stop for each in taken),
    )
    sizes = None if dims is None else tuple(map(_size_of, dims, taken))
    return [Value(made, None, sizes)]


def _mask(ends: Iterable[int | None]) -> int:
    """Bits for the axes of which an end is left open."""
    return sum(1 << axis for axis, end in enumerate(ends) if end is None)


def _size_of(size: int, taken: slice) -> int:
    """How much of an axis of ``size`` is taken; -1 where that is not known."""
    if taken == slice(None, None, 1):
        return size
    return -1 if size < 0 else len(range(*taken.indices(size)))


def _taken(of: Op, rank: int) -> list[slice]:
    """What a ``Slice`` takes of each axis; its numbers are attributes up to version 9, and inputs since version 10."""
    starts, ends = (of.ints(name) or of.numbers(position) for position, name in ((1, "starts"), (2, "ends")))
    stated = of.ints("axes") or (of.numbers(3) if of.has(3) else list(range(len(starts))))
    steps = of.numbers(4) if of.has(4) else [1] * len(starts)
    if 0 in steps:
        raise NotLifted
    found = [slice(None, None, 1)] * rank
    for axis, start, stop, step in zip(stated, starts, ends, steps, strict=True):
        way = 1 if step > 0 else -1
        is_whole = start == (0 if step > 0 else -1) or start * way <= -_OPEN
        found[axis % rank] = slice(
            None if is_whole else _bounded(start), None if stop * way >= _OPEN else _bounded(stop), step
        )
    return found


_OPEN = (1 << 31) - 1
"""From this end on a slice takes all that there is."""


def _bounded(end: int) -> int:
    """``end`` as an int32 that lies as far beyond every axis."""
    return max(-_OPEN, min(end, _OPEN))


def _split(of: Op) -> list[Value | None]:
    rank, dims = of.rank(0), of.dims(0)
    axis, count = of.whole("axis", 0) % rank, len(of.node.outputs)
    stated = of.ints("split") or (of.numbers(1) if of.has(1) else None)
    if stated is None:
        if dims is None or dims[axis] < 0 or dims[axis] % count:
            raise NotLifted
        stated = [dims[axis] // count] * count
    sizes = of.make.array(f"{of.name}/sizes", stated)
    at = of.make.array(f"{of.name}/axis", axis)
    first = of.add("SplitV", [of.plain(0), sizes, at], num_split=count, Tlen=INT32)
    shapes = [None if dims is None else (*dims[:axis], size, *dims[axis + 1 :]) for size in stated]
    return [Value(TensorName(first.node, port), None, shape) for port, shape in enumerate(shapes)]


def _shape(of: Op) -> list[Value | None]:
    rank = of.rank(0)
    if "start" in of.node.attrs or "end" in of.node.attrs:
        raise NotLifted
    return [Value(of.add("Shape", [of.plain(0)], out_type=_INT64), None, (rank,))]


def _filled(of: Op) -> list[Value | None]:
    value = of.node.attrs.get("value")
    held = value.load().reshape(()) if isinstance(value, OnnxTensor) else np.asarray(0, np.float32)
    if of.constant(0) is not None:
        return folded(of, np.full(of.numbers(0), held))
    fill = of.make.array(f"{of.name}/value", np.asarray(held))
    return [Value(of.add("Fill", [of.plain(0), fill], index_type=_INT64), None, None)]


def _expand(of: Op) -> list[Value | None]:
    stated, source = of.constant(1), of.plain(0)
    dims = broadcast([of.dims(0), tuple(of.numbers(1))]) if stated is not None else None
    # Both are made larger, where TensorFlow makes the one as large as the other.
    shape = of.add("Shape", [source], "Shape", out_type=_INT64)
    both = of.add("BroadcastArgs", [shape, of.plain(1)], "BroadcastArgs")
    return [Value(of.add("BroadcastTo", [source, both]), None, dims)]


def _tile(of: Op) -> list[Value | None]:
    dims: Dims = None
    source = of.dims(0)
    if of.constant(1) is not None and source is not None:
        dims = tuple(
            -1 if size < 0 else size * times for size, times in zip(source, of.numbers(1), strict=True)
        )
    return [Value(of.add("Tile", [of.plain(0), of.plain(1)], Tmultiples=_INT64), None, dims)]


def _largest(op: str) -> Lifting:
    def lift(of: Op) -> list[Value | None]:
        rank, dims = of.rank(0), of.dims(0)
        axis = of.whole("axis", 0) % rank
        if of.whole("select_last_index", 0):
            raise NotLifted
        at = of.make.array(f"{of.name}/dimension", axis)
        keeps = bool(of.whole("keepdims", 1))
        made = of.add(op, [of.plain(0), at], op if keeps else None, output_type=_INT64)
        if keeps:
            made = of.add("ExpandDims", [made, at])
        shape = None if dims is None else (*dims[:axis], *((1,) if keeps else ()), *dims[axis + 1 :])
        return [Value(made, None, shape)]

    return lift


AXES: Mapping[str, Lifting] = {
    "Transpose": _transpose, "ReduceMean": _reduction("Mean"), "ReduceSum": _reduction("Sum"),
    "ReduceMax": _reduction("Max"), "ReduceMin": _reduction("Min"), "ReduceProd": _reduction("Prod"),
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Reshape": _reshape, "Flatten": _flatten, "Concat": _concat,
    "Gather": _gather, "Slice": _slice, "Split": _split, "Shape": _shape, "ConstantOfShape": _filled,
    "Expand": _expand, "Tile": _tile, "ArgMax": _largest("ArgMax"), "ArgMin": _largest("ArgMin"),
}  # fmt: skip
