"""Fingerprints of graphs with loops, where a node may depend on itself.

A node of a loop is described by a walk from it: nodes are numbered as they are first reached, along
inputs in their order, and written down with these numbers. Two descriptions are equal exactly if the
parts that can be reached are the same but for names: inputs are ordered, so the walk leaves no choice.
"""

from __future__ import annotations

import hashlib

from ..normal.attributes import commutes
from ..normal.form import NormalGraph
from .fingerprint import SIZE, Contents, Fingerprint, node_fingerprint, own_encoding


def with_loops(graph: NormalGraph, contents: Contents) -> dict[int, Fingerprint]:
    """The fingerprint of every live node, by index."""
    found: dict[int, Fingerprint] = {}
    parts = components(graph)
    part_of = {index: number for number, part in enumerate(parts) for index in part}
    readers = {edge.node for edge in graph.outputs}
    for index, part in part_of.items():
        readers.update(source for source in graph.dependencies(index) if part_of[source] != part)
    for component in parts:
        if len(component) == 1 and component[0] not in graph.dependencies(component[0]):
            index = component[0]
            found[index] = node_fingerprint(graph.nodes[index], contents, _sources(graph, index, found))
        else:
            found.update(_loop(graph, component, readers, contents, found))
    return found


def _loop(
    graph: NormalGraph,
    component: list[int],
    read: set[int],
    contents: Contents,
    found: dict[int, Fingerprint],
) -> dict[int, Fingerprint]:
    """Fingerprints of the nodes of one loop.

    Those that are read from outside are described one by one. Any other is told by its number in the
    walk from the one whose description comes first.
    """
    own = {index: own_encoding(graph.nodes[index], contents) for index in component}
    walks = [_described(graph, root, own, found) for root in component if root in read]
    first, numbers = min(walks or [_described(graph, component[0], own, found)], key=lambda walk: walk[0])
    inner = {index: _hash(b"inner", first, b"%d" % number) for index, number in numbers.items()}
    return inner | {next(iter(numbers)): description for description, numbers in walks}


def _hash(*parts: bytes) -> Fingerprint:
    return hashlib.blake2b(b"".join(parts), digest_size=SIZE).digest()


def _described(
    graph: NormalGraph, root: int, own: dict[int, bytes], found: dict[int, Fingerprint]
) -> tuple[Fingerprint, dict[int, int]]:
    """The description of a loop as seen from ``root``, and the numbers that its nodes have there."""
    numbers = {root: 0}
    order = [root]
    text = hashlib.blake2b(b"loop", digest_size=SIZE)
    for index in order:
        node = graph.nodes[index]
        text.update(b"%d;" % len(own[index]) + own[index] + b"%d;%d;" % (len(node.inputs), len(node.guards)))
        for source, *where in (*node.inputs, *node.guards):
            if source not in own:
                text.update(b"x" + found[source])
            else:
                if source not in numbers:
                    numbers[source] = len(order)
                    order.append(source)
                text.update(b"n%d;" % numbers[source])
            text.update(b",".join(b"%d" % part for part in where) + b";")
    return text.digest(), numbers


def _sources(graph: NormalGraph, index: int, found: dict[int, Fingerprint]) -> list[bytes]:
    node = graph.nodes[index]
    inputs = [found[source] + b"%d;" % port for source, port in node.inputs]
    if len(inputs) == 2 and commutes(node.op, node.attrs):
        inputs.sort()
    return inputs + sorted(found[source] + b"%d,%d;" % (port, side) for source, port, side in node.guards)


def components(graph: NormalGraph) -> list[list[int]]:
    """The live nodes in sets that depend on one another, what is depended on first (Tarjan, iterative)."""
    numbers: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    found: list[list[int]] = []
    for start in graph.live():
        if start in numbers:
            continue
        work = [(start, graph.dependencies(start))]
        numbers[start] = lowest[start] = len(numbers)
        open_nodes.append(start)
        is_open.add(start)
        while work:
            index, sources = work[-1]
            for source in sources:
                if source not in numbers:
                    numbers[source] = lowest[source] = len(numbers)
                    open_nodes.append(source)
                    is_open.add(source)
                    work.append((source, graph.dependencies(source)))
                    break
                if source in is_open:
                    lowest[index] = min(lowest[index], numbers[source])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[index])
                if lowest[index] == numbers[index]:
                    component: list[int] = []
                    while not component or component[-1] != index:
                        component.append(open_nodes.pop())
                        is_open.discard(component[-1])
                    found.append(component)
    return found
