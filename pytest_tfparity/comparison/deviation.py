"""How far two arrays are apart, element by element, in chunks: the arithmetic below a comparison.

Every function takes two arrays of one shape and returns a :class:`Deviation`. Memory is a few
chunks, and for a quantile one float64 array as large as the output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHUNK = 1 << 18
"""Elements that are compared at a time: large enough for numpy, small enough for the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """What one pass over both arrays finds. ``worst`` is a flat index; numbers may be infinite."""

    total: int
    failing: int
    passed: bool = False
    max_abs: float | None = None
    max_rel: float | None = None
    worst: int | None = None
    required_atol: float | None = None
    required_rtol: float | None = None
    used: float | None = None
    nan_both: int = 0
    nan_reference: int = 0
    nan_export: int = 0
    infinite: int = 0


def chunks(
    reference: npt.NDArray[Any], export: npt.NDArray[Any]
) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Both arrays in C order, ``CHUNK`` elements at a time, each with the flat index of its first."""
    # Slices of a contiguous array are views; those of ``flat`` copy one chunk, whatever the layout.
    first, second = (
        array.reshape(-1) if array.flags.c_contiguous else array.flat for array in (reference, export)
    )
    for start in range(0, reference.size, CHUNK):
        yield start, first[start : start + CHUNK], second[start : start + CHUNK]


def string_deviation(reference: npt.NDArray[Any], export: npt.NDArray[Any]) -> Deviation:
    """Strings are equal or not; ``str`` counts as its UTF-8, and what is no string equals nothing."""
    failing, worst = 0, None
    for start, first, second in chunks(reference, export):
        for offset, (left, right) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            if not isinstance(left, (bytes, str)) or _bytes(left) != _bytes(right):
                failing += 1
                worst = start + offset if worst is None else worst
    return _exact(reference.size, failing, worst)


def integer_deviation(reference: npt.NDArray[Any], export: npt.NDArray[Any]) -> Deviation:
    """Integers and bools of one dtype, subtracted exactly."""
    failing, worst, largest, relative, zero_only = 0, None, 0, 0.0, True
    for start, first, second in chunks(reference, export):
        left, right = _wide(first), _wide(second)
        # The larger minus the smaller, modulo 2**64, is the exact distance also where int64 overflows.
        distance = np.maximum(left, right).astype(np.uint64) - np.minimum(left, right).astype(np.uint64)
        differs = distance != 0
        count = int(np.count_nonzero(differs))
        if not count:
            continue
        failing += count
        position = int(np.argmax(distance))
        if int(distance[position]) > largest:
            largest, worst = int(distance[position]), start + position
        size = np.abs(left[differs].astype(np.float64))
        ratios = distance[differs][size > 0].astype(np.float64) / size[size > 0]
        if ratios.size:
            relative, zero_only = max(relative, float(ratios.max())), False
    max_rel = None if failing and zero_only else relative
    return _exact(reference.size, failing, worst, float(largest), max_rel)


def float_deviation(
    reference: npt.NDArray[Any],
    export: npt.NDArray[Any],
    dtype: np.dtype[Any],
    *,
    atol: float,
    rtol: float,
    equal_nan: bool,
    share: Fraction | None,
) -> Deviation:
    """Floats (or what is to be seen as such), computed in ``dtype`` (float64 or complex128).

    ``share`` of the elements must be within ``atol + rtol * |reference|``; None asks it of the mean.
    """

    def elements() -> Iterator[tuple[int, _Elements]]:
        for start, first, second in chunks(reference, export):
            yield start, _elements(first.astype(dtype), second.astype(dtype), equal_nan)

    def least(share_of: Callable[[_Elements], Floats]) -> float:
        """The smallest value that ``share`` of all elements do not surpass."""
        values = np.empty(reference.size)
        for start, part in elements():
            values[start : start + part.distance.size] = share_of(part)
        rank = max(math.ceil((share or 0) * reference.size), 1) - 1
        values.partition(rank)
        return float(values[rank])

    seen = _Seen(atol=atol, rtol=rtol)
    with np.errstate(all="ignore"):
        for start, part in elements():
            seen.add(start, part)
        if share is None:
            excess, needed, used = seen.of_mean(reference.size)
        elif share == 1:
            excess, needed, used = seen.excess, seen.needed, seen.used
        else:
            excess = least(lambda part: part.distance - rtol * part.size)
            needed = least(lambda part: _least_rtol(part.distance, part.size, atol))
            used = least(lambda part: _used(part.distance, part.size, atol, rtol))
    return seen.deviation(reference.size, excess, needed, used)


class _Elements(NamedTuple):
    """One chunk. ``size`` is ``|reference|``; where no tolerance helps it is 0 and ``distance`` infinite."""

    distance: Floats
    size: Floats
    pairs: int  # finite on both sides
    overflow: bool  # of which the distance is beyond float64
    unmatched: npt.NDArray[np.intp]
    nan_both: int
    nan_reference: int
    nan_export: int
    infinite: int


def _elements(reference: npt.NDArray[Any], export: npt.NDArray[Any], equal_nan: bool) -> _Elements:
    distance, size = np.abs(export - reference), np.abs(reference)
    odd = np.flatnonzero(~(np.isfinite(distance) & np.isfinite(size)))
    if not odd.size:
        return _Elements(distance, size, distance.size, False, odd, 0, 0, 0, 0)
    left, right = reference[odd], export[odd]
    nan_left, nan_right = np.isnan(left), np.isnan(right)
    matched = (left == right) | (nan_left & nan_right & equal_nan)
    finite = np.isfinite(left) & np.isfinite(right)
    distance[odd] = np.where(matched, 0.0, np.inf)
    size[odd] = 0.0
    return _Elements(
        distance,
        size,
        distance.size - odd.size + int(np.count_nonzero(finite)),
        bool((finite & ~matched).any()),
        odd[~matched & ~finite],
        int(np.count_nonzero(nan_left & nan_right)),
        int(np.count_nonzero(nan_left & ~nan_right)),
        int(np.count_nonzero(nan_right & ~nan_left)),
        int(np.count_nonzero(~matched & ~finite & ~nan_left & ~nan_right)),
    )


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the chunks so far have shown."""

    atol: float
    rtol: float
    failing: int = 0
    pairs: int = 0
    max_abs: float = 0.0
    max_rel: float = 0.0
    zero_only: bool = True
    excess: float = -math.inf
    needed: float = 0.0
    used: float = 0.0
    worst: int | None = None
    most_used: int | None = None
    first_unmatched: int | None = None
    unmatched: int = 0
    nan_both: int = 0
    nan_reference: int = 0
    nan_export: int = 0
    infinite: int = 0
    sums: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def add(self, start: int, part: _Elements) -> None:
        """Take in one chunk, whose first element has the flat index ``start``."""
        distance, size = part.distance, part.size
        self._add_unmatched(start, part)
        self.sums[0].append(float(distance.sum()))
        self.sums[1].append(float(size.sum()))
        excess = distance - self.rtol * size if self.rtol else distance
        position = int(np.argmax(excess))
        if excess[position] > self.excess:
            self.excess, self.worst = float(excess[position]), start + position
        differs = np.flatnonzero(distance)
        if not differs.size:
            return
        over = excess > self.atol
        self.failing += int(np.count_nonzero(over))
        apart, apart_size = distance[differs], size[differs]
        finite = np.isfinite(apart)
        self.max_abs = max(self.max_abs, float(apart[finite].max(initial=0.0)))
        if part.overflow:
            self.max_abs = math.inf
        sized = apart_size > 0
        if sized.any():
            self.zero_only = False
            self.max_rel = max(self.max_rel, float((apart[sized] / apart_size[sized]).max()))
        used = _used(apart, apart_size, self.atol, self.rtol)
        position = int(np.argmax(used))
        if used[position] > self.used:
            self.used, self.most_used = float(used[position]), start + int(differs[position])
        self.needed = max(self.needed, float(_least_rtol(apart, apart_size, self.atol).max()))

    def _add_unmatched(self, start: int, part: _Elements) -> None:
        self.pairs += part.pairs
        self.nan_both += part.nan_both
        self.nan_reference += part.nan_reference
        self.nan_export += part.nan_export
        self.infinite += part.infinite
        self.unmatched += part.unmatched.size
        if math.isinf(self.atol):
            self.failing += part.unmatched.size
        if part.unmatched.size and self.first_unmatched is None:
            self.first_unmatched = start + int(part.unmatched[0])

    def of_mean(self, total: int) -> tuple[float, float, float]:
        """Excess, needed rtol and use of the mean element: mean distance and mean size of the reference."""
        distance, size = (_mean(sums, total) for sums in self.sums)
        size = size if math.isfinite(size) else 0.0  # a sum beyond float64 must not allow everything
        means = np.array([distance]), np.array([size])
        needed, used = _least_rtol(*means, self.atol), _used(*means, self.atol, self.rtol)
        return distance - self.rtol * size, float(needed[0]), float(used[0])

    def deviation(self, total: int, excess: float, needed: float, used: float) -> Deviation:
        """All of it, with the three numbers of the statistic in force."""
        hopeless = self.unmatched > 0 or self.nan_both == total
        differs = self.max_abs > 0
        worst = self.worst if self.failing else self.most_used
        return Deviation(
            total=total,
            failing=max(self.failing, total if self.nan_both == total else 0),
            passed=not hopeless and excess <= self.atol,
            max_abs=self.max_abs if self.pairs else None,
            max_rel=(None if differs and self.zero_only else self.max_rel) if self.pairs else None,
            worst=worst if self.first_unmatched is None else self.first_unmatched,
            required_atol=None if hopeless else max(excess, 0.0),
            required_rtol=None if hopeless else needed,
            used=None if hopeless else used,
            nan_both=self.nan_both,
            nan_reference=self.nan_reference,
            nan_export=self.nan_export,
            infinite=self.infinite,
        )


