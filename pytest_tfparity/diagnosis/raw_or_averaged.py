"""Variables and their moving averages: which of the two each weight of an export holds, and which is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ..graph.graph import Array
from ..graph.read.tensors import values
from .alignment import reference_of
from .evidence import Evidence
from .layers import layers
from .places.batch_norms import statistics
from .places.weights import WrongConstant, provenances, wrong_constants
from .provenance import part_of
from .query import query
from .relations.relation import FLOAT32_ROUNDING
from .tensor_names import shadow_of

_ONE_SHARE = 1e-3
"""How far the shares of weights that were averaged together may lie apart: as far as rounding leaves a share
unknown where variable and average are as near as they may be. Measured: 5e-7 at most."""
_ROUNDING = 4 * FLOAT32_ROUNDING
"""Share of the largest value by which a weight may miss the mixture: its own rounding, and what that of the weights
that tell the share does to it, each with as much room again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """The weights of an export whose variable has a moving average that differs from it.

    ``raw`` hold the variable where the reference has the average, ``averaged`` the other way round;
    statistics of batch norm apart. ``right_raw`` and ``right_averages`` count the weights (no
    statistics) that hold the one or the other as the reference does.
    """

    raw: tuple[WrongConstant, ...]
    averaged: tuple[WrongConstant, ...]
    raw_statistics: tuple[WrongConstant, ...]
    averaged_statistics: tuple[WrongConstant, ...]
    right_raw: int
    right_averages: int

    @property
    def means_averages(self) -> bool:
        """Whether the reference restores the averages of some weights."""
        return bool(self.right_averages or self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Weights that are ``share * average + (1 - share) * variable``, all with one share."""

    share: float
    weights: tuple[WrongConstant, ...]


@query
def averages(evidence: Evidence) -> Averages:
    """Which weights of the export are raw and which averaged, against the reference."""
    wrong = evidence[wrong_constants]
    raw = [each for each in wrong if each.kind == "own" and each.key != each.variable]
    averaged = [each for each in wrong if each.kind == "shadow" and each.key == each.variable]
    right = _right(evidence)
    return Averages(
        raw=_weights(raw),
        averaged=_weights(averaged),
        raw_statistics=_statistics(raw),
        averaged_statistics=_statistics(averaged),
        right_raw=right["own"],
        right_averages=right["shadow"],
    )


def _weights(found: Sequence[WrongConstant]) -> tuple[WrongConstant, ...]:
    return tuple(each for each in found if not each.statistic)


def _statistics(found: Sequence[WrongConstant]) -> tuple[WrongConstant, ...]:
    return tuple(each for each in found if each.statistic)


def _right(evidence: Evidence) -> Counter[str]:
    """How many weights, statistics apart, hold what the reference has, by what that is."""
    differing = {each.constant for each in evidence[wrong_constants]}
    return Counter(
        each.kind
        for each in evidence[provenances].values()
        if each.averaged
        and each.constant not in differing
        and evidence[reference_of].get(each.constant) not in evidence[statistics]
    )


@query
def mixture_of_averages(evidence: Evidence) -> Mixture | None:
    """The weights that lie between a variable and its average, by the share that most of them have."""
    wrong = evidence[wrong_constants]
    shares = {
        each.constant: each.relation.number
        for each in wrong
        if each.kind == "mixture" and each.relation is not None and each.relation.number is not None
    }
    if not shares:
        return None
    share = median(shares.values())
    alike = {constant for constant, number in shares.items() if abs(number - share) <= _ONE_SHARE}
    together = [each for each in wrong if each.constant in alike or _mixes(evidence, each, share)]
    return Mixture(share=share, weights=tuple(together))


def in_layers_of(
    evidence: Evidence, group: Sequence[WrongConstant], constants: Sequence[WrongConstant]
) -> list[WrongConstant]:
    """Those of ``constants`` that are of a layer of ``group``."""
    scope = evidence[layers].scope
    around = {scope(each.name) for each in group}
    return [each for each in constants if scope(each.name) in around]


def _mixes(evidence: Evidence, wrong: WrongConstant, share: float) -> bool:
    """Whether a weight too small to tell by itself is that mixture."""
    if wrong.origin is None or wrong.kind not in ("unknown", "initial", "mixture", "scaled"):
        return False
    average = shadow_of(wrong.variable or "", evidence.case.checkpoint)
    raw, mean = _part(evidence, wrong, wrong.variable), _part(evidence, wrong, average)
    held = values(wrong.held)
    if raw is None or mean is None or not raw.shape == mean.shape == held.shape:
        return False
    exact = share * mean.astype(np.float64) + (1.0 - share) * raw.astype(np.float64)
    size = np.maximum(np.abs(raw), np.abs(mean)).max(initial=0.0)
    return bool(np.abs(held.astype(np.float64) - exact).max(initial=0.0) <= _ROUNDING * size)


def _part(evidence: Evidence, wrong: WrongConstant, key: str | None) -> Array | None:
    """What the checkpoint holds under ``key`` for the part of its variable that a constant stands for."""
    case = evidence.case
    if key is None or key not in case.checkpoint:
        return None
    return values(part_of(case.checkpoint[key], case.parts.get(wrong.node, "")))
