"""How exact each layer is as another runtime computes it, and how it uses the range that the file gives it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...diagnosis.evidence import Evidence
from ...diagnosis.quantised.layers import LayerNoise, layer_noise, outstanding
from ...result import Finding
from ...result_details import LayerRow
from .numbers import short


def layer_rows(
    evidence: Evidence, findings: Sequence[Finding], most: int
) -> tuple[tuple[LayerRow, ...], int]:
    """The layers that were measured, inputs first, at most ``most``: those that stand out before others."""
    measured = evidence[layer_noise]
    named = {name for finding in findings for name in (*finding.nodes, *finding.scopes)}
    worst = {each.tensor for each in outstanding(measured)}
    rows = [
        _row(index, each, culprit=each.tensor in worst or bool({each.tensor.node, each.layer} & named))
        for index, each in enumerate(measured)
    ]
    kept = sorted(rows, key=lambda row: (not row.culprit, row.own if row.own is not None else math.inf))[
        :most
    ]
    return tuple(sorted(kept, key=lambda row: row.index)), len(rows)


def _row(index: int, each: LayerNoise, *, culprit: bool) -> LayerRow:
    grid = each.stored.grid
    given = None if grid is None or grid.per_channel else grid.range
    return LayerRow(
        index=index,
        name=each.layer,
        type=each.stored.type,
        own=_decibels(each.own),
        accumulated=_decibels(each.accumulated),
        used=(short(each.used[0]), short(each.used[1])),
        given=None if given is None else (short(given[0]), short(given[1])),
        culprit=culprit,
    )


def _decibels(value: float) -> float | None:
    """One decimal place; None without any noise, and ``_NOTHING`` where nothing is left of the signal."""
    if value == math.inf:
        return None
    return _NOTHING if value < _NOTHING else round(value, 1)


_NOTHING = -99.0
