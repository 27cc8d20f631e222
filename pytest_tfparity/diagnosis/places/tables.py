"""Lookup tables of both sides by what they hold: the keys and values that their initialisers put into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph import ops
from ...graph.edit.repair import Edit, Repair, Rewrite, Wire, constant_node, tensor_of_array
from ...graph.graph import Array, DType, Graph, Node, Tensor, TensorName
from ...graph.read.tensors import numpy_dtype
from ..alignment import alignment
from ..evidence import Evidence
from ..query import query
from .batch_norms import free_name

_DEEPEST = 8
"""Nodes between an initialiser and its constants: a cast, a range, an identity each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContent:
    """What one initialiser, the node ``initialiser``, puts into a table: ``keys[i]`` has ``values[i]``."""

    initialiser: str
    keys: Array
    values: Array

    @property
    def entries(self) -> Mapping[Any, Any]:
        """Key to value."""
        return dict(zip(self.keys.reshape(-1).tolist(), self.values.reshape(-1).tolist(), strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTable:
    """The table ``table`` of the export, which holds something else than ``reference``'s table in its place."""

    table: str
    reference: str
    right: TableContent
    held: TableContent


@query
def other_tables(evidence: Evidence) -> tuple[OtherTable, ...]:
    """The tables that both sides fill from constants, with other entries; their order says nothing."""
    return tuple(_find(evidence))


def _find(evidence: Evidence) -> Iterator[OtherTable]:
    for reference, export in evidence[alignment].nodes.items():
        node = evidence.reference.graph.nodes.get(reference)
        if node is None or node.op not in ops.TABLES:
            continue
        right, held = _content(evidence.reference.graph, reference), _content(evidence.export.graph, export)
        if right is not None and held is not None and right.entries != held.entries:
            yield OtherTable(table=export, reference=reference, right=right, held=held)


def as_reference(evidence: Evidence, other: OtherTable) -> Repair:
    """The edits that fill a table of the export as the reference fills it."""
    edits: list[Edit] = []
    taken: list[str] = []
    for position, name, value in ((1, "keys", other.right.keys), (2, "values", other.right.values)):
        taken.append(free_name(evidence, f"{other.table}/{name}", taken))
        edits.append(Rewrite(node=constant_node(taken[-1], tensor_of_array(value))))
        edits.append(Wire(node=other.held.initialiser, position=position, source=TensorName(taken[-1], 0)))
    return tuple(edits)


def _content(graph: Graph, table: str) -> TableContent | None:
    """What the one initialiser of ``table`` puts into it; None if that is no constant."""
    found = [
        node
        for node in graph.nodes.values()
        if ops.initialises_table(node.op) and len(node.inputs) == 3 and _is_of(graph, node.inputs[0], table)
    ]
    if len(found) != 1:
        return None
    keys, values = (_value(graph, source, _DEEPEST) for source in found[0].inputs[1:])
    if keys is None or values is None or keys.size != values.size:
        return None
    return TableContent(initialiser=found[0].name, keys=keys, values=values)


def _is_of(graph: Graph, tensor: TensorName, table: str) -> bool:
    name = tensor.node
    for _ in range(_DEEPEST):
        node = graph.nodes.get(name)
        if name == table or node is None or node.op not in ops.IDENTITIES:
            break
        name = node.inputs[0].node
    return name == table


def _value(graph: Graph, tensor: TensorName, depth: int) -> Array | None:
    """The value of a tensor that is made of constants as vocabularies are: a list, a range, another type."""
    node = graph.nodes.get(tensor.node)
    if node is None or depth == 0:
        return None
    if node.op == "Const":
        held = node.attrs.get("value")
        return held.array if isinstance(held, Tensor) else None
    inputs = [_value(graph, source, depth - 1) for source in node.inputs]
    known = [value for value in inputs if value is not None]
    return _computed(node, known) if len(known) == len(inputs) else None


def _computed(node: Node, inputs: list[Array]) -> Array | None:
    if node.op in ops.IDENTITIES:
        return inputs[0]
    if node.op == "Cast":
        wanted = node.attrs.get("DstT")
        dtype = numpy_dtype(wanted) if isinstance(wanted, DType) else None
        return None if dtype is None else inputs[0].astype(dtype)
    if node.op == "Range" and all(value.size == 1 for value in inputs):
        start, limit, delta = (int(value.reshape(())) for value in inputs)
        return np.arange(start, limit, delta).astype(inputs[0].dtype) if delta else None
    return None
