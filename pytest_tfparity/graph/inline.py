"""Calls and functional conditionals written out as plain nodes, so that batch norm can be found in them."""

from __future__ import annotations

from .graph import Function, Graph, Node, TensorName
from .normal.functions import ARGUMENT, Body, body

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_CONDITIONALS = frozenset({"If", "StatelessIf"})

_LARGEST = 2_000_000
"""Nodes after which calls stay as they are: a function that calls itself would never end."""


def without_calls(graph: Graph) -> Graph:
    """``graph`` with function calls and ``If`` written out, as TensorFlow's own lowering does.

    Nodes of a function keep their names under the name of the call. ``If`` becomes a ``Switch``
    for each argument and a ``Merge`` for each result, else side first. Loops stay whole.
    """
    if not graph.functions or not any(_bodies(graph, node) for node in graph.nodes.values()):
        return graph
    nodes: dict[str, Node] = {}
    results: dict[TensorName, TensorName] = {}
    waiting = list(graph.nodes.values())[::-1]
    while waiting:
        node = waiting.pop()
        bodies = _bodies(graph, node)
        if not bodies or len(nodes) > _LARGEST:
            nodes[node.name] = node
        elif len(bodies) == 1:
            inner, returned = _inlined(node.name, bodies[0], node.inputs, node.controls)
            waiting.extend(reversed(inner))
            results.update({TensorName(node.name, port): source for port, source in enumerate(returned)})
        else:
            waiting.extend(reversed(_branches(node, bodies[0], bodies[1], results)))
    return Graph({name: _redirected(node, results) for name, node in nodes.items()}, {}, graph.producer)


def _bodies(graph: Graph, node: Node) -> tuple[Body, ...]:
    """The functions that ``node`` calls: one of a call, then and else of a conditional, else none."""
    if node.op in graph.functions:
        return (body(graph.functions, graph.functions[node.op], node.attrs),)
    keys = ("then_branch", "else_branch") if node.op in _CONDITIONALS else ("f",) if node.op in _CALLS else ()
    called = [function for key in keys if isinstance(function := node.attrs.get(key), Function)]
    known = [each for each in called if each.name in graph.functions]
    if len(known) != len(keys):
        return ()
    return tuple(body(graph.functions, graph.functions[each.name], each.attrs) for each in known)


def _branches(node: Node, then: Body, otherwise: Body, results: dict[TensorName, TensorName]) -> list[Node]:
    predicate, *arguments = node.inputs
    pivot = Node(f"{node.name}/pivot", "Switch", (predicate, predicate), node.controls)
    made = [pivot]
    for index, argument in enumerate(arguments):
        made.append(Node(f"{node.name}/switch_{index}", "Switch", (argument, predicate), node.controls))
    returned: list[list[TensorName]] = []
    for side, branch in (("else", otherwise), ("then", then)):
        port = int(side == "then")
        gate = Node(f"{node.name}/{side}_pivot", "Identity", (TensorName(pivot.name, port),))
        inputs = tuple(TensorName(f"{node.name}/switch_{index}", port) for index in range(len(arguments)))
        inner, outputs = _inlined(f"{node.name}/{side}", branch, inputs, (gate.name,))
        made += [gate, *inner]
        returned.append(outputs)
    for port, (no, yes) in enumerate(zip(*returned, strict=False)):
        merge = Node(f"{node.name}/merge_{port}", "Merge", (no, yes))
        made.append(merge)
        results[TensorName(node.name, port)] = TensorName(merge.name, 0)
    return made


def _inlined(
    prefix: str, function: Body, inputs: tuple[TensorName, ...], controls: tuple[str, ...]
) -> tuple[list[Node], list[TensorName]]:
    def place(source: TensorName) -> TensorName:
        node = function.nodes.get(source.node)
        index = node.attrs.get("index") if node is not None and node.op == ARGUMENT else None
        if isinstance(index, int) and index < len(inputs):
            return inputs[index]
        return TensorName(f"{prefix}/{source.node}", source.port)

    nodes = [
        Node(
            f"{prefix}/{inner.name}",
            inner.op,
            tuple(map(place, inner.inputs)),
            () if inner.inputs else controls,
            inner.attrs,
        )
        for inner in function.nodes.values()
        if inner.op != ARGUMENT
    ]
    return nodes, [place(source) for source in function.returns]


def _redirected(node: Node, results: dict[TensorName, TensorName]) -> Node:
    if not any(source in results for source in node.inputs):
        return node
    inputs = []
    for source in node.inputs:
        while source in results:
            source = results[source]
        inputs.append(source)
    return Node(node.name, node.op, tuple(inputs), node.controls, node.attrs)
