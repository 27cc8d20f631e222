"""Batch norms that were folded with a wrong formula: the kernel or the offset shows which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import Linear
from ...graph.read.tensors import values
from ..evidence import Evidence, ReferenceEvidence
from ..query import query, reference_query
from .batch_norms import norm_pairs, reference_norms
from .fold_formula import Misfold, Terms, channel_factors, matrix, misfolded, misplaced_offset, terms
from .folds import folds
from .kernel_folds import matched_linears, offset_of, other_kernel
from .unfold import Folded, right_fold


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongFold:
    """A fold with the formula that it followed; ``offset`` says that the formula is that of the offset."""

    folded: Folded
    misfold: Misfold
    offset: bool


@query
def wrong_folds(evidence: Evidence) -> tuple[WrongFold, ...]:
    """The folds of the reference's batch norms that followed another formula, in the reference's order."""
    known = {folded.norm.node for folded in evidence[folds]}
    known |= {pair.reference.node for pair in evidence[norm_pairs]}
    found = [
        wrong
        for norm, linear in evidence[matched_linears]
        if norm.node not in known and (wrong := _wrong_kernel(evidence, norm, linear)) is not None
    ]
    return (*found, *_wrong_offsets(evidence))


@reference_query
def norm_terms(evidence: ReferenceEvidence) -> Mapping[str, Terms]:
    """What the fold of each of the reference's batch norms is made of, by its node."""
    found = {}
    for norm in evidence[reference_norms]:
        names = (norm.kernel, norm.bias, *norm.weights)
        held = {name: evidence.reference.value(name) for name in names if name is not None}
        given = terms(norm, {name: value for name, value in held.items() if value is not None})
        if given is not None:
            found[norm.node] = given
    return found


def _wrong_kernel(evidence: Evidence, norm: BatchNorm, linear: Linear) -> WrongFold | None:
    """A fold whose kernel is one factor a channel of the right one, and that by a formula that is known."""
    given, right = evidence[norm_terms].get(norm.node), evidence.reference.value(norm.kernel)
    after = other_kernel(evidence, norm, linear)
    if given is None or right is None or after is None:
        return None
    before = matrix(values(right), linear, given.variance.size)
    factors = None if before is None else channel_factors(before, after)
    if factors is None:
        return None
    depthwise = linear.op == "DepthwiseConv2dNative"
    misfold = misfolded(given, factors, _strangers(evidence, norm), int(right.shape[-1]) if depthwise else 1)
    if misfold is None:
        return None
    return WrongFold(folded=_folded(evidence, norm, linear), misfold=misfold, offset=False)


def _strangers(evidence: Evidence, norm: BatchNorm) -> Mapping[str, Terms]:
    """The terms of all other layers, by scope."""
    found = evidence[norm_terms]
    return {
        other.scope: found[other.node]
        for other in evidence[reference_norms]
        if other.node != norm.node and other.node in found
    }


def _folded(evidence: Evidence, norm: BatchNorm, linear: Linear) -> Folded:
    """The place as a right fold would have it: put back, it has the reference's kernel and norm."""
    added = min(len(linear.added), 2 if norm.bias is not None else 1)
    names = (norm.kernel, norm.bias, *norm.weights)
    held = {name: evidence.reference.value(name) for name in names if name is not None}
    return Folded(
        norm=norm,
        fold=right_fold(norm),
        weights={name: value for name, value in held.items() if value is not None},
        expected=True,
        output=linear.added[added - 1].output if added else linear.output,
        linear=linear,
        added=added,
    )


def _wrong_offsets(evidence: Evidence) -> Iterator[WrongFold]:
    """Folds with the right kernel and an offset of another formula than those that have a cause of their own."""
    for folded in evidence[folds]:
        fold, given = folded.fold, evidence[norm_terms].get(folded.norm.node)
        right = folded.kept is None and fold.power == 1 and fold.axis == "output" and fold.own_epsilon
        if not right or fold.bias != "other" or given is None or folded.linear is None or not folded.expected:
            continue
        offset = offset_of(evidence, folded.linear, folded.added)
        misfold = None if offset is None else misplaced_offset(given, np.asarray(offset, np.float64))
        if misfold is not None:
            yield WrongFold(folded=folded, misfold=misfold, offset=True)
