"""Correct folds of a batch norm, and other spellings of one: another graph, the same function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..graph.align import Kind
from ..graph.batchnorm import FUSED, BatchNorm
from ..graph.graft import Repair, Ungraftable
from .evidence import Evidence
from .folded import unfolded
from .norms import as_reference


def neutral_folds(evidence: Evidence) -> Iterator[Repair]:
    """Put kernels and batch norms back as in the reference where the export's are the same function.

    This takes the fold out of the comparison, so that only what is wrong is left to explain. A
    layer that was folded from other weights than the reference's becomes a batch norm with those weights.
    """
    repairs = [unfolded(evidence, folded) for folded in evidence.folded if folded.neutral]
    repairs += [
        as_reference(evidence, pair.reference, pair.export)
        for pair in evidence.norm_pairs
        if pair.reference is not None and pair.export is not None
        if _respelt(evidence, pair.reference, pair.export)
    ]
    together = tuple(edit for repair in repairs for edit in repair)
    try:
        evidence.after(together)
    except Ungraftable:
        yield from repairs
    else:
        if together:
            yield together


def _respelt(evidence: Evidence, ours: BatchNorm, theirs: BatchNorm) -> bool:
    """Whether two layers are the same but for how the graph spells them."""
    alike = (
        ours.mode == theirs.mode == "inference"
        and ours.axis == theirs.axis
        and np.float32(ours.epsilon) == np.float32(theirs.epsilon)
        and (ours.has_gamma, ours.has_beta) == (theirs.has_gamma, theirs.has_beta)
        and None not in (ours.mean, theirs.mean, ours.variance, theirs.variance)
        and [each is None for each in ours.weights] == [each is None for each in theirs.weights]
    )
    if not alike:
        return False
    nodes = evidence.reference_flow.nodes.get(ours.node), evidence.export_flow.nodes.get(theirs.node)
    if nodes[0] is None or nodes[1] is None:
        return False
    if nodes[0].op in FUSED or nodes[1].op in FUSED:
        return (nodes[0].op in FUSED) != (nodes[1].op in FUSED)
    return any(
        ours.node in divergence.reference or theirs.node in divergence.export
        for divergence in evidence.divergences
        if divergence.kind not in (Kind.CONSTANT, Kind.ATTRIBUTE)
    )
