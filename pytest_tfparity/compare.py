"""Numbers: what a tolerance allows, and how two arrays compare under it. numpy only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """At least the share ``agree`` of rows (last axis) must have the same ``k`` largest entries."""

    k: int
    agree: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an output may differ by: ``|export - reference| <= atol + rtol * |reference|``.

    ``statistic`` says of what: ``"max"`` (every element), ``"mean"``, ``"median"`` or ``"quantile(q)"``.
    """

    atol: float = 1e-5
    rtol: float = 0.0
    equal_nan: bool = False
    statistic: str = "max"
    top_k: TopK | None = None
