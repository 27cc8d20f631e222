"""What a weight of an export was meant to be: the reference's, with its batch norms folded in or as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import Linear
from ...graph.edit.repair import tensor_of_array
from ...graph.graph import Tensor
from ...graph.read.tensors import values
from ..arrays import is_float
from ..evidence import Evidence
from ..places.batch_norms import reference_linears, reference_norms
from ..places.fold_formula import LayerWeights, matrix, scaled, terms
from ..places.fold_origins import origins
from ..places.rearranged import rearranged, rearranged_before
from ..query import query
from .derived import Derived

Numbers: TypeAlias = npt.NDArray[Any]

_USUAL_EPSILONS = (1e-3, 1e-5, 1e-4, 1e-6, 1e-7, 1e-8, 1e-2, 2e-5, 0.0, 1e-12)
_MOST_ORIGINS = 12
"""Sets of weights that are tried for a layer whose own do not fit; each costs a pass over a sample of its kernel."""


_NEAR = 0.02
"""Share by which an estimated factor may differ from one that is tried: eight bits leave no more of a channel. What
is tried is then held against every value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """A kernel and the offset behind it, in float64 where they were computed.

    ``expected`` says that this is right, ``size`` is that of the terms of ``offset``; ``folded`` says whether a batch
    norm is in both. ``source`` are the weights that they are made of.
    """

    layer: Layer
    kernel: Numbers
    offset: Numbers | None
    size: Numbers | None
    folded: bool
    expected: bool
    source: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A convolution or product of the reference, with the batch norm behind it if one is there."""

    linear: Linear
    norm: BatchNorm | None

    @property
    def names(self) -> tuple[str, ...]:
        """The weights that it is made of."""
        own = (self.linear.kernel, self.linear.bias)
        more = () if self.norm is None else (self.norm.bias, *self.norm.weights)
        return tuple(dict.fromkeys(name for name in (*own, *more) if name is not None))


@query
def reference_layers(evidence: Evidence) -> tuple[Layer, ...]:
    """The layers of the reference that hold kernels, in the order of a run."""
    norms = {
        norm.linear: norm for norm in evidence[reference_norms] if norm.mode == "inference" and norm.linear
    }
    return tuple(Layer(linear=linear, norm=norms.get(linear.node)) for linear in evidence[reference_linears])


def expected(evidence: Evidence, layer: Layer) -> Iterator[Meant]:
    """What the layer's kernel and offset may rightly be: with its batch norm in them, and as they are."""
    if layer.norm is not None:
        own = next(iter(origins(evidence, layer.norm)), None)
        made = None if own is None else _folded(layer, layer.norm, own, expected=True)
        if made is not None:
            yield made
    plain = _plain(evidence, layer)
    if plain is not None:
        yield plain


def mistaken(evidence: Evidence, layer: Layer, held: Numbers) -> Iterator[Meant]:
    """What a mistake may have made of the layer: other epsilons, weights of other restores.

    ``held`` is the export's kernel, in the layer's layout.
    """
    norm = layer.norm
    if norm is not None:
        sets = list(islice(origins(evidence, norm), _MOST_ORIGINS))
        for epsilon in _epsilons(norm, layer.linear, sets[0], held) if sets else ():
            made = _folded(layer, norm, sets[0], expected=False, epsilon=epsilon)
            if made is not None and epsilon != norm.epsilon:
                yield made
        for weights in sets[1:]:
            made = _folded(layer, norm, weights, expected=False)
            if made is not None:
                yield made
    yield from _of_other_files(evidence, layer)


def _epsilons(norm: BatchNorm, linear: Linear, weights: LayerWeights, held: Numbers) -> Iterator[float]:
    """Epsilons that may have been folded in: the usual ones, and the one that ``held`` shows, with few digits."""
    yield from _USUAL_EPSILONS
    given = terms(norm, weights)
    before = (
        None if given is None else matrix(values(weights[norm.kernel or ""]), linear, given.variance.size)
    )
    after = None if given is None else matrix(held, linear, given.variance.size)
    if given is None or before is None or after is None or before.shape != after.shape:
        return
    one, other = before.astype(np.float64), after.astype(np.float64)
    with np.errstate(all="ignore"):
        factors = (one * other).sum(axis=0) / (one * one).sum(axis=0)
        gamma = 1.0 if given.gamma is None else given.gamma
        shown = (gamma / factors) ** 2 - given.variance
    known = np.isfinite(shown) & (shown > 0)
    if not known.any():
        return
    # The smaller a variance, the more an epsilon beside it changes.
    nearest = float(shown[known][np.argmin(given.variance[known])])
    for estimate in (float(np.median(shown[known])), nearest):
        yield from (float(f"{estimate:.{digits}g}") for digits in (1, 2, 3))


def misplaced(evidence: Evidence, layer: Layer, held: Numbers) -> Iterator[Meant]:
    """The layer with the values of its kernel in other places; ``held`` is the export's, in the layer's layout."""
    plain, norm = _plain(evidence, layer), layer.norm
    if plain is None:
        return
    yield from (replace(plain, kernel=found, expected=False) for found in rearranged(held, plain.kernel))
    own = None if norm is None else next(iter(origins(evidence, norm)), None)
    if norm is None or norm.kernel is None or own is None:
        return
    for found in rearranged_before(norm, layer.linear, own, held):
        weights = {**own, norm.kernel: tensor_of_array(np.ascontiguousarray(found))}
        made = _folded(layer, norm, weights, expected=False)
        if made is not None:
            yield made


