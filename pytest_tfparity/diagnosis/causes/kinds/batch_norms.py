"""Causes told from one batch norm of the reference and the one in its place in the export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ....graph.batch_norm.pairs import BatchNormPair
from ....graph.edit.repair import Repair
from ....wording import enumerated
from ...cause import Cause, Suspicion
from ...evidence import Evidence
from ...places.batch_norms import norm_nodes, norm_pairs, norm_scopes, norms_as_reference
from .group import Group, Sentence, suspicion


@dataclass(frozen=True, kw_only=True)
class BatchNorms(Group):
    """Batch norms that both sides have, and that differ in the same way."""

    pairs: tuple[BatchNormPair, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The node of each layer, as the export's file has it."""
        return norm_nodes(self.evidence, self.pairs)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers' name scopes, as in the export."""
        return norm_scopes(self.pairs)

    @property
    def repair(self) -> Repair:
        """Each computed as the reference does, with the weights that the export has."""
        return norms_as_reference(self.evidence, self.pairs)

    def each(self, value: Callable[[BatchNormPair], str]) -> str:
        """``value`` of each pair, each once, in a few words."""
        return enumerated([value(pair) for pair in self.pairs])


def batch_norm_cause(
    *,
    id: str,
    where: Callable[[Evidence, BatchNormPair], bool],
    says: Sentence[BatchNorms],
    fix: Sentence[BatchNorms],
    repair: Callable[[Evidence, BatchNormPair], Repair] | None = None,
) -> Cause:
    """A cause seen in the batch norms ``where`` holds for, all of them in one finding.

    ``repair`` is what puts one of them right where computing it as the reference does is too much or too little.
    """

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        pairs = tuple(pair for pair in evidence[norm_pairs] if where(evidence, pair))
        if pairs:
            edits = repair and tuple(edit for pair in pairs for edit in repair(evidence, pair))
            yield suspicion(id, BatchNorms(evidence=evidence, pairs=pairs), says, fix, repair=edits)

    return Cause(id=id, ways=(find,))
