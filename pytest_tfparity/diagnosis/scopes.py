"""Where in a network something stands: its layer's scope, and whether it comes before all weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..graph.align.divergence import Divergence, Kind
from ..graph.graph import Node
from ..graph.live_graph import LiveGraph
from .alignment import divergences, reference_of
from .evidence import Evidence
from .flow import export_flow, live_export, reference_flow
from .places.weights import constants
from .query import query


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
    reading = evidence[weighted]
    ours, theirs = set(divergence.reference), set(divergence.export)
    if divergence.kind is Kind.CONSTANT:
        ours, theirs = set(), set(divergence.readers)
    if ours & reading[0] or theirs & reading[1]:
        return False
    return bool(reading[0]) and (bool(ours or theirs) or divergence.kind is Kind.CONSTANT)


@query
def weighted(evidence: Evidence) -> tuple[set[str], set[str]]:
    """On each side (reference, export) the nodes that depend on restored weights."""
    reference = dependent(evidence[reference_flow], evidence.reference.variables)
    held = [name for name in evidence[constants] if evidence[reference_of].get(name) in reference]
    return reference, dependent(evidence[export_flow], held)


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


def layer_of(name: str) -> str:
    """``block/conv`` for ``block/conv/kernel``; a name without a scope is its own layer."""
    return name.rpartition("/")[0] or name


def layers_of(names: Iterable[str]) -> tuple[str, ...]:
    """The layer of each name, each once."""
    return tuple(dict.fromkeys(map(layer_of, names)))


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
