"""The way of the input to the first layer with weights: what lies on it, and the straight line that it may be."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..graph import ops
from ..graph.align.divergence import Divergence, Kind
from ..graph.graph import Array, Node, TensorName
from ..graph.live_graph import LiveGraph
from .alignment import alignment, counterpart, reference_of
from .evidence import Evidence, ReferenceEvidence
from .needed import export_flow, reference_flow
from .places.weights import export_constants, held_weights
from .query import query, reference_query

Line: TypeAlias = "tuple[float, float]"
"""Slope and shift."""

_KEEPS = ops.RESHAPES | ops.GATHERS | ops.REVERSES | {
    "Cast", "Transpose", "Slice", "StridedSlice",
    "ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor", "ResizeArea",
}  # fmt: skip
"""Ops that move numbers about, or mix neighbours with weights that sum to 1: a straight line stays one."""


def before_weights(evidence: Evidence, divergence: Divergence) -> bool:
    """Whether a divergence lies between a fed input and the first layer that reads restored weights."""
    reference, export = set(divergence.reference), set(divergence.export)
    if divergence.kind is Kind.CONSTANT:
        reference, export = set(), set(divergence.readers)
    if reference & evidence[reference_after_weights] or export & evidence[export_after_weights]:
        return False
    return bool(evidence[reference_after_weights]) and (
        bool(reference or export) or divergence.kind is Kind.CONSTANT
    )


@reference_query
def reference_after_weights(evidence: ReferenceEvidence) -> frozenset[str]:
    """The nodes of the reference that depend on weights, restored ones or such as its graph holds."""
    return _dependent(evidence[reference_flow], {**evidence.reference.variables, **evidence[held_weights]})


@query
def export_after_weights(evidence: Evidence) -> frozenset[str]:
    """The nodes of the export that depend on constants in the place of restored weights."""
    after = evidence[reference_after_weights]
    held = [name for name in evidence[export_constants] if evidence[reference_of].get(name) in after]
    return _dependent(evidence[export_flow], held)


@query
def export_after_inputs(evidence: Evidence) -> frozenset[str]:
    """The nodes of the export that depend on values of its inputs, not only on their shapes."""
    return after_inputs(evidence[export_flow], (tensor.node for tensor in evidence.export.inputs))


def after_inputs(flow: LiveGraph, inputs: Iterable[str]) -> frozenset[str]:
    """The nodes that depend on values of ``inputs``, these included, not only on their shapes."""
    return _dependent(flow, inputs, past=ops.OF_SHAPE)


def _dependent(flow: LiveGraph, first: Iterable[str], past: Collection[str] = frozenset()) -> frozenset[str]:
    """The nodes that depend on one of ``first``, these included; not through ops of ``past``."""
    found = {name for name in first if name in flow.nodes or name in flow.readers}
    stack = list(found)
    while stack:
        for reader in flow.readers.get(stack.pop(), ()):
            if reader not in found and flow.nodes[reader].op not in past:
                found.add(reader)
                stack.append(reader)
    return frozenset(found)


@query
def first_layer_map(evidence: Evidence) -> Line | None:
    """The first layer's input in the export as a line of that in the reference; None if it is no such line."""
    flows = evidence[reference_flow], evidence[export_flow]
    for name, node in flows[0].nodes.items():
        partner = flows[1].nodes.get(evidence[alignment].nodes.get(name, ""))
        if name not in evidence[reference_after_weights] or partner is None or not node.inputs:
            continue
        if flows[0].source(node.inputs[0]).node in evidence[reference_after_weights]:
            continue
        (slope, shift, start), (other_slope, other_shift, other_start) = (
            _line(flow, reader.inputs[0]) for flow, reader in zip(flows, (node, partner), strict=True)
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
        step = _step(flow, node)
        if step is None:
            return slope, shift, tensor
        tensor = step.varying
        slope, shift = slope * step.factor / step.divisor, shift + slope * step.added


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A node that gives ``factor * varying / divisor + added``."""

    varying: TensorName
    factor: float = 1.0
    divisor: float = 1.0
    added: float = 0.0


def _step(flow: LiveGraph, node: Node) -> _Step | None:
    """What a node does to its one varying input; None if that is no line."""
    numbers = [_number(flow.constant(source)) for source in node.inputs]
    if len(numbers) != 2:
        return None
    first, second = numbers
    if first is None and second is not None:
        return _right_operand(node.op, node.inputs[0], second)
    if first is not None and second is None:
        return _left_operand(node.op, first, node.inputs[1])
    return None


def _number(value: Array | None) -> float | None:
    return (
        float(value.reshape(()))
        if value is not None and value.size == 1 and value.dtype.kind in "fiu"
        else None
    )


def _right_operand(op: str, varying: TensorName, number: float) -> _Step | None:
    """``varying op number``."""
    if op in ("RealDiv", "Div") and number:
        return _Step(varying=varying, divisor=number)
    return _Step(varying=varying, added=-number) if op == "Sub" else _either_operand(op, varying, number)


def _left_operand(op: str, number: float, varying: TensorName) -> _Step | None:
    """``number op varying``."""
    if op == "Sub":
        return _Step(varying=varying, factor=-1.0, added=number)
    return _either_operand(op, varying, number)


def _either_operand(op: str, varying: TensorName, number: float) -> _Step | None:
    if op == "Mul":
        return _Step(varying=varying, factor=number)
    return _Step(varying=varying, added=number) if op in ("Add", "AddV2") else None
