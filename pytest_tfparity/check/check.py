"""The pipeline: from what is stated to a verdict. The only place that knows all of it.

``check`` opens both sides, tries to prove them equal without running anything, and only if that
fails runs both and compares numbers. Nothing here knows of pytest. What explains a failure is loaded
where there is something to explain: a proof needs none of the causes. Goldens likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import (
    FeedError,
    GoldenError,
    InputError,
    ModelError,
    RuntimeMissing,
    SettingsError,
    TensorFlowMissing,
    TfparityError,
    UnreadableFile,
)
from ..formats.format import ROLES, is_elsewhere
from ..formats.model import HasOwnRuntime
from ..formats.registry import format_of, formats_for
from ..formats.store import ModelStore
from ..graph.graph import Array
from ..graph.proof.proof import Proof, prove
from ..result import OutputComparison, ParityResult, quotable
from ..runtime import RunWanted, may_run, nothing_runs
from ..settings.spec import NpzSource, ParitySpec
from .inputs import (
    golden_of,
    golden_path,
    inputs_at_hand,
    inputs_of,
    inputs_of_golden,
    outputs_of_golden,
    require_shapes,
    with_origin,
)
from .pair import Pair, open_pair
from .run import Clock, Run, RunOutputs, paused_garbage_collection
from .verdict import all_passed, decided, healthy, measured, refusal, said_once, sound

if TYPE_CHECKING:
    from ..goldens.store import Golden
    from .exact import ExactAnswers

Update: TypeAlias = Literal["all", "new"]


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
        result = _by_checksums(spec, models, draft, clock, inputs, update)
        if result is None or result.verdict == "error":
            told = result.notes if result is not None else ()
            result = _decide(spec, models, draft, clock, inputs, update, details)
            result = replace(result, notes=(*result.notes, *told))
    except TfparityError as error:
        draft = replace(draft, verdict="error", error=f"{_placed(error, spec)}{_misnamed(spec, error)}")
        result = _not_opened(spec, models, draft, error)
    return replace(quotable(said_once(result)), seconds=clock.seconds())


def _misnamed(spec: ParitySpec, error: TfparityError) -> str:
    """A sentence for each side whose file cannot be read because it has another format than is stated."""
    if not isinstance(error, ModelError):
        return ""
    from ..formats.registry import meant_format
    from ..settings.rules import use_instead

    found = []
    for role in ROLES:
        side = spec.side(role)
        stated = format_of(side.format) if side is not None else None
        if side is None or stated is None or is_elsewhere(side.path):
            continue
        meant = meant_format(side.path, stated, role)
        if meant is not None:
            found.append(f" The {role} is {spec.shown(side.path)}, {use_instead(stated, meant)}")
    return "".join(found)


def decided_without_running(
    spec: ParitySpec,
    models: ModelStore,
    *,
    nodeid: str = "",
    update: Update | None = None,
    details: bool = False,
) -> ParityResult | None:
    """The check, if nothing need be run for it, neither by a runtime nor of the project; else None.

    What a limit of memory is stated for is not tried here: the limit is one for all of it.
    """
    if spec.run == "always" or not math.isinf(spec.memory) or (update and spec.golden):
        return None
    if spec.compare == "outputs" and _has_own_runtime(spec, models):
        return None  # before anything is read: who runs it reads it again
    with suppress(RunWanted), nothing_runs():
        return check(spec, models, nodeid=nodeid, update=update, details=details)
    return None


def _has_own_runtime(spec: ParitySpec, models: ModelStore) -> bool:
    """Whether another runtime runs the export, of which nothing can be proven."""
    with suppress(TfparityError):
        return isinstance(models.open(spec.export, spec.root), HasOwnRuntime)
    return False


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
    from .compared import compare_computed
    from .exact import UNKNOWN, asks_for_rounding, exact_answers

    clock = Clock()
    pair = open_pair(spec, models)
    exact = UNKNOWN
    if asks_for_rounding(pair):
        with clock("run"):
            exact = exact_answers(pair, inputs or {}, reference)
    outputs = tuple(compare_computed(pair, reference, export, "golden" if golden else "reference", exact))
    with clock("proof"):
        proof = try_proof(pair)
    run = Run(pair=pair, proof=proof, clock=clock, details=details)
    result = measured(draft_result(spec, nodeid), outputs, proof)
    answers = RunOutputs(inputs=inputs or {}, reference=reference, export=export)
    alike = all_passed(outputs)
    declared = all(output.reference in reference for output in pair.outputs)
    if not alike and inputs is not None and declared:
        from .explain import explained

        result = _concluded(run, explained(run, result, answers), alike=False)
    else:
        result = _concluded(run, result, alike=alike)
        if details and result.verdict != "proven":
            from .explain import with_details

            result = with_details(run, result, answers)
    return replace(quotable(said_once(result)), seconds=clock.seconds())


def write_goldens(spec: ParitySpec, models: ModelStore, update: Update, *, nodeid: str = "") -> ParityResult:
    """Write the goldens of ``spec`` from the reference; the result says what was done and judges nothing."""
    clock = Clock()
    pair = open_pair(spec, models)
    draft = _update(Run(pair=pair, proof=try_proof(pair), clock=clock), draft_result(spec, nodeid), update)
    return replace(draft, seconds=clock.seconds())


def try_proof(pair: Pair) -> Proof:
    """A proof that both sides are one function, or the reason why there is none."""
    if pair.reference is None:
        return Proof.none(f"the {_noun(pair.spec)} is not at hand: the goldens are the reference")
    plain = pair.without_graph()
    if plain is not None:
        return Proof.none(f"{pair.spec.shown(plain.path)} has no graph to prove anything with")
    try:
        if isinstance(pair.export, HasOwnRuntime):
            reason = f"{pair.export.runtime} runs {pair.spec.shown(pair.export.path)} with kernels of its own"
            return Proof.none(reason, side=pair.normal("reference"))
        return prove(pair.normal("reference"), pair.normal("export"))
    except UnreadableFile as error:
        return Proof.none(str(error))


def draft_result(spec: ParitySpec, nodeid: str) -> ParityResult:
    """The part of a result that is known before anything is opened."""
    return ParityResult(
        nodeid=nodeid,
        model=spec.name,
        verdict="error",
        reference=spec.shown(spec.reference.path) if spec.reference else "",
        reference_noun=_noun(spec),
        export=spec.shown(spec.export.path),
        golden=spec.shown(spec.golden) if spec.golden else None,
    )


def _not_opened(
    spec: ParitySpec, models: ModelStore, draft: ParityResult, error: TfparityError
) -> ParityResult:
    """The result of a check that could not be opened, with what the tensors tell if only a graph is missing."""
    if not isinstance(error, ModelError | TensorFlowMissing) or spec.compare == "weights":
        return draft
    from .explain import without_graph

    return without_graph(spec, models, draft)


def _placed(error: TfparityError, spec: ParitySpec) -> str:
    """The message of ``error``, with the files of the check if it is about one of them and names none."""
    message = str(error)
    if isinstance(error, TensorFlowMissing | RuntimeMissing):
        return message
    files = [side.path for side in (spec.export, spec.reference) if side is not None]
    files += [entry.source.path for entry in spec.inputs if isinstance(entry.source, NpzSource)]
    files += [path for path in (spec.golden, spec.manifest) if path is not None]
    if any(path.name in message for path in files):
        return message
    stated = "" if spec.manifest is None else f"Stated in {spec.shown(spec.manifest)}:{spec.line}."
    if isinstance(error, SettingsError):
        return f"{message} {stated}".rstrip()
    sides = [spec.shown(side.path) for side in (spec.export, spec.reference) if side is not None]
    return f"{message} It is about {' and '.join(sides)}. {stated}".rstrip()


def _by_checksums(
    spec: ParitySpec,
    models: ModelStore,
    draft: ParityResult,
    clock: Clock,
    inputs: Mapping[str, Array] | None,
    update: Update | None,
) -> ParityResult | None:
    """What checksums decide, where they are trusted: a pass, else the draft with a note why they do not."""
    if spec.trust != "checksums" or inputs is not None or update is not None:
        return None
    from .checksums import passed_by_checksums

    with clock("proof"), paused_garbage_collection():
        return passed_by_checksums(spec, models, draft)


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
        from .weights import compare_weights

        with clock("proof"):
            return compare_weights(spec, models, draft)
    with paused_garbage_collection():
        # A call of its own: what a proof was made of is gone before the collector, when it is back, walks over it.
        result, run = _without_running(spec, models, draft, clock, inputs, update, details)
    if run is None:
        return result
    if update and spec.golden is not None:
        result = _update(run, result, update)
    return _proven(run, result, inputs) or _numbers(run, result, inputs)


def _without_running(
    spec: ParitySpec,
    models: ModelStore,
    draft: ParityResult,
    clock: Clock,
    inputs: Mapping[str, Array] | None,
    update: Update | None,
    details: bool,
) -> tuple[ParityResult, Run | None]:
    """The verdict where a proof gives one; else what is known until now, and both sides for a run."""
    with clock("load"):
        pair = open_pair(spec, models)
    with clock("proof"):
        proof = try_proof(pair)
        if not proof.proven:
            may_run()  # nothing else decides, and what follows is made again by who may
        if spec.health != "ignore":
            draft = replace(draft, health=healthy(pair))
    run = Run(pair=pair, proof=proof, clock=clock, details=details)
    if update and spec.golden is not None:
        return draft, run
    result = _proven(run, draft, inputs)
    return (draft, run) if result is None else (result, None)


def _proven(run: Run, draft: ParityResult, inputs: Mapping[str, Array] | None) -> ParityResult | None:
    """The verdict of a proof; None where there is none, or where numbers are wanted or needed beside it."""
    spec = run.pair.spec
    if not run.proof.proven or spec.run != "unproven" or not sound(run.pair, draft):
        return None
    if spec.golden is not None and not _unchanged(run, golden_of(spec)):
        return None
    if inputs is None:
        require_shapes(run.pair)
    try:
        run.pair.check_inputs(inputs if inputs is not None else inputs_at_hand(spec))
    except FeedError as error:
        raise with_origin(error, spec) from None
    return _concluded(run, replace(draft, notes=run.proof.notes), alike=True)


def _unchanged(run: Run, golden: Golden | None) -> bool:
    """Whether the reference is the one that the goldens, if there are any, were made from."""
    if golden is None:
        return True
    return golden.fingerprint is not None and golden.fingerprint == run.proof.reference_fingerprint


def _numbers(run: Run, draft: ParityResult, inputs: Mapping[str, Array] | None) -> ParityResult:
    """Run what must be run and compare. Goldens stand in for a reference that is unchanged or absent."""
    try:
        golden, inputs = _golden_and_inputs(run, inputs)
    except InputError as missing:
        from .explain import told_by_the_files

        return told_by_the_files(run, replace(draft, error=_placed(missing, run.pair.spec)))
    stands_in = golden is not None and (run.pair.reference is None or _unchanged(run, golden))
    answers = _answers(run, inputs, golden if stands_in else None)
    if answers.error is not None:
        error = with_origin(answers.error, run.pair.spec, golden)
        stopped = replace(draft, error=_placed(error, run.pair.spec))
        return _not_run(run, stopped, replace(answers, error=error))
    exact = _exact(run, answers, golden if stands_in else None)
    answers, outputs = _compared(run, answers, golden if stands_in else None, exact)
    result, alike = _judged(run, measured(draft, outputs, run.proof), answers)
    drift = () if stands_in else _drift(run, draft, golden, answers)
    absent = f"The {_noun(run.pair.spec)} is not at hand: the goldens are the reference."
    first = drift if run.pair.reference is not None else (absent,)
    notes = (*first, *result.notes, *exact.notes)
    return _concluded(run, replace(result, notes=notes), alike=alike and not drift)


def _not_run(run: Run, draft: ParityResult, answers: RunOutputs) -> ParityResult:
    """The result of a check of which a side could not be run: why, and what the files alone tell."""
    from .explain import explained, told_by_the_files

    if isinstance(run.pair.export, HasOwnRuntime) and answers.reference is not None:
        draft = _certified(run, run.pair.export, draft)[0]
    if isinstance(answers.error, TensorFlowMissing):
        return told_by_the_files(run, draft)
    return explained(run, draft, answers)


def _judged(run: Run, result: ParityResult, answers: RunOutputs) -> tuple[ParityResult, bool]:
    """The result of a comparison with what explains or qualifies it, and whether both sides compute the same."""
    export, alike = run.pair.export, True
    if all_passed(result.outputs) and isinstance(export, HasOwnRuntime):
        result, alike = _certified(run, export, result)
        if not run.details:
            return result, alike  # without loading a single cause
    from .explain import explained, warned_of_hidden_differences, with_details

    if not all_passed(result.outputs):
        return explained(run, result, answers), False
    if run.proof.proven:
        return result, True
    if not isinstance(export, HasOwnRuntime):
        result = warned_of_hidden_differences(run, result)
    return with_details(run, result, answers), alike


def _certified(run: Run, export: HasOwnRuntime, result: ParityResult) -> tuple[ParityResult, bool]:
    """The result for an export that another runtime runs with what its file alone tells; whether its weights are sound.

    A reference whose graph cannot be read leaves them uncertified, which is said. A certificate that breaks off is a
    defect, and no pass.
    """
    from .attempt import result_or_error

    pair = run.pair
    if pair.reference is None or pair.without_graph() is not None:
        note = "The weights are not certified: no graph of the reference is at hand."
        return replace(result, notes=(*result.notes, note)), True
    with run.clock("proof"):
        found = result_or_error(lambda: _with_weights(pair, export, result))
    if not isinstance(found, Exception):
        return found
    defect = (
        "" if isinstance(found, TfparityError) else " That is a defect of pytest-tfparity, please report it."
    )
    note = f"The weights are not certified: {found}{defect}"
    return replace(result, notes=(*result.notes, note)), isinstance(found, UnreadableFile)


def _with_weights(pair: Pair, export: HasOwnRuntime, result: ParityResult) -> tuple[ParityResult, bool]:
    """The result with the certificate of the weights; one that is not the reference's, for its type, is no pass."""
    from .certified import with_certificate

    noted, found = with_certificate(pair, export, result)
    if not found.certificate.standing("wrong"):
        return noted, True
    from .runtime_diagnosis import findings_of_weights

    return replace(noted, findings=findings_of_weights(found)), False


