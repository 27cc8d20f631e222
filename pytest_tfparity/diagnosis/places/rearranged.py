"""What a kernel may have been before numbers changed it: the original with its values in other places.

What was folded into a kernel, or the type that it is stored in, leaves its values near those of the original and not
equal: so places are told by nearness here, and whoever asks holds the candidate against every value.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import Linear
from ...graph.graph import Array
from ...graph.read.tensors import values
from .fold_formula import LayerWeights, scaled, terms

Numbers: TypeAlias = npt.NDArray[Any]

_NEAR = 0.1
"""Of the norm of a kernel: how far apart two may be that are the same but for a stored type. Two
kernels that were drawn apart are 1.4 apart; a noise of 0.01 of each value, as eight bits leave it, is 0.01."""
_FAR = 5 * _NEAR
"""The same of a sample of the values, which may be less alike than all of them are."""
_SAMPLE = 4096
_MOST_ENTRIES = 4096
"""Entries of an axis up to which each is looked for among all: 0.3 s for so many, measured on two cores."""
_FEATURES = 256
"""Numbers by which one entry is told from the others."""


def rearranged_before(
    norm: BatchNorm, linear: Linear, weights: LayerWeights, held: Numbers
) -> Iterator[Array]:
    """Kernels with the values of that of ``weights`` in other places that ``held`` may be, with ``norm`` folded in."""
    given = terms(norm, weights)
    if given is None or norm.kernel is None:
        return
    with np.errstate(all="ignore"):
        before = scaled(held.astype(np.float64), 1 / given.scale, linear)
    if before is not None:
        yield from rearranged(before, values(weights[norm.kernel]))


def rearranged(held: Numbers, original: Array) -> Iterator[Array]:
    """Arrays with the values of ``original`` in other places that are near ``held``, the simplest change first.

    Both are of one shape; what is transposed, flipped, put back into the old shape, or permuted along one axis.
    """
    if held.shape != original.shape or not np.isfinite(held).all() or not np.isfinite(original).all():
        return
    limit = _NEAR * float(np.linalg.norm(original))
    for found in _candidates(held, original):
        if _may_be(held, found) and float(np.linalg.norm(held - found)) <= limit:
            yield found


def _may_be(held: Numbers, found: Array) -> bool:
    """Whether some values do not refute a candidate already."""
    few = np.unravel_index(np.linspace(0, held.size - 1, min(_SAMPLE, held.size)).astype(int), held.shape)
    one, other = held[few], found[few]
    return float(np.linalg.norm(one - other)) <= _FAR * float(np.linalg.norm(other))


def _candidates(held: Numbers, original: Array) -> Iterator[Array]:
    axes = tuple(range(original.ndim))
    orders = [order for order in permutations(axes) if order != axes]
    yield from (
        original.transpose(order)
        for order in orders
        if tuple(original.shape[axis] for axis in order) == original.shape
    )
    wide = [axis for axis in axes if original.shape[axis] > 1]
    yield from (
        np.flip(original, chosen) for count in range(1, len(wide) + 1) for chosen in combinations(wide, count)
    )
    yield from (original.transpose(order).reshape(original.shape) for order in orders)
    for axis in wide:
        order = _order(np.moveaxis(held, axis, 0), np.moveaxis(original, axis, 0))
        if order is not None:
            yield original.take(order, axis)


def _order(entries: Numbers, originals: Numbers) -> Numbers | None:
    """Which original each entry is nearest to; None unless each original is so once, or all stand as they are."""
    count = len(originals)
    if count > _MOST_ENTRIES:
        return None
    flat = [each.reshape(count, -1).astype(np.float64) for each in (entries, originals)]
    few = np.linspace(0, flat[0].shape[1] - 1, min(_FEATURES, flat[0].shape[1])).astype(int)
    one, other = flat[0][:, few], flat[1][:, few]
    distances = (other**2).sum(axis=1) - 2 * one @ other.T
    order: Numbers = distances.argmin(axis=1)
    if len(np.unique(order)) < count or np.array_equal(order, np.arange(count)):
        return None
    return order
