"""Weights of another variable, layer, step or run, and weights that were not restored."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.layer import scope_of
from ...graph.read.tensors import values
from ...wording import enumerated, verb
from ..arrays import same
from ..cause import Cause
from ..evidence import Evidence
from ..layers import layers, unpartitioned
from ..places.weights import WrongConstant, weight_scopes, wrong_constants
from ..unrestored import Unrestored, right_weights, unrestored
from .kinds.weights import LOST, WrongWeights, of_kind, source_of, weights_cause

STALE_EXPORT = "stale-export"
OTHER_RUN = "other-run"


def _is_whole(evidence: Evidence) -> bool:
    return evidence[unrestored].whole


def _angle(found: Unrestored) -> str:
    return "" if found.cosine is None else f" (cosine {found.cosine:.2f})"


# --- another tensor of the checkpoint


def _mapped(evidence: Evidence) -> Sequence[WrongConstant]:
    kinds = of_kind("other variable", "other shadow", "slot")(evidence)
    wrong = [each for each in kinds if not is_under_own_name(evidence, each)]
    return [*wrong, *_too_plain_to_tell(evidence, wrong)]


def is_under_own_name(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether the constant is what its name says, and the layer that reads it reads another's."""
    names = [name for name, key in evidence.case.keys.items() if key == wrong.source]
    return wrong.constant == wrong.source or wrong.constant in names


def _too_plain_to_tell(evidence: Evidence, mapped: Sequence[WrongConstant]) -> list[WrongConstant]:
    """Constants of one number throughout, in layers that were mapped wrongly, that the checkpoint holds."""
    around = set(weight_scopes(evidence, mapped))
    return [
        each
        for each in of_kind(*LOST)(evidence)
        if each.origin is not None
        and not each.origin.informative
        and evidence[layers].scope(each.name) in around
        and _in_checkpoint(evidence, each)
    ]


def _in_checkpoint(evidence: Evidence, wrong: WrongConstant) -> bool:
    held = wrong.held
    return any(
        tensor.dtype == held.dtype and tensor.shape == held.shape and same(values(tensor), values(held))
        for tensor in evidence.case.checkpoint.values()
    )


def _mapped_said(found: WrongWeights) -> str:
    facts = [
        f"{each.constant} holds {each.source}, not {each.key}."
        for each in found.wrong
        if each.source is not None
    ]
    more = f" ({len(facts) - 3} more)" if len(facts) > 3 else ""
    return (
        f"{found.constants} {verb(found.wrong, 'holds', 'hold')} another tensor of {found.reference_name} than the one"
        f" that belongs there: {' '.join(facts[:3])}{more}"
    )


MAPPED = weights_cause(
    id="ckpt-tensor-mapped-to-wrong-variable",
    where=_mapped,
    says=_mapped_said,
    fix=lambda found: (
        "Restore each variable by its own name: correct the map of names (or the order) that the restore uses"
        f" ({found.wrong[0].constant} gets {source_of(found.wrong[0])})."
    ),
)


# --- another layer, with its own weights


def _of_another_layer(evidence: Evidence) -> Sequence[WrongConstant]:
    """The weights of another layer under their own names, where the reference reads those of this one."""
    return [
        each
        for each in of_kind("other variable", "other shadow")(evidence)
        if is_under_own_name(evidence, each) and each.constant not in evidence.explained
    ]


def _another_layer_said(found: WrongWeights) -> str:
    # By their own names: a batch norm of the export is called after the reference's in whose place it stands.
    here, there = (
        enumerated([scope_of(unpartitioned(name)) or name for name in names])
        for names in ([each.constant for each in found.wrong], [each.node for each in found.wrong])
    )
    return f"Where the {found.reference_graph} has {there}, {found.export_name} has {here} with weights of their own."


ANOTHER_LAYER = weights_cause(
    id="graph-wiring-differs",
    where=_of_another_layer,
    says=_another_layer_said,
    fix="Connect what follows to the layers of training: the export's graph takes the output of others.",
)


# --- another step of the run


def _of_another_checkpoint(evidence: Evidence) -> Sequence[WrongConstant]:
    """The constants that equal another checkpoint, and those of one number that the same one holds there."""
    wrong = of_kind("other checkpoint")(evidence)
    if all(each.statistic for each in wrong):
        return ()
    tensors = evidence.case.others.get(_checkpoint(wrong)[0], {})
    plain = [
        each
        for each in of_kind(*LOST)(evidence)
        if (there := tensors.get(each.key or "")) is not None and same(values(there), values(each.held))
    ]
    return [*wrong, *plain]


def _checkpoint(wrong: Sequence[WrongConstant]) -> tuple[str, bool]:
    """The other checkpoint that the constants are of, and whether it explains all of them."""
    labels = [
        each.origin.checkpoints for each in wrong if each.origin is not None and each.origin.checkpoints
    ]
    common = [label for label in labels[0] if all(label in others for others in labels)]
    return (common or labels[0])[0], bool(common)


