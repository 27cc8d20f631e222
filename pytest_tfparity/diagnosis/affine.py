"""What happens to the input on its way to the first layer, where that is one straight line."""

from __future__ import annotations

from typing import TypeAlias

from ..graph.graph import TensorName
from ..graph.live_graph import LiveGraph
from .alignment import alignment, counterpart
from .evidence import Evidence
from .flow import export_flow, reference_flow
from .scopes import weighted

Line: TypeAlias = "tuple[float, float]"
"""Slope and shift."""

# Ops that move numbers about, or mix neighbours with weights that sum to 1: a straight line stays one.
_KEEPS = frozenset(
    {
        "Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose", "ReverseV2", "Slice", "StridedSlice",
        "ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor", "ResizeArea", "Gather", "GatherV2",
    }
)  # fmt: skip


def first_layer_map(evidence: Evidence) -> Line | None:
    """The first layer's input in the export as a line of that in the reference; None if it is no such line."""
    flows = evidence[reference_flow], evidence[export_flow]
    for name, node in flows[0].nodes.items():
        partner = evidence[alignment].nodes.get(name)
        theirs = flows[1].nodes.get(partner) if partner is not None else None
        if name not in evidence[weighted][0] or theirs is None or not node.inputs:
            continue
        if flows[0].source(node.inputs[0]).node in evidence[weighted][0]:
            continue
        (slope, shift, start), (other_slope, other_shift, other_start) = (
            _line(flow, reader.inputs[0]) for flow, reader in zip(flows, (node, theirs), strict=True)
        )
        if slope == 0 or counterpart(evidence, start) != other_start:
            return None
        line = other_slope / slope, other_shift - other_slope / slope * shift
        return None if line == (1.0, 0.0) else line
    return None


def _line(flow: LiveGraph, tensor: TensorName) -> tuple[float, float, TensorName]:
    """``tensor`` as slope * start + shift, where start is as far up as it is such a line."""
    slope, shift = 1.0, 0.0
    while True:
        tensor = flow.source(tensor)
        node = flow.node(tensor)
        if node is None:
            return slope, shift, tensor
        if node.op in _KEEPS:
            tensor = node.inputs[0]
            continue
        values = [flow.constant(source) for source in node.inputs]
        single = [index for index, value in enumerate(values) if value is not None and value.size == 1]
        if len(single) != 1 or len(values) != 2:
            return slope, shift, tensor
        held = values[single[0]]
        assert held is not None
        number = float(held.reshape(()))
        if node.op == "Mul":
            slope *= number
        elif node.op in ("Add", "AddV2"):
            shift += slope * number
        elif node.op == "Sub" and single[0] == 1:
            shift -= slope * number
        elif node.op == "Sub":
            slope, shift = -slope, shift + slope * number
        elif node.op in ("RealDiv", "Div") and single[0] == 1 and number:
            slope /= number
        else:
            return slope, shift, tensor
        tensor = node.inputs[1 - single[0]]
