"""What became of weights: told where it follows from their values, left open where it does not."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from graphs.plain import Plan
from graphs.weights import SHADOW, SHAPES, Weights, causes, findings, trained
from pytest_tfparity.result import Finding


def only(network: Weights, export: dict[str, np.ndarray]) -> Finding:
    """The one finding of an export, whatever its certainty."""
    (found,) = network.diagnosis(network.values | export).findings
    return found


def test_a_permutation_is_told_with_the_place_of_its_first_entry() -> None:
    network = Weights()
    order = [1, 0, 2, 4, 3]
    found = only(
        network,
        {
            "head/kernel": network.values["head/kernel"][:, order],
            "head/bias": network.values["head/bias"][order],
        },
    )
    assert (found.cause, found.certainty) == ("weights-permuted", "proven")
    assert "head/kernel with axis 1 permuted: entry 1 stands at 0, and 3 more are moved" in found.message


def test_blocks_are_told_as_blocks() -> None:
    network = Weights()
    kernel = network.values["head/kernel"]
    found = only(network, {"head/kernel": kernel[[2, 3, 0, 1]]})
    assert found.cause == "weights-permuted"
    assert "axis 0 permuted in 2 blocks, [1, 0] for [0, 1]" in found.message
    assert "gates of a cell" in found.fix


@pytest.mark.parametrize(
    ("export", "said"),
    [
        (
            lambda kernel: np.where(np.abs(kernel) < 0.3, np.float32(0), kernel),
            "are 0 where a/conv/kernel has |w| <",
        ),
        (
            lambda kernel: np.clip(kernel, -0.8, 0.8).astype(np.float32),
            "are clipped: it is a/conv/kernel limited to [-0.8, 0.8]",
        ),
        (
            lambda kernel: kernel * np.float32([0.5, 2, 3, 4]),
            "one factor for each entry of axis 3, from 0.5 to 4",
        ),
        (lambda kernel: kernel * np.float32(0.5), "a/conv/kernel times 0.5"),
        (np.negative, "a/conv/kernel with the opposite sign"),
    ],
)
def test_a_rule_that_changed_a_kernel_is_told(export: partial[np.ndarray], said: str) -> None:
    network = Weights()
    found = only(network, {"a/conv/kernel": export(network.values["a/conv/kernel"])})
    assert (found.cause, found.certainty) == ("weights-altered", "proven")
    assert said in found.message


def test_what_nothing_explains_is_told_as_what_is_seen() -> None:
    network = Weights()
    kernel = network.values["a/conv/kernel"].copy()
    kernel[0, 0] = trained(5)["a/conv/kernel"][0, 0]
    found = only(network, {"a/conv/kernel": kernel})
    assert (found.cause, found.certainty, found.scopes) == ("weights-differ", "suggestive", ("a/conv",))
    assert (
        "16 of 144 values of a/conv/kernel in model.pb differ; cosine with a/conv/kernel 0.874"
        in found.message
    )
    assert "that proves the place, not what happened there" in found.evidence[-1]


def test_a_kernel_without_a_mark_of_its_start_is_not_called_initial() -> None:
    """Another run's kernel and a fresh one look alike: the bias beside it tells them apart."""
    network, other = Weights(), trained(6)
    found = only(network, {"head/kernel": other["head/kernel"]})
    assert (found.cause, found.certainty) == ("weights-differ", "suggestive")
    start = only(network, {"head/kernel": other["head/kernel"], "head/bias": np.zeros(5, np.float32)})
    assert (start.cause, start.certainty) == ("partial-restore", "proven")


def test_a_layer_of_another_run_is_told_by_its_trained_statistics() -> None:
    network, other = Weights(), trained(6)
    layer = {name: other[name] for name in SHAPES if name.startswith("b/")}
    found = only(network, layer)
    assert (found.cause, found.certainty) == ("partial-other-run", "suggestive")
    assert set(found.scopes) == {"b/conv", "b/bn"}


def test_a_layer_near_the_checkpoint_s_is_of_another_step() -> None:
    network, noise = Weights(), trained(4)
    layer = {
        name: (network.values[name] + 0.1 * noise[name]).astype(np.float32)
        for name in SHAPES
        if name.startswith("b/")
    }
    found = only(network, layer)
    assert (found.cause, found.certainty) == ("partial-stale", "suggestive")


def test_a_layer_that_equals_another_checkpoint_is_of_that_step() -> None:
    older = trained(3)
    network = Weights(others={"model.ckpt-60": older})
    (found,) = findings(
        network, network.values | {name: older[name] for name in SHAPES if name.startswith("b/")}
    )
    assert found.cause == "partial-stale"
    assert "equal model.ckpt-60 bit for bit" in found.message


def test_one_number_throughout_says_nothing_of_where_it_came_from() -> None:
    """An export of step 0 has a gamma of 1.0, which is also what bfloat16 makes of values near 1."""
    network = Weights()
    near = network.values | {"a/bn/gamma": np.float32([1.0, 1.001, 1.002, 1.003])}
    older = trained(3) | {"a/bn/gamma": np.ones(4, np.float32)}
    network = Weights(values=near, others={"model.ckpt-0": older})
    (found,) = findings(network, older)
    assert found.cause == "stale-export"


def test_statistics_through_one_function_are_told_with_it() -> None:
    network = Weights()
    variances = {name: np.sqrt(network.values[name]) for name in SHAPES if name.endswith("moving_variance")}
    found = only(network, variances)
    assert (found.cause, found.certainty) == ("bn-stats-transformed", "proven")
    assert (
        "moving_variance of 3 layers is that of the checkpoint with every value x replaced by sqrt(x)"
        in found.message
    )


def test_another_average_of_the_same_variable_is_named() -> None:
    values = trained()

    def averages(kind: str, share: float) -> dict[str, np.ndarray]:
        noise = trained(8)
        return {
            f"{name}/{kind}": (value + share * noise[name]).astype(np.float32)
            for name, value in values.items()
        }

    fast, slow = averages("fast", 0.05), averages("slow", 0.2)
    network = Weights(values=values, tensors={**fast, **slow}, keys={name: f"{name}/slow" for name in values})
    export = {name: fast[f"{name}/fast"] for name in values}
    (found,) = findings(network, export)
    assert found.cause == "ema-other-average"
    assert "holds a/conv/kernel/fast, not a/conv/kernel/slow" in found.message


def test_weights_in_the_graph_of_the_reference_are_weights() -> None:
    """A backbone that was frozen into the graph before: its weights are in no checkpoint."""
    backbone = {name: value for name, value in trained().items() if name.startswith(("a/", "b/"))}
    other = {name: value for name, value in trained(6).items() if name.startswith(("a/", "b/"))}

    def stitched(plan: Plan) -> None:
        for name, value in backbone.items():
            plan.const(name, value, value.dtype)

    values = {name: value for name, value in trained().items() if name not in backbone}
    network = Weights(values=values, reference_edit=stitched)
    (found,) = network.diagnosis({**values, **other}).findings
    assert (found.cause, found.certainty) == ("partial-other-run", "suggestive")
    assert {"a/conv", "a/bn", "b/conv", "b/bn"} == set(found.scopes)


def test_averages_of_the_usual_name_are_not_another_average() -> None:
    values = trained()
    means = {f"{name}{SHADOW}": (0.9 * value).astype(np.float32) for name, value in values.items()}
    network = Weights(values=values, tensors=means, keys={name: f"{name}{SHADOW}" for name in values})
    assert "ema-other-average" not in causes(findings(network, values))
