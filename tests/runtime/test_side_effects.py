"""Nothing with a side effect is ever run, and graphs that cannot do without are told so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.checkpoint import Checkpoint
from pytest_tfparity.formats.frozen_graph import FrozenGraph

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


@pytest.mark.parametrize("use_resource", [False, True], ids=["ref", "resource"])
def test_an_update_that_hangs_on_the_output_is_not_run(tmp_path: Path, use_resource: bool) -> None:
    network = networks.small_network(tmp_path, updates=True, use_resource=use_resource)
    model = Checkpoint(network.checkpoint, tmp_path)
    read = next(
        f"{node.name}:0"
        for node in model.graph.nodes.values()
        if node.op in ("Identity", "ReadVariableOp") and node.inputs[0].node == "global_step"
    )
    for _ in range(3):
        answer = model.run({"image": network.images}, ["logits:0", read])
        assert answer[read] == model.variables()["global_step"]
    np.testing.assert_allclose(answer["logits:0"], network.expected["logits:0"], atol=1e-6)
    model.close()


def test_saving_nodes_that_hang_on_the_output_write_nothing(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], "x")
        saving = tf.raw_ops.SaveV2(
            prefix=str(tmp_path / "written"), tensor_names=["x"], shape_and_slices=[""], tensors=[x]
        )
        writing = tf.io.write_file(str(tmp_path / "written.txt"), "text")
        with tf.control_dependencies([saving, writing]):
            tf.identity(x, name="y")
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "saves.pb")
    model = FrozenGraph(path)
    np.testing.assert_array_equal(model.run({"x": np.ones(2, np.float32)}, ["y"])["y"], [1, 1])
    assert model.session().run("y:0", {"x:0": [2.0]}) == [2.0]
    assert [file.name for file in tmp_path.iterdir()] == ["saves.pb"]
    model.close()


def test_an_assignment_on_the_way_to_the_output_is_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [], "x")
        smallest = v1.get_variable("quant/min", initializer=0.0, use_resource=False)
        update = v1.assign(smallest, tf.minimum(smallest, x), name="quant/AssignMin")
        tf.subtract(x, update, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "quantised"))
    model = Checkpoint(tmp_path / "quantised", tmp_path)
    message = r"Running y:0 of .* also runs Assign \(quant/AssignMin\), which changes quant/min"
    with pytest.raises(ModelError, match=message):
        model.run({"x": np.float32(-1)}, ["y"])


def test_an_assignment_in_a_branch_that_constants_switch_off_is_no_obstacle(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.disable_control_flow_v2()
        try:
            x = v1.placeholder(tf.float32, [None], "x")
            training = v1.placeholder(tf.bool, [], "training")
            mean = v1.get_variable("mean", initializer=[5.0], use_resource=False)
            used = v1.cond(training, lambda: v1.assign(mean, [0.0]) + tf.reduce_mean(x), lambda: mean + 0.0)
            tf.subtract(x, used, name="y")
        finally:
            v1.enable_control_flow_v2()
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "moments"))
    model = Checkpoint(tmp_path / "moments", tmp_path, feeds={"training": False})
    np.testing.assert_array_equal(model.run({"x": np.float32([6, 8])}, ["y"])["y"], [1, 3])
    model.close()
    with pytest.raises(ModelError, match="also runs"):
        Checkpoint(tmp_path / "moments", tmp_path, feeds={"training": True}).run(
            {"x": np.float32([6, 8])}, ["y"]
        )


def test_a_python_function_on_the_way_to_the_output_is_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], "x")
        v1.py_func(np.sin, [x], tf.float32, name="sine")
        tf.identity(graph.get_tensor_by_name("sine:0"), name="y")
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "python.pb")
    model = FrozenGraph(path)
    with pytest.raises(
        ModelError, match=r"Running y:0 of .*python.pb also runs PyFunc \(sine\): a Python function"
    ):
        model.run({"x": np.ones(2, np.float32)}, ["y"])
    np.testing.assert_array_equal(model.run({"sine": np.ones(2, np.float32)}, ["y"])["y"], [1, 1])
    model.close()


def test_an_assignment_inside_a_function_is_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [], "x")
        count = v1.get_variable("count", initializer=0.0, use_resource=True)

        @tf.function
        def counted(value: tf.Tensor) -> tf.Tensor:
            count.assign_add(1.0)
            return value + count

        tf.identity(counted(x), name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver([count]).save(session, str(tmp_path / "counting"))
    model = Checkpoint(tmp_path / "counting", tmp_path)
    with pytest.raises(
        ModelError, match=r"also runs AssignAddVariableOp \(.*, in function __inference_counted"
    ):
        model.run({"x": np.float32(1)}, ["y"])


def test_random_ops_are_run(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        tf.random.uniform([4], 2.0, 3.0, name="noise")
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "noise.pb")
    noise = FrozenGraph(path).run({}, ["noise"])["noise"]
    assert noise.min() >= 2
    assert noise.max() < 3


@pytest.mark.parametrize("use_resource", [False, True], ids=["ref", "resource"])
def test_a_read_that_waits_for_an_update_of_what_it_reads_is_refused(
    tmp_path: Path, use_resource: bool
) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [], "x")
        mean = v1.get_variable("drift/mean", initializer=1.0, use_resource=use_resource)
        with tf.control_dependencies([tf.group(v1.assign_sub(mean, 0.1))]):
            current = mean.read_value()
        tf.multiply(x, current, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "drifting"))
    model = Checkpoint(tmp_path / "drifting", tmp_path)
    with pytest.raises(ModelError, match=r"Running y.* also runs Assign\w*.*which changes drift/mean"):
        model.run({"x": np.float32(1)}, ["y"])


@pytest.mark.parametrize("functional", [True, False])
def test_a_read_that_waits_for_a_conditional_that_may_update_it_is_refused(
    tmp_path: Path, functional: bool
) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        if not functional:
            v1.disable_control_flow_v2()
        try:
            x = v1.placeholder(tf.float32, [], "x")
            training = v1.placeholder(tf.bool, [], "training")
            mean = v1.get_variable("drift/mean", initializer=1.0, use_resource=True)
            done = tf.cond(training, lambda: mean.assign(9.0).read_value(), mean.read_value)
            with tf.control_dependencies([done]):
                current = mean.read_value()
            tf.multiply(x, current, name="y")
        finally:
            v1.enable_control_flow_v2()
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "drifting"))
    model = Checkpoint(tmp_path / "drifting", tmp_path, feeds={"training": True})
    message = r"Running y.* also runs AssignVariableOp \(.*\), which changes drift/mean"
    with pytest.raises(ModelError, match=message):
        model.run({"x": np.float32(1)}, ["y"])
    model = Checkpoint(tmp_path / "drifting", tmp_path, feeds={"training": False})
    assert model.run({"x": np.float32(2)}, ["y"])["y"] == 2
