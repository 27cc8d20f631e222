"""The road: from what is stated to a verdict. The only place that knows all of it.

``check`` opens both sides, tries to prove them equal without running anything, and only if that
fails runs both and compares numbers. Nothing here knows of pytest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from .collector import paused_collector
from .comparison.compare import compare
from .details import details_of
from .diagnosis.diagnose import Diagnosis
from .discovery import Pair, open_pair
from .environment import environment
from .errors import GoldenError, InputError, TfparityError, UnreadableFile
from .examination import examine, examine_error, health_of, stale, unloadable, unsound_weights, write_repaired
from .goldens.store import Golden, read_golden, update_golden
from .graph.graph import Array
from .graph.proof import Proof, prove
from .inputs.load import load_input
from .models.store import ModelStore
from .outputs import digest_of
from .result import Health, OutputComparison, ParityResult, Seconds
from .settings.spec import BytesSource, ImageSource, InputSource, NpzSource, ParitySpec, RandomSource
from .weighing import compare_weights

Update: TypeAlias = Literal["all", "new"]


class ParityFailure(AssertionError):
    """The export does not match; ``result`` holds what was found, ``str()`` is the report."""

    __module__ = "pytest_tfparity"

    def __init__(self, message: str, result: ParityResult) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type[ParityFailure], tuple[str, ParityResult]]:
        return type(self), (str(self), self.result)


def check(
    spec: ParitySpec,
    models: ModelStore,
    *,
    nodeid: str = "",
    inputs: Mapping[str, Array] | None = None,
    update: Update | None = None,
    details: bool = False,
) -> ParityResult:
    """Decide one check; never raises for what the user can mend, that is verdict ``"error"``.

    ``inputs`` (by the reference's tensor names) replace those that the spec states. ``update``
    writes the goldens from the reference first: all that differ, or only those that are missing.
    ``details`` adds what the pictures of a report need.
    """
    clock = Clock()
    draft = draft_result(spec, nodeid)
    try:
        result = _decide(spec, models, draft, clock, inputs, update, details)
    except TfparityError as error:
        result = replace(draft, verdict="error", error=str(error))
    return replace(_once(result), seconds=clock.seconds())


def judge(
    spec: ParitySpec,
    models: ModelStore,
    reference: Mapping[str, Array],
    export: Mapping[str, Array],
    *,
    nodeid: str = "",
    golden: bool = False,
    inputs: Mapping[str, Array] | None = None,
    details: bool = False,
) -> ParityResult:
    """Compare outputs that a test has computed itself, under the tolerances of ``spec``.

    ``inputs`` (by the reference's names) are what both sides answered to: with them a difference in
    the declared outputs is explained too. ``details`` adds what the pictures of a report need.
    """
    clock = Clock()
    draft = draft_result(spec, nodeid)
    pair = open_pair(spec, models)
    outputs = tuple(_compare_computed(pair, reference, export, "golden" if golden else "reference"))
    with clock("proof"):
        proof = try_proof(pair)
    result = _loadable(pair, _judged(draft, outputs, proof))
    declared = all(output.reference in reference for output in pair.outputs)
    run = Run(pair=pair, proof=proof, clock=clock, details=details)
    if result.verdict == "fail" and inputs is not None and declared and not result.findings:
        result = _examined(run, result, inputs, reference)
    result = _detailed(run, result, inputs or {}, reference, export)
    return replace(_once(result), seconds=clock.seconds())


def write_goldens(spec: ParitySpec, models: ModelStore, update: Update, *, nodeid: str = "") -> ParityResult:
    """Write the goldens of ``spec`` from the reference; the result says what was done and judges nothing."""
    clock = Clock()
    pair = open_pair(spec, models)
    draft = _update(Run(pair=pair, proof=try_proof(pair), clock=clock), draft_result(spec, nodeid), update)
    return replace(draft, seconds=clock.seconds())


def repair(spec: ParitySpec, models: ModelStore, path: Path) -> float | None:
    """Write the export of a failing check, repaired, to ``path``: the largest difference that is left.

    Nothing is written, and None returned, where the repairs do not restore parity.
    """
    pair = open_pair(spec, models)
    inputs = load_inputs(spec)
    expected = pair.run("reference", inputs)
    outputs = _compare_all(pair, expected, pair.run("export", inputs), "reference")
    diagnosis = examine(pair, outputs, inputs, expected)
    if diagnosis.remaining is None or not diagnosis.remaining.passed or not diagnosis.findings:
        return None
    write_repaired(pair, diagnosis.repaired, path)
    return diagnosis.remaining.max_abs


def try_proof(pair: Pair) -> Proof:
    """A proof that both sides are one function, or the reason why there is none."""
    if pair.reference is None:
        return Proof.none("the checkpoint is not at hand: the goldens are the reference")
    try:
        return prove(pair.side("reference"), pair.side("export"), pair.contents)
    except UnreadableFile as error:
        return Proof.none(str(error))


def load_inputs(spec: ParitySpec) -> dict[str, Array]:
    """The golden inputs of ``spec`` from their sources, by the reference's tensor names."""
    arrays = {}
    for entry in spec.inputs:
        if entry.source is None:
            raise InputError(
                f"{spec.name}: input {entry.reference} has no values. State where they come from"
                " (npz, random, images, bytes or call) under `inputs` of the model."
            )
        arrays[entry.reference] = load_input(entry.source, spec.root, name=entry.reference)
    return arrays


def golden_of(spec: ParitySpec) -> Golden:
    """The goldens of ``spec``; ``GoldenError`` if there are none."""
    if spec.golden is None:
        raise GoldenError(
            f"{spec.name} has no goldens. Name a file under `golden` of the model and write it with"
            " `pytest --tfparity-update`."
        )
    return read_golden(spec.golden)


def draft_result(spec: ParitySpec, nodeid: str) -> ParityResult:
    """The part of a result that is known before anything is opened."""
    return ParityResult(
        nodeid=nodeid,
        model=spec.name,
        verdict="error",
        reference=spec.shown(spec.reference.checkpoint) if spec.reference else "",
        export=spec.shown(spec.export.frozen_graph),
        golden=spec.shown(spec.golden) if spec.golden else None,
    )


class Clock:
    """Adds up the wall time of each part of a check, in seconds."""

    def __init__(self) -> None:
        self._spent = {"load": 0.0, "proof": 0.0, "run": 0.0, "diagnosis": 0.0}

    @contextmanager
    def __call__(self, part: Literal["load", "proof", "run", "diagnosis"]) -> Iterator[None]:
        """Measure the block as ``part``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[part] += time.perf_counter() - started

    def seconds(self) -> Seconds:
        """What has been spent so far."""
        return Seconds(**self._spent)


def _decide(
    spec: ParitySpec,
    models: ModelStore,
    draft: ParityResult,
    clock: Clock,
    inputs: Mapping[str, Array] | None,
    update: Update | None,
    details: bool,
) -> ParityResult:
    if spec.compare == "weights":
        with clock("proof"):
            return compare_weights(spec, models, draft)
    with paused_collector():
        with clock("load"):
            pair = open_pair(spec, models)
        with clock("proof"):
            proof = try_proof(pair)
            if spec.health != "ignore":
                draft = replace(draft, health=_healthy(pair))
    run = Run(pair=pair, proof=proof, clock=clock, details=details)
    if update and spec.golden is not None:
        draft = _update(run, draft, update)
    golden = read_golden(spec.golden) if spec.golden is not None else None
    known = golden is not None and golden.fingerprint is not None
    unchanged = golden is None or (known and golden.fingerprint == proof.reference_fingerprint)
    if proof.proven and unchanged and spec.run == "unproven" and _sound(pair, draft):
        pair.check_inputs(inputs if inputs is not None else _inputs_at_hand(spec))
        result = replace(draft, verdict="proven", notes=proof.notes)
    else:
        result = _numbers(run, draft, inputs, golden, unchanged)
    return _with_health(spec, _loadable(pair, result))


def _healthy(pair: Pair) -> tuple[Health, ...]:
    """The checkpoint's health, as far as its files can be read without TensorFlow."""
    try:
        return health_of(pair)
    except UnreadableFile:
        return ()


def _sound(pair: Pair, draft: ParityResult) -> bool:
    """Whether all weights are finite: two graphs that both answer NaN are the same function, and no parity."""
    if pair.spec.health != "ignore":
        return not any(health.cause in ("non-finite", "bn-variance-nonfinite") for health in draft.health)
    try:
        return not unsound_weights(pair)
    except UnreadableFile:
        return True


def _loadable(pair: Pair, result: ParityResult) -> ParityResult:
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


def _once(result: ParityResult) -> ParityResult:
    """What a finding says already is no warning as well."""
    said = {finding.cause for finding in result.findings}
    return replace(result, health=tuple(health for health in result.health if health.cause not in said))


def _with_health(spec: ParitySpec, result: ParityResult) -> ParityResult:
    """Under ``health: error`` an unsound checkpoint fails a check that would pass."""
    if spec.health != "error" or not result.health or not result.passed:
        return result
    notes = (f"The checkpoint is unsound: {result.health[0].message}", *result.notes)
    return replace(result, verdict="fail", notes=notes)


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


def _numbers(
    run: Run,
    draft: ParityResult,
    inputs: Mapping[str, Array] | None,
    golden: Golden | None,
    unchanged: bool,
) -> ParityResult:
    """Run what must be run and compare. Goldens stand in for a reference that is unchanged or absent."""
    spec = run.pair.spec
    if inputs is None:
        inputs = _golden_inputs(spec, golden) if golden is not None else load_inputs(spec)
    else:
        golden = None  # goldens answer for their own inputs only
    notes: list[str] = []
    drift: tuple[OutputComparison, ...] = ()
    if golden is not None and (run.pair.reference is None or unchanged):
        expected = _golden_outputs(run.pair, golden)
        if run.pair.reference is None:
            notes.append("The checkpoint is not at hand: the goldens are the reference.")
        against: Literal["reference", "golden"] = "golden"
    else:
        try:
            expected, against = run.reference(inputs), "reference"
        except TfparityError as error:
            return _explained(run, draft, error, inputs, None)
        if golden is not None:
            drift = _drift(run.pair, golden, expected)
    try:
        answers = run.export(inputs)
    except TfparityError as error:
        return _explained(run, draft, error, inputs, expected)
    outputs = _compare_all(run.pair, expected, answers, against)
    result = _examined(run, _judged(draft, outputs, run.proof), inputs, expected)
    result = _detailed(run, result, inputs, expected, answers)
    stale = [output for output in drift if not output.passed]
    if stale:
        worst = max((output.max_abs or 0.0 for output in stale), default=0.0)
        notes.append(
            f"The goldens {draft.golden} are not this checkpoint's outputs (max abs {worst:.3g}). If the"
            " checkpoint was meant to change, update them: pytest --tfparity-update"
        )
        result = replace(result, verdict="fail")
    return replace(result, notes=(*notes, *result.notes))


def _explained(
    run: Run,
    draft: ParityResult,
    error: TfparityError,
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array] | None,
) -> ParityResult:
    """An error with what can be found out although a side cannot be run."""
    result = replace(draft, error=str(error))
    if run.pair.reference is None:
        return result
    with run.clock("diagnosis"):
        result = _with_diagnosis(run, result, lambda: examine_error(run.pair, error, inputs, expected))
    return _detailed(run, result, inputs, {}, {}) if run.diagnoses else result


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


def _examined(
    run: Run, result: ParityResult, inputs: Mapping[str, Array], expected: Mapping[str, Array]
) -> ParityResult:
    """The result with the causes of a failure, or with a warning if it passes with other weights."""
    if run.pair.reference is None or result.verdict == "proven":
        return result
    with run.clock("diagnosis"):
        if result.verdict == "fail":
            return _with_diagnosis(run, result, lambda: examine(run.pair, result.outputs, inputs, expected))
        try:
            found = () if run.pair.spec.health == "ignore" else stale(run.pair, result.outputs)
        except UnreadableFile as error:
            return _noted(result, f"Whose weights these are is not known: {error}")
    return replace(result, health=(*result.health, *found))


def _detailed(
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


def _judged(draft: ParityResult, outputs: tuple[OutputComparison, ...], proof: Proof) -> ParityResult:
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


def _compare_all(
    pair: Pair,
    expected: Mapping[str, Array],
    got: Mapping[str, Array],
    against: Literal["reference", "golden"],
) -> tuple[OutputComparison, ...]:
    return tuple(
        compare(
            expected[output.reference],
            got[output.export],
            output.tolerance,
            reference_name=output.reference,
            export_name=output.export,
            against=against,
        )
        for output in pair.outputs
    )


def _compare_computed(
    pair: Pair,
    reference: Mapping[str, Array],
    export: Mapping[str, Array],
    against: Literal["reference", "golden"],
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


def _golden_inputs(spec: ParitySpec, golden: Golden) -> Mapping[str, Array]:
    """The inputs inside the goldens, which must be those that the manifest states where it states any."""
    if spec.inputs and all(entry.source is not None for entry in spec.inputs):
        if not all(_at_hand(entry.source) for entry in spec.inputs):
            return golden.inputs  # a CI that has only the goldens lacks the files they were made from
        if digest_of(load_inputs(spec)) != digest_of(golden.inputs):
            raise GoldenError(
                f"{spec.shown(golden.path)} was made from other inputs than the manifest states now."
                " Update it: pytest --tfparity-update"
            )
    return golden.inputs


def _at_hand(source: InputSource | None) -> bool:
    """Whether the files that an input is made from are there."""
    if isinstance(source, NpzSource):
        return source.path.exists()
    return not isinstance(source, ImageSource | BytesSource) or all(path.exists() for path in source.paths)


def _inputs_at_hand(spec: ParitySpec) -> dict[str, Array]:
    """The golden inputs that cost nothing to make: enough to see a wrong file though nothing is run."""
    cheap = [entry for entry in spec.inputs if isinstance(entry.source, NpzSource | RandomSource)]
    return load_inputs(replace(spec, inputs=tuple(cheap)))


def _golden_outputs(pair: Pair, golden: Golden) -> Mapping[str, Array]:
    missing = [output.reference for output in pair.outputs if output.reference not in golden.outputs]
    if missing:
        raise GoldenError(
            f"{pair.spec.shown(golden.path)} holds no output {', '.join(missing)}"
            f" (it holds {', '.join(golden.outputs)}). Update it: pytest --tfparity-update"
        )
    return golden.outputs


def _drift(pair: Pair, golden: Golden, reference: Mapping[str, Array]) -> tuple[OutputComparison, ...]:
    """How the reference's own answer compares with the goldens."""
    stored = _golden_outputs(pair, golden)
    return tuple(
        compare(
            stored[output.reference],
            reference[output.reference],
            output.tolerance,
            reference_name=output.reference,
            export_name=output.reference,
            against="golden",
        )
        for output in pair.outputs
    )


def _update(run: Run, draft: ParityResult, mode: Update) -> ParityResult:
    """Write the goldens from the reference; the result says what was done."""
    spec = run.pair.spec
    assert spec.golden is not None
    if run.pair.reference is None:
        raise GoldenError(
            f"{spec.name}: the goldens cannot be updated, because the checkpoint is not at hand:"
            f" {draft.reference or 'the model names none'}."
        )
    inputs = load_inputs(spec)
    outputs = run.reference(inputs)
    change = update_golden(
        spec.golden,
        inputs=inputs,
        outputs={output.reference: outputs[output.reference] for output in run.pair.outputs},
        tolerances={output.reference: output.tolerance for output in run.pair.outputs},
        fingerprint=run.proof.reference_fingerprint,
        environment=environment(),
        mode=mode,
    )
    return replace(draft, golden_action=change.action, golden_change=change.max_change)
