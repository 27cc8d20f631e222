"""ONNX's operators as TensorFlow ops: one table, by name.

Semantics: https://github.com/onnx/onnx/blob/main/docs/Operators.md, of all versions (Changelog.md) that converters
write. Whatever is used in a way that an entry does not know is left as an operator of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from ..graph import Array, Attr, DType, TensorName
from ..read.onnx import OnnxTensor
from ..read.tensors import dtype_of, numpy_dtype
from .builder import FLOAT, INT32
from .lifted import Grid, type_name
from .onnx_op import Dims, NotLifted, Op, Order, Value, channels_last
from .onnx_windows import WINDOWS

Lifting: TypeAlias = Callable[[Op], "list[Value | None]"]
_PRODUCTS = frozenset(
    {"MatMul", "BatchMatMulV2", "Conv2D", "DepthwiseConv2dNative", "Conv3D", "Conv2DBackpropInput"}
)
_INT64 = DType(9)
_ONNX_TYPES = {1: 1, 2: 4, 3: 6, 4: 17, 5: 5, 6: 3, 7: 9, 9: 10, 10: 1, 11: 2, 12: 22, 13: 23}
"""What a ``Cast`` is to, as numbers of ``tensorflow.DataType``; float16 is float32 in the lifted graph."""


# --- elementwise


def _unary(op: str, **attrs: Attr) -> Lifting:
    def lift(of: Op) -> list[Value | None]:
        source = of.value(0)
        return [source._replace(tensor=of.add(op, [source.tensor], **attrs))]

    return lift


def _same(of: Op) -> list[Value | None]:
    constant = of.constant(0)
    if constant is not None:
        of.lifter.fold(of.node.outputs[0], constant)
        return []
    return [of.value(0)]


def broadcast(shapes: list[Dims]) -> Dims:
    """The shape that arrays of ``shapes`` have together; None where one of them is not known."""
    if any(dims is None for dims in shapes):
        return None
    rank = max(len(dims or ()) for dims in shapes)
    padded = [(1,) * (rank - len(dims or ())) + tuple(dims or ()) for dims in shapes]
    return tuple(
        max(sizes) if -1 not in sizes or max(sizes) > 1 else -1 for sizes in zip(*padded, strict=True)
    )


def together(of: Op, positions: list[int]) -> tuple[list[TensorName], Order, Dims]:
    """Inputs that are combined elementwise, in one order of axes: that of an image among them, if there is one."""
    shapes = [of.dims(position) for position in positions]
    dims = broadcast(shapes)
    order: Order = None
    if dims is not None:
        computed = [of.value(position) for position in positions if of.constant(position) is None]
        order = next((each.order for each in computed if each.order and len(each.order) == len(dims)), None)
        whole = all(
            of.constant(position) is not None or len(shape or ()) in (0, len(dims))
            for position, shape in zip(positions, shapes, strict=True)
        )
        order = order if whole else None
    if order is None or dims is None:
        return [of.plain(position) for position in positions], None, dims
    return [_operand(of, position, order) for position in positions], order, dims


def _operand(of: Op, position: int, order: tuple[int, ...]) -> TensorName:
    constant = of.constant(position)
    if constant is None:
        value = of.value(position)
        return value.tensor if value.dims == () else of.lifter.in_order(value, order)
    if int(np.prod(constant.dims)) == 1 and len(constant.dims) < 2:
        return of.plain(position)
    return of.weights(position, lambda value: _reordered(value, order))


def _reordered(value: Array, order: tuple[int, ...]) -> Array:
    """A constant in another order, without the leading axes that broadcasting adds by itself."""
    whole = value.reshape((1,) * (len(order) - value.ndim) + value.shape).transpose(order)
    leading = 0
    while leading < whole.ndim - 1 and whole.shape[leading] == 1:
        leading += 1
    shortened: Array = whole.reshape(whole.shape[leading:])
    return shortened


def _binary(op: str) -> Lifting:
    def lift(of: Op) -> list[Value | None]:
        tensors, order, dims = together(of, [0, 1])
        return [Value(of.add(op, tensors), order, dims)]

    return lift


def _sum(of: Op) -> list[Value | None]:
    """``Add``; what adds a vector to a product is a bias, as layers write it."""
    tensors, order, dims = together(of, [0, 1])
    for left, right in ((tensors[0], tensors[1]), (tensors[1], tensors[0])):
        held = of.make.held(right)
        if (
            held is not None
            and len(held.shape) == 1
            and of.make.node(left.node).op in _PRODUCTS
            and of.constant(0) is None
        ):
            return [Value(of.add("BiasAdd", [left, right]), order, dims)]
    return [Value(of.add("AddV2", tensors), order, dims)]


def _many(op: str) -> Lifting:
    """An op of two for an operator of any number."""

    def lift(of: Op) -> list[Value | None]:
        count = len(of.node.inputs)
        if count == 1:
            return _same(of)
        tensors, order, dims = together(of, list(range(count)))
        result = tensors[0]
        for index, each in enumerate(tensors[1:], 1):
            result = of.add(op, [result, each], None if index == count - 1 else op)
        return [Value(result, order, dims)]

    return lift


def _where(of: Op) -> list[Value | None]:
    tensors, order, dims = together(of, [0, 1, 2])
    return [Value(of.add("SelectV2", tensors), order, dims)]


def _leaky(of: Op) -> list[Value | None]:
    source = of.value(0)
    return [source._replace(tensor=of.add("LeakyRelu", [source.tensor], alpha=of.real("alpha", 0.01)))]


def _elu(of: Op) -> list[Value | None]:
    if of.real("alpha", 1.0) != 1.0:
        raise NotLifted
    return _unary("Elu")(of)


def _prelu(of: Op) -> list[Value | None]:
    """As ``tf.keras.layers.PReLU`` writes it: relu(x) - alpha * relu(-x)."""
    (source, alpha), order, dims = together(of, [0, 1])
    positive = of.add("Relu", [source], "Relu")
    turned = of.add("Relu", [of.add("Neg", [source], "Neg")], "Relu")
    negative = of.add("Mul", [of.add("Neg", [alpha], "Neg"), turned], "mul")
    return [Value(of.add("AddV2", [positive, negative]), order, dims)]


def _clip(of: Op) -> list[Value | None]:
    """``Clip``, its bounds attributes up to version 6 and inputs since version 11."""
    source = of.value(0)
    low, high = (_bound(of, position, name) for position, name in ((1, "min"), (2, "max")))
    if (low, high) == (0.0, 6.0):
        return [source._replace(tensor=of.add("Relu6", [source.tensor]))]
    if low == 0.0 and high is None:
        return [source._replace(tensor=of.add("Relu", [source.tensor]))]
    result = source.tensor
    if high is not None:
        result = of.add("Minimum", [result, of.like(source, high)], None if low is None else "Minimum")
    if low is not None:
        result = of.add("Maximum", [result, of.like(source, low)])
    return [source._replace(tensor=result)]


def _bound(of: Op, position: int, name: str) -> float | None:
    if name in of.node.attrs:
        value = of.real(name, 0.0)
    elif of.has(position):
        value = float(of.array(position).reshape(-1)[0])
    else:
        return None
    return value if abs(value) < float(np.finfo(np.float32).max) else None


def _hard_sigmoid(of: Op) -> list[Value | None]:
    source = of.value(0)
    alpha, beta = of.real("alpha", 0.2), of.real("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return [source._replace(tensor=of.add("Mul", [_gate(of, source.tensor), of.real_constant(1 / 6)]))]
    scaled = of.add("Mul", [source.tensor, of.real_constant(alpha)], "mul")
    raised = of.add("AddV2", [scaled, of.real_constant(beta)], "add")
    above = of.add("Maximum", [raised, of.real_constant(0.0)], "Maximum")
    return [source._replace(tensor=of.add("Minimum", [above, of.real_constant(1.0)]))]


def _gate(of: Op, source: TensorName) -> TensorName:
    return of.add("Relu6", [of.add("AddV2", [source, of.real_constant(3.0)], "add")], "Relu6")


def _hard_swish(of: Op) -> list[Value | None]:
    source = of.value(0)
    share = of.add("Mul", [_gate(of, source.tensor), of.real_constant(1 / 6)], "mul")
    return [source._replace(tensor=of.add("Mul", [source.tensor, share]))]


def _gelu(of: Op) -> list[Value | None]:
    source = of.value(0)
    if of.text("approximate", "none") == "tanh":
        cube = of.add("Pow", [source.tensor, of.real_constant(3.0)], "Pow")
        more = of.add("Mul", [cube, of.real_constant(0.044715)], "mul")
        inner = of.add("AddV2", [source.tensor, more], "add")
        curve = of.add(
            "Tanh", [of.add("Mul", [inner, of.real_constant(math.sqrt(2 / math.pi))], "mul")], "Tanh"
        )
    else:
        scaled = of.add("Mul", [source.tensor, of.real_constant(math.sqrt(0.5))], "mul")
        curve = of.add("Erf", [scaled], "Erf")
    raised = of.add("AddV2", [curve, of.real_constant(1.0)], "add")
    half = of.add("Mul", [source.tensor, of.real_constant(0.5)], "mul")
    return [source._replace(tensor=of.add("Mul", [half, raised]))]


def _cast(of: Op) -> list[Value | None]:
    number = _ONNX_TYPES.get(of.whole("to"))
    dtype = None if number is None else numpy_dtype(DType(number))
    if number is None or dtype is None:
        raise NotLifted
    constant = of.constant(0)
    if constant is not None and constant.dtype.number != 7:
        value = constant.load().astype(dtype)
        return _folded(of, value)
    source = of.value(0)
    if of.make.type_of(source.tensor) == DType(number):
        return [source]
    return [source._replace(tensor=of.add("Cast", [source.tensor], DstT=DType(number)))]


def _folded(of: Op, value: Array) -> list[Value | None]:
    """The result is a constant, of the name of the tensor in the file."""
    held = np.asarray(value)
    name = of.node.outputs[0]
    of.lifter.fold(name, OnnxTensor(name, dtype_of(held), held.shape, lambda: held))
    return []


def _constant(of: Op) -> list[Value | None]:
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        if name in of.node.attrs:
            return _folded(of, np.asarray(of.node.attrs[name], dtype))
    for name, dtype in (("value_floats", np.float32), ("value_ints", np.int64)):
        if name in of.node.attrs:
            return _folded(of, np.asarray(of.node.attrs[name], dtype))
    value = of.node.attrs.get("value")
    if not isinstance(value, OnnxTensor):
        raise NotLifted
    of.lifter.fold(of.node.outputs[0], value._replace(name=of.node.outputs[0]))
    return []


# --- products and normalisation


def _matmul(of: Op) -> list[Value | None]:
    ranks = of.rank(0), of.rank(1)
    op = "MatMul" if ranks == (2, 2) else "BatchMatMulV2"
    if min(ranks) < 2:
        raise NotLifted
    left, right = of.dims(0), of.dims(1)
    dims = None
    if left is not None and right is not None:
        leading = broadcast([left[:-2], right[:-2]])
        dims = None if leading is None else (*leading, left[-2], right[-1])
    return [Value(of.add(op, [of.plain(0), of.plain(1)]), None, dims)]


def _gemm(of: Op) -> list[Value | None]:
    turn_left, turn_right = bool(of.whole("transA", 0)), bool(of.whole("transB", 0))
    alpha, beta = of.real("alpha", 1.0), of.real("beta", 1.0)
    kernel = of.weights(1, np.transpose) if turn_right and of.constant(1) is not None else of.plain(1)
    turn_right = turn_right and of.constant(1) is None
    rows, columns = of.dims(0), of.dims(1)
    dims = None
    if rows is not None and columns is not None:
        dims = (rows[1 if turn_left else 0], columns[0 if of.whole("transB", 0) else 1])
    more = alpha != 1.0 or of.has(2)
    result = of.add(
        "MatMul",
        [of.plain(0), kernel],
        "MatMul" if more else None,
        transpose_a=turn_left,
        transpose_b=turn_right,
    )
    if alpha != 1.0:
        result = of.add("Mul", [result, of.real_constant(alpha)], "scaled" if of.has(2) else None)
    if of.has(2):
        bias = of.plain(2)
        if beta != 1.0:
            bias = of.add("Mul", [bias, of.real_constant(beta)], "scaled_bias")
        result = of.add("BiasAdd" if of.rank(2) == 1 else "AddV2", [result, bias])
    return [Value(result, None, dims)]


def _batch_norm(of: Op) -> list[Value | None]:
    if of.whole("training_mode", 0) or not of.whole("spatial", 1):
        raise NotLifted
    rank, epsilon = of.rank(0), of.real("epsilon", 1e-5)
    source, order = (of.last(0), channels_last(rank)) if rank > 2 else (of.plain(0), None)
    gamma, beta, mean, variance = (of.plain(position) for position in (1, 2, 3, 4))
    dims = of.dims(0)
    if rank == 4:
        result = of.add(
            "FusedBatchNormV3",
            [source, gamma, beta, mean, variance],
            U=FLOAT,
            epsilon=epsilon,
            is_training=False,
            data_format=b"NHWC",
        )
        return [Value(result, order, dims)]
    raised = of.add("AddV2", [variance, of.real_constant(epsilon)], "batchnorm/add")
    factor = of.add("Mul", [of.add("Rsqrt", [raised], "batchnorm/Rsqrt"), gamma], "batchnorm/mul")
    scaled = of.add("Mul", [source, factor], "batchnorm/mul_1")
    offset = of.add("Sub", [beta, of.add("Mul", [mean, factor], "batchnorm/mul_2")], "batchnorm/sub")
    return [Value(of.add("AddV2", [scaled, offset], "batchnorm/add_1"), order, dims)]


def _layer_norm(of: Op) -> list[Value | None]:
    """``LayerNormalization`` over the last axis, as Keras writes it."""
    rank, source = of.rank(0), of.plain(0)
    if of.whole("axis", -1) not in (-1, rank - 1):
        raise NotLifted
    last = of.make.array(f"{of.name}/axis", np.asarray([-1], np.int32))
    mean = of.add("Mean", [source, last], "moments/mean", keep_dims=True)
    square = of.add("SquaredDifference", [source, mean], "moments/SquaredDifference")
    variance = of.add("Mean", [square, last], "moments/variance", keep_dims=True)
    raised = of.add("AddV2", [variance, of.real_constant(of.real("epsilon", 1e-5))], "batchnorm/add")
    factor = of.add("Rsqrt", [raised], "batchnorm/Rsqrt")
    factor = of.add("Mul", [factor, of.plain(1)], "batchnorm/mul")
    scaled = of.add("Mul", [source, factor], "batchnorm/mul_1")
    moved = of.add("Mul", [mean, factor], "batchnorm/mul_2")
    if of.has(2):
        offset = of.add("Sub", [of.plain(2), moved], "batchnorm/sub")
        return [Value(of.add("AddV2", [scaled, offset], "batchnorm/add_1"), None, of.dims(0))]
    return [Value(of.add("Sub", [scaled, moved], "batchnorm/sub"), None, of.dims(0))]


def _softmax(op: str) -> Lifting:
    def lift(of: Op) -> list[Value | None]:
        source, dims = of.value(0), of.dims(0)
        rank = of.rank(0)
        if of.opset < 13:
            return [_flat_softmax(of, op, rank)]
        axis = of.whole("axis", -1) % rank
        order = source.order or tuple(range(rank))
        if order[-1] != axis:
            order = (*(each for each in range(rank) if each != axis), axis)
        return [Value(of.add(op, [of.lifter.in_order(source, order)]), order, dims)]

    return lift


def _flat_softmax(of: Op, op: str, rank: int) -> Value:
    """Before version 13: over all axes from ``axis`` on, made into one."""
    axis, dims = of.whole("axis", 1) % rank, of.dims(0)
    if axis == rank - 1:
        source = of.value(0)
        if source.order is not None and source.order[-1] == axis:
            return source._replace(tensor=of.add(op, [source.tensor]))
        return Value(of.add(op, [of.plain(0)]), None, dims)
    if dims is None or any(size < 0 for size in dims[1:]) or (dims[0] < 0 and axis == 0):
        raise NotLifted
    flat = of.make.array(f"{of.name}/flat", (-1, int(np.prod(dims[axis:]))))
    whole = of.make.array(f"{of.name}/shape", (-1, *dims[1:]))
    made = of.add(op, [of.add("Reshape", [of.plain(0), flat], "Reshape")], op)
    return Value(of.add("Reshape", [made, whole]), None, dims)


# --- axes and shapes


def _transpose(of: Op) -> list[Value | None]:
    """Another order of axes costs no node until somebody asks for the file's own."""
    axes = of.ints("perm")
    axes = list(range(of.rank(0)))[::-1] if axes is None else axes
    constant = of.constant(0)
    if constant is not None:
        return _folded(of, constant.load().transpose(axes))
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
    left = [axis for axis in held if axis not in axes]
    order = tuple(sorted(left).index(axis) for axis in left)
    shape = None if dims is None else tuple(size for axis, size in enumerate(dims) if axis not in axes)
    return Value(made, None if order == tuple(range(len(order))) else order, shape)