def _stale_said(found: WrongWeights) -> str:
    label, all_of_it = _checkpoint([each for each in found.wrong if each.kind == "other checkpoint"])
    rest = "" if all_of_it else " or of others"
    return (
        f"{found.constants} of {found.export_name} {verb(found.wrong, 'equals', 'equal')} {label}{rest} bit for bit,"
        f" not {found.reference_name}: that is what was exported."
    )


def _is_mixed(evidence: Evidence) -> bool:
    """Whether the export holds weights of the reference that the other checkpoint has not, beside those it has."""
    wrong = of_kind("other checkpoint")(evidence)
    if not wrong:
        return False
    there, reference = evidence.case.others.get(_checkpoint(wrong)[0], {}), evidence.reference
    for name in right_weights(evidence):
        key, right = evidence.case.keys.get(name), reference.value(name)
        other = there.get(key or "")
        if other is not None and right is not None and not same(values(other), values(right)):
            return True
    return False


STALE = weights_cause(
    id=STALE_EXPORT,
    where=lambda evidence: () if _is_mixed(evidence) else _of_another_checkpoint(evidence),
    says=_stale_said,
    fix=lambda found: f"Export again from {found.reference_name}.",
)


def _older_said(found: WrongWeights) -> str:
    story = found.evidence[unrestored]
    return (
        f"The weights of {found.export_name} are close to those of {found.reference_name}{_angle(story)} but"
        " not the same: another step of the run, most likely an older one. (Another run from the same"
        " start, or with the same first weights, could look like it.)"
    )


OLDER = weights_cause(
    id=STALE_EXPORT,
    where=lambda evidence: (
        evidence[unrestored].older if _is_whole(evidence) and not _of_another_checkpoint(evidence) else ()
    ),
    says=_older_said,
    fix=lambda found: f"Export {found.reference_name} again.",
    facts=lambda found: [
        f"{found.constants} {verb(found.wrong, 'differs and is no initial value', 'differ, none is an initial value')}."
    ],
    whole=_is_whole,
    certain=False,
)


# --- nothing of the checkpoint, or not all of it


def _initial_said(found: WrongWeights) -> str:
    marks = found.evidence[unrestored].marks
    return (
        f"{found.export_name} holds initial values: none of its weights is that of {found.reference_name}, and"
        f" {marks} of {len(found.wrong)} hold what their initialiser gives."
    )


def _moved_since_said(found: WrongWeights) -> str:
    return (
        f"None of the weights of {found.export_name} is that of {found.reference_name}, and"
        f" {found.evidence[unrestored].marks} of {len(found.wrong)} hold what their initialiser gives, but not all"
        " moving statistics: perhaps initial values, after forward passes in training mode."
    )


def _initial_fix(found: WrongWeights) -> str:
    return (
        f"In one session, run the initialiser first, {found.case.restored} after it, {found.case.remake}; do not build"
        " the network once more beside import_meta_graph."
    )


_AT_START = weights_cause(
    id="initial-values",
    where=lambda evidence: evidence[unrestored].initial if _is_whole(evidence) else (),
    says=_initial_said,
    fix=_initial_fix,
    whole=_is_whole,
)
_MOVED_SINCE = weights_cause(
    id="initial-values",
    where=lambda evidence: evidence[unrestored].drawn if _is_whole(evidence) else (),
    says=_moved_since_said,
    fix=_initial_fix,
    whole=_is_whole,
    certain=False,
)
INITIAL_VALUES = Cause(id="initial-values", ways=(*_AT_START.ways, *_MOVED_SINCE.ways))


def _foreign_said(found: WrongWeights) -> str:
    moved = any(len(each.held.shape) < 2 for each in found.wrong)
    doubt = "" if moved else " (Kernels alone do not tell another run from initial values.)"
    return (
        f"The weights of {found.export_name} are unrelated to {found.reference_name}"
        f"{_angle(found.evidence[unrestored])}: it comes from another training run.{doubt}"
    )


FOREIGN = weights_cause(
    id=OTHER_RUN,
    where=lambda evidence: evidence[unrestored].foreign if _is_whole(evidence) else (),
    says=_foreign_said,
    fix=lambda found: (
        f"Export {found.reference_name}, or state as the reference what this export was made from."
    ),
    whole=_is_whole,
    certain=False,
)


def _left_out_said(found: WrongWeights) -> str:
    marks, one = found.evidence[unrestored].marks, len(found.wrong) == 1
    what = "an initial value" if one else "initial values"
    marked = what if marks == len(found.wrong) else f"{what} ({marks} of them recognisably so)"
    return (
        f"{found.layers} {verb(found.scopes, 'was', 'were')} not restored, or initialised again: {found.constants} of"
        f" {found.export_name} {verb(found.wrong, 'holds', 'hold')} {marked}, no tensor of"
        f" {found.reference_name}.{_others_right(found)}"
    )


