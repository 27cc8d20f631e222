"""What nodes do to their data, told from their ops and constants: scale, reorder, pad, resize, turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...graph import ops
from ...graph.graph import Array, Node, TensorName
from ...graph.live_graph import LiveGraph

_RESIZES = ("Resize", "ScaleAndTranslate", "CropAndResize", "QuantizedResize")
_DECODERS = ("Decode", "ExtractJpeg")
_SLIDES = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "Dilation2D", "Erosion2D", "ExtractImagePatches")

AFFINE = ops.SUMS | ops.PRODUCTS | {"Neg", "Cast"}
COMPARES = ops.INEQUALITIES | {"Equal", "NotEqual", "Maximum", "Minimum", "FloorMod", "FloorDiv", "OneHot"}
FLATTENERS = frozenset({"Reshape"})
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


ACTIVATIONS = frozenset(
    {
        "Relu",
        "Relu6",
        "Elu",
        "Selu",
        "LeakyRelu",
        "Tanh",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "MaxPool",
        "AvgPool",
    }
)
"""Ops none of which computes what another one of them does."""

_NUMBERS: Mapping[str, tuple[int, ...]] = {
    "Fill": (1,), "Transpose": (1,), "TopKV2": (1,), "OneHot": (1, 2, 3), "SpaceToBatchND": (1, 2),
    "BatchToSpaceND": (1, 2), **dict.fromkeys(ops.PADS, (1,)),
    **{f"NonMaxSuppressionV{version}": (2,) for version in (2, 3, 4, 5)}, "NonMaxSuppression": (2,),
}  # fmt: skip
"""Which inputs of an op are integers that mean one thing, unlike a shape (-1: any size) or an axis (-1: the last)."""


def takes_numbers(node: Node, position: int) -> bool:
    """Whether another integer at an input of ``node`` is another computation, whatever the shapes are."""
    return node.op in AFFINE | COMPARES or position in _NUMBERS.get(node.op, ())


def changes_nothing(flow: LiveGraph, node: Node) -> bool:
    """Whether ``node`` adds 0, subtracts 0, or multiplies or divides by 1."""
    neutral = 1.0 if node.op in ops.PRODUCTS else 0.0 if node.op in AFFINE else None
    second = [flow.constant(source) for source in node.inputs[1:]]
    first = (
        [flow.constant(source) for source in node.inputs[:1]] if node.op in ("Add", "AddV2", "Mul") else []
    )
    return neutral is not None and any(
        each is not None and each.size > 0 and bool((each == neutral).all()) for each in (*first, *second)
    )


def resizes(node: Node) -> bool:
    """Whether ``node`` makes a picture larger or smaller."""
    return node.op.startswith(_RESIZES)


def decodes(node: Node) -> bool:
    """Whether ``node`` decodes a picture."""
    return node.op.startswith(_DECODERS)


def slides(node: Node) -> bool:
    """Whether ``node`` moves a window over its input, so that padding matters."""
    return node.op.startswith(_SLIDES)


def any_of(nodes: Iterable[Node], wanted: frozenset[str]) -> bool:
    """Whether one of ``nodes`` has one of the ops ``wanted``."""
    return any(node.op in wanted for node in nodes)


def factor_of(flow: LiveGraph, nodes: Sequence[Node]) -> float | None:
    """The one number that ``nodes`` multiply the data by; None if they do anything else."""
    if not nodes or any(node.op not in ops.PRODUCTS for node in nodes):
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
    found = {node.op for node in nodes}
    if found <= ops.JOINS | ops.SPLITS and found & ops.JOINS and found & ops.SPLITS:
        return True
    return bool(nodes) and all(_reorders(flow, node) for node in nodes)


def _reorders(flow: LiveGraph, node: Node) -> bool:
    if node.op in ops.REVERSES:
        # ReverseV2 is told its axes, Reverse a flag for each of the four axes of a batch of pictures.
        axes = flow.constant(node.inputs[1])
        return axes is not None and axes.size in (1, 4)
    if node.op in ops.GATHERS:
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
