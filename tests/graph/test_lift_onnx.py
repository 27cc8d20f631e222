"""ONNX's operators as TensorFlow ops: what TensorFlow computes of the translation is what ONNX Runtime answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.onnx_files import Op, write_onnx
from pytest_tfparity.formats.onnx_model import OnnxFile
from pytest_tfparity.graph.graph import TensorName

pytest.importorskip("tensorflow")
pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(2)
Y = TensorName("y", 0)
IMAGE = (-1, 4, 9, 8)
"""An image of ONNX: batch, channels, rows, columns."""


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def opened(
    folder: Path,
    ops: Sequence[Op],
    constants: Mapping[str, np.ndarray],
    dims: Sequence[int],
    opset: int,
    output: str = "y",
) -> OnnxFile:
    return OnnxFile(write_onnx(folder / "m.onnx", ops, constants, {"x": dims}, [output], opset=opset))


def computed(model: OnnxFile, dims: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """What ONNX Runtime answers and what TensorFlow computes of the translation, on one random input."""
    sizes = [3 if size < 0 else size for size in dims]
    feeds = {"x": np.random.default_rng(7).normal(size=sizes).astype(np.float32)}
    return model.run(feeds, ["y"])["y"], model.translated(feeds, [Y])[Y]


def of(model: OnnxFile) -> set[str]:
    plain = {"Const", "Placeholder", "Identity"}
    return {node.op for node in model.graph.nodes.values()} - plain


CASES: Mapping[str, tuple[str, Mapping[str, Any], Sequence[np.ndarray], Sequence[int], int, set[str]]] = {
    # name: operator, attributes, constants behind the input, its shape, opset, ops of the translation
    "conv": (
        "Conv",
        {"pads": [1, 1, 1, 1]},
        [floats(5, 4, 3, 3), floats(5)],
        IMAGE,
        17,
        {"BiasAdd", "Conv2D"},
    ),
    "conv of stride 2": (
        "Conv",
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        [floats(5, 4, 3, 3)],
        IMAGE,
        17,
        {"Conv2D"},
    ),
    "conv padded at the front": (
        "Conv",
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        [floats(5, 4, 3, 3)],
        IMAGE,
        17,
        {"Conv2D", "Pad"},
    ),
    "conv that is dilated": (
        "Conv",
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
        [floats(5, 4, 3, 3)],
        IMAGE,
        17,
        {"Conv2D"},
    ),
    "depthwise": (
        "Conv",
        {"group": 4, "pads": [1, 1, 1, 1]},
        [floats(8, 1, 3, 3)],
        IMAGE,
        17,
        {"DepthwiseConv2dNative"},
    ),
    "conv of groups": ("Conv", {"group": 2}, [floats(6, 2, 3, 3)], IMAGE, 17, {"Conv2D"}),
    "conv1d": (
        "Conv",
        {"pads": [1, 1]},
        [floats(5, 4, 3)],
        (-1, 4, 9),
        17,
        {"Conv2D", "ExpandDims", "Squeeze"},
    ),
    "conv3d": ("Conv", {}, [floats(5, 4, 2, 2, 2)], (-1, 4, 5, 5, 5), 17, {"Conv3D"}),
    "transposed": (
        "ConvTranspose",
        {"strides": [2, 2], "pads": [0, 0, 1, 1]},
        [floats(4, 3, 3, 3), floats(3)],
        IMAGE,
        17,
        {"Conv2DBackpropInput", "BiasAdd", "Pack", "Shape", "StridedSlice"},
    ),
    "batch norm": (
        "BatchNormalization",
        {"epsilon": 0.01},
        [floats(4), floats(4), floats(4), floats(4) ** 2],
        IMAGE,
        15,
        {"FusedBatchNormV3"},
    ),
    "batch norm of rows": (
        "BatchNormalization",
        {},
        [floats(4), floats(4), floats(4), floats(4) ** 2],
        (-1, 4),
        15,
        {"AddV2", "Mul", "Rsqrt", "Sub"},
    ),
    "max pool": (
        "MaxPool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 0, 1]},
        [],
        IMAGE,
        17,
        {"MaxPool", "PadV2"},
    ),
    "average of what is there": (
        "AveragePool",
        {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        [],
        IMAGE,
        17,
        {"AvgPool"},
    ),
    "average of zeros too": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 0, 0, 1], "count_include_pad": 1},
        [],
        IMAGE,
        17,
        {"AvgPool", "Pad"},
    ),
    "gemm": (
        "Gemm",
        {"transB": 1, "alpha": 0.5, "beta": 2.0},
        [floats(3, 6), floats(3)],
        (-1, 6),
        17,
        {"BiasAdd", "MatMul", "Mul"},
    ),
    "matmul": ("MatMul", {}, [floats(6, 3)], (-1, 6), 17, {"MatMul"}),
    "matmul of batches": ("MatMul", {}, [floats(6, 3)], (-1, 5, 6), 17, {"BatchMatMulV2"}),
    "layer norm": (
        "LayerNormalization",
        {},
        [floats(6), floats(6)],
        (-1, 5, 6),
        17,
        {"Mean", "SquaredDifference", "AddV2", "Rsqrt", "Mul", "Sub"},
    ),
    "softmax": ("Softmax", {}, [], (-1, 5, 6), 13, {"Softmax"}),
    "softmax of another axis": ("Softmax", {"axis": 1}, [], (-1, 5, 6), 13, {"Softmax", "Transpose"}),
    "softmax of old": ("Softmax", {}, [], (-1, 5, 6), 11, {"Softmax", "Reshape"}),
    "clip": ("Clip", {}, [np.float32(0.0), np.float32(6.0)], (-1, 5), 13, {"Relu6"}),
    "clip of old": ("Clip", {"min": -0.5, "max": 0.5}, [], (-1, 5), 6, {"Minimum", "Maximum"}),
    "prelu": ("PRelu", {}, [floats(4, 1, 1)], IMAGE, 16, {"Relu", "Neg", "Mul", "AddV2", "Transpose"}),
    "leaky": ("LeakyRelu", {"alpha": 0.3}, [], (-1, 5), 16, {"LeakyRelu"}),
    "hard sigmoid": ("HardSigmoid", {"alpha": 1 / 6}, [], (-1, 5), 16, {"AddV2", "Relu6", "Mul"}),
    "hard swish": ("HardSwish", {}, [], (-1, 5), 16, {"AddV2", "Relu6", "Mul"}),
    "gelu": ("Gelu", {"approximate": "tanh"}, [], (-1, 5), 20, {"AddV2", "Pow", "Tanh", "Mul"}),
    "mean": ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, [], IMAGE, 17, {"Mean"}),
    "sum": ("ReduceSum", {"keepdims": 1}, [np.int64([1])], IMAGE, 17, {"Sum"}),
    "pad": ("Pad", {}, [np.int64([0, 0, 1, 0, 0, 0, 2, 1]), np.float32(1.5)], IMAGE, 17, {"PadV2"}),
    "reflected": ("Pad", {"mode": "reflect"}, [np.int64([0, 0, 1, 0, 0, 0, 2, 1])], IMAGE, 17, {"MirrorPad"}),
    "slice": (
        "Slice",
        {},
        [np.int64([1, -3]), np.int64([3, 1 << 40]), np.int64([1, 2]), np.int64([1, 2])],
        IMAGE,
        17,
        {"StridedSlice"},
    ),
    "slice backwards": (
        "Slice",
        {},
        [
            np.int64([-1, 3, 1 << 40]),
            np.int64([-(1 << 40), 0, -2]),
            np.int64([1, 2, 3]),
            np.int64([-1, -2, -1]),
        ],
        IMAGE,
        17,
        {"StridedSlice"},
    ),
    "slice of nothing": (
        "Slice",
        {},
        [np.int64([1 << 40]), np.int64([1 << 41]), np.int64([2])],
        IMAGE,
        17,
        {"StridedSlice"},
    ),
    "gather": ("Gather", {"axis": 1}, [np.int64([2, 0])], IMAGE, 17, {"GatherV2"}),
    "squeeze": ("Squeeze", {}, [np.int64([1])], (-1, 1, 5), 17, {"Squeeze"}),
    "unsqueeze": ("Unsqueeze", {}, [np.int64([1, 3])], (-1, 5), 17, {"ExpandDims"}),
    "flatten": ("Flatten", {"axis": 2}, [], IMAGE, 17, {"Reshape"}),
    "reshape with zeros": ("Reshape", {}, [np.int64([0, 0, -1])], IMAGE, 17, {"Reshape"}),
    "tile": ("Tile", {}, [np.int64([1, 2])], (-1, 5), 17, {"Tile"}),
    "expand": (
        "Expand",
        {},
        [np.int64([1, 4, 5])],
        (-1, 1, 5),
        17,
        {"BroadcastTo", "BroadcastArgs", "Shape"},
    ),
    "cast to what it is": ("Cast", {"to": 1}, [], (-1, 5), 17, set()),
    "deeper": ("SpaceToDepth", {"blocksize": 2}, [], (-1, 4, 8, 8), 17, {"SpaceToDepth"}),
    "wider": ("DepthToSpace", {"blocksize": 2}, [], IMAGE, 17, {"DepthToSpace"}),
    "bilinear": (
        "Resize",
        {"mode": "linear"},
        [floats(0), np.float32([1, 1, 2, 1.5])],
        IMAGE,
        13,
        {"ResizeBilinear"},
    ),
    "bilinear of corners": (
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        [floats(0), np.float32([1, 1, 2, 2])],
        IMAGE,
        13,
        {"ResizeBilinear"},
    ),
    "bicubic": (
        "Resize",
        {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
        [floats(0), np.float32([1, 1, 2, 2])],
        IMAGE,
        13,
        {"ResizeBicubic"},
    ),
    "nearest": (
        "Resize",
        {"mode": "nearest"},
        [floats(0), np.float32([1, 1, 3, 2])],
        IMAGE,
        13,
        {"ResizeNearestNeighbor"},
    ),
    "nearest of halves": (
        "Resize",
        {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
        [floats(0), np.float32([1, 1, 0.5, 0.5])],
        IMAGE,
        13,
        {"ResizeNearestNeighbor"},
    ),
    "nearest of old": (
        "Resize",
        {"mode": "nearest"},
        [np.float32([1, 1, 2, 2])],
        IMAGE,
        10,
        {"ResizeNearestNeighbor"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_in_tensorflow_what_it_does_in_onnx_runtime(tmp_path: Path, name: str) -> None:
    op, attrs, constants, dims, opset, expected = CASES[name]
    named = {f"c{index}": value for index, value in enumerate(constants)}
    inputs = ["x", *named]
    first = (
        len(dims) if op in ("Conv", "MaxPool", "AveragePool", "Resize", "BatchNormalization", "PRelu") else 0
    )
    model = opened(tmp_path, [Op(op, inputs, ["y"], attrs)], named, dims, opset)
    assert not model.lifted.opaque
    turned = {"Transpose"} if first > 2 or op in ("ConvTranspose", "SpaceToDepth", "DepthToSpace") else set()
    assert of(model) - turned == expected - turned
    answer, translated = computed(model, dims)
    assert translated.shape == answer.shape
    np.testing.assert_allclose(translated, answer, atol=2e-5, rtol=1e-5)


def test_an_image_stays_with_its_channels_last_through_all_that_keeps_axes(tmp_path: Path) -> None:
    ops = [
        Op("Transpose", ["x"], ["first"], {"perm": [0, 3, 1, 2]}),
        Op("Conv", ["first", "kernel"], ["conv"], {"pads": [1, 1, 1, 1]}),
        Op("Add", ["conv", "offset"], ["moved"]),
        Op("Sigmoid", ["moved"], ["gate"]),
        Op("Mul", ["moved", "gate"], ["swish"]),
        Op("Concat", ["swish", "first"], ["joined"], {"axis": 1}),
        Op("ReduceMax", ["joined"], ["peak"], {"axes": [1], "keepdims": 1}),
        Op("Sub", ["joined", "peak"], ["below"]),
        Op("Transpose", ["below"], ["y"], {"perm": [0, 2, 3, 1]}),
    ]
    constants = {"kernel": floats(5, 3, 3, 3), "offset": floats(1, 5, 1, 1)}
    model = opened(tmp_path, ops, constants, (-1, 6, 7, 3), 17)
    assert of(model) == {"Conv2D", "BiasAdd", "Sigmoid", "Mul", "ConcatV2", "Max", "Sub"}
    shapes = [value.attrs["value"].shape for value in model.graph.nodes.values() if value.op == "Const"]
    assert (5,) in shapes
    answer, translated = computed(model, (-1, 6, 7, 3))
    np.testing.assert_allclose(translated, answer, atol=1e-5)


def test_a_shape_that_is_computed_from_the_batch_is_followed(tmp_path: Path) -> None:
    ops = [
        Op("Shape", ["x"], ["shape"]),
        Op("Gather", ["shape", "zero"], ["rows"]),
        Op("Unsqueeze", ["rows", "zeros"], ["batch"]),
        Op("Concat", ["batch", "rest"], ["to"], {"axis": 0}),
        Op("Reshape", ["x", "to"], ["flat"]),
        Op("MatMul", ["flat", "kernel"], ["y"]),
    ]
    constants = {
        "zero": np.int64(0),
        "zeros": np.int64([0]),
        "rest": np.int64([6]),
        "kernel": floats(6, 3),
    }
    model = opened(tmp_path, ops, constants, (-1, 2, 3), 17)
    assert of(model) == {"Shape", "StridedSlice", "Pack", "Reshape", "MatMul"}
    answer, translated = computed(model, (-1, 2, 3))
    np.testing.assert_allclose(translated, answer, atol=1e-5)


def test_quantised_weights_and_activations_are_real_numbers_on_grids(tmp_path: Path) -> None:
    ops = [
        Op("QuantizeLinear", ["x", "in_scale", "in_zero"], ["q"]),
        Op("DequantizeLinear", ["q", "in_scale", "in_zero"], ["real"]),
        Op("DequantizeLinear", ["w", "w_scale", "w_zero"], ["kernel"], {"axis": 1}),
        Op("MatMul", ["real", "kernel"], ["product"]),
        Op("QuantizeLinear", ["product", "out_scale", "out_zero"], ["p"]),
        Op("DequantizeLinear", ["p", "out_scale", "out_zero"], ["y"]),
    ]
    constants = {
        "in_scale": np.float32(0.02),
        "in_zero": np.uint8(128),
        "w": RNG.integers(-127, 128, (6, 3)).astype(np.int8),
        "w_scale": np.float32([0.01, 0.02, 0.005]),
        "w_zero": np.zeros(3, np.int8),
        "out_scale": np.float32(0.05),
        "out_zero": np.uint8(120),
    }
    model = opened(tmp_path, ops, constants, (-1, 6), 17)
    assert not model.lifted.opaque
    (held,) = [stored for stored in model.lifted.stored.values() if stored.grid is not None]
    assert (held.type, held.grid.per_channel, held.grid.scale.shape) == ("int8", True, (1, 3))
    assert model.output_step("y") == pytest.approx(0.05)
    answer, translated = computed(model, (-1, 6))
    assert np.abs(answer - translated).max() <= 0.05 + 1e-6


def test_what_is_not_known_is_an_op_of_its_own_and_the_rest_is_lifted(tmp_path: Path) -> None:
    ops = [
        Op("Relu", ["x"], ["r"]),
        Op("Lp", ["r"], ["n"], {}, "norm", "other"),
        Op("Tanh", ["n"], ["y"]),
    ]
    model = opened(tmp_path, ops, {}, (-1, 6), 17)
    assert model.lifted.opaque == {"norm": "other.Lp"}
    assert of(model) == {"Relu", "ONNX.other.Lp", "Tanh"}


@pytest.mark.parametrize(
    "op",
    [
        Op("MaxPool", ["x"], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        Op("AveragePool", ["x"], ["y"], {"kernel_shape": [3, 3], "pads": [1, 0, 0, 1]}),
        Op("Resize", ["x", "", "c"], ["y"], {"mode": "nearest", "nearest_mode": "ceil"}),
        Op("Elu", ["x"], ["y"], {"alpha": 0.5}),
        Op("Pad", ["x"], ["y"], {"mode": "edge", "pads": [0] * 8}),
    ],
    ids=lambda op: op.op,
)
def test_an_operator_that_tensorflow_computes_otherwise_is_left_as_it_is(tmp_path: Path, op: Op) -> None:
    model = opened(tmp_path, [op], {"c": np.float32([1, 1, 0.5, 0.5])}, IMAGE, 13)
    assert list(model.lifted.opaque.values()) == [op.op]
