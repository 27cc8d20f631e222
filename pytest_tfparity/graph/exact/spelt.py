"""The ops that TensorFlow computes in float32 alone, written as ops that it has in float64.

Each function is given float64 tensors for its float inputs and the originals for the others, and answers with
float64 for each output that can be asked for. What they compute is what the kernels in tensorflow/core/kernels do
that are named at each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ..graph import Attr, DType, TensorName, listed
from .emit import Spelling
from .types import DOUBLE

Spelt: TypeAlias = "Mapping[int, TensorName] | None"
"""Output port to its value; None where this node cannot be written so."""
Speller: TypeAlias = Callable[[Spelling, Mapping[str, Attr], Sequence[TensorName]], Spelt]
_INT = 3


def _number(attrs: Mapping[str, Attr], name: str, default: float = 0.0) -> float:
    value = attrs.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def _text(attrs: Mapping[str, Attr], name: str) -> str:
    value = attrs.get(name, b"")
    return value.decode() if isinstance(value, bytes) else ""


def fused_batch_norm(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``FusedBatchNorm``, V2, V3 and ``_FusedBatchNormEx`` (fused_batch_norm_op.cc).

    In training the variance of the batch divides by n where it normalises, and by n - 1 where it is handed on.
    """
    x, scale, offset, mean, variance, *side = inputs
    layout = _text(attrs, "data_format") or "NHWC"
    first = layout.startswith("NC")
    rank = len(layout)
    if first:
        x = _transposed(write, x, [0, *range(2, rank), 1])
    statistics = {1: mean, 2: variance, 3: mean, 4: variance}
    if attrs.get("is_training") is not False:
        axes = write.constant(list(range(rank - 1)), np.int32)
        batch_mean = write.mean(x, axes)
        centred = write.sub(x, batch_mean)
        biased = write.mean(write.mul(centred, centred), axes)
        mean, variance = _flat(write, batch_mean), _flat(write, biased)
        count = _rows(write, x, mean)
        rest = write.op("Maximum", write.sub(count, write.constant(1.0)), write.constant(1.0))
        unbiased = write.mul(variance, write.div(count, rest))
        factor = _number(attrs, "exponential_avg_factor", 1.0)
        moved = (mean, unbiased) if factor == 1.0 else _moved(write, factor, inputs[3:5], (mean, unbiased))
        statistics = {1: moved[0], 2: moved[1], 3: mean, 4: variance}
    spread = write.op("Rsqrt", write.add(variance, write.constant(_number(attrs, "epsilon", 1e-4))))
    y = write.add(write.mul(write.sub(x, mean), write.mul(spread, scale)), offset)
    if first:
        y = _transposed(write, y, [0, rank - 1, *range(1, rank - 1)])
    if side:
        y = write.add(y, side[0])
    if _text(attrs, "activation_mode") == "Relu":
        y = write.op("Relu", y)
    return {0: y, **statistics}


def _moved(
    write: Spelling, factor: float, old: Sequence[TensorName], new: Sequence[TensorName]
) -> tuple[TensorName, TensorName]:
    kept, taken = write.constant(1.0 - factor), write.constant(factor)
    mean, variance = (
        write.add(write.mul(kept, before), write.mul(taken, now))
        for before, now in zip(old, new, strict=True)
    )
    return mean, variance


def _transposed(write: Spelling, x: TensorName, order: Sequence[int]) -> TensorName:
    return write.op("Transpose", x, write.constant(list(order), np.int32), Tperm=DType(_INT))


def _flat(write: Spelling, x: TensorName) -> TensorName:
    return write.op("Reshape", x, write.constant([-1], np.int32), Tshape=DType(_INT))


def _size(write: Spelling, x: TensorName) -> TensorName:
    """How many elements ``x`` has, as float64."""
    return write.cast(write.op("Size", x, out_type=DType(_INT)), _INT)


def _rows(write: Spelling, x: TensorName, channel: TensorName) -> TensorName:
    return write.div(_size(write, x), _size(write, channel))


