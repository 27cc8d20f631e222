"""What is asked of an output as a whole: its signal to the noise, its direction, its distance in quanta."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..result import Criterion
from .deviation import chunks
from .dtypes import kind
from .tolerance import Tolerance


class _Sums(NamedTuple):
    """Sums over the pairs that are compared, of values divided by ``scale``, a power of two as large as they are."""

    scale: float
    reference: float
    export: float
    product: float
    noise: float
    furthest: float
    constant: bool


def criteria(
    reference: npt.NDArray[Any], export: npt.NDArray[Any], tolerance: Tolerance, step: float | None
) -> tuple[Criterion, ...]:
    """How ``export`` meets the metrics of ``tolerance``, one each; both arrays are of one shape and not empty.

    All values of an output are one vector, in float64. Where both sides have the same NaN or infinity is left out;
    where one side alone is not finite nothing is met.

    - ``sqnr``: ``10 log10(sum(reference**2) / sum((export - reference)**2))``, in dB
    - ``cosine``: ``sum(reference * export) / (|reference| |export|)``. It sees neither a factor nor, where all values
      of the reference are one number or there is but one, anything: then only equal values meet it.
    - ``steps``: ``max |export - reference| / step``, where ``step`` is the distance of two values that the export's
      output can hold. Values that went through float32 are allowed their rounding.
    """
    stated = tolerance.metrics.items()
    if not stated:
        return ()
    if not {kind(reference.dtype), kind(export.dtype)} <= {"float", "integer"}:
        return tuple(Criterion(name=name, asked=number, value=None, passed=False) for name, number in stated)
    sums = _sums(reference, export)
    made = {"sqnr": _sqnr, "cosine": _cosine}
    return tuple(
        _steps(sums, export, number, step) if name == "steps" else made[name](sums, number)
        for name, number in stated
    )


def _sqnr(sums: _Sums | None, asked: float) -> Criterion:
    if sums is not None and sums.noise == 0:
        return Criterion(name="sqnr", asked=asked, value=None, passed=True)
    # The noise is a number above 0: without any signal there is no ratio to speak of.
    if sums is None or sums.reference == 0:
        return Criterion(name="sqnr", asked=asked, value=None, passed=False)
    value = 10 * math.log10(max(sums.reference / sums.noise, float(np.finfo(np.float64).tiny)))
    return Criterion(name="sqnr", asked=asked, value=value, passed=value >= asked)


def _cosine(sums: _Sums | None, asked: float) -> Criterion:
    if sums is not None and sums.noise == 0:
        return Criterion(name="cosine", asked=asked, value=1.0, passed=True)
    if sums is None or sums.constant or not sums.reference or not sums.export:
        return Criterion(name="cosine", asked=asked, value=None, passed=False)
    value = sums.product / math.sqrt(sums.reference) / math.sqrt(sums.export)
    value = max(-1.0, min(1.0, value))
    return Criterion(name="cosine", asked=asked, value=value, passed=value >= asked)


def _steps(sums: _Sums | None, export: npt.NDArray[Any], asked: float, step: float | None) -> Criterion:
    if sums is None or step is None or not (step > 0 and math.isfinite(step)):
        return Criterion(name="steps", asked=asked, value=None, passed=False)
    apart = sums.furthest * sums.scale
    # Both ends are multiples of the step, or what they were computed from, after a rounding to float32.
    rounding = 2 * float(np.spacing(np.float32(min(sums.scale, float(np.finfo(np.float32).max) / 2))))
    rounded = rounding if export.dtype == np.float32 else 0.0
    passed = apart <= asked * step + min(rounded, step / 100)
    return Criterion(name="steps", asked=asked, value=apart / step, passed=passed)


def _sums(reference: npt.NDArray[Any], export: npt.NDArray[Any]) -> _Sums | None:
    """The sums over all pairs that are finite; None where no pair is, or where one side alone is not finite."""
    scale, low, high = 0.0, math.inf, -math.inf
    for _, first, second in chunks(reference, export):
        left, right = first.astype(np.float64), second.astype(np.float64)
        finite = np.isfinite(left)
        if not np.array_equal(finite, np.isfinite(right)):
            return None
        if not finite.any():
            continue
        scale = max(scale, float(np.abs(left[finite]).max()), float(np.abs(right[finite]).max()))
        low, high = min(low, float(left[finite].min())), max(high, float(left[finite].max()))
    if low > high:
        return None
    # Divided so, no square is beyond float64; those that vanish are too small to count.
    scale = math.ldexp(1.0, min(math.frexp(scale)[1], 1023))
    parts: list[list[float]] = [[], [], [], []]
    furthest = 0.0
    for _, first, second in chunks(reference, export):
        left, right = first.astype(np.float64), second.astype(np.float64)
        finite = np.isfinite(left)
        left, right = (side[finite] / scale for side in (left, right))
        noise = right - left
        furthest = max(furthest, float(np.abs(noise).max(initial=0.0)))
        for sums, value in zip(parts, (left * left, right * right, left * right, noise * noise), strict=True):
            sums.append(float(value.sum()))
    totals = [math.fsum(sums) for sums in parts]
    # Differences whose squares vanish are differences all the same.
    noise_power = max(totals[3], 1e-300) if furthest else 0.0
    return _Sums(scale, totals[0], totals[1], totals[2], noise_power, furthest, constant=low == high)
