"""What a difference of the graphs is, in the words of the user's files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....graph.align.divergence import Kind
from ....graph.graph import Array
from ...places.divergences import Difference
from ...places.surroundings import Surroundings
from ...wording import listed

SHOWN = 6
"""Nodes of one place that are named, the nearest to the output first."""
_SPELT = 6
"""Up to so many numbers of a constant are written out."""


def named(difference: Difference) -> tuple[str, ...]:
    """The nodes of a difference as the export has them; those of the reference where it lacks them."""
    divergence = difference.divergence
    return (divergence.export or divergence.reference)[:SHOWN]


def reader(difference: Difference) -> str:
    """The node that reads it first, or that it is an output."""
    readers = difference.divergence.readers
    return readers[0] if readers else "the output"


def names_of(difference: Difference) -> tuple[str, str]:
    """The graph of the reference, with its article, and the export: ``the checkpoint's graph``, ``model.pb``."""
    case = difference.evidence.case
    return f"the {case.reference_graph}", case.export_name


def shown(difference: Difference) -> str:
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
    return listed([f"{op_of(graph, name)} {name}" for name in names], 2)


def op_of(graph: Surroundings, name: str) -> str:
    """The op of a node, "node" where that is not known."""
    found = graph.flow.nodes.get(name)
    return found.op if found is not None else "node"


def number(value: float) -> str:
    """A number as short as it can be said."""
    return f"{value:.6g}"


def spelt(array: Array) -> str:
    """A small constant as it would be written, a large one by its shape."""
    if array.dtype.kind in "fiub" and array.size == 1:
        return number(float(array.reshape(-1)[0]))
    if array.dtype.kind in "fiub" and array.size <= _SPELT:
        return "[" + ", ".join(number(float(each)) for each in np.asarray(array).reshape(-1)) + "]"
    return f"{array.dtype} of shape {list(array.shape)}"
