"""Which repairs parity can do without: the export repaired with some of them left out, and compared again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.edit.repair import Repair, Ungraftable
from .activations import activations
from .cause import Suspicion
from .evidence import Evidence
from .remaining import Remaining, remaining

_MOST_TRIALS = 8
"""How many findings are tried one by one for whether parity needs their repair; each costs a run."""
_MOST_EFFECTS = 4
"""Up to how many findings are measured against each other; each costs a run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Accepted:
    """A suspicion, in the order in which they were found.

    ``repairable`` says that its repair was made, ``apart`` that its cause is no difference between the sides.
    """

    suspicion: Suspicion
    repairable: bool
    apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The export with the repairs of ``accepted`` made, which is the export of ``evidence``."""

    accepted: tuple[Accepted, ...]
    evidence: Evidence

    @property
    def remaining(self) -> Remaining | None:
        """How it compares; None where it could not be compared."""
        return self.evidence[remaining]

    @property
    def passed(self) -> bool:
        """Whether the repairs restore parity."""
        return self.remaining is not None and self.remaining.passed


def attempted(evidence: Evidence, repair: Repair) -> Evidence | None:
    """The evidence after ``repair``; None where the graph does not take it."""
    try:
        return evidence.after(repair)
    except Ungraftable:
        return None


def replayed(start: Evidence, accepted: Iterable[Accepted]) -> Repaired | None:
    """The export with these repairs alone, ``start`` being before any; None where the graph does not take them."""
    chosen = tuple(accepted)
    evidence: Evidence | None = start
    for each in chosen:
        if each.repairable and evidence is not None:
            evidence = attempted(evidence, each.suspicion.repair)
    return None if evidence is None else Repaired(accepted=chosen, evidence=evidence)


def without_needless(start: Evidence, repaired: Repaired) -> Repaired:
    """``repaired`` without the findings that parity does not need, where it restores parity.

    What says the same of another place as one that is needed stays: it only happens not to matter there.
    """
    if not repaired.passed or not start.case.comparable:
        return repaired
    repaired = _without_idle(repaired)
    found = repaired.accepted
    if sum(each.repairable for each in found) < 2:
        return repaired
    for left_out in _trials(start, found):
        others = [each for each in repaired.accepted if each not in left_out]
        if 0 < len(others) < len(repaired.accepted):
            repaired = _passing(start, others) or repaired
    return _with_the_same_changes(start, found, repaired)


def _without_idle(repaired: Repaired) -> Repaired:
    """``repaired``, which restores parity, without what may be harmless and was not repaired: it was not needed."""
    found = repaired.accepted
    needed = tuple(each for each in found if each.repairable or each.apart or not _is_doubtful(each))
    return replace(repaired, accepted=needed) if any(each.repairable for each in needed) else repaired


def _is_doubtful(accepted: Accepted) -> bool:
    """Whether what was found may change nothing."""
    return accepted.suspicion.certainty == "suggestive" or accepted.suspicion.rewrite


def effects(start: Evidence, accepted: Sequence[Accepted]) -> Mapping[int, Remaining]:
    """What each of a few findings explains: how the export compares with all repairs but its own."""
    repairable = [index for index, each in enumerate(accepted) if each.repairable]
    if not 2 <= len(repairable) <= _MOST_EFFECTS or not start.case.comparable:
        return {}
    found = {}
    for index in repairable:
        without = replayed(start, (each for other, each in enumerate(accepted) if other != index))
        left = None if without is None else without.remaining
        if left is not None:
            found[index] = left
    return found


def _trials(start: Evidence, accepted: Sequence[Accepted]) -> Iterator[Sequence[Accepted]]:
    """Doubtful findings to leave out, those that several trials save one for first."""
    doubtful = [each for each in accepted if each.repairable and _is_doubtful(each)]
    if len(doubtful) > 1:
        yield doubtful
    if len(doubtful) > _MOST_TRIALS:  # too many to try each: one run says which nodes differ by themselves
        yield [each for each in doubtful if _harmless(start, each)]
    for each in doubtful[:_MOST_TRIALS]:
        yield [each]


def _harmless(start: Evidence, accepted: Accepted) -> bool:
    """Whether every node that a suspicion names answers as the reference does to the reference's inputs."""
    measured = [start[activations].get(name) for name in accepted.suspicion.nodes]
    return bool(measured) and all(each is not None and each.own == 0.0 for each in measured)


def _passing(start: Evidence, accepted: Iterable[Accepted]) -> Repaired | None:
    """The export with these repairs alone, if they restore parity."""
    found = replayed(start, accepted)
    return found if found is not None and found.passed else None


def _with_the_same_changes(start: Evidence, found: Sequence[Accepted], repaired: Repaired) -> Repaired:
    """``repaired`` with what of ``found`` says the same as a finding of it, if parity still holds."""
    changes = {(each.suspicion.cause, each.suspicion.change) for each in repaired.accepted}
    kept = [
        each
        for each in found
        if each in repaired.accepted
        or (each.suspicion.change and (each.suspicion.cause, each.suspicion.change) in changes)
    ]
    return (_passing(start, kept) if len(kept) > len(repaired.accepted) else None) or repaired
