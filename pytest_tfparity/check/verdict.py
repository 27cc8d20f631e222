"""What is wrong with the files of a check, read without TensorFlow, and the verdict that follows from all of it."""

from __future__ import annotations

from dataclasses import replace

from ..diagnosis.arrays import not_finite
from ..diagnosis.health import checkpoint_health
from ..errors import UnreadableFile
from ..formats.model import HasGraph, HasOwnRuntime, HasWeights, Model
from ..graph.batch_norm.find import BatchNorm, find_batch_norms, may_have_batch_norms
from ..graph.proof.proof import Proof
from ..graph.read.restore import SHADOW
from ..graph.valid import Flaw, first_flaw
from ..result import Health, OutputComparison, ParityResult
from ..settings.spec import ParitySpec
from .pair import Pair

NOT_FINITE_CAUSES = frozenset({"non-finite", "bn-variance-nonfinite"})
"""What the health of a checkpoint calls NaN or infinity in a weight."""
NOT_THE_SAME = "The export is within tolerance, but it is not the same function: "
"""How a warning begins that is not about the reference."""
_NEAR = 0.5
"""From this share of a tolerance on a pass says so: twice the difference would be no parity."""


def decided(result: ParityResult, *, alike: bool, loads: bool, proven: bool, strict: bool) -> ParityResult:
    """The verdict on all that is known of a check.

    ``alike`` says that both sides compute the same, ``proven`` that this is so for every input, ``loads`` that
    TensorFlow imports both sides as whole files, ``strict`` that what was warned of fails what would pass: an unsound
    checkpoint, a difference that a tolerance hides.
    """
    if not alike or not loads:
        return replace(result, verdict="fail")
    if strict and result.health:
        message = result.health[0].message
        unsound = "" if message.startswith(NOT_THE_SAME) else f"The {result.reference_noun} is unsound: "
        return replace(result, verdict="fail", notes=(f"{unsound}{message}", *result.notes))
    return replace(result, verdict="proven" if proven else "pass")


def refusal(model: Model | None) -> Flaw | None:
    """Why TensorFlow does not import a model as a whole file; None if it does, as far as can be read without it.

    What another runtime runs need not be imported.
    """
    try:
        if isinstance(model, HasGraph) and not isinstance(model, HasOwnRuntime):
            return first_flaw(model.imported_graph)
        return None
    except UnreadableFile:
        return None


def refused(spec: ParitySpec, model: Model | None) -> tuple[str, ...]:
    """Which node of a model TensorFlow refuses to import, a sentence; nothing if it imports it."""
    flaw = refusal(model)
    if flaw is None:
        return ()
    file = model.graph_file if isinstance(model, HasGraph) else None
    name = "the reference's graph" if file is None else spec.shown(file)
    return (f"TensorFlow does not {flaw.refuses} {name}: {flaw}.",)


def measured(draft: ParityResult, outputs: tuple[OutputComparison, ...], proof: Proof) -> ParityResult:
    """The result with how the outputs compare, and a note for those that nearly fail."""
    near = [output for output in outputs if output.used is not None and output.used > _NEAR]
    notes = [
        f"{output.export} uses {output.used:.0%} of its tolerance ({_stated(output)})."
        for output in (near if all_passed(outputs) else ())
    ]
    notes += [
        f"{output.ties} of {output.total} values of {output.export} are decided otherwise, where the exact answer is a"
        f" tie ({output.times_rounding:.2g} times the rounding {output.rounding:.3g})."
        for output in outputs
        if output.ties and output.passed
    ]
    return replace(draft, outputs=outputs, unproven=proof.reason, notes=tuple(notes))


def _stated(output: OutputComparison) -> str:
    if output.rounding_allowed is not None:
        return f"{output.rounding_allowed:g} times the rounding {output.rounding:.3g}"
    return f"atol {output.atol:g}, rtol {output.rtol:g}"


def all_passed(outputs: tuple[OutputComparison, ...]) -> bool:
    """Whether every output is within its tolerance; a comparison of nothing is no parity."""
    return bool(outputs) and all(output.passed for output in outputs)


def said_once(result: ParityResult) -> ParityResult:
    """What a finding says already is no warning as well: of the same cause, or of the same NaN."""
    said = {finding.cause for finding in result.findings}
    unsound = NOT_FINITE_CAUSES | {"nan-in-both"}
    named = {scope for found in result.findings if found.cause in unsound for scope in found.scopes}
    return replace(
        result,
        health=tuple(
            health
            for health in result.health
            if health.cause not in said
            and not (health.cause in NOT_FINITE_CAUSES and health.scopes and named.issuperset(health.scopes))
        ),
    )


def healthy(pair: Pair) -> tuple[Health, ...]:
    """The checkpoint's health, as far as its files can be read without TensorFlow."""
    try:
        return _health(pair)
    except UnreadableFile:
        return ()


def sound(pair: Pair, draft: ParityResult) -> bool:
    """Whether all weights are finite: two graphs that both answer NaN are the same function, and no parity."""
    if pair.spec.health != "ignore":
        return not any(health.cause in NOT_FINITE_CAUSES for health in draft.health)
    try:
        return not _unsound_weights(pair)
    except UnreadableFile:
        return True


def _health(pair: Pair) -> tuple[Health, ...]:
    model = pair.reference
    if not isinstance(model, HasWeights) or not isinstance(model, HasGraph):
        return ()
    normal = pair.normal("reference")
    side = normal.side
    keys = {name: key.key for name, key in model.keys().items()}
    found: tuple[BatchNorm, ...] = ()
    if may_have_batch_norms(side.graph):
        found = find_batch_norms(side.graph, side.outputs, variables=side.variables, live=normal.taken)
    return checkpoint_health(
        model.tensors(),
        batch_norms=[norm.named_by(keys) for norm in found],
        named=model.variable_names(),
        graph=side.graph,
        averages_used=any(key.endswith(SHADOW) for key in keys.values()),
        noun=model.noun,
    )


def _unsound_weights(pair: Pair) -> bool:
    """Whether a weight that the outputs of the reference need is not finite."""
    side = pair.normal("reference").side
    live = side.graph.live(map(str, side.outputs), map(str, side.feeds))
    return any(not_finite(side.variables[name]) for name in live if name in side.variables)
