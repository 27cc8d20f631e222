"""Differences that a tolerance hides: what an export that passes computes otherwise all the same, by the files alone.

Nothing is run, so a difference counts only where no right rewrite leaves it. Where everything else in both graphs is
the same, that is any constant and attribute that differs by more than rounding, and a step that stands on one side
alone if it is the only one. Beside a rewriting that is not understood, it is what no rewriting makes: the very bits of
another tensor, another epsilon of the same batch norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..graph import ops
from ..graph.align.divergence import Kind
from ..graph.edit.repair import Constant, Repair
from ..graph.graph import Array
from ..graph.proof.proof import normalised
from ..graph.read.tensors import values
from ..result import Finding
from .alignment import divergences
from .arrays import is_float
from .case import Case
from .cause import Cause
from .causes import (
    DIFFERENCES,
    altered_weights,
    arrangement,
    averages,
    batch_coupling,
    batch_norm,
    batch_norm_mode,
    folds,
    non_finite,
    passes,
    precision,
    preprocessing,
    random_numbers,
    statistics,
    tables,
    weights,
    wiring,
)
from .causes.batch_norm import same_epsilon
from .causes.kinds.graph import classified
from .diagnose import Diagnosis, diagnose, without_right_rewrites
from .evidence import Evidence
from .places.divergences import Difference, differences
from .places.weights import WrongConstant, wrong_constants

_STEPS = (
    wiring.MISSING_SOFTMAX,
    preprocessing.CHANNEL_ORDER,
    preprocessing.RESIZE_METHOD,
    preprocessing.INPUT_SCALING,
    preprocessing.PREPROCESS_MISSING,
    random_numbers.DROPOUT_SCALING,
)
"""What is told from a step that one side lacks."""


def _shows(difference: Difference) -> bool:
    """Whether a difference of the graphs shows another function by itself."""
    if difference.is_setting:
        return not (difference.spelling or _is_one_epsilon(difference) or _pads(difference))
    steps = [each for each in difference.evidence[differences] if not each.is_setting]
    if all(each.activates for each in steps):
        return True
    plain = difference.harmless or difference.neutral or _pads(difference)
    return not plain and len(steps) == 1 and any(each.where(difference) for each in _STEPS)


def _pads(difference: Difference) -> bool:
    """Whether it is about padding: the same zeros may be an op of their own, or said by the convolution."""
    attribute = difference.divergence.attribute
    return attribute in ("padding", "explicit_paddings") or any(
        node.op in ops.PADS for node in difference.nodes
    )


def _is_one_epsilon(difference: Difference) -> bool:
    divergence = difference.divergence
    found = divergence.values if divergence.attribute == "epsilon" else None
    numbers = [each for each in found or () if isinstance(each, float)]
    return len(numbers) == 2 and same_epsilon(*numbers)


_CAUSES: tuple[Cause, ...] = (
    *passes.CAUSES,
    *tables.CAUSES,
    *folds.CAUSES,
    *batch_norm_mode.CAUSES,
    *batch_norm.CAUSES,
    *precision.CAUSES,
    *averages.CAUSES,
    *arrangement.CAUSES,
    *altered_weights.CAUSES,
    *weights.CAUSES,
    *statistics.CAUSES,
    *non_finite.CAUSES,
    *random_numbers.CAUSES,
    *batch_coupling.CAUSES,
    *altered_weights.LAST,
    *classified(DIFFERENCES, among=_shows),
)
_TOLERATED = frozenset(cause.id for cause in precision.CAUSES)
"""What a tolerance is stated for."""
_NO_REWRITING = frozenset(
    {
        "bn-epsilon-mismatch", "bn-stats-differ-from-ckpt", "bn-stats-initial-values", "bn-stats-names-shifted",
        "ckpt-tensor-mapped-to-wrong-variable", "lookup-table-differs", "other-run", "stale-export",
        *(cause.id for cause in averages.CAUSES),
    }
)  # fmt: skip
"""Causes of which no rewriting of a graph leaves traces."""
_ROUNDING = 4
"""Units in the last place by which two roundings of one constant may differ: a product, a quotient and a root."""
_MAKE_UP = frozenset({"scaled", "channels scaled", "negated", "permuted"})
"""What was done to the outputs of a weight may be undone in the inputs of another: factors (equalised ranges), an
order of channels."""
_MADE_UP = frozenset({"weights-altered", "weights-permuted"})


def hidden_differences(case: Case) -> tuple[Finding, ...]:
    """What makes the export of a passed check another function than its reference; nothing for right rewrites.

    What a stated tolerance is for is left out: lower precision of weights and arithmetic.
    """
    return tuple(each for each in by_the_files(case).findings if each.cause not in _TOLERATED)


def by_the_files(case: Case, *, same_inputs: bool = True) -> Diagnosis:
    """What makes an export another function than its reference, as far as the files show it without a run.

    ``same_inputs`` is False where the sides take other arrays: then weights of another shape are no rewriting.
    """
    diagnosis = diagnose(_without_rounding(case), _CAUSES)
    found = {finding.cause for finding in diagnosis.findings}
    made_up = _MADE_UP if found & _MADE_UP and _make_up(case) else frozenset()
    certain = _NO_REWRITING if same_inputs else _NO_REWRITING | {arrangement.SHAPES_DIFFER.id}
    told = tuple(
        finding
        for finding in diagnosis.findings
        if finding.cause not in made_up and (diagnosis.alike or finding.cause in certain)
    )
    return replace(diagnosis, findings=told, notes=())


def _make_up(case: Case) -> bool:
    """Whether several weights were changed so that one may undo what another does."""
    start = without_right_rewrites(Evidence.of(case))
    changed = [each for each in start[wrong_constants] if each.kind in _MAKE_UP]
    return len(changed) > 1 and set(map(_changes_outputs, changed)) not in ({True}, {False})


def _changes_outputs(wrong: WrongConstant) -> bool | None:
    """Whether a weight was changed along the axis of its outputs, the last; None where it was changed as a whole."""
    relation = wrong.origin.relation if wrong.origin is not None else None
    axis = relation.axis if relation is not None else None
    return None if axis is None else axis == len(wrong.held.shape) - 1


def _without_rounding(case: Case) -> Case:
    """The case with the constants of the export that differ by rounding alone as the reference has them."""
    evidence = Evidence.of(case)
    repair: Repair = tuple(_rounded(evidence))
    if not repair:
        return case
    return replace(case, export=normalised(evidence.after(repair).export, case.contents))


def _rounded(evidence: Evidence) -> Iterator[Constant]:
    for divergence in evidence[divergences]:
        if divergence.kind is not Kind.CONSTANT:
            continue
        right = evidence.reference.value(divergence.reference[0])
        held = evidence.export.value(divergence.export[0])
        if right is None or held is None or right.dtype != held.dtype or right.shape != held.shape:
            continue
        if is_float(values(right)) and _rounds_to(values(held), values(right)):
            yield Constant(node=divergence.export[0], value=right)


def _rounds_to(held: Array, right: Array) -> bool:
    """Whether two arrays of floats differ by rounding alone."""
    apart = np.abs(np.subtract(held, right))
    return bool((apart <= _ROUNDING * np.spacing(np.abs(right))).all())
