"""What happens to the input before the first layer."""

from __future__ import annotations

from ...graph import ops
from ...graph.align.divergence import Kind
from ..input_path import first_layer_map
from ..places.divergences import Difference
from ..places.transformations import (
    AFFINE,
    COMPARES,
    any_of,
    computed_by,
    decodes,
    permutes,
    reorders,
    resizes,
    scales,
)
from .kinds.graph import GraphCause
from .kinds.sentences import (
    constant_told,
    fact_told,
    names_of,
    op_of,
    reference_ops,
    short_number,
    values_of_training,
)

# --- channels


def _reorders_channels(difference: Difference) -> bool:
    if difference.kind is Kind.CONSTANT:
        orders = difference.constants is not None and all(map(permutes, difference.constants))
        return orders and any_of(difference.readers, ops.GATHERS)
    if not difference.first:
        return False
    if difference.kind is Kind.WIRING:
        return _joins_parts(difference)
    sides = [(flow, nodes) for flow, nodes in difference.sides if nodes]
    return bool(sides) and all(reorders(flow, nodes) for flow, nodes in sides)


def _joins_parts(difference: Difference) -> bool:
    """Whether channels that were taken apart are put together again, in another order."""
    flow, nodes = difference.sides[0]
    parts = (computed_by(flow, source) for node in nodes for source in node.inputs)
    return any_of(nodes, ops.JOINS) and any_of(filter(None, parts), ops.SPLITS | {"StridedSlice"})


def _channels_said(difference: Difference) -> str:
    (reference, export), node = names_of(difference), difference.divergence.node
    if difference.kind is Kind.ONLY_IN_REFERENCE:
        graph = difference.evidence.case.reference_graph
        return f"The {graph} puts the channels into another order ({node}), {export} does not."
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{export} puts the channels into another order ({node}), {reference} does not."
    return f"The channels come in another order: {fact_told(difference)}."


CHANNEL_ORDER = GraphCause(
    id="channel-order",
    where=_reorders_channels,
    says=_channels_said,
    fix="Reverse the channels in the export as in training (x[..., ::-1]), or feed it images in that order.",
)


# --- decoding and resizing

DECODE_ATTRIBUTE = GraphCause(
    id="decode-attr",
    where=lambda difference: (
        difference.kind is Kind.ATTRIBUTE and any(map(decodes, difference.reference_nodes[:1]))
    ),
    says=lambda difference: f"{fact_told(difference)}.",
    fix=lambda found: (
        f"Decode with the attributes of training{values_of_training(found.found)}; or feed decoded pixels to both sides"
        " and compare from there."
    ),
)

RESIZE_ATTRIBUTE = GraphCause(
    id="resize-attr",
    where=lambda difference: (
        difference.kind is Kind.ATTRIBUTE and any(map(resizes, difference.reference_nodes[:1]))
    ),
    says=lambda difference: f"{fact_told(difference)}.",
    fix=lambda found: (
        f"Resize with the attributes of training{values_of_training(found.found)}; tf.image.resize of TensorFlow 2 sets"
        " half_pixel_centers, that of TensorFlow 1 does not."
    ),
)


def _resizes_otherwise(difference: Difference) -> bool:
    methods = [next((node.op for node in nodes if resizes(node)), None) for _, nodes in difference.sides]
    return difference.kind is Kind.OP and None not in methods and methods[0] != methods[1]


def _method_said(difference: Difference) -> str:
    (reference, export), spot = names_of(difference), difference.spot
    right = op_of(spot.reference, spot.divergence.reference[0])
    held = op_of(spot.export, spot.divergence.export[0])
    return f"{difference.divergence.node} is {right} in {reference} and {held} in {export}."


RESIZE_METHOD = GraphCause(
    id="resize-op",
    where=_resizes_otherwise,
    says=_method_said,
    fix=lambda found: f"Resize with the method of training: {reference_ops(found.found[0])}.",
)


# --- scale, offset, and other steps


def _counts(difference: Difference) -> bool:
    """Whether a whole number is added to, compared with or looked up by whole numbers: ids, labels, lengths."""
    whole = difference.constants is not None and all(each.dtype.kind in "iu" for each in difference.constants)
    return whole and any_of(difference.readers, AFFINE | COMPARES | ops.GATHERS | _LOOKUPS)


_LOOKUPS = frozenset({"LookupTableFind", "LookupTableFindV2"})


def _scales_otherwise(difference: Difference) -> bool:
    if not difference.first or _counts(difference):
        return False
    if difference.kind is Kind.CONSTANT:
        single = difference.constants is not None and all(each.size == 1 for each in difference.constants)
        return single and any_of(difference.readers, AFFINE)
    if difference.nodes and all(scales(flow, nodes) for flow, nodes in difference.sides):
        return True
    return difference.kind is Kind.OP and all(
        scales(flow, nodes, single=False) for flow, nodes in difference.sides
    )


def _scaling_said(difference: Difference) -> str:
    """The straight line between the first layer's inputs, where it is one."""
    line = difference.evidence[first_layer_map]
    if line is None:
        return f"The input is scaled differently: {fact_told(difference)}."
    reference, export = names_of(difference)
    slope, shift = line
    sign = "-" if shift < 0 else "+"
    return (
        f"The first layer's input in {export} is {short_number(slope)} * x {sign} {short_number(abs(shift))}, where x"
        f" is that of {reference}."
    )


INPUT_SCALING = GraphCause(
    id="input-scaling",
    where=_scales_otherwise,
    says=_scaling_said,
    inferred=True,
    fix=lambda found: f"Scale the input in the export as in training{values_of_training(found.found)}.",
)


PREPROCESS_CONSTANT = GraphCause(
    id="preprocess-const",
    where=lambda difference: (
        difference.first
        and difference.kind is Kind.CONSTANT
        and difference.acts_on_input
        and not _counts(difference)
    ),
    says=constant_told,
    fix=lambda found: (
        f"Use the constant of the training pipeline in the export{values_of_training(found.found)}."
    ),
)

PREPROCESS_MISSING = GraphCause(
    id="preprocess-missing",
    where=lambda difference: difference.first and difference.kind is Kind.ONLY_IN_REFERENCE,
    says=lambda difference: (
        f"Between input and first layer, {names_of(difference)[1]} lacks {reference_ops(difference)}."
    ),
    fix="Put the step into the export graph as training has it, or do it to what is fed.",
)
