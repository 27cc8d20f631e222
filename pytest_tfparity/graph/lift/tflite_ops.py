"""TFLite's operators as TensorFlow ops: one table, by their codes in the schema.

Semantics: https://www.tensorflow.org/mlir/tfl_ops and the fields of their options in schema.fbs, by number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..graph import Array, Attr, DType, TensorName
from ..read.tflite import Operator, TFLiteTensor
from .builder import FLOAT, GraphBuilder, Translated

DEQUANTIZE = 6
_PADDINGS = (b"SAME", b"VALID")
_ANY_PLACE: tuple[str, ...] = ()


class NotLifted(Exception):
    """An operator has no TensorFlow op, or is used in a way that this table does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Op(Translated):
    """One operator that is translated. ``name`` is that of its first output, ``types`` those of its outputs lifted.

    ``tensor(i)`` is input i in the lifted graph; ``constant(i)`` the constant that it is, which ``weights`` puts in
    with another layout.
    """

    make: GraphBuilder
    operator: Operator
    name: str
    inputs: Sequence[TFLiteTensor | None]
    outputs: Sequence[TFLiteTensor]
    types: Sequence[DType]
    tensor: Callable[[int], TensorName]
    constant: Callable[[int], TFLiteTensor | None]
    weights: Callable[[TFLiteTensor, Callable[[Array], Array] | None], TensorName]

    def has(self, position: int) -> bool:
        """Whether there is an input at ``position``."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def tensors(self) -> list[TensorName]:
        """All inputs."""
        return [self.tensor(position) for position in range(len(self.inputs)) if self.has(position)]

    def given(self, position: int) -> TFLiteTensor:
        """Input ``position`` as the file has it. NotLifted if there is none."""
        found = self.inputs[position] if self.has(position) else None
        if found is None:
            raise NotLifted
        return found

    def number(self, field: int, default: int = 0) -> int:
        """A whole number (int32) of the options."""
        options = self.operator.options
        return default if options is None else int(options.scalar(field, "i", default))

    def byte(self, field: int, default: int = 0) -> int:
        """An enumerated value or a truth value of the options."""
        options = self.operator.options
        return default if options is None else int(options.scalar(field, "b", default))

    def real(self, field: int, default: float) -> float:
        """A float of the options."""
        options = self.operator.options
        return default if options is None else float(options.scalar(field, "f", 0.0))

    def numbers(self, field: int) -> list[int]:
        """A list of whole numbers of the options."""
        options = self.operator.options
        return [] if options is None else [int(each) for each in options.array(field, "<i4")]

    def activated(self, result: TensorName, field: int) -> TensorName:
        """``result`` behind the activation that option ``field`` fuses to it."""
        code = self.byte(field)
        if not code:
            return result
        simple = {1: "Relu", 3: "Relu6", 4: "Tanh"}.get(code)
        if simple is not None:
            return self.make.add(simple, self.name, [result])
        if code == 2:
            return self.clipped(result, -1.0)
        raise NotLifted

    def clipped(self, tensor: TensorName, low: float) -> TensorName:
        """``tensor`` between ``low`` and 1."""
        above = self.make.add("Maximum", f"{self.name}/Maximum", [tensor, self.real_constant(low)])
        return self.make.add("Minimum", self.name, [above, self.real_constant(1.0)])


Lifting: TypeAlias = Callable[[Op], "list[TensorName]"]


def _first(name: str) -> str:
    return name.split(";")[0]


def _plain(op: str, *, takes: int | None = None) -> Lifting:
    """An operator that is the TensorFlow op of the same inputs."""

    def lift(of: Op) -> list[TensorName]:
        inputs = of.tensors()
        return [of.make.add(op, of.name, inputs if takes is None else inputs[:takes])]

    return lift


def _binary(op: str) -> Lifting:
    """An operator with an activation fused to it, in option 0."""

    def lift(of: Op) -> list[TensorName]:
        result = of.make.add(op, of.name if not of.byte(0) else f"{_first(of.name)}/{op}", of.tensors())
        return [of.activated(result, 0)]

    return lift


def _reduction(op: str) -> Lifting:
    def lift(of: Op) -> list[TensorName]:
        return [of.make.add(op, of.name, of.tensors(), keep_dims=bool(of.byte(0)))]

    return lift


def _converted(of: Op) -> list[TensorName]:
    """QUANTIZE, and DEQUANTIZE of what is computed: the lifted graph is in real numbers throughout."""
    source = of.tensor(0)
    if of.make.type_of(source) != of.types[0]:
        return [of.make.add("Cast", of.name, [source], DstT=of.types[0])]
    return [of.make.add("Identity", of.name, [source])]


def _kernel(of: Op, layout: Callable[[Array], Array], perm: Sequence[int] | None) -> TensorName:
    """The weights of input 1 in TensorFlow's layout; computed ones by a node (``perm``)."""
    found = of.constant(1)
    if found is not None:
        return of.weights(found, layout)
    if perm is None:
        raise NotLifted
    order = of.make.array(f"{of.name}/perm", perm)
    return of.make.add("Transpose", f"{of.name}/Transpose", [of.tensor(1), order])


