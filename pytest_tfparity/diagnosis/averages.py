"""Variables and their moving averages: which of the two each weight of an export holds, and which is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ..graph.graph import Array
from .alignment import reference_of
from .arrays import values
from .evidence import Evidence
from .layers import layers
from .places.batch_norms import statistics
from .places.weights import WrongConstant, provenances, wrong_constants
from .provenance import part_of
from .tensor_names import shadow_of

_ONE_SHARE = 1e-3
"""How far the shares of weights that were averaged together may lie apart: rounding of small weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """The weights of an export whose variable has a moving average that differs from it.

    ``raw`` hold the variable where the reference has the average, ``averaged`` the other way round;
    statistics of batch norm apart. ``right_raw`` and ``right_averages`` count the weights (no
    statistics) that hold the one or the other as the reference does.
    """

    evidence: Evidence
    raw: tuple[WrongConstant, ...]
    averaged: tuple[WrongConstant, ...]
    raw_statistics: tuple[WrongConstant, ...]
    averaged_statistics: tuple[WrongConstant, ...]
    right_raw: int
    right_averages: int

    def beside(
        self, group: Sequence[WrongConstant], statistics: Sequence[WrongConstant]
    ) -> list[WrongConstant]:
        """Those of ``statistics`` that are of a layer of ``group``."""
        scope = self.evidence[layers].scope
        around = {scope(each.name) for each in group}
        return [each for each in statistics if scope(each.name) in around]

    def mixed(self) -> tuple[float, list[WrongConstant]] | None:
        """The share of the averages in weights that lie between the two, and these weights."""
        wrong = self.evidence[wrong_constants]
        found = [(each, each.origin.number) for each in wrong if each.origin and each.kind == "mixture"]
        shares = [number for _, number in found if number is not None]
        if not shares:
            return None
        share = median(shares)
        group = {each.constant for each, number in found if abs((number or 0.0) - share) <= _ONE_SHARE}
        together = [each for each in wrong if each.constant in group or self._mixes(each, share)]
        return share, together

    def _mixes(self, wrong: WrongConstant, share: float) -> bool:
        """Whether a weight too small to tell by itself is that mixture."""
        if wrong.origin is None or wrong.kind not in ("unknown", "initial", "mixture", "scaled"):
            return False
        raw, mean = (
            self._part(wrong, key)
            for key in (wrong.variable, shadow_of(wrong.variable or "", self.evidence.case.checkpoint))
        )
        held = values(wrong.held)
        if raw is None or mean is None or not raw.shape == mean.shape == held.shape:
            return False
        exact = share * mean.astype(np.float64) + (1.0 - share) * raw.astype(np.float64)
        size = np.maximum(np.abs(raw), np.abs(mean)).max(initial=0.0)
        return bool(np.abs(held.astype(np.float64) - exact).max(initial=0.0) <= _ONE_SHARE * 1e-2 * size)

    def _part(self, wrong: WrongConstant, key: str | None) -> Array | None:
        case = self.evidence.case
        if key is None or key not in case.checkpoint:
            return None
        return values(part_of(case.checkpoint[key], case.parts.get(wrong.node, "")))


def averages(evidence: Evidence) -> Averages:
    """Which weights of the export are raw and which averaged, against the reference."""
    wrong = evidence[wrong_constants]
    raw = [each for each in wrong if each.kind == "own" and each.key != each.variable]
    averaged = [each for each in wrong if each.kind == "shadow" and each.key == each.variable]
    differing = {each.constant for each in wrong}
    right = [
        each
        for each in evidence[provenances].values()
        if each.averaged
        and each.constant not in differing
        and evidence[reference_of].get(each.constant) not in evidence[statistics]
    ]
    return Averages(
        evidence=evidence,
        raw=tuple(each for each in raw if not each.statistic),
        averaged=tuple(each for each in averaged if not each.statistic),
        raw_statistics=tuple(each for each in raw if each.statistic),
        averaged_statistics=tuple(each for each in averaged if each.statistic),
        right_raw=sum(each.kind == "own" for each in right),
        right_averages=sum(each.kind == "shadow" for each in right),
    )
