"""Repairs of one batch norm: computed as the reference does, with the weights that the export has in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..graph import ops
from ..graph.batch_norm.find import BatchNorm
from ..graph.edit.graft import Constant, Feed, Graft, Repair, Rewrite, Ungraftable, constant_node, tensor_of
from ..graph.graph import Node, Tensor, TensorName
from ..graph.live_graph import LiveGraph
from .evidence import Evidence
from .images import values
from .wording import listed


def as_reference(evidence: Evidence, ours: BatchNorm, theirs: BatchNorm) -> Repair:
    """Compute ``theirs`` (of the export) as ``ours`` (of the reference), from its input and its weights on.

    Weights that the export lacks are the reference's, so that a fault of the others stays to be seen.
    """
    edges = {ours.input: theirs.input}
    constants: list[Rewrite] = []
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        if mine is None or other is None:
            continue
        place = _in_shape(evidence, mine, other, constants)
        if place is not None:
            edges[TensorName(mine, 0)] = TensorName(place, 0)
    return (*constants, graft(evidence, theirs.output, ours, edges))


def graft(
    evidence: Evidence, export: TensorName, ours: BatchNorm, edges: Mapping[TensorName, TensorName]
) -> Graft:
    """Compute ``export`` as the reference's batch norm ``ours``; ``edges`` say from which tensors on."""
    return Graft(
        export=export,
        reference=TensorName(ours.node, 0),
        at=_boundary(evidence.reference_flow, edges),
        graph=evidence.taken_reference,
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


def _in_shape(evidence: Evidence, mine: str, other: str, constants: list[Rewrite]) -> str | None:
    """The export's weight ``other``, in the shape of the reference's ``mine``; None if it does not fit."""
    ours, theirs = evidence.value(evidence.reference, mine), evidence.value(evidence.export, other)
    if ours is None or theirs is None or ours.shape == theirs.shape:
        return other
    if int(np.prod(ours.shape)) != int(np.prod(theirs.shape)):
        return None
    name = free_name(evidence, f"{other}/reshaped")
    held = tensor_of(values(theirs).reshape(ours.shape), theirs.dtype)
    constants.append(Rewrite(node=constant_node(name, held)))
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
        return (Constant(node=node.name, value=tensor_of(array, held.dtype)),), array.item()
    if not node.op.startswith("Placeholder"):
        return (), value
    dtype = getattr(node.attrs.get("dtype"), "number", 10)
    kind = {10: np.bool_, 1: np.float32, 3: np.int32, 9: np.int64}.get(dtype, np.bool_)
    array = np.asarray(value, kind)
    return (Feed(tensor=TensorName(node.name, 0), value=array),), array.item()


def _infers(evidence: Evidence, repair: Repair, norms: Sequence[BatchNorm]) -> bool:
    try:
        changed = evidence.after(repair).export_norms
    except Ungraftable:
        return False
    inputs = {norm.input for norm in changed if norm.mode == "inference"}
    outputs = {norm.output for norm in changed if norm.mode == "inference"}
    return all(norm.output in outputs or norm.input in inputs for norm in norms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A batch norm of the reference and the one in its place in the export."""

    ours: BatchNorm
    theirs: BatchNorm

    @property
    def scope(self) -> str:
        """The layer's name scope, as in the export."""
        return self.theirs.scope or self.ours.scope

    def node(self, evidence: Evidence) -> str:
        """The node to name: one of the file, whatever function the layer stands in."""
        inside = self.theirs.node in evidence.export.graph.nodes
        return self.theirs.node if inside else self.theirs.output.node


def pairs_of(evidence: Evidence) -> Iterator[Pair]:
    """The batch norms that both sides have."""
    for pair in evidence.norm_pairs:
        if pair.reference is not None and pair.export is not None:
            yield Pair(ours=pair.reference, theirs=pair.export)


def scopes_of(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The layers' scopes, each once."""
    return tuple(dict.fromkeys(pair.scope for pair in pairs))


def nodes_of(evidence: Evidence, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The nodes to name, each once."""
    return tuple(dict.fromkeys(pair.node(evidence) for pair in pairs))


def repairs_of(evidence: Evidence, pairs: Sequence[Pair]) -> Repair:
    """Each computed as the reference does."""
    return tuple(edit for pair in pairs for edit in as_reference(evidence, pair.ours, pair.theirs))


def some(pairs: Sequence[Pair]) -> str:
    """The layers' scopes in a few words."""
    return listed(scopes_of(pairs))
