"""An export that another runtime runs: whether its weights are certified, and what is wrong where its numbers are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..diagnosis.case import Case
from ..diagnosis.certificate.certificate import Certificate, Weight, with_meant_weights
from ..diagnosis.diagnose import Diagnosis, diagnose
from ..diagnosis.quantised.findings import Quantised, quantisation_findings
from ..formats.model import HasOwnRuntime
from ..result import Finding, ParityResult
from .diagnosed import case_of
from .pair import Pair

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """The case with its weights as they were meant, and the certificate about them."""

    case: Case
    certificate: Certificate


def certified(pair: Pair, export: HasOwnRuntime, case: Case | None = None) -> Certified:
    """The certificate of the export's weights. Raises ModelError, UnreadableFile."""
    given = case_of(pair, (), None) if case is None else case
    meant, certificate = with_meant_weights(given, export.lifted)
    return Certified(case=meant, certificate=certificate)


def with_certificate(pair: Pair, export: HasOwnRuntime, result: ParityResult) -> tuple[ParityResult, bool]:
    """The result of a pass with what is known of the weights, and whether that is sound.

    A weight that is not what the reference has in its place, for its type, fails the check: the findings say which.
    """
    found = certified(pair, export)
    notes = tuple(sentences(found.certificate, pair.spec.shown(export.path)))
    wrong = found.certificate.standing("wrong")
    result = replace(result, notes=(*result.notes, *notes))
    if not wrong:
        return result, True
    findings = diagnose(found.case).findings or (differing(wrong, pair.spec.shown(export.path), found.case),)
    return replace(result, findings=findings), False


def diagnosis_of(pair: Pair, export: HasOwnRuntime, case: Case) -> Diagnosis:
    """What is behind a difference of an export that another runtime runs."""
    found = certified(pair, export, case)
    diagnosis = diagnose(found.case)
    wrong = found.certificate.standing("wrong")
    name = pair.spec.shown(export.path)
    findings = (*diagnosis.findings, *_of_quantisation(found, case, diagnosis))
    if not findings and wrong:
        findings = (differing(wrong, name, case),)
    return replace(
        diagnosis,
        findings=findings,
        notes=(*(() if findings else diagnosis.notes), *sentences(found.certificate, name)),
    )


def _of_quantisation(found: Certified, given: Case, diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """What rounding explains, where the other findings do not explain all."""
    run = given.runner.translation if given.runner is not None else None
    if run is None or (diagnosis.findings and diagnosis.remaining is not None and diagnosis.remaining.passed):
        return ()
    return quantisation_findings(
        Quantised(
            case=found.case, given=given, side=diagnosis.repaired, certificate=found.certificate, run=run
        )
    )


def sentences(certificate: Certificate, name: str) -> Iterator[str]:
    """What a certificate says of the weights of the file ``name``."""
    right, wrong, other = (certificate.standing(each) for each in ("certified", "wrong", "unexplained"))
    total, worst = len(certificate.weights), certificate.worst
    if not total:
        return
    farthest = f", none off by more than {_size(worst)} ({worst.layer}, {worst.stored.type})" if worst else ""
    how_many = f"all {total}" if len(right) == total else f"{len(right)} of {total}"
    yield f"Weights certified in {name}: {how_many}{farthest}."
    if other:
        yield f"Not certified, since nothing of the reference explains them: {_listed(other)}."
    if wrong:
        yield f"Not what the reference has in their place: {_listed(wrong)}."


def differing(wrong: Sequence[Weight], name: str, case: Case) -> Finding:
    """That weights are not the reference's, where no cause is known."""
    first = wrong[0]
    apart = first.distance
    how_many = "" if apart is None else f"{apart.outside} of {apart.total} values"
    more = f"; {len(wrong) - 1} more weights likewise" if len(wrong) > 1 else ""
    return Finding(
        cause="weights-differ",
        certainty="suggestive",
        nodes=tuple(each.constant for each in wrong),
        scopes=tuple(dict.fromkeys(each.layer for each in wrong if each.layer)),
        message=(
            f"{how_many} of {first.stored.name.split(';')[0]} in {name} are farther from what {first.layer} has in"
            f" {case.reference_name} than {first.stored.type} can explain, by up to {_size(first)}{more}."
        ),
        fix=f"Convert {case.reference_name} again, with the weights that it has now.",
        evidence=(),
    )


def _size(weight: Weight) -> str:
    if weight.distance is None:
        return "an unknown distance"
    unit = "quantum" if weight.distance.unit == "quantum" else "half ulp"
    return f"{weight.distance.worst:.3g} {unit}"


def _listed(weights: Sequence[Weight]) -> str:
    names = [each.stored.name.split(";")[0] or each.constant for each in weights]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
