"""Padding, order and axes: the same numbers in other places."""

from __future__ import annotations

from typing import ClassVar

from ...graph.align.divergence import Divergence, Kind
from ..cause import Cause
from ..evidence import Evidence
from ..places.divergences import differences
from .structural import Structural, named, ops_of, shown, spelt


class Padding(Structural):
    """Another padding before a convolution or pooling."""

    id: ClassVar[str] = "padding"
    fix: ClassVar[str] = (
        "Pad in the export as in training: with stride 2, padding SAME pads right and bottom, an explicit Pad and"
        " VALID all sides (conv2d_same of slim)."
    )

    def nodes(self, evidence: Evidence, divergence: Divergence) -> tuple[str, ...]:
        if divergence.kind in (Kind.ATTRIBUTE, Kind.OP):
            return named(divergence)
        return (*divergence.readers[:1], *named(divergence))

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        name = evidence.case.export_name
        if divergence.kind is Kind.ONLY_IN_REFERENCE:
            return f"{_reader(divergence)} is padded by {divergence.node} in the checkpoint's graph, not in {name}."
        if divergence.kind is Kind.ONLY_IN_EXPORT:
            return f"{_reader(divergence)} is padded by {divergence.node} in {name}, not in the checkpoint's graph."
        return f"{shown(evidence, divergence)}."


class FlattenOrder(Structural):
    """Features flattened in another order."""

    id: ClassVar[str] = "flatten-order"
    fix: ClassVar[str] = (
        "Flatten in the order of training: transpose before the reshape as there, or permute the rows of the dense"
        " kernel behind it."
    )

    def nodes(self, evidence: Evidence, divergence: Divergence) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*divergence.readers[:1], *named(divergence))))

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{_reader(divergence)} flattens in another order: {_turned(evidence, divergence)}."


class AxisTransposed(Structural):
    """Height and width, or two other axes, exchanged."""

    id: ClassVar[str] = "axis-transposed"
    fix: ClassVar[str] = (
        "Leave the axes as in training: PIL says (width, height), arrays are [height, width]."
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"Axes are exchanged: {_turned(evidence, divergence)}."


def _reader(divergence: Divergence) -> str:
    return divergence.readers[0] if divergence.readers else "the output"


def _turned(evidence: Evidence, divergence: Divergence) -> str:
    name = evidence.case.export_name
    values = evidence[differences].constants(divergence)
    if values is not None:
        return f"axes {spelt(values[0])} in the checkpoint's graph, {spelt(values[1])} in {name}"
    ours, theirs = ops_of(evidence, divergence)
    if divergence.kind is Kind.ONLY_IN_EXPORT:
        return f"{theirs} is in {name} alone"
    if divergence.kind is Kind.ONLY_IN_REFERENCE:
        return f"{ours} is in the checkpoint's graph alone"
    return shown(evidence, divergence)


CAUSES: tuple[Cause, ...] = (Padding(), FlattenOrder(), AxisTransposed())
