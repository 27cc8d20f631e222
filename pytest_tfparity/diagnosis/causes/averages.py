"""Moving averages applied, not applied, or half applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...graph.layer import scope_of
from ...graph.read.tensors import values
from ...result import Health
from ...wording import counted, verb
from ..arrays import cosine, same
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..health import global_step, unconverged
from ..places.weights import WrongConstant, expected_key, provenances, wrong_constants
from ..raw_or_averaged import averages, in_layers_of, mixture_of_averages
from ..tensor_names import averaged_by, slot_of
from ..unrestored import NEAR
from .kinds.group import suspicion
from .kinds.weights import WrongWeights, weights_cause

_RESTORE = "tf.train.Saver(ema.variables_to_restore())"


def _example(found: WrongWeights) -> Sequence[str]:
    """One constant with the tensor of the checkpoint that it equals."""
    first = found.wrong[0]
    return [
        f"{first.constant} equals {first.source} of the {found.reference_noun} bit for bit, not {first.key}."
    ]


# --- averaged once more


def _mixture(evidence: Evidence) -> tuple[float, Sequence[WrongConstant]]:
    """The share of the average in the weights that lie between variable and average, and these weights."""
    found = evidence[mixture_of_averages]
    return (0.0, ()) if found is None else (found.share, found.weights)


def _mixture_said(found: WrongWeights) -> str:
    share, _ = _mixture(found.evidence)
    return (
        f"{len(found.wrong)} weights of {found.export_name} are {share:.4g} * average + {1 - share:.4g} * variable,"
        " which is what updating the moving averages once more makes of them."
    )


DOUBLE_APPLIED = weights_cause(
    id="ema-double-applied",
    where=lambda evidence: _mixture(evidence)[1],
    says=_mixture_said,
    fix=f"Never run ema.apply() in the export session; restore with {_RESTORE}.",
    facts=lambda found: [
        f"The same share {_mixture(found.evidence)[0]:.4g} fits every one of them to rounding."
    ],
)


# --- all of them raw, or all of them averaged


def _all_raw(evidence: Evidence) -> Sequence[WrongConstant]:
    known = evidence[averages]
    return (*known.raw, *known.raw_statistics) if known.raw and not known.right_averages else ()


def _share_of_meant(found: WrongWeights) -> str:
    """``all 11``, or ``9 of the 11``: of the variables that differ from their average, which the reference has."""
    evidence, tensors = found.evidence, found.case.checkpoint
    meant = [
        name
        for name, each in evidence[provenances].items()
        if each.averaged and averaged_by(expected_key(evidence, name) or "", tensors) is not None
    ]
    one, other = len(found.wrong), len({*meant, *(each.constant for each in found.wrong)})
    return f"all {one}" if one == other else f"{one} of the {other}"


def _all_averaged(evidence: Evidence) -> Sequence[WrongConstant]:
    known = evidence[averages]
    return (*known.averaged, *known.averaged_statistics) if known.averaged and not known.right_raw else ()


NOT_APPLIED = weights_cause(
    id="ema-not-applied",
    where=_all_raw,
    says=lambda found: (
        f"{found.export_name} holds the raw value of {_share_of_meant(found)} variables whose moving average the"
        f" reference restores from {found.reference_name}."
    ),
    fix=lambda found: (
        f"Restore with {_RESTORE}, {found.case.remake} (or, if raw weights are meant, state `ema: none`)."
    ),
    facts=_example,
)


def _young(evidence: Evidence) -> Sequence[Health]:
    """What says that the averages of the checkpoint never left their initial values."""
    checkpoint = evidence.case.checkpoint
    return unconverged(checkpoint, global_step(checkpoint), evidence.reference.graph)


UNCONVERGED = weights_cause(
    id="ema-unconverged",
    where=lambda evidence: _all_averaged(evidence) if _young(evidence) else (),
    says=lambda found: (
        f"{found.export_name} holds the moving averages of {len(found.wrong)} variables, the reference the"
        f" variables themselves, and the averages never converged: {_young(found.evidence)[0].message}"
    ),
    fix=(
        "Export the variables (tf.train.Saver()), or pass num_updates=global_step to"
        " tf.train.ExponentialMovingAverage and train on."
    ),
    facts=_example,
)

APPLIED_UNEXPECTEDLY = weights_cause(
    id="ema-applied-unexpectedly",
    where=_all_averaged,
    says=lambda found: (
        f"{found.export_name} holds the moving averages of {len(found.wrong)} variables, the reference"
        f" ({found.reference_name}) the variables themselves."
    ),
    fix=lambda found: (
        f"Restore with tf.train.Saver(), {found.case.remake} (or, if averages are meant, state `ema: trainable`)."
    ),
    facts=_example,
)


# --- some of them


def _mixed(evidence: Evidence) -> Iterator[Suspicion]:
    """Some weights raw where all are averages in the reference, or the other way round."""
    known = evidence[averages]
    if known.raw and known.right_averages:
        wrong = (*known.raw, *in_layers_of(evidence, known.raw, known.raw_statistics))
        right = _others(known.right_averages, "is a moving average", "are moving averages")
        yield _half(evidence, wrong, "raw weights", "their moving averages", right, _ONE_MAP)
    if known.averaged and known.right_raw:
        wrong = (*known.averaged, *in_layers_of(evidence, known.averaged, known.averaged_statistics))
        right = _others(known.right_raw, "is raw", "are raw")
        yield _half(evidence, wrong, "moving averages", "raw weights", right, _NO_MAP)


_ONE_MAP = (
    "Restore all variables with one map, ema.variables_to_restore(), and let a missing name be an error."
)
_NO_MAP = "Restore all variables under their own names, tf.train.Saver(): no moving average is meant."


def _others(count: int, one: str, several: str) -> str:
    return f"{counted(count, 'other weight')} {one if count == 1 else several}"


def _half(
    evidence: Evidence, wrong: Sequence[WrongConstant], held: str, meant: str, others: str, fix: str
) -> Suspicion:
    found = WrongWeights(evidence=evidence, wrong=wrong)
    return suspicion(
        "ema-partially-applied",
        found,
        f"{found.layers} {verb(found.scopes, 'holds', 'hold')} {held} in {found.export_name}, where the"
        f" reference has {meant}; {others} on both sides.",
        fix,
        facts=_example,
    )


PARTIALLY_APPLIED = Cause(id="ema-partially-applied", ways=(_mixed,))

APPLIED_TO_STATISTICS = weights_cause(
    id="ema-applied-to-bn-stats",
    where=lambda evidence: evidence[averages].averaged_statistics,
    says=lambda found: (
        f"The moving statistics of {found.layers} ({len(found.wrong)} constants) were restored from their own"
        " moving average, not from the variables."
    ),
    fix=lambda found: (
        "Restore with ema.variables_to_restore(tf.trainable_variables())."
        if found.evidence[averages].means_averages
        else _NO_MAP
    ),
    facts=_example,
)

NOT_APPLIED_TO_STATISTICS = weights_cause(
    id="ema-not-applied-to-bn-stats",
    where=lambda evidence: evidence[averages].raw_statistics,
    says=lambda found: (
        f"The moving statistics of {found.layers} ({len(found.wrong)} constants) are raw; the reference"
        " restores their moving average, as it does for the weights."
    ),
    fix=(
        "Restore the statistics from their averages too: pass them to ema.variables_to_restore() beside the trainable"
        " variables (slim.get_model_variables() has both where slim built the layers)."
    ),
    facts=_example,
)

# --- another average


def _of_another_average(evidence: Evidence) -> Sequence[WrongConstant]:
    """Constants that hold another tensor kept beside their variable, as near to it as an average is."""
    tensors = evidence.case.checkpoint
    found = []
    for each in evidence[wrong_constants]:
        source = each.origin.source if each.origin is not None and each.origin.informative else None
        base = scope_of(each.key or "")
        beside = source is not None and scope_of(source) == base and source != each.key
        if source is None or not beside or base not in tensors or slot_of(source, tensors) is not None:
            continue
        near = cosine(values(tensors[source]), values(tensors[base]))
        if each.kind in _COPIES and same(values(tensors[source]), values(each.held)) and (near or 0.0) > NEAR:
            found.append(each)
    return found


_COPIES = ("variable", "other variable", "shadow", "other shadow")


def _other_said(found: WrongWeights) -> str:
    first = found.wrong[0]
    return (
        f"{found.constants} of {found.export_name} {verb(found.wrong, 'holds', 'hold')} another of the tensors that"
        f" are kept beside a variable, as its averages are: {first.constant} holds {first.source}, not {first.key}."
    )


OTHER_AVERAGE = weights_cause(
    id="ema-other-average",
    where=_of_another_average,
    says=_other_said,
    fix=lambda found: (
        f"Restore the average that the reference restores: {found.wrong[0].key}, not {found.wrong[0].source}, and the"
        " others likewise."
    ),
)

CAUSES: tuple[Cause, ...] = (
    DOUBLE_APPLIED,
    NOT_APPLIED,
    UNCONVERGED,
    APPLIED_UNEXPECTEDLY,
    PARTIALLY_APPLIED,
    APPLIED_TO_STATISTICS,
    NOT_APPLIED_TO_STATISTICS,
    OTHER_AVERAGE,
)
