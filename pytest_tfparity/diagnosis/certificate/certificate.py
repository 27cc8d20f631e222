"""The certificate of an export's weights: each constant with what explains it, or why nothing does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from ...graph.batch_norm.fold import Linear
from ...graph.edit.repair import Constant, Repair, tensor_of_array
from ...graph.graph import Tensor
from ...graph.layer import layer_of
from ...graph.lift.lifted import Lifted, Stored
from ...graph.proof.proof import normalised
from ...graph.read.tensors import values
from ..alignment import reference_of
from ..arrays import is_float
from ..case import Case
from ..evidence import Evidence
from ..needed import live_export, live_reference
from ..places.batch_norms import linears
from .meant import Layer, Meant, Numbers, expected, mistaken, other_tensors, reference_layers
from .resolution import Distance, distance

Standing: TypeAlias = Literal["certified", "wrong", "unexplained"]

_FEW = 512
"""Values of a kernel by which layers of one shape are told apart before all are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One constant of an export: what it is made of, and how far it is from that.

    ``constant`` is the node of the lifted graph, ``stored`` how the file holds it; ``layer`` the scope in the
    reference, ``source`` weights of the reference. ``meant`` is the value that explains it (None: nothing does).
    ``standing``:

    - ``certified``: it is what the reference has there, as near as its type can hold;
    - ``wrong``: its place is known, and it is something else (``meant``, if that is known);
    - ``unexplained``: it is near nothing that the reference has, and its place is not known.
    """

    constant: str
    stored: Stored
    standing: Standing
    distance: Distance | None = None
    layer: str = ""
    source: tuple[str, ...] = ()
    meant: Numbers | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """All float constants that the outputs of an export need."""

    weights: tuple[Weight, ...]

    def standing(self, standing: Standing) -> list[Weight]:
        """The constants that stand so."""
        return [each for each in self.weights if each.standing == standing]

    @property
    def worst(self) -> Weight | None:
        """The certified constant that is farthest from what was meant, for its type."""
        found = [each for each in self.standing("certified") if each.distance is not None]
        return max(found, key=lambda each: each.distance.worst if each.distance else 0.0, default=None)

    def as_meant(self) -> Repair:
        """Every constant that is explained at the value that was meant: what its type rounded is taken back."""
        return tuple(
            Constant(node=each.constant, value=_as_float(each.meant))
            for each in self.weights
            if each.meant is not None and each.distance is not None and each.distance.worst > 0
        )


def with_meant_weights(case: Case, lifted: Lifted) -> tuple[Case, Certificate]:
    """The case with every weight that is explained at the value that was meant, and the certificate.

    What is left to explain then are mistakes: of a stored type's rounding no cause is told.
    """
    evidence = Evidence.of(case)
    found = certify(evidence, lifted)
    repair = found.as_meant()
    if not repair:
        return case, found
    return replace(case, export=normalised(evidence.after(repair).export, case.contents)), found


def certify(evidence: Evidence, lifted: Lifted) -> Certificate:
    """Explain every float constant of the export by the weights of the reference."""
    finder = _Finder.of(evidence, lifted)
    found: dict[str, Weight] = {}
    for linear in evidence[linears]:
        for weight in finder.layer(linear):
            known = found.get(weight.constant)
            if known is None or known.standing != "certified":
                found[weight.constant] = weight
    for name in finder.floats:
        if name not in found:
            found[name] = finder.alone(name)
    return Certificate(weights=tuple(found[name] for name in finder.floats))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finder:
    """Looks for what constants were meant to be."""

    evidence: Evidence
    lifted: Lifted
    floats: Mapping[str, Tensor]
    layers: Mapping[tuple[int, ...], Sequence[Layer]]
    right: dict[str, list[Meant]] = field(default_factory=dict)
    tensors: dict[int, list[tuple[str, Numbers, Numbers | None]]] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence, lifted: Lifted) -> _Finder:
        floats = {}
        for name, node in evidence[live_export].items():
            value = node.attrs.get("value")
            if (
                node.op == "Const"
                and isinstance(value, Tensor)
                and name in lifted.stored
                and value.dtype.number == 1
            ):
                floats[name] = value
        layers: dict[tuple[int, ...], list[Layer]] = {}
        for layer in evidence[reference_layers]:
            kernel = evidence.reference.value(layer.linear.kernel)
            if kernel is not None:
                layers.setdefault(_shape(kernel, layer.linear), []).append(layer)
        finder = cls(evidence=evidence, lifted=lifted, floats=floats, layers=layers)
        for name, (array, size) in _all_tensors(evidence):
            finder.tensors.setdefault(array.size, []).append((name, array, size))
        return finder

    def layer(self, linear: Linear) -> Iterator[Weight]:
        """The kernel and the offset of one convolution or product of the export."""
        kernel = self.floats.get(linear.kernel)
        if kernel is None:
            return
        held = np.asarray(values(kernel))
        meant, apart = self._best(linear, held)
        if meant is None or apart is None:
            return
        yield self._weight(linear.kernel, meant.layer, apart, meant.kernel if apart.within else None, meant)
        bias = self.floats.get(linear.bias or "")
        if bias is None or linear.bias is None:
            return
        offset = np.asarray(values(bias)).reshape(-1)
        goal = np.zeros(offset.shape) if meant.offset is None else meant.offset
        gap = distance(offset, goal, self._flat(linear.bias), meant.size)
        if gap.within or not meant.expected or not apart.within:
            within = goal.reshape(bias.shape) if gap.within else None
            yield self._weight(linear.bias, meant.layer, gap, within, meant)
            return
        alone = self.alone(linear.bias)
        yield (
            alone
            if alone.standing == "certified"
            else self._weight(linear.bias, meant.layer, gap, None, meant)
        )

    def _weight(
        self, name: str, layer: Layer, apart: Distance, within: Numbers | None, meant: Meant
    ) -> Weight:
        right = meant.expected and within is not None
        return Weight(
            constant=name,
            stored=self.lifted.stored[name],
            standing="certified" if right else "wrong",
            distance=apart,
            layer=_scope(layer),
            source=meant.source,
            meant=within,
        )

    def _best(self, linear: Linear, held: Numbers) -> tuple[Meant | None, Distance | None]:
        """What explains a kernel: right values of any layer of its shape, then mistaken ones of its own."""
        stored = self.lifted.stored[linear.kernel]
        candidates = self._candidates(linear, held)
        for layer in candidates:
            for meant in self._right(layer):
                found = self._compared(held, meant, linear, stored)
                if found is not None:
                    return found
        for layer in candidates:
            for meant in mistaken(self.evidence, layer):
                found = self._compared(held, meant, linear, stored)
                if found is not None:
                    return found
        place = self._place(linear, candidates)
        if place is None or not self._right(place):
            return None, None
        meant = self._right(place)[0]
        turned = _turned(meant.kernel, meant.layer.linear, linear)
        return meant, distance(held, turned, stored, np.abs(turned) if meant.folded else None)

    def _compared(
        self, held: Numbers, meant: Meant, linear: Linear, stored: Stored
    ) -> tuple[Meant, Distance] | None:
        """The kernel held against one meaning, a sample first; None where it is another."""
        turned = _turned(meant.kernel, meant.layer.linear, linear)
        if turned.shape != held.shape:
            return None
        step = max(1, held.shape[0] * held[0].size // _FEW) if held.ndim else 1
        few = slice(None, None, max(1, min(step, held.shape[0])))
        part = distance(
            held[few],
            turned[few],
            _rows(stored, few, held.shape),
            np.abs(turned[few]) if meant.folded else None,
        )
        if not part.within:
            return None
        whole = distance(held, turned, stored, np.abs(turned) if meant.folded else None)
        if not whole.within:
            return None
        return replace(meant, kernel=turned), whole

    def _candidates(self, linear: Linear, held: Numbers) -> Sequence[Layer]:
        """The layers of the reference that a kernel may be of, the one in its place first."""
        shape = _plain_shape(held.shape, linear)
        found = [each for each in self.layers.get(shape, ()) if each.linear.op == linear.op or held.ndim == 2]
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

    def _flat(self, name: str) -> Stored:
        return _reshaped(self.lifted.stored[name])

    def alone(self, name: str) -> Weight:
        """A constant that is no kernel: looked up among all that the reference holds."""
        stored = self.lifted.stored[name]
        array = np.asarray(values(self.floats[name]))
        flat, how = array.reshape(-1), _reshaped(stored)
        for source, meant, size in self.tensors.get(array.size, ()):
            for sign in (1, -1):
                goal = sign * meant.reshape(-1)
                found = distance(flat, goal, how, None if size is None else size.reshape(-1))
                if found.within:
                    return Weight(
                        constant=name,
                        stored=stored,
                        standing="certified",
                        distance=found,
                        layer=layer_of(source),
                        source=(source,),
                        meant=goal.reshape(array.shape),
                    )
        return Weight(constant=name, stored=stored, standing="unexplained")


def _all_tensors(evidence: Evidence) -> Iterator[tuple[str, tuple[Numbers, Numbers | None]]]:
    """Every float constant and variable of the reference that its outputs need, and what batch norms come to."""
    side = evidence.reference
    for name in evidence[live_reference]:
        value = side.value(name)
        if value is not None and value.dtype.number in (1, 2, 19) and is_float(values(value)):
            yield name, (values(value), None)
    yield from other_tensors(evidence).items()


def _shape(kernel: Tensor, linear: Linear) -> tuple[int, ...]:
    return _plain_shape(tuple(kernel.shape), linear)


def _plain_shape(shape: tuple[int, ...], linear: Linear) -> tuple[int, ...]:
    """The shape of a kernel, that of a product as [inputs, outputs]."""
    return shape[::-1] if linear.transposed and len(shape) == 2 else shape


def _turned(kernel: Numbers, of: Linear, linear: Linear) -> Numbers:
    """A kernel of ``of`` in the layout of ``linear``: products may be transposed."""
    return kernel.T if kernel.ndim == 2 and of.transposed != linear.transposed else kernel


def _reshaped(stored: Stored) -> Stored:
    """How a vector is stored, flat."""
    grid = stored.grid
    if grid is None or not grid.per_channel:
        return stored
    return replace(
        stored, grid=replace(grid, scale=grid.scale.reshape(-1), zero_point=grid.zero_point.reshape(-1))
    )


def _rows(stored: Stored, few: slice, shape: tuple[int, ...]) -> Stored:
    """How the rows ``few`` of a tensor are stored."""
    grid = stored.grid
    if grid is None or grid.scale.ndim != len(shape) or grid.scale.shape[0] == 1:
        return stored
    return replace(stored, grid=replace(grid, scale=grid.scale[few], zero_point=grid.zero_point[few]))


def _scope(layer: Layer) -> str:
    return layer_of(layer.linear.kernel)


def _as_float(meant: Numbers | None) -> Tensor:
    with np.errstate(over="ignore"):
        return tensor_of_array(np.ascontiguousarray(np.asarray(meant, np.float32)))
