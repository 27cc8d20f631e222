"""What happens to the input before the first layer."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.layers import FLOAT, Layers, findings, only
from graphs.staged import Stage, all_of, multiplied, op, set_by, shifted, staged

PLAIN = staged(frozen=False)
REVERSED = set_by("ReverseV2", "preprocess/reverse", [-1])


def gathered(order: list[int]) -> Stage:
    def stage(net: Layers, x: str) -> str:
        indices, axis = (
            net.const("preprocess/order", order, "int32"),
            net.const("preprocess/axis", 3, "int32"),
        )
        return net.add("GatherV2", "preprocess/gather", x, indices, axis, Tparams=FLOAT)

    return stage


def regrouped(*ports: int) -> Stage:
    def stage(net: Layers, x: str) -> str:
        net.add("Split", "preprocess/split", net.const("preprocess/dim", 3, "int32"), x, num_split=3, T=FLOAT)
        parts = [f"preprocess/split:{port}" for port in ports]
        return net.add(
            "ConcatV2", "preprocess/concat", *parts, net.const("preprocess/last", 3, "int32"), N=3, T=FLOAT
        )

    return stage


def resized(kind: str = "ResizeBilinear", **attrs: object) -> Stage:
    return set_by(kind, "preprocess/resize", [8, 8], "int32", **attrs)


@pytest.mark.parametrize("stage", [REVERSED, gathered([2, 1, 0]), regrouped(2, 1, 0)])
@pytest.mark.parametrize("missing", [True, False])
def test_channels_that_one_side_reorders_are_told_in_every_spelling(stage: Stage, missing: bool) -> None:
    reference, export = (stage, None) if missing else (None, stage)
    found = findings(staged(frozen=False, input=reference), staged(frozen=True, input=export))
    assert only(found, "channel-order").scopes == ("preprocess",)


@pytest.mark.parametrize(
    ("reference", "export"),
    [(gathered([2, 1, 0]), gathered([0, 1, 2])), (regrouped(2, 1, 0), regrouped(0, 1, 2))],
)
def test_another_order_of_channels_is_told(reference: Stage, export: Stage) -> None:
    found = findings(staged(frozen=False, input=reference), staged(frozen=True, input=export))
    assert only(found, "channel-order").scopes == ("preprocess",)


def test_a_reversal_behind_a_layer_is_no_channel_order() -> None:
    found = findings(PLAIN, staged(frozen=True, middle=set_by("ReverseV2", "inner/reverse", [-1])))
    assert only(found, "graph-op-differs").scopes == ("inner",)


def test_another_scaling_is_told_as_a_line() -> None:
    reference = all_of(multiplied("preprocess/mul", 2 / 255), shifted("preprocess/sub", 1.0))
    export = multiplied("preprocess/mul", 1 / 255)
    finding = only(
        findings(staged(frozen=False, input=reference), staged(frozen=True, input=export)), "input-scaling"
    )
    assert finding.message == (
        "The first layer's input in model.pb is 0.5 * x + 0.5, where x is that of the checkpoint's graph."
    )
    assert any("preprocess/sub" in each for each in finding.evidence)  # which the line does not name


def test_a_mean_for_each_channel_is_told_with_both_values() -> None:
    reference, export = (
        shifted("preprocess/mean", [123.5, 116.5, 104.0]),
        shifted("preprocess/mean", [104.0, 116.5, 123.5]),
    )
    finding = only(
        findings(staged(frozen=False, input=reference), staged(frozen=True, input=export)), "preprocess-const"
    )
    assert finding.message == (
        "preprocess/mean/y is [123.5, 116.5, 104] in the checkpoint's graph and [104, 116.5, 123.5] in model.pb"
        " (the same numbers reversed)."
    )


def test_the_same_constant_behind_a_layer_is_no_preprocessing() -> None:
    found = findings(
        staged(frozen=False, middle=shifted("inner", [1.0, 2.0, 3.0])),
        staged(frozen=True, middle=shifted("inner", [1.0, 2.0, 4.0])),
    )
    only(found, "graph-const-differs")


def test_a_step_that_the_export_lacks_is_told() -> None:
    def cropped(net: Layers, x: str) -> str:
        begin, size = (net.const(f"preprocess/{name}", [0, 1, 1, 0], "int32") for name in ("begin", "size"))
        return net.add("Slice", "preprocess/crop", x, begin, size, T=FLOAT)

    finding = only(findings(staged(frozen=False, input=cropped), staged(frozen=True)), "preprocess-missing")
    assert finding.nodes == ("preprocess/crop",)
    assert finding.message == "Between input and first layer, model.pb lacks Slice preprocess/crop."


def test_a_resize_is_told_by_its_attribute_or_method_wherever_it_stands() -> None:
    for stage in ("input", "middle"):
        reference = staged(frozen=False, **{stage: resized(align_corners=True)})
        finding = only(findings(reference, staged(frozen=True, **{stage: resized()})), "resize-attr")
        assert "the attributes of training (align_corners=true);" in finding.fix
        export = staged(frozen=True, **{stage: resized("ResizeNearestNeighbor", align_corners=True)})
        finding = only(findings(reference, export), "resize-op")
        assert finding.message == (
            "preprocess/resize is ResizeBilinear in the checkpoint's graph and ResizeNearestNeighbor in model.pb."
        )


def test_a_decoder_is_told_by_its_attribute() -> None:
    def decoded(method: bytes) -> Stage:
        return lambda net, x: net.add("DecodeJpeg", "preprocess/jpeg", x, dct_method=method, channels=3)

    found = findings(
        staged(frozen=False, input=decoded(b"INTEGER_ACCURATE")),
        staged(frozen=True, input=decoded(b"INTEGER_FAST")),
    )
    assert "dct_method is INTEGER_ACCURATE" in only(found, "decode-attr").message


def test_faults_of_preprocessing_and_of_a_layer_are_told_apart() -> None:
    export = staged(
        frozen=True, input=multiplied("preprocess/mul", np.float32(0.5)), activation=op("Elu", "first/act")
    )
    found = findings(staged(frozen=False, input=multiplied("preprocess/mul", 2.0)), export)
    assert {each.cause: each.scopes for each in found} == {
        "input-scaling": ("preprocess/mul",),
        "graph-op-differs": ("first",),
    }
