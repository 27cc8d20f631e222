"""Repairs of a graph: constants replaced, tensors computed as another graph computes them, feeds set.

A repair is data; ``repaired`` applies it to a side and leaves the original as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from .. import ops
from ..function_body import reached_functions
from ..graph import Array, Attr, DType, FunctionBody, Graph, Node, Tensor, TensorName
from ..proof.proof import Side
from ..read.tensors import dtype_of

_LOOPED = ops.IDENTITIES | ops.SWITCHES | ops.MERGES | ops.ENTERS
"""What a constant waits for only to be in a loop with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Node ``node`` of the export holds ``value``; one that is a variable stays one, of that value."""

    node: str
    value: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Graft:
    """Tensor ``export`` is computed as the reference computes its tensor ``reference``.

    ``at`` gives, for a tensor of the reference, the export's tensor to go on from, or None to copy
    the node that computes it as well. ``graph`` is the reference's graph in another form, where nodes
    are to be copied from that. ``into`` is who gets it: an input of a node (its name and the
    position), an output by position, or None for all who read ``export``.
    """

    export: TensorName
    reference: TensorName
    at: Callable[[TensorName], TensorName | None]
    graph: Graph | None = None
    into: tuple[str, int] | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """Attribute ``name`` of node ``node`` of the export is ``value``; None takes it away.

    A function is the reference's of that name.
    """

    node: str
    name: str
    value: Attr


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Input ``position`` of node ``node`` of the export reads ``source``, a tensor of the export."""

    node: str
    position: int
    source: TensorName


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """The node of the export called ``node.name`` becomes ``node``."""

    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Tensor ``tensor`` of the export is held at ``value``."""

    tensor: TensorName
    value: Array


Edit: TypeAlias = Constant | Attribute | Graft | Wire | Rewrite | Feed
Repair: TypeAlias = tuple[Edit, ...]


class Ungraftable(Exception):
    """A repair cannot be made on a plain graph; the message says why."""


def repaired(export: Side, reference: Side, repair: Repair) -> Side:
    """``export`` after ``repair``. Raises :class:`Ungraftable` if it cannot be made."""
    patch = _Patch(export, reference)
    for edit in repair:
        patch.apply(edit)
    return patch.side()


@dataclass(slots=True)
class _Patch:
    export: Side
    reference: Side
    nodes: dict[str, Node] = field(init=False)
    functions: dict[str, FunctionBody] = field(init=False)
    outputs: list[TensorName] = field(init=False)
    feeds: dict[TensorName, Array] = field(init=False)
    variables: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = dict(self.export.graph.nodes)
        self.functions = dict(self.export.graph.functions)
        self.outputs = list(self.export.outputs)
        self.feeds = dict(self.export.feeds)
        self.variables = dict(self.export.variables)

    def side(self) -> Side:
        graph = Graph(nodes=self.nodes, functions=self.functions, producer=self.export.graph.producer)
        return replace(
            self.export,
            graph=graph,
            outputs=tuple(self.outputs),
            feeds=self.feeds,
            variables=self.variables,
        )

    def apply(self, edit: Edit) -> None:
        changed = _changed_node(edit)
        if changed is not None and changed not in self.nodes:
            raise Ungraftable(f"the export has no node {changed}")
        if isinstance(edit, Constant):
            self.put(edit.node, edit.value)
        elif isinstance(edit, Feed):
            self.feeds[edit.tensor] = edit.value
        elif isinstance(edit, Rewrite):
            self.nodes[edit.node.name] = edit.node
        elif isinstance(edit, Attribute):
            node = self.nodes[edit.node]
            attrs = {name: value for name, value in node.attrs.items() if name != edit.name}
            attrs |= {} if edit.value is None else {edit.name: edit.value}
            self.nodes[edit.node] = node._replace(attrs=attrs)
            self.take_functions(self.nodes[edit.node])
        elif isinstance(edit, Wire):
            self.wire(edit.node, edit.position, edit.source)
        else:
            self.graft(edit)

    def put(self, name: str, value: Tensor) -> None:
        """Let the constant or variable ``name`` have ``value``."""
        if self.is_variable(name):
            self.variables[name] = value
            return
        # A constant of a loop runs in it because of what it waits for.
        waits = self.nodes[name].controls
        self.nodes[name] = constant_node(name, value)._replace(controls=waits)

    def is_variable(self, name: str) -> bool:
        """Whether a node is a variable with a value: what takes its reference, a loop say, takes no constant."""
        return name in self.variables and self.nodes[name].op in ops.VARIABLES

    def take_functions(self, node: Node) -> None:
        """Give the export the reference's functions that ``node`` calls."""
        library, wanted = self.functions, self.reference.graph.functions
        if not wanted:
            return
        for name in reached_functions([node], wanted):
            if name in library and library[name] != wanted[name]:
                callers = [each for each in self.nodes.values() if name in reached_functions([each], library)]
                if any(each.name != node.name for each in callers):
                    raise Ungraftable(f"both sides have a function {name}, and they are not the same")
            library[name] = wanted[name]

    def wire(self, name: str, position: int, source: TensorName) -> None:
        inputs = list(self.nodes[name].inputs)
        inputs[position] = source
        self.nodes[name] = self.nodes[name]._replace(inputs=tuple(inputs))

    def graft(self, edit: Graft) -> None:
        copied = _Copy(self, edit)
        new = copied.tensor(edit.reference)
        if isinstance(edit.into, tuple):
            self.wire(*edit.into, new)
            return
        if isinstance(edit.into, int):
            self.outputs[edit.into] = new
            return
        if new == edit.export:
            return
        for name, node in self.nodes.items():
            if name not in copied.added and edit.export in node.inputs:
                inputs = tuple(new if source == edit.export else source for source in node.inputs)
                self.nodes[name] = node._replace(inputs=inputs)
        self.outputs = [new if output == edit.export else output for output in self.outputs]
        if new.node in copied.added and new.port == edit.export.port == 0:
            self.take_over(new.node, edit.export.node)

    def take_over(self, new: str, old: str) -> None:
        """Let node ``new`` have the name of the node that it replaced, if nothing needs that any more."""
        fed = (*self.export.inputs, *self.feeds, *self.outputs)
        if new == old or any(tensor.node == old for tensor in fed):
            return
        if any(source.node == old for node in self.nodes.values() for source in node.inputs):
            return
        self.nodes[old] = self.nodes.pop(new)._replace(name=old)
        for name, node in self.nodes.items():
            if any(source.node == new for source in node.inputs):
                inputs = tuple(TensorName(old, s.port) if s.node == new else s for s in node.inputs)
                self.nodes[name] = node._replace(inputs=inputs)
        self.outputs = [TensorName(old, o.port) if o.node == new else o for o in self.outputs]


