"""An export in another layout: `transpose` of inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.resolve import resolve

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

IMAGES = np.random.default_rng(5).normal(size=(2, 4, 6, 3)).astype(np.float32)
KERNEL = np.random.default_rng(6).normal(size=(3, 3, 3, 5)).astype(np.float32)
TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def written(path: Path, build: Callable[[], Any]) -> Path:
    with tf.Graph().as_default() as graph:
        build()
    networks.write_graph(graph.as_graph_def(), path)
    return path


def channels_last() -> None:
    x = v1.placeholder(tf.float32, [None, 4, 6, 3], "x")
    tf.identity(tf.nn.relu(tf.nn.conv2d(x, KERNEL, 1, "SAME", name="conv")), "y")


def channels_first(kernel: Any = KERNEL) -> None:
    x = v1.placeholder(tf.float32, [None, 3, 4, 6], "x_first")
    y = tf.nn.relu(tf.nn.conv2d(tf.transpose(x, TO_LAST), kernel, 1, "SAME", name="conv"))
    tf.transpose(y, TO_FIRST, name="y_first")


def compared(folder: Path, export: Callable[[], None] = channels_first, **changed: Any) -> ParityResult:
    np.savez(folder / "x.npz", x=IMAGES)
    image = {"npz": "x.npz", "key": "x", "export": "x_first", "transpose": TO_FIRST}
    output = {"reference": "y", "export": "y_first", "transpose": TO_FIRST}
    spec = resolve(
        None,
        marker={
            "reference": {"frozen_graph": str(written(folder / "last.pb", channels_last))},
            "export": {"frozen_graph": str(written(folder / "first.pb", export))},
            "inputs": {"x": {**image, **changed.pop("image", {})}},
            "outputs": [{**output, **changed.pop("output", {})}],
            **changed,
        },
        ini={},
        options={},
        root=folder,
        name="net",
        file=folder / "test_net.py",
    )
    return check(spec, ModelStore())


def test_an_export_in_another_layout_is_proven_equal(tmp_path: Path) -> None:
    assert compared(tmp_path).verdict == "proven"


def test_it_is_also_run_in_its_own_layout(tmp_path: Path) -> None:
    result = compared(tmp_path, run="always")
    assert result.verdict == "proven"
    assert result.outputs[0].total == 2 * 4 * 6 * 5
    assert result.outputs[0].passed


def test_a_fault_is_told_as_if_both_had_one_layout(tmp_path: Path) -> None:
    result = compared(tmp_path, lambda: channels_first(KERNEL[::-1, ::-1].copy()))
    assert result.verdict == "fail"
    (finding,) = result.findings
    assert (finding.cause, finding.certainty) == ("graph-const-differs", "proven")


def test_equal_files_that_are_asked_in_two_layouts_are_not_proven(tmp_path: Path) -> None:
    def square() -> None:
        x = v1.placeholder(tf.float32, [None, 4, 4, 4], "x")
        tf.identity(x[:, :, :, :1] * 2.0, "y")

    written(tmp_path / "a.pb", square)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(1).normal(size=(2, 4, 4, 4)).astype(np.float32))
    spec = resolve(
        None,
        marker={
            "reference": {"frozen_graph": "a.pb"},
            "export": {"frozen_graph": "a.pb"},
            "inputs": {"x": {"npz": "x.npz", "key": "x", "transpose": TO_FIRST}},
            "outputs": ["y"],
        },
        ini={},
        options={},
        root=tmp_path,
        name="net",
        file=tmp_path / "test_net.py",
    )
    assert check(spec, ModelStore()).verdict == "fail"


@pytest.mark.parametrize("where", ["image", "output"])
def test_a_transpose_of_another_rank_is_an_error_with_a_sentence(tmp_path: Path, where: str) -> None:
    result = compared(tmp_path, run="always", **{where: {"transpose": [1, 0]}})
    assert result.verdict == "error"
    what = "input x:0" if where == "image" else "output y_first:0"
    assert result.error == (
        f"'transpose' of {what} is [1, 0], of 2 axes, but the shape is"
        f" {list(IMAGES.shape) if where == 'image' else [2, 5, 4, 6]}. State each axis once."
    )
