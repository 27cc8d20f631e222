"""What a difference of the graphs is, in the words of the user's files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ....graph.align.divergence import Kind, attribute_told
from ....graph.graph import Array
from ....wording import enumerated
from ...places.divergences import Difference
from ...places.surroundings import Surroundings

MOST_NAMED = 6
"""Nodes of one place that are named, the nearest to the output first."""
_SPELT = 6
"""Up to so many numbers of a constant are written out."""


def nodes_to_name(difference: Difference) -> tuple[str, ...]:
    """The nodes of a difference as the export has them; those of the reference where it lacks them."""
    divergence = difference.divergence
    return (divergence.export or divergence.reference)[:MOST_NAMED]


def reader(difference: Difference) -> str:
    """The node that reads it first, or that it is an output."""
    readers = difference.divergence.readers
    return readers[0] if readers else "the output"


def names_of(difference: Difference) -> tuple[str, str]:
    """The graph of the reference, with its article, and the export: ``the checkpoint's graph``, ``model.pb``."""
    case = difference.evidence.case
    return f"the {case.reference_graph}", case.export_name


def fact_told(difference: Difference) -> str:
    """The fact that a difference is."""
    reference, export = names_of(difference)
    if difference.kind is Kind.ONLY_IN_REFERENCE:
        return f"{reference_ops(difference)} is in {reference} alone"
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{export_ops(difference)} is in {export} alone"
    if difference.kind is Kind.OP:
        return f"{reference_ops(difference)} in {reference}, {export_ops(difference)} in {export}"
    divergence = difference.divergence
    if divergence.inside:
        inner = divergence.inside[0]
        within = _worded(f"{inner.node}: {inner.detail}", reference, export)
        return f"{divergence.node}: in its {divergence.attribute}, {within}"
    return f"{divergence.node}: {_worded(divergence.detail, reference, export)}"


def _worded(detail: str, reference: str, export: str) -> str:
    return detail.replace("the reference", reference).replace("the export", export)


def reference_ops(difference: Difference) -> str:
    """What stands in the reference: ``Mul a/mul and Sub a/sub``."""
    spot = difference.spot
    return _placed(difference, _ops(spot.reference, spot.divergence.reference))


def export_ops(difference: Difference) -> str:
    """What stands in the export: ``Mul a/mul and Sub a/sub``."""
    spot = difference.spot
    return _placed(difference, _ops(spot.export, spot.divergence.export))


def _placed(difference: Difference, ops: str) -> str:
    divergence = difference.divergence
    return f"{ops} (in the {divergence.attribute} of {divergence.node})" if difference.inside else ops


def _ops(graph: Surroundings, names: Sequence[str]) -> str:
    return enumerated([f"{op_of(graph, name)} {name}" for name in names], 2)


def op_of(graph: Surroundings, name: str) -> str:
    """The op of a node, "node" where that is not known."""
    found = graph.flow.nodes.get(name)
    return found.op if found is not None else "node"


def short_number(value: float) -> str:
    """A number as short as it can be said."""
    return f"{value:.6g}"


def as_written(array: Array) -> str:
    """A small constant as it would be written, a large one by its shape."""
    if array.dtype.kind in "fiub" and array.size == 1:
        return short_number(float(array.reshape(-1)[0]))
    if array.dtype.kind in "fiub" and array.size <= _SPELT:
        return "[" + ", ".join(short_number(float(each)) for each in np.asarray(array).reshape(-1)) + "]"
    return f"{array.dtype} of shape {list(array.shape)}"


def constant_told(difference: Difference) -> str:
    """Both values of a constant that differs; of a large one, how many of its values do and by how much."""
    if len(difference.inside) == 1:
        divergence = difference.divergence
        return f"{divergence.node}: in its {divergence.attribute}, {constant_told(difference.inside[0])}"
    if difference.constants is None:
        return f"{fact_told(difference)}."
    (right, held), node = difference.constants, difference.spot.divergence.node
    reference, export = names_of(difference)
    note = " (the same numbers reversed)" if _reversed(right, held) else ""
    if (as_written(right), right.dtype) != (as_written(held), held.dtype) and max(
        right.size, held.size
    ) <= _SPELT:
        types = "" if right.dtype == held.dtype else f" ({right.dtype} and {held.dtype})"
        return (
            f"{node} is {as_written(right)} in {reference} and {as_written(held)} in {export}{note}{types}."
        )
    if right.shape != held.shape:
        return f"{node} has shape {list(right.shape)} in {reference} and {list(held.shape)} in {export}."
    if right.dtype != held.dtype:
        return f"{node} is {right.dtype} in {reference} and {held.dtype} in {export}."
    changed = np.asarray(right != held)
    first = np.unravel_index(int(np.argmax(changed)), changed.shape)
    return (
        f"{node}: {int(changed.sum())} of {right.size} values are others in {export} than in {reference}"
        f"{_distance(right, held)}{note}; the first, {_index(first)}, is {right[first]!s} in {reference} and"
        f" {held[first]!s} in {export}."
    )


def values_of_training(found: Iterable[Difference]) -> str:
    """The reference's values where settings differ, for a fix: `` (padding=SAME)``; empty if they are too long."""
    told = [setting for each in found if (setting := _setting(each.spot)) is not None]
    return f" ({enumerated(told)})" if told else ""


def _setting(difference: Difference) -> str | None:
    divergence, constants = difference.divergence, difference.constants
    if difference.is_setting and divergence.values is not None and divergence.values[0] is not None:
        return f"{divergence.attribute}={attribute_told(divergence.values[0])}"
    if constants is not None and constants[0].size <= _SPELT:
        return f"{divergence.node}={as_written(constants[0])}"
    return None


def _distance(right: Array, held: Array) -> str:
    if right.dtype.kind not in "fiu":
        return ""
    return (
        f", by up to {short_number(float(np.abs(right.astype(np.float64) - held.astype(np.float64)).max()))}"
    )


def _index(place: Sequence[np.intp]) -> str:
    return f"[{', '.join(str(int(each)) for each in place)}]"


def _reversed(right: Array, held: Array) -> bool:
    turned = right.shape == held.shape and right.ndim > 0 and bool((right[..., ::-1] == held).all())
    return turned and np.unique(right).size > 1
