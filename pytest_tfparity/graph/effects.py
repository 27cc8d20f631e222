"""What nodes do beside computing, by themselves or in functions that they run: none of it is ever run here."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from . import ops
from .computing import computes
from .function_body import reached_functions
from .graph import Graph, Node, TensorName
from .variables import written_variable


class Effect(NamedTuple):
    """A node that must not be run: its name and op, the function of the library it stands in, what it changes."""

    node: str
    op: str
    function: str | None = None
    variable: str | None = None


def effect_of(graph: Graph, node: Node) -> Effect | None:
    """What ``node`` does beside computing, by itself or in a function that it runs; None if that is nothing."""
    if ops.has_effect(node.op):
        return Effect(node.name, node.op)
    inner = _effect_in(graph, reached_functions([node], graph.functions))
    return None if inner is None else Effect(node.name, inner.op, inner.function)


def does_more(graph: Graph, nodes: Iterable[Node]) -> Iterator[Effect]:
    """Each of ``nodes`` that does more than compute (:func:`.computing.computes`), functions included."""
    for node in nodes:
        if not computes(node.op) and node.op not in graph.functions:
            yield Effect(node.name, node.op)
        elif (inner := _more_in(graph, reached_functions([node], graph.functions))) is not None:
            yield Effect(node.name, inner.op, inner.function)


def harmless(graph: Graph, known: Container[str]) -> list[TensorName]:
    """Every node without a side effect and of a ``known`` op that depends on no other kind of node."""
    bad = {node.name for node in graph.nodes.values() if not _is_harmless(graph, node, known)}
    readers: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        for source in node.inputs:
            readers.setdefault(source.node, []).append(node.name)
    stack = list(bad)
    while stack:
        fresh = [reader for reader in readers.get(stack.pop(), ()) if reader not in bad]
        bad.update(fresh)
        stack.extend(fresh)
    return [TensorName(name, 0) for name in graph.nodes if name not in bad]


def _is_harmless(graph: Graph, node: Node, known: Container[str]) -> bool:
    if node.op not in known and node.op not in graph.functions:
        return False
    if ops.has_effect(node.op) or _lost_reference(graph, node):
        return False
    if not computes(node.op) and node.op not in graph.functions:
        return False
    called = reached_functions([node], graph.functions)
    return _effect_in(graph, called) is None and _more_in(graph, called) is None


def _lost_reference(graph: Graph, node: Node) -> bool:
    """Whether a node wants a reference to a variable that was frozen: TensorFlow does not load it."""
    if not node.op.startswith("Ref") or not node.inputs:
        return False
    root = written_variable(graph, node.name)
    return root is None or graph.nodes[root].op not in ops.VARIABLES


def _effect_in(graph: Graph, functions: Iterable[str]) -> Effect | None:
    return _first_in(graph, functions, ops.has_effect)


def _more_in(graph: Graph, functions: Iterable[str]) -> Effect | None:
    return _first_in(graph, functions, lambda op: not computes(op) and op not in graph.functions)


def _first_in(graph: Graph, functions: Iterable[str], wanted: Callable[[str], bool]) -> Effect | None:
    for name in sorted(functions):
        for node in graph.functions[name].nodes:
            if wanted(node.op):
                return Effect(node.name, node.op, name)
    return None
