"""Moving statistics of batch norm that are not the checkpoint's."""

from __future__ import annotations

from collections.abc import Iterator

from ...graph.read.tensors import values
from ...wording import counted, verb
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..health import not_saved
from ..layers import layers
from ..places.batch_norms import by_key, reference_norms
from ..places.weights import wrong_constants
from .kinds.weights import WrongWeights, statistics_of_kind, weights_cause
from .non_finite import BN_NOT_FINITE, in_float, not_finite, not_finite_said

NEVER_UPDATED = Cause(id="bn-stats-never-updated", ways=())
"""Both sides agree, and both are wrong: the health of the checkpoint alone shows it (``diagnosis/health``)."""


STATISTICS_NOT_FINITE = weights_cause(
    id=BN_NOT_FINITE,
    where=lambda evidence: [each for each in not_finite(evidence) if each.statistic],
    says=not_finite_said,
    fix=in_float,
)


def _not_saved(evidence: Evidence) -> Iterator[Suspicion]:
    """Statistics that the reference needs and the checkpoint lacks."""
    norms = [by_key(evidence, norm) for norm in evidence[reference_norms]]
    for found in not_saved(evidence.case.checkpoint, norms, ()):
        yield Suspicion(
            cause="bn-stats-not-saved",
            nodes=tuple(norm.node for norm in norms if norm.scope in found.scopes),
            scopes=found.scopes,
            message=found.message,
            fix="Save tf.global_variables().",
        )


NOT_SAVED = Cause(id="bn-stats-not-saved", ways=(_not_saved,))


def _counts(found: WrongWeights) -> str:
    return f"{counted(len(found.wrong), 'statistic')} of {counted(len(found.scopes), 'layer')}"


def _alone(found: WrongWeights) -> bool:
    """Whether nothing else was wrong with the weights of these layers."""
    scope, weights = found.evidence[layers].scope, found.evidence[layers].ranks
    explained = {scope(name) for name in found.evidence.explained if name in weights}
    wrong = {each.constant for each in found.wrong}
    others = {scope(each.name) for each in found.evidence[wrong_constants] if each.constant not in wrong}
    return not set(found.scopes) & (explained | others)


def _others(found: WrongWeights) -> str:
    """That the other weights are right, where that is so."""
    whose = verb(found.scopes, "this layer", "these layers")
    return f"; the other weights of {whose} are the {found.reference_noun}'s" if _alone(found) else ""


def _initial_said(found: WrongWeights) -> str:
    held = sorted({float(values(each.held).reshape(-1)[0]) for each in found.wrong})
    return (
        f"{found.layers}: {found.export_name} holds initial statistics ({' / '.join(f'{each:g}' for each in held)})"
        f" although {found.reference_name} has trained ones."
    )


def _initial_fix(found: WrongWeights) -> str:
    """All layers point to the list that was restored, single ones to a gap in it."""
    if len(found.scopes) == len(found.evidence[reference_norms]):
        return (
            "Restore all variables, not the trainable ones alone (tf.global_variables(), or in Keras model.weights),"
            " after the last initialiser has run."
        )
    return (
        "Restore these statistics as well: the list or map of variables that is restored leaves them out, or they are"
        " initialised after it. Let a missing name be an error."
    )


INITIAL_STATISTICS = weights_cause(
    id="bn-stats-initial-values",
    where=statistics_of_kind("initial"),
    says=_initial_said,
    fix=_initial_fix,
    facts=lambda found: [f"{_counts(found)}{_others(found)}."],
)


def _whose(found: WrongWeights) -> str:
    """The checkpoint that all of them are of, a sentence; empty where none is."""
    known = [set(each.origin.checkpoints) if each.origin is not None else set() for each in found.wrong]
    common = sorted(set.intersection(*known))
    return f" They are those of {common[0]}." if common else ""


STATISTICS_DIFFER = weights_cause(
    id="bn-stats-differ-from-ckpt",
    where=statistics_of_kind(
        "unknown",
        "other checkpoint",
        "permuted",
        "rounded",
        "zeroed",
        "masked",
        "clipped",
    ),
    says=lambda found: (
        f"The moving statistics of {found.layers} in {found.export_name} are not those of {found.reference_name}"
        f"{'; the weights of these layers are' if _alone(found) else ''}.{_whose(found)}"
    ),
    fix=lambda found: (
        f"In one session, {found.case.restored}, run no update op after that, {found.case.remake}."
    ),
    facts=lambda found: [f"{_counts(found)}."],
)

CAUSES: tuple[Cause, ...] = (STATISTICS_NOT_FINITE, NOT_SAVED, INITIAL_STATISTICS, STATISTICS_DIFFER)
HEALTH: tuple[Cause, ...] = (NEVER_UPDATED,)
