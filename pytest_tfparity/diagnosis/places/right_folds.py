"""Correct folds of a batch norm, and other spellings of one: another graph, the same function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph.batch_norm.find import FUSED, BatchNorm
from ...graph.edit.graft import Repair, Ungraftable
from ...graph.graph import TensorName
from ...graph.live import VARIABLES, LiveGraph
from ..evidence import Evidence
from ..flow import export_flow, reference_flow
from .batch_norms import norm_as_reference, norm_pairs
from .folded import unfolded
from .folds import folds

_MOST_STEPS = 256
_PLAIN = VARIABLES | {"Const", "Placeholder"}
_ALIKE = {"AddV2": "Add", "BiasAdd": "Add"} | dict.fromkeys(FUSED, "FusedBatchNorm")


def neutral_folds(evidence: Evidence) -> Iterator[Repair]:
    """Put kernels and batch norms back as in the reference where the export's are the same function.

    This takes the fold out of the comparison, so that only what is wrong is left to explain. A
    layer that was folded from other weights than the reference's becomes a batch norm with those weights.
    """
    repairs = [unfolded(evidence, folded) for folded in evidence[folds] if folded.neutral]
    repairs += [
        norm_as_reference(evidence, pair.reference, pair.export)
        for pair in evidence[norm_pairs]
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
    return _spelling(evidence[reference_flow], ours) != _spelling(evidence[export_flow], theirs)


def _spelling(flow: LiveGraph, norm: BatchNorm) -> str:
    """The ops between a layer's output and its input and weights."""
    parts = dict(zip(norm.weights, ("gamma", "beta", "mean", "variance"), strict=True))
    known: dict[TensorName, str] = {norm.input: "input"}
    known |= {TensorName(name, 0): role for name, role in parts.items() if name is not None}
    waiting = [TensorName(norm.node, 0)]
    for _ in range(_MOST_STEPS):  # a loop would never end
        if not waiting:
            break
        tensor = waiting[-1]
        node = flow.node(tensor)
        sources = [] if node is None else [flow.source(source) for source in node.inputs]
        missing = [source for source in sources if source not in known]
        if missing and node is not None and node.op not in _PLAIN:
            waiting += missing
            continue
        waiting.pop()
        if node is None or node.op in _PLAIN:
            known[tensor] = "constant"
            continue
        texts = [known[source] for source in sources]
        op = _ALIKE.get(node.op, node.op)
        if op in ("Add", "Mul"):
            texts.sort()
        known[tensor] = f"{op}({', '.join(texts)})"
    return known.get(TensorName(norm.node, 0), "")
