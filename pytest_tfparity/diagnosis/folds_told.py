"""That the batch norms which an export has in its kernels are folded rightly, in words."""

from __future__ import annotations

import numpy as np

from ..graph.batch_norm.fold import FOLD_ROUNDING
from ..graph.read.tensors import values
from ..wording import counted, enumerated
from .alignment import divergences
from .case import Case
from .diagnose import without_right_rewrites
from .evidence import Evidence
from .places.fold_formula import Matrix, matrix, terms
from .places.folds import folds
from .places.unfold import Folded

_MOST = FOLD_ROUNDING / 2.0**-24
"""Half units in the last place that a number of a right fold may be away."""


def right_folds_told(case: Case) -> str | None:
    """A sentence that says that all folds of the export are right, and how near to the recomputed ones.

    None where it has none, or where not each is a right fold of the reference's own weights.
    """
    evidence = Evidence.of(case)
    found = evidence[folds]
    apart = [_half_ulps(evidence, each) for each in found if each.neutral and each.expected]
    known = [each for each in apart if each is not None]
    if not found or len(known) < len(found) or max(known) > _MOST:
        return None
    rest = "" if without_right_rewrites(evidence)[divergences] else " Nothing else differs."
    return (
        f"{counted(len(found), 'batch norm')} of {case.reference_name} {'is' if len(found) == 1 else 'are'} folded"
        f" rightly ({enumerated(each.node for each in found)}): no weight is more than {max(known):.2g} half units in"
        f" the last place from the fold recomputed in float64.{rest}"
    )


def _half_ulps(evidence: Evidence, folded: Folded) -> float | None:
    """How far the numbers of a fold are from those in float64, in half units in the last place of float32.

    None where no kernel holds it.
    """
    held, meant = _held_and_meant(evidence, folded)
    if held is None or meant is None or held.shape != meant.shape or not held.size:
        return None
    half = np.spacing(np.abs(meant).astype(np.float32)).astype(np.float64) / 2
    return float((np.abs(held.astype(np.float64) - meant) / half).max())


def _held_and_meant(evidence: Evidence, folded: Folded) -> tuple[Matrix | None, Matrix | None]:
    """The kernel of the export ``[numbers, channels]``, and what it has to be in float64."""
    norm, linear = folded.norm, folded.linear
    given = terms(norm, folded.weights)
    stored = None if linear is None else evidence.export.value(linear.kernel)
    if given is None or linear is None or stored is None or norm.kernel is None:
        return None, None
    channels = given.variance.size
    before = matrix(values(folded.weights[norm.kernel]), linear, channels)
    held = matrix(values(stored), linear, channels)
    return held, None if before is None else before.astype(np.float64) * given.scale
