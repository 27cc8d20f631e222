"""Repairs of one batch norm: computed as the reference does, with the weights that the export has in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...graph import ops
from ...graph.batch_norm.find import BatchNorm, find_batch_norms
from ...graph.batch_norm.fold import Linear, fold_candidates
from ...graph.batch_norm.pairs import BatchNormPair, pair_batch_norms
from ...graph.edit.repair import (
    Constant,
    Feed,
    Graft,
    Repair,
    Rewrite,
    Ungraftable,
    constant_node,
    tensor_of_array,
)
from ...graph.graph import Node, Tensor, TensorName
from ...graph.live_graph import LiveGraph
from ...graph.proof.proof import Side
from ...graph.read.tensors import values
from ..alignment import reference_of
from ..arrays import informative
from ..evidence import Evidence, ReferenceEvidence
from ..needed import export_flow, live_export, reference_flow, taken_reference
from ..query import query, reference_query


def norm_as_reference(evidence: Evidence, reference: BatchNorm, export: BatchNorm) -> Repair:
    """Compute ``export`` as ``reference``, from its own input and its own weights on.

    Weights that the export lacks are the reference's, so that a fault of the others stays to be seen.
    """
    edges = {reference.input: export.input}
    constants: list[Rewrite] = []
    for right, held in zip(reference.weights, export.weights, strict=True):
        if right is None or held is None:
            continue
        place = _in_shape(evidence, right, held, constants)
        if place is not None:
            edges[TensorName(right, 0)] = TensorName(place, 0)
    return (*constants, norm_graft(evidence, export.output, reference, edges))


def norms_as_reference(evidence: Evidence, pairs: Sequence[BatchNormPair]) -> Repair:
    """Each computed as the reference does."""
    return tuple(edit for pair in pairs for edit in norm_as_reference(evidence, pair.reference, pair.export))


def norm_graft(
    evidence: Evidence, export: TensorName, norm: BatchNorm, edges: Mapping[TensorName, TensorName]
) -> Graft:
    """Compute ``export`` as the reference's batch norm ``norm``; ``edges`` say from which tensors on."""
    return Graft(
        export=export,
        reference=TensorName(norm.node, 0),
        at=_boundary(evidence[reference_flow], edges),
        graph=evidence[taken_reference],
    )


def _boundary(
    flow: LiveGraph, edges: Mapping[TensorName, TensorName]
) -> Callable[[TensorName], TensorName | None]:
    """The edge at which a tensor of the reference is one of ``edges``, seen through what passes it on.

    Inside a loop a tensor from without is seen as itself, so that its ``Enter`` is copied.
    """

    def at(tensor: TensorName) -> TensorName | None:
        for _ in range(len(flow.nodes)):
            if tensor in edges:
                return edges[tensor]
            node = flow.node(tensor)
            if node is None or node.op in ops.ENTERS:
                return None
            onward = flow.step(node, tensor)
            if onward is None:
                return None
            tensor = onward
        return None

    return at


def _in_shape(evidence: Evidence, right: str, held: str, constants: list[Rewrite]) -> str | None:
    """The export's weight ``held``, in the shape of the reference's ``right``; None if it does not fit."""
    reference, export = evidence.reference.value(right), evidence.export.value(held)
    if reference is None or export is None or reference.shape == export.shape:
        return held
    if int(np.prod(reference.shape)) != int(np.prod(export.shape)):
        return None
    name = free_name(evidence, f"{held}/reshaped")
    reshaped = tensor_of_array(values(export).reshape(reference.shape), export.dtype)
    constants.append(Rewrite(node=constant_node(name, reshaped)))
    return name


