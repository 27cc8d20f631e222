"""What is left of a difference: the export with the repairs so far, compared again."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TfparityError
from .alignment import proof
from .evidence import Evidence
from .query import query


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """How a repaired export compares: equal fingerprints are a difference of 0."""

    passed: bool
    max_abs: float | None


@query
def remaining(evidence: Evidence) -> Remaining | None:
    """Whether the export as it is now matches: by fingerprint, else by running it; None if neither can be."""
    if evidence[proof].proven:
        return Remaining(passed=True, max_abs=0.0)
    runner = evidence.case.runner
    if runner is None or not runner.comparable:
        return None
    try:
        outputs = runner.compare(evidence.export)
    except TfparityError:  # the repaired graph does not run; what was found stands
        return None
    finite = [output.max_abs for output in outputs if output.max_abs is not None]
    return Remaining(
        passed=bool(outputs) and all(output.passed for output in outputs),
        max_abs=max(finite) if finite else None,
    )
