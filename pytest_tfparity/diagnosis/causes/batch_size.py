"""A batch size that is built into the export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...graph.align.divergence import Divergence, Kind
from ...graph.graph import Array, Node
from ...graph.layer import layers_of
from ...graph.proof.proof import Side
from ...graph.read.tensors import values
from ...runtime.feeds import tensor_spec
from ...runtime.matching import Half
from ...wording import enumerated
from ..alignment import divergences
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..needed import known_nodes, live_export
from ..places.repairs import as_reference_at
from ..run_mode import fed

BATCH_DIM_PINNED = "batch-dim-pinned"

_SHAPED: Mapping[str, int] = {
    "Reshape": 1, "BroadcastTo": 1, "Fill": 0, "Tile": 1, "RandomUniform": 0, "RandomStandardNormal": 0,
    "TruncatedNormal": 0, "Conv2DBackpropInput": 0, "Slice": 2, "StridedSlice": 2, "ScatterNd": 2,
}  # fmt: skip
"""Ops that are told a shape, and by which input."""

_INTEGERS = (3, 9)
"""The types (int32, int64) that a shape may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pinned:
    """A node of the export that a divergence gives a fixed number of rows."""

    node: Node
    rows: int
    divergence: Divergence


def _fixed_inputs(evidence: Evidence) -> Iterator[Suspicion]:
    """Inputs whose number of rows is fixed, so that the golden batch is cut to it."""
    for tensor, value in evidence[fed].items():
        if not value.ndim or tensor.node not in evidence.export.graph.nodes:
            continue
        dims, rows = tensor_spec(evidence.export.graph, tensor).dims, value.shape[0]
        if not dims or dims[0] < 1 or not rows % dims[0] or len(dims) != value.ndim:
            continue
        yield Suspicion(
            cause=BATCH_DIM_PINNED,
            nodes=(tensor.node,),
            scopes=(tensor.node,),
            message=f"{tensor} of {evidence.case.export_name} takes batches of exactly {dims[0]}; the golden"
            f" batch has {rows} rows.",
            fix="Build the export's placeholder with None for the batch.",
        )


def _fixed_shapes(evidence: Evidence) -> Iterator[Suspicion]:
    """Nodes that are told a shape with a number of rows, where the reference leaves it open."""
    found = [pinned for each in evidence[divergences] for pinned in _pinned(evidence, each)]
    if not found:
        return
    case, rows = evidence.case, found[0].rows
    nodes = tuple(dict.fromkeys(each.node.name for each in found))
    places = _with_slices(evidence, [each.divergence for each in found])
    yield Suspicion(
        cause=BATCH_DIM_PINNED,
        nodes=nodes,
        scopes=layers_of(nodes),
        message=f"{found[0].node.op} {enumerated(nodes)} of {case.export_name} fixes the batch to {rows}"
        f" row{'s' if rows != 1 else ''}; the {case.reference_graph} leaves it open.",
        fix="Use -1 for the leading dimension, or tf.shape(x)[0], and export again.",
        repair=tuple(edit for each in places for edit in as_reference_at(evidence, each)),
    )


def _pinned(evidence: Evidence, divergence: Divergence) -> Iterator[_Pinned]:
    """The nodes that a divergence gives a fixed number of rows."""
    if divergence.kind is Kind.ONLY_IN_EXPORT:
        yield from _folded_together(evidence, divergence)
    if divergence.kind not in (Kind.CONSTANT, Kind.OP) or not divergence.export:
        return
    rows = _rows(evidence.export, divergence.export[0])
    if rows is None or not _is_open(evidence, divergence):
        return
    for reader in divergence.readers:
        node = evidence[live_export].get(reader)
        if node is not None and _shaped_by(node, divergence.export[0]) and _of_batch(evidence, node):
            yield _Pinned(node=node, rows=rows, divergence=divergence)


def _is_open(evidence: Evidence, divergence: Divergence) -> bool:
    """Whether the reference computes the shape in the place of the export's constant, or leaves its rows open."""
    right = _shape(evidence.reference, divergence.reference[0])
    held = _shape(evidence.export, divergence.export[0])
    return right is None or held is None or (right.size == held.size and right[0] == -1)


def _shaped_by(node: Node, shape: str) -> bool:
    """Whether the node ``shape`` tells ``node`` its shape."""
    position = _SHAPED.get(node.op)
    return position is not None and len(node.inputs) > position and node.inputs[position].node == shape


def _folded_together(evidence: Evidence, divergence: Divergence) -> Iterator[_Pinned]:
    """Nodes of the export alone that fold a batch into a fixed number of rows, so that outputs lose theirs."""
    outputs = evidence.case.outputs
    if outputs and all(output.problem is None or "shape" not in output.problem for output in outputs):
        return
    for node in known_nodes(evidence[live_export], divergence.export):
        rows = _rows(evidence.export, node.inputs[1].node) if node.op == "Reshape" else None
        if rows is not None and _of_batch(evidence, node):
            yield _Pinned(node=node, rows=rows, divergence=divergence)


def _rows(side: Side, name: str) -> int | None:
    """The number of rows that a constant shape fixes; None where it leaves them open or is no shape."""
    shape = _shape(side, name)
    return int(shape[0]) if shape is not None and shape.size and shape[0] >= 1 else None


def _shape(side: Side, name: str) -> Array | None:
    """A constant that can be a shape, as whole numbers; None for anything else."""
    tensor = side.value(name)
    if tensor is None or len(tensor.shape) != 1 or tensor.dtype.number not in _INTEGERS:
        return None
    return values(tensor)


def _of_batch(evidence: Evidence, node: Node) -> bool:
    """Whether what is shaped depends on an input: the rows of a weight are no batch."""
    return node.name in Half.of(evidence.export).varying


def _with_slices(evidence: Evidence, found: Sequence[Divergence]) -> Iterator[Divergence]:
    """The divergences themselves, and nodes that stand in the export alone right behind them.

    What takes the first rows of a batch that was folded together belongs to the same fault.
    """
    readers = {name for each in found for name in each.readers}
    behind = {
        name
        for name, node in evidence[live_export].items()
        if any(source.node in readers for source in node.inputs)
    }
    yield from found
    for each in evidence[divergences]:
        if each.kind is Kind.ONLY_IN_EXPORT and set(each.export) & behind:
            yield each


CAUSES: tuple[Cause, ...] = (Cause(id=BATCH_DIM_PINNED, ways=(_fixed_inputs, _fixed_shapes)),)
