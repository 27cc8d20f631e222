"""The difference along the depth of the graph: node by node, accumulated and own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...diagnosis.activations import activations
from ...diagnosis.evidence import Evidence
from ...diagnosis.needed import live_export
from ...diagnosis.query import query
from ...graph import ops
from ...result import Finding
from ...result_details import NodeDifference
from ...runtime.activations import Activation
from .numbers import finite, short

_NO_STEPS = ops.PASS_THROUGH | {"NoOp"}


def node_differences(
    evidence: Evidence, findings: Sequence[Finding], most: int
) -> tuple[tuple[NodeDifference, ...], int]:
    """The nodes that were measured, inputs first, at most ``most``; and how many there were.

    Constants and what merely passes a value on are no steps of the computation and count only
    as culprits. Of too many, those go first whose neighbours show the same.
    """
    culprits = _blamed(evidence, {name for finding in findings for name in finding.nodes})
    steps = [
        each for name, each in evidence[activations].items() if name in culprits or _is_step(evidence, name)
    ]
    kept = _chosen(steps, culprits, most)
    positions = {name: position for position, name in enumerate(evidence.export.graph.nodes)}
    nodes = tuple(
        NodeDifference(
            index=index,
            name=steps[index].export,
            op=evidence.export.graph.nodes[steps[index].export].op,
            accumulated=finite(steps[index].accumulated),
            own=finite(steps[index].own),
            scale=short(steps[index].scale),
            culprit=steps[index].export in culprits,
            position=positions.get(steps[index].export),
        )
        for index in kept
    )
    return nodes, len(steps)


def _blamed(evidence: Evidence, named: set[str]) -> set[str]:
    """The nodes that findings name, and those that differ by themselves because they read such a constant."""
    constant, found = named - evidence[_fed], set(named)
    for name, node in evidence[live_export].items():  # inputs come first
        if not any(source.node in constant for source in node.inputs):
            continue
        if name not in evidence[_fed]:
            constant.add(name)
        elif (measured := evidence[activations].get(name)) is not None and measured.at_fault:
            found.add(name)
    return found


def _is_step(evidence: Evidence, name: str) -> bool:
    """Whether a node computes something from the inputs."""
    node = evidence[live_export].get(name)
    return node is not None and bool(node.inputs) and node.op not in _NO_STEPS and name in evidence[_fed]


@query
def _fed(evidence: Evidence) -> set[str]:
    """The nodes of the export that depend on what is not constant."""
    known: set[str] = set()
    for name, node in evidence[live_export].items():  # inputs come first
        if (not node.inputs and node.op != "Const") or any(source.node in known for source in node.inputs):
            known.add(name)
    return known


def _chosen(steps: Sequence[Activation], culprits: set[str], most: int) -> list[int]:
    """The places of the nodes to keep: culprits and other faulty ones, then an even choice of the rest."""
    if len(steps) <= most:
        return list(range(len(steps)))
    named = [index for index, each in enumerate(steps) if each.export in culprits]
    faulty = [index for index, each in enumerate(steps) if each.at_fault and each.export not in culprits]
    first = (named + faulty)[:most]
    taken = set(first)
    rest = [index for index in range(len(steps)) if index not in taken]
    room = most - len(first)
    if room and rest:
        first += [rest[place] for place in np.unique(np.linspace(0, len(rest) - 1, room).astype(int))]
    return sorted(first)
