"""Nodes in the order in which they can be written again: inputs first, the ends of loops excepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .. import ops
from ..graph import Graph, Node, TensorName
from ..loops import is_back_edge


def inputs_first(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """``nodes`` with the inputs of each before it, but for the ends of loops that a ``Merge`` reads."""
    found: dict[str, Node] = {}
    started: set[str] = set()
    for first in nodes:
        stack = [(first, False)]
        while stack:
            name, finished = stack.pop()
            node = nodes.get(name)
            if node is None:
                continue
            if finished:
                found[name] = node
            elif name not in started:
                started.add(name)
                stack.append((name, True))
                stack.extend((source, False) for source in _before(nodes, node) if source not in started)
    return found


def _before(nodes: Mapping[str, Node], node: Node) -> Iterator[str]:
    for source in reversed(node.inputs):
        if node.op not in ops.MERGES or not is_back_edge(nodes.get, source):
            yield source.node


def needed_by(results: Iterable[TensorName], nodes: Mapping[str, Node]) -> dict[str, Node]:
    """What the results of a function need, with what their constants wait for, inputs first."""
    graph = Graph(nodes=nodes)
    live = graph.live([str(each) for each in results])
    while True:
        waited = [
            control
            for node in live.values()
            if not node.inputs
            for control in node.controls
            if control not in live and control in nodes
        ]
        if not waited:
            return inputs_first(live)
        live = graph.live([*waited, *live])
