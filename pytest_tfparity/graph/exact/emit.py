"""Writing the nodes of the float64 graph, each under the name of the node that it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..edit.repair import constant_node, tensor_of_array
from ..graph import Attr, DType, Node, TensorName
from ..signatures import signature
from .types import DOUBLE

PREFIX = "tfparity_exact/"
"""Before the name of a node: the node that computes the same in float64."""


@dataclass(slots=True)
class Emitter:
    """Collects nodes by name."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def add(
        self,
        name: str,
        op: str,
        inputs: Iterable[TensorName],
        attrs: Mapping[str, Attr],
        controls: tuple[str, ...] = (),
    ) -> TensorName:
        """A node; its first output."""
        node = Node(name=name, op=op, inputs=tuple(inputs), controls=controls, attrs=attrs)
        self.nodes[name] = node
        return TensorName(name, 0)

    def cast(self, source: TensorName, given: int, wanted: int) -> TensorName:
        """``source`` of type ``given`` as type ``wanted``."""
        if given == wanted:
            return source
        name = f"{PREFIX}{source.node.removeprefix(PREFIX)}/cast_{source.port}_{given}_{wanted}"
        if name not in self.nodes:
            self.add(name, "Cast", [source], {"SrcT": DType(given), "DstT": DType(wanted)})
        return TensorName(name, 0)


@dataclass(slots=True)
class Spelling:
    """Writes the nodes that stand for one node. All numbers are float64 where nothing else is said.

    ``beside`` is a node that runs whenever that one does: constants wait for it, in its loop, in its branch.
    """

    emitter: Emitter
    node: Node
    beside: str

    def op(self, op: str, *inputs: TensorName, **attrs: Attr) -> TensorName:
        """A node of ``op`` with type float64 (``T``), its first output."""
        name = f"{PREFIX}{self.node.name}/{len(self.emitter.nodes)}_{op}"
        known = signature(op)
        typed = {"T": DType(DOUBLE)} if known is not None and "T" in known.attrs else {}
        return self.emitter.add(name, op, inputs, {**typed, **attrs})

    def constant(self, value: object, dtype: type = np.float64) -> TensorName:
        """A constant that is there whenever the node is."""
        name = f"{PREFIX}{self.node.name}/{len(self.emitter.nodes)}_constant"
        made = constant_node(name, tensor_of_array(np.asarray(value, dtype=dtype)))
        return self.emitter.add(name, "Const", (), made.attrs, (self.beside,))

    def add(self, one: TensorName, other: TensorName) -> TensorName:
        """The sum."""
        return self.op("AddV2", one, other)

    def sub(self, one: TensorName, other: TensorName) -> TensorName:
        """The difference."""
        return self.op("Sub", one, other)

    def mul(self, one: TensorName, other: TensorName) -> TensorName:
        """The product."""
        return self.op("Mul", one, other)

    def div(self, one: TensorName, other: TensorName) -> TensorName:
        """The quotient."""
        return self.op("RealDiv", one, other)

    def matmul(self, one: TensorName, other: TensorName) -> TensorName:
        """The product of two matrices."""
        return self.op("MatMul", one, other)

    def mean(self, value: TensorName, axes: TensorName) -> TensorName:
        """The mean over ``axes`` (int32), which stay as 1."""
        return self.op("Mean", value, axes, Tidx=DType(3), keep_dims=True)

    def cast(self, source: TensorName, given: int, wanted: int = DOUBLE) -> TensorName:
        """``source`` of type ``given`` as ``wanted``."""
        return self.emitter.cast(source, given, wanted)
