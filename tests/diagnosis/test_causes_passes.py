"""What TensorFlow's own passes break: shared convolutions and kernels, fused pads."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.layers import FLOAT, Layers, Values, evidence, findings, offset_of, only, scale_of, weights
from pytest_tfparity.diagnosis.diagnose import diagnose
from pytest_tfparity.diagnosis.places.folds import folds
from pytest_tfparity.graph.proof.proof import Side


def gated(values: Values, *, frozen: bool, folded: bool) -> Side:
    """A batch norm, and beside it another reader of the raw convolution."""
    net = Layers(values, frozen=frozen)
    kernel = values["a/conv/kernel"] * scale_of(values, "a/bn") if folded else None
    raw = net.conv("a/conv", net.image(), kernel)
    norm = net.offset("a/bn/F", raw, offset_of(values, "a/bn")) if folded else net.norm("a/bn", raw)
    return net.side(net.add("AddV2", "sum", norm, net.relu("gate", raw), T=FLOAT))


def test_a_fold_of_a_convolution_with_another_reader_is_named() -> None:
    values = weights("a")
    found = findings(gated(values, frozen=False, folded=False), gated(values, frozen=True, folded=True))
    finding = only(found, "pass-fold-bn-shared-conv")
    assert finding.scopes == ("a/conv",)
    assert finding.nodes == ("a/conv/Conv2D", "gate")
    assert "a/conv/Conv2D feeds gate besides its batch norm" in finding.message


def towers(values: Values, *, frozen: bool, folded: bool, copied: bool = False) -> Side:
    """Two convolutions with one kernel, a batch norm behind the first."""
    net = Layers(values, frozen=frozen)
    x = net.image()
    kernel = values["a/conv/kernel"] * scale_of(values, "a/bn") if folded else None
    first = net.conv("a/conv", x, kernel)
    shared = net.const("copy", values["a/conv/kernel"]) if copied else "a/conv/kernel/read"
    second = net.add("Conv2D", "b/Conv2D", x, shared, strides=(1, 1, 1, 1), padding=b"SAME", T=FLOAT)
    norm = net.offset("a/bn/F", first, offset_of(values, "a/bn")) if folded else net.norm("a/bn", first)
    return net.side(net.add("AddV2", "sum", norm, second, T=FLOAT))


def test_a_fold_of_a_kernel_with_another_reader_is_named() -> None:
    values = weights("a")
    found = findings(towers(values, frozen=False, folded=False), towers(values, frozen=True, folded=True))
    finding = only(found, "pass-fold-bn-shared-weights")
    assert finding.nodes == ("a/conv/kernel", "b/Conv2D")
    assert finding.scopes == ("a/conv", "b")


def test_a_fold_of_a_copy_of_a_shared_kernel_is_right() -> None:
    values = weights("a")
    reference = towers(values, frozen=False, folded=False)
    export = towers(values, frozen=True, folded=True, copied=True)
    found = evidence(reference, export)
    assert [each.neutral for each in found[folds]] == [True]
    assert diagnose(found.case).findings == ()


def padded(values: Values, *, frozen: bool, fused: str | None = None, half_pixel: bool = False) -> Side:
    """A resize, a mirrored pad and a convolution, or the op that passes make of them."""
    net = Layers(values, frozen=frozen)
    x, size = net.image(), net.const("size", [12, 12], "int32")
    pads = net.const("pads", [[0, 0], [1, 1], [1, 1], [0, 0]], "int32")
    kernel = net.weight("a/conv/kernel")
    attrs = {"strides": (1, 1, 1, 1), "padding": b"VALID", "T": FLOAT}
    if fused == "FusedResizeAndPadConv2D":
        x = net.add(fused, "a/conv/Conv2D", x, size, pads, kernel, mode=b"REFLECT", **attrs)
        return net.side(net.relu("a/relu", x))
    resize = {"align_corners": False, "half_pixel_centers": half_pixel, "T": FLOAT}
    x = net.add("ResizeBilinear", "a/resize", x, size, **resize)
    if fused == "FusedPadConv2D":
        x = net.add(fused, "a/conv/Conv2D", x, pads, kernel, mode=b"REFLECT", **attrs)
    else:
        x = net.add("MirrorPad", "a/pad", x, pads, mode=b"REFLECT", T=FLOAT)
        x = net.add("Conv2D", "a/conv/Conv2D", x, kernel, **attrs)
    return net.side(net.relu("a/relu", x))


@pytest.mark.parametrize(
    ("fused", "half_pixel", "cause"),
    [
        ("FusedPadConv2D", False, "pass-fused-pad-conv-batch"),
        ("FusedPadConv2D", True, "pass-fused-pad-conv-batch"),
        ("FusedResizeAndPadConv2D", False, "pass-fused-pad-conv-batch"),
        ("FusedResizeAndPadConv2D", True, "pass-fused-resize-half-pixel"),
    ],
)
def test_a_fused_pad_is_named_and_put_apart(fused: str, half_pixel: bool, cause: str) -> None:
    values = weights("a")
    found = findings(
        padded(values, frozen=False, half_pixel=half_pixel),
        padded(values, frozen=True, fused=fused, half_pixel=half_pixel),
    )
    finding = only(found, cause)
    assert finding.nodes == ("a/conv/Conv2D",)
    assert finding.scopes == ("a/conv",)
    assert "toco_compatible=True" in finding.fix


def test_a_plain_pad_is_no_fused_one() -> None:
    values = weights("a")
    wrong = values | {"a/conv/kernel": np.flip(values["a/conv/kernel"], 0)}
    found = findings(padded(values, frozen=False), padded(wrong, frozen=True))
    assert not [each for each in found if each.cause.startswith("pass-")]
