"""What nodes do to their data, told from ops and constants: scale, reorder, pad, resize; and for what that speaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...graph.align.divergence import Divergence, Kind
from ...graph.graph import Array, Node, TensorName
from ...graph.live_graph import LiveGraph

RESIZES = ("Resize", "ScaleAndTranslate", "CropAndResize", "QuantizedResize")
DECODERS = ("Decode", "ExtractJpeg")
PADS = frozenset({"Pad", "PadV2", "MirrorPad", "SpaceToBatchND"})
PADDED = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "Dilation2D", "Erosion2D", "ExtractImagePatches")
AFFINE = frozenset({"Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "Neg", "Cast"})
SCALES = frozenset({"Mul", "Div", "RealDiv"})
JOINS = frozenset({"Concat", "ConcatV2", "Pack"})
PARTS = frozenset({"Split", "SplitV", "Unpack"})
FLATTENERS = frozenset({"Reshape"})
GATHERS = frozenset({"Gather", "GatherV2"})
SOFTMAX = frozenset(
    {
        "Softmax", "Exp", "Sum", "Max", "Sub", "Div", "RealDiv", "Reshape", "Shape", "Slice", "ConcatV2",
        "StridedSlice", "Pack", "Rank", "Identity", "Transpose",
    }
)  # fmt: skip
# What only changes how numbers are arranged or stored may change none of them.
HARMLESS = frozenset(
    {
        "Reshape", "ExpandDims", "Squeeze", "Cast", "Identity", "Shape", "Pack", "StridedSlice", "Fill",
        "BroadcastTo", "Tile", "ConcatV2", "Transpose", "Const", "BatchToSpaceND", "SpaceToBatchND",
    }
)  # fmt: skip
HARMLESS_ATTRS = frozenset({"data_format", "shrink_axis_mask", "begin_mask", "end_mask", "new_axis_mask"})


def inner_cause(divergence: Divergence, first: bool) -> str:
    """The cause that a divergence inside a function speaks for; ``first``: before all weights."""
    ours, theirs = divergence.ops
    if divergence.kind is Kind.ATTRIBUTE and ours[0].startswith(DECODERS):
        return "decode-attr"
    if divergence.kind is Kind.ATTRIBUTE and ours[0].startswith(RESIZES):
        return "resize-attr"
    if divergence.kind is Kind.ATTRIBUTE and divergence.attribute in ("padding", "explicit_paddings"):
        return "padding"
    both = [any(op.startswith(RESIZES) for op in ops) for ops in divergence.ops]
    if divergence.kind is Kind.OP and all(both):
        return "resize-op"
    ops = {*ours, *theirs}
    if first and ops and ops <= {"ReverseV2", "Reverse"}:
        return "channel-order"
    if first and ops and ops <= AFFINE:
        return "input-scaling"
    if first and divergence.kind is Kind.CONSTANT:
        return "preprocess-const"
    if first and divergence.kind is Kind.ONLY_IN_REFERENCE:
        return "preprocess-missing"
    return general_cause(divergence)


def factor_of(flow: LiveGraph, nodes: list[Node]) -> float | None:
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


def general_cause(divergence: Divergence) -> str:
    """The cause of a divergence that speaks for nothing in particular."""
    general: Mapping[Kind, str] = {
        Kind.WIRING: "graph-wiring-differs",
        Kind.ONLY_IN_REFERENCE: "graph-op-missing",
    }
    return general.get(divergence.kind, "graph-op-differs")


def origin(flow: LiveGraph, tensor: TensorName) -> Node | None:
    """The node that computes a tensor, behind all that only passes it on."""
    return flow.node(flow.source(tensor))


def permutes(values: Array) -> bool:
    """Whether these are the indices of some channels, each once."""
    plain = np.sort(np.asarray(values).reshape(-1))
    return plain.dtype.kind in "iu" and 2 <= plain.size <= 16 and bool((plain == np.arange(plain.size)).all())


def reorders(flow: LiveGraph, nodes: list[Node]) -> bool:
    """Whether nodes do nothing but put channels into another order."""
    ops = {node.op for node in nodes}
    if ops <= JOINS | PARTS and ops & JOINS and ops & PARTS:
        return True

    def test(node: Node) -> bool:
        if node.op in ("ReverseV2", "Reverse"):
            axes = flow.constant(node.inputs[1])
            return axes is not None and axes.size in (1, 4)
        if node.op in GATHERS:
            indices = flow.constant(node.inputs[1])
            return indices is not None and permutes(indices)
        if node.op == "StridedSlice":
            strides = flow.constant(node.inputs[3])
            return strides is not None and bool((strides.reshape(-1) == -1).any())
        return False

    return all(map(test, nodes)) and bool(nodes)


def scales(flow: LiveGraph, nodes: list[Node], *, single: bool = True) -> bool:
    """Whether nodes do nothing but scale and shift by constants, with ``single`` by one number each."""
    for node in nodes:
        if node.op not in AFFINE:
            return False
        values = [flow.constant(source) for source in node.inputs]
        if node.op not in ("Cast", "Neg") and not any(
            v is not None and (v.size == 1 or not single) for v in values
        ):
            return False
    return True
