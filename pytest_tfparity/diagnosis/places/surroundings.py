"""The graph around a divergence: that of a whole side, or the body of a function that a node of it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ...graph import ops
from ...graph.function_body import Body, body_of
from ...graph.graph import Array, Attr, Function, FunctionBody, Graph, Node, Tensor, TensorName
from ...graph.live_graph import LiveGraph, live_graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One of both graphs around a divergence: that of a side, or the body of a function of it.

    ``nodes`` are its nodes as the file has them, ``flow`` what of them is taken. ``values`` are those of the side's
    variables, ``partners`` the nodes of the other graph that correspond (of a body none are known), ``ends`` the nodes
    that give the outputs of the model.
    """

    nodes: Mapping[str, Node]
    flow: LiveGraph
    functions: Mapping[str, FunctionBody]
    values: Mapping[str, Tensor] = field(default_factory=dict)
    partners: Mapping[str, str] = field(default_factory=dict)
    ends: frozenset[str] = frozenset()

    def value(self, name: str) -> Tensor | None:
        """The constant or variable ``name``; None if it has no value."""
        if name in self.values:
            return self.values[name]
        node = self.node(name)
        held = node.attrs.get("value") if node is not None and node.op == "Const" else None
        return held if isinstance(held, Tensor) else None

    def node(self, name: str) -> Node | None:
        """The node ``name``, of the file or of a call that was written out."""
        return self.nodes.get(name) or self.flow.nodes.get(name)

    def within(self, name: str, attribute: str) -> Surroundings:
        """The body of the function that attribute ``attribute`` of the node ``name`` says; empty if there is none."""
        node = self.node(name)
        inner = self._body(node, attribute) if node is not None else None
        if node is None or inner is None:
            return Surroundings(nodes={}, flow=live_graph(Graph({}), ()), functions=self.functions)
        graph = Graph(inner.nodes, self.functions)
        flow = live_graph(graph, inner.returns, feeds=dict(self._constant_arguments(node, inner, attribute)))
        return Surroundings(nodes=inner.nodes, flow=flow, functions=self.functions)

    def given_by(self, name: str, flow: LiveGraph, fed: Collection[str]) -> list[str]:
        """The arguments of this body that the node ``name`` of ``flow``, which runs it, takes from nodes of ``fed``."""
        node = flow.nodes.get(name)
        if node is None:
            return []
        given = (
            node.inputs if "body" in node.attrs else node.inputs[1:]
        )  # a branch is not given what chose it
        places = {
            each.name: each.attrs.get("index") for each in self.nodes.values() if each.op == ops.ARGUMENT
        }
        return [
            name
            for name, index in places.items()
            if isinstance(index, int) and index < len(given) and given[index].node in fed
        ]

    def _body(self, node: Node, attribute: str) -> Body | None:
        function = _function(node.attrs, attribute)
        if function is None or function.name not in self.functions:
            return None
        return body_of(self.functions, self.functions[function.name], function.attrs)

    def _constant_arguments(
        self, node: Node, inner: Body, attribute: str
    ) -> Iterator[tuple[TensorName, Array]]:
        """The arguments of a body that are given a constant, in each turn of a loop."""
        loop = self._body(node, "body") if attribute in ("body", "cond") else None
        given = node.inputs if loop is not None else node.inputs[1:]  # a branch is not given what chose it
        for each in inner.nodes.values():
            index = each.attrs.get("index") if each.op == ops.ARGUMENT else None
            if not isinstance(index, int) or index >= len(given):
                continue
            value = self.flow.constant(given[index])
            if value is not None and (loop is None or _hands_on(loop, index)):
                yield TensorName(each.name, 0), value


def _function(attrs: Mapping[str, Attr], attribute: str) -> Function | None:
    """The function that ``attribute`` names: ``body``, or ``branches 1`` for one of several."""
    name, _, number = attribute.partition(" ")
    value = attrs.get(name)
    if number and isinstance(value, tuple):
        several: tuple[object, ...] = value
        found = several[int(number)]
        return found if isinstance(found, Function) else None
    return value if isinstance(value, Function) else None


def _hands_on(loop: Body, index: int) -> bool:
    """Whether a loop gives an argument back as it was, so that it is the same in every turn."""
    returned = loop.returns[index]
    while (node := loop.nodes.get(returned.node)) is not None and node.op == "Identity":
        returned = node.inputs[0]
    return node is not None and node.op == ops.ARGUMENT and node.attrs.get("index") == index
