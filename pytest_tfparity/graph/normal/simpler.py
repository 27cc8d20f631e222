"""A normal form made simpler: what optimisers do to a graph that changes no bit, done to both sides.

Asked for where two normal forms differ, so that a pair that is written alike costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ..graph import Attr, DType, Tensor
from .attributes import attribute
from .folding import Folding
from .form import Edge, Guard, Life, NormalGraph, NormalNode

_INT = DType(3)
_FLOATS = (DType(1), DType(2))
_ENDS = frozenset({"Merge", "Exit"})
"""Ops after which other conditions hold than before."""

Rule: TypeAlias = "Callable[[_Simpler, NormalNode], NormalNode | Edge | None]"
"""Another node in the place of one whose inputs are simple already, or a tensor that there is; None: leave it."""


def simpler(graph: NormalGraph) -> NormalGraph:
    """``graph`` with constants computed, and what has several forms in one of them; the same function to the bit."""
    return _Simpler(graph).graph()


class _Simpler:
    def __init__(self, graph: NormalGraph) -> None:
        self.old = graph
        self.nodes: list[NormalNode] = []
        self.lives: list[frozenset[Guard]] = []
        self.places: dict[int, int] = {}
        self.tensors: dict[Edge, Edge] = {}
        self.in_loops: dict[int, NormalNode] = {}
        self.turns: dict[int, int] = {}
        self.fold = Folding()

    def graph(self) -> NormalGraph:
        """The graph made simpler, of the nodes that its outputs need."""
        later: list[tuple[int, NormalNode]] = []
        for index in self.old.live():
            node = self.old.nodes[index]
            if any(source not in self.places for source in self.old.dependencies(index)):
                # The head of a loop: what a turn hands on comes later.
                later.append((len(self.nodes), node))
                place = self.places[index] = self.add(replace(node, inputs=(), guards=()))
                if index in self.old.turns:
                    first = self.turns.setdefault(self.old.turns[index], place)
                    self.lives[place] = frozenset({Guard(first, 0, -1)})
                continue
            self.place(index, self.renewed(node))
        for place, node in later:
            self.nodes[place] = self.renewed(node)
        outputs = tuple(map(self.edge, self.old.outputs))
        return replace(self.old, nodes=self.nodes, outputs=outputs, tensors=dict)

    def add(self, node: NormalNode) -> int:
        self.nodes.append(node)
        self.lives.append(self.lived(node))
        return len(self.nodes) - 1

    def lived(self, node: NormalNode) -> frozenset[Guard]:
        """Conditions that hold whenever ``node``, the next to be added, lives."""
        if node.op in _ENDS:
            return frozenset({Guard(len(self.nodes) - 1, 0, -1)})
        found = frozenset(node.guards)
        for edge in node.inputs:
            found = self.life_of(edge) | found if found else self.life_of(edge)
        return found

    def life_of(self, edge: Edge) -> frozenset[Guard]:
        """Conditions that hold whenever a tensor lives."""
        node = self.nodes[edge.node]
        if node.op != "Switch" or len(node.inputs) != 2:
            return self.lives[edge.node]
        return self.lives[edge.node] | {Guard(*node.inputs[1], edge.port)}

    def edge(self, old: Edge) -> Edge:
        """What a tensor of the old graph has become."""
        return self.tensors.get(old) or Edge(self.places[old.node], old.port)

    def node(self, edge: Edge) -> NormalNode | None:
        """The node of which ``edge`` is the first output."""
        return self.nodes[edge.node] if edge.port == 0 else None

    def constant(self, edge: Edge, *, in_loop: bool = False) -> Tensor | None:
        """The constant that a tensor is, or, if asked for, is in each turn of a loop; None if it is none."""
        if edge.port:
            return None
        held = self.in_loops.get(edge.node) if in_loop else None
        return (held or self.nodes[edge.node]).value

    def renewed(self, node: NormalNode) -> NormalNode:
        """``node`` on the tensors that its inputs have become."""
        settled = node.settled
        return replace(
            node,
            inputs=tuple(map(self.edge, node.inputs)),
            guards=tuple(Guard(*self.edge(Edge(source, port)), side) for source, port, side in node.guards),
            settled=None if settled is None else tuple(self.places[each] for each in settled),
            functions={name: simpler(form) for name, form in node.functions.items()},
        )

    def place(self, index: int, node: NormalNode) -> None:
        """Put ``node``, or what is simpler, in the place of the old node ``index``."""
        if (
            node.refusal is not None
            or node.label is not None
            or node.settled is not None
            or node.value is not None
        ):
            self.places[index] = self.add(node)
            return
        values = self.folded(node)
        if values is not None:
            self.hold(index, node, values)
            return
        in_loop = self.of_a_loop(node)
        if in_loop is None:
            node = self.beside_others(self.beside_a_loop(node))
        rule, arguments = _RULES.get(node.op, (None, 0))
        if rule is not None and not node.guards and len(node.inputs) == arguments:
            found = rule(self, node)
            if isinstance(found, Edge):
                self.tensors[Edge(index, 0)] = found
                self.places[index] = found.node
                return
            node = found or node
        self.places[index] = self.add(node)
        if in_loop is not None:
            self.in_loops[self.places[index]] = in_loop

    def hold(self, index: int, node: NormalNode, values: Sequence[Tensor]) -> None:
        """Put constants in the place of the old node ``index``, which reads constants alone."""
        life = self.life(node)
        for port, value in enumerate(values):
            held = NormalNode(node.name, "Const", guards=life, value=value, spelling=node.op)
            self.tensors[Edge(index, port)] = Edge(self.add(held), 0)
        self.places[index] = len(self.nodes) - 1

    def of_a_loop(self, node: NormalNode) -> NormalNode | None:
        """The constant that ``node`` gives in every turn of a loop: one that enters it, or is computed of such."""
        if len(node.inputs) == 1 and node.op == "Enter":
            value = self.constant(node.inputs[0]) if node.attrs.get("is_constant") else None
            values: Sequence[Tensor] | None = None if value is None else [value]
        else:
            values = self.folded(node, in_loop=True)
        if values is None or len(values) != 1:
            return None
        life = self.life(node)
        return NormalNode(node.name, "Const", guards=life, value=values[0], spelling=node.op)

    def beside_a_loop(self, node: NormalNode) -> NormalNode:
        """``node``, of which an input changes from turn to turn, on constants in the place of those of the loop.

        Optimisers move constants into loops. That all inputs of a node come from one loop is seen to elsewhere.
        """
        if all(self.nodes[edge.node].value is not None or edge.node in self.in_loops for edge in node.inputs):
            return node
        inputs = tuple(
            Edge(self.add(self.in_loops[edge.node]), 0)
            if edge.node in self.in_loops and not edge.port
            else edge
            for edge in node.inputs
        )
        return node if inputs == node.inputs else replace(node, inputs=inputs)

    def beside_others(self, node: NormalNode) -> NormalNode:
        """``node`` on constants without conditions, where another input lives under these and more.

        A node runs if all that it reads lives; but for a ``Merge``, which takes what does.
        """
        guarded = [
            edge for edge in node.inputs if self.constant(edge) is not None and self.nodes[edge.node].guards
        ]
        if not guarded or node.op == "Merge":
            return node
        others = [self.life_of(edge) for edge in node.inputs if edge not in guarded]
        known = frozenset[Guard]().union(*others)
        free = {
            edge: Edge(self.add(replace(self.nodes[edge.node], guards=())), 0)
            for edge in guarded
            if known.issuperset(self.nodes[edge.node].guards)
        }
        return replace(node, inputs=tuple(free.get(edge, edge) for edge in node.inputs))

    def folded(self, node: NormalNode, *, in_loop: bool = False) -> Sequence[Tensor] | None:
        """The constants that ``node`` gives; None if they are not known."""
        values = [self.constant(edge, in_loop=in_loop) for edge in node.inputs]
        known = [value for value in values if value is not None]
        if not known or len(known) != len(values):
            return None
        return known if node.op == "Identity" else self.fold(node.op, node.attrs, known)

    def life(self, node: NormalNode) -> Life:
        """When ``node``, which reads constants alone, runs."""
        read = [self.in_loops.get(edge.node) or self.nodes[edge.node] for edge in node.inputs]
        return tuple(sorted({*node.guards, *(guard for each in read for guard in each.guards)}))


def _squared(graph: _Simpler, node: NormalNode) -> NormalNode | None:
    """``Square`` of a ``Sub`` is a ``SquaredDifference``: the same two roundings (``cwise_ops.h``)."""
    source = graph.node(node.inputs[0])
    if source is None or source.op != "Sub" or source.guards or node.attrs.get("T") not in _FLOATS:
        return None
    return replace(node, op="SquaredDifference", inputs=source.inputs)


def _packed(graph: _Simpler, node: NormalNode) -> NormalNode | None:
    """A ``Pack`` of one tensor gives it one dimension more, as ``ExpandDims`` does."""
    axis = attribute(node.op, node.attrs, "axis")
    if not isinstance(axis, int):
        return None
    number = np.array(axis, np.int32)
    held = NormalNode(node.name, "Const", value=Tensor(_INT, (), lambda: number), spelling="axis")
    attrs = _of_type(node)
    return replace(node, op="ExpandDims", inputs=(*node.inputs, Edge(graph.add(held), 0)), attrs=attrs)


def _transposed(graph: _Simpler, node: NormalNode) -> NormalNode | Edge | None:
    """Two orders of dimensions one after the other are one; the order that there is, none."""
    order = _order(graph, node)
    if order is None:
        return None
    if order == sorted(order):
        return node.inputs[0]
    source = graph.node(node.inputs[0])
    before = None if source is None or source.guards else _order(graph, source)
    if source is None or before is None or len(before) != len(order):
        return None
    together = [before[axis] for axis in order]
    if together == sorted(together):
        return source.inputs[0]
    numbers = np.array(together, np.int32)
    held = NormalNode(
        node.name, "Const", value=Tensor(_INT, (len(numbers),), lambda: numbers), spelling="order"
    )
    attrs = _of_type(node)
    return replace(node, inputs=(source.inputs[0], Edge(graph.add(held), 0)), attrs=attrs)


def _of_type(node: NormalNode) -> dict[str, Attr]:
    """The attributes of an op on what ``node`` reads, but for those that are at their defaults."""
    return {"T": node.attrs["T"]} if "T" in node.attrs else {}


def _order(graph: _Simpler, node: NormalNode) -> list[int] | None:
    """The order that a ``Transpose`` puts dimensions into; None if it is not known, or none."""
    value = graph.constant(node.inputs[1]) if node.op == "Transpose" and len(node.inputs) == 2 else None
    if value is None or len(value.shape) != 1 or value.dtype.number not in (3, 9):
        return None
    order = [int(each) for each in value.array]
    return order if sorted(order) == list(range(len(order))) else None


_RULES: Mapping[str, tuple[Rule, int]] = {
    "Square": (_squared, 1),
    "Pack": (_packed, 1),
    "Transpose": (_transposed, 2),
}
"""The rule for an op, and how many inputs it has where the rule holds."""
