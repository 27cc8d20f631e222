"""Pruned graphs keep constants in their branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.frozen_graph import FrozenGraph

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


@pytest.fixture(params=["switch", "functions"])
def control_flow(request: pytest.FixtureRequest) -> Iterator[str]:
    """Control flow as TensorFlow 1 wrote it (Switch, Merge, Enter) and as TensorFlow 2 does (If, While)."""
    if request.param == "switch":
        v1.disable_control_flow_v2()
    yield request.param
    v1.enable_control_flow_v2()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Builds a graph by a function, writes it and returns what its ``y`` answers to some feeds."""

    def run(build: Callable[[], Any], **feeds: Any) -> Any:
        with tf.Graph().as_default() as graph:
            tf.identity(build(), name="y")
        path = networks.write_graph(graph.as_graph_def(), tmp_path / "flow.pb")
        with v1.Session(graph=graph) as session:
            expected = session.run("y:0", {f"{name}:0": value for name, value in feeds.items()})
        model = FrozenGraph(path)
        answer = model.run({name: np.asarray(value) for name, value in feeds.items()}, ["y"])["y"]
        model.close()
        # The same branches decided by constants before the run.
        constants = {name: value for name, value in feeds.items() if isinstance(value, bool)}
        others = {name: np.asarray(value) for name, value in feeds.items() if name not in constants}
        model = FrozenGraph(path, feeds=constants)
        np.testing.assert_array_equal(model.run(others, ["y"])["y"], expected)
        model.close()
        np.testing.assert_array_equal(answer, expected)
        return answer

    return run


@pytest.mark.parametrize("on", [True, False])
def test_constants_stay_in_their_branch(control_flow: str, run: Callable[..., Any], on: bool) -> None:
    def build() -> Any:
        return v1.cond(v1.placeholder(tf.bool, [], "on"), lambda: tf.constant(1.0), lambda: tf.constant(2.0))

    assert run(build, on=on) == (1.0 if on else 2.0)


@pytest.mark.parametrize(("outer", "inner"), [(True, True), (True, False), (False, True), (False, False)])
def test_constants_stay_in_nested_branches(
    control_flow: str, run: Callable[..., Any], outer: bool, inner: bool
) -> None:
    def build() -> Any:
        inside = v1.placeholder(tf.bool, [], "inner")
        return v1.cond(
            v1.placeholder(tf.bool, [], "outer"),
            lambda: v1.cond(inside, lambda: tf.constant(1.0), lambda: tf.constant(2.0)) + tf.constant(10.0),
            lambda: tf.constant(3.0),
        )

    assert run(build, outer=outer, inner=inner) == ((11.0 if inner else 12.0) if outer else 3.0)


def test_constants_stay_in_their_loop(control_flow: str, run: Callable[..., Any]) -> None:
    def build() -> Any:
        x = v1.placeholder(tf.float32, [], "x")
        unused = tf.constant(0)
        loop = v1.while_loop(
            lambda u, i, total: i < tf.constant(5),
            lambda u, i, total: (u + 1, i + 1, total * tf.constant(2.0) + tf.constant(1.0)),
            [unused, tf.constant(0), x],
        )
        return loop[2]

    assert run(build, x=np.float32(1)) == 63.0


