"""The while loops of TensorFlow 1 in a graph: which Merge opens one, which Switch is of one, what runs in which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from . import ops
from .graph import Node, TensorName

Lookup: TypeAlias = "Callable[[str], Node | None]"
"""The node of a name, None if there is none."""
Frame: TypeAlias = "tuple[object, ...]"
"""The names of the loops around a node, the outermost first; empty outside of any."""


def opens_loop(node: Lookup, merge: Node) -> bool:
    """Whether a ``Merge`` is the head of a loop and not the end of two branches."""
    return any(is_back_edge(node, source) or _op(node, source) in ops.ENTERS for source in merge.inputs)


def is_back_edge(node: Lookup, source: TensorName) -> bool:
    """Whether a tensor that a ``Merge`` reads comes from the end of a loop."""
    seen: set[str] = set()
    while source.node not in seen:
        seen.add(source.node)
        found = node(source.node)
        if found is None:
            return False
        if found.op in ops.NEXT_ITERATIONS:
            return True
        if found.op not in ops.PASS_THROUGH or not found.inputs:
            return False
        source = found.inputs[0]
    return False


def hands_on(node: Lookup, head: Node) -> bool:
    """Whether each turn of a loop hands on what ``head`` gives it: nothing that computes stands between both."""
    for back in head.inputs:
        seen: set[str] = set()
        while (found := node(back.node)) is not None and found.name not in seen and found.inputs:
            seen.add(found.name)
            if found.op in ops.SWITCHES:
                if back.port == 1 and found.inputs[0].node == head.name:
                    return is_of_loop(node, found)
                break
            if found.op not in ops.PASS_THROUGH | ops.NEXT_ITERATIONS:
                break
            back = found.inputs[0]
    return False


def is_of_loop(node: Lookup, switch: Node) -> bool:
    """Whether a ``Switch`` decides if a loop goes on: what it passes on is another tensor in each turn."""
    return len(switch.inputs) > 1 and _op(node, switch.inputs[1]) == "LoopCond"


def mixed_frames(nodes: Mapping[str, Node]) -> list[str]:
    """A clause for each of ``nodes`` (inputs first but for the ends of loops) that waits for more than one loop.

    Control inputs count. Source: ``BuildControlFlowInfo`` in tensorflow/core/graph/control_flow.cc.
    """
    if not any(node.op in ops.ENTERS for node in nodes.values()):
        return []
    after: dict[str, Frame] = {}
    doubts: list[str] = []
    for name, node in nodes.items():
        around = [after[each] for each in _needed(node) if each in after]
        frame = around[0] if around else ()
        if node.op in ops.ENTERS:
            frame = (*frame, node.attrs.get("frame_name"))
        elif node.op in ops.EXITS:
            frame = frame[:-1]
        after[name] = frame
    for name, node in nodes.items():
        if len({after[each] for each in _needed(node) if each in after}) > 1:
            doubts.append(f"{node.op} ({name}) waits for different loops")
    return doubts + _parents(nodes, after) + _waiting_once(nodes) + _waiting_for_itself(nodes, after)


def _waiting_for_itself(nodes: Mapping[str, Node], after: Mapping[str, Frame]) -> list[str]:
    """A clause that names a node in a cycle, if there is one: what leaves a loop comes after all that enters it.

    The back edges of a loop make no cycle; that a value leaves the loop takes the whole of it, so that what enters
    waits in vain for what leaves.
    """
    waits: dict[object, list[object]] = {}
    for name, node in nodes.items():
        found: list[object] = [
            source.node
            for source in node.inputs
            if source.node in nodes and not (node.op in ops.MERGES and is_back_edge(nodes.get, source))
        ]
        found += [control for control in node.controls if control in nodes]
        if node.op in ops.EXITS:
            found += [after[source.node] for source in node.inputs if source.node in after]
        if node.op in ops.ENTERS:
            waits.setdefault(after[name], []).append(name)
        waits[name] = found
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        stuck = next(each for each in error.args[1] if each in nodes)
        return [f"{nodes[stuck].op} ({stuck}) waits for itself"]
    return []


def _waiting_once(nodes: Mapping[str, Node]) -> list[str]:
    """A clause for each node that a control input lets run in one turn of a loop and in no other.

    A value that enters a loop and is not constant there is there in the first turn alone (``NodeItem`` and
    ``FrameState`` in tensorflow/core/common_runtime), and one that a turn hands on is not there in the first.
    """
    once: set[str] = set()
    doubts: list[str] = []
    for name, node in nodes.items():
        if node.op in ops.ENTERS:
            if node.attrs.get("is_constant") is not True:
                once.add(name)
            continue
        waits = [each for each in node.controls if each in once]
        if waits:
            doubts.append(
                f"{node.op} ({name}) waits for {waits[0]}, which is not there in each turn of a loop"
            )
        read = any(source.node in once for source in node.inputs)
        if node.op in ops.NEXT_ITERATIONS or (read and node.op not in ops.MERGES | ops.EXITS):
            once.add(name)
    return doubts


def _parents(nodes: Mapping[str, Node], after: Mapping[str, Frame]) -> list[str]:
    """A clause for each loop that is entered from different ones, or left where none was entered."""
    parents: dict[object, Frame] = {}
    doubts: list[str] = []
    for name, node in nodes.items():
        if node.op in ops.ENTERS:
            *parent, frame = after[name]
            if parents.setdefault(frame, tuple(parent)) != tuple(parent):
                doubts.append(f"{node.op} ({name}) enters a loop from another one than its other inputs")
        elif node.op in ops.EXITS and not any(after.get(each) for each in _needed(node)):
            doubts.append(f"{node.op} ({name}) leaves no loop")
    return doubts


def _needed(node: Node) -> Iterator[str]:
    for source in node.inputs:
        yield source.node
    yield from node.controls


def _op(node: Lookup, source: TensorName) -> str | None:
    found = node(source.node)
    return None if found is None else found.op
