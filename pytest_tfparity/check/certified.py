"""An export that another runtime runs: whether its weights are certified, and what is wrong where its numbers are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..diagnosis.case import Case
from ..diagnosis.causes import GRAPH
from ..diagnosis.certificate.certificate import Certificate, with_meant_weights
from ..diagnosis.certificate.weight import Weight
from ..diagnosis.diagnose import Diagnosis, diagnose
from ..diagnosis.evidence import Evidence
from ..diagnosis.quantised.findings import Quantised, quantisation_findings
from ..errors import TfparityError
from ..formats.model import HasOwnRuntime
from ..graph.layer import layer_of
from ..graph.proof.proof import Side
from ..result import Finding, ParityResult
from .diagnosed import case_of
from .pair import Pair

_NAMED = 3
_GRAPHS = frozenset(cause.id for cause in GRAPH)
"""Causes that are differences of the graphs: where the numbers agree, other spellings leave them too."""


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
    result = replace(result, notes=(*result.notes, *notes))
    if not found.certificate.standing("wrong"):
        return result, True
    return replace(result, findings=_of_weights(found, diagnose(found.case))), False


def diagnosis_of(pair: Pair, export: HasOwnRuntime, case: Case) -> Diagnosis:
    """What is behind a difference of an export that another runtime runs.

    Where the graph answers rightly once its weights are the reference's and nothing is rounded, weights and rounding
    are all that can be wrong: other spellings in the graph are no causes.
    """
    found = certified(pair, export, case)
    diagnosis = diagnose(found.case)
    findings = diagnosis.findings
    if _has_right_graph(found):
        findings = _of_weights(found, diagnosis) if found.certificate.standing("wrong") else ()
        diagnosis = replace(diagnosis, repaired=_as_right(found))
    more, rounding = _of_quantisation(found, case, diagnosis, findings)
    findings = (*findings, *more)
    if not findings and found.certificate.standing("wrong"):
        findings = (differing(found),)
    return replace(
        diagnosis,
        findings=findings,
        notes=(
            *(() if findings or rounding else diagnosis.notes),
            *rounding,
            *sentences(found.certificate, pair.spec.shown(export.path)),
        ),
    )


def _of_weights(found: Certified, diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """What a diagnosis says of the weights that are wrong; that they are, where it says nothing."""
    wrong = found.certificate.standing("wrong")
    names = {each.constant for each in wrong}
    readers = {
        node.name
        for node in found.case.export.side.graph.nodes.values()
        if any(source.node in names for source in node.inputs)
    }
    places = names | readers | {each.layer for each in wrong}
    places |= {layer_of(name) for each in wrong for name in each.source}
    told = tuple(
        each
        for each in diagnosis.findings
        if each.cause not in _GRAPHS
        and each.certainty != "suggestive"
        and places & {*each.nodes, *each.scopes}
    )
    return told or (differing(found),)


def _as_right(found: Certified) -> Side:
    """The export with its weights as the reference has them."""
    return Evidence.of(found.case).after(found.certificate.as_right()).export


def _has_right_graph(found: Certified) -> bool:
    """Whether the export answers as the reference does once its weights are right and nothing is rounded."""
    run = found.case.runner.translation if found.case.runner is not None else None
    if run is None or any(each.right is None for each in found.certificate.standing("wrong")):
        return False
    try:
        return run.passes(_as_right(found), {})
    except TfparityError:
        return False


def _of_quantisation(
    found: Certified, given: Case, diagnosis: Diagnosis, findings: Sequence[Finding]
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What rounding explains, and a note about it, where the other findings do not explain all."""
    run = given.runner.translation if given.runner is not None else None
    if run is None:
        return (), ()
    export = Quantised(
        case=found.case, given=given, side=diagnosis.repaired, certificate=found.certificate, run=run
    )
    if findings and export.passes(export.side.graph, export.grids):
        return (), ()
    return quantisation_findings(export)


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


def differing(found: Certified) -> Finding:
    """That weights are not the reference's, where no cause is known."""
    wrong, case = found.certificate.standing("wrong"), found.case
    first = max(wrong, key=lambda each: each.distance.worst if each.distance is not None else 0.0)
    apart = first.distance
    how_many = "Values" if apart is None else f"{apart.outside} of {apart.total} values"
    more = f"; {len(wrong) - 1} more weights likewise" if len(wrong) > 1 else ""
    return Finding(
        cause="weights-differ",
        certainty="suggestive",
        nodes=tuple(each.constant for each in wrong),
        scopes=tuple(dict.fromkeys(each.layer for each in wrong if each.layer)),
        message=(
            f"{how_many} of {first.stored.name.split(';')[0]} in {case.export_name} are farther from what {first.layer}"
            f" has in {case.reference_name} than {first.stored.type} can explain, by up to {_size(first)}{more}."
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
