"""Padding, order and axes: the same numbers in other places."""

from __future__ import annotations

from typing import ClassVar

from ...graph.align.divergence import Divergence, Kind
from ..cause import Cause, Page
from ..evidence import Evidence
from ..places.divergences import differences
from .structural import Structural, named, ops_of, shown, spelt


class Padding(Structural):
    """Another padding before a convolution or pooling."""

    id: ClassVar[str] = "padding"
    title: ClassVar[str] = "another padding"
    fix: ClassVar[str] = (
        "Pad in the export as in training: with stride 2, padding SAME pads right and bottom, an explicit Pad and"
        " VALID all sides (conv2d_same of slim)."
    )
    page: ClassVar[Page] = Page(
        what=(
            "A convolution or pooling of the export pads its input otherwise than in the checkpoint's graph. Shapes"
            " are the same, the picture is shifted by a pixel."
        ),
        how=(
            "An explicit `tf.pad` and `VALID` on one side, `SAME` on the other. With a stride of 2 they differ:"
            " `SAME` pads more at the right and bottom."
        ),
        proof=(
            "The attribute `padding` of aligned nodes differs, or a `Pad` stands on one side only. Both are put right"
            " in memory and the export compared again."
        ),
        fix="Use the padding of the training graph.",
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
    title: ClassVar[str] = "flattened in another order (NCHW against NHWC)"
    fix: ClassVar[str] = (
        "Flatten in the order of training: transpose before the reshape as there, or permute the rows of the dense"
        " kernel behind it."
    )
    page: ClassVar[Page] = Page(
        what=(
            "Feature maps are flattened in another order than in the checkpoint's graph, so every feature meets the"
            " weights of another one."
        ),
        how=(
            "The network was trained with NCHW and ported to NHWC for the CPU (or the other way round); the reshape"
            " before the dense layer then reads height, width, channel instead of channel, height, width."
        ),
        proof=(
            "A `Transpose` before the flattening `Reshape` stands on one side only, or permutes otherwise. It is put"
            " right in memory and the export compared again."
        ),
        fix="Transpose before flattening as the training graph does.",
    )

    def nodes(self, evidence: Evidence, divergence: Divergence) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*divergence.readers[:1], *named(divergence))))

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{_reader(divergence)} flattens in another order: {_turned(evidence, divergence)}."


class AxisTransposed(Structural):
    """Height and width, or two other axes, exchanged."""

    id: ClassVar[str] = "axis-transposed"
    title: ClassVar[str] = "axes exchanged (height and width)"
    fix: ClassVar[str] = (
        "Leave the axes as in training: PIL says (width, height), arrays are [height, width]."
    )
    page: ClassVar[Page] = Page(
        what="Two axes, mostly height and width, are exchanged on one side only.",
        how="A transpose for a library that says (width, height), where the array was [height, width] already.",
        proof=(
            "A `Transpose` stands on one side only, or permutes otherwise. It is put right in memory and the export"
            " compared again."
        ),
        fix="Drop the transpose, or add it on both sides.",
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
