"""Random numbers that belong to training."""

from __future__ import annotations

import pytest

from graphs.layers import FLOAT, Layers, findings, only
from graphs.staged import all_of, dropout, multiplied, op, set_by, staged, uniform

REFERENCE = staged(frozen=False)


@pytest.mark.parametrize("spelling", ["floor", "mask", "select"])
def test_a_live_dropout_is_named_by_the_op_that_drops(spelling: str) -> None:
    finding = only(
        findings(REFERENCE, staged(frozen=True, middle=dropout("net/drop", spelling=spelling))),
        "dropout-active",
    )
    assert finding.nodes == ("net/drop/SelectV2" if spelling == "select" else "net/drop/mul_1",)
    assert finding.scopes == ("net/drop",)


def test_two_dropouts_are_one_finding() -> None:
    export = staged(
        frozen=True,
        activation=all_of(op("Relu", "first/act"), dropout("d1")),
        middle=dropout("d2", spelling="mask"),
    )
    assert only(findings(REFERENCE, export), "dropout-active").scopes == ("d1", "d2")


def test_a_default_that_drops_is_told_with_the_value_to_feed() -> None:
    reference = staged(frozen=False, middle=dropout("drop", keep=1.0, switch="keep_prob"))
    export = staged(frozen=True, middle=dropout("drop", keep=0.5, switch="keep_prob"))
    finding = only(findings(reference, export), "dropout-active")
    assert finding.nodes == ("keep_prob", "drop/mul_1")
    assert finding.fix == "Feed keep_prob=1, or export with that as its default."


def test_a_dropout_that_the_reference_has_too_is_no_finding_of_the_export() -> None:
    both = dropout("drop")
    found = findings(
        staged(frozen=False, middle=both),
        staged(frozen=True, middle=both, activation=op("Elu", "first/act")),
    )
    assert [each.cause for each in found] == ["graph-op-differs"]


def test_a_dropout_behind_another_fault_is_found_beside_it() -> None:
    export = staged(frozen=True, activation=op("Elu", "first/act"), middle=dropout("drop"))
    found = findings(REFERENCE, export)
    assert {each.cause: each.scopes for each in found} == {
        "dropout-active": ("drop",),
        "graph-op-differs": ("first",),
    }
    assert all(each.certainty == "proven" for each in found)


def test_noise_that_is_added_to_a_layer_is_a_noise_layer() -> None:
    def noise(net: Layers, x: str) -> str:
        shape = net.add("Shape", "noise/Shape", x, T=FLOAT)
        drawn = net.add("RandomStandardNormal", "noise/normal", shape, dtype=FLOAT)
        return net.add("AddV2", "noise/add", x, drawn, T=FLOAT)

    for stage in ("middle", "input"):
        finding = only(findings(REFERENCE, staged(frozen=True, **{stage: noise})), "random-noise")
        assert finding.nodes == ("noise/add",)


def test_one_random_number_for_a_whole_picture_is_augmentation() -> None:
    def brightened(net: Layers, x: str) -> str:
        return net.add("AddV2", "augment/add", x, uniform(net, "augment", x, like=False), T=FLOAT)

    def flipped(net: Layers, x: str) -> str:
        coin = uniform(net, "augment", x, like=False)
        heads = net.add("Less", "augment/Less", coin, net.const("augment/half", 0.5), T=FLOAT)
        turned = set_by("ReverseV2", "augment/turned", [2])(net, x)
        return net.add("SelectV2", "augment/SelectV2", heads, x, turned, T=FLOAT)

    for stage in (brightened, flipped):
        finding = only(findings(REFERENCE, staged(frozen=True, input=stage)), "random-augmentation")
        assert finding.scopes == ("augment",)


def test_a_factor_in_the_export_alone_is_what_a_dropout_left() -> None:
    """It is one factor of many that such code may have: the place is certain, the story is not."""
    (finding,) = findings(REFERENCE, staged(frozen=True, middle=multiplied("drop/mul", 0.8)))
    assert (finding.cause, finding.certainty) == ("dropout-scaling", "suggestive")
    assert finding.scopes == ("drop",)
    assert "multiplies by 0.8 in model.pb alone" in finding.message


@pytest.mark.parametrize("factor", [2.0, -0.5])
def test_a_factor_that_is_no_probability_is_no_dropout(factor: float) -> None:
    found = findings(REFERENCE, staged(frozen=True, middle=multiplied("gate/mul", factor)))
    assert only(found, "graph-op-differs").scopes == ("gate",)


def test_a_factor_for_each_channel_is_no_dropout() -> None:
    found = findings(REFERENCE, staged(frozen=True, middle=multiplied("gate/mul", [1.0, 2.0, 3.0])))
    assert only(found, "graph-op-differs").scopes == ("gate",)
