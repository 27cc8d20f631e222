"""Padding, order and axes."""

from __future__ import annotations

from graphs.layers import Layers, findings, only
from graphs.staged import Stage, all_of, set_by, staged

PLAIN = staged(frozen=False)
PADDINGS = [[0, 0], [1, 1], [1, 1], [0, 0]]


def explicit(net: Layers, x: str) -> str:
    padded = set_by("Pad", "second/pad", PADDINGS)(net, x)
    return net.conv("second/conv", padded, padding=b"VALID", strides=(1, 2, 2, 1))


def same(net: Layers, x: str) -> str:
    return net.conv("second/conv", x, strides=(1, 2, 2, 1))


def flat(*before: Stage) -> Stage:
    return all_of(*before, set_by("Reshape", "flatten/vector", [-1, 48]))


def test_explicit_padding_against_same_is_one_finding_at_the_convolution() -> None:
    for reference, export in ((explicit, same), (same, explicit)):
        finding = only(
            findings(staged(frozen=False, second=reference), staged(frozen=True, second=export)), "padding"
        )
        assert finding.nodes[0] == "second/conv/Conv2D"
        assert "second" in finding.scopes[0]


def test_other_paddings_are_told() -> None:
    def wider(net: Layers, x: str) -> str:
        padded = set_by("Pad", "second/pad", [[0, 0], [0, 2], [0, 2], [0, 0]])(net, x)
        return net.conv("second/conv", padded, padding=b"VALID", strides=(1, 2, 2, 1))

    only(findings(staged(frozen=False, second=explicit), staged(frozen=True, second=wider)), "padding")


def test_a_transpose_before_flattening_is_told_as_order() -> None:
    turned = set_by("Transpose", "flatten/turned", [0, 3, 1, 2])
    for reference, export in ((flat(turned), flat()), (flat(), flat(turned))):
        found = findings(staged(frozen=False, output=reference), staged(frozen=True, output=export))
        assert only(found, "flatten-order").scopes == ("flatten",)
    other = set_by("Transpose", "flatten/turned", [0, 3, 2, 1])
    only(
        findings(staged(frozen=False, output=flat(turned)), staged(frozen=True, output=flat(other))),
        "flatten-order",
    )


def test_a_transpose_elsewhere_exchanges_axes() -> None:
    turned = set_by("Transpose", "preprocess/turned", [0, 2, 1, 3])
    for stage in ("input", "middle"):
        finding = only(findings(PLAIN, staged(frozen=True, **{stage: turned})), "axis-transposed")
        assert finding.nodes == ("preprocess/turned",)
