"""Whose is each constant of the export? Looked up by content among all tensors of the checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from ..graph.batchnorm import BatchNorm
from ..graph.batchnorm_fold import Fold, solve_fold
from ..graph.graph import Array, Tensor
from .images import (
    Image,
    content_sum,
    cosine,
    image,
    informative,
    is_float,
    low_precision,
    may_be_low_precision,
    mixture,
    rearranged,
    same,
    values,
)
from .names import averaged_by, is_model_variable, shadow_of, slot_of

Kind: TypeAlias = Literal[
    "own",
    "shadow",
    "variable",
    "other variable",
    "other shadow",
    "slot",
    "other checkpoint",
    "float16",
    "bfloat16",
    "cast",
    "reshaped",
    "transposed",
    "permuted",
    "negated",
    "rounded",
    "scaled",
    "mixture",
    "folded",
    "initial",
    "other shape",
    "unknown",
]
Digest: TypeAlias = Callable[[Tensor], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where one constant of the export comes from.

    ``variable`` is the checkpoint's variable in whose place ``constant`` stands, None where that is not
    known; ``source`` the checkpoint's tensor whose content it is or is made of. ``kind``:

    - ``own``, ``shadow``: bit for bit the variable, or its moving average;
    - ``variable``: bit for bit ``source``, and no place is known that would contradict it;
    - ``other variable``, ``other shadow``, ``slot``: bit for bit ``source``, in the place of ``variable``;
    - ``other checkpoint``: bit for bit the variable as the checkpoints ``checkpoints`` hold it;
    - ``float16``, ``bfloat16`` (``rounding``), ``cast`` (another float type), ``reshaped``,
      ``transposed`` (``permutation``), ``permuted`` (the same values in another order), ``negated``,
      ``rounded`` (to equal steps of ``number``), ``scaled`` (by ``number``): what it is of ``source``;
    - ``mixture``: ``number * shadow + (1 - number) * raw``; ``folded``: see ``fold``;
    - ``initial``: zeros or ones (or a known initial value) where the variable has something else;
    - ``other shape``: the variable has another number of elements or another shape with other values;
    - ``unknown``: none of these; ``cosine`` is that with the own variable.

    ``informative`` is False for a tensor of one value throughout, which proves nothing about its origin.
    ``averaged`` says that the variable has a moving average that differs from it.
    """

    constant: str
    variable: str | None
    kind: Kind
    informative: bool
    source: str | None = None
    also: tuple[str, ...] = ()
    averaged: bool = False
    checkpoints: tuple[str, ...] = ()
    permutation: tuple[int, ...] | None = None
    rounding: Literal["nearest", "truncated"] | None = None
    number: float | None = None
    fold: Fold | None = None
    cosine: float | None = None
    shape: tuple[int, ...] = ()


def content_digest(tensor: Tensor) -> bytes:
    """A hash of dtype, shape and contents (blake2b, 16 bytes)."""
    array = np.ascontiguousarray(tensor.array)
    found = hashlib.blake2b(repr((array.dtype.str, array.shape)).encode(), digest_size=16)
    found.update(
        array.reshape(-1).view(np.uint8).data
        if array.size and array.dtype != object
        else repr(array).encode()
    )
    return found.digest()


@dataclass(slots=True)
class _Index:
    """A checkpoint's tensors by content, hashed only where tensors of that size are asked for."""

    tensors: Mapping[str, Tensor]
    digest: Digest
    _sizes: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    _digests: dict[tuple[int, int], dict[bytes, list[str]]] = field(default_factory=dict)
    _sums: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in self.tensors.items():
            if tensor.dtype.number != _STRING:
                self._sizes.setdefault((tensor.dtype.number, _count(tensor)), []).append(name)

    def find(self, tensor: Tensor) -> list[str]:
        """The names of the tensors that equal ``tensor`` bit for bit, in the checkpoint's order."""
        size = (tensor.dtype.number, _count(tensor))
        if size not in self._sizes:
            return []
        if size not in self._digests:
            table: dict[bytes, list[str]] = {}
            for name in self._sizes[size]:
                table.setdefault(self.digest(self.tensors[name]), []).append(name)
            self._digests[size] = table
        return self._digests[size].get(self.digest(tensor), [])

    def sum(self, name: str) -> int:
        """What :func:`content_sum` says of a tensor."""
        if name not in self._sums:
            self._sums[name] = content_sum(values(self.tensors[name]))
        return self._sums[name]

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
    initial: Mapping[str, Tensor] | None = None,
    batch_norms: Sequence[BatchNorm] = (),
    restored: Mapping[str, Tensor] | None = None,
    biases: Mapping[str, str] | None = None,
    digest: Digest = content_digest,
) -> tuple[Provenance, ...]:
    """Where each float constant of ``constants`` comes from, in their order.

    ``variables_of`` maps a constant to the checkpoint's variable in whose place it stands; a
    constant that has a variable's name stands in its place anyway. ``others`` are other checkpoints of
    the folder, by what to call them; ``initial`` initial values by variable. ``batch_norms`` are
    the reference's, ``restored`` its variables' values (default: the checkpoint's), ``biases`` the
    constant that the export adds behind each kernel constant: with them folds are solved.
    """
    index = _Index(checkpoint, digest)
    places = {name: name for name in constants if name in checkpoint} | dict(variables_of or {})
    folds = _folds(constants, places, batch_norms, restored or checkpoint, biases or {})
    found = []
    for name, tensor in constants.items():
        if tensor.dtype.number == _STRING or not is_float(values(tensor)):
            continue
        one = _origin(name, tensor, places.get(name), index, others or {}, initial or {})
        if name in folds and one.kind not in ("own", "shadow"):
            one = replace(one, kind="folded", fold=folds[name], source=places.get(name), cosine=None)
        found.append(one)
    return tuple(found)