def test_branches_inside_loops_and_loops_inside_branches(control_flow: str, run: Callable[..., Any]) -> None:
    def count(x: Any) -> Any:
        return v1.while_loop(
            lambda i, total: i < 4,
            lambda i, total: (
                i + 1,
                total + v1.cond(i > 1, lambda: tf.constant(10.0), lambda: tf.constant(1.0)),
            ),
            [tf.constant(0), x],
        )[1]

    def build() -> Any:
        x = v1.placeholder(tf.float32, [], "x")
        return v1.cond(v1.placeholder(tf.bool, [], "on"), lambda: count(x), lambda: tf.constant(-1.0))

    assert run(build, x=np.float32(0), on=True) == 22.0
    assert run(build, x=np.float32(0), on=False) == -1.0


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("text", ["made in the branch", "made before the branch"])
def test_a_constant_that_waits_for_a_dropped_write_stays_in_its_branch(
    on: bool, text: str, tmp_path: Path
) -> None:
    v1.disable_control_flow_v2()

    def branch(value: float, name: Any) -> Callable[[], Any]:
        def body() -> Any:
            with tf.control_dependencies([tf.io.write_file(name, name)]):
                return tf.constant(value)

        return body

    try:
        with tf.Graph().as_default() as graph:
            predicate = v1.placeholder(tf.bool, [], "on")
            names: list[Any] = [str(tmp_path / "one.txt"), str(tmp_path / "two.txt")]
            if text == "made before the branch":
                names = [tf.constant(name) for name in names]
            tf.identity(v1.cond(predicate, branch(1.0, names[0]), branch(2.0, names[1])), name="y")
    finally:
        v1.enable_control_flow_v2()
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "waiting.pb")
    for constants, inputs in (
        ({}, {"on": np.asarray(on)}),
        ({"on": on}, {}),
    ):
        model = FrozenGraph(path, feeds=constants)
        assert model.run(inputs, ["y"])["y"] == (1.0 if on else 2.0)
        model.close()
    assert not list(tmp_path.glob("*.txt"))


def test_a_constant_in_a_loop_that_waits_for_a_dropped_write_runs_in_every_iteration(tmp_path: Path) -> None:
    v1.disable_control_flow_v2()

    def body(i: Any, total: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "loop.txt"), tf.constant("text"))]):
            step = tf.constant(2.0)
        return i + 1, total + step

    try:
        with tf.Graph().as_default() as graph:
            loop = v1.while_loop(lambda i, total: i < 3, body, [tf.constant(0), tf.constant(0.0)])
            tf.identity(loop[1], name="y")
    finally:
        v1.enable_control_flow_v2()
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "loop.pb")
    assert FrozenGraph(path).run({}, ["y"])["y"] == 6.0
    assert not list(tmp_path.glob("*.txt"))


@pytest.mark.parametrize("x", [1.0, -1.0])
def test_a_branch_that_only_the_run_can_decide_is_taken_by_value(tmp_path: Path, x: float) -> None:
    v1.disable_control_flow_v2()

    def branch(value: float, name: Any) -> Callable[[], Any]:
        def body() -> Any:
            with tf.control_dependencies([tf.io.write_file(name, name)]):
                return tf.constant(value)

        return body

    try:
        with tf.Graph().as_default() as graph:
            name = tf.constant(str(tmp_path / "written.txt"))
            positive = v1.placeholder(tf.float32, [], "x") > 0.0
            tf.identity(v1.cond(positive, branch(1.0, name), branch(2.0, name)), name="y")
    finally:
        v1.enable_control_flow_v2()
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "sign.pb")
    answer = FrozenGraph(path).run({"x": np.float32(x)}, ["y"])
    assert answer["y"] == (1.0 if x > 0 else 2.0)
    assert not (tmp_path / "written.txt").exists()


def test_what_a_constant_of_any_type_decides_is_not_run(tmp_path: Path) -> None:
    v1.disable_control_flow_v2()
    with tf.Graph().as_default() as graph:
        phase = v1.placeholder(tf.int32, [], "phase")
        tf.identity(v1.cond(phase > 0, lambda: v1.Variable(1.0).value(), lambda: tf.constant(2.0)), name="y")
    v1.enable_control_flow_v2()
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "flow.pb")
    model = FrozenGraph(path, feeds={"phase": 0})
    assert model.run({}, ["y"])["y"] == 2.0
    model.close()
    model = FrozenGraph(path, feeds={"phase": 1})
    with pytest.raises(ModelError, match="is not frozen"):
        model.run({}, ["y"])
    model.close()