def _squeeze(of: Op) -> list[Value | None]:
    rank, dims = of.rank(0), of.dims(0)
    stated = of.axes(1)
    if stated is None:
        if dims is None or any(size < 0 for size in dims):
            raise NotLifted
        stated = [axis for axis, size in enumerate(dims) if size == 1]
    constant = of.constant(0)
    if constant is not None:
        return _folded(of, np.squeeze(constant.load(), tuple(axis % rank for axis in stated)))
    source = of.value(0)
    axes = sorted(axis % rank for axis in stated)
    pooled = _pooled(of, source, axes)
    if pooled is not None:
        return [Value(pooled, None, None if dims is None else dims[:2])]
    held = source.order or tuple(range(rank))
    made = of.add("Squeeze", [source.tensor], squeeze_dims=tuple(sorted(held.index(axis) for axis in axes)))
    left = [axis for axis in held if axis not in axes]
    order = tuple(sorted(left).index(axis) for axis in left)
    shape = None if dims is None else tuple(size for axis, size in enumerate(dims) if axis not in axes)
    return [Value(made, None if order == tuple(range(len(order))) else order, shape)]


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
        return _folded(of, np.expand_dims(constant.load(), tuple(places)))
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
    known = of.known(1) if of.constant(1) is None and "shape" not in of.node.attrs else None
    if known is not None and known.count(None) + known.count(-1) < 2:
        return [_reshaped_by_sizes(of, dims, [-1 if size is None else size for size in known])]
    if of.constant(1) is None and "shape" not in of.node.attrs:
        to = of.plain(1)
        shape = None if known is None else tuple(-1 if size is None else size for size in known)
        return [Value(of.add("Reshape", [of.plain(0), to]), None, shape)]
    stated = of.ints("shape") or of.numbers(1)
    constant = of.constant(0)
    sizes = _without_zeros(of, stated, dims)
    if constant is not None and -1 not in sizes[1:]:
        return _folded(of, constant.load().reshape(sizes))
    moved = _moved_ones(dims, sizes)
    if moved is not None:
        return [_turned(of, moved)]
    source = of.value(0)
    if dims is not None and len(sizes) == 2 and len(dims) > 2 and set(dims[2:]) == {1}:
        pooled = _pooled(of, source, list(range(2, len(dims))))
        if pooled is not None:
            return [Value(pooled, None, dims[:2])]
    to = of.make.array(f"{of.name}/shape", sizes)
    return [Value(of.add("Reshape", [of.plain(0), to]), None, _reshaped(dims, sizes))]


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
    if -1 not in sizes:
        return tuple(sizes)
    known = int(np.prod([size for size in sizes if size > 0]))
    total = None if dims is None or any(size < 0 for size in dims) else int(np.prod(dims))
    if total is None and dims is not None and dims and dims[0] < 0 and sizes[0] == -1:
        return tuple(sizes)
    fill = -1 if total is None or not known else total // known
    return tuple(fill if size == -1 else size for size in sizes)


