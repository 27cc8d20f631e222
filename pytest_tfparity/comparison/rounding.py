"""How far answers are from the exact one, in units of the reference's own rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..result import OutputComparison
from .compare import compare
from .dtypes import kind
from .tolerance import Tolerance

FLOOR = 4
"""Units in the last place, at the output's scale, that a rounding is at least: a small network may be exact by luck,
and another order of summing is no fault."""


MOST = 0.1
"""Share of the output's scale from which on a tolerance is none: so much is wrong where one digit is."""


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


def compare_exactly(
    reference: npt.NDArray[Any],
    export: npt.NDArray[Any],
    exact: npt.NDArray[Any],
    tolerance: Tolerance,
    *,
    reference_name: str,
    export_name: str,
    against: str = "reference",
    step: float | None = None,
) -> OutputComparison:
    """How ``export`` compares with the ``exact`` answer under a tolerance with a ``rounding``.

    It passes if each element is at most ``tolerance.rounding`` times the rounding of ``reference`` from it. Numbers
    are differences from the exact answer. What makes a comparison fail whatever its numbers are is that of
    :func:`.compare.compare`; so does a reference without a rounding, or with one so large that the output has hardly
    a digit left.
    """
    plain = compare(
        reference,
        export,
        tolerance,
        reference_name=reference_name,
        export_name=export_name,
        against=against,
        step=step,
    )
    if kind(reference.dtype) not in ("float", "complex") or reference.shape != export.shape:
        return plain
    if reference.dtype != export.dtype or not reference.size:
        return plain
    rounding = rounding_of(reference, exact)
    if rounding is None:
        problem = (
            f"the {against} has no rounding: it is not finite where the exact answer is, or the other way"
        )
        return replace(plain, passed=False, problem=problem, required_atol=None, required_rtol=None)
    allowed = tolerance.within(rounding.unit)
    found = compare(
        exact,
        export.astype(exact.dtype),
        allowed,
        reference_name=reference_name,
        export_name=export_name,
        against=against,
        step=step,
    )
    found = replace(found, required_atol=None, required_rtol=None, rounding_allowed=tolerance.rounding)
    found = measured(found, rounding, export, exact)
    if allowed.atol > MOST * rounding.scale and (rounding.scale or rounding.error):
        problem = (
            f"a rounding is {rounding.unit:.3g} where the largest value is {rounding.scale:.3g}:"
            f" {tolerance.rounding:g} of them would allow anything; state atol"
        )
        return replace(found, passed=False, problem=problem)
    return found


def measured(
    found: OutputComparison, rounding: Rounding, export: npt.NDArray[Any], exact: npt.NDArray[Any]
) -> OutputComparison:
    """``found`` with the rounding of its reference, and how many of them the export is from the exact answer."""
    apart = distance(export, exact)
    times = None if apart is None or not rounding.unit else apart / rounding.unit
    return replace(found, rounding=rounding.unit, times_rounding=times)
