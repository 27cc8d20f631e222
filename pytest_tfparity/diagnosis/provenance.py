"""Whose is each constant of the export? Looked up by content among all tensors of the checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from ..graph.graph import Array, Tensor
from ..graph.read.slices import resolved, slice_shape, slice_spec
from ..graph.read.tensors import values
from .arrays import cosine, informative, is_float, same, sample
from .relations.chain import relation_of
from .relations.elementwise import mixture
from .relations.half_precision import low_precision, may_be_low_precision
from .relations.order import relaid
from .relations.relation import Relation, RelationKind
from .tensor_names import averaged_by, is_model_variable, shadow_of, slot_of

ProvenanceKind: TypeAlias = (
    Literal[
        "own",
        "shadow",
        "variable",
        "other variable",
        "other shadow",
        "slot",
        "other checkpoint",
        "initial",
        "other shape",
        "unknown",
    ]
    | RelationKind
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where one constant of the export comes from.

    ``variable`` is the checkpoint's variable in whose place ``constant`` stands, None where that is not
    known; ``source`` the checkpoint's tensor whose content it is or is made of. ``kind``:

    - ``own``, ``shadow``: bit for bit the variable, or its moving average;
    - ``variable``: bit for bit ``source``, and no place is known that would contradict it;
    - ``other variable``, ``other shadow``, ``slot``: bit for bit ``source``, in the place of ``variable``;
    - ``other checkpoint``: bit for bit the variable as the checkpoints ``checkpoints`` hold it;
    - a kind of :class:`Relation`: what it is of ``source`` as ``relation`` says; a ``mixture`` of the variable with
      ``source``, its average;
    - ``initial``: the one number that the variable begins with, where it has something else;
    - ``other shape``: the variable has another number of elements or another shape with other values;
    - ``unknown``: none of these; ``cosine`` is that with the own variable.

    ``informative`` is False for a tensor of one value throughout, which proves nothing about its origin.
    ``averaged`` says that the variable has a moving average that differs from it.
    """

    constant: str
    variable: str | None
    kind: ProvenanceKind
    informative: bool
    source: str | None = None
    averaged: bool = False
    checkpoints: tuple[str, ...] = ()
    relation: Relation | None = None
    cosine: float | None = None
    shape: tuple[int, ...] = ()


