"""ONNX's operators as TensorFlow ops: one table, by name.

Semantics: https://github.com/onnx/onnx/blob/main/docs/Operators.md, of all versions (Changelog.md) that converters
write. Whatever is used in a way that an entry does not know is left as an operator of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..graph import Array, Attr, DType, TensorName
from ..read.onnx import OnnxTensor
from ..read.tensors import numpy_dtype
from .builder import FLOAT
from .lifted import Grid, type_name
from .onnx_axes import AXES, Lifting, broadcast, folded
from .onnx_op import Dims, NotLifted, Op, Order, Value, channels_last
from .onnx_windows import WINDOWS

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


def together(of: Op, positions: list[int]) -> tuple[list[TensorName], Order, Dims]:
    """Inputs that are combined elementwise, in one order of axes: that of an image among them, if there is one."""
    dims = broadcast([of.dims(position) for position in positions])
    order = None if dims is None else _common_order(of, positions, len(dims))
    if order is None:
        return [of.plain(position) for position in positions], None, dims
    return [_operand(of, position, order) for position in positions], order, dims


def _common_order(of: Op, positions: list[int], rank: int) -> Order:
    """The order of axes of the first image of ``rank`` axes, if whatever else is computed can be brought into it."""
    computed = [of.value(position) for position in positions if of.constant(position) is None]
    if any(len(each.dims or ()) not in (0, rank) for each in computed):
        return None
    return next((each.order for each in computed if each.order and len(each.order) == rank), None)


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
        return folded(of, value)
    source = of.value(0)
    if of.make.type_of(source.tensor) == DType(number):
        return [source]
    return [source._replace(tensor=of.add("Cast", [source.tensor], DstT=DType(number)))]


def _constant(of: Op) -> list[Value | None]:
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        if name in of.node.attrs:
            return folded(of, np.asarray(of.node.attrs[name], dtype))
    for name, dtype in (("value_floats", np.float32), ("value_ints", np.int64)):
        if name in of.node.attrs:
            return folded(of, np.asarray(of.node.attrs[name], dtype))
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


_OF_ANY_SIGN = frozenset(
    {
        *(
            "Add",
            "AddV2",
            "BiasAdd",
            "Conv2D",
            "DepthwiseConv2dNative",
            "FusedBatchNormV3",
            "MatMul",
            "Mul",
            "Sub",
        ),
        *("BatchMatMulV2", "Conv2DBackpropInput"),
    }
)
"""What gives numbers of either sign."""


def _clamp(of: Op, grid: Grid, source: TensorName) -> str:
    """The op that rounding to a grid is but for the rounding.

    A grid that begins at 0 holds nothing below: ONNX Runtime's quantiser leaves out an activation in front of it
    (``onnxruntime/python/tools/quantization/operators/activation.py``).
    """
    if grid.per_channel or int(grid.zero_point.flat[0]) != grid.lowest:
        return "Identity"
    if of.make.graph.nodes[source.node].op not in _OF_ANY_SIGN:
        return "Identity"
    step = float(grid.scale.flat[0])
    ends_at_six = abs((grid.highest - grid.lowest) * step - 6) < step / 2
    return "Relu6" if ends_at_six else "Relu"


def _quantised(of: Op) -> list[Value | None]:
    """``QuantizeLinear``: the lifted graph goes on in real numbers, on the grid."""
    zero = of.constant(2)
    kind = zero.dtype if zero is not None else DType(4)
    grid, source = _grid(of, kind), of.value(0)
    made = source._replace(tensor=of.add(_clamp(of, grid, source.tensor), [source.tensor]))
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
    "QuantizeLinear": _quantised, "DequantizeLinear": _dequantised,
    **AXES, **WINDOWS,
}  # fmt: skip