@dataclass(slots=True)
class _Copy:
    """Nodes of the reference on their way into the export."""

    patch: _Patch
    edit: Graft
    added: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    constants: dict[TensorName, TensorName] = field(default_factory=dict)

    def tensor(self, source: TensorName) -> TensorName:
        """The export's tensor for ``source``, its nodes copied as far as they must be."""
        needed, stack = [], [source]
        seen: set[str] = set()
        while stack:
            here = stack.pop()
            if self.known(here) is not None or here.node in seen:
                continue
            seen.add(here.node)
            node = self.node(here.node)
            needed.append(node)
            if node.name not in self.patch.reference.variables:
                stack.extend(node.inputs)
                stack.extend(self.held_by(node))
        for node in needed:
            self.names[node.name] = self.fresh(node.name)
        for node in needed:
            self.add(node)
        return self.translated(source)

    def node(self, name: str) -> Node:
        node = self.found(name)
        if node is None:
            raise Ungraftable(f"the reference has no node {name}")
        if node.op in ops.VARIABLES and name not in self.patch.reference.variables:
            raise Ungraftable(f"variable {name} of the reference has no value")
        return node

    def found(self, name: str) -> Node | None:
        whole = self.patch.reference.graph.nodes
        return (
            whole.get(name) if self.edit.graph is None else self.edit.graph.nodes.get(name, whole.get(name))
        )

    def known(self, source: TensorName) -> TensorName | None:
        """The export's tensor for ``source`` where nothing is to be copied for it."""
        reference = self.patch.reference
        if source in reference.inputs:
            position = reference.inputs.index(source)
            return self.patch.export.inputs[position]
        if source in reference.feeds:
            return self.fed(source)
        return self.edit.at(source)

    def fed(self, source: TensorName) -> TensorName:
        if source not in self.constants:
            value = self.patch.reference.feeds[source]
            name = self.fresh(source.node)
            self.patch.nodes[name] = constant_node(name, tensor_of_array(value))
            self.added.add(name)
            self.constants[source] = TensorName(name, 0)
        return self.constants[source]

    def translated(self, source: TensorName) -> TensorName:
        known = self.known(source)
        return known if known is not None else TensorName(self.names[source.node], source.port)

    def add(self, node: Node) -> None:
        name = self.names[node.name]
        self.added.add(name)
        if node.name in self.patch.reference.variables:
            self.patch.nodes[name] = constant_node(name, self.patch.reference.variables[node.name])
            return
        op = "Identity" if node.op == "ReadVariableOp" else node.op
        attrs = {"T": node.attrs["dtype"]} if op != node.op and "dtype" in node.attrs else node.attrs
        if op == node.op and any(self._is_resource(source) for source in node.inputs):
            raise Ungraftable(f"{node.op} {node.name} reads a resource variable")
        self.patch.take_functions(node)
        controls = tuple(control for each in node.controls if (control := self.control(each)) is not None)
        inputs = tuple(self.translated(source) for source in node.inputs)
        self.patch.nodes[name] = Node(name=name, op=op, inputs=inputs, controls=controls, attrs=attrs)

    def held_by(self, node: Node) -> Iterator[TensorName]:
        """What keeps a constant inside a loop: the tensor of the loop that it waits for."""
        for control in node.controls if not node.inputs else ():
            waited = self.found(control)
            if waited is not None and waited.op in _LOOPED:
                yield TensorName(control, 0)

    def control(self, name: str) -> str | None:
        """The export's node for a control input: a constant in a loop runs in it for no other reason."""
        if name in self.names:
            return self.names[name]
        known = self.known(TensorName(name, 0))
        return known.node if known is not None else None

    def _is_resource(self, source: TensorName) -> bool:
        node = self.patch.reference.graph.nodes.get(source.node)
        return node is not None and node.op == "VarHandleOp"

    def fresh(self, name: str) -> str:
        candidate, number = name, 0
        while candidate in self.patch.nodes or candidate in self.names.values():
            number += 1
            candidate = f"{name}_repaired_{number}"
        return candidate


def _changed_node(edit: Edit) -> str | None:
    """The node of the export that ``edit`` changes and that must be there; None where it needs none."""
    if isinstance(edit, Constant | Attribute | Wire):
        return edit.node
    return edit.into[0] if isinstance(edit, Graft) and isinstance(edit.into, tuple) else None


def constant_node(name: str, value: Tensor) -> Node:
    """A ``Const`` that holds ``value``."""
    return Node(name=name, op="Const", attrs={"dtype": value.dtype, "value": value})


def tensor_of_array(array: Array, dtype: DType | None = None) -> Tensor:
    """An array as a constant; ``dtype`` is told for those that numpy does not know."""
    fixed = np.asarray(array)
    return Tensor(dtype=dtype or dtype_of(fixed), shape=fixed.shape, load=lambda: fixed)
