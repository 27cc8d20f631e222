"""Whether TensorFlow would import a whole graph: edges that carry a value where a reference is wanted."""

from __future__ import annotations

from ..graph import Graph
from ..ops import GIVE_VALUES, wants_reference


def lost_references(graph: Graph) -> list[str]:
    """The nodes that want a reference to a variable where a constant was put, directly or through another
    such node; in the order of the file. TensorFlow imports no graph that has one."""
    found: dict[str, bool] = {}

    def is_lost(name: str) -> bool:
        trail = []
        while name not in found:
            node = graph.nodes.get(name)
            if node is None or not wants_reference(node.op) or not node.inputs:
                found[name] = node is not None and node.op in GIVE_VALUES
                break
            trail.append(name)
            found[name] = False  # until its input is known: a cycle is no constant
            name = node.inputs[0].node
            if name in trail:
                break
        lost = found.get(name, False)
        found.update(dict.fromkeys(trail, lost))
        return lost

    return [
        node.name
        for node in graph.nodes.values()
        if wants_reference(node.op) and node.inputs and is_lost(node.name)
    ]


def written_constant(graph: Graph, node: str) -> str | None:
    """The constant that stands where a node wants a reference to a variable."""
    seen: set[str] = set()
    while node in graph.nodes and node not in seen:
        seen.add(node)
        if graph.nodes[node].op == "Const":
            return node
        if not graph.nodes[node].inputs:
            return None
        node = graph.nodes[node].inputs[0].node
    return None
