"""The values that a restore gives the variables of a graph, found by node or by shared name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from . import ops
from .graph import Attr, FunctionNode, Graph, Node, Shape, Tensor


class Storage(NamedTuple):
    """What tells a variable from others: ``kind`` of storage, container and name in it.

    Nodes with one storage are one variable. Source: ``ContainerInfo::Init`` (resource_mgr.cc), which gives a
    reference variable without a ``shared_name`` its node's name, and ``VarHandleOp`` (resource_variable_ops.cc),
    which gives a resource without one the empty name. The two kinds are different C++ types, kept apart.
    """

    kind: str
    container: str
    name: str


class Variables:
    """The known values of a graph's variables; ``but`` are the storages that a run changes."""

    def __init__(self, graph: Graph, values: Mapping[str, Tensor], but: Collection[Storage] = ()) -> None:
        self._nodes = graph.nodes
        self._values = values
        self._but = but
        self._stored: dict[Storage, Tensor | None] | None = None

    def without(self, storages: Collection[Storage]) -> Variables:
        """The same, nothing known of the variables ``storages``."""
        changed = Variables(Graph(self._nodes), self._values, {*self._but, *storages})
        changed._stored = self._stored
        return changed

    def value(self, node: Node) -> Tensor | None:
        """The value of the variable that ``node`` holds or is a handle of; None where it has none.

        Nor has a storage that is given two values: which one is the last is not known. Nor one that can hold
        no such value.
        """
        value = self._stored_value(node)
        return value if value is None or _can_hold(node, value) else None

    def _stored_value(self, node: Node) -> Tensor | None:
        storage = storage_of(node)
        if storage in self._but:
            return None
        stored = self._by_storage()
        if storage in stored:
            return stored[storage]
        return None if storage.name in self._nodes else self._values.get(storage.name)

    def _by_storage(self) -> Mapping[Storage, Tensor | None]:
        if self._stored is None:
            self._stored = {}
            for name, value in self._values.items():
                if name in self._nodes:
                    storage = storage_of(self._nodes[name])
                    other = self._stored.setdefault(storage, value)
                    if other is None or not _is_same(other, value):
                        self._stored[storage] = None
        return self._stored


def _can_hold(node: Node, value: Tensor) -> bool:
    """Whether a variable is of the type and shape of ``value``; -1 and a shape that is not known mean any.

    A reference variable of a known rank has all its dimensions (``VariableOp``, variable_ops.cc).
    """
    if node.attrs.get("dtype", value.dtype) != value.dtype:
        return False
    shape = node.attrs.get("shape")
    if not isinstance(shape, Shape) or shape.dims is None:
        return True
    if len(shape.dims) != len(value.shape) or (-1 in shape.dims and node.op != "VarHandleOp"):
        return False
    return all(dim in (-1, size) for dim, size in zip(shape.dims, value.shape, strict=True))


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two values have the same bits."""
    if one is other:
        return True
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    first, second = one.array, other.array
    if first.dtype == object:
        return bool(np.array_equal(first, second))
    return first.tobytes() == second.tobytes()


_DEFAULT_CONTAINER = "localhost"
"""What an empty container means (``ResourceMgr::default_container``)."""


def storage_of(node: Node | FunctionNode) -> Storage:
    """Where the variable of ``node`` is kept."""
    container = _text(node.attrs.get("container")) or _DEFAULT_CONTAINER
    shared = _text(node.attrs.get("shared_name"))
    if node.op == "VarHandleOp":
        return Storage("resource", container, shared)
    kind = "reference" if node.op in ops.REFERENCE_VARIABLES else node.op
    return Storage(kind, container, shared or node.name)


def _text(value: Attr) -> str:
    return value.decode("utf-8", "replace") if value and isinstance(value, bytes) else ""


def written_variable(graph: Graph, node: str) -> str | None:
    """The variable that a node writes to, or the constant it was frozen into: the root of its first input."""
    seen = set()
    while node in graph.nodes and node not in seen:
        seen.add(node)
        if graph.nodes[node].op in ops.VARIABLES or graph.nodes[node].op == "Const":
            return node
        if not graph.nodes[node].inputs:
            return None
        node = graph.nodes[node].inputs[0].node
    return None
