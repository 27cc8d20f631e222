"""Where a graph ends that holds more than the network: training, metrics and summaries left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from . import ops
from .graph import Graph, Node, TensorName

_DATA = ("Iterator", "QueueDequeue", "ReaderRead")
"""How the ops are called that give data, beside placeholders."""


def heads(graph: Graph, inputs: Iterable[TensorName], fed: Iterable[TensorName]) -> tuple[str, ...]:
    """The tensors that are computed from ``inputs`` alone and that nothing else of the kind reads.

    What depends on another input (labels, say) is no answer to ``inputs``: losses, gradients and metrics are left
    out by that, not by their names. ``fed`` are inputs with a constant.
    """
    readers: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        for name in {source.node for source in node.inputs}:
            readers.setdefault(name, []).append(node.name)
    given = {name.node for name in inputs}
    known = given | {name.node for name in fed}
    others = {node.name for node in graph.nodes.values() if node.name not in known and _gives_data(node)}
    answers = _reached(graph, readers, given) - _reached(graph, readers, others)
    ends = (
        node
        for node in graph.nodes.values()
        if node.name in answers and not answers.intersection(readers.get(node.name, ())) and _answers(node)
    )
    return tuple(f"{node.name}:0" for node in ends)


def variables_behind(graph: Graph, outputs: Iterable[str], fed: Iterable[str] = ()) -> Set[str]:
    """The variables that ``outputs`` are computed from."""
    return {node.name for node in graph.live(outputs, fed).values() if node.op in ops.VARIABLES}


def _gives_data(node: Node) -> bool:
    return node.op in ops.PLACEHOLDERS or node.op.startswith(_DATA)


def _answers(node: Node) -> bool:
    return (
        node.op not in ops.NO_ANSWER | ops.OF_SHAPE and not ops.writes(node.op) and ops.gives_tensors(node.op)
    )


def _reached(graph: Graph, readers: Mapping[str, list[str]], start: Set[str]) -> set[str]:
    """``start`` and everything that reads it, not only its shape; what writes a variable ends there."""
    found = set(start)
    stack = list(start)
    while stack:
        for name in readers.get(stack.pop(), ()):
            node = graph.nodes[name]
            if name not in found and node.op not in ops.OF_SHAPE and not ops.writes(node.op):
                found.add(name)
                stack.append(name)
    return found
