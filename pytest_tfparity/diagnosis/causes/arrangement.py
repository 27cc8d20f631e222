"""Weights in another arrangement or of another size."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.edit.repair import Constant, Repair
from ...graph.read.tensors import values
from ..arrays import same
from ..cause import Cause
from ..evidence import Evidence
from ..places.weights import WrongConstant, wrong_constants
from .kinds.weights import WrongWeights, of_kind, weights_cause


def _of_other_shape(evidence: Evidence) -> Sequence[WrongConstant]:
    return [
        each
        for each in evidence[wrong_constants]
        if each.key is not None
        and each.kind not in ("transposed", "reshaped")
        and tuple(each.held.shape) != tuple(each.right.shape)
    ]


def _shapes_said(found: WrongWeights) -> str:
    first = next((each for each in found.wrong if len(each.held.shape) > 1), found.wrong[0])
    return (
        f"{found.layers}: {first.constant} has shape {list(first.held.shape)} in {found.export_name} and"
        f" {list(first.right.shape)} in {found.reference_name}: another architecture."
    )


SHAPES_DIFFER = weights_cause(
    id="shapes-differ",
    where=_of_other_shape,
    says=_shapes_said,
    fix="Build the export with the sizes that the model was trained with.",
)


def _transposed_said(found: WrongWeights) -> str:
    facts = [
        f"{each.constant} equals {each.source} transposed to axes {list(each.relation.axes)}"
        for each in found.wrong
        if each.relation is not None
    ]
    more = f" and {len(facts) - 3} more" if len(facts) > 3 else ""
    return f"{'; '.join(facts[:3])}{more}."


def _straight(evidence: Evidence, wrong: WrongConstant) -> Repair:
    """The source as the checkpoint holds it, so that a second fault of the same weight stays to be seen."""
    source = evidence.case.checkpoint.get(wrong.source or "")
    if source is None or tuple(source.shape) != tuple(wrong.right.shape):
        return (wrong.edit,)
    if wrong.node in evidence.case.parts or same(values(source), values(wrong.held)):
        return (wrong.edit,)
    return (Constant(node=wrong.constant, value=source),)


KERNEL_TRANSPOSED = weights_cause(
    id="kernel-transposed",
    where=of_kind("transposed"),
    says=_transposed_said,
    fix="Leave out the transpose where these weights are written into the export.",
    restored=_straight,
)

CAUSES: tuple[Cause, ...] = (SHAPES_DIFFER, KERNEL_TRANSPOSED)
