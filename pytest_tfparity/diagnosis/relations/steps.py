"""Arrays that were rounded to few, equally spaced values: of all of them, or of each channel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph.graph import Array
from .relation import ENOUGH, FLOAT32_ROUNDING, Doubles, Relation, channel_axes, channels, doubles, head

_LEVELS = 256
"""Values of eight bits."""
_ON_STEP = 1e-3
"""How far a value may lie from a step, in steps, where float32 rounds less. Four values are so near by chance once in
10**10."""
_COARSE = 0.01
"""Rounding of float32, in steps, from which its own grid is what is seen. 255 steps of values that lie five ranges away
from 0 are at 6e-4."""
HALF_STEP = 0.5 + _COARSE
"""How far a rounded value may lie from the original, in steps."""


def to_equal_steps(array: Array, original: Array) -> Relation | None:
    """``array`` as the nearest equal steps to ``original``, with one width for all, else one for each channel."""
    step = equal_step(array, original)
    if step is not None:
        return Relation(kind="rounded", factors=(step,))
    for axis in channel_axes(original):
        widths: list[float] = []
        shown = 0
        for held, right in channels(array, original, axis):
            width = _step(held, right)
            if width is None:
                break
            widths.append(width)
            shown += _shown(held)
        else:
            if shown >= ENOUGH:
                return Relation(kind="rounded", axis=axis, factors=tuple(widths))
    return None


def equal_step(array: Array, original: Array) -> float | None:
    """The step between few, equally spaced values, each the nearest one to the original's; None if it is not so."""
    if np.unique(head(array)).size > _LEVELS:  # before gigabytes of weights are widened
        return None
    held = doubles(array)
    step = _step(held, doubles(original))
    return step if step is not None and _shown(held) >= ENOUGH else None


def _shown(held: Doubles) -> int:
    """How many values show the grid: any two lie on one of their own."""
    return max(np.unique(held).size - 2, 0)


def _step(held: Doubles, right: Doubles) -> float | None:
    """The width of the steps on which ``held`` is what is nearest to ``right``; None if there is none."""
    if np.unique(head(held)).size > _LEVELS:
        return None
    levels = np.unique(held)
    if not 1 < levels.size <= _LEVELS or np.unique(right).size <= levels.size // 2:
        return None
    with np.errstate(invalid="ignore"):
        off, largest = float(np.abs(held - right).max()), float(np.abs(levels).max())
    if off == 0 or not np.isfinite(off) or not np.isfinite(largest):
        return None
    for step in _widths(levels):
        rounding = FLOAT32_ROUNDING * largest / step
        places = (levels - levels[0]) / step
        whole = np.rint(places)
        slack = max(rounding, _ON_STEP)
        on_steps = whole[-1] < _LEVELS and np.abs(places - whole).max() <= slack
        if rounding < _COARSE and on_steps and off <= (0.5 + slack) * step:
            return step
    return None


def _widths(levels: Doubles) -> Iterator[float]:
    """The steps that values may lie on: those of eight bits, and the smallest distance, or a part of it where no two
    neighbouring steps occur, as it follows from the whole range."""
    largest, span = float(np.abs(levels).max()), float(levels[-1] - levels[0])
    yield from (largest / 127, largest / 128, span / 255, span / 254)
    gap = float(np.diff(levels).min())
    yield from (span / round(span * parts / gap) for parts in (1, 2, 3))