@dataclass(slots=True)
class _Index:
    """A checkpoint's tensors by content: few values of each are read until two agree in those."""

    tensors: Mapping[str, Tensor]
    _sizes: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    _samples: dict[tuple[int, int], dict[bytes, list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in self.tensors.items():
            if tensor.dtype.number != _STRING:
                self._sizes.setdefault((tensor.dtype.number, _count(tensor)), []).append(name)

    def find(self, tensor: Tensor) -> list[str]:
        """The names of the tensors that equal ``tensor`` bit for bit, in the checkpoint's order."""
        size = (tensor.dtype.number, _count(tensor))
        if size not in self._sizes:
            return []
        if size not in self._samples:
            table: dict[bytes, list[str]] = {}
            for name in self._sizes[size]:
                table.setdefault(sample(self.tensors[name].array), []).append(name)
            self._samples[size] = table
        similar = self._samples[size].get(sample(tensor.array), [])
        return [name for name in similar if same(self.tensors[name].array, tensor.array)]

    def of_size(self, count: int) -> Iterable[str]:
        """The names of the tensors that have ``count`` elements."""
        for (_, size), names in self._sizes.items():
            if size == count:
                yield from names


_STRING = 7


def _count(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def provenance(
    constants: Mapping[str, Tensor],
    checkpoint: Mapping[str, Tensor],
    *,
    variables_of: Mapping[str, str] | None = None,
    others: Mapping[str, Mapping[str, Tensor]] | None = None,
    starts: Mapping[str, Collection[float]] | None = None,
    parts: Mapping[str, str] | None = None,
    equal: Mapping[str, str] | None = None,
) -> tuple[Provenance, ...]:
    """Where each float constant of ``constants`` comes from, in their order.

    ``variables_of`` maps a constant to the checkpoint's variable in whose place it stands; a
    constant that has a variable's name stands in its place anyway. ``others`` are other checkpoints of
    the folder, by what to call them; ``starts`` the numbers that the whole of a variable may begin
    with: where they are not known, a vector begins with zeros or ones. ``parts`` says of a
    constant that stands for a part of its variable which one (as RestoreV2 spells it), ``equal`` of one that
    is known to equal a tensor of the checkpoint which one.
    """
    index = _Index(checkpoint)
    parts, equal = parts or {}, equal or {}
    places = {name: name for name in constants if name in checkpoint} | dict(variables_of or {})
    found = []
    for name, tensor in constants.items():
        if tensor.dtype.number == _STRING or not is_float(values(tensor)):
            continue
        place = _Place.of(places.get(name), parts.get(name, ""), checkpoint)
        if name in equal:
            found.append(_equal(name, tensor, equal[name], place))
            continue
        found.append(_origin(name, tensor, place, index, others or {}, starts or {}))
    return tuple(found)


def part_of(tensor: Tensor, part: str) -> Tensor:
    """The part of ``tensor`` that RestoreV2 calls ``part``; the whole where that is empty or does not fit."""
    spec = slice_spec(part)
    if spec is None or spec.shape != tuple(tensor.shape):
        return tensor
    slices = resolved(spec.place, spec.shape)
    return Tensor(tensor.dtype, slice_shape(slices), lambda: np.ascontiguousarray(tensor.array[slices]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The variable in whose place a constant stands, with what the checkpoint holds for it."""

    variable: str | None = None
    shadow: str | None = None
    part: str = ""
    raw: Array | None = None
    mean: Array | None = None

    @classmethod
    def of(cls, variable: str | None, part: str, tensors: Mapping[str, Tensor]) -> _Place:
        if variable is None:
            return cls()
        shadow = shadow_of(variable, tensors)
        own = tensors.get(variable)
        return cls(
            variable=variable,
            shadow=shadow,
            part=part,
            raw=None if own is None else values(part_of(own, part)),
            mean=None if shadow is None else values(part_of(tensors[shadow], part)),
        )

    @property
    def averaged(self) -> bool:
        return self.raw is not None and self.mean is not None and not same(self.raw, self.mean)

    def own(self) -> Iterator[tuple[str, Array]]:
        """The variable and its average, as far as the checkpoint has them."""
        if self.variable is not None and self.raw is not None:
            yield self.variable, self.raw
        if self.shadow is not None and self.mean is not None:
            yield self.shadow, self.mean


def _equal(name: str, tensor: Tensor, key: str, place: _Place) -> Provenance:
    kind: ProvenanceKind = "own" if key == place.variable else "shadow" if key == place.shadow else "variable"
    return Provenance(
        constant=name,
        variable=place.variable,
        kind=kind,
        informative=informative(values(tensor)),
        source=key,
        averaged=place.averaged,
        shape=tuple(tensor.shape),
    )


def _origin(
    name: str,
    tensor: Tensor,
    place: _Place,
    index: _Index,
    others: Mapping[str, Mapping[str, Tensor]],
    starts: Mapping[str, Collection[float]],
) -> Provenance:
    array = values(tensor)
    known = Provenance(
        constant=name,
        variable=place.variable,
        kind="unknown",
        informative=informative(array),
        averaged=place.averaged,
        shape=tuple(tensor.shape),
    )
    if place.raw is not None and same(array, place.raw):
        return replace(known, kind="own", source=place.variable)
    if place.mean is not None and same(array, place.mean):
        return replace(known, kind="shadow", source=place.shadow)
    if not known.informative:
        return _uninformative(known, array, place, starts)
    found = _elsewhere(known, tensor, place.variable, index)
    found = found or _other_checkpoint(known, array, place, others)
    if found is None and place.raw is not None and place.mean is not None:
        mixed = mixture(array, place.mean, place.raw)
        found = None if mixed is None else _related(known, place.shadow, mixed)
    return found or _made_of(known, array, place, index)


def _uninformative(
    known: Provenance, array: Array, place: _Place, starts: Mapping[str, Collection[float]]
) -> Provenance:
    """Of a tensor of one value throughout only its place can say anything."""
    own = place.raw if place.raw is not None else place.mean
    if own is None or array.size == 0:
        return known
    if own.shape != array.shape:
        return replace(known, kind="other shape", source=place.variable)
    return replace(known, kind="initial") if _begins_with(array, place, starts) else known


def _elsewhere(known: Provenance, tensor: Tensor, variable: str | None, index: _Index) -> Provenance | None:
    """Another tensor of the checkpoint with the same bits: variables first, then averages, then slots."""
    names = index.find(tensor)
    tensors = index.tensors
    if not names:
        return None
    ranked = sorted(
        names, key=lambda each: (slot_of(each, tensors) is not None, averaged_by(each, tensors) is not None)
    )
    source = ranked[0]
    kind: ProvenanceKind
    if slot_of(source, tensors) is not None:
        kind = "slot"
    elif averaged_by(source, tensors) is not None:
        kind = "shadow" if variable is None else "other shadow"
    else:
        kind = "variable" if variable is None or variable not in tensors else "other variable"
    return replace(known, kind=kind, source=source)


def _other_checkpoint(
    known: Provenance, array: Array, place: _Place, others: Mapping[str, Mapping[str, Tensor]]
) -> Provenance | None:
    if place.variable is None:
        return None
    labels: dict[str, str] = {}
    for label, tensors in others.items():
        for key in (place.variable, shadow_of(place.variable, tensors)):
            there = tensors.get(key) if key is not None else None
            if key is not None and there is not None and same(array, values(part_of(there, place.part))):
                labels.setdefault(label, key)
    if not labels:
        return None
    return replace(
        known, kind="other checkpoint", source=next(iter(labels.values())), checkpoints=tuple(labels)
    )


def _begins_with(array: Array, place: _Place, starts: Mapping[str, Collection[float]]) -> bool:
    """Whether a variable begins with the one number that ``array`` holds."""
    number = float(array.reshape(-1)[0])
    if place.variable is not None and place.variable in starts:
        return number in starts[place.variable]
    return array.ndim < 2 and number in (0.0, 1.0)


def _made_of(known: Provenance, array: Array, place: _Place, index: _Index) -> Provenance:
    own = dict(place.own())
    for name, original in own.items():
        found = relation_of(array, original)
        if found is not None:
            return _related(known, name, found)
    if not own:
        return _of_another(known, array, index)
    name, original = next(iter(own.items()))
    if original.shape != array.shape:
        return replace(known, kind="other shape", source=name)
    if may_be_low_precision(array):
        elsewhere = _of_another(known, array, index)
        if elsewhere.source is not None:
            return elsewhere
    return replace(known, cosine=cosine(array, original))


def _of_another(known: Provenance, array: Array, index: _Index) -> Provenance:
    """What image of a variable of unknown place ``array`` is: a loose relation would be chance."""
    tensors = index.tensors
    low = may_be_low_precision(array)
    for name in index.of_size(array.size):
        if not is_model_variable(name, tensors):
            continue
        original = values(tensors[name])
        found = low_precision(array, original) if low else None
        if found is None and known.variable is None:
            found = relaid(array, original)
        if found is not None:
            return _related(known, name, found)
    return known


def _related(known: Provenance, source: str | None, found: Relation) -> Provenance:
    return replace(known, kind=found.kind, source=source, relation=found)
