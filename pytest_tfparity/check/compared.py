"""What both sides answered, compared output by output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..comparison.compare import compare
from ..comparison.decided import compare_decided
from ..comparison.rounding import compare_exactly, measured, rounding_of
from ..errors import ModelError
from ..graph.graph import Array
from ..result import OutputComparison
from ..settings.spec import OutputSpec
from .exact import UNKNOWN, ExactAnswers, exact_of_golden
from .inputs import outputs_of_golden
from .pair import Pair
from .run import RunOutputs

if TYPE_CHECKING:
    from ..goldens.store import Golden

Against: TypeAlias = Literal["reference", "golden"]


def compare_all(
    pair: Pair, answers: RunOutputs, against: Against, exact: ExactAnswers = UNKNOWN
) -> tuple[OutputComparison, ...]:
    """Every output of the check as the export answers it, compared with what the reference answers.

    Where a ``rounding`` is stated, with the ``exact`` answer.
    """
    reference, export = answers.reference or {}, answers.export or {}
    return tuple(
        _compared(
            pair, output, reference[output.reference], export[output.export], output.export, against, exact
        )
        for output in pair.outputs
    )


def _compared(
    pair: Pair,
    output: OutputSpec,
    expected: Array,
    got: Array,
    name: str,
    against: Against,
    exact: ExactAnswers = UNKNOWN,
) -> OutputComparison:
    value = exact.outputs.get(output.reference)
    step = _step(pair, output)
    if output.tolerance.rounding is not None and value is not None:
        return compare_exactly(
            expected,
            got,
            value,
            output.tolerance,
            reference_name=output.reference,
            export_name=name,
            against=against,
            step=step,
        )
    found = compare(
        expected,
        got,
        output.tolerance,
        reference_name=output.reference,
        export_name=name,
        against=against,
        step=step,
    )
    decided = exact.decided.get(output.reference)
    if decided is not None:
        return compare_decided(found, decided, expected, got, output.tolerance)
    rounding = None if value is None else rounding_of(expected, value)
    return found if value is None or rounding is None else measured(found, rounding, got, value)


def _step(pair: Pair, output: OutputSpec) -> float | None:
    """The quantum of the export's output, where ``steps`` are asked for. Raises ModelError where it has none."""
    if output.tolerance.steps is None:
        return None
    step = pair.export.output_step(output.export)
    if step is None:
        raise ModelError(
            f"{pair.spec.name} states steps for {output.export}, but {pair.spec.shown(pair.export.path)} does not"
            " quantise that output. State sqnr, cosine or atol in place of steps."
        )
    return step


def compare_computed(
    pair: Pair,
    reference: Mapping[str, Array],
    export: Mapping[str, Array],
    against: Against,
    exact: ExactAnswers = UNKNOWN,
) -> Iterator[OutputComparison]:
    """Pair what two ``run`` calls returned: declared outputs first, then by equal tensor names."""
    declared = {output.export: output for output in pair.outputs}
    unmatched = dict(reference)
    for name, value in export.items():
        output = declared.get(name)
        other = output.reference if output else name
        tolerance = output.tolerance if output else pair.spec.tolerance
        if other not in unmatched:
            yield _alone(name, other, tolerance.atol, tolerance.rtol, "the reference has no such output")
            continue
        paired = output or OutputSpec(reference=other, export=name, tolerance=tolerance)
        yield _compared(pair, paired, unmatched.pop(other), value, name, against, exact)
    for name in unmatched:
        tolerance = pair.spec.tolerance
        yield _alone(name, name, tolerance.atol, tolerance.rtol, "the export has no such output")


def _alone(export: str, reference: str, atol: float, rtol: float, problem: str) -> OutputComparison:
    """An output that one side alone has: a failure without numbers."""
    return OutputComparison(
        reference=reference,
        export=export,
        max_abs=None,
        max_rel=None,
        worst_index=None,
        failing=0,
        total=0,
        atol=atol,
        rtol=rtol,
        required_atol=None,
        required_rtol=None,
        passed=False,
        problem=problem,
    )


def drift_of(pair: Pair, golden: Golden, reference: Mapping[str, Array]) -> tuple[OutputComparison, ...]:
    """How the reference's own answer compares with the goldens."""
    stored, exact = outputs_of_golden(pair, golden), exact_of_golden(pair, golden) or UNKNOWN
    return tuple(
        _compared(
            pair,
            replace(output, tolerance=output.tolerance.of_reference),
            stored[output.reference],
            reference[output.reference],
            output.reference,
            "golden",
            exact,
        )
        for output in pair.outputs
    )
