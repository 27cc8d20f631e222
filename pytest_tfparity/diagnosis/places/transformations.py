"""What nodes do to their data, told from their ops and constants: scale, reorder, pad, resize, turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...graph.graph import Array, Node, TensorName
from ...graph.live_graph import LiveGraph

_RESIZES = ("Resize", "ScaleAndTranslate", "CropAndResize", "QuantizedResize")
_DECODERS = ("Decode", "ExtractJpeg")
_SLIDES = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "Dilation2D", "Erosion2D", "ExtractImagePatches")

PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
AFFINE = frozenset({"Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "Neg", "Cast"})
COMPARES = frozenset(
    {
        "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "Maximum", "Minimum", "FloorMod",
        "FloorDiv", "OneHot",
    }
)  # fmt: skip
SCALES = frozenset({"Mul", "Div", "RealDiv"})
JOINS = frozenset({"Concat", "ConcatV2", "Pack"})
PARTS = frozenset({"Split", "SplitV", "Unpack"})
REVERSES = frozenset({"Reverse", "ReverseV2"})
FLATTENERS = frozenset({"Reshape"})
GATHERS = frozenset({"Gather", "GatherV2"})
TURNS = frozenset({"Transpose", "Reshape", "Identity", "Shape"})
"""What stands in a place that does nothing but exchange axes and flatten."""

SOFTMAX = frozenset(
    {
        "Softmax", "Exp", "Sum", "Max", "Sub", "Div", "RealDiv", "Reshape", "Shape", "Slice", "ConcatV2",
        "StridedSlice", "Pack", "Rank", "Identity", "Transpose",
    }
)  # fmt: skip
"""What a softmax may be spelt with, over whatever axis."""

ARRANGES = frozenset(
    {
        "Reshape", "ExpandDims", "Squeeze", "Cast", "Identity", "Shape", "Pack", "StridedSlice", "Fill",
        "BroadcastTo", "Tile", "ConcatV2", "Transpose", "Const", "BatchToSpaceND", "SpaceToBatchND",
    }
)  # fmt: skip
"""What only changes how numbers are arranged or stored: it may change none of them."""

ARRANGING_ATTRIBUTES = frozenset(
    {"data_format", "shrink_axis_mask", "begin_mask", "end_mask", "new_axis_mask"}
)
"""Attributes that say how numbers are arranged: with other inputs to match, another one may change none of them."""

_MOST_CHANNELS = 16
"""Up to so many indices may be an order of colour channels or bands; more are rows of a table."""


def resizes(node: Node) -> bool:
    """Whether ``node`` makes a picture larger or smaller."""
    return node.op.startswith(_RESIZES)


def decodes(node: Node) -> bool:
    """Whether ``node`` decodes a picture."""
    return node.op.startswith(_DECODERS)


def slides(node: Node) -> bool:
    """Whether ``node`` moves a window over its input, so that padding matters."""
    return node.op.startswith(_SLIDES)


def any_of(nodes: Iterable[Node], ops: frozenset[str]) -> bool:
    """Whether one of ``nodes`` has one of ``ops``."""
    return any(node.op in ops for node in nodes)


def factor_of(flow: LiveGraph, nodes: Sequence[Node]) -> float | None:
    """The one number that ``nodes`` multiply the data by; None if they do anything else."""
    if not nodes or any(node.op not in SCALES for node in nodes):
        return None
    factor = 1.0
    for node in nodes:
        values = [flow.constant(source) for source in node.inputs]
        single = [value for value in values if value is not None and value.size == 1]
        if len(single) != 1 or (node.op != "Mul" and values[1] is None):
            return None
        number = float(single[0].reshape(()))
        factor *= number if node.op == "Mul" else 1 / number if number else 0.0
    return factor


def computed_by(flow: LiveGraph, tensor: TensorName) -> Node | None:
    """The node that computes a tensor, behind all that only passes it on."""
    return flow.node(flow.source(tensor))


def permutes(values: Array) -> bool:
    """Whether these are the indices of some channels, each once."""
    plain = np.sort(np.asarray(values).reshape(-1))
    few = 2 <= plain.size <= _MOST_CHANNELS
    return plain.dtype.kind in "iu" and few and bool((plain == np.arange(plain.size)).all())


def reorders(flow: LiveGraph, nodes: Sequence[Node]) -> bool:
    """Whether nodes do nothing but put channels into another order."""
    ops = {node.op for node in nodes}
    if ops <= JOINS | PARTS and ops & JOINS and ops & PARTS:
        return True
    return bool(nodes) and all(_reorders(flow, node) for node in nodes)


def _reorders(flow: LiveGraph, node: Node) -> bool:
    if node.op in REVERSES:
        # ReverseV2 is told its axes, Reverse a flag for each of the four axes of a batch of pictures.
        axes = flow.constant(node.inputs[1])
        return axes is not None and axes.size in (1, 4)
    if node.op in GATHERS:
        indices = flow.constant(node.inputs[1])
        return indices is not None and permutes(indices)
    if node.op == "StridedSlice":
        strides = flow.constant(node.inputs[3])
        return strides is not None and bool((strides.reshape(-1) == -1).any())
    return False


def scales(flow: LiveGraph, nodes: Sequence[Node], *, single: bool = True) -> bool:
    """Whether nodes do nothing but scale and shift by constants, with ``single`` by one number each."""
    return all(node.op in AFFINE and _is_constant_step(flow, node, single=single) for node in nodes)


def _is_constant_step(flow: LiveGraph, node: Node, *, single: bool) -> bool:
    if node.op in ("Cast", "Neg"):
        return True
    values = [flow.constant(source) for source in node.inputs]
    return any(value is not None and (value.size == 1 or not single) for value in values)
