"""A side that takes its inputs and gives its outputs with their axes in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from ..graph import Attr, DType, Node, Shape, Tensor, TensorName
from ..proof.proof import Side
from ..signatures import ANY, types_of
from .repair import constant_node, tensor_of_array

Axes: TypeAlias = "tuple[int, ...] | None"
"""Axes in the order that ``numpy.transpose`` takes; None leaves them as they are."""


def inverse(axes: Sequence[int]) -> tuple[int, ...]:
    """The order of axes that takes back what ``axes`` did."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def transposed(side: Side, inputs: Sequence[Axes], outputs: Sequence[Axes]) -> Side:
    """``side`` asked in another layout: it makes its own of an input by transposing it with the axes of ``inputs``.

    It gives in that layout what its outputs are when the axes of ``outputs`` are taken back. ``inputs`` and
    ``outputs`` correspond to those of ``side``. A ``Transpose`` of the graph that undoes a new one vanishes with it.
    """
    if not any(inputs) and not any(outputs):
        return side
    patch = _Patch(side)
    taken = tuple(
        patch.input(tensor, axes) if axes else tensor
        for tensor, axes in zip(side.inputs, inputs, strict=True)
    )
    given = tuple(
        patch.output(tensor, inverse(axes)) if axes else tensor
        for tensor, axes in zip(side.outputs, outputs, strict=True)
    )
    return replace(side, graph=replace(side.graph, nodes=patch.nodes), inputs=taken, outputs=given)


@dataclass(slots=True)
class _Patch:
    side: Side
    nodes: dict[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = dict(self.side.graph.nodes)

    def input(self, tensor: TensorName, axes: tuple[int, ...]) -> TensorName:
        """A placeholder whose transposed value is read where ``tensor`` was."""
        dtype, name = self.dtype(tensor), self.fresh(f"{tensor.node}_in_the_layout_of_the_reference")
        placed, turned = TensorName(name, 0), TensorName(self.fresh(f"{tensor.node}_transposed"), 0)
        readers = [node for node in self.nodes.values() if tensor in node.inputs]
        for node in readers:
            if node.inputs[0] == tensor and self._axes(node) == list(inverse(axes)):
                self.nodes[node.name] = Node(name=node.name, op="Identity", inputs=(placed,), attrs=dtype)
                continue
            inputs = tuple(turned if source == tensor else source for source in node.inputs)
            self.nodes[node.name] = node._replace(inputs=inputs)
        known = self.nodes[tensor.node].attrs.get("shape")
        dims = known.dims if isinstance(known, Shape) else None
        dims = tuple(dims[axis] for axis in inverse(axes)) if dims and len(dims) == len(axes) else None
        attrs: dict[str, Attr] = {"shape": Shape(dims)} if dims else {"shape": Shape(None)}
        if "T" in dtype:
            attrs["dtype"] = dtype["T"]
        self.nodes[name] = Node(name=name, op="Placeholder", attrs=attrs)
        self.transpose(turned.node, placed, axes, dtype)
        return placed

    def output(self, tensor: TensorName, axes: tuple[int, ...]) -> TensorName:
        """``tensor`` transposed."""
        node = self.nodes[tensor.node]
        if self._axes(node) == list(inverse(axes)):
            return node.inputs[0]
        name = self.fresh(f"{tensor.node}_in_the_layout_of_the_reference")
        self.transpose(name, tensor, axes, self.dtype(tensor))
        return TensorName(name, 0)

    def transpose(self, name: str, source: TensorName, axes: Sequence[int], attrs: dict[str, Attr]) -> None:
        """Add a ``Transpose`` of ``source``."""
        order = self.fresh(f"{name}/perm")
        self.nodes[order] = constant_node(order, tensor_of_array(np.array(axes, np.int32)))
        attrs = {**attrs, "Tperm": DType(3)}
        self.nodes[name] = Node(name=name, op="Transpose", inputs=(source, TensorName(order, 0)), attrs=attrs)

    def dtype(self, tensor: TensorName) -> dict[str, Attr]:
        """The type of ``tensor`` as an attribute; empty where it is not known."""
        node = self.nodes[tensor.node]
        types = types_of(node.op, node.attrs)
        number = types[1][tensor.port] if types is not None and tensor.port < len(types[1]) else ANY
        return {} if number == ANY else {"T": DType(number)}

    def _axes(self, node: Node) -> list[int] | None:
        """The axes of a ``Transpose`` that are a constant; None of anything else."""
        if node.op != "Transpose" or len(node.inputs) != 2:
            return None
        order = self.nodes.get(node.inputs[1].node)
        held = order.attrs.get("value") if order is not None and order.op == "Const" else None
        return [int(axis) for axis in held.array.reshape(-1)] if isinstance(held, Tensor) else None

    def fresh(self, name: str) -> str:
        """``name``, or one like it that no node has."""
        candidate, number = name, 0
        while candidate in self.nodes:
            number += 1
            candidate = f"{name}_{number}"
        return candidate
