"""The while loops of TensorFlow 1 in a graph: which Merge opens one, which Switch belongs to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from . import ops
from .graph import Node, TensorName

Lookup: TypeAlias = "Callable[[str], Node | None]"
"""The node of a name, None if there is none."""


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


def is_of_loop(node: Lookup, switch: Node) -> bool:
    """Whether a ``Switch`` decides if a loop goes on: what it passes on is another tensor in each turn."""
    return len(switch.inputs) > 1 and _op(node, switch.inputs[1]) == "LoopCond"


def _op(node: Lookup, source: TensorName) -> str | None:
    found = node(source.node)
    return None if found is None else found.op
