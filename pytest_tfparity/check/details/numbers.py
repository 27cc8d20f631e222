"""Numbers of arrays as a report holds them: plain, short, None where there is none."""

from __future__ import annotations

import math

import numpy as np

from ...graph.graph import Array
from ...result_details import Quantiles

FEW = 5
"""As many numbers as the quantiles are: fewer are given as they are."""


def short(value: float) -> float:
    """``value`` with six significant digits: more than a picture shows."""
    return float(f"{float(value):.6g}")


def finite(value: float | None) -> float | None:
    """``value``, short, or None where it is not finite."""
    return None if value is None or not math.isfinite(value) else short(value)


def quantiles(array: Array) -> Quantiles | None:
    """Five numbers that say how the finite values of ``array`` lie; None if there are none."""
    flat = np.asarray(array, np.float64).reshape(-1)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return None
    found = flat if flat.size < FEW else np.quantile(flat, (0.0, 0.25, 0.5, 0.75, 1.0))
    return tuple(short(value) for value in found)


def largest_difference(one: Array | None, other: Array | None) -> float | None:
    """The largest absolute difference; None where a side is missing, of another shape or not finite."""
    if one is None or other is None or one.shape != other.shape:
        return None
    if one.size == 0:
        return 0.0
    with np.errstate(all="ignore"):
        return finite(float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max()))
