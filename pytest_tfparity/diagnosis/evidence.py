"""What is known about a failed check: both sides, the export with the repairs so far, and the answers to queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..graph.edit.repair import Repair, repaired
from ..graph.proof.proof import NormalSide, Side
from .case import Case, Tensors
from .query import Answers, AnyQuery, CaseQuery, ReferenceQuery, T


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceEvidence:
    """What the reference alone shows. Nothing of the export can be asked of it."""

    normal: NormalSide
    checkpoint: Tensors
    keys: Mapping[str, str]
    _answers: Answers = field(default_factory=Answers)

    @classmethod
    def of(cls, case: Case) -> ReferenceEvidence:
        """What a case says of the reference."""
        return cls(
            normal=case.reference,
            checkpoint=case.checkpoint,
            keys=case.keys,
        )

    @property
    def reference(self) -> Side:
        """The side that is right."""
        return self.normal.side

    def __getitem__(self, asked: ReferenceQuery[T]) -> T:
        return self._answers.of(asked, self)


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseEvidence:
    """What both sides show as they were given. Nothing of a repaired export can be asked of it."""

    case: Case
    _answers: Answers = field(default_factory=Answers)

    def __getitem__(self, asked: CaseQuery[T]) -> T:
        return self._answers.of(asked, self)


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Both sides, the export with the repairs so far, and what follows from comparing them.

    ``evidence[query]`` is the answer to a query, found once. ``explained`` are the nodes that findings
    before this one name.
    """

    case: Case
    export: Side
    explained: frozenset[str] = frozenset()
    _of_reference: ReferenceEvidence
    _of_case: CaseEvidence
    _answers: Answers = field(default_factory=Answers)

    @classmethod
    def of(cls, case: Case) -> Evidence:
        """The evidence before any repair."""
        return cls(
            case=case,
            export=case.export.side,
            _of_reference=ReferenceEvidence.of(case),
            _of_case=CaseEvidence(case=case),
        )

    def __getitem__(self, asked: AnyQuery[T]) -> T:
        if isinstance(asked, ReferenceQuery):
            return self._of_reference[asked]
        if isinstance(asked, CaseQuery):
            return self._of_case[asked]
        return self._answers.of(asked, self)

    @property
    def reference(self) -> Side:
        """The side that is right."""
        return self.case.reference.side

    def after(self, repair: Repair) -> Evidence:
        """The evidence that is left once ``repair`` is made. Raises ``Ungraftable``."""
        return replace(self, export=repaired(self.export, self.reference, repair), _answers=Answers())

    def explaining(self, nodes: Iterable[str]) -> Evidence:
        """The same evidence, once a finding has named ``nodes``."""
        return replace(self, explained=self.explained | frozenset(nodes))
