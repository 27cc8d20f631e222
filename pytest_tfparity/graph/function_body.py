"""Bodies of functions as nodes that name their inputs by port, for one set of attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import ops
from .graph import (
    Attr,
    AttrReference,
    Function,
    FunctionBody,
    FunctionInput,
    FunctionNode,
    Node,
    TensorName,
    listed,
)

ARGUMENT = "_Arg"
"""The op that stands for an argument of the function; its position is the attribute ``index``."""


@dataclass(frozen=True, slots=True)
class Body:
    """A function with its attributes filled in: nodes as in a graph, arguments among them.

    ``unknown`` lists what could not be resolved, a clause each.
    """

    name: str
    nodes: Mapping[str, Node]
    returns: tuple[TensorName, ...]
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reader:
    functions: Mapping[str, FunctionBody]
    attrs: Mapping[str, Attr]
    nodes: Mapping[str, FunctionNode]
    arguments: frozenset[str]
    unknown: list[str] = field(default_factory=list)

    def tensor(self, source: FunctionInput) -> TensorName:
        if source.node in self.arguments and not source.output:
            if source.port:
                self.unknown.append(f"argument {source.node} is a list of tensors")
            return TensorName(source.node, 0)
        node = self.nodes.get(source.node)
        first = None if node is None else self.first_port(node, source.output)
        if first is None:
            op = "a missing node" if node is None else node.op
            self.unknown.append(f"output {source.output!r} of {op} ({source.node}) is not known")
            first = 0
        return TensorName(source.node, first + source.port)

    def first_port(self, node: FunctionNode, output: str) -> int | None:
        called = self.functions.get(node.op)
        if called is not None:
            return called.results.index(output) if output in called.results else None
        return ops.first_port(node.op, output, self.filled(node.attrs))

    def filled(self, attrs: Mapping[str, Attr]) -> Mapping[str, Attr]:
        if not self.attrs or not any(_refers(value) for value in attrs.values()):
            return attrs
        return {name: self.value(value) for name, value in attrs.items()}

    def value(self, value: Attr) -> Attr:
        if isinstance(value, AttrReference):
            return self.attrs.get(value.name, value)
        if isinstance(value, Function):
            return Function(value.name, self.filled(value.attrs))
        values = listed(value)
        return value if values is None else tuple(self.value(each) for each in values)


def _refers(value: Attr) -> bool:
    if isinstance(value, AttrReference):
        return True
    if isinstance(value, Function):
        return any(_refers(each) for each in value.attrs.values())
    return any(_refers(each) for each in listed(value) or ())


def body_of(functions: Mapping[str, FunctionBody], function: FunctionBody, attrs: Mapping[str, Attr]) -> Body:
    """``function`` called with ``attrs``. Nested attribute references are filled in."""
    nodes = {node.name: node for node in function.nodes}
    reader = _Reader(functions, attrs, nodes, frozenset(function.arguments))
    read: dict[str, Node] = {
        name: Node(name, ARGUMENT, attrs={"index": index}) for index, name in enumerate(function.arguments)
    }
    for node in function.nodes:
        inputs = tuple(map(reader.tensor, node.inputs))
        read[node.name] = Node(node.name, node.op, inputs, node.controls, reader.filled(node.attrs))
    returns = tuple(reader.tensor(function.returns[result]) for result in function.results)
    return Body(function.name, read, returns, tuple(reader.unknown))
