"""An export whose input has another layout: `nhwc-transposed`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from graphs.compared import only
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

KERNEL = np.random.default_rng(6).normal(size=(3, 3, 4, 5)).astype(np.float32)


def compared(folder: Path, images: np.ndarray, *, answers_first: bool = False) -> ParityResult:
    """A network with the channels last and the same network with those of its input first."""

    def network(x: Any) -> Any:
        features = tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME", name="conv"))
        return features if answers_first else tf.reduce_mean(features, [1, 2])

    _, height, width, channels = images.shape
    with tf.Graph().as_default() as graph:
        tf.identity(network(v1.placeholder(tf.float32, [None, height, width, channels], "x")), "y")
    networks.write_graph(graph.as_graph_def(), folder / "last.pb")
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, channels, height, width], "x")
        answer = network(tf.transpose(x, [0, 2, 3, 1]))
        tf.identity(tf.transpose(answer, [0, 3, 1, 2]) if answers_first else answer, "y")
    networks.write_graph(graph.as_graph_def(), folder / "first.pb")
    np.savez(folder / "x.npz", x=images)
    spec = networks.stated_check(
        None,
        folder / "first.pb",
        reference={"frozen_graph": str(folder / "last.pb")},
        inputs={"x:0": {"npz": str(folder / "x.npz"), "key": "x"}},
        outputs=["y:0"],
    )
    return check(spec, ModelStore())


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(2, height, width, 4)).astype(np.float32)


def test_an_export_that_does_not_take_the_layout_is_told_with_what_to_state(tmp_path: Path) -> None:
    result = compared(tmp_path, images(6, 5))
    assert result.verdict == "error"
    finding = only(result)
    assert (finding.cause, finding.nodes) == ("nhwc-transposed", ("x",))
    assert finding.fix == "State `transpose` for the inputs x:0: [0, 3, 1, 2]."


def test_one_that_takes_it_and_reads_height_as_channels_is_told_too(tmp_path: Path) -> None:
    result = compared(tmp_path, images(4, 4))
    assert result.verdict == "fail"
    finding = only(result)
    assert (finding.cause, finding.certainty) == ("nhwc-transposed", "proven")


def test_outputs_in_the_other_layout_are_told_with_theirs(tmp_path: Path) -> None:
    finding = only(compared(tmp_path, images(6, 5), answers_first=True))
    assert finding.cause == "nhwc-transposed"
    assert finding.fix == (
        "State `transpose` for the inputs x:0: [0, 3, 1, 2], and for the outputs y:0: [0, 3, 1, 2]."
    )
