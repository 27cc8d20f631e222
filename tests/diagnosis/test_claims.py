"""A finding that is sure of itself is put to another history that leaves the same files: then it must say less."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphs.plain import FLOAT, INT, Plan
from graphs.weights import BLOCKS, SHADOW, SHAPES, STATISTICS, Weights, averaged, initial, trained
from pytest_tfparity.result import Finding

OTHER = trained(6)


def only(network: Weights, export: dict[str, np.ndarray]) -> Finding:
    """The one finding of an export, whatever its certainty."""
    (found,) = network.diagnosis(network.values | export).findings
    return found


def full(name: str, number: float) -> dict[str, np.ndarray]:
    """A weight that is one number throughout."""
    return {name: np.full(SHAPES[name], number, np.float32)}


def layer(prefix: str, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in values.items() if name.startswith(prefix)}


# --- initial values


@pytest.mark.parametrize(
    ("name", "number", "cause"),
    [
        ("a/bn/moving_variance", 0.0, "bn-stats-differ-from-ckpt"),
        ("a/bn/moving_mean", 1.0, "bn-stats-differ-from-ckpt"),
        ("a/bn/moving_variance", 1.0, "bn-stats-initial-values"),
        ("a/bn/moving_mean", 0.0, "bn-stats-initial-values"),
        ("a/bn/gamma", 0.0, "weights-differ"),
        ("a/bn/beta", 1.0, "weights-differ"),
        ("head/kernel", 0.0, "weights-differ"),
        ("head/kernel", 1.0, "weights-differ"),
        ("head/bias", 1.0, "weights-differ"),
        ("head/bias", 0.0, "partial-restore"),
    ],
)
def test_one_number_is_an_initial_value_only_where_that_weight_begins_with_it(
    name: str, number: float, cause: str
) -> None:
    assert only(Weights(), full(name, number)).cause == cause


def test_a_kernel_near_the_checkpoint_s_is_not_initial_because_its_bias_is_0() -> None:
    network = Weights()
    near = (network.values["head/kernel"] + 0.01 * OTHER["head/kernel"]).astype(np.float32)
    found = only(network, {"head/kernel": near, **full("head/bias", 0)})
    assert (found.cause, found.certainty) == ("weights-differ", "suggestive")


def test_a_layer_whose_statistics_were_trained_is_perhaps_not_restored() -> None:
    """Of another run that trained neither scale nor offset, or of a fresh layer in training mode."""
    export = {**layer("b/", OTHER), **full("b/bn/gamma", 1), **full("b/bn/beta", 0)}
    found = only(Weights(), export)
    assert (found.cause, found.certainty) == ("partial-restore", "suggestive")
    assert "2 of them hold what the initialiser gives" in found.message
    assert "perhaps not restored" in found.message


def test_a_fresh_network_whose_statistics_moved_is_perhaps_at_its_start() -> None:
    moved = initial() | {name: OTHER[name] for name in STATISTICS}
    found = only(Weights(), moved)
    assert (found.cause, found.certainty) == ("initial-values", "suggestive")
    assert "after forward passes in training mode" in found.message
    assert only(Weights(), initial()).certainty == "proven"


def drawing(bound: float) -> Callable[[Plan], None]:
    """The head's kernel begins with random numbers between ``-bound`` and ``bound``."""

    def add(plan: Plan) -> None:
        plan.const("start/shape", list(SHAPES["head/kernel"]), np.int32)
        plan("start/random", "RandomUniform", "start/shape", dtype=FLOAT, T=INT)
        plan.const("start/width", 2 * bound)
        plan("start/wide", "Mul", "start/random", "start/width", T=FLOAT)
        plan.const("start/low", -bound)
        plan("start", "Add", "start/wide", "start/low", T=FLOAT)
        plan("head/kernel/Assign", "Assign", "head/kernel", "start", T=FLOAT)

    return add


@pytest.mark.parametrize(("bound", "cause"), [(9.0, "partial-restore"), (0.5, "weights-differ")])
def test_a_kernel_out_of_its_initialiser_s_bounds_is_no_initial_value(bound: float, cause: str) -> None:
    network = Weights(reference_edit=drawing(bound))
    export = {"head/kernel": OTHER["head/kernel"], **full("head/bias", 0)}
    assert float(np.abs(OTHER["head/kernel"]).max()) > 0.5
    assert only(network, export).cause == cause


