"""How two arrays compare under a tolerance. numpy only."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from ..result import OutputComparison
from .deviation import Deviation, float_deviation, integer_deviation, string_deviation
from .dtypes import kind
from .metrics import criteria
from .tolerance import Tolerance, TopK
from .top_k import agreeing_rows


def compare(
    reference: npt.NDArray[Any],
    export: npt.NDArray[Any],
    tolerance: Tolerance,
    *,
    reference_name: str,
    export_name: str,
    against: str = "reference",
    step: float | None = None,
) -> OutputComparison:
    """How ``export`` compares with ``reference`` (arrays of any shape and dtype) under ``tolerance``.

    Elements are compared in float64 (complex128), one chunk at a time. Integers, bools and strings
    must be equal, whatever the tolerance; integers are subtracted exactly. Another shape or dtype, an empty
    comparison, an infinity against anything but itself, and any NaN fail, but for NaN on both sides
    under ``equal_nan``. Infinities and NaN fail under every statistic. ``required_atol`` and
    ``required_rtol`` pass when they are put in. A ``rounding`` allows nothing here, where no exact answer is
    known (:func:`.rounding.compare_exactly`). ``step`` is the quantum of the export's output, for ``steps``. Raises
    SettingsError if ``tolerance`` makes no sense.
    """
    if problems := tolerance.problems():
        raise SettingsError(" ".join(problems))
    tolerance = tolerance.within(0.0)
    reference, export = _plain(as_array(reference)), _plain(as_array(export))
    problem = _incomparable(reference, export, against)
    deviation = _deviation(reference, export, tolerance)
    clauses = [problem] if problem else _clauses(deviation, reference, tolerance, against)
    top_k = None if problem or tolerance.top_k is None else _top_k(reference, export, tolerance.top_k)
    asked = () if problem else criteria(reference, export, tolerance, step)
    otherwise = bool(problem or top_k) or not all(each.passed for each in asked)
    found = OutputComparison(
        reference=reference_name,
        export=export_name,
        max_abs=_finite(deviation.max_abs),
        max_rel=_finite(deviation.max_rel),
        worst_index=None,
        failing=deviation.total if problem else deviation.failing,
        total=deviation.total,
        atol=float(tolerance.atol),
        rtol=float(tolerance.rtol),
        required_atol=None,
        required_rtol=None,
        passed=deviation.passed and not otherwise,
        problem="; ".join([*clauses, *([top_k] if top_k else [])]) or None,
        statistic=tolerance.statistic,
        against=against,
        criteria=asked,
    )
    found = _with_worst(found, deviation.worst, reference, export)
    # No tolerance mends another dtype, another ranking or a metric, so none is suggested then.
    return found if otherwise else _with_passing_tolerance(found, deviation)


def _with_worst(
    found: OutputComparison, worst: int | None, reference: npt.NDArray[Any], export: npt.NDArray[Any]
) -> OutputComparison:
    """``found`` with the place and the values of the element that is furthest off, if there is one."""
    if worst is None:
        return found
    index = tuple(int(axis) for axis in np.unravel_index(worst, reference.shape))
    return replace(
        found,
        worst_index=index,
        worst_reference=_python(reference[index]),
        worst_export=_python(export[index]),
    )


def _with_passing_tolerance(found: OutputComparison, deviation: Deviation) -> OutputComparison:
    """``found`` with the smallest tolerances that would pass, and how much of the stated one is used."""
    return replace(
        found,
        required_atol=_finite(deviation.required_atol),
        required_rtol=_finite(deviation.required_rtol),
        used=_finite(deviation.used),
    )


def as_array(value: Any) -> npt.NDArray[Any]:
    """``value`` as an array; a lone string keeps its trailing NULs, which numpy's own dtype would cut."""
    return np.array(value, object) if isinstance(value, (bytes, str)) else np.asarray(value)


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """TensorFlow's qint8 and its kin are records of one integer field; that integer is what counts."""
    names = array.dtype.names
    return array[names[0]] if names is not None and len(names) == 1 else array


