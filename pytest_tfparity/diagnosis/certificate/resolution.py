"""What a type of a file can hold: how far a stored number may lie from the one that was meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.batch_norm.fold import FOLD_ROUNDING
from ...graph.lift.lifted import Grid, Stored

Numbers: TypeAlias = npt.NDArray[Any]

_HALF_QUANTUM = 0.502
"""Of a quantum: half of one is the rounding; the rest is that of the scale, which is a float32. Measured on 13 right
int8 exports of random networks: 0.49998 at most."""
_FLOAT = 2.0**-23
"""Of a number: what float32 cannot hold, which a quantum of 32 or 64 bits is finer than."""
_DIGITS = {"float32": 24, "float16": 11, "bfloat16": 8, "float64": 53}
"""Bits of the significand, the hidden one included (IEEE 754)."""
_LEAST = {"float32": -149, "float16": -24, "bfloat16": -133, "float64": -1074}
"""The exponent of the smallest number above 0."""
_SLACK = 1.01
"""Of half a unit in the last place: the number is rounded once from a float64, the formula once more in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far stored numbers lie from those that were meant.

    ``worst`` is in ``unit``: "quantum" (of the grid), or "half ulp" (of the type); infinite where shapes differ or a
    number is not finite that should be. ``within`` says whether all are as near as the type can hold them, ``outside``
    how many are not.
    """

    worst: float
    unit: str
    within: bool
    outside: int
    total: int


def distance(held: Numbers, meant: Numbers, stored: Stored, size: Numbers | float | None = None) -> Distance:
    """How far ``held`` (as the file has it, dequantised) lies from ``meant``; both of one shape.

    ``size`` is that of the terms that ``meant`` was computed from, where they are larger than itself: float32
    arithmetic rounds in proportion to them. It is None where nothing was computed. A number beyond the ends of a
    grid can only be held by its end.
    """
    unit = "quantum" if stored.grid is not None else "half ulp"
    if held.shape != meant.shape:
        return Distance(worst=np.inf, unit=unit, within=False, outside=held.size, total=held.size)
    apart = np.abs(held.astype(np.float64) - meant)
    large = np.abs(meant) if size is None else np.maximum(np.abs(meant), size)
    rounding: Numbers = large * (0.0 if size is None else FOLD_ROUNDING)
    if stored.grid is not None:
        step = np.broadcast_to(_step(stored.grid), held.shape)
        allowed: Numbers = _HALF_QUANTUM * step + np.maximum(rounding, _FLOAT * large)
        worst = apart / step
    else:
        half = _half_ulp(large, stored.type)
        allowed = half * (_SLACK if _DIGITS.get(stored.type, 24) < 24 else 0.0) + rounding
        worst = apart / half
    with np.errstate(invalid="ignore"):
        outside = ~(apart <= allowed)
    outside &= ~((held == meant) | (np.isnan(held) & np.isnan(meant)))
    count = int(np.count_nonzero(outside))
    largest = float(np.nanmax(worst, initial=0.0)) if held.size else 0.0
    return Distance(
        worst=largest if np.isfinite(held).all() or count == 0 else np.inf,
        unit=unit,
        within=count == 0,
        outside=count,
        total=held.size,
    )


def _step(grid: Grid) -> Numbers:
    step: Numbers = np.maximum(np.abs(grid.scale), np.finfo(np.float64).tiny)
    return step


def _half_ulp(meant: Numbers, kind: str) -> Numbers:
    """Half a unit in the last place of ``meant`` in a type; in float64."""
    digits, least = _DIGITS.get(kind, 24), _LEAST.get(kind, -149)
    with np.errstate(divide="ignore"):
        exponents = np.frexp(np.abs(meant))[1] - digits
    half: Numbers = np.ldexp(0.5, np.maximum(exponents, least))
    return half
