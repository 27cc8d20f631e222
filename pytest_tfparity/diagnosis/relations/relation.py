"""How an array follows from another, and the bounds that several relations share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.graph import Array

Doubles: TypeAlias = npt.NDArray[np.float64]

RelationKind: TypeAlias = Literal[
    "float16",
    "bfloat16",
    "cast",
    "reshaped",
    "transposed",
    "flipped",
    "permuted",
    "reordered",
    "negated",
    "zeroed",
    "masked",
    "clipped",
    "rounded",
    "scaled",
    "channels scaled",
    "mapped",
    "mixture",
]

ENOUGH = 4
"""Distinct values that a relation must explain before it is believed.

Two independent float32 numbers of one binade are equal once in 2**23, and four within their rounding leave no room for
chance."""
FLOAT32_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""What the few roundings of one operation in float32 leave, relative to its largest term. Measured: at most 0.31 of it
in the fault cases' mixtures, 0.87 in weights times a factor."""
_HEAD = 4096
"""So many values refute nearly every relation, and cost a thousandth of a large kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """How an array follows from the original.

    - ``float16``, ``bfloat16``: through half precision, by ``rounding``; ``cast``: in another float type;
    - ``reshaped``: the same values in the same order; ``transposed``: ``original.transpose(axes)``;
    - ``flipped``: backwards along ``axes``;
    - ``permuted``: ``array = original.take(order, axis)``; ``blocks`` is ``order`` in equal blocks, the fewest that it
      moves whole (gates of a cell), empty if it moves single entries. Without ``axis``: the same values in an order
      that no axis explains;
    - ``reordered``: the values of ``original.transpose(axes)``, put into the old shape;
    - ``negated``: with the opposite sign;
    - ``zeroed``: 0 where the original's size is below ``bound``, else equal; ``changed`` of the values are;
    - ``masked``: 0 in ``changed`` places, with no bound that tells them, else equal;
    - ``clipped``: ``numpy.clip(original, *limits)``; ``changed`` of the values differ;
    - ``rounded``: the nearest of at most 256 equal steps, one width in ``factors`` for each entry of ``axis``, or for
      all;
    - ``scaled``: ``original * number``; ``channels scaled``: ``original * factors`` along ``axis``, one an entry;
    - ``mapped``: ``function(original)`` of each value: a root, a square, the inverse of either, plus ``number``, or a
      root of the sum with it;
    - ``mixture``: ``number * average + (1 - number) * original``.
    """

    kind: RelationKind
    axes: tuple[int, ...] = ()
    axis: int | None = None
    order: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    rounding: Literal["nearest", "truncated"] | None = None
    bound: float | None = None
    limits: tuple[float, float] | None = None
    changed: int = 0
    factors: tuple[float, ...] = ()
    function: str = ""
    number: float | None = None


def head(array: Array) -> Array:
    """The first values of ``array``, flat: enough to refute a relation."""
    return array.reshape(-1)[:_HEAD]


def doubles(array: Array) -> Doubles:
    """The values of ``array`` in float64, flat."""
    return np.asarray(array, np.float64).reshape(-1)


def channel_axes(original: Array) -> tuple[int, ...]:
    """The axes along which a kernel may have one number an entry, the last first: output channels stand there."""
    return tuple(axis for axis in reversed(range(original.ndim)) if 1 < original.shape[axis] < original.size)


def channels(array: Array, original: Array, axis: int) -> Iterator[tuple[Doubles, Doubles]]:
    """The entries of ``axis`` of both arrays, each flat in float64."""
    for held, right in zip(np.moveaxis(array, axis, 0), np.moveaxis(original, axis, 0), strict=True):
        yield doubles(held), doubles(right)
