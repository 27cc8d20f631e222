"""Batch norm statistics that are not the checkpoint's, and weights that are."""

from __future__ import annotations

import numpy as np

from graphs.weights import SHAPES, STATISTICS, Weights, causes, findings, initial, trained


def test_one_batch_norm_at_its_initial_statistics_is_named_alone() -> None:
    network = Weights()
    reset = {name: initial()[name] for name in STATISTICS if name.startswith("b/")}
    (found,) = findings(network, network.values | reset)
    assert (found.cause, found.scopes) == ("bn-stats-initial-values", ("b/bn",))
    assert found.message == (
        "b/bn: model.pb holds initial statistics (0 / 1) although model.ckpt has trained ones."
    )
    assert found.nodes == ("b/bn/FusedBatchNormV3", "b/bn/moving_mean", "b/bn/moving_variance")


def test_statistics_of_another_step_beside_right_weights() -> None:
    network, other = Weights(), trained(5)
    old = {name: other[name] for name in STATISTICS if not name.startswith("c/")}
    (found,) = findings(network, network.values | old)
    assert (found.cause, found.scopes) == ("bn-stats-differ-from-ckpt", ("a/bn", "b/bn"))


def test_the_checkpoint_that_statistics_come_from_is_named() -> None:
    other = trained(5)
    network = Weights(others={"model.ckpt-60": other})
    old = {name: other[name] for name in STATISTICS}
    (found,) = findings(network, network.values | old)
    assert found.cause == "bn-stats-differ-from-ckpt"
    assert "They are those of model.ckpt-60." in found.message


def test_a_statistic_that_is_not_finite() -> None:
    network = Weights()
    broken = network.values["a/bn/moving_variance"].copy()
    broken[1] = np.inf
    (found,) = findings(network, network.values | {"a/bn/moving_variance": broken})
    assert (found.cause, found.scopes) == ("bn-variance-nonfinite", ("a/bn",))
    assert "a/bn/moving_variance (1 of 4)" in found.message


def test_a_kernel_that_is_not_finite_is_another_finding() -> None:
    network = Weights()
    broken = network.values["head/kernel"].copy()
    broken[0, 0] = np.nan
    assert causes(findings(network, network.values | {"head/kernel": broken})) == {"non-finite": ("head",)}


def test_statistics_that_the_checkpoint_lacks_are_named_once_for_all_layers() -> None:
    network = Weights(lost=STATISTICS)
    export = network.values | {name: initial()[name] for name in STATISTICS}
    (found,) = network.diagnosis(export).findings
    assert (found.cause, found.scopes) == ("bn-stats-not-saved", ("a/bn", "b/bn", "c/bn"))


def test_right_statistics_of_wrong_weights_are_not_named() -> None:
    network, other = Weights(), trained(5)
    export = {name: network.values[name] if name in STATISTICS else other[name] for name in SHAPES}
    assert all("stats" not in each.cause for each in network.diagnosis(export).findings)
