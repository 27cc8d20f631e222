"""What a run changes while it reads: variables and arrays whose value is then not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import ops
from ..references import Writer
from ..variables import Storage
from .form import NormalGraph


def changed_variables(
    graph: NormalGraph, restored: Mapping[int, Storage], writers: Sequence[Writer]
) -> list[str]:
    """A clause for each variable that ``graph`` reads and one of ``writers`` may change.

    ``restored`` are the variables among the nodes of ``graph``. Every node that runs is asked, whichever
    control input led to it: the order of a read and a write is not looked at. Nor is it where a tensor is
    changed in place.
    """
    if not writers:
        return []
    in_place = [
        f"a tensor is changed in place by {writer.node.op} ({writer.node.name})"
        for writer in writers
        if writer.in_place
    ]
    live = {restored[index]: graph.nodes[index].name for index in graph.live() if index in restored}
    return in_place + [
        f"variable {name} is changed by {writer.node.op} ({writer.node.name})"
        for writer in writers
        for storage, name in sorted(live.items())
        if writer.changes(storage)
    ]


def changed_arrays(graph: NormalGraph) -> list[str]:
    """A clause for each node that changes an array beside the flow that leads to the outputs."""
    written = [node for node in graph.nodes if node.op.startswith("TensorArray") and ops.may_write(node.op)]
    if not written:
        return []
    graph.label(ops.ARRAYS)
    return [
        f"an array is changed by {node.op} ({node.name}) beside the outputs"
        for node in written
        if node.label is None
    ]
