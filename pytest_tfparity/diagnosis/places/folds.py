"""Batch norms of the reference that the export has in another form: in a kernel, or as a scale and an offset."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...graph.batch_norm.find import BatchNorm
from ..evidence import Evidence
from ..query import query
from .batch_norms import linears, norm_pairs, reference_norms
from .kernel_folds import kernel_fold, kernel_fold_by_content, matched_linears
from .scale_folds import scale_fold
from .unfold import Folded, right_fold


@query
def folds(evidence: Evidence) -> tuple[Folded, ...]:
    """The batch norms of the reference that stand in the export in another form."""
    kept = {pair.reference.node: pair.export for pair in evidence[norm_pairs]}
    in_place = tuple(_in_place(evidence, kept))
    found = {folded.norm.node for folded in in_place} | set(kept)
    rest = [norm for norm in evidence[reference_norms] if norm.node not in found and norm.mode == "inference"]
    return (*in_place, *_elsewhere(evidence, rest))


def _in_place(evidence: Evidence, kept: dict[str, BatchNorm]) -> Iterator[Folded]:
    """The folds into the convolutions that the norms stand behind; ``kept`` are the norms that are still there."""
    for norm, linear in evidence[matched_linears]:
        folded = kernel_fold(evidence, norm, linear, kept.get(norm.node))
        if folded is not None:
            yield folded


def _elsewhere(evidence: Evidence, norms: Collection[BatchNorm]) -> Iterator[Folded]:
    """The folds of ``norms`` into convolutions in no known place, or into no convolution."""
    used = {linear.kernel for _, linear in evidence[matched_linears]}
    for norm in norms:
        strangers = [linear for linear in evidence[linears] if linear.kernel not in used]
        folded = kernel_fold_by_content(evidence, norm, strangers) or scale_fold(evidence, norm)
        if folded is not None:
            yield folded
            if folded.linear is not None:
                used.add(folded.linear.kernel)


def folded_over(evidence: Evidence, kernels: Collection[str]) -> Iterator[Folded]:
    """The batch norms behind ``kernels`` (of the reference) that the export has only as an offset.

    For kernels of unknown origin: the fold itself cannot be checked then, and is taken to be of the same weights.
    """
    kept = {pair.reference.node for pair in evidence[norm_pairs]}
    for norm, linear in evidence[matched_linears]:
        if norm.kernel in kernels and norm.node not in kept and linear.added:
            names = (norm.kernel, norm.bias, *norm.weights)
            held = {name: evidence.reference.value(name) for name in names if name is not None}
            added = len(linear.added) if norm.bias is not None else 1
            yield Folded(
                norm=norm,
                fold=right_fold(norm),
                weights={name: value for name, value in held.items() if value is not None},
                expected=True,
                output=linear.added[added - 1].output,
                linear=linear,
                added=added,
            )
