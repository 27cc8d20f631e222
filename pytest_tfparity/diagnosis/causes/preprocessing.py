"""What happens to the input before the first layer."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...graph.align.divergence import Divergence, Kind
from ..affine import first_layer_map
from ..cause import Cause, Page
from ..evidence import Evidence
from ..places.divergences import differences
from .structural import Structural, number, op_of, ops_of, shown, spelt


class ChannelOrder(Structural):
    """Colour channels in another order."""

    id: ClassVar[str] = "channel-order"
    title: ClassVar[str] = "channels in another order (RGB, BGR)"
    fix: ClassVar[str] = (
        "Reverse the channels in the export as in training (x[..., ::-1]), or feed it such pictures."
    )
    page: ClassVar[Page] = Page(
        what="The first layer gets the colour channels in another order than in training: BGR for RGB.",
        how="OpenCV reads BGR, PIL and `tf.image.decode_jpeg` read RGB; one side reverses and the other does not.",
        proof=(
            "The reversal (a reverse, a gather with fixed indices, a split and a concatenation) stands on one side"
            " only or has another order. It is put right in memory and the export compared again."
        ),
        fix="Bring channels into the order of training.",
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
    title: ClassVar[str] = "the input is scaled otherwise"
    fix: ClassVar[str] = "Scale the input in the export as in training."
    page: ClassVar[Page] = Page(
        what="The first layer gets pixels (or features) in another range than in training: 0..1 for -1..1, or 0..255.",
        how=(
            "`tf.cast` on one side and `tf.image.convert_image_dtype` on the other, division by 255 for"
            " `x / 127.5 - 1`, or scaling done in the training pipeline and left out of the graph."
        ),
        proof=(
            "The input of the first layer is one straight line of the fed input on each side, and the lines differ."
            " The scaling is put right in memory and the export compared again."
        ),
        fix="Scale as in training, once, on one side of the graph's boundary.",
        links=("https://github.com/tensorflow/tensorflow/issues/14859",),
    )

    def suspicion_told(self, evidence: Evidence) -> str | None:
        """The straight line between the first layer's inputs."""
        line = first_layer_map(evidence)
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
    title: ClassVar[str] = "another constant in the preprocessing"
    fix: ClassVar[str] = "Use the constant of the training pipeline in the export."
    page: ClassVar[Page] = Page(
        what="A constant between the fed input and the first layer is another one: mean, deviation, size, fraction.",
        how="Constants of another data set (ImageNet means) were written into the export script.",
        proof="The constants of aligned nodes differ. It is put right in memory and the export compared again.",
        fix="Take the constants from the training pipeline.",
    )

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
    title: ClassVar[str] = "a preprocessing op is missing"
    fix: ClassVar[str] = (
        "Put the step into the export graph as it is in the checkpoint's, or do it to what is fed."
    )
    page: ClassVar[Page] = Page(
        what="A step before the first layer of the checkpoint's graph, a crop say, is not in the export.",
        how="The export graph was built with a preprocessing function of its own.",
        proof="The op stands in the checkpoint's graph alone. It is put back in memory and the export compared again.",
        fix="Build both graphs with one preprocessing function.",
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"Between input and first layer, {evidence.case.export_name} lacks {ops_of(evidence, divergence)[0]}."


class ResizeAttribute(Structural):
    """A resize that puts its samples elsewhere."""

    id: ClassVar[str] = "resize-attr"
    title: ClassVar[str] = "align_corners or half_pixel_centers differ"
    fix: ClassVar[str] = (
        "Resize with the attributes of training (tf.image.resize of v2 sets half_pixel_centers)."
    )
    page: ClassVar[Page] = Page(
        what="A resize takes its samples at other places; the difference is small, largest at the edges.",
        how="`tf.image.resize` of TensorFlow 2 sets half_pixel_centers, `tf.image.resize_images` of 1 does not.",
        proof="The attribute of aligned nodes differs. It is put right in memory and the export compared again.",
        fix="Use one resize function on both sides.",
        links=(
            "https://github.com/tensorflow/tensorflow/issues/33691",
            "https://github.com/onnx/tensorflow-onnx/pull/932",
            "https://github.com/tensorflow/tensorflow/issues/44038",
        ),
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{shown(evidence, divergence)}."


class ResizeMethod(Structural):
    """Another method of resizing."""

    id: ClassVar[str] = "resize-op"
    title: ClassVar[str] = "another resize method"
    fix: ClassVar[str] = "Resize with the method of training."
    page: ClassVar[Page] = Page(
        what="Pictures or feature maps are resized with another method: nearest for bilinear, bicubic for bilinear.",
        how="Another default of another function, or a method that a converter does not know replaced by one it does.",
        proof="The ops in the same place differ. The reference's is put in memory and the export compared again.",
        fix="Use one resize function on both sides.",
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        ours = op_of(evidence, divergence.reference[0], reference=True)
        theirs = op_of(evidence, divergence.export[0], reference=False)
        return f"{divergence.node} is {ours} in the checkpoint's graph and {theirs} in {evidence.case.export_name}."


class DecodeAttribute(Structural):
    """A picture decoder with other attributes."""

    id: ClassVar[str] = "decode-attr"
    title: ClassVar[str] = "the picture decoder has other attributes"
    fix: ClassVar[str] = (
        "Decode with the attributes of training; or feed decoded pixels to both and compare from there."
    )
    page: ClassVar[Page] = Page(
        what="JPEG pictures are decoded by another method; pixels differ by a few grey levels.",
        how=("`dct_method` or `fancy_upscaling` were set on one side, for speed or to match PIL or OpenCV."),
        proof="The attribute of aligned decoders differs. It is put right in memory and the export compared again.",
        fix="Use the same attributes on both sides, or feed decoded pixels.",
        links=(
            "https://github.com/tensorflow/tensorflow/pull/5072",
            "https://github.com/tensorflow/tensorflow/issues/11623",
            "https://github.com/tensorflow/tensorflow/issues/24893",
            "https://stackoverflow.com/questions/45195880",
        ),
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