def _plain(evidence: Evidence, layer: Layer) -> Meant | None:
    kernel = evidence.reference.value(layer.linear.kernel)
    if kernel is None or not is_float(values(kernel)):
        return None
    bias = evidence.reference.value(layer.linear.bias)
    return Meant(
        layer=layer,
        kernel=values(kernel),
        offset=None if bias is None else values(bias).reshape(-1),
        size=None,
        folded=False,
        expected=True,
        source=tuple(name for name in (layer.linear.kernel, layer.linear.bias) if name is not None),
    )


def _of_other_files(evidence: Evidence, layer: Layer) -> Iterator[Meant]:
    """The kernel and bias as other checkpoints hold them."""
    keys = evidence.case.keys
    names = [name for name in (layer.linear.kernel, layer.linear.bias) if name is not None]
    right = {name: evidence.reference.value(name) for name in names}
    for tensors in evidence.case.others.values():
        found = {name: tensors.get(keys.get(name, "")) for name in names}
        if any(_unlike(found[name], right[name]) for name in names):
            continue
        arrays = [values(held) for held in found.values() if held is not None]
        yield Meant(
            layer=layer,
            kernel=arrays[0],
            offset=arrays[1].reshape(-1) if len(arrays) > 1 else None,
            size=None,
            folded=False,
            expected=False,
            source=tuple(names),
        )


def _unlike(one: Tensor | None, other: Tensor | None) -> bool:
    return one is None or other is None or one.shape != other.shape


def _folded(
    layer: Layer, norm: BatchNorm, weights: LayerWeights, *, expected: bool, epsilon: float | None = None
) -> Meant | None:
    given = terms(norm, weights)
    if given is None or norm.kernel is None:
        return None
    kernel = values(weights[norm.kernel])
    with np.errstate(all="ignore"):
        gamma = 1.0 if given.gamma is None else given.gamma
        scale = gamma / np.sqrt(given.variance + (norm.epsilon if epsilon is None else epsilon))
    along = scaled(kernel, scale, layer.linear)
    if along is None:
        return None
    bias = np.zeros_like(given.mean) if given.bias is None else given.bias
    return Meant(
        layer=layer,
        kernel=along,
        offset=given.beta + (bias - given.mean) * scale,
        size=np.abs(given.beta) + (np.abs(bias) + np.abs(given.mean)) * np.abs(scale),
        folded=True,
        expected=expected,
        source=layer.names,
    )


def folded_before(meant: Meant, held: Numbers, linear: Linear, known: Sequence[Derived]) -> Iterator[Meant]:
    """``meant`` with a scale of its inputs in the kernel, as converters fold what comes before: one of ``known``.

    The scale is estimated from ``held``, the export's kernel in the layout of ``linear``, and looked up.
    """
    axis = _input_axis(meant.kernel, linear)
    if axis is None or meant.kernel.shape != held.shape:
        return
    kernel = np.moveaxis(meant.kernel.astype(np.float64), axis, 0).reshape(meant.kernel.shape[axis], -1)
    other = np.moveaxis(held.astype(np.float64), axis, 0).reshape(kernel.shape)
    squares = (kernel * kernel).sum(axis=1)
    with np.errstate(all="ignore"):
        factors = np.where(squares > 0, (kernel * other).sum(axis=1) / squares, np.nan)
        whole = float((kernel * other).sum() / squares.sum()) if squares.sum() > 0 else np.nan
    for each in known:
        close = whole if each.value.size == 1 else factors
        if each.value.size not in (1, factors.size):
            continue
        for inverse in (False, True):
            with np.errstate(all="ignore"):
                scale = 1 / each.value if inverse else each.value.astype(np.float64)
                near = np.abs(scale - close) <= _NEAR * np.abs(scale)
            if not np.all(near | np.isnan(close)) or not np.isfinite(scale).all():
                continue
            shape = [1] * held.ndim
            shape[axis] = -1
            yield replace(
                meant,
                kernel=meant.kernel * scale.reshape(shape),
                folded=True,
                source=(*meant.source, each.name),
            )


def offsets_before(
    meant: Meant, kernel: Numbers, linear: Linear, known: Sequence[Derived]
) -> Iterator[Meant]:
    """``meant`` with what is added to its inputs in its own offset: one of ``known``, times ``kernel``.

    ``kernel`` is in the layout of ``linear``, with what follows folded in, and with a scale before it where what is
    added is scaled too.
    """
    axis = _input_axis(kernel, linear)
    if axis is None:
        return
    rows = np.moveaxis(kernel.astype(np.float64), axis, 0)
    rows = rows.reshape(rows.shape[0], -1, rows.shape[-1])
    total, terms = rows.sum(axis=1), np.abs(rows).sum(axis=1)
    through = _by_channel if linear.op == "DepthwiseConv2dNative" else np.matmul
    own = np.zeros(through(np.ones(len(rows)), terms).size) if meant.offset is None else meant.offset
    size = np.abs(own) if meant.size is None else meant.size
    for each in known:
        if each.value.size not in (1, len(rows)) or not np.isfinite(each.value).all():
            continue
        vector = np.broadcast_to(each.value.astype(np.float64), len(rows))
        for sign in (1, -1):
            yield replace(
                meant,
                offset=own + sign * through(vector, total),
                size=size + through(np.abs(vector), terms),
                source=(*meant.source, each.name),
            )


def _by_channel(vector: Numbers, sums: Numbers) -> Numbers:
    """One number for each input channel times its own outputs alone: ``sums`` are of ``[channels, multiplier]``."""
    return (vector[:, None] * sums).reshape(-1)


def _input_axis(kernel: Numbers, linear: Linear) -> int | None:
    """The axis of a kernel's input channels; None for kernels of another rank."""
    if kernel.ndim == 2:
        return 1 if linear.transposed else 0
    if kernel.ndim != 4:
        return None
    return 3 if linear.transposed else 2
