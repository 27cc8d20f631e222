"""The batch norms of both sides as a table, divergent ones first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from ...diagnosis.evidence import Evidence
from ...diagnosis.places.batch_norms import export_norms, norm_pairs, reference_norms
from ...graph.batch_norm.find import BatchNorm
from ...graph.graph import Array
from ...graph.proof.proof import Side
from ...graph.read.tensors import values
from ...result_details import BatchNormRow, WeightSummary
from .numbers import largest_difference, quantiles

_WEIGHTS: tuple[Literal["gamma", "beta", "mean", "variance"], ...] = ("gamma", "beta", "mean", "variance")


def batch_norm_rows(evidence: Evidence, most: int) -> tuple[tuple[BatchNormRow, ...], int]:
    """A row for each batch norm of either side, at most ``most``; and how many there are."""
    exported = {pair.reference.node: pair.export for pair in evidence[norm_pairs]}
    rows = [
        _row(evidence, exported.get(norm.node, norm), norm, exported.get(norm.node))
        for norm in evidence[reference_norms]
    ]
    paired = {norm.node for norm in exported.values()}
    rows += [_row(evidence, norm, None, norm) for norm in evidence[export_norms] if norm.node not in paired]
    rows.sort(key=lambda row: not row.divergent)  # stable: in the order of the graph
    return tuple(rows[:most]), len(rows)


def _row(
    evidence: Evidence, norm: BatchNorm, reference: BatchNorm | None, export: BatchNorm | None
) -> BatchNormRow:
    """The row of a layer that is called after ``norm``; None where a side does not have it."""
    weights = tuple(_weights(evidence, reference, export))
    modes = [each.mode if each is not None else None for each in (reference, export)]
    return BatchNormRow(
        scope=norm.scope or norm.node,
        reference_mode=modes[0],
        export_mode=modes[1],
        weights=weights,
        divergent=modes[0] != modes[1] or any(_differs(weight) for weight in weights),
    )


def _differs(weight: WeightSummary) -> bool:
    return weight.max_abs != 0.0 and (weight.reference is not None or weight.export is not None)


def _weights(
    evidence: Evidence, reference: BatchNorm | None, export: BatchNorm | None
) -> Iterator[WeightSummary]:
    for name in _WEIGHTS:
        right = _values(evidence.reference, reference, name)
        held = _values(evidence.export, export, name)
        yield WeightSummary(
            name=name,
            reference=None if right is None else quantiles(right),
            export=None if held is None else quantiles(held),
            max_abs=largest_difference(right, held),
        )


def _values(side: Side, norm: BatchNorm | None, name: str) -> Array | None:
    tensor = side.value(getattr(norm, name)) if norm is not None else None
    return None if tensor is None else np.asarray(values(tensor)).reshape(-1)
