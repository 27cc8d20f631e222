"""Causes told from the constants of the export that hold something else than the reference has in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ....graph.edit.repair import Repair
from ....graph.read.tensors import values
from ....wording import counted, verb
from ...cause import Cause, Suspicion
from ...evidence import Evidence
from ...layers import layers
from ...places.folds import folded_over
from ...places.unfold import Folded, unfolded
from ...places.weights import (
    WrongConstant,
    weight_nodes,
    weight_scopes,
    weights_as_reference,
    wrong_constants,
)
from .group import Group, Sentence, suspicion

LOST = frozenset({"unknown", "initial"})
"""Kinds of origin that are no tensor of any checkpoint that is at hand."""
_TOLD = 3
"""Tensors that a message tells one by one."""


@dataclass(frozen=True, kw_only=True)
class WrongWeights(Group):
    """Wrong constants with one story. ``whole``: no weight at all is the checkpoint's, not even in a fold."""

    wrong: Sequence[WrongConstant]
    whole: bool = False

    @property
    def nodes(self) -> tuple[str, ...]:
        """What reads the constants in their layers, the constants, and what a fold of them left."""
        found = (*weight_nodes(self.evidence, self.wrong), *(each.output.node for each in self._folds()))
        return tuple(dict.fromkeys(found))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers of the constants; where nothing is the checkpoint's, of the norms folded into them too."""
        norms = [
            self.evidence[layers].scope(name)
            for each in (self._folds() if self.whole else ())
            for name in each.norm.weights
            if name
        ]
        return tuple(dict.fromkeys((*weight_scopes(self.evidence, self.wrong), *norms)))

    @property
    def repair(self) -> Repair:
        """The reference's values, and the batch norms behind them where these were folded in."""
        unfolds = (edit for each in self._folds() for edit in unfolded(self.evidence, each))
        return (*weights_as_reference(self.wrong), *unfolds)

    @property
    def constants(self) -> str:
        """How many they are: ``3 constants``."""
        return counted(len(self.wrong), "constant")

    def told(self, tell: Callable[[WrongWeights, WrongConstant], str]) -> str:
        """What became of a few constants, a sentence each, and how many more there are.

        The largest come first, but for those of a kind that was told already.
        """
        largest = sorted(self.wrong, key=lambda each: -values(each.held).size)
        first = {each.kind: each.constant for each in reversed(largest)}.values()
        ordered = sorted(largest, key=lambda each: each.constant not in first)
        told, left = ordered[:_TOLD], ordered[_TOLD:]
        sentences = [tell(self, each) for each in told]
        if left:
            more = counted(len(left), "more tensor")
            likewise = {each.kind for each in left} <= {each.kind for each in told}
            sentences.append(
                f"Likewise {more}."
                if likewise
                else f"{more} {verb(left, 'differs', 'differ')} in other ways."
            )
        return " ".join(sentences)

    def _folds(self) -> Sequence[Folded]:
        return tuple(folded_over(self.evidence, {each.node for each in self.wrong if each.kind in LOST}))


def weights_cause(
    *,
    id: str,
    where: Callable[[Evidence], Sequence[WrongConstant]],
    says: Sentence[WrongWeights],
    fix: Sentence[WrongWeights],
    facts: Callable[[WrongWeights], Sequence[str]] | None = None,
    whole: Callable[[Evidence], bool] = lambda evidence: False,
    certain: bool = True,
    restored: Callable[[Evidence, WrongConstant], Repair] | None = None,
) -> Cause:
    """A cause seen in the constants that ``where`` picks, all of them in one finding.

    ``whole`` says whether nothing of the export is the checkpoint's. ``certain`` is False where the story is one of
    several: the reference's value mends whatever happened to the constant, so no repair can prove it. ``restored`` is
    what puts one constant right where the reference's value would put right too much.
    """

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        wrong = where(evidence)
        if wrong:
            group = WrongWeights(evidence=evidence, wrong=wrong, whole=whole(evidence))
            edits = restored and tuple(edit for each in wrong for edit in restored(evidence, each))
            found = suspicion(id, group, says, fix, facts=facts, repair=edits, certain=certain)
            yield replace(found, provable=certain)

    return Cause(id=id, ways=(find,))


def source_of(wrong: WrongConstant) -> str:
    """The checkpoint's tensor that a constant was made of, as far as it is known."""
    return wrong.source or wrong.key or wrong.node


def of_kind(*kinds: str) -> Callable[[Evidence], Sequence[WrongConstant]]:
    """The wrong constants whose value is of one of these ``kinds`` of origin, statistics of batch norm or not."""
    return lambda evidence: [each for each in evidence[wrong_constants] if each.kind in kinds]


def statistics_of_kind(*kinds: str) -> Callable[[Evidence], Sequence[WrongConstant]]:
    """The moving statistics of batch norm among :func:`of_kind`."""
    picked = of_kind(*kinds)
    return lambda evidence: [each for each in picked(evidence) if each.statistic]
