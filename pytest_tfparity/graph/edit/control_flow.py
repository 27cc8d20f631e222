"""Where a node lives in the ``Switch``/``Merge``/``Enter`` control flow of TensorFlow 1.

What a node without inputs does in a branch or loop, it does because a control input says so: a node is
dead if a control input is (executor.cc).
"""

from __future__ import annotations

from .. import ops
from ..graph import Graph, Node, TensorName
from ..loops import is_of_loop, opens_loop


def context_of(graph: Graph, control: str) -> tuple[str, TensorName | None] | None:
    """Something harmless that lives in the branch or loop of node ``control``; None outside of all.

    Either ``(node, None)``, a node of the graph, or ``(new name, switch output)``, an ``Identity``
    to be added. Walks from ``control`` upwards to the first ``Switch`` or ``Enter`` that is not
    closed again by a ``Merge`` or ``Exit`` on the way: ``depth`` counts those that are.
    """
    stack, seen = [(control, 0)], set()
    while stack:
        name, depth = stack.pop()
        node = graph.nodes.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if depth == 0 and _begins_loop(graph, node):
            return name, None
        depth += _closed(graph, node, depth)
        if depth == 0 and (switch := _switch_before(graph, node)) is not None:
            if node.op in ops.IDENTITIES:
                return name, None
            return f"tfparity_branch/{switch.node}/{switch.port}", switch
        stack.extend((source.node, depth) for source in node.inputs)
        stack.extend((each, depth) for each in node.controls)
    return None


def _begins_loop(graph: Graph, node: Node) -> bool:
    if node.op in ops.MERGES:
        return opens_loop(graph.nodes.get, node)
    return node.op in ops.ENTERS or node.op == "LoopCond"


def _closed(graph: Graph, node: Node, depth: int) -> int:
    """By how much there is more to be opened above ``node`` than below it."""
    if node.op in ops.EXITS or (node.op in ops.MERGES and not opens_loop(graph.nodes.get, node)):
        return 1
    opens = node.op in ops.ENTERS or (node.op in ops.SWITCHES and not is_of_loop(graph.nodes.get, node))
    return -1 if opens and depth else 0


def _switch_before(graph: Graph, node: Node) -> TensorName | None:
    for source in node.inputs:
        feeder = graph.nodes.get(source.node)
        if feeder is not None and feeder.op in ops.SWITCHES:
            return source
    return None
