"""What is said beside a verdict: the causes of a failure, what a tolerance hides, what pictures need.

Loaded by the check that has something to explain: all causes come with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..diagnosis.causes import ON_WRONG_INPUTS, UNLOADABLE
from ..diagnosis.diagnose import Diagnosis, diagnose
from ..diagnosis.hidden import by_the_files, hidden_differences
from ..errors import FeedError, ModelError, TensorNotFound, TfparityError
from ..formats.format import ROLES
from ..formats.model import HasOwnRuntime, Model
from ..formats.store import ModelStore
from ..result import Health, OutputComparison, ParityResult
from ..settings.spec import ParitySpec
from .attempt import result_or_error
from .details import details_of
from .diagnosed import case_of, case_of_export
from .pair import Pair
from .rounding import finding, with_rounding
from .run import Run, RunOutputs
from .verdict import NOT_THE_SAME, refusal, refused


def explained(run: Run, result: ParityResult, answers: RunOutputs) -> ParityResult:
    """The result with why its outputs differ, or why a side could not be run."""
    plain = run.pair.without_graph()
    if run.pair.reference is None or plain is not None:
        if answers.error is not None:
            return result
        return with_details(run, result if plain is None else _without_diagnosis(run, result, plain), answers)
    result, only_rounding = _measured(run, result, answers)
    if only_rounding:
        return with_details(run, result, answers)
    with run.clock("diagnosis"):
        result, diagnosis = _diagnosed(
            result, "No diagnosis", lambda: _diagnosis(run.pair, result.outputs, answers)
        )
    if diagnosis is None and answers.error is not None:
        return result
    return with_details(run, result, answers, diagnosis)


def _measured(run: Run, result: ParityResult, answers: RunOutputs) -> tuple[ParityResult, bool]:
    """The result with how far both sides are from the exact answer, and whether that is all that fails it."""
    found = result_or_error(lambda: with_rounding(run, result.outputs, answers))
    if found is None or isinstance(found, TfparityError):
        return result, False
    if isinstance(found, Exception):
        return _noted(result, found, "The rounding is not known"), False
    outputs, exact = found
    told = finding(run, outputs, answers)
    findings = result.findings if told is None else (told,)
    notes = result.notes if told is None else (*exact.notes, *result.notes)
    return replace(result, outputs=outputs, findings=findings, notes=notes), told is not None


def refused_by_tensorflow(run: Run, result: ParityResult) -> ParityResult:
    """The result with why TensorFlow does not import a side as a whole file, although its outputs are right."""
    pair = run.pair
    if refusal(pair.export) is None:
        said = list(refused(pair.spec, pair.reference))
    else:
        with run.clock("diagnosis"):
            result, _ = _diagnosed(result, "No diagnosis", lambda: diagnose(case_of_export(pair), UNLOADABLE))
        said = [finding.message for finding in result.findings] or list(refused(pair.spec, pair.export))
    return replace(result, notes=(*said, "What the outputs need of it computes the same.", *result.notes))


def warned_of_hidden_differences(run: Run, result: ParityResult) -> ParityResult:
    """The result with a warning if the export is within tolerance, but not the same function as the reference."""
    if run.pair.reference is None or run.pair.without_graph() or run.pair.spec.health == "ignore":
        return result
    with run.clock("diagnosis"):
        found = result_or_error(lambda: hidden_differences(case_of(run.pair, (), None)))
    if isinstance(found, Exception):
        return _noted(result, found, "What the tolerance may hide is not known")
    warnings = tuple(
        Health(
            cause=finding.cause,
            scopes=finding.scopes,
            message=f"{NOT_THE_SAME}{finding.message}",
        )
        for finding in found
    )
    return replace(result, health=(*result.health, *warnings))


def without_graph(spec: ParitySpec, models: ModelStore, result: ParityResult) -> ParityResult:
    """The result of a check whose reference has no graph with what its tensors and the export's tell."""
    from .without_graph import with_what_tensors_tell

    told = result_or_error(lambda: with_what_tensors_tell(spec, models, result))
    if isinstance(told, Exception):
        return result if isinstance(told, TfparityError) else _noted(result, told, "No diagnosis")
    return told


