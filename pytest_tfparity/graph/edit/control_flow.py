"""Where a node lives in the ``Switch``/``Merge``/``Enter`` control flow of TensorFlow 1.

Rules of tensorflow/core/common_runtime/executor.cc: a node is dead if an input or control input is
dead, a ``Merge`` if all its inputs are; what a node without inputs does in a branch or loop, it does
because a control input says so.
"""

from __future__ import annotations

from .. import op_kinds as ops
from ..graph import Graph, Node, TensorName


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
        if (node.op in ops.MERGES and not opens_loop(graph, node)) or node.op in ops.EXITS:
            depth += 1
        elif depth == 0 and (node.op in ops.MERGES or node.op in ops.ENTERS or node.op == "LoopCond"):
            return name, None
        elif depth and (node.op in ops.ENTERS or (node.op in ops.SWITCHES and not _of_loop(graph, node))):
            depth -= 1
        if depth == 0 and (switch := _switch_before(graph, node)) is not None:
            if node.op in ops.IDENTITIES:
                return name, None
            return f"tfparity_branch/{switch.node}/{switch.port}", switch
        stack.extend((source.node, depth) for source in node.inputs)
        stack.extend((each, depth) for each in node.controls)
    return None


def _switch_before(graph: Graph, node: Node) -> TensorName | None:
    for source in node.inputs:
        feeder = graph.nodes.get(source.node)
        if feeder is not None and feeder.op in ops.SWITCHES:
            return source
    return None


def _of_loop(graph: Graph, switch: Node) -> bool:
    predicate = graph.nodes.get(switch.inputs[1].node)
    return predicate is not None and predicate.op == "LoopCond"


def opens_loop(graph: Graph, merge: Node) -> bool:
    """Whether a ``Merge`` is the head of a loop and not the end of two branches."""
    sources = (graph.nodes.get(source.node) for source in merge.inputs)
    return any(source is not None and source.op in ops.NEXT_ITERATIONS | ops.ENTERS for source in sources)