def _flatten(of: Op) -> list[Value | None]:
    rank, dims, axis = of.rank(0), of.dims(0), of.whole("axis", 1)
    axis = axis % rank if axis < 0 else axis
    if dims is None or axis == 0 or any(size < 0 for size in dims[axis:]):
        raise NotLifted
    if axis == 1 and rank > 2:
        pooled = _pooled(of, of.value(0), list(range(2, rank)))
        if pooled is not None:
            return [Value(pooled, None, dims[:2])]
    size = int(np.prod(dims[axis:]))
    to = of.make.array(f"{of.name}/shape", (-1, size))
    leading = dims[0] if axis == 1 else -1
    return [Value(of.add("Reshape", [of.plain(0), to]), None, (leading, size))]


def _concat(of: Op) -> list[Value | None]:
    positions = [position for position in range(len(of.node.inputs)) if of.has(position)]
    if all(of.constant(position) is not None for position in positions):
        return _folded(of, np.concatenate([of.array(position) for position in positions], of.whole("axis")))
    rank = of.rank(positions[0])
    axis = of.whole("axis") % rank
    shapes = [of.dims(position) for position in positions]
    computed = [of.value(position) for position in positions if of.constant(position) is None]
    order = next((each.order for each in computed if each.order and len(each.order) == rank), None)
    tensors = [
        of.lifter.in_order(of.value(position), order) if order else of.plain(position)
        for position in positions
    ]
    at = of.make.array(f"{of.name}/axis", axis if order is None else order.index(axis))
    dims: Dims = None
    if all(shape is not None for shape in shapes):
        sizes = [(shape or ())[axis] for shape in shapes]
        first = shapes[0] or ()
        dims = (*first[:axis], -1 if min(sizes) < 0 else sum(sizes), *first[axis + 1 :])
    return [Value(of.add("ConcatV2", [*tensors, at]), order, dims)]


