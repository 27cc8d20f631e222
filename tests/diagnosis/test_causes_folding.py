"""Batch norm folded into a kernel: right folds are no finding, wrong ones are named for what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.layers import FLOAT, Layers, Values, evidence, findings, offset_of, only, scale_of, weights
from pytest_tfparity.diagnosis.alignment import divergences, proof
from pytest_tfparity.diagnosis.places.folds import folds
from pytest_tfparity.diagnosis.places.right_folds import neutral_folds
from pytest_tfparity.graph.graph import DType
from pytest_tfparity.graph.proof.proof import Side

SCOPES = ("a", "b", "c")
SEEDS = st.integers(0, 2**31 - 1)
Layer = Callable[[Layers, str, str], str]


def plain(net: Layers, scope: str, x: str) -> str:
    """Convolution and batch norm as in training."""
    return net.norm(f"{scope}/bn", net.conv(f"{scope}/conv", x))


def fold(
    net: Layers,
    scope: str,
    x: str,
    *,
    epsilon: float = 1e-3,
    offset: Callable[[Values, str], np.ndarray] | None = None,
    scaled: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.multiply,
) -> str:
    values, bn = net.values, f"{scope}/bn"
    kernel = scaled(values[f"{scope}/conv/kernel"], scale_of(values, bn, epsilon))
    added = offset_of(values, bn, epsilon) if offset is None else offset(values, bn)
    return net.offset(f"{bn}/FusedBatchNormV3", net.conv(f"{scope}/conv", x, kernel), added)


def chain(values: Values, layers: dict[str, Layer], *, frozen: bool) -> Side:
    net = Layers(values, frozen=frozen)
    x = net.image()
    for scope, layer in layers.items():
        x = net.relu(f"{scope}/relu", layer(net, scope, x))
    return net.side(x)


def reference(values: Values, layer: Layer = plain) -> Side:
    return chain(values, dict.fromkeys(SCOPES, layer), frozen=False)


def repaired_by_folds_alone(reference_side: Side, export: Side) -> bool:
    found = evidence(reference_side, export)
    for repair in neutral_folds(found):
        found = found.after(repair)
    return found[proof].proven


def test_right_folds_are_taken_out_of_the_comparison() -> None:
    values = weights(*SCOPES)
    export = chain(values, {"a": fold, "b": plain, "c": fold}, frozen=True)
    assert repaired_by_folds_alone(reference(values), export)


def test_another_fault_beside_right_folds_is_the_only_finding() -> None:
    values = weights(*SCOPES)
    export = chain(
        values,
        {"a": fold, "b": lambda net, scope, x: net.norm(f"{scope}/bn", net.conv(f"{scope}/conv", x), epsilon=1e-5),
         "c": fold},
        frozen=True,
    )  # fmt: skip
    assert only(findings(reference(values), export), "bn-epsilon-mismatch").scopes == ("b/bn",)


def test_a_fold_that_counts_the_convolutions_own_bias_is_right() -> None:
    values = weights(*SCOPES)

    def biased(net: Layers, scope: str, x: str) -> str:
        return net.norm(f"{scope}/bn", net.bias(f"{scope}/conv", net.conv(f"{scope}/conv", x)))

    def one_sum(net: Layers, scope: str, x: str) -> str:
        scale = scale_of(net.values, f"{scope}/bn")
        own = net.values[f"{scope}/conv/bias"] * scale
        x = net.conv(f"{scope}/conv", x, net.values[f"{scope}/conv/kernel"] * scale)
        return net.offset(f"{scope}/bn/add", x, own + offset_of(net.values, f"{scope}/bn"))

    def two_sums(net: Layers, scope: str, x: str) -> str:
        scale = scale_of(net.values, f"{scope}/bn")
        x = net.conv(f"{scope}/conv", x, net.values[f"{scope}/conv/kernel"] * scale)
        x = net.bias(f"{scope}/conv", x, value=net.values[f"{scope}/conv/bias"] * scale)
        return net.offset(f"{scope}/bn/add", x, offset_of(net.values, f"{scope}/bn"))

    for layer in (one_sum, two_sums):
        export = chain(values, dict.fromkeys(SCOPES, layer), frozen=True)
        assert repaired_by_folds_alone(reference(values, biased), export)


def test_a_batch_norm_that_became_a_scale_and_an_offset_is_right() -> None:
    values = weights(*SCOPES)

    def scaled(net: Layers, scope: str, x: str) -> str:
        factor = net.const(f"{scope}/scale", scale_of(net.values, f"{scope}/bn"))
        product = net.add("Mul", f"{scope}/mul", net.conv(f"{scope}/conv", x), factor)
        return net.add(
            "AddV2",
            f"{scope}/add",
            product,
            net.const(f"{scope}/shift", offset_of(net.values, f"{scope}/bn")),
        )

    export = chain(values, {"a": scaled, "b": plain, "c": scaled}, frozen=True)
    assert repaired_by_folds_alone(reference(values), export)


def test_another_spelling_of_a_batch_norm_is_right() -> None:
    values = weights(*SCOPES)

    def spelt(net: Layers, scope: str, x: str) -> str:
        return net.plain_norm(f"{scope}/bn", net.conv(f"{scope}/conv", x))

    assert repaired_by_folds_alone(
        reference(values), chain(values, dict.fromkeys(SCOPES, spelt), frozen=True)
    )


def test_a_fold_of_weights_that_are_not_the_references_becomes_a_batch_norm_of_them() -> None:
    values = weights(*SCOPES)
    averages = {f"{name}/ExponentialMovingAverage": value * 0.5 for name, value in values.items()}
    reference_side = reference({name: averages[f"{name}/ExponentialMovingAverage"] for name in values})
    export = chain(values, dict.fromkeys(SCOPES, fold), frozen=True)
    found = evidence(reference_side, export, values | averages)
    for repair in neutral_folds(found):
        found = found.after(repair)
    assert {each.kind.value for each in found[divergences]} == {"constant"}
    assert len(found[divergences]) == 5 * len(SCOPES)


def test_statistics_at_their_start_are_seen_through_a_fold() -> None:
    values = weights(*SCOPES)
    start = {"b/bn/moving_mean": np.zeros(8, np.float32), "b/bn/moving_variance": np.ones(8, np.float32)}
    found = evidence(reference(values), chain(values | start, dict.fromkeys(SCOPES, fold), frozen=True))
    for repair in neutral_folds(found):
        found = found.after(repair)
    assert [each.export for each in found[divergences]] == [("b/bn/moving_mean",), ("b/bn/moving_variance",)]


@pytest.mark.parametrize(
    ("options", "cause", "said"),
    [
        (
            {"epsilon": 1e-5},
            "bn-folded-wrong-epsilon",
            "folded with epsilon 1e-05 in model.pb, 0.001 in the checkpoint's graph",
        ),
        (
            {"scaled": lambda kernel, scale: kernel * scale[:, None]},
            "bn-folded-wrong-axis",
            "b/conv/kernel: the scale of b/bn is multiplied along the input channels",
        ),
        (
            {"offset": lambda values, bn: values[f"{bn}/beta"]},
            "bn-folded-without-mean",
            "the offset behind b/conv/Conv2D is beta alone; it must be beta - mean * scale",
        ),
        (
            {"offset": lambda values, bn: values[f"{bn}/beta"] - values[f"{bn}/moving_mean"]},
            "bn-folded-wrong-formula",
            "folded in model.pb with an offset of beta + bias - mean: the mean is not scaled",
        ),
        ({"scaled": lambda kernel, scale: kernel * scale**2}, "bn-folded-twice", "the scale of b/bn twice"),
    ],
)  # fmt: skip
def test_a_wrong_fold_is_named_for_what_is_wrong(options: dict[str, object], cause: str, said: str) -> None:
    values = weights(*SCOPES)

    def wrong(net: Layers, scope: str, x: str) -> str:
        return fold(net, scope, x, **options)

    export = chain(values, {"a": fold, "b": wrong, "c": plain}, frozen=True)
    finding = only(findings(reference(values), export), cause)
    assert said in finding.message
    assert {scope.partition("/")[0] for scope in finding.scopes} == {"b"}
    assert "b/conv/Conv2D" in finding.nodes


def test_a_scale_in_the_kernel_before_a_batch_norm_that_still_runs_is_twice() -> None:
    values = weights(*SCOPES)

    def twice(net: Layers, scope: str, x: str) -> str:
        kernel = net.values[f"{scope}/conv/kernel"] * scale_of(net.values, f"{scope}/bn")
        return net.norm(f"{scope}/bn", net.conv(f"{scope}/conv", x, kernel))

    export = chain(values, {"a": plain, "b": twice, "c": plain}, frozen=True)
    finding = only(findings(reference(values), export), "bn-folded-twice")
    assert finding.scopes == ("b/conv",)
    assert (
        finding.message == "b/conv/kernel in model.pb already contains the scale of b/bn, which still runs."
    )


def test_another_kernel_before_a_batch_norm_is_no_fold() -> None:
    values = weights(*SCOPES)
    other = values | {"b/conv/kernel": values["c/conv/kernel"]}
    found = evidence(reference(values), chain(other, dict.fromkeys(SCOPES, plain), frozen=True))
    assert found[folds] == ()


def test_a_fold_that_went_through_half_precision_leaves_half_precision_to_explain() -> None:
    values = weights(*SCOPES)

    def half(net: Layers, scope: str, x: str) -> str:
        def low(array: np.ndarray) -> np.ndarray:
            return array.astype(np.float16).astype(np.float32)

        kernel = low(net.values[f"{scope}/conv/kernel"] * scale_of(net.values, f"{scope}/bn"))
        added = low(offset_of(net.values, f"{scope}/bn"))
        return net.offset(f"{scope}/bn/add", net.conv(f"{scope}/conv", x, kernel), added)

    found = evidence(reference(values), chain(values, dict.fromkeys(SCOPES, half), frozen=True))
    for repair in neutral_folds(found):
        found = found.after(repair)
    assert {each.kind.value for each in found[divergences]} == {"constant"}


def low(values: Values) -> Values:
    return {name: value.astype(np.float16).astype(np.float32) for name, value in values.items()}


def test_weights_in_half_precision_are_seen_through_a_fold() -> None:
    values = weights(*SCOPES)
    export = chain(low(values), {"a": fold, "b": plain, "c": fold}, frozen=True)
    finding = only(findings(reference(values), export), "weights-fp16")
    assert {"a/conv", "a/bn", "b/conv", "b/bn", "c/conv", "c/bn"} == set(finding.scopes)


def test_two_kernels_that_changed_places_are_seen_through_a_fold() -> None:
    values = weights(*SCOPES)
    one, other = "a/conv/kernel", "c/conv/kernel"
    swapped = values | {one: values[other], other: values[one]}
    found = findings(reference(values), chain(swapped, dict.fromkeys(SCOPES, fold), frozen=True))
    assert only(found, "ckpt-tensor-mapped-to-wrong-variable").scopes == ("a/conv", "c/conv")


def test_another_run_under_a_fold_is_one_finding() -> None:
    values = weights(*SCOPES)
    export = chain(weights(*SCOPES, seed=1), dict.fromkeys(SCOPES, fold), frozen=True)
    (finding,) = findings(reference(values), export)
    assert (finding.cause, finding.certainty) == ("other-run", "suggestive")
    assert {"a/conv", "a/bn", "b/conv", "b/bn", "c/conv", "c/bn"} == set(finding.scopes)


def test_a_batch_norm_that_is_gone_beside_right_kernels_is_no_fold() -> None:
    values = weights(*SCOPES)

    def bare(net: Layers, scope: str, x: str) -> str:
        return net.offset(
            f"{scope}/bn/FusedBatchNormV3", net.conv(f"{scope}/conv", x), np.ones(8, np.float32)
        )

    export = chain(values, {"a": plain, "b": bare, "c": plain}, frozen=True)
    assert only(findings(reference(values), export), "graph-op-differs").scopes == ("b/bn",)


def test_the_shape_of_a_convolution_is_no_reader_of_its_numbers() -> None:
    values = weights(*SCOPES)

    def flattened(layer: Layer) -> Layer:
        def made(net: Layers, scope: str, x: str) -> str:
            y = layer(net, scope, x)
            shape = net.add("Shape", f"{scope}/Shape", f"{scope}/conv/Conv2D", T=FLOAT, out_type=DType(3))
            return net.add("Reshape", f"{scope}/back", y, shape, T=FLOAT, Tshape=DType(3))

        return made

    reference_side = reference(values, flattened(plain))
    assert repaired_by_folds_alone(
        reference_side, chain(values, dict.fromkeys(SCOPES, flattened(fold)), frozen=True)
    )


def test_a_kernel_that_a_pass_has_reshaped_is_still_the_layers() -> None:
    values = weights(*SCOPES)

    def spread(net: Layers, scope: str, x: str) -> str:
        kernel = f"{scope}/conv/kernel"
        if net.frozen:
            turned = net.const(f"{kernel}/folded", net.values[kernel].reshape(3, 3, 8, 8))
        else:
            turned = net.add(
                "Reshape", f"{kernel}/Reshape", net.weight(kernel), net.const(f"{kernel}/shape", [3, 3, 8, 8], "int32"),
                T=FLOAT, Tshape=DType(3),
            )  # fmt: skip
        y = net.add(
            "Conv2D", f"{scope}/conv/Conv2D", x, turned, strides=(1, 1, 1, 1), padding=b"SAME", T=FLOAT
        )
        return net.norm(f"{scope}/bn", y)

    flat = values | {
        f"{scope}/conv/kernel": values[f"{scope}/conv/kernel"].reshape(72, 8) for scope in SCOPES
    }
    reference_side = chain(flat, dict.fromkeys(SCOPES, spread), frozen=False)
    export = chain(
        flat | {"b/conv/kernel": low(flat)["b/conv/kernel"]}, dict.fromkeys(SCOPES, spread), frozen=True
    )
    assert only(findings(reference_side, export), "weights-fp16").scopes == ("b/conv",)


def with_factors(factors: Callable[[Values, str], np.ndarray], *, offset: bool = True) -> Layer:
    """A fold that multiplies the kernel by ``factors`` and, if ``offset`` says so, the mean with it."""

    def folded(net: Layers, scope: str, x: str) -> str:
        values, bn = net.values, f"{scope}/bn"
        scale = np.asarray(factors(values, bn), np.float32)
        x = net.conv(f"{scope}/conv", x, values[f"{scope}/conv/kernel"] * scale)
        added = (
            values[f"{bn}/beta"] - values[f"{bn}/moving_mean"] * scale if offset else offset_of(values, bn)
        )
        return net.offset(f"{bn}/FusedBatchNormV3", x, added)

    return folded


def root(values: Values, bn: str, epsilon: float = 1e-3) -> np.ndarray:
    return np.sqrt(values[f"{bn}/moving_variance"] + np.float32(epsilon))


WRONG: dict[str, tuple[str, Layer]] = {
    "gamma": ("bn-folded-wrong-formula", with_factors(lambda values, bn: 1 / root(values, bn))),
    "root": ("bn-folded-wrong-formula", with_factors(lambda v, bn: v[f"{bn}/gamma"] / root(v, bn) ** 2)),
    "epsilon": ("bn-folded-wrong-epsilon", with_factors(lambda v, bn: v[f"{bn}/gamma"] / root(v, bn, 0.05))),
    "variance": ("bn-folded-wrong-formula", with_factors(lambda v, bn: v[f"{bn}/gamma"])),
    "another layer's statistics": (
        "bn-folded-wrong-formula",
        with_factors(lambda v, bn: v[f"{bn}/gamma"] / root(v, "a/bn")),
    ),
    "bias": (
        "bn-folded-without-mean",
        lambda net, scope, x: fold(net, scope, x, offset=lambda values, bn: values[f"{bn}/beta"]),
    ),
}


@pytest.mark.parametrize("fault", WRONG)
@given(seed=SEEDS)
@settings(max_examples=6, deadline=None)
def test_a_fold_by_a_wrong_formula_is_found_and_its_repair_proven(fault: str, seed: int) -> None:
    cause, wrong = WRONG[fault]
    values = weights(*SCOPES, seed=seed)
    export = chain(values, {"a": fold, "b": wrong, "c": plain}, frozen=True)
    only(findings(reference(values), export), cause)


@given(seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_a_fold_by_no_formula_is_not_called_one(seed: int) -> None:
    """One factor for each channel that follows from nothing, or from a formula but for one channel."""
    values = weights(*SCOPES, seed=seed)
    random = np.random.default_rng(seed).uniform(0.5, 2, 8)

    def nearly(each: Values, bn: str) -> np.ndarray:
        found = np.asarray(1 / root(each, bn))
        found[0] *= np.float32(1.01)
        return found

    for factors in (lambda each, bn: random, nearly):
        export = chain(values, {"a": fold, "b": with_factors(factors), "c": plain}, frozen=True)
        found = findings(reference(values), export)
        assert found
        assert all(each.certainty == "suggestive" for each in found if each.cause.startswith("bn-folded"))


@given(seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_a_right_fold_is_no_finding(seed: int) -> None:
    values = weights(*SCOPES, seed=seed)
    right = chain(values, dict.fromkeys(SCOPES, fold), frozen=True)
    assert findings(reference(values), right) == ()
