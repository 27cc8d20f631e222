"""Checkpoints of every form, restored into the graph of their .meta or of a builder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import ModelError, SettingsError
from pytest_tfparity.formats.checkpoint import Checkpoint

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

BUILDER = """
from graphs import networks

def build():
    networks.build()

def build_with_saver():
    import tensorflow as tf
    networks.build()
    averaged = {v.op.name for v in tf.compat.v1.trainable_variables()}
    variables = {v.op.name: v for v in tf.compat.v1.global_variables()}
    return tf.compat.v1.train.Saver(
        {name + "/ExponentialMovingAverage" * (name in averaged): v for name, v in variables.items()}
    )

def broken():
    scale = {}
    return scale["missing"]

def nothing():
    pass

not_a_function = 3
"""


def checkpoint(path: Path, root: Path | None = None, **spec: object) -> Checkpoint:
    return Checkpoint(path, root or path.parent, **spec)  # type: ignore[arg-type]


def assert_right(model: Checkpoint, network: networks.Network) -> None:
    answer = model.run({"image:0": network.images}, network.outputs)
    assert list(answer) == list(network.outputs)
    for name, expected in network.expected.items():
        np.testing.assert_allclose(answer[name], expected, atol=1e-6)
    model.close()


@pytest.mark.parametrize("use_resource", [False, True], ids=["ref", "resource"])
def test_an_imported_meta_graph_answers_as_the_session_that_saved_it(
    tmp_path: Path, use_resource: bool
) -> None:
    network = networks.small_network(tmp_path, use_resource=use_resource)
    assert_right(checkpoint(network.checkpoint), network)


def test_a_rebuilt_network_answers_as_the_session_that_saved_it(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    (tmp_path / "rebuilt_network.py").write_text(BUILDER)
    network.meta.unlink()
    assert_right(checkpoint(network.checkpoint, builder="rebuilt_network:build"), network)


def test_a_saver_that_the_builder_returns_says_what_is_restored(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, ema=True)
    (tmp_path / "rebuilt_averaged.py").write_text(BUILDER)
    assert_right(checkpoint(network.checkpoint, builder="rebuilt_averaged:build_with_saver"), network)


def test_a_builder_never_touches_the_default_graph(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    (tmp_path / "rebuilt_apart.py").write_text(BUILDER)
    with tf.Graph().as_default() as mine:
        assert_right(checkpoint(network.checkpoint, builder="rebuilt_apart:build"), network)
        assert mine.get_operations() == []
    assert tf.executing_eagerly()
    assert str(tmp_path) not in sys.path


def test_a_mixture_of_rebuilt_and_imported_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="One graph that is rebuilt and one that is imported are two networks"
    ):
        checkpoint(tmp_path / "model.ckpt", builder="model:build", meta=tmp_path / "model.ckpt.meta")


def test_two_projects_may_both_call_their_builder_model(tmp_path: Path) -> None:
    for seed, folder in enumerate((tmp_path / "one", tmp_path / "two")):
        network = networks.small_network(folder, seed=seed)
        (folder / "same_name_model.py").write_text(f"FOLDER = {str(folder)!r}\n{BUILDER}".replace(
            "def build():", "def build():\n    assert FOLDER == " + repr(str(folder))
        ))  # fmt: skip
        assert_right(checkpoint(network.checkpoint, builder="same_name_model:build"), network)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (
            "wrong_builders:broken",
            r"raised KeyError: 'missing', in wrong_builders.py:\d+: return scale\[\"missing\"\]",
        ),
        ("wrong_builders:nothing", "built nothing in the graph"),
        ("wrong_builders:absent", "has no function 'absent'"),
        ("wrong_builders:not_a_function", r"not_a_function in .*wrong_builders.py is a int, not a function"),
        ("no_such_module:build", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_wrong_builder_is_told_with_the_users_own_line(tmp_path: Path, builder: str, message: str) -> None:
    network = networks.small_network(tmp_path)
    (tmp_path / "wrong_builders.py").write_text(BUILDER)
    with pytest.raises(ModelError, match=message):
        checkpoint(network.checkpoint, builder=builder).run({}, ["logits"])
    sys.modules.pop("wrong_builders", None)


def test_a_sharded_checkpoint_is_put_together(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, sharded=True)
    assert len(list(tmp_path.glob("*.data-*-of-00002"))) == 2
    assert_right(checkpoint(network.checkpoint), network)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, sharded=True)
    lost = tmp_path / f"{network.checkpoint.name}.data-00001-of-00002"
    lost.unlink()
    with pytest.raises(ModelError, match=lost.name):
        checkpoint(network.checkpoint).run({"image:0": network.images}, ["logits"])


@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_means_its_latest_checkpoint_also_after_a_move(tmp_path: Path, relative: bool) -> None:
    network = networks.small_network(tmp_path / "trained here", relative=relative)
    moved = tmp_path / "copied to another machine"
    shutil.move(network.folder, moved)
    assert_right(checkpoint(moved), network)


def test_an_empty_base_name_is_a_checkpoint_too(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in tmp_path.glob(f"{network.checkpoint.name}.*"):
        path.rename(empty / path.name.removeprefix(network.checkpoint.name))
    assert_right(checkpoint(empty), network)


@pytest.mark.parametrize(
    "ema",
    ["trainable", "all", ("*/kernel", "fc/bias", "block/bn/gamma", "block/bn/beta")],
    ids=["trainable", "all", "patterns"],
)
def test_moving_averages_are_restored_where_the_spec_says_so(
    tmp_path: Path, ema: str | tuple[str, ...]
) -> None:
    network = networks.small_network(tmp_path, ema=True)
    assert_right(checkpoint(network.checkpoint, ema=ema), network)


@pytest.mark.parametrize("ema", [None, "none"])
def test_raw_weights_are_restored_where_the_saver_or_the_spec_says_so(
    tmp_path: Path, ema: str | None
) -> None:
    network = networks.small_network(tmp_path, ema=True)
    model = checkpoint(network.checkpoint, ema=ema)
    answer = model.run({"image:0": network.images}, ["logits"])["logits"]
    assert np.abs(answer - network.expected["logits:0"]).max() > 0.1
    raw = tf.train.load_checkpoint(str(network.checkpoint)).get_tensor("fc/kernel")
    np.testing.assert_array_equal(model.variables()["fc/kernel"], raw)
    model.close()


def test_variables_hold_what_is_restored_and_the_session_too(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, ema=True)
    model = checkpoint(network.checkpoint, ema="trainable")
    shadow = tf.train.load_checkpoint(str(network.checkpoint)).get_tensor(
        "fc/kernel/ExponentialMovingAverage"
    )
    np.testing.assert_array_equal(model.variables()["fc/kernel"], shadow)
    session = model.session()
    np.testing.assert_array_equal(session.run("fc/kernel:0"), shadow)
    assert session.run("logits:0", {"image:0": network.images}).shape == (4, 4)
    model.close()


def test_what_the_user_does_in_the_session_does_not_reach_the_comparison(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    model = checkpoint(network.checkpoint)
    session = model.session()
    with session.graph.as_default():
        kernel = session.graph.get_tensor_by_name("fc/kernel:0")
        session.run(tf.raw_ops.Assign(ref=kernel, value=np.zeros((3, 4), np.float32)).op)
    assert session.run("fc/kernel:0").max() == 0
    assert_right(model, network)


@pytest.mark.parametrize("use_resource", [False, True], ids=["ref", "resource"])
def test_sessions_of_two_models_are_independent(tmp_path: Path, use_resource: bool) -> None:
    one = networks.small_network(tmp_path / "one", seed=1, use_resource=use_resource)
    two = networks.small_network(tmp_path / "two", seed=2, use_resource=use_resource)
    models = [checkpoint(one.checkpoint), checkpoint(two.checkpoint)]
    for model in models:
        model.run({"image:0": one.images}, ["logits"])
    assert_right(models[0], one)
    assert_right(models[1], two)


def test_partitioned_variables_are_restored_part_by_part(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(3), use_resource=False):
            table = v1.get_variable("table", [10, 2], initializer=v1.random_normal_initializer(seed=3))
        tf.matmul(v1.placeholder(tf.float32, [None, 10], "x"), tf.convert_to_tensor(table), name="y")
        session.run(v1.global_variables_initializer())
        value = session.run(tf.convert_to_tensor(table))
        v1.train.Saver().save(session, str(tmp_path / "parts"))
    model = checkpoint(tmp_path / "parts")
    answer = model.run({"x": np.eye(10, dtype=np.float32)}, ["y"])["y"]
    np.testing.assert_array_equal(answer, value)
    assert sorted(model.variables()) == ["table/part_0", "table/part_1", "table/part_2"]
    model.close()


def test_a_checkpoint_without_a_graph_offers_the_ways_out(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    network.meta.unlink()
    message = (
        r"has no graph to run it in: there is no model.ckpt-7.meta. .*`meta`.*`builder`.*`compare: weights`"
    )
    with pytest.raises(ModelError, match=message):
        checkpoint(network.checkpoint).run({"image:0": network.images}, ["logits"])


def test_statistics_that_were_not_saved_are_told_as_that(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, keep_statistics=False)
    message = (
        r"has no block/bn/moving_mean and block/bn/moving_variance, which .*It has block/bn/gamma and"
        r" block/bn/beta: batch norm's moving statistics were not saved"
    )
    with pytest.raises(ModelError, match=message):
        checkpoint(network.checkpoint).run({"image:0": network.images}, ["logits"])


def test_variables_that_the_outputs_do_not_need_may_be_missing(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, keep_statistics=False)
    model = checkpoint(network.checkpoint)
    assert model.run({"image:0": network.images}, ["block/conv/Conv2D", "fc/kernel"])["fc/kernel"].shape == (
        3,
        4,
    )
    model.close()


def test_a_checkpoint_of_another_network_is_told_by_shape(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    other = {"fc/kernel": np.zeros((5, 7), np.float32)}
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        networks.build()
        values = networks.weights(v1.global_variables())
        variables = [
            v1.get_variable("o/" + name.replace("/", "_"), initializer=other.get(name, value))
            for name, value in values.items()
        ]
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(dict(zip(values, variables, strict=True)))
        saver.save(session, str(tmp_path / "other"), write_meta_graph=False)
    with pytest.raises(ModelError, match=r"fc/kernel is \[5,7\] in the checkpoint and \[3,4\] in the graph"):
        checkpoint(tmp_path / "other", meta=network.meta).run({"image:0": network.images}, ["logits"])


def test_a_checkpoint_of_an_unrelated_network_is_told_by_its_names(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.get_variable("encoder/weights", [3])
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "unrelated"), write_meta_graph=False)
    with pytest.raises(ModelError, match=r"of another network \(it holds encoder/weights\)"):
        checkpoint(tmp_path / "unrelated", meta=network.meta).run({"image:0": network.images}, ["logits"])


def test_a_checkpoint_of_the_first_format_is_read_by_tensorflow(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        networks.build()
        networks.load(session, networks.weights(v1.global_variables()))
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1)
        saver.save(session, str(tmp_path / "old.ckpt"))
    assert_right(checkpoint(tmp_path / "old.ckpt"), network)


def test_a_lookup_table_is_filled_before_the_run(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        initializer = tf.lookup.KeyValueTensorInitializer([b"cat", b"dog"], [3.0, 5.0])
        table = tf.lookup.StaticHashTable(initializer, -1.0)
        words = v1.placeholder(tf.string, [None], "words")
        scale = v1.get_variable("scale", initializer=2.0)
        tf.multiply(table.lookup(words), scale, name="y")
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        v1.train.Saver().save(session, str(tmp_path / "words"))
    model = checkpoint(tmp_path / "words")
    answer = model.run({"words": np.array(["dog", "cow"])}, ["y"])["y"]
    np.testing.assert_array_equal(answer, [10.0, -2.0])
    model.close()


def test_a_saver_that_leaves_out_a_needed_variable_is_named(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, keep_statistics=False)
    whole = networks.small_network(tmp_path / "whole")
    message = r"The saver of .* does not restore block/bn/moving_mean and block/bn/moving_variance, which the outputs"
    with pytest.raises(ModelError, match=message):
        checkpoint(whole.checkpoint, meta=network.meta).run({"image:0": network.images}, ["logits"])
    assert_right(checkpoint(whole.checkpoint, meta=network.meta, ema="none"), whole)
