"""Padding, order and axes: the same numbers in other places."""

from __future__ import annotations

from ...graph import ops
from ...graph.align.divergence import Kind
from ...graph.graph import Node
from ..places.divergences import Difference
from ..places.transformations import FLATTENERS, TURNS, any_of, slides
from .kinds.graph import Differences, GraphCause
from .kinds.sentences import (
    as_written,
    export_ops,
    fact_told,
    names_of,
    nodes_to_name,
    reader,
    reference_ops,
    values_of_training,
)

# --- padding


def _pads_otherwise(difference: Difference) -> bool:
    if difference.kind is Kind.ATTRIBUTE:
        return difference.divergence.attribute in ("padding", "explicit_paddings")
    if difference.kind is Kind.CONSTANT:
        return any_of(difference.readers, ops.PADS)
    only_pads = bool(difference.nodes) and all(node.op in ops.PADS for node in difference.nodes)
    return only_pads and (difference.kind is Kind.OP or any(map(slides, difference.readers)))


def _padding_said(difference: Difference) -> str:
    (reference, export), node = names_of(difference), difference.divergence.node
    if difference.kind is Kind.ONLY_IN_REFERENCE:
        return f"{reader(difference)} is padded by {node} in {reference}, not in {export}."
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{reader(difference)} is padded by {node} in {export}, not in {reference}."
    return f"{fact_told(difference)}."


def _padded(difference: Difference) -> tuple[str, ...]:
    if difference.kind in (Kind.ATTRIBUTE, Kind.OP):
        return nodes_to_name(difference)
    return (*difference.divergence.readers[:1], *nodes_to_name(difference))


PADDING = GraphCause(
    id="padding",
    where=_pads_otherwise,
    says=_padding_said,
    fix=lambda found: (
        f"Pad in the export as in training{values_of_training(found.found)}: with stride 2, padding SAME pads right and"
        " bottom, an explicit Pad and VALID all sides (conv2d_same of slim)."
    ),
    nodes=_padded,
)


# --- axes


def _turns(difference: Difference) -> bool:
    """Whether axes are exchanged on one side, or others than on the other side."""
    if difference.kind is Kind.CONSTANT:
        return any_of(difference.readers, _TRANSPOSES)
    only_turns = all(node.op in TURNS for node in difference.nodes)
    return only_turns and any_of(difference.nodes, _TRANSPOSES)


_TRANSPOSES = frozenset({"Transpose"})


def _flattens(difference: Difference) -> bool:
    """Whether what is turned is flattened there, or right behind it."""
    if difference.kind is not Kind.CONSTANT:
        return any_of([*difference.nodes, *difference.readers], FLATTENERS)
    turned = next(node for node in difference.readers if node.op in _TRANSPOSES)
    return any_of(difference.readers_of(turned), FLATTENERS)


def _axes_said(difference: Difference) -> str:
    reference, export = names_of(difference)
    if difference.constants is not None:
        right, held = map(as_written, difference.constants)
        return f"axes {right} in {reference}, {held} in {export}"
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{export_ops(difference)} is in {export} alone"
    if difference.kind is Kind.ONLY_IN_REFERENCE:
        return f"{reference_ops(difference)} is in {reference} alone"
    return fact_told(difference)


FLATTEN_ORDER = GraphCause(
    id="flatten-order",
    where=lambda difference: _turns(difference) and _flattens(difference),
    says=lambda difference: f"{reader(difference)} flattens in another order: {_axes_said(difference)}.",
    fix=(
        "Flatten in the order of training: transpose before the reshape as there, or permute the rows of the dense"
        " kernel behind it."
    ),
    nodes=lambda difference: tuple(
        dict.fromkeys((*difference.divergence.readers[:1], *nodes_to_name(difference)))
    ),
)


_SOFTMAXES = frozenset({"Softmax", "LogSoftmax"})


def _normalises_other_axes(difference: Difference) -> bool:
    """Whether a softmax of the reference is in the export one of what is reshaped or transposed for it alone."""
    if difference.kind is not Kind.OP or len(difference.reference_nodes) != 1:
        return False
    right, held = difference.reference_nodes[0].op, [node.op for node in difference.export_nodes]
    around = [op for op in held if op not in _SOFTMAXES]
    alike = right in _SOFTMAXES and held.count(right) == 1 and bool(around) and set(around) <= _MOVES
    return alike and not any(_is_over_rows(difference, node) for node in difference.export_nodes)


def _is_over_rows(difference: Difference, node: Node) -> bool:
    """Whether a transpose brings the batch to the end, as far as is known: then rows change one another.

    That is told as such.
    """
    if node.op != "Transpose" or len(node.inputs) != 2:
        return False
    order = difference.export.value(node.inputs[1].node)
    return order is None or not order.array.size or int(order.array.reshape(-1)[-1]) == 0


_MOVES = frozenset({"Reshape", "Transpose"})


def _softmax_said(difference: Difference) -> str:
    reference, export = names_of(difference)
    flat = any(node.op == "Reshape" for node in difference.export_nodes)
    over = "several axes, made into one" if flat else "another axis"
    node = difference.reference_nodes[0]
    return f"{node.op} {node.name} is over the last axis in {reference}, over {over} in {export}."


SOFTMAX_AXIS = GraphCause(
    id="onnx-softmax-axis",
    where=_normalises_other_axes,
    says=_softmax_said,
    fix=(
        "Convert with an opset of at least 13, where a softmax has one axis (before, it is over all from `axis` on),"
        " and with the axis of training."
    ),
)


def _axes_fix(found: Differences) -> str:
    pictures = all(each.first for each in found.found)
    why = ": PIL says (width, height), arrays are [height, width]" if pictures else ""
    return f"Keep the order of axes of training{why}."


AXIS_TRANSPOSED = GraphCause(
    id="axis-transposed",
    where=_turns,
    says=lambda difference: f"Axes are exchanged: {_axes_said(difference)}.",
    fix=_axes_fix,
)
