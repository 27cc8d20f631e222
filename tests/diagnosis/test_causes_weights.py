"""Weights of another step, run, variable or arrangement are told apart, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.weights import SHAPES, STATISTICS, Weights, causes, findings, initial, trained
from pytest_tfparity.diagnosis.layers import Layers

ALL = ("a/bn", "a/conv", "b/bn", "b/conv", "c/bn", "c/conv", "head")


def test_a_right_export_has_no_finding() -> None:
    network = Weights()
    assert findings(network, network.values) == []


def test_two_kernels_that_changed_places_are_both_named() -> None:
    network = Weights()
    swapped = network.values | {
        "a/conv/kernel": network.values["b/conv/kernel"],
        "b/conv/kernel": network.values["a/conv/kernel"],
    }
    (found,) = findings(network, swapped)
    assert (found.cause, found.scopes) == ("ckpt-tensor-mapped-to-wrong-variable", ("a/conv", "b/conv"))
    assert "a/conv/kernel holds b/conv/kernel, not a/conv/kernel." in found.message
    assert "a/conv/Conv2D" in found.nodes


def test_mean_and_variance_exchanged_is_a_wrong_map() -> None:
    network = Weights()
    mean, variance = "b/bn/moving_mean", "b/bn/moving_variance"
    export = network.values | {mean: network.values[variance], variance: network.values[mean]}
    assert causes(findings(network, export)) == {"ckpt-tensor-mapped-to-wrong-variable": ("b/bn",)}


def test_an_optimiser_slot_in_the_place_of_a_kernel_is_a_wrong_map() -> None:
    slot = trained(5)["a/conv/kernel"]
    network = Weights(tensors={"a/conv/kernel/Adam": slot})
    found = findings(network, network.values | {"a/conv/kernel": slot})
    assert causes(found) == {"ckpt-tensor-mapped-to-wrong-variable": ("a/conv",)}


def test_a_transposed_kernel_is_named_with_its_axes() -> None:
    network = Weights()
    kernel = np.ascontiguousarray(network.values["c/conv/kernel"].transpose(0, 1, 3, 2))
    (found,) = findings(network, network.values | {"c/conv/kernel": kernel})
    assert (found.cause, found.scopes) == ("kernel-transposed", ("c/conv",))
    assert "[0, 1, 3, 2]" in found.message


def test_another_number_of_classes_is_another_architecture() -> None:
    network = Weights()
    export = network.values | {
        "head/kernel": np.ones((4, 7), np.float32),
        "head/bias": np.ones(7, np.float32),
    }
    (found,) = findings(network, export)
    assert (found.cause, found.scopes) == ("shapes-differ", ("head",))
    assert "head/kernel has shape [4, 7] in model.pb and [4, 5] in model.ckpt" in found.message


def test_a_network_at_its_start_holds_initial_values() -> None:
    assert causes(findings(Weights(), initial())) == {"initial-values": ALL}


def test_a_layer_at_its_start_was_not_restored() -> None:
    network = Weights()
    lost = {name: value for name, value in initial().items() if name.startswith("head")}
    (found,) = findings(network, network.values | lost)
    assert (found.cause, found.scopes) == ("partial-restore", ("head",))


def test_a_block_at_its_start_takes_its_batch_norm_along() -> None:
    network = Weights()
    lost = {name: value for name, value in initial().items() if name.startswith("b/")}
    assert causes(findings(network, network.values | lost)) == {"partial-restore": ("b/bn", "b/conv")}


def test_weights_of_another_run_are_unrelated() -> None:
    (found,) = Weights().diagnosis(trained(3)).findings
    assert (found.cause, tuple(sorted(found.scopes))) == ("other-run", ALL)
    assert found.certainty == "suggestive"


def test_weights_near_the_checkpoint_s_are_those_of_another_step() -> None:
    network, noise = Weights(), trained(4)
    near = {name: (value + 0.1 * noise[name]).astype(np.float32) for name, value in network.values.items()}
    (found,) = network.diagnosis(near).findings
    assert found.certainty == "suggestive"
    assert (found.cause, tuple(sorted(found.scopes))) == ("stale-export", ALL)
    assert "most likely an older one" in found.message


def test_the_other_checkpoint_is_named_where_it_is_at_hand() -> None:
    older = trained(3)
    (found,) = findings(Weights(others={"model.ckpt-60": older}), older)
    assert found.cause == "stale-export"
    assert "equal model.ckpt-60 bit for bit" in found.message


def test_several_faults_at_once_are_each_named() -> None:
    network = Weights()
    export = network.values | {
        "a/conv/kernel": np.ascontiguousarray(network.values["a/conv/kernel"].transpose(0, 1, 3, 2)),
        "b/bn/moving_mean": np.zeros(4, np.float32),
        "b/bn/moving_variance": np.ones(4, np.float32),
        "head/kernel": initial()["head/kernel"],
        "head/bias": initial()["head/bias"],
    }
    assert causes(findings(network, export)) == {
        "kernel-transposed": ("a/conv",),
        "bn-stats-initial-values": ("b/bn",),
        "partial-restore": ("head",),
    }


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in STATISTICS])
def test_a_weight_of_one_bit_more_is_named_and_nothing_else(name: str) -> None:
    network = Weights()
    value = network.values[name].copy()
    value.view(np.uint32).reshape(-1)[0] ^= 1
    found = network.diagnosis(network.values | {name: value}).findings
    assert {scope for each in found for scope in each.scopes} == {name.rpartition("/")[0]}


def test_the_layer_of_a_weight_is_the_scope_around_it() -> None:
    layers = Layers(
        ranks={
            "block/conv/kernel": 4,
            "block/conv/bias": 1,
            "lookup": 2,
            "lang/table/part_0": 2,
            "lang/rnn/k": 2,
        }
    )
    assert layers.scope("block/conv/bias") == "block/conv"
    assert layers.scope("lookup") == "lookup"
    assert layers.scope("lang/table/part_0") == "lang/table"


def test_kernels_side_by_side_are_layers_of_their_own_unless_all_are_meant() -> None:
    layers = Layers(ranks={"net/w1": 2, "net/w2": 2})
    assert layers.scopes(["net/w1"]) == {"net/w1": "net/w1"}
    assert set(layers.scopes(["net/w1", "net/w2"]).values()) == {"net"}


def test_a_scope_that_was_entered_again_is_the_layer_with_the_weights() -> None:
    layers = Layers(ranks={"net/conv/kernel": 4, "net/other/kernel": 4, "net/other_1/kernel": 4})
    assert layers.entered("net/conv_1") == "net/conv"
    assert layers.entered("net_1/conv_2/inner") == "net/conv/inner"
    assert layers.entered("net/other_1") == "net/other_1"
    assert layers.entered("add_1") == "add_1"
