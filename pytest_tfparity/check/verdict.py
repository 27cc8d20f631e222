"""What both sides answered, compared, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from ..comparison.compare import compare
from ..goldens.store import Golden
from ..graph.graph import Array
from ..graph.proof.proof import Proof
from ..result import OutputComparison, ParityResult
from ..settings.spec import OutputSpec
from .inputs import golden_outputs
from .pair import Pair

Against: TypeAlias = Literal["reference", "golden"]


def judged(draft: ParityResult, outputs: tuple[OutputComparison, ...], proof: Proof) -> ParityResult:
    """The verdict that follows from numbers and proof together."""
    if not all(output.passed for output in outputs) or not outputs:
        return replace(draft, verdict="fail", outputs=outputs, unproven=proof.reason)
    notes = [
        f"{output.export} uses {output.used:.0%} of its tolerance (atol {output.atol:g}, rtol {output.rtol:g})."
        for output in outputs
        if output.used is not None and output.used > 0.5
    ]
    return replace(
        draft,
        verdict="proven" if proof.proven else "pass",
        outputs=outputs,
        unproven=proof.reason,
        notes=tuple(notes),
    )


def compare_all(
    pair: Pair,
    expected: Mapping[str, Array],
    got: Mapping[str, Array],
    against: Against,
) -> tuple[OutputComparison, ...]:
    """Every output of the check: ``got`` from the export, ``expected`` by the reference's names."""
    return tuple(
        _compared(output, expected[output.reference], got[output.export], output.export, against)
        for output in pair.outputs
    )


def _compared(
    output: OutputSpec, expected: Array, got: Array, name: str, against: Against
) -> OutputComparison:
    return compare(
        expected,
        got,
        output.tolerance,
        reference_name=output.reference,
        export_name=name,
        against=against,
    )


def compare_computed(
    pair: Pair,
    reference: Mapping[str, Array],
    export: Mapping[str, Array],
    against: Against,
) -> Iterator[OutputComparison]:
    """Pair what two ``run`` calls returned: declared outputs first, then by equal tensor names."""
    declared = {output.export: output for output in pair.outputs}
    unmatched = dict(reference)
    for name, value in export.items():
        output = declared.get(name)
        other = output.reference if output else name
        tolerance = output.tolerance if output else pair.spec.tolerance
        if other not in unmatched:
            yield _alone(
                name, other, tolerance.atol, tolerance.rtol, "the reference's side has no such output"
            )
            continue
        yield compare(
            unmatched.pop(other), value, tolerance, reference_name=other, export_name=name, against=against
        )
    for name in unmatched:
        tolerance = pair.spec.tolerance
        yield _alone(name, name, tolerance.atol, tolerance.rtol, "the export's side has no such output")


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
    stored = golden_outputs(pair, golden)
    return tuple(
        _compared(output, stored[output.reference], reference[output.reference], output.reference, "golden")
        for output in pair.outputs
    )
