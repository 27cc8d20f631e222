"""Correct folds of a batch norm, and other spellings of one: another graph, the same function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph import ops
from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.pairs import BatchNormPair
from ...graph.edit.repair import Repair, Ungraftable
from ...graph.graph import TensorName
from ...graph.live_graph import LiveGraph
from ..evidence import Evidence
from ..needed import export_flow, reference_flow
from .batch_norms import norm_as_reference, norm_pairs
from .folds import folds
from .unfold import unfolded

_MOST_STEPS = 256
"""Bound of a walk that a loop would keep from ending. Measured: 13 at most in the fault cases."""
_PLAIN = ops.VARIABLES | {"Const", "Placeholder"}
_ALIKE = {"AddV2": "Add", "BiasAdd": "Add"} | dict.fromkeys(ops.FUSED_BATCH_NORMS, "FusedBatchNorm")


def neutral_folds(evidence: Evidence) -> Iterator[Repair]:
    """Put kernels and batch norms back as in the reference where the export's are the same function.

    This takes the fold out of the comparison, so that only what is wrong is left to explain. A
    layer that was folded from other weights than the reference's becomes a batch norm with those weights.
    """
    repairs = [unfolded(evidence, folded) for folded in evidence[folds] if folded.neutral]
    repairs += [
        norm_as_reference(evidence, pair.reference, pair.export)
        for pair in evidence[norm_pairs]
        if _respelt(evidence, pair)
    ]
    together = tuple(edit for repair in repairs for edit in repair)
    try:
        evidence.after(together)
    except Ungraftable:
        yield from repairs
    else:
        if together:
            yield together


def _respelt(evidence: Evidence, pair: BatchNormPair) -> bool:
    """Whether two layers are the same but for how the graph spells them."""
    reference, export = pair.reference, pair.export
    alike = (
        reference.mode == export.mode == "inference"
        and reference.axis == export.axis
        and np.float32(reference.epsilon) == np.float32(export.epsilon)
        and (reference.has_gamma, reference.has_beta) == (export.has_gamma, export.has_beta)
        and None not in (reference.mean, export.mean, reference.variance, export.variance)
        and [each is None for each in reference.weights] == [each is None for each in export.weights]
    )
    if not alike:
        return False
    return _spelling(evidence[reference_flow], reference) != _spelling(evidence[export_flow], export)


def _spelling(flow: LiveGraph, norm: BatchNorm) -> str:
    """The ops between a layer's output and its input and weights, as one text; empty if they do not end."""
    roles = zip(norm.weights, ("gamma", "beta", "mean", "variance"), strict=True)
    known = {TensorName(name, 0): role for name, role in roles if name is not None}
    known[norm.input] = "input"
    top = TensorName(norm.node, 0)
    waiting = [top]
    for _ in range(_MOST_STEPS):
        if not waiting:
            break
        sources = _sources(flow, waiting[-1])
        missing = [source for source in sources if source not in known]
        waiting += missing
        if not missing:
            tensor = waiting.pop()
            known[tensor] = _spelt(flow, tensor, [known[source] for source in sources])
    return known.get(top, "")


def _sources(flow: LiveGraph, tensor: TensorName) -> list[TensorName]:
    """What a tensor is computed from; nothing for a constant, a weight or an input."""
    node = flow.node(tensor)
    if node is None or node.op in _PLAIN:
        return []
    return [flow.source(source) for source in node.inputs]


def _spelt(flow: LiveGraph, tensor: TensorName, operands: list[str]) -> str:
    """An op and its operands, the order left out where it does not matter."""
    node = flow.node(tensor)
    if node is None or node.op in _PLAIN:
        return "constant"
    op = _ALIKE.get(node.op, node.op)
    return f"{op}({', '.join(sorted(operands) if op in ('Add', 'Mul') else operands)})"
