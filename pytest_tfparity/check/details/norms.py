"""The batch norms of both sides as a table, divergent ones first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from ...diagnosis.evidence import Evidence
from ...diagnosis.places.batch_norms import norm_pairs
from ...diagnosis.relations import values
from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.pairs import BatchNormPair
from ...graph.graph import Array
from ...graph.proof.proof import Side
from ...result_details import BatchNormRow, WeightSummary
from .numbers import largest_difference, quantiles

_WEIGHTS: tuple[Literal["gamma", "beta", "mean", "variance"], ...] = ("gamma", "beta", "mean", "variance")


def batch_norm_rows(evidence: Evidence, most: int) -> tuple[tuple[BatchNormRow, ...], int]:
    """A row for each batch norm of either side, at most ``most``; and how many there are."""
    rows = [_row(evidence, pair) for pair in evidence[norm_pairs]]
    rows.sort(key=lambda row: not row.divergent)  # stable: in the order of the graph
    return tuple(rows[:most]), len(rows)


def _row(evidence: Evidence, pair: BatchNormPair) -> BatchNormRow:
    norm = pair.export or pair.reference
    assert norm is not None
    weights = tuple(_weights(evidence, pair))
    modes = [each.mode if each is not None else None for each in (pair.reference, pair.export)]
    return BatchNormRow(
        scope=norm.scope or norm.node,
        reference_mode=modes[0],
        export_mode=modes[1],
        weights=weights,
        divergent=modes[0] != modes[1] or any(_differs(weight) for weight in weights),
    )


def _differs(weight: WeightSummary) -> bool:
    return weight.max_abs != 0.0 and (weight.reference is not None or weight.export is not None)


def _weights(evidence: Evidence, pair: BatchNormPair) -> Iterator[WeightSummary]:
    for name in _WEIGHTS:
        reference = _values(evidence.reference, pair.reference, name)
        export = _values(evidence.export, pair.export, name)
        yield WeightSummary(
            name=name,
            reference=None if reference is None else quantiles(reference),
            export=None if export is None else quantiles(export),
            max_abs=largest_difference(reference, export),
        )


def _values(side: Side, norm: BatchNorm | None, name: str) -> Array | None:
    tensor = side.value(getattr(norm, name)) if norm is not None else None
    return None if tensor is None else np.asarray(values(tensor)).reshape(-1)
