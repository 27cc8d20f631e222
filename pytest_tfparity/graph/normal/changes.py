"""What a run changes while it reads: variables and arrays whose value is then not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .. import ops
from ..references import Writer
from ..variables import Storage
from .form import Edge, NormalGraph

_CARRIERS = ops.CARRIERS - ops.SWITCHES
"""What hands on an array or a flow, as its output 0."""
_JOINS = _CARRIERS | {"AddN"}
"""What hands on a flow; its value says nothing, so one may be a sum of several."""


def changed_variables(
    graph: NormalGraph, restored: Mapping[int, Storage], writers: Sequence[Writer]
) -> list[str]:
    """A clause for each variable that ``graph`` reads and one of ``writers`` may change.

    ``restored`` are the variables among the nodes of ``graph``. Every node that runs is asked, whichever
    control input led to it: the order of a read and a write is not looked at. Nor is it where a tensor is
    changed in place.
    """
    if not writers:
        return []
    in_place = [
        f"a tensor is changed in place by {writer.node.op} ({writer.node.name})"
        for writer in writers
        if writer.in_place
    ]
    live = {restored[index]: graph.nodes[index].name for index in graph.live() if index in restored}
    return in_place + [
        f"variable {name} is changed by {writer.node.op} ({writer.node.name})"
        for writer in writers
        for storage, name in sorted(live.items())
        if writer.changes(storage)
    ]


def changed_arrays(graph: NormalGraph) -> list[str]:
    """A clause for each node that changes an array beside the flow that leads to the outputs."""
    written = [node for node in graph.nodes if node.op.startswith("TensorArray") and ops.may_write(node.op)]
    if not written:
        return []
    graph.label(ops.ARRAYS)
    return [
        f"an array is changed by {node.op} ({node.name}) beside the outputs"
        for node in written
        if node.label is None
    ]


def unordered_arrays(graph: NormalGraph) -> list[str]:
    """A clause for each array of which the outputs read what no flow orders."""
    if all(node.op != "TensorArrayV3" for node in graph.nodes):
        return []
    live = graph.live()
    arrays = [index for index in live if graph.nodes[index].op == "TensorArrayV3"]
    readers: dict[Edge, list[tuple[int, int]]] = {}
    for index in live:
        for position, edge in enumerate(graph.nodes[index].inputs):
            readers.setdefault(edge, []).append((index, position))
    found = (_Array(graph, readers, index).doubt() for index in arrays)
    return [doubt for doubt in found if doubt is not None]


class _Array:
    """The live ops on one array, and what its flow leads to."""

    def __init__(self, graph: NormalGraph, readers: dict[Edge, list[tuple[int, int]]], index: int) -> None:
        self.nodes = graph.nodes
        self.readers = readers
        self.index = index
        self.ops: set[int] = set()

    def doubt(self) -> str | None:
        name = self.nodes[self.index].name
        stray = self._collect()
        if stray is not None:
            return f"array {name} is given to {self.nodes[stray].op} ({self.nodes[stray].name})"
        if not any(self.nodes[each].op in ops.ARRAY_WRITES for each in self.ops):
            return None
        reached: set[int] = set()
        stack = [Edge(self.index, 1)]
        while stack:
            firsts = self._firsts(stack.pop())
            if len(firsts) > 1 and any(map(self._writes, firsts)):
                return f"no flow orders what is done to array {name}"
            for each in firsts - reached:
                stack += self._flows(each)
            reached |= firsts
        return None if self.ops <= reached else f"no flow orders what is done to array {name}"

    def _collect(self) -> int | None:
        """Find the ops on the array; a node that is given it and is neither one nor hands it on, if there is one."""
        stack = [Edge(self.index, 0)]
        seen = set(stack)
        while stack:
            for reader, position in self.readers.get(stack.pop(), ()):
                op = self.nodes[reader].op
                if op in ops.ARRAYS and position == 0:
                    self.ops.add(reader)
                elif op in _CARRIERS or (op == "Switch" and position == 0):
                    onward = {Edge(reader, port) for port in (0, 1)} - seen
                    seen |= onward
                    stack += onward
                else:
                    return reader
        return None

    def _firsts(self, flow: Edge) -> set[int]:
        """The ops on the array, and the ``Switch`` nodes, that a flow leads to first."""
        found: set[int] = set()
        stack, seen = [flow], {flow}
        while stack:
            for reader, position in self.readers.get(stack.pop(), ()):
                node = self.nodes[reader]
                is_flow = reader in self.ops and position == len(node.inputs) - 1
                if is_flow or (node.op == "Switch" and position == 0):
                    found.add(reader)
                elif node.op in _JOINS and Edge(reader, 0) not in seen:
                    seen.add(Edge(reader, 0))
                    stack.append(Edge(reader, 0))
        return found

    def _flows(self, index: int) -> Iterator[Edge]:
        """The flows that come out of an op on the array, or of a ``Switch``."""
        op = self.nodes[index].op
        if op in ops.ARRAY_WRITES or op == "Switch":
            yield Edge(index, 0)
        if op == "Switch":
            yield Edge(index, 1)

    def _writes(self, index: int) -> bool:
        """Whether an op writes, or what a ``Switch`` leads to."""
        stack, seen = [index], {index}
        while stack:
            each = stack.pop()
            if self.nodes[each].op in ops.ARRAY_WRITES:
                return True
            onward = {first for flow in self._flows(each) for first in self._firsts(flow)} - seen
            seen |= onward
            stack += onward
        return False
