"""What lies around a culprit in both graphs, small enough to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...diagnosis.alignment import alignment, different, divergences, reference_of
from ...diagnosis.evidence import Evidence
from ...diagnosis.needed import live_export, live_reference
from ...graph import ops
from ...graph.graph import Node
from ...result import Finding
from ...result_details import Drawing, DrawnNode, Neighbourhood, NodeRole

MOST_FINDINGS = 10
MOST_NODES = 12
MOST_STEPS = 2
"""What a drawing can show and still be read: nodes, and how far they are from the one that is at fault."""
MOST_READERS = 4
"""Readers of a node that are followed: a constant that everything reads explains nothing."""


def neighbourhoods(evidence: Evidence, findings: Sequence[Finding]) -> tuple[Neighbourhood, ...]:
    """One place of each of the first findings, where it is in a graph."""
    return tuple(_found(evidence, findings[:MOST_FINDINGS]))


def _found(evidence: Evidence, findings: Sequence[Finding]) -> Iterator[Neighbourhood]:
    around = _Around(evidence)
    for number, finding in enumerate(findings):
        names = set(finding.nodes)
        for node in finding.nodes:
            reference, export = around.places(node)
            if reference is None and export is None:
                continue
            yield Neighbourhood(
                finding=number,
                node=node,
                reference=around.drawing("reference", reference, names) if reference is not None else None,
                export=around.drawing("export", export, names) if export is not None else None,
            )
            break


class _Around:
    """Both graphs with the readers of every node."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.live: Mapping[str, Mapping[str, Node]] = {
            "reference": evidence[live_reference],
            "export": evidence[live_export],
        }
        self.inputs = {side: _inputs(nodes) for side, nodes in self.live.items()}
        self.readers = {side: _readers(inputs) for side, inputs in self.inputs.items()}
        self.different = evidence[different]

    def places(self, node: str) -> tuple[str | None, str | None]:
        """``node`` of the export (or of the reference) in the reference and in the export."""
        for divergence in self.evidence[divergences]:
            if node in divergence.export or node in divergence.reference:
                pair = self._live_pair(divergence.reference, divergence.export)
                if pair != (None, None):
                    return pair
        if node in self.live["export"]:
            partner = self.evidence[reference_of].get(node, node)
            return (partner if partner in self.live["reference"] else None), node
        return (node if node in self.live["reference"] else None), self.evidence[alignment].nodes.get(node)

    def _live_pair(self, reference: Sequence[str], export: Sequence[str]) -> tuple[str | None, str | None]:
        return (
            next((name for name in reference if name in self.live["reference"]), None),
            next((name for name in export if name in self.live["export"]), None),
        )

    def drawing(self, side: str, start: str, named: set[str]) -> Drawing:
        """The nodes nearest to ``start``, breadth first."""
        live, inputs = self.live[side], self.inputs[side]
        found = self._nearest(side, start)
        names = [name for name in live if name in found]  # inputs come first
        places = {name: index for index, name in enumerate(names)}
        edges = {
            (places[source], places[name])
            for name in names
            for source in inputs.get(name, ())
            if source in places
        }
        return Drawing(
            nodes=tuple(
                DrawnNode(name=name, op=live[name].op, role=self._role(side, name, start, named))
                for name in names
            ),
            edges=tuple(sorted(edges)),
        )

    def _nearest(self, side: str, start: str) -> set[str]:
        """``start`` and at most so many nodes around it as a drawing takes, breadth first."""
        found, level = {start}, [start]
        for _ in range(MOST_STEPS):
            around = dict.fromkeys(other for name in level for other in self._beside_node(side, name, start))
            level = [other for other in around if other in self.live[side] and other not in found]
            level = level[: MOST_NODES - len(found)]
            found.update(level)
        return found

    def _beside_node(self, side: str, name: str, start: str) -> list[str]:
        """What a node reads, and what reads it; the readers of a constant only if that is ``start``."""
        follow = name == start or self.live[side][name].inputs
        readers = self.readers[side].get(name, [])[:MOST_READERS] if follow else []
        return [*self.inputs[side].get(name, ()), *readers]

    def _role(self, side: str, name: str, start: str, named: set[str]) -> NodeRole:
        if name == start or (side == "export" and name in named):
            return "culprit"
        if side == "export":
            return "differs" if name in self.different else "same"
        other = self.evidence[alignment].nodes.get(name)
        return "differs" if other is None or other in self.different else "same"


def _inputs(live: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """What each node reads, seen through what merely passes a value on, each once."""
    source: dict[str, str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for name, node in live.items():  # inputs come first
        read = dict.fromkeys(source.get(each.node, each.node) for each in node.inputs if each.node in live)
        found[name] = tuple(read)
        if node.op in ops.PASS_THROUGH and len(read) == 1:
            source[name] = found[name][0]
    return found


def _readers(inputs: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    readers: dict[str, list[str]] = {}
    for name, sources in inputs.items():
        for source in sources:
            readers.setdefault(source, []).append(name)
    return readers
