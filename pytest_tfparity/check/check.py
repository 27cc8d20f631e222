"""The road: from what is stated to a verdict. The only place that knows all of it.

``check`` opens both sides, tries to prove them equal without running anything, and only if that
fails runs both and compares numbers. Nothing here knows of pytest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from ..errors import GoldenError, TfparityError, UnreadableFile
from ..formats.registry import format_of, formats_for
from ..formats.store import ModelStore
from ..goldens.store import Golden, read_golden, update_golden
from ..graph.graph import Array
from ..graph.proof.proof import Proof, normalised, prove
from ..result import OutputComparison, ParityResult
from ..settings.spec import ParitySpec
from .case import examine, write_repaired
from .clock import Clock
from .environment import environment
from .explain import (
    Run,
    detailed,
    examined,
    explained_error,
    healthy,
    loadable,
    said_once,
    sound,
    with_health,
)
from .garbage_collection import paused_garbage_collection
from .inputs import golden_inputs, golden_outputs, inputs_at_hand, load_inputs
from .pair import Pair, open_pair
from .verdict import compare_all, compare_computed, drift_of, judged
from .weights import compare_weights

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
        result = _decide(spec, models, draft, clock, inputs, update, details)
    except TfparityError as error:
        result = replace(draft, verdict="error", error=str(error))
    return replace(said_once(result), seconds=clock.seconds())


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
    outputs = tuple(compare_computed(pair, reference, export, "golden" if golden else "reference"))
    with clock("proof"):
        proof = try_proof(pair)
    result = loadable(pair, judged(draft, outputs, proof))
    declared = all(output.reference in reference for output in pair.outputs)
    run = Run(pair=pair, proof=proof, clock=clock, details=details)
    if result.verdict == "fail" and inputs is not None and declared and not result.findings:
        result = examined(run, result, inputs, reference)
    result = detailed(run, result, inputs or {}, reference, export)
    return replace(said_once(result), seconds=clock.seconds())


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
    if pair.without_graph() is not None:
        return None
    inputs = load_inputs(spec)
    expected = pair.run("reference", inputs)
    outputs = compare_all(pair, expected, pair.run("export", inputs), "reference")
    diagnosis = examine(pair, outputs, inputs, expected)
    if diagnosis.remaining is None or not diagnosis.remaining.passed or not diagnosis.findings:
        return None
    write_repaired(pair, diagnosis.repaired, path)
    return diagnosis.remaining.max_abs


def try_proof(pair: Pair) -> Proof:
    """A proof that both sides are one function, or the reason why there is none."""
    if pair.reference is None:
        return Proof.none(f"the {_noun(pair.spec)} is not at hand: the goldens are the reference")
    plain = pair.without_graph()
    if plain is not None:
        return Proof.none(f"{pair.spec.shown(plain.path)} has no graph to prove anything with")
    try:
        return prove(
            normalised(pair.side("reference"), pair.contents), normalised(pair.side("export"), pair.contents)
        )
    except UnreadableFile as error:
        return Proof.none(str(error))


def draft_result(spec: ParitySpec, nodeid: str) -> ParityResult:
    """The part of a result that is known before anything is opened."""
    return ParityResult(
        nodeid=nodeid,
        model=spec.name,
        verdict="error",
        reference=spec.shown(spec.reference.path) if spec.reference else "",
        export=spec.shown(spec.export.path),
        golden=spec.shown(spec.golden) if spec.golden else None,
    )


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
    with paused_garbage_collection():
        with clock("load"):
            pair = open_pair(spec, models)
        with clock("proof"):
            proof = try_proof(pair)
            if spec.health != "ignore":
                draft = replace(draft, health=healthy(pair))
    run = Run(pair=pair, proof=proof, clock=clock, details=details)
    if update and spec.golden is not None:
        draft = _update(run, draft, update)
    golden = read_golden(spec.golden) if spec.golden is not None else None
    known = golden is not None and golden.fingerprint is not None
    unchanged = golden is None or (known and golden.fingerprint == proof.reference_fingerprint)
    if proof.proven and unchanged and spec.run == "unproven" and sound(pair, draft):
        pair.check_inputs(inputs if inputs is not None else inputs_at_hand(spec))
        result = replace(draft, verdict="proven", notes=proof.notes)
    else:
        result = _numbers(run, draft, inputs, golden, unchanged)
    return with_health(spec, loadable(pair, result))


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
        inputs = golden_inputs(spec, golden) if golden is not None else load_inputs(spec)
    else:
        golden = None  # goldens answer for their own inputs only
    notes: list[str] = []
    drift: tuple[OutputComparison, ...] = ()
    if golden is not None and (run.pair.reference is None or unchanged):
        expected = golden_outputs(run.pair, golden)
        if run.pair.reference is None:
            notes.append(f"The {_noun(spec)} is not at hand: the goldens are the reference.")
        against: Literal["reference", "golden"] = "golden"
    else:
        try:
            expected, against = run.reference(inputs), "reference"
        except TfparityError as error:
            return explained_error(run, draft, error, inputs, None)
        if golden is not None:
            drift = drift_of(run.pair, golden, expected)
    try:
        answers = run.export(inputs)
    except TfparityError as error:
        return explained_error(run, draft, error, inputs, expected)
    outputs = compare_all(run.pair, expected, answers, against)
    result = examined(run, judged(draft, outputs, run.proof), inputs, expected)
    result = detailed(run, result, inputs, expected, answers)
    stale = [output for output in drift if not output.passed]
    if stale:
        worst = max((output.max_abs or 0.0 for output in stale), default=0.0)
        notes.append(
            f"The goldens {draft.golden} are not this {_noun(spec)}'s outputs (max abs {worst:.3g}). If the"
            f" {_noun(spec)} was meant to change, update them: pytest --tfparity-update"
        )
        result = replace(result, verdict="fail")
    return replace(result, notes=(*notes, *result.notes))


def _update(run: Run, draft: ParityResult, mode: Update) -> ParityResult:
    """Write the goldens from the reference; the result says what was done."""
    spec = run.pair.spec
    assert spec.golden is not None
    if run.pair.reference is None:
        raise GoldenError(
            f"{spec.name}: the goldens cannot be updated, because the {_noun(spec)} is not at hand:"
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


def _noun(spec: ParitySpec) -> str:
    """How messages call the reference: by its format, or by the usual one where none is stated."""
    return format_of(spec.reference.format).noun if spec.reference else formats_for("reference")[0].noun
