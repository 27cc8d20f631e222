"""Looks for what the constants of an export were meant to be: of a layer, of what stands before it, of a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...graph.batch_norm.fold import Linear
from ...graph.graph import Tensor
from ...graph.layer import layer_of
from ...graph.lift.lifted import Lifted, Stored
from ...graph.read.tensors import values
from ..alignment import reference_of
from ..evidence import Evidence
from ..needed import live_export
from .derived import Derived, derived
from .meant import (
    Layer,
    Meant,
    Numbers,
    expected,
    folded_before,
    misplaced,
    mistaken,
    offsets_before,
    reference_layers,
)
from .resolution import Distance, distance
from .weight import Weight

_FEW = 512
"""Values of a kernel by which layers of one shape are told apart before all are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """What is known of both sides while constants are explained. ``floats`` are those of the export."""

    evidence: Evidence
    lifted: Lifted
    floats: Mapping[str, Tensor]
    layers: Mapping[tuple[int, ...], Sequence[Layer]]
    tensors: Mapping[int, Sequence[Derived]]
    right: dict[str, list[Meant]] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence, lifted: Lifted) -> Finder:
        """The constants of the export that its outputs need, and the layers of the reference by their shapes."""
        floats = {}
        for name, node in evidence[live_export].items():
            value = node.attrs.get("value")
            if isinstance(value, Tensor) and name in lifted.stored and value.dtype.number == 1:
                floats[name] = value
        layers: dict[tuple[int, ...], list[Layer]] = {}
        for layer in evidence[reference_layers]:
            kernel = evidence.reference.value(layer.linear.kernel)
            if kernel is not None:
                layers.setdefault(_plain_shape(tuple(kernel.shape), layer.linear), []).append(layer)
        tensors: dict[int, list[Derived]] = {}
        for each in evidence[derived]:
            tensors.setdefault(each.value.size, []).append(each)
        return cls(evidence=evidence, lifted=lifted, floats=floats, layers=layers, tensors=tensors)

    def layer(self, linear: Linear) -> Iterator[Weight]:
        """The kernel and the offset of one convolution or product of the export."""
        kernel = self.floats.get(linear.kernel)
        found = None if kernel is None else self._kernel(linear, values(kernel))
        if kernel is None or found is None:
            return
        meant, apart = found
        right = meant if meant.expected else self._right_instead(meant, linear)
        yield self._judged(
            linear.kernel, values(kernel), meant.kernel, right.kernel, meant, apart, _terms(right)
        )
        for index, added in enumerate(linear.added):
            bias = self.floats.get(added.bias)
            if bias is None:
                return
            if index + 1 < len(linear.added) and not values(bias).any():
                yield self._nothing(added.bias)  # what a converter adds where an operator must have a bias
                continue
            sure = apart.within and meant.expected
            yield self._offset(linear, added.bias, values(bias), meant, right, sure=sure)
            return

    def _right_instead(self, meant: Meant, linear: Linear) -> Meant:
        """What is right in the place of a mistake: with the batch norm folded in as there, or not."""
        found = [_turned(each, linear) for each in self._right(meant.layer)]
        return next((each for each in found if each.folded == meant.folded), found[0] if found else meant)

    def _nothing(self, name: str) -> Weight:
        return Weight(constant=name, stored=self.lifted.stored[name], standing="certified")

    def alone(self, name: str) -> Weight:
        """A constant that is no kernel: looked up among all that the reference holds or computes of constants."""
        stored = self.lifted.stored[name]
        array = values(self.floats[name])
        for each in self.tensors.get(array.size, ()):
            for sign in (1, -1):
                goal = sign * each.value.astype(np.float64)
                found = distance(array.reshape(-1), goal, _flat(stored, array.shape), each.size)
                if found.within:
                    return Weight(
                        constant=name,
                        stored=stored,
                        standing="certified",
                        distance=found,
                        layer=layer_of(each.name),
                        source=(each.name,),
                        meant=goal.reshape(array.shape),
                    )
        return Weight(constant=name, stored=stored, standing="unexplained")

    def _kernel(self, linear: Linear, held: Numbers) -> tuple[Meant, Distance] | None:
        """What explains a kernel, or what its place says that it should be; None where no place is known."""
        stored = self.lifted.stored[linear.kernel]
        candidates = self._candidates(linear, held)
        for meant in self._meanings(linear, held, candidates):
            found = _compared(held, meant, stored)
            if found is not None:
                return meant, found
        place = self._place(linear, candidates)
        if place is None or not self._right(place):
            return None
        meant = _turned(self._right(place)[0], linear)
        return meant, distance(held, meant.kernel, stored, _terms(meant))

    def _meanings(self, linear: Linear, held: Numbers, candidates: Sequence[Layer]) -> Iterator[Meant]:
        """What a kernel may be, right before wrong, and the layer in its place first."""
        right = [_turned(meant, linear) for layer in candidates for meant in self._right(layer)]
        yield from right
        for meant in right:
            yield from folded_before(meant, held, linear, self._before(meant))
        place = self._place(linear, candidates)
        for mistakes, layers in ((mistaken, candidates), (misplaced, [] if place is None else [place])):
            for layer in layers:
                turned = held.T if held.ndim == 2 and layer.linear.transposed != linear.transposed else held
                yield from (_turned(meant, linear) for meant in mistakes(self.evidence, layer, turned))

    def _offset(
        self, linear: Linear, name: str, bias: Numbers, meant: Meant, right: Meant, *, sure: bool
    ) -> Weight:
        offset, stored = bias.reshape(-1), _flat(self.lifted.stored[name], bias.shape)
        goal = np.zeros(offset.shape) if meant.offset is None else meant.offset
        due = np.zeros(offset.shape) if right.offset is None else right.offset
        gap = distance(offset, goal, stored, meant.size)
        if gap.within or not sure:
            return self._judged(name, bias, goal, due, meant, gap, right.size)
        found = self.alone(name)
        if found.standing == "certified":
            return found
        for expected_here in self._right(meant.layer):
            turned = _turned(expected_here, linear)
            # What is added to the inputs is added before they are scaled, or behind it.
            for kernel in (turned.kernel, meant.kernel):
                for each in offsets_before(turned, kernel, linear, self._before(turned)):
                    if each.offset is not None and each.offset.shape == offset.shape:
                        apart = distance(offset, each.offset, stored, each.size)
                        if apart.within:
                            return self._judged(name, bias, each.offset, each.offset, each, apart, each.size)
        return self._judged(name, bias, goal, due, meant, gap, right.size)

    def _judged(
        self,
        name: str,
        held: Numbers,
        goal: Numbers,
        right: Numbers,
        meant: Meant,
        apart: Distance,
        terms: Numbers | None,
    ) -> Weight:
        """A constant near ``goal``, which is what ``meant`` says, or far from it; ``right`` is what it should be."""
        stored = self.lifted.stored[name]
        if not meant.expected and right.size == held.size:
            due = distance(
                held.reshape(right.shape),
                right,
                _flat(stored, held.shape) if right.ndim == 1 else stored,
                terms,
            )
        else:
            due = apart
        certified = apart.within if meant.expected else due.within
        # A layer of one number is a scale, which a converter multiplies with whatever scales stand around it.
        single = held.size == meant.kernel.size == 1
        return Weight(
            constant=name,
            stored=stored,
            standing="certified" if certified else "unexplained" if single else "wrong",
            distance=due,
            layer=layer_of(meant.layer.linear.kernel),
            source=meant.source,
            meant=goal.reshape(held.shape) if apart.within else None,
            right=right.reshape(held.shape) if right.size == held.size else None,
        )

    def _candidates(self, linear: Linear, held: Numbers) -> Sequence[Layer]:
        """The layers of the reference that a kernel may be of, the one in its place first."""
        found = [
            each
            for each in self.layers.get(_plain_shape(held.shape, linear), ())
            if each.linear.op == linear.op or held.ndim == 2 or _is_of_one_channel(held, each.linear, linear)
        ]
        node = self.evidence[reference_of].get(linear.node)
        return sorted(found, key=lambda each: each.linear.node != node)

    def _place(self, linear: Linear, candidates: Sequence[Layer]) -> Layer | None:
        """The layer in whose place a convolution stands: the aligned one, or the only one of its shape."""
        node = self.evidence[reference_of].get(linear.node)
        aligned = [each for each in candidates if each.linear.node == node]
        if aligned or len(candidates) == 1:
            return (aligned or list(candidates))[0]
        return None

    def _right(self, layer: Layer) -> list[Meant]:
        if layer.linear.node not in self.right:
            self.right[layer.linear.node] = list(expected(self.evidence, layer))
        return self.right[layer.linear.node]

    def _before(self, meant: Meant) -> Sequence[Derived]:
        """What may be folded into a layer from before: numbers, and vectors of its input channels."""
        counts = sorted({1, *meant.kernel.shape[-2:]})
        return [each for count in counts for each in self.tensors.get(count, ())]


