"""What happens to the input before the first layer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...graph.align.divergence import Divergence, Kind
from ..cause import Cause
from ..evidence import Evidence
from ..input_path import first_layer_map
from ..places.divergences import differences
from .structural import Structural, number, op_of, ops_of, shown, spelt


class ChannelOrder(Structural):
    """Colour channels in another order."""

    id: ClassVar[str] = "channel-order"
    fix: ClassVar[str] = (
        "Reverse the channels in the export as in training (x[..., ::-1]), or feed it such pictures."
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        name = evidence.case.export_name
        if divergence.kind is Kind.ONLY_IN_REFERENCE:
            return f"The checkpoint's graph puts the channels into another order ({divergence.node}), {name} does not."
        if divergence.kind is Kind.ONLY_IN_EXPORT:
            return f"{name} puts the channels into another order ({divergence.node}), the checkpoint's graph does not."
        return f"The channels come in another order: {shown(evidence, divergence)}."


class InputScaling(Structural):
    """The input scaled or shifted otherwise."""

    id: ClassVar[str] = "input-scaling"
    fix: ClassVar[str] = "Scale the input in the export as in training."

    def suspicion_told(self, evidence: Evidence) -> str | None:
        """The straight line between the first layer's inputs."""
        line = evidence[first_layer_map]
        if line is None:
            return None
        slope, shift = line
        sign = "-" if shift < 0 else "+"
        return (
            f"The first layer's input in {evidence.case.export_name} is {number(slope)} * x {sign}"
            f" {number(abs(shift))}, where x is that of the checkpoint's graph."
        )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        line = self.suspicion_told(evidence)
        return line if line is not None else f"The input is scaled otherwise: {shown(evidence, divergence)}."


class PreprocessConstant(Structural):
    """Another mean, deviation or size."""

    id: ClassVar[str] = "preprocess-const"
    fix: ClassVar[str] = "Use the constant of the training pipeline in the export."

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        values = evidence[differences].constants(divergence)
        if values is None:
            return f"{shown(evidence, divergence)}."
        ours, theirs = values
        name = evidence.case.export_name
        turned = ours.shape == theirs.shape and ours.ndim > 0 and bool((ours[..., ::-1] == theirs).all())
        note = " (the same numbers reversed)" if turned and np.unique(ours).size > 1 else ""
        if ours.size > 6 and ours.shape == theirs.shape and ours.dtype.kind in "fiu":
            far = float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max())
            count = int((ours != theirs).sum())
            return (
                f"{divergence.node}: {count} of {ours.size} values are others in {name} than in the checkpoint's"
                f" graph, by up to {number(far)}{note}."
            )
        return f"{divergence.node} is {spelt(ours)} in the checkpoint's graph and {spelt(theirs)} in {name}{note}."


class PreprocessMissing(Structural):
    """A step of the preprocessing that the export lacks."""

    id: ClassVar[str] = "preprocess-missing"
    fix: ClassVar[str] = (
        "Put the step into the export graph as it is in the checkpoint's, or do it to what is fed."
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"Between input and first layer, {evidence.case.export_name} lacks {ops_of(evidence, divergence)[0]}."


class ResizeAttribute(Structural):
    """A resize that puts its samples elsewhere."""

    id: ClassVar[str] = "resize-attr"
    fix: ClassVar[str] = (
        "Resize with the attributes of training (tf.image.resize of v2 sets half_pixel_centers)."
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{shown(evidence, divergence)}."


class ResizeMethod(Structural):
    """Another method of resizing."""

    id: ClassVar[str] = "resize-op"
    fix: ClassVar[str] = "Resize with the method of training."

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        ours = op_of(evidence, divergence.reference[0], reference=True)
        theirs = op_of(evidence, divergence.export[0], reference=False)
        return f"{divergence.node} is {ours} in the checkpoint's graph and {theirs} in {evidence.case.export_name}."


class DecodeAttribute(Structural):
    """A picture decoder with other attributes."""

    id: ClassVar[str] = "decode-attr"
    fix: ClassVar[str] = (
        "Decode with the attributes of training; or feed decoded pixels to both and compare from there."
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{shown(evidence, divergence)}."


CAUSES: tuple[Cause, ...] = (
    ChannelOrder(),
    ResizeAttribute(),
    ResizeMethod(),
    DecodeAttribute(),
    InputScaling(),
    PreprocessConstant(),
    PreprocessMissing(),
)