def _gather(of: Op) -> list[Value | None]:
    axis = of.whole("axis", 0)
    if of.constant(0) is not None and of.constant(1) is not None:
        return _folded(of, of.array(0).take(of.array(1).astype(np.int64), axis))
    at = of.make.array(f"{of.name}/axis", axis)
    source, indices = of.dims(0), of.dims(1)
    dims: Dims = None
    if source is not None and indices is not None:
        axis %= len(source)
        dims = (*source[:axis], *indices, *source[axis + 1 :])
    return [Value(of.add("GatherV2", [of.plain(0), of.plain(1), at]), None, dims)]


def _slice(of: Op) -> list[Value | None]:
    rank, dims = of.rank(0), of.dims(0)
    starts = of.ints("starts") or of.numbers(1)
    ends = of.ints("ends") or of.numbers(2)
    stated = of.ints("axes") or (of.numbers(3) if of.has(3) else list(range(len(starts))))
    steps = of.numbers(4) if of.has(4) else [1] * len(starts)
    axes = [axis % rank for axis in stated]
    most = (1 << 31) - 1
    begin, end, strides = [0] * rank, [0] * rank, [1] * rank
    begin_mask = end_mask = (1 << rank) - 1
    for axis, start, stop, step in zip(axes, starts, ends, steps, strict=True):
        if step < 0:
            raise NotLifted
        strides[axis] = step
        if start:
            begin[axis], begin_mask = start, begin_mask & ~(1 << axis)
        if stop < most:
            end[axis], end_mask = stop, end_mask & ~(1 << axis)
    constant = of.constant(0)
    if constant is not None:
        parts = zip(begin, end, strides, range(rank), strict=True)
        where = tuple(slice(a, None if end_mask >> axis & 1 else b, c) for a, b, c, axis in parts)
        return _folded(of, constant.load()[where])
    sides = [of.make.array(f"{of.name}/stack", each) for each in (begin, end, strides)]
    made = of.add(
        "StridedSlice", [of.plain(0), *sides], Index=INT32, begin_mask=begin_mask, end_mask=end_mask
    )
    shape: list[int] | None = None if dims is None else list(dims)
    for axis in axes if shape is not None else ():
        size = (dims or ())[axis]
        taken = slice(begin[axis], None if end_mask >> axis & 1 else end[axis], strides[axis])
        if shape is not None:
            shape[axis] = -1 if size < 0 else len(range(*taken.indices(size)))
    return [Value(made, None, None if shape is None else tuple(shape))]


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
        return _folded(of, np.full(of.numbers(0), held))
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