def _is_of_one_channel(held: Numbers, one: Linear, other: Linear) -> bool:
    """Whether a kernel is of one channel, where a depthwise convolution is a plain one."""
    return held.ndim == 4 and held.shape[2] == 1 and {one.op, other.op} <= _OF_IMAGES


_OF_IMAGES = frozenset({"Conv2D", "DepthwiseConv2dNative"})


def _terms(meant: Meant) -> Numbers | None:
    """The size of the terms of a kernel that was computed."""
    return np.abs(meant.kernel) if meant.folded else None


def _compared(held: Numbers, meant: Meant, stored: Stored) -> Distance | None:
    """The kernel held against one meaning, a sample first; None where it is another."""
    goal = meant.kernel
    if goal.shape != held.shape:
        return None
    rows = slice(None, None, max(1, min(held.size // _FEW, held.shape[0])))
    few = distance(
        held[rows], goal[rows], _rows(stored, rows, held.shape), np.abs(goal[rows]) if meant.folded else None
    )
    if not few.within:
        return None
    whole = distance(held, goal, stored, np.abs(goal) if meant.folded else None)
    return whole if whole.within else None


def _plain_shape(shape: tuple[int, ...], linear: Linear) -> tuple[int, ...]:
    """The shape of a kernel, that of a product as [inputs, outputs]."""
    return shape[::-1] if linear.transposed and len(shape) == 2 else shape


def _turned(meant: Meant, linear: Linear) -> Meant:
    """``meant`` in the layout of ``linear``: products may be transposed."""
    if meant.kernel.ndim != 2 or meant.layer.linear.transposed == linear.transposed:
        return meant
    return replace(meant, kernel=meant.kernel.T)


def _flat(stored: Stored, shape: tuple[int, ...]) -> Stored:
    """How a tensor of ``shape`` is stored, flat."""
    grid = stored.grid
    if grid is None or not grid.per_channel:
        return stored
    scale = np.broadcast_to(grid.scale, shape).reshape(-1)
    zero_point = np.broadcast_to(grid.zero_point, shape).reshape(-1)
    return replace(stored, grid=replace(grid, scale=scale, zero_point=zero_point))


def _rows(stored: Stored, few: slice, shape: tuple[int, ...]) -> Stored:
    """How the rows ``few`` of a tensor are stored."""
    grid = stored.grid
    if grid is None or grid.scale.ndim != len(shape) or grid.scale.shape[0] == 1:
        return stored
    return replace(stored, grid=replace(grid, scale=grid.scale[few], zero_point=grid.zero_point[few]))
