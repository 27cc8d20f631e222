"""Bounds of random numbers: whether a dropout keeps everything, so that its numbers do not matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..graph import Attr, DType, TensorName
from ..scalars import Scalar
from .form import Edge, NormalNode

_FLOATS = {1: np.float32, 2: np.float64}
_MOVES = {"AddV2": np.add, "Mul": np.multiply, "Sub": np.subtract}


class RandomNumbers:
    """The bounds of the tensors of a normal form that are made of uniform random numbers."""

    def __init__(self) -> None:
        self._bounds: dict[Edge, Bounds] = {}

    def follow(
        self,
        index: int,
        node: NormalNode,
        sources: Sequence[TensorName],
        value: Callable[[TensorName], Scalar | None],
    ) -> Bounds | None:
        """Note the bounds of the new node ``index``, which reads ``sources``; ``value`` tells what is known of these.

        The bounds that make its result one value throughout, if they do.
        """
        if node.op == "RandomUniform":
            drawn = uniform(node.attrs, index)
            if drawn is not None:
                self._bounds[Edge(index, 0)] = drawn
            return None
        if not self._bounds or not node.inputs:
            return None
        bounds, other = self._operands(node, sources)
        by = None if bounds is None or other is None else value(other)
        if bounds is None or always(node.op, bounds, by):
            return bounds
        shifted = moved(node.op, bounds, by) if node.op in _MOVES and by is not None else None
        if shifted is not None:
            self._bounds[Edge(index, 0)] = shifted
        return None

    def _operands(
        self, node: NormalNode, sources: Sequence[TensorName]
    ) -> tuple[Bounds | None, TensorName | None]:
        """The bounds of the random input of ``node``, and what it reads beside that."""
        bounds = self._bounds.get(node.inputs[0])
        if len(node.inputs) != 2:
            return bounds, None
        if bounds is None and node.op in ("AddV2", "Mul"):
            return self._bounds.get(node.inputs[1]), sources[0]
        return bounds, sources[1]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every element is at least ``low`` and at most ``high``, and below ``high`` if ``open``.

    ``origin`` is the random node (its index) whose numbers these are.
    """

    low: Scalar
    high: Scalar
    open: bool
    origin: int


def uniform(attrs: Mapping[str, Attr], origin: int) -> Bounds | None:
    """The bounds of ``RandomUniform``: [0, 1), in steps of the mantissa of [1, 2) less 1.

    Source: ``random_distributions.h`` of tensorflow/core/lib/random, ``Uint32ToFloat``.
    """
    target = attrs.get("dtype")
    kind = _FLOATS.get(target.number) if isinstance(target, DType) else None
    if kind is None:
        return None
    return Bounds(kind(0), kind(1), True, origin)


def moved(op: str, bounds: Bounds, by: Scalar) -> Bounds | None:
    """The bounds after ``AddV2``, ``Mul`` or ``Sub`` of a constant; rounding never reverses an order.

    1 + [0, 1) stays below 2, because the numbers are multiples of the last place of [1, 2).
    """
    if not np.isfinite(by) or (op == "Mul" and by < 0):
        return None
    function = _MOVES[op]
    with np.errstate(all="ignore"):
        low, high = function(bounds.low, by), function(bounds.high, by)
    if not np.isfinite(low) or not np.isfinite(high):
        return None
    return Bounds(low, high, bounds.open and _stays_open(op, bounds, by), bounds.origin)


def _stays_open(op: str, bounds: Bounds, by: Scalar) -> bool:
    """Whether numbers below ``bounds.high`` stay below what becomes of that."""
    neutral = by == 1 if op == "Mul" else by == 0
    return bool(neutral or (op == "AddV2" and by == 1 and bounds.low == 0 and bounds.high == 1))


def always(op: str, bounds: Bounds, other: Scalar | None) -> bool:
    """Whether ``GreaterEqual(numbers, other)`` is true, or ``Floor(numbers)`` one value, throughout."""
    if op == "GreaterEqual":
        return other is not None and bool(bounds.low >= other)
    if op == "Floor":
        return bounds.open and bool(bounds.high == np.floor(bounds.low) + 1)
    return False
