"""NaN and infinity: on both sides, in the export's constants, or where the export makes them of finite values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph.graph import Array, Tensor
from ...graph.layer import layer_of, layers_of
from ...graph.read.tensors import values
from ...wording import enumerated, verb
from ..activations import activations
from ..alignment import alignment, nearest_divergences
from ..arrays import is_float
from ..behaviour import export_answers, reference_answers
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..layers import layers
from ..needed import live_export, live_reference
from ..places.repairs import as_reference_at
from ..places.weights import WrongConstant, wrong_constants
from ..runner import OutputArrays
from .kinds.weights import WrongWeights, weights_cause

NAN_IN_BOTH = "nan-in-both"
NON_FINITE = "non-finite"
BN_NOT_FINITE = "bn-variance-nonfinite"


def _nan_in_both(evidence: Evidence) -> Iterator[Suspicion]:
    """Outputs are NaN on both sides."""
    if not any(output.problem for output in evidence.case.outputs):
        return
    answers = _answers(evidence)
    shared = [] if answers is None else list(map(_nan_on_both, *answers))
    count, total = sum(int(both.sum()) for both in shared), sum(both.size for both in shared)
    if not count:
        return
    nodes, scopes, where = _origin_of_nan(evidence)
    yield Suspicion(
        cause=NAN_IN_BOTH,
        nodes=nodes,
        scopes=scopes,
        message=f"{count} of {total} values are NaN on both sides: that is no parity. {where}",
        fix="Go back to a checkpoint from before the training diverged, or give inputs that the model can"
        " take; if NaN is right, state equal_nan: true.",
    )


def _nan_on_both(reference: Array, export: Array) -> Array:
    """Where both sides are NaN; nothing where they cannot be compared."""
    if reference.shape != export.shape or reference.dtype.kind not in "fc" or export.dtype.kind not in "fc":
        return np.zeros(0, bool)
    both: Array = np.isnan(reference) & np.isnan(export)
    return both


def _origin_of_nan(evidence: Evidence) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The nodes that NaN comes from, as far as that is known, their layers, and a sentence about it.

    Weights are of the layers that the reference calls by name: an export may have lost the names.
    """
    weights = _spoilt_weights(evidence)
    if weights:
        keys = enumerated([evidence.case.keys.get(name, name) for name in weights])
        nodes = tuple(evidence[alignment].nodes.get(name, name) for name in weights)
        return (
            nodes,
            tuple(dict.fromkeys(evidence[layers].scopes(list(weights)).values())),
            f"{keys} in the {evidence.case.reference_noun} {verb(weights, 'is', 'are')} NaN already.",
        )
    first = _first_not_finite(evidence, both=True)
    if first is not None:
        return (first,), layers_of((first,)), f"Both turn finite values into NaN at {first}."
    return (), (), "The weights are finite: look at the inputs."


# --- the export alone


def not_finite(evidence: Evidence) -> list[WrongConstant]:
    """The constants of the export that hold NaN or infinity where the reference's values are finite."""
    return [each for each in evidence[wrong_constants] if not _finite(each.held) and _finite(each.right)]


def _finite(tensor: Tensor) -> bool:
    array = values(tensor)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def in_float(found: WrongWeights) -> str:
    """What to do where a number became NaN or infinity on its way into the export."""
    return f"Export again from {found.reference_name}, in float32 throughout."


def not_finite_said(found: WrongWeights) -> str:
    """Which constants hold NaN or infinity, and how many values of each."""
    bad = [
        f"{each.constant} ({int((~np.isfinite(values(each.held))).sum())} of {values(each.held).size})"
        for each in found.wrong
    ]
    return (
        f"{enumerated(bad)} of {found.export_name} {verb(found.wrong, 'holds', 'hold')} NaN or infinity; in"
        f" {found.reference_name} all values there are finite."
    )


_HELD = weights_cause(
    id=NON_FINITE,
    where=lambda evidence: [each for each in not_finite(evidence) if not each.statistic],
    says=not_finite_said,
    fix=in_float,
)


def _made_non_finite(evidence: Evidence) -> Iterator[Suspicion]:
    """The export makes NaN or infinity where the reference does not."""
    if not any(output.problem or output.max_abs is None for output in evidence.case.outputs):
        return
    answers = _answers(evidence)
    if answers is None or not any(map(_export_alone, *answers)):
        return
    node = _first_not_finite(evidence)
    if node is None:
        return
    op = evidence[live_export][node].op
    places = nearest_divergences(evidence, node)
    details = "; ".join(dict.fromkeys(f"{each.node}: {each.detail}" for each in places[:2]))
    yield Suspicion(
        cause=NON_FINITE,
        nodes=(node,),
        scopes=(layer_of(node),),
        message=f"{op} {node} of {evidence.case.export_name} turns finite values into NaN or infinity; in"
        f" the {evidence.case.reference_graph} they stay finite{f' ({details})' if details else ''}.",
        fix="Put back what keeps its input in range (a small constant, a maximum, a clip), as in the training"
        " code, and export again.",
        repair=tuple(edit for each in places for edit in as_reference_at(evidence, each)),
    )


def _answers(evidence: Evidence) -> tuple[OutputArrays, OutputArrays] | None:
    """What the reference and the export (as it was given) answer, if both can be run."""
    reference, export = evidence[reference_answers], evidence[export_answers]
    return None if reference is None or export is None else (reference, export)


def _export_alone(reference: Array, export: Array) -> bool:
    """Whether the export has NaN or infinity where the reference is finite."""
    if reference.shape != export.shape or reference.dtype.kind not in "fc" or export.dtype.kind not in "fc":
        return False
    return bool((np.isfinite(reference) & ~np.isfinite(export)).any())


def _spoilt_weights(evidence: Evidence) -> list[str]:
    """The variables of the reference that the outputs need and that hold NaN."""
    found = []
    for name in evidence[live_reference]:
        tensor = evidence.reference.variables.get(name)
        array = values(tensor) if tensor is not None else None
        if array is not None and is_float(array) and bool(np.isnan(array).any()):
            found.append(name)
    return found


def _first_not_finite(evidence: Evidence, *, both: bool = False) -> str | None:
    """The first node of the export whose values are not finite, the reference's being finite (or not)."""
    for each in evidence[activations].values():
        if not each.finite[1] and each.finite[0] is not both:
            return each.export
    return None


EARLY: tuple[Cause, ...] = (Cause(id=NAN_IN_BOTH, ways=(_nan_in_both,), apart=True),)
CAUSES: tuple[Cause, ...] = (Cause(id=NON_FINITE, ways=(*_HELD.ways, _made_non_finite)),)
