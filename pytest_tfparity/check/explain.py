"""What is added to a verdict: the checkpoint's health, the causes of a failure, details for a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..diagnosis.diagnose import Diagnosis
from ..errors import TfparityError, UnreadableFile
from ..formats.model import Model
from ..graph.graph import Array
from ..graph.proof.proof import Proof
from ..result import Health, ParityResult
from ..settings.spec import ParitySpec
from .case import examine, examine_error, health_of, stale, unloadable, unsound_weights
from .clock import Clock
from .details import details_of
from .pair import Pair

_NOT_FINITE = frozenset({"nan-in-both", "non-finite", "bn-variance-nonfinite"})
"""What NaN or infinity in a weight is called, by a finding or by the checkpoint's health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Both sides of a check on their way down the road; ``diagnoses`` is what was found on it."""

    pair: Pair
    proof: Proof
    clock: Clock
    details: bool = False
    diagnoses: list[Diagnosis] = field(default_factory=list)

    def reference(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The reference's answer, by its own tensor names."""
        with self.clock("run"):
            return self.pair.run("reference", inputs)

    def export(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The export's answer, by its own tensor names."""
        with self.clock("run"):
            return self.pair.run("export", inputs)


def healthy(pair: Pair) -> tuple[Health, ...]:
    """The checkpoint's health, as far as its files can be read without TensorFlow."""
    try:
        return health_of(pair)
    except UnreadableFile:
        return ()


def sound(pair: Pair, draft: ParityResult) -> bool:
    """Whether all weights are finite: two graphs that both answer NaN are the same function, and no parity."""
    if pair.spec.health != "ignore":
        return not any(health.cause in ("non-finite", "bn-variance-nonfinite") for health in draft.health)
    try:
        return not unsound_weights(pair)
    except UnreadableFile:
        return True


def loadable(pair: Pair, result: ParityResult) -> ParityResult:
    """A pass is a failure after all if TensorFlow does not import the export as a whole file."""
    if not result.passed:
        return result
    try:
        finding = unloadable(pair)
    except UnreadableFile:
        return result
    if finding is None:
        return result
    notes = (finding.message, "What the outputs need of it computes the same.", *result.notes)
    return replace(result, verdict="fail", findings=(finding,), notes=notes)


def said_once(result: ParityResult) -> ParityResult:
    """What a finding says already is no warning as well: of the same cause, or of the same NaN."""
    said = {finding.cause for finding in result.findings}
    named = {scope for found in result.findings if found.cause in _NOT_FINITE for scope in found.scopes}
    return replace(
        result,
        health=tuple(
            health
            for health in result.health
            if health.cause not in said
            and not (health.cause in _NOT_FINITE and health.scopes and named.issuperset(health.scopes))
        ),
    )


def with_health(spec: ParitySpec, result: ParityResult) -> ParityResult:
    """Under ``health: error`` an unsound checkpoint fails a check that would pass."""
    if spec.health != "error" or not result.health or not result.passed:
        return result
    notes = (f"The checkpoint is unsound: {result.health[0].message}", *result.notes)
    return replace(result, verdict="fail", notes=notes)


def examined(
    run: Run, result: ParityResult, inputs: Mapping[str, Array], expected: Mapping[str, Array]
) -> ParityResult:
    """The result with the causes of a failure, or with a warning if it passes with other weights."""
    if run.pair.reference is None or result.verdict == "proven":
        return result
    plain = run.pair.without_graph()
    if plain is not None:
        return _without_diagnosis(run, result, plain)
    with run.clock("diagnosis"):
        if result.verdict == "fail":
            return _with_diagnosis(run, result, lambda: examine(run.pair, result.outputs, inputs, expected))
        try:
            found = () if run.pair.spec.health == "ignore" else stale(run.pair, result.outputs)
        except UnreadableFile as error:
            return _noted(result, f"Whose weights these are is not known: {error}")
    return replace(result, health=(*result.health, *found))


def explained_error(
    run: Run,
    draft: ParityResult,
    error: TfparityError,
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array] | None,
) -> ParityResult:
    """An error with what can be found out although a side cannot be run."""
    result = replace(draft, error=str(error))
    if run.pair.reference is None or run.pair.without_graph() is not None:
        return result
    with run.clock("diagnosis"):
        result = _with_diagnosis(run, result, lambda: examine_error(run.pair, error, inputs, expected))
    return detailed(run, result, inputs, {}, {}) if run.diagnoses else result


def _without_diagnosis(run: Run, result: ParityResult, plain: Model) -> ParityResult:
    """A failure with the evidence that is missing where a side has no graph to look into."""
    if result.verdict != "fail":
        return result
    name = run.pair.spec.shown(plain.path)
    return _noted(
        result,
        f"Where the sides diverge is not known: {name} ({plain.noun}) has no graph to align with the other"
        " side's, nor to try a repair in.",
    )


def _with_diagnosis(run: Run, result: ParityResult, explain: Callable[[], Diagnosis | None]) -> ParityResult:
    """``result`` with what ``explain`` finds; whatever happens there, the verdict stands."""
    try:
        diagnosis = explain()
    except TfparityError as error:
        return result if str(error) == result.error else _noted(result, f"No diagnosis: {error}")
    except Exception as defect:
        return _noted(
            result,
            f"The diagnosis broke off ({type(defect).__name__}: {defect}); that is a defect of pytest-tfparity,"
            " please report it. The verdict stands.",
        )
    if diagnosis is None:
        return result
    run.diagnoses.append(diagnosis)
    return replace(
        result,
        findings=diagnosis.findings,
        first_divergence=diagnosis.first_divergence,
        downstream=diagnosis.downstream,
        notes=(*result.notes, *diagnosis.notes),
    )


def detailed(
    run: Run,
    result: ParityResult,
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
    answers: Mapping[str, Array],
) -> ParityResult:
    """The result with what the pictures of a report need, if one was asked for and there is a difference."""
    if not run.details or result.verdict == "proven":
        return result
    diagnosis = run.diagnoses[-1] if run.diagnoses else None
    with run.clock("diagnosis"):
        details = details_of(run.pair, result.outputs, inputs, expected, answers, diagnosis)
    return replace(result, details=details)


def _noted(result: ParityResult, note: str) -> ParityResult:
    return replace(result, notes=(*result.notes, note))
