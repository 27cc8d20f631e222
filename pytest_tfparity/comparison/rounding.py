"""How far answers are from the exact one, in units of the reference's own rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .dtypes import kind

FLOOR = 4
"""Units in the last place, at the output's scale, that a rounding is at least: a small network may be exact by luck,
and another order of summing is no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """The error that a reference's own arithmetic makes in one output.

    ``error`` is its largest absolute distance from the exact answer, ``floor`` what it counts as at least,
    ``scale`` the largest absolute value of the exact answer.
    """

    error: float
    floor: float
    scale: float

    @property
    def unit(self) -> float:
        """The rounding: what other distances from the exact answer are measured by."""
        return max(self.error, self.floor)


def rounding_of(reference: npt.NDArray[Any], exact: npt.NDArray[Any]) -> Rounding | None:
    """The rounding of ``reference``, a float or complex dtype, whose exact answer is ``exact`` (float64, complex128).

    None where there is none: no numbers, another shape, or values that are not finite in one of the two alone.
    """
    error = distance(reference, exact)
    if error is None or not exact.size:
        return None
    finite = np.abs(exact[np.isfinite(exact)])
    scale = float(finite.max()) if finite.size else 0.0
    return Rounding(error=error, floor=FLOOR * last_place(reference.dtype, scale), scale=scale)


def distance(answer: npt.NDArray[Any], exact: npt.NDArray[Any]) -> float | None:
    """The largest absolute difference of ``answer`` from ``exact``; None where that is no number.

    Values that are the same infinity, or NaN, in both do not count.
    """
    if answer.shape != exact.shape or kind(answer.dtype) not in ("float", "complex"):
        return None
    wide = answer.astype(exact.dtype)
    with np.errstate(all="ignore"):
        same = (wide == exact) | (np.isnan(wide) & np.isnan(exact))
        apart = np.abs(np.where(same, 0, wide - exact))
    largest = float(apart.max()) if apart.size else 0.0
    return largest if math.isfinite(largest) else None


def last_place(dtype: np.dtype[Any], scale: float) -> float:
    """One unit in the last place of ``dtype`` at ``scale``: the gap to the next larger number."""
    if dtype.kind == "c":
        dtype = np.empty(0, dtype).real.dtype
    if dtype.kind == "f":
        at = np.asarray(min(scale, float(np.finfo(dtype).max) / 2), dtype)
        return float(np.spacing(at))
    import ml_dtypes

    finfo: Any = ml_dtypes.finfo
    return math.ldexp(float(finfo(dtype).eps), math.frexp(scale)[1] - 1)
