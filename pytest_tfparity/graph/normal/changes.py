"""What a run changes while it reads: variables and arrays whose value is then not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .. import ops
from .form import Edge, NormalGraph, NormalNode

_CARRIERS = frozenset({"Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration"})


@dataclass(frozen=True, slots=True)
class Changes:
    """The nodes of a normal form that may write, and its variables: node index to what tells them apart."""

    nodes: Sequence[NormalNode]
    restored: dict[int, str] = field(default_factory=dict)
    writers: list[tuple[NormalNode, tuple[Edge, ...]]] = field(default_factory=list)

    def note(self, op: str, node: NormalNode) -> None:
        """Remember ``node`` if its original ``op`` may write."""
        if ops.may_write(op):
            edges = node.inputs[:1] if ops.writes_first_input(op) else node.inputs
            self.writers.append((node, edges))

    def doubts(self, graph: NormalGraph) -> list[str]:
        """Why what ``graph`` reads is not known: a clause for each variable or array that is changed."""
        return [*self._variables(graph), *self._arrays(graph)]

    def _variables(self, graph: NormalGraph) -> list[str]:
        if not self.writers:
            return []
        live = {self.restored[index]: index for index in graph.live() if index in self.restored}
        return [
            f"variable {self.nodes[live[label]].name} is changed by {node.spelling} ({node.name})"
            for node, edges in self.writers
            for label in sorted({self.restored[index] for index in self._referred(edges)} & live.keys())
        ]

    def _arrays(self, graph: NormalGraph) -> list[str]:
        """Arrays that are changed beside the flow that leads to the outputs."""
        written = [node for node, _ in self.writers if node.op.startswith("TensorArray")]
        if not written:
            return []
        graph.label(ops.ARRAYS)
        return [
            f"an array is changed by {node.op} ({node.name}) beside the outputs"
            for node in written
            if node.label is None
        ]

    def _referred(self, edges: Iterable[Edge]) -> list[int]:
        """The variables behind references, which conditionals and loops may hand on."""
        found, seen, stack = [], set(), [edge.node for edge in edges]
        while stack:
            index = stack.pop()
            if index in self.restored:
                found.append(index)
            elif index not in seen and self.nodes[index].op in _CARRIERS:
                stack.extend(edge.node for edge in self.nodes[index].inputs)
            seen.add(index)
        return found