def old_batch_norm(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``BatchNormWithGlobalNormalization`` (batch_norm_op.cc)."""
    x, mean, variance, beta, gamma = inputs
    spread = write.op("Rsqrt", write.add(variance, write.constant(_number(attrs, "variance_epsilon"))))
    if attrs.get("scale_after_normalization") is True:
        spread = write.mul(spread, gamma)
    return {0: write.add(write.mul(write.sub(x, mean), spread), beta)}


def resize_bilinear(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``ResizeBilinear`` (resize_bilinear_op.cc, image_resizer_state.h): rows, then columns, each of two neighbours."""
    image, size = inputs
    shape = write.op("Shape", image, out_type=DType(_INT))
    for axis in (1, 2):
        image = _resized(
            write, attrs, image, _element(write, shape, axis), _element(write, size, axis - 1), axis
        )
    return {0: image}


def _element(write: Spelling, vector: TensorName, index: int) -> TensorName:
    """Element ``index`` of an int32 vector, as a scalar."""
    position, axis = write.constant(index, np.int32), write.constant(0, np.int32)
    return write.op(
        "GatherV2", vector, position, axis, Tparams=DType(_INT), Tindices=DType(_INT), Taxis=DType(_INT)
    )


def _resized(
    write: Spelling,
    attrs: Mapping[str, Attr],
    image: TensorName,
    given: TensorName,
    wanted: TensorName,
    axis: int,
) -> TensorName:
    one, zero, half = write.constant(1.0), write.constant(0.0), write.constant(0.5)
    old, new = write.cast(given, _INT), write.cast(wanted, _INT)
    scale = write.div(old, new)
    if attrs.get("align_corners") is True:
        ends = write.div(write.sub(old, one), write.op("Maximum", write.sub(new, one), one))
        single = write.op("LessEqual", new, one)
        scale = write.op("SelectV2", single, scale, ends)
    steps = write.op(
        "Range", write.constant(0, np.int32), wanted, write.constant(1, np.int32), Tidx=DType(_INT)
    )
    place = write.cast(steps, _INT)
    if attrs.get("half_pixel_centers") is True:
        place = write.sub(write.mul(write.add(place, half), scale), half)
    else:
        place = write.mul(place, scale)
    floor = write.op("Floor", place)
    last = write.sub(old, one)
    lower = write.op("Minimum", write.op("Maximum", floor, zero), last)
    upper = write.op("Maximum", write.op("Minimum", write.op("Ceil", place), last), zero)
    share = write.sub(place, floor)
    across = write.op(
        "Reshape", share, write.constant([-1, 1, 1] if axis == 1 else [-1, 1], np.int32), Tshape=DType(_INT)
    )
    low, high = (_gathered(write, image, rows, axis) for rows in (lower, upper))
    return write.add(low, write.mul(write.sub(high, low), across))


def _gathered(write: Spelling, image: TensorName, rows: TensorName, axis: int) -> TensorName:
    indices = write.cast(rows, DOUBLE, _INT)
    along = write.constant(axis, np.int32)
    types: dict[str, Attr] = {"Tparams": DType(DOUBLE), "Tindices": DType(_INT), "Taxis": DType(_INT)}
    return write.op("GatherV2", image, indices, along, **types)


def local_response(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``LRN`` (lrn_op.cc): squares are summed over ``2 * depth_radius + 1`` neighbouring channels."""
    (x,) = inputs
    radius = int(_number(attrs, "depth_radius", 5))
    squares = write.op(
        "Pad",
        write.mul(x, x),
        write.constant([[0, 0], [0, 0], [0, 0], [radius, radius]], np.int32),
        Tpaddings=DType(_INT),
    )
    shape = write.op("Shape", x, out_type=DType(_INT))
    windows = [
        write.op("Slice", squares, write.constant([0, 0, 0, start], np.int32), shape, Index=DType(_INT))
        for start in range(2 * radius + 1)
    ]
    total = write.op("AddN", *windows, N=len(windows))
    inner = write.add(
        write.constant(_number(attrs, "bias", 1.0)),
        write.mul(write.constant(_number(attrs, "alpha", 1.0)), total),
    )
    return {0: write.mul(x, write.op("Pow", inner, write.constant(-_number(attrs, "beta", 0.5))))}


def lstm_block_cell(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``LSTMBlockCell`` (rnn/lstm_ops.cc), gates in the order i, c, f, o.

    Outputs: input gate, cell, forget gate, output gate, cell input, tanh of the cell, h.
    """
    x, before, h_before, w, wci, wcf, wco, bias = inputs
    together = write.op("ConcatV2", x, h_before, write.constant(1, np.int32), N=2, Tidx=DType(_INT))
    gates = write.add(write.matmul(together, w), bias)
    i, c, f, o = _split(write, gates, 4)
    f = write.add(f, write.constant(_number(attrs, "forget_bias", 1.0)))
    peephole = attrs.get("use_peephole") is True
    if peephole:
        i, f = write.add(i, write.mul(before, wci)), write.add(f, write.mul(before, wcf))
    i, c, f = write.op("Sigmoid", i), write.op("Tanh", c), write.op("Sigmoid", f)
    cell = write.add(write.mul(c, i), write.mul(before, f))
    clip = _number(attrs, "cell_clip", 3.0)
    if clip > 0:
        cell = write.op("Maximum", write.op("Minimum", cell, write.constant(clip)), write.constant(-clip))
    o = write.op("Sigmoid", write.add(o, write.mul(cell, wco)) if peephole else o)
    squashed = write.op("Tanh", cell)
    return {0: i, 1: cell, 2: f, 3: o, 4: c, 5: squashed, 6: write.mul(squashed, o)}


def gru_block_cell(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``GRUBlockCell`` (rnn/gru_ops.cc). Outputs: reset gate, update gate, candidate, h."""
    x, before, w_ru, w_c, b_ru, b_c = inputs

    def joined(one: TensorName, other: TensorName) -> TensorName:
        return write.op("ConcatV2", one, other, write.constant(1, np.int32), N=2, Tidx=DType(_INT))

    gates = write.op("Sigmoid", write.add(write.matmul(joined(x, before), w_ru), b_ru))
    r, u = _split(write, gates, 2)
    candidate = write.matmul(joined(x, write.mul(r, before)), w_c)
    c = write.op("Tanh", write.add(candidate, b_c))
    h = write.add(write.mul(u, before), write.mul(write.sub(write.constant(1.0), u), c))
    return {0: r, 1: u, 2: c, 3: h}


def _split(write: Spelling, value: TensorName, parts: int) -> list[TensorName]:
    first = write.op("Split", write.constant(1, np.int32), value, num_split=parts)
    return [TensorName(first.node, port) for port in range(parts)]


def adjust_contrast(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``AdjustContrastv2`` (adjust_contrast_op.cc): each channel's distance from its mean, scaled."""
    images, factor = inputs
    mean = write.mean(images, write.constant([-3, -2], np.int32))
    return {0: write.add(write.mul(write.sub(images, mean), factor), mean)}


def remainder(write: Spelling, inputs: Sequence[TensorName]) -> Mapping[int, TensorName]:
    """``FloorMod``, ``Mod``, ``TruncateMod``: with the quotient of the float32 op, which is a whole number.

    ``inputs`` are x and y in float64, then x, y and the op's own answer as the graph has them, cast.
    """
    x, y, plain_x, plain_y, answer = inputs
    quotient = write.op("Rint", write.div(write.sub(plain_x, answer), plain_y))
    return {0: write.sub(x, write.mul(quotient, y))}


def fused_linear(write: Spelling, attrs: Mapping[str, Attr], inputs: Sequence[TensorName]) -> Spelt:
    """``_FusedConv2D``, ``_FusedDepthwiseConv2dNative`` and ``_FusedMatMul`` (conv_ops_fused_impl.h)."""
    fused = [each.decode() for each in listed(attrs.get("fused_ops")) or () if isinstance(each, bytes)]
    count = attrs.get("num_args")
    x, kernel, *rest = inputs
    if _text(attrs, "data_format") not in ("", "NHWC") or not isinstance(count, int) or len(rest) < count:
        return None
    y = _linear(write, attrs, x, kernel)
    for name in fused:
        if name == "BiasAdd":
            y = write.op("BiasAdd", y, rest.pop(0))
        elif name == "FusedBatchNorm":
            scale, offset, mean, variance, *rest = rest
            spread = write.op("Rsqrt", write.add(variance, write.constant(_number(attrs, "epsilon", 1e-4))))
            y = write.add(write.mul(write.sub(y, mean), write.mul(spread, scale)), offset)
        elif name == "Add":
            y = write.add(y, rest.pop(0))
        elif name == "LeakyRelu":
            y = write.op(name, y, alpha=_number(attrs, "leakyrelu_alpha", 0.2))
        elif name in ("Relu", "Relu6", "Elu", "Sigmoid", "Tanh"):
            y = write.op(name, y)
        else:
            return None
    return {0: y}


def _linear(write: Spelling, attrs: Mapping[str, Attr], x: TensorName, kernel: TensorName) -> TensorName:
    op = write.node.op.removeprefix("_Fused")
    wanted = ("transpose_a", "transpose_b") if op == "MatMul" else (
        "strides", "padding", "explicit_paddings", "dilations", "data_format",
    )  # fmt: skip
    return write.op(op, x, kernel, **{name: attrs[name] for name in wanted if name in attrs})


SPELT: Mapping[str, Speller] = {
    "FusedBatchNorm": fused_batch_norm,
    "FusedBatchNormV2": fused_batch_norm,
    "FusedBatchNormV3": fused_batch_norm,
    "_FusedBatchNormEx": fused_batch_norm,
    "BatchNormWithGlobalNormalization": old_batch_norm,
    "ResizeBilinear": resize_bilinear,
    "LRN": local_response,
    "LSTMBlockCell": lstm_block_cell,
    "GRUBlockCell": gru_block_cell,
    "AdjustContrastv2": adjust_contrast,
    "_FusedConv2D": fused_linear,
    "_FusedDepthwiseConv2dNative": fused_linear,
    "_FusedMatMul": fused_linear,
}
"""The ops that are written out, where TensorFlow has no kernel for them in float64."""
REMAINDERS = frozenset({"FloorMod", "Mod", "TruncateMod"})
