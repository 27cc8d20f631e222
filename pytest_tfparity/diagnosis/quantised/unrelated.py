"""Weights of a converted file that have nothing to do with the reference's: of another run, or never restored."""

from __future__ import annotations

import numpy as np

from ...graph.proof.proof import Side
from ...graph.read.tensors import values
from ...result import Finding
from ..arrays import cosine
from ..case import Case
from ..certificate.certificate import Certificate
from ..certificate.meant import Numbers
from ..certificate.weight import Weight
from ..evidence import Evidence
from ..places.batch_norms import linears, reference_linears, reference_norms

_UNRELATED = 0.3
"""Cosine of two kernels up to which they say nothing of each other. Kernels that were drawn apart have
``1 / sqrt(values)``: 0.1 for the smallest that count. Those of another step of the example project have 0.98."""
_SMALLEST = 100
"""Values of a kernel from which its cosine counts."""
_FEWEST = 2
"""Kernels that must agree in it."""


def unrelated_weights(certificate: Certificate, case: Case) -> Finding | None:
    """That no kernel of the export is the reference's, nor near it; None if one is.

    Where all that is added behind kernels is 0 in the export, as initialisers give it, and is not in the reference, it
    holds initial values, or weights that were trained without any.
    """
    wrong = [each for each in certificate.weights if _is_kernel(each)]
    if len(wrong) < _FEWEST or any(each.standing != "wrong" for each in wrong):
        return None
    angles = [cosine(_values(case.export.side, each.constant), np.asarray(each.right)) for each in wrong]
    if any(angle is None or abs(angle) > _UNRELATED for angle in angles):
        return None
    largest = max(abs(angle) for angle in angles if angle is not None)
    kernels = f"None of the {len(wrong)} kernels of {case.export_name} is that of {case.reference_name}"
    cause, story, fix = _STORIES[_adds_nothing(Evidence.of(case))]
    return Finding(
        cause=cause,
        certainty="suggestive",
        nodes=tuple(each.constant for each in wrong),
        scopes=tuple(dict.fromkeys(each.layer for each in wrong)),
        message=f"{kernels} (cosine {largest:.2f} at most){story}",
        fix=fix.format(reference=case.reference_name),
        evidence=(),
    )


_STORIES = {
    True: (
        "initial-values",
        ", and all that is added behind them is 0, as initialisers leave it: most likely nothing was restored.",
        "Convert {reference}: restore its weights before the file is made.",
    ),
    False: (
        "other-run",
        ": it comes from another training run, or was never restored.",
        "Convert {reference}, or state as the reference what this file was made from.",
    ),
}
"""Cause, end of the message, and fix, by whether the export adds nothing behind its kernels."""


def _is_kernel(weight: Weight) -> bool:
    shape = None if weight.right is None else weight.right.shape
    return bool(weight.layer) and shape is not None and len(shape) > 1 and int(np.prod(shape)) >= _SMALLEST


def _adds_nothing(evidence: Evidence) -> bool:
    """Whether the export adds nothing but 0 behind its kernels, where the reference adds something else."""
    added = [_values(evidence.export, each.bias) for linear in evidence[linears] for each in linear.added]
    names = [each.bias for linear in evidence[reference_linears] for each in linear.added]
    names += [
        name for norm in evidence[reference_norms] for name in (norm.beta, norm.mean) if name is not None
    ]
    moved = [name for name in names if _values(evidence.reference, name).any()]
    return len(moved) >= _FEWEST and not any(each.any() for each in added)


def _values(side: Side, name: str) -> Numbers:
    held = side.value(name)
    return np.zeros(0) if held is None else values(held)
