"""Bodies of functions as nodes that name their inputs by port, for one set of attributes."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class Body:
    """A function with its attributes filled in: nodes as in a graph, arguments among them.

    ``arguments`` and ``returns`` are counted flat: an argument or result that is a list is as many tensors.
    ``unknown`` lists what could not be resolved, a clause each.
    """

    name: str
    nodes: Mapping[str, Node]
    arguments: tuple[TensorName, ...]
    returns: tuple[TensorName, ...]
    unknown: tuple[str, ...] = ()


def named_functions(op: str, attrs: Mapping[str, Attr], library: Container[str]) -> Iterator[Function]:
    """The functions that a node names: as its op, if it is a call of one of ``library``, and as attributes."""
    if op in library:
        yield Function(op, attrs)
    for value in attrs.values():
        for each in listed(value) or (value,):
            if isinstance(each, Function):
                yield each


def reached_functions(nodes: Iterable[Node], library: Mapping[str, FunctionBody]) -> set[str]:
    """The functions of ``library`` that ``nodes`` name, and those that the nodes of these name."""
    if not library:
        return set()
    found: set[str] = set()
    stack = [each.name for node in nodes for each in named_functions(node.op, node.attrs, library)]
    while stack:
        name = stack.pop()
        if name in found or name not in library:
            continue
        found.add(name)
        for inner in library[name].nodes:
            stack.extend(each.name for each in named_functions(inner.op, inner.attrs, library))
    return found


@dataclass(slots=True)
class _Reader:
    functions: Mapping[str, FunctionBody]
    function: FunctionBody
    attrs: Mapping[str, Attr]
    nodes: Mapping[str, FunctionNode]
    unknown: list[str] = field(default_factory=list)

    def argument(self, name: str) -> int:
        """How many tensors an argument is."""
        count = _count(self.function.listed_arguments, name, self.attrs)
        if count is None:
            self.unknown.append(f"argument {name} is a list of tensors")
        return 1 if count is None else count

    def tensors(self, source: FunctionInput) -> tuple[TensorName, ...]:
        """The tensors that ``source`` means: one, or all of a list."""
        found = self.ports(source)
        if found is None:
            node = self.nodes.get(source.node)
            op = "a missing node" if node is None else node.op
            self.unknown.append(f"output {source.output!r} of {op} ({source.node}) is not known")
            return (TensorName(source.node, source.port),)
        if source.indexed:
            if source.port >= len(found):
                self.unknown.append(f"output {source.output!r} of {source.node} has no tensor {source.port}")
            return (TensorName(source.node, found.start + source.port),)
        return tuple(TensorName(source.node, port) for port in found)

    def ports(self, source: FunctionInput) -> range | None:
        """The ports of the argument or output that ``source`` names; None if they are not known."""
        if source.node in self.function.arguments and not source.output:
            return range(_count(self.function.listed_arguments, source.node, self.attrs) or 1)
        node = self.nodes.get(source.node)
        if node is None:
            return None
        attrs = self.filled(node.attrs)
        called = self.functions.get(node.op)
        return ops.ports(node.op, source.output, attrs) if called is None else _results(called, source, attrs)

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


def _count(lists: Mapping[str, str], name: str, attrs: Mapping[str, Attr]) -> int | None:
    return ops.size(attrs.get(lists[name])) if name in lists else 1


def _results(called: FunctionBody, source: FunctionInput, attrs: Mapping[str, Attr]) -> range | None:
    """The ports of a result of the function ``called``, those of the results before it counted."""
    attrs, port = {**called.defaults, **attrs}, 0
    for result in called.results:
        count = _count(called.listed_results, result, attrs)
        if count is None:
            return None
        if result == source.output:
            return range(port, port + count)
        port += count
    return None


def body_of(functions: Mapping[str, FunctionBody], function: FunctionBody, attrs: Mapping[str, Attr]) -> Body:
    """``function`` called with ``attrs``. Nested attribute references are filled in.

    Source: ``InstantiateFunction`` in tensorflow/core/framework/function.cc, which counts arguments, results and
    outputs flat and takes an attribute that the call lacks from the function's signature.
    """
    nodes = {node.name: node for node in function.nodes}
    reader = _Reader(functions, function, {**function.defaults, **attrs}, nodes)
    read: dict[str, Node] = {}
    arguments: list[TensorName] = []
    for name in function.arguments:
        typed = {"T": reader.value(function.types[name])} if name in function.types else {}
        read[name] = Node(name, ops.ARGUMENT, attrs={"index": len(arguments), **typed})
        arguments += [TensorName(name, port) for port in range(reader.argument(name))]
    for node in function.nodes:
        inputs = tuple(tensor for source in node.inputs for tensor in reader.tensors(source))
        read[node.name] = Node(node.name, node.op, inputs, node.controls, reader.filled(node.attrs))
    returns = tuple(
        tensor for result in function.results for tensor in reader.tensors(function.returns[result])
    )
    return Body(function.name, read, tuple(arguments), returns, tuple(reader.unknown))