def _incomparable(reference: npt.NDArray[Any], export: npt.NDArray[Any], against: str) -> str | None:
    """A clause that says why nothing about the numbers could make these two equal."""
    if reference.shape != export.shape:
        return f"shape {_shape(export)}, but {_shape(reference)} in the {against}"
    if reference.size == 0:
        return f"nothing to compare: shape {_shape(reference)} has no elements"
    kinds = kind(reference.dtype), kind(export.dtype)
    if "other" in kinds:
        return f"values of dtype {(reference if kinds[0] == 'other' else export).dtype} cannot be compared"
    if kinds != ("string", "string") and reference.dtype.newbyteorder("=") != export.dtype.newbyteorder("="):
        return f"dtype {_dtype(export.dtype)}, but {_dtype(reference.dtype)} in the {against}"
    return None


def _deviation(reference: npt.NDArray[Any], export: npt.NDArray[Any], tolerance: Tolerance) -> Deviation:
    """The deviation by the kind of both sides; all fails where numbers would say nothing."""
    kinds = {kind(reference.dtype), kind(export.dtype)}
    unlike = reference.shape != export.shape or (len(kinds) > 1 and "string" in kinds)
    if unlike or reference.size == 0 or "other" in kinds:
        return Deviation(total=reference.size, failing=reference.size)
    if kinds == {"string"}:
        return string_deviation(reference, export)
    if kinds == {"integer"} and reference.dtype == export.dtype:
        return integer_deviation(reference, export)
    return float_deviation(
        reference,
        export,
        np.dtype(np.complex128 if "complex" in kinds else np.float64),
        atol=float(tolerance.atol),
        rtol=float(tolerance.rtol),
        equal_nan=tolerance.equal_nan,
        share=tolerance.share,
    )


def _clauses(
    deviation: Deviation, reference: npt.NDArray[Any], tolerance: Tolerance, against: str
) -> list[str]:
    """What the plain numbers do not say about a comparison, a clause each."""
    total, clauses = deviation.total, []
    if deviation.nan_both == total:
        clauses.append(f"all {total} values are NaN on both sides, so nothing is compared")
    elif deviation.nan_both and not tolerance.equal_nan:
        clauses.append(f"{deviation.nan_both} of {total} values are NaN on both sides")
    if deviation.nan_reference:
        clauses.append(f"{deviation.nan_reference} of {total} values are NaN in the {against} alone")
    if deviation.nan_export:
        clauses.append(f"{deviation.nan_export} of {total} values are NaN in the export alone")
    if deviation.infinite:
        clauses.append(
            f"{deviation.infinite} of {total} values are infinite on one side or with another sign"
        )
    exact = kind(reference.dtype) in ("integer", "string")
    if exact and deviation.failing:
        clauses.append(f"{_dtype(reference.dtype)} values must be equal, whatever the tolerance")
    return clauses


def _top_k(reference: npt.NDArray[Any], export: npt.NDArray[Any], top_k: TopK) -> str | None:
    """A clause that says how the largest entries of the rows disagree; None if enough agree."""
    if kind(reference.dtype) not in ("float", "integer"):
        return f"top_k needs real numbers, not {_dtype(reference.dtype)}"
    if reference.ndim == 0 or reference.shape[-1] < top_k.k:
        return f"top_k needs a last axis of at least {top_k.k} entries, but the shape is {_shape(reference)}"
    rows = reference.size // reference.shape[-1]
    agreeing = agreeing_rows(reference, export, int(top_k.k))
    if agreeing >= Fraction(str(top_k.agree)) * rows:
        return None
    return (
        f"the {top_k.k} largest entries are the same in {agreeing} of {rows} rows, "
        f"a share of {agreeing / rows:.4g} where {top_k.agree:g} is asked"
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _python(value: Any) -> float | int | str:
    """One element as plain Python that JSON can hold; a string is quoted and cut at 60 characters."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, (bool, int)):
        return plain
    if isinstance(plain, complex):
        return str(plain)
    if hasattr(plain, "__float__"):
        return float(plain) if math.isfinite(plain) else str(float(plain))
    text = repr(plain)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shape(array: npt.NDArray[Any]) -> str:
    return f"[{', '.join(map(str, array.shape))}]"


def _dtype(dtype: np.dtype[Any]) -> str:
    return "string" if kind(dtype) == "string" else dtype.name
