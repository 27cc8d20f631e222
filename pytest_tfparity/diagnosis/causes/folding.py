"""Batch norm folded wrongly into the kernel before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from ...graph.edit.graft import Repair
from ...graph.layer import layer_of
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..places.folded import Folded, unfolded
from ..places.folds import folds
from ..wording import listed

_SHARED = (
    "Kernel by kernel the constant of the export is the checkpoint's times `gamma / sqrt(variance + epsilon)`,"
    " solved for epsilon, axis and bias within rounding"
)


def wrong_folds(evidence: Evidence, fits: Callable[[Folded], bool]) -> list[Folded]:
    """The folds of the export that change what is computed, and that ``fits``."""
    return [
        folded
        for folded in evidence[folds]
        if not folded.neutral and not (folded.output_shared or folded.kernel_shared) and fits(folded)
    ]


def suspicion(
    cause: str, evidence: Evidence, found: Sequence[Folded], scopes: Iterable[str], message: str, fix: str
) -> Suspicion:
    """The finding of wrong folds, each put back as in the reference."""
    repair: Repair = tuple(edit for folded in found for edit in unfolded(evidence, folded))
    return Suspicion(
        cause=cause,
        nodes=tuple(dict.fromkeys(folded.node for folded in found)),
        scopes=tuple(dict.fromkeys(scopes)),
        message=message,
        fix=fix,
        evidence=(_residual(found),),
        repair=repair,
    )


def _residual(found: Sequence[Folded]) -> str:
    worst = max(folded.fold.residual for folded in found)
    return (
        "Channel by channel the kernel is the checkpoint's times gamma / sqrt(variance + epsilon), to"
        f" {worst:.1g} of it."
    )


def norm_scopes(evidence: Evidence, found: Sequence[Folded]) -> list[str]:
    """The scopes of the folded batch norms, as the export has them where its names begin otherwise."""
    return [_renamed(evidence, folded) for folded in found]


def _renamed(evidence: Evidence, folded: Folded) -> str:
    scope = folded.norm.scope
    place = folded.output.node
    start = place.find(f"{scope}/")
    return place[: start + len(scope)] if start > 0 and place[start - 1] == "/" else scope


def linear_scope(folded: Folded) -> str:
    """The layer of the convolution that holds the fold."""
    return layer_of(folded.node)


class FoldedTwice(Cause):
    """The scale is in the kernel, and the batch norm still runs."""

    id: ClassVar[str] = "bn-folded-twice"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = wrong_folds(evidence, lambda each: each.kept is not None or each.fold.power == 2)
        if not found:
            return
        scopes = [linear_scope(folded) for folded in found]
        kernels = [folded.linear.kernel for folded in found if folded.linear is not None]
        kept = [folded for folded in found if folded.kept is not None]
        norms = listed([folded.norm.scope for folded in found])
        still = f"the scale of {norms}, which still runs" if kept else f"the scale of {norms} twice"
        yield suspicion(
            self.id,
            evidence,
            found,
            scopes,
            f"{listed(kernels)} in {evidence.case.export_name} already contains {still}.",
            "Remove the batch norm from the export when folding it, or leave the kernel as it is in the"
            " checkpoint.",
        )


class WrongEpsilon(Cause):
    """Folded with another epsilon than in training."""

    id: ClassVar[str] = "bn-folded-wrong-epsilon"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = wrong_folds(
            evidence,
            lambda each: _folded(each) and each.fold.axis == "output" and not each.fold.own_epsilon,
        )
        if not found:
            return
        scopes = norm_scopes(evidence, found)
        used = listed([f"{folded.fold.epsilon:.3g}" for folded in found])
        own = listed([f"{folded.norm.epsilon:.3g}" for folded in found])
        yield suspicion(
            self.id,
            evidence,
            found,
            scopes,
            f"{listed(scopes)}: folded with epsilon {used} in {evidence.case.export_name}, trained with"
            f" {own}.",
            f"Fold with epsilon={own}, that of the checkpoint's graph.",
        )


class WrongAxis(Cause):
    """The scale is multiplied along the kernel's inputs."""

    id: ClassVar[str] = "bn-folded-wrong-axis"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = wrong_folds(evidence, lambda each: _folded(each) and each.fold.axis == "input")
        if not found:
            return
        norms = norm_scopes(evidence, found)
        kernels = [folded.linear.kernel for folded in found if folded.linear is not None]
        yield suspicion(
            self.id,
            evidence,
            found,
            [linear_scope(folded) for folded in found],
            f"{listed(kernels)}: the scale of {listed(norms)} is multiplied along the input channels.",
            "Multiply the scale along the kernel's output channels, its last axis.",
        )


class WithoutMean(Cause):
    """The offset behind the folded kernel is not ``beta - mean * scale``."""

    id: ClassVar[str] = "bn-folded-without-mean"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = wrong_folds(
            evidence,
            lambda each: (
                _folded(each)
                and each.fold.axis == "output"
                and each.fold.own_epsilon
                and each.fold.bias != "correct"
            ),
        )
        if not found:
            return
        scopes = norm_scopes(evidence, found)
        kinds = {folded.fold.bias for folded in found}
        what = {
            frozenset({"beta only"}): "is beta alone",
            frozenset({"absent"}): "is missing",
        }.get(frozenset(kinds), "is another one")
        own = any(folded.norm.bias is not None for folded in found)
        expected = "beta + (bias - mean) * scale" if own else "beta - mean * scale"
        yield suspicion(
            self.id,
            evidence,
            found,
            scopes,
            f"{listed(scopes)}: folded in {evidence.case.export_name}, but the offset behind"
            f" {listed([folded.node for folded in found])} {what}; it must be {expected}.",
            f"Add {expected} behind the folded kernel, with scale = gamma / sqrt(variance + epsilon).",
        )


def _folded(each: Folded) -> bool:
    return each.kept is None and each.fold.power == 1


CAUSES: tuple[Cause, ...] = (FoldedTwice(), WrongEpsilon(), WrongAxis(), WithoutMean())
