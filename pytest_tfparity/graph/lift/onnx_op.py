"""One operator of an ONNX file that is being translated: its inputs in the layout that is wanted, its attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from ..graph import Array, Attr, DType, TensorName
from ..read.onnx import OnnxNode, OnnxTensor
from .builder import GraphBuilder, Translated
from .lifted import Grid
from .onnx_shapes import Numbers

_MOST_KNOWN = 16
Order: TypeAlias = "tuple[int, ...] | None"
"""The order of a tensor's axes in the lifted graph, as ``numpy.transpose`` takes it; None is that of the file."""
Dims: TypeAlias = "tuple[int, ...] | None"
"""A shape in the file's own order; -1 is an open dimension, None an unknown rank."""


class NotLifted(Exception):
    """An operator has no TensorFlow op, or is used in a way that the tables do not know."""


class Value(NamedTuple):
    """What a tensor of the file has become: ``tensor`` is it with its axes in ``order``; ``dims`` are the file's."""

    tensor: TensorName
    order: Order
    dims: Dims


class Lifter(Protocol):
    """The graph that an operator is put into."""

    make: GraphBuilder
    numbers: dict[str, Numbers]

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""

    def constant(self, name: str) -> OnnxTensor | None:
        """The constant that a tensor is; None where it is computed."""

    def value(self, name: str) -> Value:
        """What a tensor has become."""

    def plain(self, value: Value) -> TensorName:
        """``value`` with its axes as the file has them."""

    def in_order(self, value: Value, order: Order) -> TensorName:
        """``value`` with its axes in ``order``."""

    def weights(self, name: str, layout: Callable[[Array], Array] | None) -> TensorName:
        """A constant in another layout."""

    def fold(self, name: str, tensor: OnnxTensor, grid: Grid | None = None) -> None:
        """Note that a tensor is a constant."""

    def on_grid(self, value: Value, name: str, kind: str, grid: Grid) -> None:
        """Note that ``value`` is rounded to a grid."""


def channels_last(rank: int) -> tuple[int, ...]:
    """The axes of images of the file in TensorFlow's order: the second one at the end."""
    return (0, *range(2, rank), 1)


class Op(Translated):
    """An operator. Its methods raise NotLifted where it is not used as they know it."""

    def __init__(self, node: OnnxNode, lifter: Lifter) -> None:
        self.node = node
        self.lifter = lifter
        self.make = lifter.make
        self.name = node.name or node.outputs[0]
        self.opset = lifter.opset

    def has(self, position: int) -> bool:
        """Whether there is an input at ``position``."""
        return position < len(self.node.inputs) and bool(self.node.inputs[position])

    def input(self, position: int) -> str:
        """The file's name of input ``position``."""
        if not self.has(position):
            raise NotLifted
        return self.node.inputs[position]

    def value(self, position: int) -> Value:
        """What input ``position`` has become."""
        return self.lifter.value(self.input(position))

    def plain(self, position: int) -> TensorName:
        """Input ``position`` with its axes as the file has them."""
        return self.lifter.plain(self.value(position))

    def last(self, position: int, rank: int | None = None) -> TensorName:
        """Input ``position``, an image of ``rank`` axes (default: as it is known), with its channels last."""
        order = channels_last(self.rank(position) if rank is None else rank)
        return self.lifter.in_order(self.value(position), order)

    def dims(self, position: int) -> Dims:
        """The shape of input ``position`` as the file has it."""
        constant = self.constant(position)
        return constant.dims if constant is not None else self.value(position).dims

    def rank(self, position: int) -> int:
        """The number of axes of input ``position``."""
        dims = self.dims(position)
        order = None if dims is not None else self.value(position).order
        if dims is None and order is None:
            raise NotLifted
        return len(dims if dims is not None else order or ())

    def constant(self, position: int) -> OnnxTensor | None:
        """The constant that input ``position`` is; None where it is computed or absent."""
        return self.lifter.constant(self.node.inputs[position]) if self.has(position) else None

    def array(self, position: int) -> Array:
        """The value of input ``position``, a constant."""
        found = self.constant(position)
        if found is None:
            raise NotLifted
        return found.load()

    def numbers(self, position: int) -> list[int]:
        """The whole numbers of input ``position``, a constant."""
        return [int(each) for each in self.array(position).reshape(-1).tolist()]

    def known(self, position: int) -> Numbers | None:
        """What is known of the whole numbers of input ``position``; None where it is no short list of them."""
        if not self.has(position):
            return None
        found = self.lifter.numbers.get(self.node.inputs[position])
        constant = self.constant(position)
        if found is not None or constant is None or constant.dtype.number not in (3, 9):
            return found
        small = len(constant.dims) < 2 and (constant.dims or (1,))[0] <= _MOST_KNOWN
        return tuple(int(each) for each in constant.load().reshape(-1).tolist()) if small else None

    def weights(self, position: int, layout: Callable[[Array], Array] | None = None) -> TensorName:
        """Input ``position``, a constant, in another layout."""
        if self.constant(position) is None:
            raise NotLifted
        return self.lifter.weights(self.node.inputs[position], layout)

    def whole(self, name: str, default: int | None = None) -> int:
        """An attribute that is a whole number."""
        value = self.node.attrs.get(name, default)
        if not isinstance(value, int):
            raise NotLifted
        return value

    def real(self, name: str, default: float) -> float:
        """An attribute that is a float."""
        value = self.node.attrs.get(name, default)
        if not isinstance(value, float | int):
            raise NotLifted
        return float(value)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        value = self.node.attrs.get(name, default.encode())
        if not isinstance(value, bytes):
            raise NotLifted
        return value.decode("utf-8", "replace")

    def ints(self, name: str) -> list[int] | None:
        """An attribute that is a list of whole numbers; None where it is not given."""
        value = self.node.attrs.get(name)
        if value is None:
            return None
        if not isinstance(value, tuple) or not all(isinstance(each, int) for each in value):
            raise NotLifted
        return [int(each) for each in value]  # type: ignore[arg-type]

    def axes(self, position: int) -> list[int] | None:
        """The axes that are an attribute, or since some version input ``position``; None where neither is given."""
        stated = self.ints("axes")
        return stated if stated is not None or not self.has(position) else self.numbers(position)

    def add(
        self, op: str, inputs: Sequence[TensorName], name: str | None = None, /, **attrs: Attr
    ) -> TensorName:
        """A node; the last one of an operator has the operator's name."""
        return self.make.add(op, self.name if name is None else f"{self.name}/{name}", inputs, **attrs)

    def like(self, value: Value, number: float) -> TensorName:
        """A scalar of the type of ``value``."""
        from ..read.tensors import numpy_dtype

        dtype: DType = self.make.type_of(value.tensor)
        return self.make.array(f"{self.name}/constant", np.asarray(number, numpy_dtype(dtype)))
