"""Integers that are decided by floats: how many roundings of these another decision takes. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..result import OutputComparison
from .rounding import MOST, Rounding
from .tolerance import Tolerance

Floats: TypeAlias = npt.NDArray[Any]
KINDS = frozenset({"largest", "ranked", "sign", "floor", "ceil", "round", "truncate"})
_BELOW = {"floor": 0.0, "ceil": 1.0, "round": 0.5}
"""How far below its whole number a value may lie; above it, the rest of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the integers of an output are decided by.

    ``exact`` (float64) are the values in exact arithmetic, rows along the last axis, ``unit`` is how far the
    reference's own arithmetic takes it from them. ``kind`` is ``"largest"`` (where the largest of each row stands),
    ``"ranked"`` (where its k largest stand, in their order), ``"sign"`` (whether a value is above 0), ``"floor"``,
    ``"ceil"``, ``"round"`` or ``"truncate"`` (the whole number beside it).
    """

    kind: str
    exact: Floats
    unit: float


def decided_by(
    kind: str, exact: tuple[Floats, ...], roundings: tuple[Rounding, ...], *, sign: int, axis: int
) -> Decided:
    """A decision on ``sign`` times one exact value, or the difference of two, with rows along ``axis``.

    A rounding of a difference is that of both.
    """
    value = sign * (exact[0] - exact[1] if len(exact) == 2 else exact[0])
    if kind == "largest":
        value = np.moveaxis(value, axis, -1)
    return Decided(kind=kind, exact=value, unit=sum(each.unit for each in roundings))


def roundings_needed(decided: Decided, reference: npt.NDArray[Any], answer: npt.NDArray[Any]) -> Floats:
    """How many roundings away from ``decided.exact`` the values are that are decided as in ``answer``, by element.

    0 where it is what the ``reference`` answers, infinite where no value of a row could make it so. Both are integers
    or bools of one shape.

    Values that are d from the exact ones can make element j the largest of a row only if it is at most 2 d below the
    largest; of rank r only if it is at most 2 d from the exact value of that rank: no r + 1 others can all pass it.
    """
    same = reference == answer
    with np.errstate(all="ignore"):
        away = _away(decided, answer.astype(np.int64).reshape(-1))
    if away is None or not decided.unit:
        return np.where(same, 0.0, math.inf)
    needed = np.nan_to_num(away / decided.unit, nan=math.inf, posinf=math.inf)
    return np.where(same, 0.0, needed.reshape(answer.shape))


def is_known(decided: Decided, allowed: float) -> bool:
    """Whether ``allowed`` roundings are a small part of what is decided on: else they would allow any decision."""
    finite = np.abs(decided.exact[np.isfinite(decided.exact)])
    return bool(finite.size) and allowed * decided.unit <= MOST * float(finite.max())


def _away(decided: Decided, answer: npt.NDArray[np.int64]) -> Floats | None:
    """How far each value is from one that is decided as in ``answer``; None where the shapes do not fit."""
    if decided.kind in ("largest", "ranked"):
        rows = decided.exact.reshape(-1, decided.exact.shape[-1])
        if not rows.size or answer.size % len(rows):
            return None
        places = answer.reshape(len(rows), -1)
        return None if decided.kind == "largest" and places.shape[1] != 1 else _below_rank(rows, places)
    values = decided.exact.reshape(-1)
    if values.size != answer.size:
        return None
    if decided.kind == "sign":
        beyond: Floats = np.maximum(np.where(answer > 0, -values, values), 0.0)
        return beyond
    below, above = _around(decided.kind, answer.astype(np.float64))
    outside: Floats = np.maximum(np.maximum(below - values, values - above), 0.0)
    return outside


def _below_rank(rows: Floats, places: npt.NDArray[np.int64]) -> Floats:
    """Half of how far the elements at ``places`` (n, k) are from the k largest of ``rows`` (n, m); flat."""
    count = places.shape[1]
    if count > rows.shape[1]:
        return np.full(places.size, math.inf)
    ranked = -np.sort(-rows, axis=1)[:, :count]
    inside = (places >= 0) & (places < rows.shape[1])
    taken = np.take_along_axis(rows, np.where(inside, places, 0), axis=1)
    ordered = np.sort(places, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1, keepdims=True)
    return np.where(inside & ~twice, np.abs(ranked - taken) / 2, math.inf).reshape(-1)


def _around(kind: str, whole: Floats) -> tuple[Floats, Floats]:
    """Between which values the whole number beside them is ``whole``."""
    if kind == "truncate":
        return np.where(whole > 0, whole, whole - 1), np.where(whole < 0, whole, whole + 1)
    below = _BELOW[kind]
    return whole - below, whole + (1 - below)


def compare_decided(
    found: OutputComparison,
    decided: Decided,
    reference: npt.NDArray[Any],
    export: npt.NDArray[Any],
    tolerance: Tolerance,
) -> OutputComparison:
    """``found``, a plain comparison of integers, where each may be decided otherwise within ``tolerance.rounding``.

    It stays as it is where more is asked than that values are equal, and where so many roundings would allow anything.
    """
    allowed = tolerance.rounding
    unlike = reference.shape != export.shape or reference.dtype != export.dtype or not reference.size
    if allowed is None or unlike or tolerance.top_k or tolerance.metrics or not is_known(decided, allowed):
        return found
    needed = roundings_needed(decided, reference, export)
    wrong, other = needed > allowed, reference != export
    failing, ties = int(np.count_nonzero(wrong)), int(np.count_nonzero(other & ~wrong))
    most = float(needed.max())
    clause = f"{failing} of {found.total} values are decided otherwise where the exact answer is no tie"
    return replace(
        found,
        failing=failing,
        passed=not failing,
        problem=clause if failing else None,
        atol=allowed * decided.unit,
        rtol=0.0,
        used=most / allowed if math.isfinite(most) else None,
        rounding=decided.unit,
        times_rounding=most if math.isfinite(most) else None,
        rounding_allowed=allowed,
        ties=ties,
    )
