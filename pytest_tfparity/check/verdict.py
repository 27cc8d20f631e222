"""What both sides answered, compared, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..comparison.compare import compare
from ..graph.graph import Array
from ..graph.proof.proof import Proof
from ..result import OutputComparison, ParityResult
from ..settings.spec import OutputSpec
from .health import NOT_FINITE
from .inputs import golden_outputs
from .pair import Pair
from .run import Answers

if TYPE_CHECKING:
    from ..goldens.store import Golden

_NEAR = 0.5
"""From this share of a tolerance on a pass says so: twice the difference would be no parity."""

Against: TypeAlias = Literal["reference", "golden"]


def decided(result: ParityResult, *, alike: bool, loads: bool, proven: bool, strict: bool) -> ParityResult:
    """The verdict on all that is known of a check.

    ``alike`` says that both sides compute the same, ``proven`` that this is so for every input, ``loads`` that
    TensorFlow imports the export as a whole file, ``strict`` that an unsound checkpoint fails what would pass.
    """
    if not alike or not loads:
        return replace(result, verdict="fail")
    if strict and result.health:
        notes = (f"The checkpoint is unsound: {result.health[0].message}", *result.notes)
        return replace(result, verdict="fail", notes=notes)
    return replace(result, verdict="proven" if proven else "pass")


def measured(draft: ParityResult, outputs: tuple[OutputComparison, ...], proof: Proof) -> ParityResult:
    """The result with how the outputs compare, and a note for those that nearly fail."""
    near = [output for output in outputs if output.used is not None and output.used > _NEAR]
    notes = [
        f"{output.export} uses {output.used:.0%} of its tolerance (atol {output.atol:g}, rtol {output.rtol:g})."
        for output in (near if all_passed(outputs) else ())
    ]
    return replace(draft, outputs=outputs, unproven=proof.reason, notes=tuple(notes))


def all_passed(outputs: tuple[OutputComparison, ...]) -> bool:
    """Whether every output is within its tolerance; a comparison of nothing is no parity."""
    return bool(outputs) and all(output.passed for output in outputs)


def said_once(result: ParityResult) -> ParityResult:
    """What a finding says already is no warning as well: of the same cause, or of the same NaN."""
    said = {finding.cause for finding in result.findings}
    unsound = NOT_FINITE | {"nan-in-both"}
    named = {scope for found in result.findings if found.cause in unsound for scope in found.scopes}
    return replace(
        result,
        health=tuple(
            health
            for health in result.health
            if health.cause not in said
            and not (health.cause in NOT_FINITE and health.scopes and named.issuperset(health.scopes))
        ),
    )


def compare_all(pair: Pair, answers: Answers, against: Against) -> tuple[OutputComparison, ...]:
    """Every output of the check as the export answers it, compared with what the reference answers."""
    reference, export = answers.reference or {}, answers.export or {}
    return tuple(
        _compared(output, reference[output.reference], export[output.export], output.export, against)
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
