"""From a failed check to findings: each cause in turn, its repair made, and all of them proven together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.edit.repair import Constant
from ..graph.proof.proof import Side
from ..result import Certainty, Finding
from ..wording import enumerated
from .alignment import different, divergences, proof
from .case import Case
from .cause import Cause, Suspicion
from .causes import CAUSES
from .evidence import Evidence
from .layers import layers
from .places.needless_sums import needless_sums
from .places.reshaped import reshaped_weights
from .places.right_folds import neutral_folds
from .remaining import Remaining
from .repair_trials import Accepted, Repaired, attempted, effects, without_needless

_LONG = 300
"""Letters of a message from which nothing is added to it: four lines of a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong with an export, the most important finding first.

    ``first_divergence`` is the divergent node nearest to the inputs, ``downstream`` how many nodes of the
    export differ only because of what comes before them. ``repaired`` is the export with all repairs
    made, ``remaining`` how that compares (None where it could not be compared), ``alike`` whether nothing of both
    graphs differs then. ``evidence`` is what both sides show before any repair. ``notes`` say what is left unexplained.
    """

    findings: tuple[Finding, ...]
    first_divergence: str | None
    downstream: int
    repaired: Side
    remaining: Remaining | None
    alike: bool
    evidence: Evidence
    notes: tuple[str, ...] = ()


def diagnose(case: Case, causes: Sequence[Cause] = CAUSES) -> Diagnosis:
    """Find the causes of a difference and prove them by repairing the export in memory."""
    given = Evidence.of(case)
    start = without_right_rewrites(given)
    repaired = without_needless(start, _explained(start, causes))
    alone = effects(start, repaired.accepted) if repaired.passed else {}
    weights = {index: _size(left) for index, left in alone.items()}
    ordered = sorted(enumerate(repaired.accepted), key=lambda item: -weights.get(item[0], 0.0))
    proof_of_all = repaired.remaining if repaired.passed else None
    is_needed = _needed_by_parity(repaired.accepted, alone)
    felt = [(index, each) for index, each in ordered if _is_felt(index, repaired.accepted, weights)]
    findings = _merged(
        [
            (
                _finding(given, each, proof_of_all if is_needed(index) else None, alone.get(index)),
                each.suspicion.change,
            )
            for index, each in felt
        ]
    )
    first = given[divergences][0] if given[divergences] else None
    return Diagnosis(
        findings=tuple(sorted(findings, key=_certainty if weights else _importance)),
        first_divergence=first.node if first is not None else None,
        downstream=_downstream(given, findings),
        repaired=repaired.evidence.export,
        remaining=repaired.remaining,
        alike=not repaired.evidence[divergences],
        evidence=given,
        notes=_notes(given, repaired, findings),
    )


def without_right_rewrites(evidence: Evidence) -> Evidence:
    """The evidence with correct folds, reshapes and sums with 0 taken back, so that only what is wrong is left."""
    for repair in neutral_folds(evidence):
        evidence = attempted(evidence, repair) or evidence
    for find in (reshaped_weights, needless_sums):
        evidence = attempted(evidence, find(evidence)) or evidence
    return evidence


def _explained(start: Evidence, causes: Sequence[Cause]) -> Repaired:
    """Ask every cause in turn; the export that the next one sees holds the repairs so far."""
    accepted: list[Accepted] = []
    evidence = start
    asked = [(way, cause.apart) for cause in causes for way in cause.ways]
    for way, apart in asked:
        if evidence[proof].proven and not apart:
            continue
        for suspicion in list(way(evidence)):
            changed = attempted(evidence, suspicion.repair) if suspicion.repair else None
            evidence = (changed or evidence).explaining({*suspicion.nodes, *_constants(suspicion)})
            accepted.append(Accepted(suspicion=suspicion, repairable=changed is not None, apart=apart))
    return Repaired(accepted=tuple(accepted), evidence=evidence)


def _constants(suspicion: Suspicion) -> set[str]:
    return {edit.node for edit in suspicion.repair if isinstance(edit, Constant)}


def _needed_by_parity(accepted: Sequence[Accepted], alone: Mapping[int, Remaining]) -> Callable[[int], bool]:
    """Which findings parity needs: without its repair, or that of another place of the same change, it does not return.

    Where each can be done without, as long as the others are there, they are needed together.
    """
    spared = {index for index, left in alone.items() if left.passed}
    changes = {
        (each.suspicion.cause, each.suspicion.change)
        for index, each in enumerate(accepted)
        if index not in spared and each.suspicion.change
    }

    def is_needed(index: int) -> bool:
        change = (accepted[index].suspicion.cause, accepted[index].suspicion.change)
        return index not in spared or len(spared) == len(alone) or change in changes

    return is_needed


def _is_felt(index: int, accepted: Sequence[Accepted], effects: Mapping[int, float]) -> bool:
    """Whether a finding matters: what makes no difference by itself is none.

    Unless it says the same as one that does, of another place, or is about something else than a difference.
    """
    one = accepted[index]
    if effects.get(index) != 0.0 or one.apart:
        return True
    change = (one.suspicion.cause, one.suspicion.change)
    return bool(one.suspicion.change) and any(
        (each.suspicion.cause, each.suspicion.change) == change and effects.get(other) != 0.0
        for other, each in enumerate(accepted)
        if other != index
    )


def _notes(given: Evidence, repaired: Repaired, findings: Sequence[Finding]) -> tuple[str, ...]:
    """What is left unexplained."""
    if not findings:
        return (_unexplained(given),) if given.case.outputs else ()
    return () if repaired.passed else (_left(repaired),)


def _size(left: Remaining) -> float:
    """How large a difference is; infinite where it is one of shape or type."""
    return math.inf if left.max_abs is None else left.max_abs


def _finding(
    given: Evidence, accepted: Accepted, remaining: Remaining | None, effect: Remaining | None
) -> Finding:
    """``remaining`` is how the repaired export compares, None where that is no parity or this is not needed for it;
    ``effect`` how it compares without this repair.
    """
    suspicion = accepted.suspicion
    mended = accepted.repairable and remaining is not None
    proven = mended and suspicion.provable
    alone = list(_effect(effect))
    if mended and not proven:
        alone.append(
            "With the reference's values in this place parity returns: that proves the place, not what happened there."
        )
    certainty: Certainty = "proven" if proven else suspicion.certainty
    return Finding(
        cause=suspicion.cause,
        certainty=certainty,
        nodes=suspicion.nodes,
        scopes=tuple(dict.fromkeys(map(given[layers].entered, suspicion.scopes))),
        message=suspicion.message,
        fix=suspicion.fix,
        evidence=(*suspicion.evidence, *alone),
        repaired_max_abs=remaining.max_abs if proven and remaining is not None else None,
    )


def _effect(effect: Remaining | None) -> Iterator[str]:
    """How much a finding makes by itself."""
    if effect is not None and effect.max_abs and math.isfinite(effect.max_abs):
        within = ", which is within tolerance" if effect.passed else ""
        yield f"On its own it changes the outputs by up to {effect.max_abs:.3g}{within}."


def _merged(findings: Sequence[tuple[Finding, str]]) -> list[Finding]:
    """One finding for those that say the same of several places, as long as each can be told.

    With each finding comes what was changed, empty where that is not known: of the same change the places are enough.
    """
    found: list[Finding] = []
    changes: list[str] = []
    likewise: list[list[str]] = []
    for each, change in findings:
        position = next(
            (
                index
                for index, before in enumerate(found)
                if (before.cause, before.certainty, before.fix) == (each.cause, each.certainty, each.fix)
                and ((change and change == changes[index]) or _fits(before, each))
            ),
            None,
        )
        if position is None:
            found.append(each)
            changes.append(change)
            likewise.append([])
            continue
        before = found[position]
        told = before.message if each.message in before.message else f"{before.message} {each.message}"
        if not _fits(before, each):
            likewise[position] += each.nodes[:1]
            told = before.message
        found[position] = replace(
            before,
            nodes=tuple(dict.fromkeys((*before.nodes, *each.nodes))),
            scopes=tuple(dict.fromkeys((*before.scopes, *each.scopes))),
            message=told,
            evidence=(*before.evidence, *each.evidence),
        )
    return [
        replace(each, message=f"{each.message} Likewise {enumerated(others)}.") if others else each
        for each, others in zip(found, likewise, strict=True)
    ]


def _fits(before: Finding, finding: Finding) -> bool:
    """Whether one message can tell both."""
    return finding.message in before.message or len(before.message) <= _LONG


def _certainty(finding: Finding) -> int:
    """Certain ones first; sorting keeps the order of those that are alike."""
    return {"proven": 0, "decisive": 1, "suggestive": 2}[finding.certainty]


def _importance(finding: Finding) -> tuple[int, int]:
    """Certain ones first, then those of many layers."""
    return _certainty(finding), -len(finding.scopes)


def _unexplained(given: Evidence) -> str:
    """What is known where no cause was found."""
    if given[divergences]:
        first = given[divergences][0]
        return f"No known cause explains the difference. The graphs first diverge at {first.node} ({first.detail})."
    return (
        "No known cause explains the difference: as far as the files tell, both sides compute the same from the"
        " same weights. What is left is how they are run: random numbers, rounding, another version of TensorFlow."
    )


def _left(repaired: Repaired) -> str:
    """What is still different after every repair, in a sentence; where there was none to make, that."""
    parting, remaining = repaired.evidence[divergences], repaired.remaining
    repairs = sum(each.repairable for each in repaired.accepted)
    if not repairs:
        first = f" The graphs first diverge at {parting[0].node} ({parting[0].detail})." if parting else ""
        return (
            f"None of this can be repaired in memory, so whether it is all that differs is not proven.{first}"
        )
    place = f"; it diverges at {parting[0].node} ({parting[0].detail})" if parting else ""
    if remaining is None:
        return f"The repaired export could not be compared again{place}."
    size = (
        f"by up to {remaining.max_abs:.3g}"
        if remaining.max_abs is not None and math.isfinite(remaining.max_abs)
        else "in shape or type"
    )
    return (
        f"With {'this repair' if repairs == 1 else 'these repairs'} the export still differs {size}{place}."
    )


def _downstream(given: Evidence, findings: Sequence[Finding]) -> int:
    """Nodes of the export that differ only because of what comes before them."""
    named = {name for finding in findings for name in finding.nodes}
    return len(given[different] - named)