# --- integers


def _grid(of: Op, kind: DType) -> Grid:
    """What scale (input 1) and zero point (input 2) of a quantised tensor of type ``kind`` say."""
    dtype = numpy_dtype(kind)
    if dtype is None or dtype.kind not in "iu" or of.whole("block_size", 0):
        raise NotLifted
    scale = of.array(1).astype(np.float64)
    zero = of.array(2).astype(np.int64) if of.has(2) else np.zeros(scale.shape, np.int64)
    if scale.size > 1:
        sizes = [1] * of.rank(0)
        sizes[of.whole("axis", 1) % len(sizes)] = scale.size
        scale, zero = scale.reshape(sizes), zero.reshape(sizes)
    else:
        scale, zero = scale.reshape(1), zero.reshape(1)
    bits = {29: (-8, 7), 30: (0, 15)}.get(kind.number)
    lowest, highest = bits or (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return Grid(scale=scale, zero_point=zero, lowest=lowest, highest=highest)


def _quantised(of: Op) -> list[Value | None]:
    """``QuantizeLinear``: the lifted graph goes on in real numbers, on the grid."""
    zero = of.constant(2)
    kind = zero.dtype if zero is not None else DType(4)
    grid, source = _grid(of, kind), of.value(0)
    made = source._replace(tensor=of.add("Identity", [source.tensor]))
    of.lifter.on_grid(made, of.node.outputs[0], type_name(kind), grid)
    return [made]


def _dequantised(of: Op) -> list[Value | None]:
    constant = of.constant(0)
    if constant is None:
        source = of.value(0)
        if of.make.type_of(source.tensor) != FLOAT:
            raise NotLifted
        return [source]
    of.lifter.fold(of.node.outputs[0], constant, _grid(of, constant.dtype))
    return []


OPS: Mapping[str, Lifting] = {
    **{
        op: _unary(op)
        for op in (
            "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Selu", "Exp", "Log", "Sqrt", "Neg", "Abs", "Floor",
            "Ceil", "Round", "Sign", "Erf", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asin", "Acos", "Atan", "Reciprocal",
        )
    },
    "Not": _unary("LogicalNot"), "IsNaN": _unary("IsNan"),
    "Identity": _same, "Dropout": _same,
    "Sub": _binary("Sub"), "Mul": _binary("Mul"), "Div": _binary("RealDiv"), "Pow": _binary("Pow"),
    "Equal": _binary("Equal"), "Greater": _binary("Greater"), "GreaterOrEqual": _binary("GreaterEqual"),
    "Less": _binary("Less"), "LessOrEqual": _binary("LessEqual"), "And": _binary("LogicalAnd"),
    "Or": _binary("LogicalOr"), "Add": _sum,
    "Sum": _many("AddV2"), "Max": _many("Maximum"), "Min": _many("Minimum"),
    "Where": _where, "LeakyRelu": _leaky, "Elu": _elu, "PRelu": _prelu, "Clip": _clip, "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish, "Gelu": _gelu, "Cast": _cast, "Constant": _constant,
    "MatMul": _matmul, "Gemm": _gemm, "BatchNormalization": _batch_norm, "LayerNormalization": _layer_norm,
    "Softmax": _softmax("Softmax"), "LogSoftmax": _softmax("LogSoftmax"),
    "Transpose": _transpose, "ReduceMean": _reduction("Mean"), "ReduceSum": _reduction("Sum"),
    "ReduceMax": _reduction("Max"), "ReduceMin": _reduction("Min"), "ReduceProd": _reduction("Prod"),
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Reshape": _reshape, "Flatten": _flatten, "Concat": _concat,
    "Gather": _gather, "Slice": _slice, "Split": _split, "Shape": _shape, "ConstantOfShape": _filled,
    "Expand": _expand, "Tile": _tile, "ArgMax": _largest("ArgMax"), "ArgMin": _largest("ArgMin"),
    "QuantizeLinear": _quantised, "DequantizeLinear": _dequantised,
    **WINDOWS,
}  # fmt: skip
