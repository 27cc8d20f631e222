"""Causes told from one batch norm of the reference that the export holds in a kernel, or as scale and offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ....graph.edit.repair import Repair
from ....graph.layer import layer_of
from ....wording import enumerated
from ...cause import Cause, Suspicion
from ...evidence import Evidence
from ...places.folds import folds
from ...places.unfold import Folded, unfolded
from .group import Group, Sentence, suspicion


@dataclass(frozen=True, kw_only=True)
class Folds(Group):
    """Folded batch norms that were folded wrongly in the same way; ``by_norm``: named after norms, not kernels."""

    folds: tuple[Folded, ...]
    by_norm: bool

    @property
    def nodes(self) -> tuple[str, ...]:
        """The convolutions and products that hold the folds."""
        return tuple(dict.fromkeys(folded.node for folded in self.folds))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers of the norms, or those of the convolutions that hold them."""
        found = self.norm_scopes if self.by_norm else [layer_of(folded.node) for folded in self.folds]
        return tuple(dict.fromkeys(found))

    @property
    def repair(self) -> Repair:
        """Kernels and norms as in the reference, made of the weights that the folds were made of."""
        return tuple(edit for folded in self.folds for edit in unfolded(self.evidence, folded))

    @property
    def norm_scopes(self) -> list[str]:
        """The scopes of the folded norms, as the export has them where its names begin otherwise."""
        return [_as_in_export(folded) for folded in self.folds]

    @property
    def norms(self) -> str:
        """The scopes of the folded norms in a few words, as the reference has them."""
        return self.each(lambda folded: folded.norm.scope)

    @property
    def kernels(self) -> str:
        """The kernels that hold the folds, in a few words."""
        return enumerated([folded.linear.kernel for folded in self.folds if folded.linear is not None])

    def each(self, value: Callable[[Folded], str]) -> str:
        """``value`` of each fold, each once, in a few words."""
        return enumerated([value(folded) for folded in self.folds])


def _as_in_export(folded: Folded) -> str:
    scope, place = folded.norm.scope, folded.output.node
    start = place.find(f"{scope}/")
    return place[: start + len(scope)] if start > 0 and place[start - 1] == "/" else scope


def _residual(found: Folds) -> tuple[str, ...]:
    worst = max(folded.fold.residual for folded in found.folds)
    return (
        f"Channel by channel the kernel is the {found.reference_noun}'s times gamma / sqrt(variance + epsilon), with a"
        f" relative error of {worst:.1g}.",
    )


def fold_cause(
    *,
    id: str,
    where: Callable[[Folded], bool],
    says: Sentence[Folds],
    fix: Sentence[Folds],
    by_norm: bool,
) -> Cause:
    """A cause seen in the folds that change what is computed and ``where`` holds for.

    Those of a kernel or an output that something else reads too are another matter (``causes/passes.py``).
    """

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        found = tuple(
            folded
            for folded in evidence[folds]
            if not (folded.neutral or folded.output_shared or folded.kernel_shared) and where(folded)
        )
        if found:
            group = Folds(evidence=evidence, folds=found, by_norm=by_norm)
            yield replace(suspicion(id, group, says, fix, facts=_residual), rewrite=True)

    return Cause(id=id, ways=(find,))
