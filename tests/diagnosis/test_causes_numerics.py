"""Weights and arithmetic in lower precision are told from weights that are others."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.plain import FLOAT, HALF, Plan
from graphs.weights import SHADOW, SHAPES, Weights, averaged, causes, findings, trained
from pytest_tfparity.diagnosis.relations.steps import equal_step
from pytest_tfparity.graph.graph import DType

LAYERS = ("a/bn", "a/conv", "b/bn", "b/conv", "c/bn", "c/conv", "head")


def through_half(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16).astype(np.float32)


def truncated(value: np.ndarray) -> np.ndarray:
    return (value.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def test_weights_through_float16() -> None:
    network = Weights()
    (found,) = findings(network, {name: through_half(value) for name, value in network.values.items()})
    assert (found.cause, tuple(sorted(found.scopes))) == ("weights-fp16", LAYERS)
    assert found.message.startswith("All 17 constants of model.pb went through float16")


def test_one_kernel_through_float16_is_named_alone() -> None:
    network = Weights()
    export = network.values | {"b/conv/kernel": through_half(network.values["b/conv/kernel"])}
    assert causes(findings(network, export)) == {"weights-fp16": ("b/conv",)}


def test_weights_truncated_to_bfloat16() -> None:
    network = Weights()
    export = {name: truncated(value) for name, value in network.values.items()}
    assert causes(findings(network, export)) == {"weights-bf16": LAYERS}


def test_averages_through_float16_where_raw_weights_are_meant_are_two_findings() -> None:
    values = trained()
    network = Weights(values=values, tensors=averaged(values))
    export = {name: through_half(network.tensors[f"{name}{SHADOW}"]) for name in SHAPES}
    assert set(causes(findings(network, export))) == {"weights-fp16", "ema-applied-unexpectedly"}


def test_weights_rounded_to_equal_steps_small_ones_included() -> None:
    def rounded(value: np.ndarray, steps: int = 32) -> np.ndarray:
        width = (value.max() - value.min()) / steps
        place = np.minimum(np.floor((value - value.min()) / width), steps - 1)
        return (value.min() + (place + 0.5) * width).astype(np.float32)

    network = Weights()
    (found,) = findings(network, {name: rounded(value) for name, value in network.values.items()})
    assert (found.cause, tuple(sorted(found.scopes))) == ("weights-rounded", LAYERS)
    assert "about 32 equal steps" in found.message


def test_a_kernel_stored_in_bytes_and_widened_is_quantised() -> None:
    network = Weights()
    kernel = network.values["a/conv/kernel"]
    low, high = kernel.min(), kernel.max()

    def dequantised(plan: Plan) -> None:
        stored = np.rint((kernel - low) / (high - low) * 255).astype(np.uint8)
        plan.const("a/conv/kernel/bytes", stored, np.uint8)
        plan.const("a/conv/kernel/min", low)
        plan.const("a/conv/kernel/max", high)
        names = ("a/conv/kernel/bytes", "a/conv/kernel/min", "a/conv/kernel/max")
        plan("a/conv/kernel", "Dequantize", *names, T=DType(12), mode=b"MIN_FIRST")

    (found,) = findings(network, network.values, dequantised)
    assert (found.cause, found.scopes) == ("weights-quantised-8bit", ("a/conv",))


def test_a_kernel_stored_in_half_and_widened_went_through_float16() -> None:
    network = Weights()

    def widened(plan: Plan) -> None:
        plan.const("head/kernel/half", network.values["head/kernel"], np.float16)
        plan("head/kernel", "Cast", "head/kernel/half", SrcT=HALF, DstT=FLOAT)

    assert causes(findings(network, network.values, widened)) == {"weights-fp16": ("head",)}


def test_a_product_in_half_is_no_matter_of_weights() -> None:
    network = Weights()

    def in_half(plan: Plan) -> None:
        plan("head/input", "Cast", "pool", SrcT=FLOAT, DstT=HALF)
        plan("head/weights", "Cast", "head/kernel", SrcT=FLOAT, DstT=HALF)
        plan("head/MatMul", "MatMul", "head/input", "head/weights", T=HALF)
        plan("head/output", "Cast", "head/MatMul", SrcT=HALF, DstT=FLOAT)
        plan("head/BiasAdd", "BiasAdd", "head/output", "head/bias", T=FLOAT)

    (found,) = findings(network, network.values, in_half)
    assert (found.cause, found.scopes, found.nodes) == ("compute-fp16", ("head",), ("head/MatMul",))


def test_the_quantisation_of_training_is_missed() -> None:
    def quantising(plan: Plan) -> None:
        plan.const("b/conv/min", -3.0)
        plan.const("b/conv/max", 3.0)
        plan("b/conv/quant/FakeQuant", "FakeQuantWithMinMaxVars", "b/conv/kernel", "b/conv/min", "b/conv/max")
        node = plan.nodes["b/conv/Conv2D"]
        inputs = ("a/Relu", "b/conv/quant/FakeQuant")
        plan("b/conv/Conv2D", "Conv2D", *inputs, **node.attrs)

    network = Weights(reference_edit=quantising)
    assert causes(findings(network, network.values)) == {"fake-quant-missing": ("b/conv",)}


@pytest.mark.parametrize("steps", [16, 64, 255])
def test_equal_steps_are_found_and_random_values_have_none(steps: int) -> None:
    value = np.random.default_rng(0).uniform(-1, 1, 4000).astype(np.float32)
    step = 2 / steps
    held = (np.rint(value / step) * step).astype(np.float32)
    assert equal_step(held, value) == pytest.approx(step, rel=1e-2)
    assert equal_step(value, value) is None