def _with_bias(of: Op, result: TensorName, position: int, activation: int) -> list[TensorName]:
    fused = bool(of.byte(activation))
    if of.has(position):
        name = f"{_first(of.given(position).name)}/BiasAdd" if fused else of.name
        result = of.make.add("BiasAdd", name, [result, of.tensor(position)])
    return [of.activated(result, activation)]


def _inner(of: Op, op: str, position: int, activation: int) -> str:
    """The name of the node that an operator is without its bias and activation: by its weights."""
    if of.has(position) or of.byte(activation):
        return f"{_first(of.given(1).name)}/{op}"
    return of.name


def _convolution(of: Op) -> list[TensorName]:
    kernel = _kernel(of, lambda value: value.transpose(1, 2, 3, 0), (1, 2, 3, 0))
    result = of.make.add(
        "Conv2D",
        _inner(of, "Conv2D", 2, 3),
        [of.tensor(0), kernel],
        strides=(1, of.number(2, 1), of.number(1, 1), 1),
        padding=_PADDINGS[of.byte(0)],
        dilations=(1, of.number(5, 1), of.number(4, 1), 1),
    )
    return _with_bias(of, result, 2, 3)


def _depthwise(of: Op) -> list[TensorName]:
    total, channels = of.given(1).fixed[-1], of.given(0).fixed[-1]
    if channels < 1 or total % channels:
        raise NotLifted

    def layout(value: Array) -> Array:
        return value.reshape(*value.shape[1:3], channels, total // channels)

    rows, columns = of.number(2, 1), of.number(1, 1)
    if rows != columns:
        raise NotLifted  # TensorFlow has no depthwise convolution of unequal strides
    result = of.make.add(
        "DepthwiseConv2dNative",
        _inner(of, "depthwise", 2, 4),
        [of.tensor(0), _kernel(of, layout, None)],
        strides=(1, rows, columns, 1),
        padding=_PADDINGS[of.byte(0)],
        dilations=(1, of.number(6, 1), of.number(5, 1), 1),
    )
    return _with_bias(of, result, 2, 4)


def _transposed(of: Op) -> list[TensorName]:
    """TRANSPOSE_CONV: the output's shape, weights OHWI, what is convolved, a bias."""
    found = of.constant(1)
    if found is None:
        raise NotLifted
    kernel = of.weights(found, lambda value: value.transpose(1, 2, 0, 3))
    result = of.make.add(
        "Conv2DBackpropInput",
        _inner(of, "conv2d_transpose", 3, 3),
        [of.tensor(0), kernel, of.tensor(2)],
        T=FLOAT,
        strides=(1, of.number(2, 1), of.number(1, 1), 1),
        padding=_PADDINGS[of.byte(0)],
    )
    return _with_bias(of, result, 3, 3)


def _dense(of: Op) -> list[TensorName]:
    if of.byte(1):
        raise NotLifted  # weights shuffled for one kind of processor
    source, rank = of.tensor(0), len(of.given(0).fixed)
    name = _inner(of, "MatMul", 2, 0)
    kernel = _kernel(of, lambda value: value.T, (1, 0))
    if rank == 2:
        result = of.make.add("MatMul", name, [source, kernel])
    elif of.byte(2):
        result = of.make.add("BatchMatMulV2", name, [source, kernel])
    else:
        size = of.make.array(f"{name}/shape", (-1, of.given(1).fixed[1]))
        flat = of.make.add("Reshape", f"{name}/Reshape", [source, size])
        result = of.make.add("MatMul", name, [flat, kernel])
    return _with_bias(of, result, 2, 0)


def _pool(op: str) -> Lifting:
    def lift(of: Op) -> list[TensorName]:
        result = of.make.add(
            op,
            of.name if not of.byte(5) else f"{_first(of.name)}/{op}",
            [of.tensor(0)],
            ksize=(1, of.number(4, 1), of.number(3, 1), 1),
            strides=(1, of.number(2, 1), of.number(1, 1), 1),
            padding=_PADDINGS[of.byte(0)],
        )
        return [of.activated(result, 5)]

    return lift


def _reshape(of: Op) -> list[TensorName]:
    shape = of.tensor(1) if of.has(1) else of.make.array(f"{of.name}/shape", of.numbers(0))
    return [of.make.add("Reshape", of.name, [of.tensor(0), shape])]


def _softmax(of: Op) -> list[TensorName]:
    beta, source = of.real(0, 1.0), of.tensor(0)
    if beta != 1.0:
        source = of.make.add("Mul", f"{of.name}/scaled", [source, of.real_constant(beta)])
    return [of.make.add("Softmax", of.name, [source])]


def _concatenated(of: Op) -> list[TensorName]:
    axis = of.make.array(f"{of.name}/axis", of.number(0))
    name = of.name if not of.byte(1) else f"{_first(of.name)}/concat"
    return [of.activated(of.make.add("ConcatV2", name, [*of.tensors(), axis]), 1)]


def _bilinear(of: Op) -> list[TensorName]:
    return _resized(of, "ResizeBilinear", 2)


def _nearest(of: Op) -> list[TensorName]:
    return _resized(of, "ResizeNearestNeighbor", 0)


def _resized(of: Op, op: str, field: int) -> list[TensorName]:
    attrs = {"align_corners": bool(of.byte(field)), "half_pixel_centers": bool(of.byte(field + 1))}
    return [of.make.add(op, of.name, of.tensors(), **attrs)]


def _leaky(of: Op) -> list[TensorName]:
    return [of.make.add("LeakyRelu", of.name, [of.tensor(0)], alpha=of.real(0, 0.0))]


def _prelu(of: Op) -> list[TensorName]:
    """As ``tf.keras.layers.PReLU`` writes it: relu(x) - alpha * relu(-x)."""
    source, alpha = of.tensor(0), of.tensor(1)
    positive = of.make.add("Relu", f"{of.name}/Relu", [source])
    turned = of.make.add("Relu", f"{of.name}/Relu", [of.make.add("Neg", f"{of.name}/Neg", [source])])
    slope = of.make.add("Neg", f"{of.name}/Neg", [alpha])
    negative = of.make.add("Mul", f"{of.name}/mul", [slope, turned])
    return [of.make.add("AddV2", of.name, [positive, negative])]


def _hard_swish(of: Op) -> list[TensorName]:
    source = of.tensor(0)
    raised = of.make.add("AddV2", f"{of.name}/add", [source, of.real_constant(3.0)])
    gate = of.make.add("Relu6", f"{of.name}/Relu6", [raised])
    share = of.make.add("Mul", f"{of.name}/share", [gate, of.real_constant(1 / 6)])
    return [of.make.add("Mul", of.name, [source, share])]


def _gelu(of: Op) -> list[TensorName]:
    source, make = of.tensor(0), of.make
    if of.byte(0):
        cube = make.add("Pow", f"{of.name}/Pow", [source, of.real_constant(3.0)])
        more = make.add("Mul", f"{of.name}/mul", [cube, of.real_constant(0.044715)])
        inner = make.add("AddV2", f"{of.name}/add", [source, more])
        scaled = make.add("Mul", f"{of.name}/mul", [inner, of.real_constant(math.sqrt(2 / math.pi))])
        curve = make.add("Tanh", f"{of.name}/Tanh", [scaled])
        raised = make.add("AddV2", f"{of.name}/add", [curve, of.real_constant(1.0)])
    else:  # as Keras writes it, which is exact for large negative numbers too
        turned = make.add("Neg", f"{of.name}/Neg", [source])
        scaled = make.add("Mul", f"{of.name}/mul", [turned, of.real_constant(math.sqrt(0.5))])
        raised = make.add("Erfc", f"{of.name}/Erfc", [scaled])
    half = make.add("Mul", f"{of.name}/mul", [source, of.real_constant(0.5)])
    return [make.add("Mul", of.name, [half, raised])]


def _normalised(of: Op) -> list[TensorName]:
    """L2_NORMALIZATION over the last axis; the floor is that of the kernel (l2normalization.h)."""
    source, make = of.tensor(0), of.make
    square = make.add("Square", f"{of.name}/Square", [source])
    last = make.array(f"{of.name}/axis", np.asarray([-1], np.int32))
    total = make.add("Sum", f"{of.name}/Sum", [square, last], keep_dims=True)
    floor = make.add("Maximum", f"{of.name}/Maximum", [total, of.real_constant(1e-12)])
    root = make.add("Rsqrt", f"{of.name}/Rsqrt", [floor])
    return [of.activated(make.add("Mul", of.name, [source, root]), 0)]


def _split(of: Op) -> list[TensorName]:
    count = of.number(0, len(of.outputs))
    return _ports(of.make.add("Split", of.name, [of.tensor(0), of.tensor(1)], num_split=count), count)


def _split_by_sizes(of: Op) -> list[TensorName]:
    count = of.number(0, len(of.outputs))
    return _ports(of.make.add("SplitV", of.name, of.tensors(), num_split=count), count)


def _unpacked(of: Op) -> list[TensorName]:
    count = of.number(0, len(of.outputs))
    made = of.make.add("Unpack", of.name, [of.tensor(0)], num=count, axis=of.number(1))
    return _ports(made, count)


def _ports(made: TensorName, count: int) -> list[TensorName]:
    return [TensorName(made.node, port) for port in range(count)]


def _packed(of: Op) -> list[TensorName]:
    return [of.make.add("Pack", of.name, of.tensors(), axis=of.number(1))]


def _strided(of: Op) -> list[TensorName]:
    if of.byte(5):
        raise NotLifted  # `end` counts from `begin`
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    attrs: dict[str, Attr] = {mask: of.number(field) for field, mask in enumerate(masks)}
    return [of.make.add("StridedSlice", of.name, of.tensors(), **attrs)]


def _gathered(of: Op) -> list[TensorName]:
    axis = of.make.array(f"{of.name}/axis", of.number(0))
    return [of.make.add("GatherV2", of.name, [*of.tensors(), axis], batch_dims=of.number(1))]


def _cast(of: Op) -> list[TensorName]:
    return [of.make.add("Cast", of.name, [of.tensor(0)], DstT=of.types[0])]


def _squeezed(of: Op) -> list[TensorName]:
    return [of.make.add("Squeeze", of.name, [of.tensor(0)], squeeze_dims=tuple(of.numbers(0)))]


def _typed(op: str, attribute: str) -> Lifting:
    """An op whose result's type is an attribute of its own."""

    def lift(of: Op) -> list[TensorName]:
        return [of.make.add(op, of.name, of.tensors(), **{attribute: of.types[0]})]

    return lift


def _blocks(op: str) -> Lifting:
    def lift(of: Op) -> list[TensorName]:
        return [of.make.add(op, of.name, [of.tensor(0)], block_size=of.number(0))]

    return lift


def _mirrored(of: Op) -> list[TensorName]:
    mode = (b"REFLECT", b"SYMMETRIC")[of.byte(0)]
    return [of.make.add("MirrorPad", of.name, of.tensors(), mode=mode)]


def _multiplied(of: Op) -> list[TensorName]:
    attrs = {"adj_x": bool(of.byte(0)), "adj_y": bool(of.byte(1))}
    return [of.make.add("BatchMatMulV2", of.name, of.tensors(), **attrs)]


def _summed_up(of: Op) -> list[TensorName]:
    attrs = {"exclusive": bool(of.byte(0)), "reverse": bool(of.byte(1))}
    return [of.make.add("Cumsum", of.name, of.tensors(), **attrs)]


def _one_hot(of: Op) -> list[TensorName]:
    return [of.make.add("OneHot", of.name, of.tensors(), axis=of.number(0))]


def _largest(of: Op) -> list[TensorName]:
    return _ports(of.make.add("TopKV2", of.name, of.tensors()), 2)


OPS: Mapping[int, Lifting] = {
    0: _binary("AddV2"), 1: _pool("AvgPool"), 2: _concatenated, 3: _convolution, 4: _depthwise,
    5: _blocks("DepthToSpace"), 6: _converted, 8: _plain("Floor"), 9: _dense, 11: _normalised, 14: _plain("Sigmoid"),
    17: _pool("MaxPool"), 18: _binary("Mul"), 19: _plain("Relu"), 20: lambda of: [of.clipped(of.tensor(0), -1.0)],
    21: _plain("Relu6"), 22: _reshape, 23: _bilinear, 25: _softmax, 26: _blocks("SpaceToDepth"), 28: _plain("Tanh"),
    34: _plain("Pad"), 36: _gathered, 37: _plain("BatchToSpaceND"), 38: _plain("SpaceToBatchND"),
    39: _plain("Transpose"), 40: _reduction("Mean"), 41: _binary("Sub"), 42: _binary("RealDiv"), 43: _squeezed,
    45: _strided, 47: _plain("Exp"), 48: _largest, 49: _split, 50: _plain("LogSoftmax"), 53: _cast, 54: _prelu,
    55: _plain("Maximum"), 56: _typed("ArgMax", "output_type"), 57: _plain("Minimum"), 58: _plain("Less"),
    59: _plain("Neg"), 60: _plain("PadV2"), 61: _plain("Greater"), 62: _plain("GreaterEqual"), 63: _plain("LessEqual"),
    64: _plain("Select"), 65: _plain("Slice"), 66: _plain("Sin"), 67: _transposed, 69: _plain("Tile"),
    70: _plain("ExpandDims"), 71: _plain("Equal"), 72: _plain("NotEqual"), 73: _plain("Log"), 74: _reduction("Sum"),
    75: _plain("Sqrt"), 76: _plain("Rsqrt"), 77: _typed("Shape", "out_type"), 78: _plain("Pow"),
    79: _typed("ArgMin", "output_type"), 81: _reduction("Prod"), 82: _reduction("Max"), 83: _packed,
    84: _plain("LogicalOr"), 85: _one_hot, 86: _plain("LogicalAnd"), 87: _plain("LogicalNot"), 88: _unpacked,
    89: _reduction("Min"), 90: _plain("FloorDiv"), 91: _reduction("Any"), 92: _plain("Square"),
    93: _plain("ZerosLike"), 94: _plain("Fill"), 95: _plain("FloorMod"), 96: _plain("Range"), 97: _nearest, 98: _leaky,
    99: _plain("SquaredDifference"), 100: _mirrored, 101: _plain("Abs"), 102: _split_by_sizes, 104: _plain("Ceil"),
    105: _plain("ReverseV2"), 106: _plain("AddN"), 107: _plain("GatherNd"), 108: _plain("Cos"), 110: _plain("Rank"),
    111: _plain("Elu"), 114: _converted, 116: _plain("Round"), 117: _hard_swish, 122: _plain("ScatterNd"),
    123: _plain("SelectV2"), 126: _multiplied, 128: _summed_up, 130: _plain("BroadcastTo"), 140: _reduction("All"),
    145: _plain("BroadcastArgs"), 150: _gelu, 152: lambda of: [of.clipped(of.tensor(0), 0.0)], 158: _plain("Sign"),
}  # fmt: skip
"""By the number of ``BuiltinOperator``. What is not here is shown under its own name and compared with nothing."""

NAMES: Mapping[int, str] = {
    7: "EMBEDDING_LOOKUP", 10: "HASHTABLE_LOOKUP", 12: "L2_POOL_2D", 13: "LOCAL_RESPONSE_NORMALIZATION",
    15: "LSH_PROJECTION", 16: "LSTM", 24: "RNN", 27: "SVDF", 31: "CALL", 35: "UNIDIRECTIONAL_SEQUENCE_RNN",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 46: "BIDIRECTIONAL_SEQUENCE_RNN", 52: "BIDIRECTIONAL_SEQUENCE_LSTM",
    80: "FAKE_QUANT", 103: "UNIQUE", 109: "WHERE", 112: "REVERSE_SEQUENCE", 118: "IF", 119: "WHILE",
    120: "NON_MAX_SUPPRESSION_V4", 121: "NON_MAX_SUPPRESSION_V5", 124: "DENSIFY", 129: "CALL_ONCE", 131: "RFFT2D",
    132: "CONV_3D", 136: "HASHTABLE", 137: "HASHTABLE_FIND", 141: "CONV_3D_TRANSPOSE", 142: "VAR_HANDLE",
    143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 9: "FULLY_CONNECTED",
    45: "STRIDED_SLICE", 67: "TRANSPOSE_CONV",
}  # fmt: skip
"""What the schema calls the operators that have no entry above, and those that an entry may refuse."""
