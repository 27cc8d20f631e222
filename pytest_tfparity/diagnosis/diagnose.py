"""From a failed check to findings: each cause in turn, its repair made, and all of them proven together."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import TfparityError
from ..graph.align.divergence import Divergence
from ..graph.edit.graft import Constant, Ungraftable
from ..graph.proof.proof import Side
from ..result import Certainty, Finding, OutputComparison
from .activations import activations
from .alignment import different, divergences, proof
from .case import Case
from .cause import Cause, Suspicion
from .causes import CAUSES
from .evidence import Evidence
from .layers import layers
from .places.reshaped import reshaped_weights
from .places.right_folds import neutral_folds

_MOST_TRIALS = 8
"""How many findings are tried one by one for whether parity needs their repair."""
_LONG = 300
"""Letters of a message from which nothing is added to it."""
_MOST_WEIGHED = 4
"""Up to how many findings are weighed against each other; each costs a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """How a repaired export compares: equal fingerprints are a difference of 0."""

    passed: bool
    max_abs: float | None
    outputs: tuple[OutputComparison, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong with an export, the most important finding first.

    ``first_divergence`` is the divergent node nearest to the inputs, ``downstream`` how many nodes of the
    export differ only because of what comes before them. ``repaired`` is the export with all repairs
    made, ``remaining`` how that compares (None where it could not be compared). ``evidence`` is what both
    sides show before any repair. ``notes`` say what is left unexplained.
    """

    findings: tuple[Finding, ...]
    first_divergence: str | None
    downstream: int
    repaired: Side
    remaining: Remaining | None
    evidence: Evidence
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    """A suspicion whose repair was made, in the order in which that happened."""

    suspicion: Suspicion
    repairable: bool


def diagnose(case: Case, causes: Sequence[Cause] = CAUSES) -> Diagnosis:
    """Find the causes of a difference and prove them by repairing the export in memory."""
    start = Evidence(case)
    first = start[divergences][0] if start[divergences] else None
    accepted, base, end = _explain(start, causes)
    accepted, end, remaining = _prove(base, accepted, end)
    proven = remaining is not None and remaining.passed
    effects = _effects(base, accepted) if proven else {}
    findings = [
        _finding(start, each, remaining if proven else None, effects.get(index))
        for index, each in sorted(enumerate(accepted), key=lambda item: -effects.get(item[0], 0.0))
    ]
    findings = _merged(findings)
    notes: tuple[str, ...] = ()
    if not findings and case.outputs:
        notes = (_unexplained(start),)
    elif not proven and findings:
        notes = (_remaining(end, remaining),)
    return Diagnosis(
        findings=tuple(
            sorted(findings, key=(lambda each: _importance(each)[:1]) if effects else _importance)
        ),
        first_divergence=first.node if first is not None else None,
        downstream=_downstream(start, findings),
        repaired=end.export,
        remaining=remaining,
        evidence=start,
        notes=notes,
    )


def suspect(case: Case, ids: Collection[str]) -> tuple[Suspicion, ...]:
    """What the causes ``ids`` alone see, right folds taken out; nothing is run."""
    accepted, _, _ = _explain(Evidence(case), [cause for cause in CAUSES if cause.id in ids])
    return tuple(each.suspicion for each in accepted)


def _explain(start: Evidence, causes: Sequence[Cause]) -> tuple[list[_Accepted], Evidence, Evidence]:
    """Ask every cause in turn; the export that the next one sees holds the repairs so far.

    Given back with what is left before the first cause and after the last one.
    """
    accepted: list[_Accepted] = []
    evidence = start
    for repair in neutral_folds(start):
        evidence = _try(evidence, repair) or evidence
    evidence = base = _try(evidence, reshaped_weights(evidence)) or evidence
    asked = [(way, cause.apart) for cause in causes for way in cause.ways]
    for way, apart in asked:
        if evidence[proof].proven and not apart:
            continue
        for suspicion in list(way(evidence)):
            changed = _try(evidence, suspicion.repair) if suspicion.repair else None
            named = {*suspicion.nodes, *_constants(suspicion)}
            evidence = (changed or evidence).explaining(named)
            accepted.append(_Accepted(suspicion=suspicion, repairable=changed is not None))
    return accepted, base, evidence


def _constants(suspicion: Suspicion) -> set[str]:
    return {edit.node for edit in suspicion.repair if isinstance(edit, Constant)}


def _try(evidence: Evidence, repair: Sequence[object]) -> Evidence | None:
    try:
        return evidence.after(tuple(repair))  # type: ignore[arg-type]
    except Ungraftable:
        return None


def _prove(
    start: Evidence, accepted: list[_Accepted], end: Evidence
) -> tuple[list[_Accepted], Evidence, Remaining | None]:
    """Compare the repaired export, and drop the findings that parity does not need.

    What says the same of another place as one that is needed stays: it only happens not to matter there.
    """
    remaining = measure(end)
    needed, all_of_them = [each for each in accepted if each.repairable], accepted
    if remaining is None or not remaining.passed or len(needed) < 2 or end.case.run is None:
        return accepted, end, remaining
    doubtful = [each for each in needed if each.suspicion.certainty == "suggestive"]
    trials = [doubtful] if len(doubtful) > 1 else []
    if len(doubtful) > _MOST_TRIALS:  # too many to try each: one run says which nodes differ by themselves
        trials.append([each for each in doubtful if _harmless(start, each)])
    for left_out in [*trials, *([each] for each in doubtful[:_MOST_TRIALS])]:
        others = [other for other in accepted if not any(other is each for each in left_out)]
        without = _replayed(start, others) if len(others) < len(accepted) and others else None
        measured = measure(without) if without is not None else None
        if without is not None and measured is not None and measured.passed:
            accepted, end, remaining = others, without, measured
    changes = {(each.suspicion.cause, each.suspicion.change) for each in accepted if each.suspicion.change}
    kept = [
        each
        for each in all_of_them
        if any(each is other for other in accepted)
        or (each.suspicion.cause, each.suspicion.change) in changes
    ]
    again = _replayed(start, kept) if len(kept) > len(accepted) else None
    measured = measure(again) if again is not None else None
    if again is not None and measured is not None and measured.passed:
        return kept, again, measured
    return accepted, end, remaining


def _harmless(start: Evidence, accepted: _Accepted) -> bool:
    """Whether every node that a suspicion names answers as the reference does to the reference's inputs."""
    measured = [start[activations].get(name) for name in accepted.suspicion.nodes]
    return bool(measured) and all(each is not None and each.own == 0.0 for each in measured)


def _effects(start: Evidence, accepted: Sequence[_Accepted]) -> dict[int, float]:
    """What each of a few findings explains: how much the export differs with all repairs but its own."""
    needed = [index for index, each in enumerate(accepted) if each.repairable]
    if not 2 <= len(needed) <= _MOST_WEIGHED or start.case.run is None:
        return {}
    effects = {}
    for index in needed:
        without = _replayed(start, [each for other, each in enumerate(accepted) if other != index])
        measured = measure(without) if without is not None else None
        if measured is not None:
            effects[index] = math.inf if measured.max_abs is None else measured.max_abs
    return effects


def _replayed(start: Evidence, accepted: Iterable[_Accepted]) -> Evidence | None:
    """The export with these repairs alone."""
    evidence = start
    for each in accepted:
        if each.repairable:
            changed = _try(evidence, each.suspicion.repair)
            if changed is None:
                return None
            evidence = changed
    return evidence


def measure(evidence: Evidence) -> Remaining | None:
    """Whether the export as it is now matches: by fingerprint, else by running it; None if neither can be."""
    if evidence[proof].proven:
        return Remaining(passed=True, max_abs=0.0)
    if evidence.case.run is None:
        return None
    try:
        outputs = evidence.case.run(evidence.export)
    except TfparityError:  # the repaired graph does not run; what was found stands
        return None
    finite = [output.max_abs for output in outputs if output.max_abs is not None]
    return Remaining(
        passed=bool(outputs) and all(output.passed for output in outputs),
        max_abs=max(finite) if finite else None,
        outputs=outputs,
    )


def _finding(
    start: Evidence, accepted: _Accepted, remaining: Remaining | None, effect: float | None = None
) -> Finding:
    suspicion = accepted.suspicion
    alone = (
        ()
        if effect is None or not math.isfinite(effect)
        else (f"by itself it makes {effect:.3g} of difference",)
    )
    proven = accepted.repairable and remaining is not None
    certainty: Certainty = "proven" if proven else suspicion.certainty
    return Finding(
        cause=suspicion.cause,
        certainty=certainty,
        nodes=suspicion.nodes,
        scopes=tuple(dict.fromkeys(map(start[layers].entered, suspicion.scopes))),
        message=suspicion.message,
        fix=suspicion.fix,
        evidence=(*suspicion.evidence, *alone),
        repaired_max_abs=remaining.max_abs if proven and remaining is not None else None,
    )


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for those that say the same of several places: of one cause, with one fix."""
    found: dict[tuple[str, str, str], Finding] = {}
    for each in findings:
        key = (each.cause, each.certainty, each.fix)
        before = found.get(key)
        if before is None:
            found[key] = each
            continue
        told = before.message if len(before.message) > _LONG else f"{before.message} {each.message}"
        found[key] = replace(
            before,
            nodes=tuple(dict.fromkeys((*before.nodes, *each.nodes))),
            scopes=tuple(dict.fromkeys((*before.scopes, *each.scopes))),
            message=told,
            evidence=(*before.evidence, *each.evidence),
        )
    return list(found.values())


def _importance(finding: Finding) -> tuple[int, int]:
    """Certain ones first, then those of many layers; sorting keeps the order of those that are alike."""
    rank = {"proven": 0, "decisive": 1, "suggestive": 2}[finding.certainty]
    return rank, -len(finding.scopes)


def _unexplained(start: Evidence) -> str:
    """What is known where no cause was found."""
    if start[divergences]:
        first = start[divergences][0]
        return f"No known cause explains the difference. Both graphs part first at {first.node} ({first.detail})."
    return (
        "No known cause explains the difference: as far as the files tell, both sides compute the same from the"
        " same weights. What is left is how they are run: random numbers, rounding, another version of TensorFlow."
    )


def _remaining(end: Evidence, remaining: Remaining | None) -> str:
    """What is still different after every repair, in a sentence."""
    left: Divergence | None = end[divergences][0] if end[divergences] else None
    place = f"; it parts at {left.node} ({left.detail})" if left is not None else ""
    if remaining is None:
        return f"The repaired export could not be compared again{place}."
    size = (
        f"by up to {remaining.max_abs:.3g}"
        if remaining.max_abs is not None and math.isfinite(remaining.max_abs)
        else "in shape or type"
    )
    return f"With these repairs the export still differs {size}{place}."


def _downstream(start: Evidence, findings: Sequence[Finding]) -> int:
    """Nodes of the export that differ only because of what comes before them."""
    named = {name for finding in findings for name in finding.nodes}
    return len(start[different] - named)
