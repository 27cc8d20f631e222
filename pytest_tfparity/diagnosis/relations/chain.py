"""The relation of one array to another: each kind asked in turn, those that bits decide first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ...graph.graph import Array
from ..arrays import is_float, same
from .elementwise import channels_scaled, cut, function_of_each, negated, scaled
from .half_precision import low_precision
from .order import relaid, reordered
from .relation import ENOUGH, Relation, head
from .steps import to_equal_steps

_Find: TypeAlias = "Callable[[Array, Array], Relation | None]"


def relation_of(array: Array, original: Array) -> Relation | None:
    """What ``array`` is of ``original``, both of floats; None for equal arrays and where nothing fits."""
    if array.size != original.size or not is_float(array) or not is_float(original) or same(array, original):
        return None
    found = _first((low_precision, negated, relaid, reordered), array, original)
    if found is not None or array.shape != original.shape or array.dtype != original.dtype:
        return found
    if array.size < ENOUGH or not np.isfinite(original).all() or not np.isfinite(array).all():
        return None
    return _first(
        (_by_head(scaled), cut, to_equal_steps, channels_scaled, _by_head(function_of_each)), array, original
    )


def _first(finds: tuple[_Find, ...], array: Array, original: Array) -> Relation | None:
    return next((found for find in finds if (found := find(array, original)) is not None), None)


def _by_head(find: _Find) -> _Find:
    """``find`` for what holds of each value by itself: the first values refute it for a hundredth of the work."""

    def found(array: Array, original: Array) -> Relation | None:
        first = head(original)
        if np.unique(first).size >= ENOUGH and find(head(array), first) is None:
            return None
        return find(array, original)

    return found