def _exact(run: Run, answers: RunOutputs, golden: Golden | None) -> ExactAnswers:
    """The exact answers, where an output is held against them: those of ``golden`` if it has them."""
    from .exact import UNKNOWN, asks_for_rounding, exact_of_golden

    stored = None if golden is None else exact_of_golden(run.pair, golden)
    if stored is not None:
        return stored
    if not asks_for_rounding(run.pair):
        return UNKNOWN
    return run.exact(answers.inputs, answers.reference or {})


def _answers(run: Run, inputs: Mapping[str, Array], golden: Golden | None) -> RunOutputs:
    """What both sides answer to ``inputs``; ``golden`` stands in for the reference where it is given."""
    reference = None if golden is None else outputs_of_golden(run.pair, golden)
    try:
        reference = run.reference(inputs) if reference is None else reference
        return RunOutputs(inputs=inputs, reference=reference, export=run.export(inputs))
    except TfparityError as error:
        return RunOutputs(inputs=inputs, reference=reference, error=error)


def _compared(
    run: Run, answers: RunOutputs, golden: Golden | None, exact: ExactAnswers
) -> tuple[RunOutputs, tuple[OutputComparison, ...]]:
    """Every output compared; where they agree and random numbers decide them, the answers of further runs too.

    The answers are those of the last run, which is the first that differs if one does.
    """
    from .chance import more_runs
    from .compared import Against, compare_all

    against: Against = "reference" if golden is None else "golden"
    outputs = compare_all(run.pair, answers, against, exact)
    for _ in range(more_runs(run.pair) if all_passed(outputs) and not run.proof.proven else 0):
        again = _answers(run, answers.inputs, golden)
        if again.error is not None or not all_passed(outputs):
            break
        answers, outputs = again, compare_all(run.pair, again, against, exact)
    return answers, outputs


