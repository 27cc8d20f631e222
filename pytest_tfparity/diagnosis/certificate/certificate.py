"""The certificate of an export's weights: each constant with what explains it, or why nothing does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...graph.edit.repair import Constant, Repair, tensor_of_array
from ...graph.graph import Tensor
from ...graph.lift.lifted import Lifted
from ...graph.proof.proof import normalised
from ..case import Case
from ..evidence import Evidence
from ..places.batch_norms import linears
from .finder import Finder
from .meant import Numbers
from .weight import Standing, Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """All float constants that the outputs of an export need."""

    weights: tuple[Weight, ...]

    def standing(self, standing: Standing) -> list[Weight]:
        """The constants that stand so."""
        return [each for each in self.weights if each.standing == standing]

    @property
    def worst(self) -> Weight | None:
        """The certified constant that is farthest from what was meant, for its type."""
        found = [each for each in self.standing("certified") if each.distance is not None]
        return max(found, key=lambda each: each.distance.worst if each.distance else 0.0, default=None)

    def as_meant(self) -> Repair:
        """Every constant that is explained at the value that was meant: what its type rounded is taken back."""
        return tuple(
            Constant(node=each.constant, value=_as_float(each.meant))
            for each in self.weights
            if each.meant is not None
        )

    def as_right(self) -> Repair:
        """The constants that are wrong as the reference has them."""
        return tuple(
            Constant(node=each.constant, value=_as_float(each.right))
            for each in self.standing("wrong")
            if each.right is not None
        )


def with_meant_weights(case: Case, lifted: Lifted) -> tuple[Case, Certificate]:
    """The case with every weight that is explained at the value that was meant, and the certificate.

    What is left to explain then are mistakes: of a stored type's rounding no cause is told.
    """
    evidence = Evidence.of(case)
    found = certify(evidence, lifted)
    repair = found.as_meant()
    if not repair:
        return case, found
    return replace(case, export=normalised(evidence.after(repair).export, case.contents)), found


def certify(evidence: Evidence, lifted: Lifted) -> Certificate:
    """Explain every float constant of the export by the weights of the reference."""
    finder = Finder.of(evidence, lifted)
    found: dict[str, Weight] = {}
    for linear in evidence[linears]:
        for weight in finder.layer(linear):
            known = found.get(weight.constant)
            if known is None or known.standing != "certified":
                found[weight.constant] = weight
    for name in finder.floats:
        if name not in found:
            found[name] = finder.alone(name)
    return Certificate(weights=tuple(found[name] for name in finder.floats))


def _as_float(meant: Numbers | None) -> Tensor:
    with np.errstate(over="ignore"):
        return tensor_of_array(np.ascontiguousarray(np.asarray(meant, np.float32)))
