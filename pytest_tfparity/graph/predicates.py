"""The scalars of a graph that are known before it is run, and what a conditional takes them for."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np

from . import ops
from .graph import Array, DType, Graph, Node, Shape, Tensor, TensorName
from .loops import Lookup
from .read.tensors import base_dtype, numpy_dtype
from .scalars import FOLDED, Scalar, folded, holds, is_true, scalar_of
from .variables import Storage, Variables, storage_of

_COPIES = ops.PASS_THROUGH | ops.ENTERS | {"EnsureShape", "PlaceholderWithDefault"}
"""Ops that hand a value on as their output 0."""


class Predicates:
    """What is known of the scalars of ``graph`` when ``inputs`` are fed anything and ``feeds`` constants.

    Nodes are told to :meth:`follow` inputs first. ``relied`` are the variables whose values were used.
    """

    def __init__(
        self,
        graph: Graph,
        node: Lookup,
        inputs: Set[TensorName],
        feeds: Mapping[TensorName, Array],
        variables: Variables,
    ) -> None:
        self.fed = inputs | feeds.keys()
        self.relied: set[Storage] = set()
        self._node = node
        self._producer = graph.producer
        self._variables = variables
        self._constants = {
            tensor: fed_tensor(graph.nodes.get(tensor.node), array)
            for tensor, array in feeds.items()
            if tensor not in inputs
        }
        self.values: dict[TensorName, Scalar | None] = {
            tensor: scalar_of(value) for tensor, value in self._constants.items()
        }

    def value(self, tensor: TensorName) -> Scalar | None:
        """The value of a scalar that is known, None of any other tensor."""
        if tensor in self.values:
            return self.values[tensor]
        node = None if tensor in self.fed else self._node(tensor.node)
        return None if node is None else constant_scalar(node)

    def follow(self, node: Node) -> None:
        """Note what is known of the outputs of ``node``, now that all is known of what it reads."""
        if node.op in _COPIES:
            self._copy(node, 1)
        elif node.op == "IdentityN":
            self._copy(node, len(node.inputs))
        elif node.op in ops.SWITCHES and node.inputs:
            for port in (0, 1):
                self.learn(TensorName(node.name, port), self.value(node.inputs[0]))
        elif node.op in FOLDED:
            self._fold(node)
        elif node.op in ops.VARIABLES:
            self._read(node)

    def decides_switch(self, predicate: TensorName) -> bool | None:
        """Which side of a ``Switch`` a predicate names: it must be a bool, and TensorFlow refuses any shape."""
        value = self.value(predicate)
        return bool(value) if isinstance(value, np.bool_) else None

    def decides_case(self, index: TensorName) -> int | None:
        """Which branch of a ``Case`` is meant, counted from 0."""
        value = self.value(index)
        return int(value) if isinstance(value, np.int32) and self._is_scalar(index) else None

    def decides_if(self, predicate: TensorName) -> bool | None:
        """What ``If`` takes ``predicate`` for: its value if it is a scalar, else whether it has an element."""
        value = self.value(predicate)
        if value is not None:
            return is_true(value) if self._is_scalar(predicate) else None
        constant = self._constant(predicate)
        return None if constant is None else holds(constant)

    def _constant(self, tensor: TensorName) -> Tensor | None:
        """The constant that ``tensor`` is, whatever its shape, through what only hands it on."""
        seen: set[TensorName] = set()
        while tensor not in seen:
            seen.add(tensor)
            if tensor in self.fed:
                return self._constants.get(tensor)
            node = self._node(tensor.node)
            if node is None or node.op not in _COPIES or not node.inputs:
                value = None if node is None or node.op != "Const" else node.attrs.get("value")
                return value if isinstance(value, Tensor) else None
            tensor = node.inputs[0]
        return None

    def _is_scalar(self, tensor: TensorName) -> bool:
        """Whether a tensor whose value is known if it is a scalar is one, whatever is fed."""
        stack, seen = [tensor], {tensor}
        while stack:
            current = stack.pop()
            node = self._node(current.node)
            if node is None:
                return False
            if current in self.fed or not node.inputs:
                if not self._holds_scalar(current, node):
                    return False
                continue
            sources = node.inputs[:1] if node.op in _COPIES | ops.SWITCHES else node.inputs
            if node.op not in _COPIES | ops.SWITCHES | FOLDED:
                return False
            stack.extend(source for source in sources if source not in seen)
            seen.update(sources)
        return True

    def _holds_scalar(self, tensor: TensorName, node: Node) -> bool:
        """Whether a tensor that is fed or made of nothing is a scalar; no where that is not known.

        Before producer 24 a placeholder of shape ``()`` took any.
        """
        constant = self._constants.get(tensor)
        if constant is not None:
            return constant.shape == ()
        if node.op in ops.PLACEHOLDERS:
            return node.attrs.get("shape") == Shape(()) and self._producer >= 24
        return tensor not in self.fed and self.value(tensor) is not None

    def _copy(self, node: Node, outputs: int) -> None:
        for port, source in enumerate(node.inputs[:outputs]):
            self.learn(TensorName(node.name, port), self.value(source))

    def _fold(self, node: Node) -> None:
        values = [self.value(source) for source in node.inputs]
        if any(value is not None for value in values):
            self.learn(TensorName(node.name, 0), folded(node.op, node.attrs, values))

    def learn(self, tensor: TensorName, value: Scalar | None) -> None:
        """Note the value of a tensor, if it is known."""
        if value is not None and tensor not in self.fed:
            self.values[tensor] = value

    def _read(self, node: Node) -> None:
        held = self._variables.value(node)
        value = None if held is None else scalar_of(held)
        if value is not None:
            self.relied.add(storage_of(node))
            self.learn(TensorName(node.name, 0), value)


def fed_tensor(node: Node | None, array: Array) -> Tensor:
    """A feed as TensorFlow sees it: of the dtype of the tensor that is fed."""
    array = np.asarray(array)
    attrs = node.attrs if node is not None else {}
    dtype = next((attrs[key] for key in ("dtype", "T") if isinstance(attrs.get(key), DType)), None)
    if isinstance(dtype, DType):
        dtype = base_dtype(dtype)
        kind = numpy_dtype(dtype)
        array = array if kind is None else array.astype(kind)
    else:
        dtype = next(
            (DType(n) for n in (1, 2, 3, 9, 10, 4, 7) if numpy_dtype(DType(n)) == array.dtype), DType(0)
        )
    return Tensor(dtype, array.shape, lambda: array)


def constant_scalar(node: Node) -> Scalar | None:
    """The number that a ``Const`` node holds, None of any other."""
    value = node.attrs.get("value") if node.op == "Const" else None
    return scalar_of(value) if isinstance(value, Tensor) else None
