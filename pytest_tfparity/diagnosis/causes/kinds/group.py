"""The places that one finding speaks of: what all kinds of them have, and the suspicion that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ....graph.edit.repair import Repair
from ....wording import enumerated
from ...case import Case
from ...cause import Suspicion
from ...evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Group:
    """Places of one kind that one finding speaks of, with the words for them.

    ``nodes`` are the nodes of the export to name, ``scopes`` the layers' name scopes, ``repair`` what makes
    these places compute what the reference computes there.
    """

    evidence: Evidence

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the export to name, each once."""
        raise NotImplementedError

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers' name scopes, each once."""
        raise NotImplementedError

    @property
    def repair(self) -> Repair:
        """The edits that put all places right."""
        raise NotImplementedError

    @property
    def layers(self) -> str:
        """The scopes in a few words."""
        return enumerated(self.scopes)

    @property
    def case(self) -> Case:
        """The check that the places are of."""
        return self.evidence.case

    @property
    def export_name(self) -> str:
        """The export as the user named it."""
        return self.case.export_name

    @property
    def reference_name(self) -> str:
        """The reference as the user named it."""
        return self.case.reference_name

    @property
    def reference_noun(self) -> str:
        """What the reference is, without an article: ``checkpoint``."""
        return self.case.reference_noun

    @property
    def reference_graph(self) -> str:
        """What the graph of the reference is called, without an article."""
        return self.case.reference_graph


G = TypeVar("G", bound=Group)
Sentence: TypeAlias = "str | Callable[[G], str]"
"""What is said whatever the places are, or what follows from them."""


def said(sentence: Sentence[G], group: G) -> str:
    """``sentence`` about ``group``."""
    return sentence if isinstance(sentence, str) else sentence(group)


def suspicion(
    cause: str,
    group: G,
    says: Sentence[G],
    fix: Sentence[G],
    *,
    facts: Callable[[G], Sequence[str]] | None = None,
    repair: Repair | None = None,
    certain: bool = True,
) -> Suspicion:
    """The suspicion that ``cause`` is at work in ``group``; ``repair`` where that of the places is too much."""
    return Suspicion(
        cause=cause,
        nodes=group.nodes,
        scopes=group.scopes,
        message=said(says, group),
        fix=said(fix, group),
        evidence=() if facts is None else tuple(facts(group)),
        certainty="decisive" if certain else "suggestive",
        repair=group.repair if repair is None else repair,
    )