def told_by_the_files(run: Run, result: ParityResult) -> ParityResult:
    """The result of a check of which nothing was run, with what the files alone tell; nothing for right rewrites."""
    if run.pair.reference is None or run.pair.without_graph() is not None:
        return result
    with run.clock("diagnosis"):
        return _diagnosed(result, "No diagnosis", lambda: _by_the_files(run.pair))[0]


def with_details(
    run: Run, result: ParityResult, answers: RunOutputs, diagnosis: Diagnosis | None = None
) -> ParityResult:
    """The result with what the pictures of a report need, if one was asked for."""
    if not run.details:
        return result
    with run.clock("diagnosis"):
        return replace(result, details=details_of(run.pair, result.outputs, answers, diagnosis))


def _without_diagnosis(run: Run, result: ParityResult, plain: Model) -> ParityResult:
    """A failure with the evidence that is missing where a side has no graph to look into."""
    name = run.pair.spec.shown(plain.path)
    note = (
        f"Where the sides diverge is not known: {name} ({plain.noun}) has no graph to align with the other"
        " side's, nor to try a repair in."
    )
    return replace(result, notes=(*result.notes, note))


def _diagnosis(pair: Pair, outputs: tuple[OutputComparison, ...], answers: RunOutputs) -> Diagnosis | None:
    """What is behind a difference or an error; None where the error says it all."""
    error = answers.error
    if isinstance(pair.export, HasOwnRuntime) and error is None:
        from .runtime_diagnosis import diagnosis_of

        return diagnosis_of(pair, pair.export, case_of(pair, outputs, answers))
    if error is None:
        return diagnose(case_of(pair, outputs, answers))
    if isinstance(error, TensorNotFound):
        return None
    if isinstance(pair.export, HasOwnRuntime) and not isinstance(error, FeedError):
        return None  # the runtime says what it refuses
    if isinstance(error, FeedError):
        found = diagnose(case_of(pair, outputs, answers), ON_WRONG_INPUTS)
        if found.findings:
            return found
        return _by_the_files(pair)
    return diagnose(case_of(pair, outputs, answers)) if isinstance(error, ModelError) else None


def _by_the_files(pair: Pair) -> Diagnosis:
    return by_the_files(case_of(pair, (), None), same_inputs=_takes_the_same(pair))


def _takes_the_same(pair: Pair) -> bool:
    """Whether both sides take arrays of the same shape, the batch aside."""
    known = [pair.model(role).inputs([getattr(output, role) for output in pair.outputs]) for role in ROLES]
    for entry in pair.inputs:
        one, other = (
            side.get(name) for side, name in zip(known, (entry.reference, entry.export), strict=True)
        )
        if (
            entry.transpose is None
            and one is not None
            and other is not None
            and not _fit(one.dims, other.dims)
        ):
            return False
    return True


def _fit(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> bool:
    if one is None or other is None:
        return True
    pairs = zip(one[1:], other[1:], strict=False)
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in pairs)


def _diagnosed(
    result: ParityResult, lacking: str, explain: Callable[[], Diagnosis | None]
) -> tuple[ParityResult, Diagnosis | None]:
    """``result`` with what ``explain`` finds; whatever happens there, the verdict stands.

    ``lacking`` begins the note where the files do not allow it.
    """
    diagnosis = result_or_error(explain)
    if diagnosis is None:
        return result, None
    if isinstance(diagnosis, Exception):
        return _noted(result, diagnosis, lacking), None
    found = replace(
        result,
        findings=diagnosis.findings,
        first_divergence=diagnosis.first_divergence,
        downstream=diagnosis.downstream,
        notes=(*result.notes, *diagnosis.notes),
    )
    return found, diagnosis


def _noted(result: ParityResult, error: Exception, lacking: str) -> ParityResult:
    """``result`` with a note that says why nothing could be found out, unless its error says so already."""
    if not isinstance(error, TfparityError):
        note = (
            f"The diagnosis broke off ({type(error).__name__}: {error}); that is a defect of pytest-tfparity,"
            " please report it. The verdict stands."
        )
    elif result.error is not None and result.error.startswith(str(error)):
        return result
    else:
        note = f"{lacking}: {error}"
    return replace(result, notes=(*result.notes, note))