def _golden_and_inputs(
    run: Run, inputs: Mapping[str, Array] | None
) -> tuple[Golden | None, Mapping[str, Array]]:
    """The goldens that count, if there are any, and the inputs of the run: ``inputs`` if those are given."""
    spec = run.pair.spec
    golden = golden_of(spec) if spec.golden is not None else None
    if inputs is not None:
        return None, inputs  # goldens answer for their own inputs only
    return golden, inputs_of(run.pair) if golden is None else inputs_of_golden(run.pair, golden)


def _drift(run: Run, draft: ParityResult, golden: Golden | None, answers: RunOutputs) -> tuple[str, ...]:
    """That the goldens, if there are any, are not what the reference answers, if so."""
    from .compared import drift_of

    if golden is None:
        return ()
    compared = drift_of(run.pair, golden, answers.reference or {})
    differing = [output.max_abs or 0.0 for output in compared if not output.passed]
    if not differing:
        return ()
    noun = _noun(run.pair.spec)
    return (
        f"The goldens {draft.golden} are not this {noun}'s outputs (max abs {max(differing):.3g}). If the"
        f" {noun} was meant to change, update them: pytest --tfparity-update",
    )


def _concluded(run: Run, result: ParityResult, *, alike: bool) -> ParityResult:
    """The result with its verdict. ``alike``: both sides compute the same, as far as was looked."""
    loads = not alike or _loadable(run.pair)
    if not loads:
        from .explain import refused_by_tensorflow

        result = refused_by_tensorflow(run, result)
    strict = run.pair.spec.health == "error"
    return decided(result, alike=alike, loads=loads, proven=run.proof.proven, strict=strict)


