"""Weights that the export holds in the shape that the reference gives them first: folded reshapes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph import ops
from ...graph.align.divergence import Divergence, Kind
from ...graph.edit.repair import Edit, Graft, Repair, Rewrite, constant_node, tensor_of_array
from ...graph.graph import Node, TensorName
from ...graph.read.tensors import values
from ..alignment import divergences
from ..evidence import Evidence
from ..needed import reference_flow, taken_reference
from .batch_norms import free_name
from .weights import export_constants


def reshaped_weights(evidence: Evidence) -> Repair:
    """The edits that give such a constant the shape of its variable, with the reshape behind it.

    A pass that computes what depends on constants alone leaves a reshaped weight. Where that weight is
    another than the reference's, it can be compared with the variable's again.
    """
    edits: list[Edit] = []
    taken: list[str] = []
    for divergence in evidence[divergences]:
        edits += _unfolded(evidence, divergence, taken)
    return tuple(edits)


def _unfolded(evidence: Evidence, divergence: Divergence, taken: list[str]) -> Iterator[Edit]:
    held = evidence[export_constants].get(divergence.export[0]) if divergence.export else None
    if divergence.kind is not Kind.OP or held is None or not divergence.reference:
        return
    top = TensorName(divergence.reference[0], 0)
    found = _variable(evidence, top)
    value = None if found is None else evidence.reference.value(found)
    if found is None or value is None or value.dtype != held.dtype:
        return
    if int(np.prod(value.shape)) != int(np.prod(held.shape)):
        return
    taken.append(free_name(evidence, found, taken))
    yield Rewrite(
        node=constant_node(taken[-1], tensor_of_array(values(held).reshape(value.shape), held.dtype))
    )
    edges = {TensorName(found, 0): TensorName(taken[-1], 0)}
    flow = evidence[reference_flow]
    yield Graft(
        export=TensorName(divergence.export[0], 0),
        reference=top,
        at=lambda tensor: edges.get(flow.source(tensor)),
        graph=evidence[taken_reference],
    )


def _variable(evidence: Evidence, tensor: TensorName) -> str | None:
    """The variable of the reference that ``tensor`` is in another shape; None if it is anything else."""
    flow = evidence[reference_flow]
    node: Node | None = flow.nodes.get(tensor.node)
    while node is not None and node.name not in evidence.reference.variables:
        if node.op not in ops.RESHAPES:
            return None
        node = flow.nodes.get(flow.source(node.inputs[0]).node)
    return None if node is None else node.name
