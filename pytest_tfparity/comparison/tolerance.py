"""What an output may differ by."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

ROUNDINGS = 8.0
"""How many times the reference's rounding a right export may have: measured in docs/rounding.md."""
METRICS = ("sqnr", "cosine", "steps")
"""What judges an output as approximate: where one is stated, no atol or rtol of a weaker place is asked beside it."""
_AGAIN = 1e-5
"""What the same model may differ by, absolutely and relatively, where it runs again."""
_QUANTILE = re.compile(r"quantile\(\s*([0-9.eE+-]+)\s*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """At least the share ``agree`` of rows (last axis) must have the same ``k`` largest entries.

    Of equal entries the first count as larger. This is asked beside the elementwise tolerance;
    ``atol: .inf`` leaves it alone to decide.
    """

    k: int
    agree: float = 1.0

    def problems(self) -> tuple[str, ...]:
        """What is wrong with these numbers, a sentence each."""
        found = []
        if not _is_number(self.k) or self.k != int(self.k) or self.k < 1:
            found.append(f"top_k: k must be a whole number of at least 1, not {self.k!r}.")
        if not _is_number(self.agree) or not 0 < self.agree <= 1:
            found.append(f"top_k: agree must be above 0 and at most 1, not {self.agree!r}.")
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an output may differ by: ``|export - reference| <= atol + rtol * |reference|``.

    With ``excess = |export - reference| - rtol * |reference|`` in float64, ``statistic`` says which
    number of all elements must be at most ``atol``: ``"max"`` the largest excess (every element is
    within), ``"mean"`` the mean excess, ``"quantile(q)"`` the smallest excess that the share ``q`` of
    elements does not surpass (so at least that share is within), ``"median"`` the same with 0.5.

    With ``rounding`` neither ``atol`` nor ``rtol`` counts, but how far a float is from the exact answer: at most
    ``rounding`` times as far as its own arithmetic takes the reference from it (:mod:`.rounding`).

    ``sqnr`` (dB, at least), ``cosine`` (at least) and ``steps`` (quanta of the export's output, at most) are asked
    beside all that (:mod:`.metrics`).
    """

    atol: float = 1e-5
    rtol: float = 0.0
    equal_nan: bool = False
    statistic: str = "max"
    top_k: TopK | None = None
    rounding: float | None = None
    sqnr: float | None = None
    cosine: float | None = None
    steps: float | None = None

    def problems(self) -> tuple[str, ...]:
        """What is wrong with these numbers, a sentence each; empty if nothing is."""
        found = []
        if not _is_number(self.atol) or not self.atol >= 0:
            found.append(f"atol must be a number of at least 0 (.inf allows any), not {self.atol!r}.")
        if not _is_number(self.rtol) or not 0 <= self.rtol < math.inf:
            found.append(f"rtol must be a finite number of at least 0, not {self.rtol!r}.")
        if not isinstance(self.equal_nan, bool):
            found.append(f"equal_nan must be true or false, not {self.equal_nan!r}.")
        if self.statistic not in ("max", "mean", "median") and _quantile(self.statistic) is None:
            found.append(
                f"statistic must be max, mean, median or quantile(q) with q above 0 and at most 1, "
                f"not {self.statistic!r}."
            )
        if self.rounding is not None and not (_is_number(self.rounding) and 1 <= self.rounding < math.inf):
            found.append(f"rounding must be a finite number of at least 1, not {self.rounding!r}.")
        found += self._metric_problems()
        return (*found, *(self.top_k.problems() if self.top_k else ()))

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that are asked for, by the keys that state them."""
        stated = {name: getattr(self, name) for name in METRICS}
        return {name: float(number) for name, number in stated.items() if number is not None}

    @property
    def of_reference(self) -> Tolerance:
        """The same for a reference beside its own stored answer, which is no approximate export."""
        if not self.metrics:
            return self
        plain = replace(self, sqnr=None, cosine=None, steps=None)
        return replace(plain, atol=_AGAIN, rtol=_AGAIN) if math.isinf(self.atol) else plain

    def _metric_problems(self) -> list[str]:
        found = []
        if self.sqnr is not None and not (_is_number(self.sqnr) and math.isfinite(self.sqnr)):
            found.append(f"sqnr must be a finite number, in dB, not {self.sqnr!r}.")
        if self.cosine is not None and not (_is_number(self.cosine) and 0 < self.cosine <= 1):
            found.append(f"cosine must be above 0 and at most 1, not {self.cosine!r}.")
        if self.steps is not None and not (_is_number(self.steps) and 0 <= self.steps < math.inf):
            found.append(f"steps must be a finite number of at least 0, not {self.steps!r}.")
        return found

    def within(self, unit: float) -> Tolerance:
        """The same as a plain tolerance, where a rounding is ``unit``; as it is where it asks for none."""
        if self.rounding is None:
            return self
        return replace(self, atol=self.rounding * unit, rtol=0.0, rounding=None)

    @property
    def share(self) -> Fraction | None:
        """The share of elements that must be within: 1 for ``max``, None for ``mean``."""
        named = {"max": Fraction(1), "median": Fraction(1, 2), "mean": None}
        return named[self.statistic] if self.statistic in named else _quantile(self.statistic)


def _quantile(statistic: object) -> Fraction | None:
    match = _QUANTILE.fullmatch(statistic) if isinstance(statistic, str) else None
    try:
        # The decimal as written: 0.07 of 100 elements are 7, not the 8 that binary rounding makes of it.
        share = Fraction(match[1]) if match else None
    except ValueError:
        return None
    return share if share is not None and 0 < share <= 1 else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
