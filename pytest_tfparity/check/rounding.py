"""Whether what fails a plain tolerance is no more than the rounding of the arithmetic itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from ..comparison.decided import compare_decided
from ..comparison.dtypes import kind
from ..comparison.rounding import MOST, measured, rounding_of
from ..comparison.tolerance import ROUNDINGS, Tolerance
from ..formats.model import GraphModel, HasOwnRuntime
from ..graph.graph import Array
from ..result import Finding, OutputComparison
from ..wording import enumerated, verb
from .attempt import result_or_error
from .exact import ExactAnswers
from .pair import Pair
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
    ranked = {output.export for output in run.pair.outputs if output.tolerance.top_k is not None}
    if not all(
        _may_be_rounding(output, answers.reference[output.reference], ranked=output.export in ranked)
        for output in failing
    ):
        return None
    exact = run.exact(answers.inputs, answers.reference)
    found = tuple(
        _with_times(output, answers.reference[output.reference], answers.export[output.export], exact)
        for output in outputs
    )
    return found, exact


def _with_times(
    output: OutputComparison, reference: Array, export: Array, exact: ExactAnswers
) -> OutputComparison:
    """``output`` with how many roundings its export is from the exact answer, where that is known."""
    value, decided = exact.outputs.get(output.reference), exact.decided.get(output.reference)
    if decided is not None:
        told = compare_decided(output, decided, reference, export, Tolerance(rounding=ROUNDINGS))
        return replace(output, rounding=told.rounding, times_rounding=told.times_rounding)
    rounding = None if value is None else rounding_of(reference, value)
    return output if value is None or rounding is None else measured(output, rounding, export, value)


def _may_be_rounding(output: OutputComparison, reference: Array, *, ranked: bool) -> bool:
    """Whether a failing output fails by numbers alone, and by little; integers may, if few are others.

    ``ranked`` says that the order of its largest entries is asked for, too.
    """
    if output.criteria or output.max_abs is None or output.rounding_allowed is not None:
        return False
    if kind(reference.dtype) == "integer":
        return not ranked and output.failing <= max(1.0, MOST * output.total)
    if output.problem is not None or kind(reference.dtype) not in ("float", "complex"):
        return False
    sizes = np.abs(reference.astype(np.complex128 if kind(reference.dtype) == "complex" else np.float64))
    return output.max_abs <= MOST * float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))


def finding(run: Run, outputs: Sequence[OutputComparison], answers: RunOutputs) -> Finding | None:
    """That the export is as exact as its arithmetic allows, if all that fails is."""
    failing = [output for output in outputs if not output.passed]
    known = [each for output in failing if (each := _known(output, answers)) is not None]
    if not failing or len(known) < len(failing) or any(each.times > ROUNDINGS for each in known):
        return None
    reference = run.pair.spec.shown(run.pair.model("reference").path)
    floats = [each for each in known if each.dtype is not None]
    return Finding(
        cause="rounding",
        certainty="decisive",
        nodes=tuple(output.export.rpartition(":")[0] for output in failing),
        scopes=(),
        message=_of_floats(floats, reference) if floats else _of_ties(known, reference),
        fix=_fix(floats, ties=len(floats) < len(known)),
        evidence=(*map(_evidence, known), *_right_folds(run.pair, outputs)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A failing output whose export is ``times`` roundings (of size ``unit``) away; integers have no ``dtype`` here."""

    output: OutputComparison
    times: float
    unit: float
    dtype: str | None


def _known(output: OutputComparison, answers: RunOutputs) -> _Known | None:
    if output.times_rounding is None or output.rounding is None:
        return None
    dtype = (answers.reference or {})[output.reference].dtype
    return _Known(
        output=output,
        times=output.times_rounding,
        unit=output.rounding,
        dtype=None if kind(dtype) == "integer" else dtype.name,
    )


def _of_floats(known: Sequence[_Known], reference: str) -> str:
    worst = max(known, key=attrgetter("times"))
    output = worst.output
    stated = f"atol {output.atol:g}" + (f", rtol {output.rtol:g}" if output.rtol else "")
    return (
        f"Both sides are as exact as {worst.dtype} allows on these inputs. From the exact answer, {output.reference} in"
        f" float64, the export is {worst.times * worst.unit:.3g} away and {reference} {worst.unit:.3g}:"
        f" {stated} asks for more than {worst.dtype} can give."
    )


def _of_ties(known: Sequence[_Known], reference: str) -> str:
    names = enumerated(each.output.export for each in known)
    return (
        f"{names} {verb(known, 'is', 'are')} other than in {reference} only where the exact answer is a tie, which"
        " rounding decides."
    )


def _fix(floats: Sequence[_Known], *, ties: bool) -> str:
    if ties or not floats:
        return "State `tolerance: rounding`."
    right = _round_up(ROUNDINGS * max(each.unit for each in floats))
    return f"State `tolerance: rounding`, or atol: {right:g}."


def _evidence(known: _Known) -> str:
    output, allows = known.output, f"`tolerance: rounding` allows {ROUNDINGS:g} times."
    if known.dtype is None:
        return (
            f"{output.failing} of {output.total} values of {output.export} are decided otherwise, where the exact"
            f" answer is a tie: {known.times:.2g} times the rounding ({known.unit:.3g}) apart; {allows}"
        )
    return (
        f"{output.export} is {known.times:.2g} times as far from the exact answer as the rounding of its reference"
        f" ({known.unit:.3g}); {allows}"
    )


def _right_folds(pair: Pair, outputs: Sequence[OutputComparison]) -> tuple[str, ...]:
    """That the export's folds of batch norms are right, by the files alone, if it has any and all are."""
    from ..diagnosis.folds_told import right_folds_told
    from .diagnosed import case_of

    told = result_or_error(lambda: right_folds_told(case_of(pair, tuple(outputs), None)))
    return (told,) if isinstance(told, str) else ()


def _round_up(value: float) -> float:
    """``value`` with two digits, not smaller."""
    if value <= 0:
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step