def _loadable(pair: Pair) -> bool:
    """Whether TensorFlow imports both sides as whole files, as far as these can be read without it."""
    return not any(refusal(model) for model in (pair.export, pair.reference))


def _update(run: Run, draft: ParityResult, mode: Update) -> ParityResult:
    """Write the goldens from the reference; the result says what was done."""
    from ..goldens.store import update_golden
    from .environment import environment
    from .exact import UNKNOWN, asks_for_rounding

    spec = run.pair.spec
    if run.pair.reference is None:
        raise GoldenError(
            f"{spec.name}: the goldens cannot be updated, because the {_noun(spec)} is not at hand:"
            f" {draft.reference or 'the model names none'}."
        )
    inputs = inputs_of(run.pair)
    outputs = run.reference(inputs)
    exact = run.exact(inputs, outputs) if asks_for_rounding(run.pair) else UNKNOWN
    change = update_golden(
        golden_path(spec),
        inputs=inputs,
        outputs={output.reference: outputs[output.reference] for output in run.pair.outputs},
        tolerances={output.reference: output.tolerance for output in run.pair.outputs},
        fingerprint=run.proof.reference_fingerprint,
        environment=environment(),
        mode=mode,
        exact=exact.outputs,
        decided=exact.decided,
    )
    return replace(draft, golden_action=change.action, golden_change=change.max_change)


def _noun(spec: ParitySpec) -> str:
    """How messages call the reference: by its format, or by the usual one where none is stated."""
    return format_of(spec.reference.format).noun if spec.reference else formats_for("reference")[0].noun
