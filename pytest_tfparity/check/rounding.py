"""Whether what fails a plain tolerance is no more than the rounding of the arithmetic itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from ..comparison.dtypes import kind
from ..comparison.rounding import MOST, measured, rounding_of
from ..comparison.tolerance import ROUNDINGS
from ..formats.model import GraphModel, HasOwnRuntime
from ..graph.graph import Array
from ..result import Finding, OutputComparison
from .exact import ExactAnswers
from .run import Run, RunOutputs


def with_rounding(
    run: Run, outputs: Sequence[OutputComparison], answers: RunOutputs
) -> tuple[tuple[OutputComparison, ...], ExactAnswers] | None:
    """``outputs`` with how far both sides are from the exact answer, and that answer.

    None where it cannot be, or where the difference is too large for the rounding of arithmetic, or the export rounds
    what it holds. Raises ModelError where the exact answer is not to be had.
    """
    export = run.pair.export
    if not isinstance(run.pair.reference, GraphModel) or not answers.reference or not answers.export:
        return None
    if isinstance(export, HasOwnRuntime) and export.lifted.is_narrow:
        return None
    failing = [output for output in outputs if not output.passed]
    if not all(_may_be_rounding(output, answers.reference[output.reference]) for output in failing):
        return None
    exact = run.exact(answers.inputs, answers.reference)
    found = []
    for output in outputs:
        value = exact.outputs.get(output.reference)
        rounding = None if value is None else rounding_of(answers.reference[output.reference], value)
        if value is not None and rounding is not None:
            output = measured(output, rounding, answers.export[output.export], value)
        found.append(output)
    return tuple(found), exact


def _may_be_rounding(output: OutputComparison, reference: Array) -> bool:
    """Whether a failing output fails by numbers alone, and by little."""
    if (
        output.problem is not None
        or output.criteria
        or output.max_abs is None
        or output.rounding_allowed is not None
    ):
        return False
    if kind(reference.dtype) not in ("float", "complex"):
        return False
    sizes = np.abs(reference.astype(np.complex128 if kind(reference.dtype) == "complex" else np.float64))
    return output.max_abs <= MOST * float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))


def finding(run: Run, outputs: Sequence[OutputComparison], answers: RunOutputs) -> Finding | None:
    """That the export is as exact as its arithmetic allows, if all that fails is."""
    failing = [output for output in outputs if not output.passed]
    known = [
        (times, unit, output)
        for output in failing
        if (times := output.times_rounding) is not None and (unit := output.rounding) is not None
    ]
    if not failing or len(known) < len(failing) or any(times > ROUNDINGS for times, _, _ in known):
        return None
    times, unit, worst = max(known, key=itemgetter(0))
    dtype = (answers.reference or {})[worst.reference].dtype.name
    reference = run.pair.spec.shown(run.pair.model("reference").path)
    right = _round_up(ROUNDINGS * max(unit for _, unit, _ in known))
    stated = f"atol {worst.atol:g}" + (f", rtol {worst.rtol:g}" if worst.rtol else "")
    return Finding(
        cause="rounding",
        certainty="decisive",
        nodes=tuple(output.export.rpartition(":")[0] for output in failing),
        scopes=(),
        message=(
            f"Both sides are as exact as {dtype} allows on these inputs. From the exact answer, {worst.reference} in"
            f" float64, the export is {times * unit:.3g} away and {reference} {unit:.3g}:"
            f" {stated} asks for more than {dtype} can give."
        ),
        fix=f"State `tolerance: rounding`, or atol: {right:g}.",
        evidence=tuple(
            f"{output.export} is {times:.2g} times as far from the exact answer as the rounding of its reference"
            f" ({unit:.3g}); `tolerance: rounding` allows {ROUNDINGS:g} times."
            for times, unit, output in known
        ),
    )


def _round_up(value: float) -> float:
    """``value`` with two digits, not smaller."""
    if value <= 0:
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step