def _origin(
    name: str,
    tensor: Tensor,
    variable: str | None,
    index: _Index,
    others: Mapping[str, Mapping[str, Tensor]],
    initial: Mapping[str, Tensor],
) -> Provenance:
    array = values(tensor)
    tensors = index.tensors
    own = tensors.get(variable) if variable is not None else None
    shadow = shadow_of(variable, tensors) if variable is not None else None
    raw = None if own is None else values(own)
    mean = None if shadow is None else values(tensors[shadow])
    known = Provenance(
        constant=name,
        variable=variable,
        kind="unknown",
        informative=informative(array),
        averaged=raw is not None and mean is not None and not same(raw, mean),
        shape=tuple(tensor.shape),
    )
    if raw is not None and same(array, raw):
        return replace(known, kind="own", source=variable)
    if mean is not None and same(array, mean):
        return replace(known, kind="shadow", source=shadow)
    if not known.informative:
        return _uninformative(known, array, raw if raw is not None else mean)
    found = _elsewhere(known, tensor, variable, index)
    found = found or _other_checkpoint(known, array, others)
    found = found or _initial(known, array, initial)
    if found is None and raw is not None and mean is not None:
        share = mixture(array, mean, raw)
        found = None if share is None else replace(known, kind="mixture", source=shadow, number=share)
    return found or _made_of(known, array, variable, shadow, index)


def _uninformative(known: Provenance, array: Array, own: Array | None) -> Provenance:
    if own is None or own.shape != array.shape or array.size == 0:
        return known
    value = float(array.reshape(-1)[0])
    return replace(known, kind="initial") if value in (0.0, 1.0) else known


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
    kind: Kind
    if slot_of(source, tensors) is not None:
        kind = "slot"
    elif averaged_by(source, tensors) is not None:
        kind = "shadow" if variable is None else "other shadow"
    else:
        kind = "variable" if variable is None or variable not in tensors else "other variable"
    return replace(known, kind=kind, source=source, also=tuple(ranked[1:]))


def _other_checkpoint(
    known: Provenance, array: Array, others: Mapping[str, Mapping[str, Tensor]]
) -> Provenance | None:
    if known.variable is None:
        return None
    labels: dict[str, str] = {}
    for label, tensors in others.items():
        for key in (known.variable, shadow_of(known.variable, tensors)):
            there = tensors.get(key) if key is not None else None
            if key is not None and there is not None and same(array, values(there)):
                labels.setdefault(label, key)
    if not labels:
        return None
    return replace(
        known, kind="other checkpoint", source=next(iter(labels.values())), checkpoints=tuple(labels)
    )


def _initial(known: Provenance, array: Array, initial: Mapping[str, Tensor]) -> Provenance | None:
    value = initial.get(known.variable or "")
    return replace(known, kind="initial") if value is not None and same(array, values(value)) else None


def _made_of(
    known: Provenance, array: Array, variable: str | None, shadow: str | None, index: _Index
) -> Provenance:
    tensors = index.tensors
    own = [name for name in (variable, shadow) if name is not None and name in tensors]
    for name in own:
        found = image(array, values(tensors[name]))
        if found is not None:
            return _imaged(known, name, found)
    total, low = content_sum(array), may_be_low_precision(array)
    for name in index.of_size(array.size):
        if name not in own and is_model_variable(name, tensors):
            # Of a tensor that is not in this place a loose relation would be chance.
            found = low_precision(array, values(tensors[name])) if low else None
            if found is None and index.sum(name) == total:
                found = rearranged(array, values(tensors[name]))
            if found is not None and found.kind != "permuted":
                return _imaged(known, name, found)
    if not own:
        return known
    original = values(tensors[own[0]])
    if original.shape != array.shape:
        return replace(known, kind="other shape", source=own[0])
    return replace(known, cosine=cosine(array, original))


def _imaged(known: Provenance, source: str, found: Image) -> Provenance:
    return replace(
        known,
        kind=found.kind,
        source=source,
        permutation=found.permutation,
        rounding=found.rounding,
        number=found.number,
    )


def _folds(
    constants: Mapping[str, Tensor],
    places: Mapping[str, str],
    batch_norms: Sequence[BatchNorm],
    restored: Mapping[str, Tensor],
    biases: Mapping[str, str],
) -> dict[str, Fold]:
    """The folds that the reference's batch norms explain, by kernel constant and by its bias."""
    by_kernel = {norm.kernel: norm for norm in batch_norms if norm.kernel is not None}
    folds: dict[str, Fold] = {}
    for name, tensor in constants.items():
        norm = by_kernel.get(places.get(name, ""))
        needed = () if norm is None else (norm.kernel, norm.mean, norm.variance)
        parts = [values(restored[each]) for each in needed if each is not None and each in restored]
        if norm is None or len(parts) < 3:
            continue
        kernel, mean, variance = parts
        bias = biases.get(name)
        gamma, beta = (
            None if each is None or each not in restored else values(restored[each])
            for each in norm.weights[:2]
        )
        found = solve_fold(
            kernel,
            values(tensor),
            gamma,
            beta,
            mean,
            variance,
            values(constants[bias]) if bias is not None and bias in constants else None,
            epsilon=norm.epsilon,
            own_bias=values(restored[norm.bias]) if norm.bias and norm.bias in restored else None,
        )
        if found is not None:
            folds[name] = found.of(name, norm)
            if found.bias == "correct" and bias is not None:
                folds[bias] = folds[name]
    return folds