def free_name(evidence: Evidence, name: str, taken: Iterable[str] = ()) -> str:
    """``name``, with a number if the export has such a node already."""
    candidate, number = name, 0
    while candidate in evidence.export.graph.nodes or candidate in taken:
        number += 1
        candidate = f"{name}_repaired_{number}"
    return candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What puts batch norms into another mode: ``node`` of the export, held at ``value``."""

    node: str
    placeholder: bool
    value: bool | int | float
    repair: Repair


def switched(evidence: Evidence, decider: str, norms: Sequence[BatchNorm]) -> Switched | None:
    """The value of ``decider``, a placeholder or constant, with which ``norms`` run in inference mode."""
    node = evidence.export.graph.nodes.get(decider)
    if node is None:
        return None
    for value in (False, True):
        repair, held = _held(node, value)
        if repair and _infers(evidence, repair, norms):
            return Switched(node=decider, placeholder=node.op != "Const", value=held, repair=repair)
    return None


def _held(node: Node, value: bool) -> tuple[Repair, bool | int | float]:
    if node.op == "Const":
        held = node.attrs.get("value")
        if not isinstance(held, Tensor) or held.shape != () or held.array.dtype.kind not in "bif":
            return (), value
        if bool(held.array) == value:
            return (), value
        array = np.asarray(value, held.array.dtype)
        return (Constant(node=node.name, value=tensor_of_array(array, held.dtype)),), array.item()
    if node.op not in ops.INPUTS:
        return (), value
    dtype = getattr(node.attrs.get("dtype"), "number", 10)
    kind = {10: np.bool_, 1: np.float32, 3: np.int32, 9: np.int64}.get(dtype, np.bool_)
    array = np.asarray(value, kind)
    return (Feed(tensor=TensorName(node.name, 0), value=array),), array.item()


def _infers(evidence: Evidence, repair: Repair, norms: Sequence[BatchNorm]) -> bool:
    try:
        changed = norms_with_feeds(evidence.after(repair).export)
    except Ungraftable:
        return False
    inputs = {norm.input for norm in changed if norm.mode == "inference"}
    outputs = {norm.output for norm in changed if norm.mode == "inference"}
    return all(norm.output in outputs or norm.input in inputs for norm in norms)


def norms_with_feeds(side: Side) -> tuple[BatchNorm, ...]:
    """The live batch norms of ``side`` where its constant feeds hold for inputs of the comparison too."""
    inputs = tuple(name for name in side.inputs if name not in side.feeds)
    return find_batch_norms(side.graph, side.outputs, inputs, side.feeds, side.variables)


def norm_node(evidence: Evidence, pair: BatchNormPair) -> str:
    """The node to name of the export's layer: one of the file, whatever function the layer stands in."""
    node = pair.export.node
    return node if node in evidence.export.graph.nodes else pair.export.output.node


def norm_nodes(evidence: Evidence, pairs: Sequence[BatchNormPair]) -> tuple[str, ...]:
    """The nodes to name, each once."""
    return tuple(dict.fromkeys(norm_node(evidence, pair) for pair in pairs))


def norm_scopes(pairs: Sequence[BatchNormPair]) -> tuple[str, ...]:
    """The layers' scopes, each once."""
    return tuple(dict.fromkeys(pair.scope for pair in pairs))


@reference_query
def reference_norms(evidence: ReferenceEvidence) -> tuple[BatchNorm, ...]:
    """The live batch norms of the reference."""
    return _norms(evidence.reference, evidence[reference_flow])


@query
def export_norms(evidence: Evidence) -> tuple[BatchNorm, ...]:
    """The live batch norms of the export as it is now."""
    return _norms(evidence.export, evidence[export_flow])


@query
def norm_pairs(evidence: Evidence) -> tuple[BatchNormPair, ...]:
    """The batch norms that both sides have, in the reference's order."""
    return pair_batch_norms(
        evidence[reference_norms],
        evidence[export_norms],
        evidence[reference_of],
        reference_content=lambda name: _content(evidence, evidence.reference, name),
        export_content=lambda name: _content(evidence, evidence.export, name),
    )


@query
def linears(evidence: Evidence) -> tuple[Linear, ...]:
    """The convolutions and products of the export that a batch norm may be folded into."""
    side = evidence.export
    return fold_candidates(side.graph, side.outputs, side.inputs, side.feeds, live=evidence[export_flow])


@reference_query
def reference_linears(evidence: ReferenceEvidence) -> tuple[Linear, ...]:
    """The convolutions and products of the reference, with what is added behind them."""
    side = evidence.reference
    return fold_candidates(side.graph, side.outputs, side.inputs, side.feeds, live=evidence[reference_flow])


@reference_query
def statistics(evidence: ReferenceEvidence) -> frozenset[str]:
    """The variables of the reference that its batch norms normalise with."""
    names = (name for norm in evidence[reference_norms] for name in (norm.mean, norm.variance))
    return frozenset(name for name in names if name is not None)


@query
def norm_of(evidence: Evidence) -> Mapping[str, str]:
    """Weight of the reference's batch norms to the node of the export that normalises with it."""
    found: dict[str, str] = {}
    for pair in evidence[norm_pairs]:
        for name in filter(None, pair.reference.weights):
            found.setdefault(name, pair.export.node)
    return found


def by_key(evidence: Evidence, norm: BatchNorm) -> BatchNorm:
    """A batch norm of the reference with its weights named as in the checkpoint."""
    return norm.named_by(evidence.case.keys)


def _norms(side: Side, flow: LiveGraph) -> tuple[BatchNorm, ...]:
    return find_batch_norms(side.graph, side.outputs, side.inputs, side.feeds, side.variables, live=flow)


def _content(evidence: Evidence, side: Side, name: str) -> bytes | None:
    tensor = side.value(name)
    if tensor is None or not informative(values(tensor)):
        return None
    return evidence.case.contents.digest(tensor)


def nodes_inside(evidence: Evidence, norm: BatchNorm) -> set[str]:
    """The live nodes of the export from the output of ``norm`` back to its input, and what decides its mode."""
    live, found = evidence[live_export], set[str]()
    stack = [norm.output.node]
    while stack:
        name = stack.pop()
        if name not in found and name != norm.input.node and name in live:
            found.add(name)
            stack.extend(source.node for source in live[name].inputs)
    return found