def test_what_is_initial_may_have_been_initialised_again() -> None:
    """A session that runs an initialiser after the restore leaves the same file."""
    found = only(Weights(), {**layer("b/", initial())})
    assert (found.cause, found.certainty) == ("partial-restore", "proven")
    assert "not restored, or initialised again" in found.message
    assert "after the last initialiser has run" in found.fix


# --- averages


def test_a_fix_does_not_ask_for_averages_where_none_are_meant() -> None:
    shadows = averaged(trained())
    network = Weights(tensors=shadows)
    one = only(network, {"head/kernel": shadows[f"head/kernel{SHADOW}"]})
    statistics = only(network, {name: shadows[name + SHADOW] for name in STATISTICS})
    assert (one.cause, statistics.cause) == ("ema-partially-applied", "ema-applied-to-bn-stats")
    for found in (one, statistics):
        assert "tf.train.Saver()" in found.fix
        assert "variables_to_restore" not in found.fix
    meant = Weights(
        tensors=shadows, keys={name: f"{name}{SHADOW}" for name in SHAPES if name not in STATISTICS}
    )
    right = {name: shadows[f"{name}{SHADOW}"] for name in meant.keys}
    asked = only(meant, {**right, **{name: shadows[name + SHADOW] for name in STATISTICS}})
    assert (asked.cause, "variables_to_restore" in asked.fix) == ("ema-applied-to-bn-stats", True)


def test_a_mixture_of_average_and_variable_is_told_as_one() -> None:
    """Whoever mixed them: an op that ran once more, or somebody by hand."""
    shadows = averaged(trained(), tuple(name for name in SHAPES if name not in STATISTICS))
    keys = {name.removesuffix(SHADOW): name for name in shadows}
    network = Weights(tensors=shadows, keys=keys)
    mixed = {
        name: (0.9 * shadows[key] + 0.1 * network.values[name]).astype(np.float32)
        for name, key in keys.items()
    }
    found = only(network, mixed)
    assert found.cause == "ema-double-applied"
    assert (
        "are 0.9 * average + 0.1 * variable, which is what updating the moving averages once more"
        in found.message
    )


# --- several at once


def test_tensors_that_were_changed_in_other_ways_are_not_called_alike() -> None:
    network = Weights()
    values = network.values
    four = {
        "a/conv/kernel": values["a/conv/kernel"] * np.float32(2),
        "b/conv/kernel": np.clip(values["b/conv/kernel"], -0.5, 0.5),
        "c/conv/kernel": -values["c/conv/kernel"],
        "head/kernel": np.where(np.abs(values["head/kernel"]) < 0.5, np.float32(0), values["head/kernel"]),
    }
    assert only(network, four).message.endswith("1 more tensor differs in other ways.")
    alike = {f"{block}/conv/kernel": -values[f"{block}/conv/kernel"] for block in BLOCKS}
    found = only(network, {**alike, "head/kernel": -values["head/kernel"]})
    assert found.message.endswith("Likewise 1 more tensor.")


def test_raw_weights_beside_lost_ones_are_not_all_that_are_averaged() -> None:
    names = tuple(name for name in SHAPES if name not in STATISTICS)
    network = Weights(tensors=averaged(trained(), names), keys={name: f"{name}{SHADOW}" for name in names})
    right = {name: network.tensors.get(name + SHADOW, value) for name, value in network.values.items()}
    raw = right | {name: network.values[name] for name in names}
    (found,) = network.diagnosis(raw).findings
    assert (found.cause, "the raw value of all 11 variables" in found.message) == ("ema-not-applied", True)
    lost = raw | layer("head/", initial())
    told = {each.cause: each.message for each in network.diagnosis(lost).findings}
    assert set(told) == {"ema-not-applied", "partial-restore"}
    assert "the raw value of 9 of the 11 variables" in told["ema-not-applied"]


def test_another_checkpoint_is_named_whether_it_is_of_the_same_run_or_not() -> None:
    """A folder beside may hold another run: the bits say from which file the weights are."""
    found = only(Weights(others={"runs/other/model-100": OTHER}), OTHER)
    assert (found.cause, found.certainty) == ("stale-export", "proven")
    assert found.message.endswith(
        "equal runs/other/model-100 bit for bit, not model.ckpt: that is what was exported."
    )
