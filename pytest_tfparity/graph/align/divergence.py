"""Where two graphs differ, and which of their nodes correspond: what an alignment says, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ...wording import enumerated
from ..graph import Attr, DType, Function, Shape, listed
from ..normal.form import NormalNode
from ..read.mapped import pieces
from ..read.tensors import dtype_name
from .view import View


class Kind(Enum):
    """In what two graphs differ."""

    CONSTANT = "constant"
    ATTRIBUTE = "attribute"
    OP = "op"
    WIRING = "wiring"
    ONLY_IN_REFERENCE = "only in the reference"
    ONLY_IN_EXPORT = "only in the export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """A place where the computation itself differs, whatever came before it.

    ``reference`` and ``export`` are nodes of the original graphs, the one nearest to the output
    first; a constant is named after its variable. ``attribute`` and ``values`` (reference, export)
    are set for attributes. ``readers`` are the nodes of the export (of the reference if it lacks
    them) that read what differs. ``downstream`` says that another divergence lies before this one.
    ``inside`` are the divergences inside a function that differs, by the names in its body; ``ops``
    are those of the nodes (reference, export).
    """

    kind: Kind
    reference: tuple[str, ...]
    export: tuple[str, ...]
    detail: str
    attribute: str | None = None
    values: tuple[Attr, Attr] | None = None
    readers: tuple[str, ...] = ()
    downstream: bool = False
    inside: tuple[Divergence, ...] = ()
    ops: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def node(self) -> str:
        """The node to name: the export's, or the reference's where the export lacks it."""
        return self.export[0] if self.export else self.reference[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The divergences, those nearest to the inputs first, and the nodes that correspond.

    ``nodes`` maps nodes of the reference to nodes of the export, by the names of the original
    graphs; what was inlined from functions or stands on one side only is not in it.
    """

    divergences: tuple[Divergence, ...]
    nodes: Mapping[str, str]


def nodes_told(view: View, indices: tuple[int, ...]) -> str:
    """Nodes with their ops, the first few of them."""
    return enumerated(f"{view.nodes[index].op} {view.nodes[index].name}" for index in indices)


def constants_told(reference: NormalNode, export: NormalNode) -> str:
    """In what two constants differ."""
    a, b = reference.value, export.value
    if a is None or b is None:
        return "only one side is constant"
    if a.dtype != b.dtype:
        return f"{dtype_name(a.dtype)} in the reference and {dtype_name(b.dtype)} in the export"
    if a.shape != b.shape:
        return f"shape {list(a.shape)} in the reference and {list(b.shape)} in the export"
    if a.shape == () and a.array.dtype != object:
        return f"{a.array.item()!r} in the reference and {b.array.item()!r} in the export"
    parts = zip(pieces(a.array), pieces(b.array), strict=True)
    different = sum(int(np.count_nonzero(one != other)) for one, other in parts)
    return f"{different} of {a.array.size} values differ"


def attribute_told(value: Attr) -> str:
    """An attribute as a user would write it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, DType):
        return dtype_name(value)
    if isinstance(value, Shape):
        return "unknown" if value.dims is None else str(list(value.dims))
    if isinstance(value, Function):
        return value.name
    if isinstance(value, float):
        return f"{value:g}"
    values = listed(value)
    return str(value) if values is None else "[" + ", ".join(map(attribute_told, values)) + "]"
