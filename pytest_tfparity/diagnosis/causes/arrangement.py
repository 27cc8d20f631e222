"""Weights whose values stand in another order, and weights of another shape."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.edit.repair import Constant, Repair
from ...graph.read.tensors import values
from ...wording import enumerated
from ..arrays import same
from ..cause import Cause
from ..evidence import Evidence
from ..places.weights import WrongConstant, wrong_constants
from ..relations.relation import Relation
from .kinds.weights import WrongWeights, of_kind, source_of, weights_cause


def _of_other_shape(evidence: Evidence) -> Sequence[WrongConstant]:
    return [
        each
        for each in evidence[wrong_constants]
        if each.key is not None and each.kind not in ("transposed", "reshaped") and not each.has_right_shape
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

# --- the same values in another order


def _order_told(found: WrongWeights, wrong: WrongConstant) -> str:
    how = _order(wrong.relation)
    return f"{wrong.constant} of {found.export_name} holds the values of {source_of(wrong)} {how}."


def _order(relation: Relation | None) -> str:
    """What was done to the order, after "the values of ..."."""
    if relation is None or _is_disorder(relation):
        return "in another order"
    if relation.kind == "flipped":
        return f"flipped along {_axes(relation.axes)}"
    if relation.kind == "reordered":
        return f"transposed to axes {list(relation.axes)} and put back into the old shape"
    if relation.blocks:
        moved = [(place, block) for place, block in enumerate(relation.blocks) if place != block]
        blocks = ", ".join(f"block {block} stands where block {place} was" for place, block in moved[:2])
        return (
            f"with axis {relation.axis} permuted in {len(relation.blocks)} blocks, {list(relation.blocks)} for"
            f" {list(range(len(relation.blocks)))} ({blocks})"
        )
    moved = [(place, entry) for place, entry in enumerate(relation.order) if place != entry]
    (place, entry), rest = moved[0], len(moved) - 1
    return (
        f"with axis {relation.axis} permuted: entry {entry} stands at {place}"
        f"{f', and {rest} more are moved' if rest else ''}"
    )


def _is_disorder(relation: Relation) -> bool:
    """Whether the values stand in an order that no axis explains."""
    return relation.kind == "permuted" and relation.axis is None


def _axes(axes: Sequence[int]) -> str:
    return f"{'axis' if len(axes) == 1 else 'axes'} {enumerated([str(axis) for axis in axes])}"


def _order_fix(found: WrongWeights) -> str:
    relations = [relation for each in found.wrong if (relation := each.relation) is not None]
    if any(relation.kind in ("flipped", "reordered") for relation in relations):
        return (
            "Write the kernels into the export as they were trained: TensorFlow's convolutions do not flip their"
            " kernel, and another layout needs a transpose, not a reshape."
        )
    if any(relation.blocks for relation in relations):
        return (
            "Write the blocks in the order that the export's layer expects (gates of a cell: i, c, f, o in one library,"
            " i, f, c, o in another)."
        )
    return "Keep the order of the entries (classes, vocabulary, channels) that the model was trained with."


PERMUTED = weights_cause(
    id="weights-permuted",
    where=lambda evidence: [
        each
        for each in of_kind("flipped", "permuted", "reordered")(evidence)
        if each.relation is not None and not (each.statistic and _is_disorder(each.relation))
    ],
    says=lambda found: found.told(_order_told),
    fix=_order_fix,
)


CAUSES: tuple[Cause, ...] = (PERMUTED, SHAPES_DIFFER, KERNEL_TRANSPOSED)
