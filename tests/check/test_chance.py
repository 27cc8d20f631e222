"""What agrees in one run by chance is no parity: answers that random numbers decide are asked for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pytest_tfparity.check.chance import more_runs
from pytest_tfparity.check.check import check
from pytest_tfparity.check.pair import open_pair
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.settings.resolve import resolve
from pytest_tfparity.settings.spec import ParitySpec

v1 = tf.compat.v1
Change = Callable[[Any], Any]


def shuffled(**seeds: int) -> Change:
    return lambda weights: tf.random.shuffle(weights, **seeds)


def drawn_and_left_out(weights: Any) -> Any:
    return weights + 0.0 * v1.random_uniform([3, 2])


def pair_of(folder: Path, change: Change) -> ParitySpec:
    """A check of ``y = x * weights`` whose reference has its weights after ``change``."""
    for name, changed in (("reference", change), ("export", lambda weights: weights)):
        with tf.Graph().as_default() as graph:
            weights = tf.constant(np.arange(6).reshape(3, 2).astype("f4"), name="weights")
            tf.multiply(v1.placeholder(tf.float32, [1], name="x"), changed(weights), name="y")
        (folder / f"{name}.pb").write_bytes(graph.as_graph_def().SerializeToString())
    np.savez(folder / "x.npz", x=np.ones(1, "f4"))
    marker = {
        "reference": {"frozen_graph": "reference.pb"},
        "export": {"frozen_graph": "export.pb"},
        "inputs": {"x:0": {"npz": "x.npz", "key": "x"}},
        "outputs": ["y:0"],
    }
    return resolve(None, marker=marker, ini={}, options={}, root=folder, name="net")


def test_a_shuffle_that_leaves_all_in_place_now_and_then_never_passes(tmp_path: Path) -> None:
    spec, models = pair_of(tmp_path, shuffled()), ModelStore()
    assert {check(spec, models).verdict for _ in range(20)} == {"fail"}
    models.close()


def test_random_numbers_that_change_nothing_pass(tmp_path: Path) -> None:
    models = ModelStore()
    assert check(pair_of(tmp_path, drawn_and_left_out), models).verdict == "pass"
    models.close()


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (shuffled(), True),
        (drawn_and_left_out, True),
        (shuffled(seed=3), False),
        (lambda weights: weights + tf.random.stateless_uniform([3, 2], [1, 2]), False),
        (lambda weights: weights + 1.0, False),
    ],
    ids=["drawn", "without effect", "of a seed", "stateless", "none"],
)
def test_what_draws_other_numbers_in_each_run_is_run_again(
    tmp_path: Path, change: Change, more: bool
) -> None:
    assert (more_runs(open_pair(pair_of(tmp_path, change), ModelStore())) > 0) is more
