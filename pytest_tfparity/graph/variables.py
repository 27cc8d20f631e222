"""The values that a restore gives the variables of a graph, found by node or by shared name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from . import ops
from .graph import Graph, Node, Tensor


class Variables:
    """The known values of a graph's variables; ``but`` are the labels of those that a run changes."""

    def __init__(self, graph: Graph, values: Mapping[str, Tensor], but: Collection[str] = ()) -> None:
        self._nodes = graph.nodes
        self._values = values
        self._but = but
        self._shared: dict[str, Tensor] | None = None

    def without(self, labels: Collection[str]) -> Variables:
        """The same, nothing known of the variables ``labels``."""
        changed = Variables(Graph(self._nodes), self._values, {*self._but, *labels})
        changed._shared = self._shared
        return changed

    def value(self, node: Node) -> Tensor | None:
        """The value of the variable that ``node`` holds or is a handle of; None where it has none."""
        label = label_of(node)
        if label in self._but:
            return None
        if node.name in self._nodes and node.name in self._values:
            return self._values[node.name]
        return self._values[label] if label in self._values else self._by_shared_name().get(label)

    def _by_shared_name(self) -> Mapping[str, Tensor]:
        if self._shared is None:
            named = (
                (self._nodes[name], value) for name, value in self._values.items() if name in self._nodes
            )
            self._shared = {label_of(node): value for node, value in reversed(list(named))}
        return self._shared


def label_of(node: Node) -> str:
    """What tells the variable of ``node`` from others: its shared name, else the node's name."""
    shared = node.attrs.get("shared_name")
    return shared.decode("utf-8", "replace") if isinstance(shared, bytes) and shared else node.name


def written_variable(graph: Graph, node: str) -> str | None:
    """The variable that a node writes to, or the constant it was frozen into: the root of its first input."""
    seen = set()
    while node in graph.nodes and node not in seen:
        seen.add(node)
        if graph.nodes[node].op in ops.VARIABLES or graph.nodes[node].op == "Const":
            return node
        if not graph.nodes[node].inputs:
            return None
        node = graph.nodes[node].inputs[0].node
    return None
