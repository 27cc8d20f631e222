"""The momentum of moving statistics, as the ops that update them say."""

from __future__ import annotations

from collections.abc import Iterator

from ..graph import Graph, Node, Tensor
from ..variables import written_variable

_UPDATES = frozenset({"AssignSub", "AssignSubVariableOp"})


def momenta(graph: Graph) -> dict[str, float]:
    """Variable to momentum, from the update ``AssignSub(v, (v - batch) * (1 - momentum))``."""
    found: dict[str, float] = {}
    for node in graph.nodes.values():
        if node.op not in _UPDATES or len(node.inputs) != 2:
            continue
        for decay in _factors(graph, node.inputs[1].node):
            target = written_variable(graph, node.name)
            if target is not None:
                found[target] = round(1.0 - decay, 6)
    return found


def _factors(graph: Graph, product: str) -> Iterator[float]:
    """The numbers that a product is made with."""
    node = graph.nodes.get(product)
    if node is None or node.op != "Mul":
        return
    for factor in (graph.nodes.get(source.node) for source in node.inputs):
        value = _constant(factor)
        if value is not None and value.shape == ():
            yield float(value.array)


def _constant(node: Node | None) -> Tensor | None:
    value = node.attrs.get("value") if node is not None and node.op == "Const" else None
    return value if isinstance(value, Tensor) else None
