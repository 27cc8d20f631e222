"""What is known about a failed check: both sides, the export with the repairs so far, and the answers to queries."""

from __future__ import annotations

from collections.abc import Iterable

from ..graph.edit.graft import Repair, repaired
from ..graph.proof.proof import Side
from .case import Case
from .query import Answers, Query, ReferenceQuery, T


class ReferenceEvidence:
    """What the reference alone shows. Nothing of the export can be asked of it."""

    def __init__(self, case: Case) -> None:
        self.reference = case.reference
        self.checkpoint = case.checkpoint
        self.keys = case.keys
        self.contents = case.contents
        self._answers = Answers()

    def __getitem__(self, asked: ReferenceQuery[T]) -> T:
        return self._answers.of(asked, self)


class Evidence:
    """Both sides, the export with the repairs so far, and what follows from comparing them.

    ``evidence[query]`` is the answer to a query, found once. ``explained`` are the nodes that findings
    before this one name.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.export = case.export
        self.explained: frozenset[str] = frozenset()
        self._of_reference = ReferenceEvidence(case)
        self._answers = Answers()

    def __getitem__(self, asked: Query[T] | ReferenceQuery[T]) -> T:
        if isinstance(asked, ReferenceQuery):
            return self._of_reference[asked]
        return self._answers.of(asked, self)

    @property
    def reference(self) -> Side:
        """The side that is right."""
        return self.case.reference

    def after(self, repair: Repair) -> Evidence:
        """The evidence that is left once ``repair`` is made. Raises ``Ungraftable``."""
        return self._with(repaired(self.export, self.reference, repair), Answers(), self.explained)

    def explaining(self, nodes: Iterable[str]) -> Evidence:
        """The same evidence, once a finding has named ``nodes``."""
        return self._with(self.export, self._answers, self.explained | frozenset(nodes))

    def _with(self, export: Side, answers: Answers, explained: frozenset[str]) -> Evidence:
        changed = Evidence.__new__(Evidence)
        changed.case = self.case
        changed.export = export
        changed.explained = explained
        changed._of_reference = self._of_reference
        changed._answers = answers
        return changed
