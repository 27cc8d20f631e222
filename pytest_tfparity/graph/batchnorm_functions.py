"""Calls and functional conditionals written out as plain nodes, so that batch norm can be found in them."""

from __future__ import annotations

from .graph import Function, FunctionBody, FunctionInput, Graph, Node, TensorName
from .op_table import first_port

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
CONDITIONALS = frozenset({"If", "StatelessIf"})

_LARGEST = 2_000_000
"""Nodes after which functions stay unwritten: recursive functions would never end."""


def without_calls(graph: Graph) -> Graph:
    """``graph`` with ``PartitionedCall`` and ``If`` written out, as TensorFlow's own lowering does.

    Nodes of a function keep their names under the name of the call. ``If`` becomes a ``Switch``
    for each argument and a ``Merge`` for each result, else side first. Loops stay whole.
    """
    if not graph.functions or not any(
        node.op in CALLS or node.op in CONDITIONALS for node in graph.nodes.values()
    ):
        return graph
    nodes: dict[str, Node] = {}
    results: dict[TensorName, TensorName] = {}
    waiting = list(graph.nodes.values())[::-1]
    while waiting:
        node = waiting.pop()
        body = _bodies(graph, node)
        if body is None or len(nodes) > _LARGEST:
            nodes[node.name] = node
        elif node.op in CALLS:
            inner, returned = _inlined(node.name, body[0], node.inputs, node.controls)
            waiting.extend(reversed(inner))
            results.update({TensorName(node.name, port): source for port, source in enumerate(returned)})
        else:
            waiting.extend(reversed(_branches(node, body[0], body[1], results)))
    return Graph({name: _redirected(node, results) for name, node in nodes.items()}, {}, graph.producer)


def resolved(tensor: TensorName, results: dict[TensorName, TensorName]) -> TensorName:
    """``tensor``, or what stands in its place now that its call is written out."""
    while tensor in results:
        tensor = results[tensor]
    return tensor


def _bodies(graph: Graph, node: Node) -> tuple[FunctionBody, ...] | None:
    keys = ("f",) if node.op in CALLS else ("then_branch", "else_branch") if node.op in CONDITIONALS else ()
    named = [function for key in keys if isinstance(function := node.attrs.get(key), Function)]
    bodies = tuple(graph.functions[each.name] for each in named if each.name in graph.functions)
    return bodies if keys and len(bodies) == len(keys) else None


def _branches(
    node: Node, then: FunctionBody, otherwise: FunctionBody, results: dict[TensorName, TensorName]
) -> list[Node]:
    predicate, *arguments = node.inputs
    pivot = Node(f"{node.name}/pivot", "Switch", (predicate, predicate), node.controls)
    made = [pivot]
    for index, argument in enumerate(arguments):
        made.append(Node(f"{node.name}/switch_{index}", "Switch", (argument, predicate), node.controls))
    returned: list[list[TensorName]] = []
    for side, body in (("else", otherwise), ("then", then)):
        port = int(side == "then")
        gate = Node(f"{node.name}/{side}_pivot", "Identity", (TensorName(pivot.name, port),))
        inputs = tuple(TensorName(f"{node.name}/switch_{index}", port) for index in range(len(arguments)))
        inner, outputs = _inlined(f"{node.name}/{side}", body, inputs, (gate.name,))
        made += [gate, *inner]
        returned.append(outputs)
    for port, (no, yes) in enumerate(zip(*returned, strict=False)):
        merge = Node(f"{node.name}/merge_{port}", "Merge", (no, yes))
        made.append(merge)
        results[TensorName(node.name, port)] = TensorName(merge.name, 0)
    return made


def _inlined(
    prefix: str, body: FunctionBody, inputs: tuple[TensorName, ...], controls: tuple[str, ...]
) -> tuple[list[Node], list[TensorName]]:
    arguments = dict(zip(body.arguments, inputs, strict=False))
    inside = {inner.name: inner for inner in body.nodes}

    def place(source: FunctionInput) -> TensorName:
        if not source.output and source.node in arguments:
            return arguments[source.node]
        made = inside.get(source.node)
        first = first_port(made.op, source.output, made.attrs) if made is not None else None
        return TensorName(f"{prefix}/{source.node}", (first or 0) + source.port)

    nodes = [
        Node(
            f"{prefix}/{inner.name}",
            inner.op,
            tuple(place(source) for source in inner.inputs),
            controls if not inner.inputs else (),
            inner.attrs,
        )
        for inner in body.nodes
    ]
    return nodes, [place(body.returns[result]) for result in body.results if result in body.returns]


def _redirected(node: Node, results: dict[TensorName, TensorName]) -> Node:
    if not any(source in results for source in node.inputs):
        return node
    inputs = tuple(resolved(source, results) for source in node.inputs)
    return Node(node.name, node.op, inputs, node.controls, node.attrs)
