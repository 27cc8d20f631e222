"""Branches that are known to be dead before anything runs, because constants decide their predicates."""

from __future__ import annotations

from collections.abc import Mapping, Set

from .. import op_kinds as ops
from ..graph import Attr, Graph, Node, Tensor, TensorName
from .control_flow import opens_loop


def decided_merges(
    graph: Graph,
    nodes: Mapping[str, Node],
    contexts: Mapping[str, tuple[str, ...]],
    added: Mapping[str, TensorName],
    feeds: Set[TensorName],
    predicates: Mapping[TensorName, bool],
) -> dict[str, Node]:
    """Every ``Merge`` that has dead inputs because its predicate is known, with its live inputs alone.

    ``nodes`` are a part of ``graph``, inputs first; ``contexts`` the control inputs that nodes keep for the
    sake of their branch, ``added`` those of them that pass on a ``Switch``. ``feeds`` are given in the run,
    ``predicates`` known before it. A ``Merge`` whose second output (which input it took) is read stays
    as it is.
    """
    if not any(node.op in ops.SWITCHES for node in nodes.values()):
        return {}
    indices = {source.node for node in nodes.values() for source in node.inputs if source.port == 1}
    truths = Truths(graph, feeds, predicates)
    dead: set[TensorName | str] = set()
    merges: dict[str, Node] = {}
    for name, node in nodes.items():
        gone = [source not in feeds and (source in dead or source.node in dead) for source in node.inputs]
        if node.op in ops.MERGES:
            if all(gone) or (any(gone) and opens_loop(graph, node)):
                dead.add(name)
            elif any(gone) and name not in indices:
                live = tuple(source for source, is_gone in zip(node.inputs, gone, strict=True) if not is_gone)
                merges[name] = Node(name, node.op, live, node.controls, node.attrs)
        elif any(gone) or any(control in dead for control in (*node.controls, *contexts.get(name, ()))):
            dead.add(name)
        elif node.op in ops.SWITCHES:
            truth = truths.of(node.inputs[1])
            if truth is not None:
                untaken = TensorName(name, 0 if truth else 1)
                dead.add(untaken)
                dead.update(context for context, source in added.items() if source == untaken)
    return merges


class Truths:
    """What is known of boolean tensors before anything runs."""

    def __init__(self, graph: Graph, feeds: Set[TensorName], predicates: Mapping[TensorName, bool]) -> None:
        self.graph = graph
        self.feeds = feeds
        self.known: dict[TensorName, bool | None] = dict(predicates)

    def of(self, tensor: TensorName) -> bool | None:
        """The value of a scalar predicate, None if only the run can tell."""
        stack = [tensor]
        while stack:
            current = stack[-1]
            if current in self.known:
                stack.pop()
                continue
            node = self.graph.nodes.get(current.node)
            sources = self._sources(current, node)
            missing = [source for source in sources if source not in self.known]
            if missing and len(stack) < 1000:
                stack.extend(missing)
                continue
            values = [self.known.get(source) for source in sources]
            fed = current in self.feeds
            self.known[current] = None if node is None or fed else _folded(node, values)
            stack.pop()
        return self.known[tensor]

    def _sources(self, tensor: TensorName, node: Node | None) -> tuple[TensorName, ...]:
        if node is None or tensor in self.feeds or node.op not in _FOLDED:
            return ()
        return node.inputs


_FOLDED = frozenset({"Identity", "PlaceholderWithDefault", "LogicalNot", "LogicalAnd", "LogicalOr"})


def _folded(node: Node, values: list[bool | None]) -> bool | None:
    if node.op == "Const":
        return _truth(node.attrs.get("value"))
    if not values or node.op not in _FOLDED:
        return None
    if node.op == "LogicalNot":
        return None if values[0] is None else not values[0]
    if node.op in ("LogicalAnd", "LogicalOr"):
        deciding = node.op == "LogicalOr"
        if deciding in values:
            return deciding
        return None if None in values else not deciding
    return values[0]


def _truth(value: Attr) -> bool | None:
    if isinstance(value, Tensor) and value.shape == () and value.dtype.number == 10:  # DT_BOOL
        return bool(value.array)
    return None