def _least_rtol(distance: Floats, size: Floats, atol: float) -> Floats:
    """The smallest rtol under which each element passes: 0 where none is needed, inf where none helps."""
    needed = np.zeros(distance.size)
    over = np.flatnonzero(distance > atol)
    with np.errstate(all="ignore"):
        needed[over] = np.where(size[over] > 0, (distance[over] - atol) / size[over], np.inf)
        while over.size:  # rounding may leave it a few units in the last place short
            over = over[(distance[over] - needed[over] * size[over] > atol) & np.isfinite(needed[over])]
            needed[over] = np.nextafter(needed[over], np.inf)
    return needed


def _used(distance: Floats, size: Floats, atol: float, rtol: float) -> Floats:
    """The share of its tolerance that each element takes; 0 of 0 is 0."""
    with np.errstate(all="ignore"):
        return np.where(distance > 0, distance / (atol + rtol * size), 0.0)


def _mean(sums: list[float], total: int) -> float:
    try:
        return math.fsum(sums) / total
    except OverflowError:
        return math.inf


def _wide(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.uint64 if values.dtype.kind == "u" else np.int64)


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _exact(
    total: int, failing: int, worst: int | None, max_abs: float | None = None, max_rel: float | None = None
) -> Deviation:
    """The deviation of values that are equal or not: either no tolerance is needed, or none helps."""
    needed = None if failing else 0.0
    return Deviation(
        total=total,
        failing=failing,
        passed=not failing,
        max_abs=max_abs,
        max_rel=max_rel,
        worst=worst,
        required_atol=needed,
        required_rtol=needed,
        used=needed,
    )
