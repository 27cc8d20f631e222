"""Both graphs as a run takes them, as evidence: normal forms, what the outputs need, through what tensors pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..graph.graph import Graph, Node
from ..graph.live_graph import LiveGraph, taken_graph
from ..graph.proof.proof import NormalSide, Side, normalised
from .evidence import Evidence, ReferenceEvidence
from .query import query, reference_query


@reference_query
def normal_reference(evidence: ReferenceEvidence) -> NormalSide:
    """The reference in normal form, which no repair of the export changes."""
    return evidence.normal


@query
def normal_export(evidence: Evidence) -> NormalSide:
    """The export in normal form, with the repairs so far."""
    given = evidence.case.export
    if evidence.export is given.side:
        return given
    return normalised(evidence.export, given.contents).written(lowered=given.lowered)


@query
def live_export(evidence: Evidence) -> Mapping[str, Node]:
    """The nodes of the export that its outputs need, inputs first."""
    return _live(evidence.export)


@reference_query
def live_reference(evidence: ReferenceEvidence) -> Mapping[str, Node]:
    """The nodes of the reference that its outputs need, inputs first."""
    return _live(evidence.reference)


@reference_query
def reference_flow(evidence: ReferenceEvidence) -> LiveGraph:
    """The reference with its predicates followed: through what each tensor passes."""
    return evidence.normal.taken


@query
def export_flow(evidence: Evidence) -> LiveGraph:
    """The export with its predicates followed."""
    return evidence[normal_export].taken


@reference_query
def reference_readings(evidence: ReferenceEvidence) -> Mapping[str, tuple[str, ...]]:
    """Node of the reference to the nodes that read it, through all that only passes it on."""
    return _readings(evidence[reference_flow])


@query
def export_readings(evidence: Evidence) -> Mapping[str, tuple[str, ...]]:
    """Node of the export to the nodes that read it, through all that only passes it on."""
    return _readings(evidence[export_flow])


@reference_query
def taken_reference(evidence: ReferenceEvidence) -> Graph:
    """The reference without decided conditionals and function calls, to copy nodes from."""
    return taken_graph(evidence[reference_flow])


def known_nodes(nodes: Mapping[str, Node], names: Iterable[str]) -> list[Node]:
    """The nodes called ``names``; those that are not there are left out."""
    return [nodes[name] for name in names if name in nodes]


def _live(side: Side) -> Mapping[str, Node]:
    return side.graph.live(map(str, side.outputs), map(str, side.feeds))


def _readings(flow: LiveGraph) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for name, node in flow.nodes.items():
        for source in node.inputs:
            found.setdefault(flow.source(source).node, {})[name] = None
    return {source: tuple(readers) for source, readers in found.items()}