def _others_right(found: WrongWeights) -> str:
    """That nothing else is wrong with the weights, where that is so."""
    wrong = {each.constant for each in found.evidence[wrong_constants] if each.key is not None}
    alone = not found.evidence.explained and wrong == {each.constant for each in found.wrong}
    return f" All other weights are the {found.reference_noun}'s." if alone else ""


def _drawn_said(found: WrongWeights) -> str:
    marks = [each for each in found.wrong if each.kind == "initial"]
    told = (
        f"{len(marks)} of them {verb(marks, 'holds', 'hold')} what the initialiser gives"
        if marks
        else f"{verb(found.wrong, 'lies', 'lie')} within the bounds that the initialiser draws from"
    )
    return (
        f"{found.layers}: {found.constants} of {found.export_name} {verb(found.wrong, 'is', 'are')} no tensor of"
        f" {found.reference_name}, and {told}{_angle(found.evidence[unrestored])}: perhaps not"
        f" restored.{_others_right(found)}"
    )


def _restore_all(found: WrongWeights) -> str:
    return (
        "Restore all variables (no exclude, no ignore_missing_vars), under the names that the"
        f" {found.reference_noun} has, after the last initialiser has run."
    )


_LEFT_OUT = weights_cause(
    id="partial-restore",
    where=lambda evidence: () if _is_whole(evidence) else evidence[unrestored].initial,
    says=_left_out_said,
    fix=_restore_all,
)
_DRAWN = weights_cause(
    id="partial-restore",
    where=lambda evidence: () if _is_whole(evidence) else evidence[unrestored].drawn,
    says=_drawn_said,
    fix=_restore_all,
    certain=False,
)
PARTIAL_RESTORE = Cause(id="partial-restore", ways=(*_LEFT_OUT.ways, *_DRAWN.ways))


# --- some layers of another step or run


def _partial_stale(evidence: Evidence) -> Sequence[WrongConstant]:
    return () if _is_whole(evidence) or _of_another_checkpoint(evidence) else evidence[unrestored].older


def _partial_stale_said(found: WrongWeights) -> str:
    return (
        f"{found.layers} of {found.export_name} {verb(found.scopes, 'is', 'are')} close to what"
        f" {found.reference_name} holds{_angle(found.evidence[unrestored])} but not the same, and no initial values:"
        f" another step of the run, most likely an older one.{_others_right(found)}"
    )


def _partial_equal_said(found: WrongWeights) -> str:
    label, all_of_it = _checkpoint([each for each in found.wrong if each.kind == "other checkpoint"])
    rest = "" if all_of_it else " or others"
    return (
        f"{found.layers}: {found.constants} of {found.export_name} {verb(found.wrong, 'equals', 'equal')} {label}{rest}"
        f" bit for bit, not {found.reference_name}.{_others_right(found)}"
    )


def _partial_fix(found: WrongWeights) -> str:
    return f"Restore all layers from {found.reference_name}, in one restore."


_PARTIAL_EQUAL = weights_cause(
    id="partial-stale",
    where=lambda evidence: _of_another_checkpoint(evidence) if _is_mixed(evidence) else (),
    says=_partial_equal_said,
    fix=_partial_fix,
)
_PARTIAL_NEAR = weights_cause(
    id="partial-stale",
    where=_partial_stale,
    says=_partial_stale_said,
    fix=_partial_fix,
    certain=False,
)
PARTIAL_STALE = Cause(id="partial-stale", ways=(*_PARTIAL_EQUAL.ways, *_PARTIAL_NEAR.ways))


def _partial_foreign_said(found: WrongWeights) -> str:
    moved = [each for each in found.wrong if len(each.held.shape) < 2 and each.kind == "unknown"]
    trained = verb(moved, "is a trained value, no initial one", "are trained values, no initial ones")
    return (
        f"{found.layers} of {found.export_name} {verb(found.scopes, 'has', 'have')} nothing in common with"
        f" the weights of the reference{_angle(found.evidence[unrestored])}, and"
        f" {len(moved)} of their biases, scales and statistics {trained}: they come from another training"
        f" run.{_others_right(found)}"
    )


PARTIAL_FOREIGN = weights_cause(
    id="partial-other-run",
    where=lambda evidence: () if _is_whole(evidence) else evidence[unrestored].foreign,
    says=_partial_foreign_said,
    fix=lambda found: (
        f"Build the export from the files that {found.reference_name} was trained with (a pre-trained part is one of"
        " them), and restore all of it from there."
    ),
    certain=False,
)

CAUSES: tuple[Cause, ...] = (
    MAPPED,
    Cause(id=STALE_EXPORT, ways=(*STALE.ways, *OLDER.ways)),
    INITIAL_VALUES,
    FOREIGN,
    PARTIAL_RESTORE,
    PARTIAL_STALE,
    PARTIAL_FOREIGN,
)
