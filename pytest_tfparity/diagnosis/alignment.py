"""Both graphs side by side, as evidence: whether they are one function, which node is which, where they part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..graph import ops
from ..graph.align.align import align
from ..graph.align.divergence import Alignment, Divergence, Kind
from ..graph.edit.repair import Graft
from ..graph.graph import TensorName
from ..graph.proof.proof import Proof, prove
from ..graph.read.tensors import values
from .arrays import same
from .evidence import Evidence
from .needed import live_export, normal_export, normal_reference, taken_reference
from .query import query


@query
def proof(evidence: Evidence) -> Proof:
    """Whether both sides are the same function as they stand."""
    return prove(evidence[normal_reference], evidence[normal_export])


@query
def alignment(evidence: Evidence) -> Alignment:
    """Which node is which, and where their own computations differ."""
    return align(evidence[normal_reference], evidence[normal_export])


@query
def divergences(evidence: Evidence) -> tuple[Divergence, ...]:
    """Where both sides part, those nearest to the inputs first.

    A variable that the checkpoint lacks is no such place: there is nothing to compare with. Nor are two constants of
    one value (inside a loop what surrounds them counts for the walk), nor what a table or queue is called.
    """
    return tuple(
        each
        for each in evidence[alignment].divergences
        if not (_is_lost(evidence, each) or _is_alike(evidence, each) or _is_a_label(each))
    )


def _is_alike(evidence: Evidence, divergence: Divergence) -> bool:
    """Whether both sides hold the same constant."""
    if divergence.kind is not Kind.CONSTANT:
        return False
    right = evidence.reference.value(divergence.reference[0])
    held = evidence.export.value(divergence.export[0])
    if right is None or held is None or right.dtype != held.dtype:
        return False
    return same(values(right), values(held))


def _is_a_label(divergence: Divergence) -> bool:
    """Whether only the names differ under which a session keeps a resource; some writers draw them at random."""
    return divergence.kind is Kind.ATTRIBUTE and divergence.attribute in ("shared_name", "container")


def _is_lost(evidence: Evidence, divergence: Divergence) -> bool:
    if len(divergence.reference) != 1 or divergence.reference[0] in evidence.reference.variables:
        return False
    node = evidence.reference.graph.nodes.get(divergence.reference[0])
    held = (evidence.export.graph.nodes.get(name) for name in divergence.export)
    return (
        node is not None
        and node.op in ops.VARIABLES
        and all(each is not None and each.op == "Const" for each in held)
    )


@query
def reference_of(evidence: Evidence) -> Mapping[str, str]:
    """Node of the export to the aligned node of the reference, which several copies of a constant may share."""
    found = {export: reference for reference, export in evidence[alignment].nodes.items()}
    for each in evidence[divergences]:
        if each.kind is Kind.CONSTANT:
            found.setdefault(each.export[0], each.reference[0])
    return found


@query
def different(evidence: Evidence) -> frozenset[str]:
    """The live nodes of the export that diverge or read something that does."""
    found = {name for each in evidence[divergences] for name in (*each.export, *each.readers)}
    for name, node in evidence[live_export].items():  # inputs come first
        if any(source.node in found for source in node.inputs):
            found.add(name)
    return frozenset(found & set(evidence[live_export]))


def counterpart(evidence: Evidence, tensor: TensorName) -> TensorName | None:
    """The export's tensor in the place of a tensor of the reference, or None."""
    node = evidence[alignment].nodes.get(tensor.node)
    return TensorName(node, tensor.port) if node is not None else None


def node_as_reference(
    evidence: Evidence, export: str, *, port: int = 0, own: Iterable[str] = ()
) -> Graft | None:
    """Compute ``export:port`` as its aligned node of the reference does, from aligned tensors on.

    ``own`` are nodes of the reference that are copied although they are aligned.
    """
    reference = evidence[reference_of].get(export)
    if reference is None:
        return None
    copied = {reference, *own}
    written_out = reference not in evidence.reference.graph.nodes
    return Graft(
        export=TensorName(export, port),
        reference=TensorName(reference, port),
        at=lambda tensor: None if tensor.node in copied else counterpart(evidence, tensor),
        graph=evidence[taken_reference] if written_out else None,
    )


def nearest_divergences(evidence: Evidence, node: str) -> list[Divergence]:
    """The divergences at ``node`` of the export, or at the nearest nodes before it that have any."""
    places: dict[str, list[Divergence]] = {}
    for divergence in evidence[divergences]:
        for place in {*divergence.export, *divergence.readers}:
            places.setdefault(place, []).append(divergence)
    for level in _levels(evidence, node):
        found = [divergence for name in level for divergence in places.get(name, ())]
        if found:
            return [each for index, each in enumerate(found) if each not in found[:index]]
    return []


def _levels(evidence: Evidence, node: str) -> Iterator[list[str]]:
    """A node, what it reads, what that reads, and so on."""
    live = evidence[live_export]
    level, seen = [node], {node}
    while level:
        yield level
        sources = [source.node for name in level if name in live for source in live[name].inputs]
        level = [name for name in dict.fromkeys(sources) if name not in seen]
        seen.update(level)
