"""The certificate of an export that another runtime runs: whether its weights are the reference's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..diagnosis.case import Case
from ..diagnosis.certificate.certificate import Certificate, with_meant_weights
from ..diagnosis.certificate.weight import Weight
from ..formats.model import HasOwnRuntime
from ..result import ParityResult
from ..wording import enumerated
from .diagnosed import case_of
from .pair import Pair


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


def with_certificate(
    pair: Pair, export: HasOwnRuntime, result: ParityResult
) -> tuple[ParityResult, Certified]:
    """The result with notes of what is known of the weights, and the certificate itself."""
    found = certified(pair, export)
    notes = tuple(sentences(found.certificate, pair.spec.shown(export.path)))
    return replace(result, notes=(*result.notes, *notes)), found


def sentences(certificate: Certificate, name: str) -> Iterator[str]:
    """What a certificate says of the weights of the file ``name``."""
    right, wrong, other = (certificate.standing(each) for each in ("certified", "wrong", "unexplained"))
    total, worst = len(certificate.weights), certificate.worst
    if not total:
        return
    farthest = (
        f", none off by more than {size_of(worst)} ({worst.layer}, {worst.stored.type})" if worst else ""
    )
    how_many = f"all {total}" if len(right) == total else f"{len(right)} of {total}"
    yield f"Weights certified in {name}: {how_many}{farthest}."
    if other:
        yield f"Not certified, since nothing of the reference explains them: {_listed(other)}."
    if wrong:
        yield f"Not what the reference has in their place: {_listed(wrong)}."


def size_of(weight: Weight) -> str:
    """How far a weight is from what it should be, with the unit."""
    if weight.distance is None:
        return "an unknown distance"
    unit = "quantum" if weight.distance.unit == "quantum" else "half ulp"
    return f"{weight.distance.worst:.3g} {unit}"


def _listed(weights: Sequence[Weight]) -> str:
    return enumerated(each.stored.name.split(";")[0] or each.constant for each in weights)
