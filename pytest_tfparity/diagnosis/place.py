"""Where in a network something stands: its layer's scope, and whether it comes before all weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..graph.align.divergence import Divergence, Kind
from ..graph.graph import Node
from ..graph.live_graph import LiveGraph
from .evidence import Evidence


def scope_of(node: str) -> str:
    """The name scope that a node stands in; a node outside of all scopes is its own."""
    return node.rpartition("/")[0] or node


def scopes_of(nodes: Iterable[str]) -> tuple[str, ...]:
    """The scopes of nodes, each once, none inside another; nodes outside of all scopes if no other is left."""
    names = list(nodes)
    found = dict.fromkeys(map(scope_of, [name for name in names if "/" in name] or names))
    return tuple(each for each in found if not any(each.startswith(f"{other}/") for other in found))


def common_scope(nodes: Iterable[str]) -> tuple[str, ...]:
    """The innermost scope that holds all of ``nodes``; their own scopes if they share none."""
    names = list(dict.fromkeys(nodes))
    parts = [scope_of(name).split("/") for name in names]
    shared = []
    for each in zip(*parts, strict=False):
        if len(set(each)) > 1:
            break
        shared.append(each[0])
    return ("/".join(shared),) if shared else scopes_of(names)


def before_weights(evidence: Evidence, divergence: Divergence) -> bool:
    """Whether a divergence lies between a fed input and the first layer that reads restored weights."""
    weighted = evidence.weighted
    ours, theirs = set(divergence.reference), set(divergence.export)
    if divergence.kind is Kind.CONSTANT:
        ours, theirs = set(), set(divergence.readers)
    if ours & weighted[0] or theirs & weighted[1]:
        return False
    return bool(weighted[0]) and (bool(ours or theirs) or divergence.kind is Kind.CONSTANT)


def weighted(evidence: Evidence) -> tuple[set[str], set[str]]:
    """On each side (reference, export) the nodes that depend on restored weights."""
    reference = dependent(evidence.reference_flow, evidence.reference.variables)
    constants = [name for name in evidence.constants if evidence.reference_of.get(name) in reference]
    return reference, dependent(evidence.export_flow, constants)


def dependent(flow: LiveGraph, first: Iterable[str]) -> set[str]:
    """The nodes that depend on one of ``first``, these included."""
    found = {name for name in first if name in flow.nodes}
    stack = list(found)
    while stack:
        for reader in flow.readers.get(stack.pop(), ()):
            if reader not in found:
                found.add(reader)
                stack.append(reader)
    return found


def nodes_of(side: Mapping[str, Node], names: Iterable[str]) -> list[Node]:
    """The nodes called ``names``, those that are not in the graph left out."""
    return [side[name] for name in names if name in side]
