"""Zeros that a converter adds behind a kernel, where its operators must have a bias."""

from __future__ import annotations

from collections.abc import Iterator

from ...graph.batch_norm.fold import Linear
from ...graph.edit.repair import Repair, Wire
from ...graph.graph import TensorName
from ...graph.read.tensors import values
from ..alignment import reference_of
from ..evidence import Evidence
from ..needed import export_flow
from .batch_norms import linears, reference_linears, reference_norms


def needless_sums(evidence: Evidence) -> Repair:
    """The edits that take such sums out where the reference adds nothing behind the same kernel."""
    normed = {norm.linear for norm in evidence[reference_norms]}
    bare = {
        name
        for linear in evidence[reference_linears]
        if not linear.added and linear.node not in normed
        for name in (linear.node, linear.kernel)
    }
    aligned = evidence[reference_of]
    return tuple(
        wire
        for linear in evidence[linears]
        if {aligned.get(linear.node), aligned.get(linear.kernel)} & bare
        for wire in _without_sums(evidence, linear)
    )


def _without_sums(evidence: Evidence, linear: Linear) -> Iterator[Wire]:
    held = [evidence.export.value(each.bias) for each in linear.added]
    if not held or any(each is None or values(each).any() for each in held):
        return
    last, flow = linear.added[-1].output, evidence[export_flow]
    if last in evidence.export.outputs:
        return
    for name in dict.fromkeys(flow.readers.get(last.node, ())):
        for position, source in enumerate(evidence.export.graph.nodes[name].inputs):
            if source == last:
                yield Wire(node=name, position=position, source=TensorName(linear.node, 0))
