"""Feeds are validated before anything runs, and constants take the placeholder's dtype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import FeedError
from pytest_tfparity.formats.checkpoint import Checkpoint
from pytest_tfparity.formats.frozen_graph import FrozenGraph

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x * scale + 1 if on else x, with x float32 [?,2], scale float32 [], on bool []."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        scale = v1.placeholder(tf.float32, [], "scale")
        on = v1.placeholder(tf.bool, [], "on")
        v1.placeholder(tf.int32, [None], "labels")
        v1.placeholder_with_default(0.5, [], "keep_prob")
        free = v1.placeholder(tf.float32, None, "free")
        tf.where(on, x * scale + 1, x, name="y")
        tf.nn.conv2d(free, tf.ones([1, 1, 2, 1]), strides=1, padding="SAME", name="conv")
    return networks.write_graph(graph.as_graph_def(), tmp_path_factory.mktemp("gate") / "gate.pb")


def model(path: Path, feeds: dict[str, Any] | None = None) -> FrozenGraph:
    return FrozenGraph(path, feeds=feeds or {"scale:0": 2, "on:0": True})


X = np.ones((3, 2), np.float32)


def test_constants_are_fed_in_the_dtype_of_their_placeholder(gate: Path) -> None:
    export = model(gate)
    assert {str(name): (value.dtype.name, value.shape) for name, value in export.feeds.items()} == {
        "scale:0": ("float32", ()),
        "on:0": ("bool", ()),
    }
    np.testing.assert_array_equal(export.run({"x": X}, ["y"])["y"], X * 3)
    export.close()


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"on": 2}, r"on:0 of .*gate.pb takes bool \[\]; the constant 2 does not fit it"),
        ({"scale": True}, r"scale:0 of .*gate.pb takes float32 \[\]; the constant True"),
        ({"scale": "two"}, r"takes float32 \[\]; the constant 'two'"),
        ({"scale": (1.0, 2.0)}, r"takes float32 \[\]; the constant \(1.0, 2.0\)"),
        ({"scale": 1e300}, r"takes float32 \[\]; the constant 1e\+300"),
        ({"labels": (1.5,)}, r"takes int32 \[\?\]; the constant \(1.5,\)"),
        ({"scael": 1.0}, r"has no tensor 'scael' to feed. Did you mean 'scale'"),
    ],
)
def test_constants_that_do_not_fit_are_refused(gate: Path, feeds: dict[str, Any], message: str) -> None:
    with pytest.raises(FeedError, match=message):
        _ = model(gate, feeds).feeds


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16"])
def test_arrays_are_cast_where_that_loses_nothing(gate: Path, dtype: str) -> None:
    np.testing.assert_array_equal(model(gate).run({"x": X.astype(dtype)}, ["y"])["y"], X * 3)


def test_whole_numbers_go_into_every_type_that_holds_them(gate: Path) -> None:
    labels = np.int64([1, 2, 2**31 - 1])
    found = model(gate).run({"x": X, "labels": labels}, ["labels"])["labels"]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"x": np.full((3, 2), 2**24 + 1)},
            r"takes float32 \[\?,2\]; the array given for it is int64 \[3,2\]",
        ),
        ({"x": X, "labels": np.int64([2**31])}, r"takes int32 \[\?\]; the array given for it is int64 \[1\]"),
        ({"x": X, "labels": np.float32([1])}, r"takes int32 \[\?\]; the array given for it is float32 \[1\]"),
        ({"x": X > 0}, r"takes float32 \[\?,2\]; the array given for it is bool \[3,2\]"),
        ({"x": X.astype(np.float64)}, r"x:0 of .*gate.pb takes float32 \[\?,2\]; .* is float64 \[3,2\]"),
        ({"x": X[0]}, r"takes float32 \[\?,2\]; the array given for it is float32 \[2\]"),
        ({"x": X[:, :1]}, r"takes float32 \[\?,2\]; the array given for it is float32 \[3,1\]"),
        ({"x": X, "x:0": X}, r"x:0 of .* is fed twice"),
        ({"x": X, "z": X}, r"has no tensor 'z' to feed. Its placeholders are x, scale, on"),
        ({}, r"needs a value for x:0 \(float32 \[\?,2\]\) to compute y:0; given is scale:0, on:0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_before_anything_runs(
    gate: Path, inputs: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr(v1.Session, "run", run)
    with pytest.raises(FeedError, match=message):
        model(gate).run(inputs, ["y"])


def test_inputs_that_the_outputs_do_not_need_are_passed_over(gate: Path) -> None:
    labels = np.zeros(3, np.int32)
    np.testing.assert_array_equal(model(gate).run({"x": X, "labels": labels}, ["y"])["y"], X * 3)
    np.testing.assert_array_equal(model(gate).run({}, ["keep_prob"])["keep_prob"], np.float32(0.5))


def test_a_wrong_rank_is_refused_where_the_placeholder_knows_no_shape(gate: Path) -> None:
    message = r"gate.pb does not take free:0 with 3 dimensions: .*rank 4"
    with pytest.raises(FeedError, match=message):
        model(gate).run({"free": np.ones((5, 4, 2), np.float32)}, ["conv"])
    assert model(gate).run({"free": np.ones((1, 5, 4, 2), np.float32)}, ["conv"])["conv"].shape == (
        1,
        5,
        4,
        1,
    )


def test_a_scalar_shape_of_an_old_producer_means_unknown(gate: Path, tmp_path: Path) -> None:
    graph_def = v1.GraphDef.FromString(gate.read_bytes())
    graph_def.versions.Clear()
    next(node for node in graph_def.node if node.name == "free").attr["shape"].shape.Clear()
    path = networks.write_graph(graph_def, tmp_path / "old.pb")
    image = np.ones((1, 5, 4, 2), np.float32)
    assert model(path).run({"free": image}, ["conv"])["conv"].shape == (1, 5, 4, 1)


def test_other_byte_orders_are_only_a_way_of_storing(gate: Path) -> None:
    np.testing.assert_array_equal(model(gate).run({"x": X.astype(">f4")}, ["y"])["y"], X * 3)


def test_any_tensor_may_be_fed_and_what_comes_before_it_is_not_run(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        dataset = tf.data.Dataset.from_tensors((np.ones((2, 2), np.float32), np.zeros(2, np.int32)))
        images, labels = v1.data.make_one_shot_iterator(dataset).get_next()
        tf.multiply(images, 3.0, name="y")
        tf.identity(labels, name="classes")
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "pipeline.pb")
    export = FrozenGraph(path)
    with pytest.raises(FeedError, match=r"y:0 of .* takes its input from IteratorGetNext"):
        export.run({}, ["y"])
    answer = export.run({"IteratorGetNext:0": X[:2], "IteratorGetNext:1": np.int32([7, 8])}, ["y", "classes"])
    np.testing.assert_array_equal(answer["y"], X[:2] * 3)
    np.testing.assert_array_equal(answer["classes"], [7, 8])
    export.close()


def test_constant_feeds_hold_for_the_reference_too(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        scale = v1.placeholder_with_default(1.0, [], "scale")
        v1.multiply(v1.get_variable("w", initializer=3.0), scale, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "w"))
    reference = Checkpoint(tmp_path / "w", tmp_path, feeds={"scale": 2})
    assert reference.run({}, ["y"])["y"] == 6.0
    reference.close()
