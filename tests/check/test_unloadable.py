"""An export that TensorFlow refuses to import is none, whatever its outputs compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.resolve import resolve

MANIFEST = """\
models:
  net:
    reference: {frozen_graph: right.pb}
    export: {frozen_graph: wrong.pb}
    inputs: {"x:0": {npz: x.npz, key: x}}
    outputs: ["y:0"]
    run: RUN
"""


def checked(folder: Path, change: Callable[[Any], None], run: str) -> ParityResult:
    """The check of a network against itself with ``change`` made to a node that no output needs."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], "x")
        tf.nn.relu(x, name="y")
        tf.nn.elu(x, name="beside")
    definition = graph.as_graph_def()
    (folder / "right.pb").write_bytes(definition.SerializeToString())
    change(next(node for node in definition.node if node.name == "beside"))
    (folder / "wrong.pb").write_bytes(definition.SerializeToString())
    with pytest.raises((ValueError, tf.errors.OpError)), tf.Graph().as_default():
        tf.import_graph_def(definition, name="")
    np.savez(folder / "x.npz", x=np.float32([[1, -2]]))
    (folder / "tfparity.yaml").write_text(MANIFEST.replace("RUN", run))
    return checked_manifest(folder)


def checked_manifest(folder: Path) -> ParityResult:
    manifest = folder / "tfparity.yaml"
    entry = load_manifest(manifest).models["net"]
    models = ModelStore()
    try:
        return check(resolve(entry, marker={}, ini={}, options={}, root=folder, name="net"), models)
    finally:
        models.close()


@pytest.mark.parametrize("run", ["unproven", "always"])
def test_what_is_proven_or_passes_fails_and_names_the_node_and_why_tensorflow_refuses_it(
    tmp_path: Path, run: str
) -> None:
    result = checked(tmp_path, lambda node: node.attr["T"].CopyFrom(tf.compat.v1.AttrValue(type=3)), run)
    assert (result.verdict, result.findings) == ("fail", ())
    assert result.notes[:2] == (
        "TensorFlow does not import wrong.pb: Elu (beside) has T int32, which the op does not allow.",
        "What the outputs need of it computes the same.",
    )


def test_an_edge_to_a_node_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = checked(tmp_path, lambda node: node.input.append("^gone"), "unproven")
    assert "Elu (beside) waits for gone, which is not in the graph." in result.notes[0]


def test_a_reference_whose_meta_graph_tensorflow_does_not_import_is_no_reference(tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        weight = v1.get_variable("w", initializer=[[1.0], [2.0]], use_resource=False)
        tf.matmul(x, weight, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
    (tmp_path / "model.pb").write_bytes(frozen.SerializeToString())
    (tmp_path / "tfparity.yaml").write_text(
        "models: {net: {reference: {checkpoint: model.ckpt}, export: {frozen_graph: model.pb}, outputs: ['y:0']}}"
    )
    assert checked_manifest(tmp_path).verdict == "proven"
    meta = tmp_path / "model.ckpt.meta"
    definition = v1.MetaGraphDef.FromString(meta.read_bytes())
    assign = next(node for node in definition.graph_def.node if node.name == "w/Assign")
    del assign.attr["T"]
    meta.write_bytes(definition.SerializeToString())
    with pytest.raises(ValueError, match="NodeDef missing attr 'T'"), tf.Graph().as_default():
        v1.train.import_meta_graph(str(tmp_path / "model.ckpt.meta"))
    result = checked_manifest(tmp_path)
    assert (result.verdict, result.notes[0]) == (
        "fail",
        "TensorFlow does not import model.ckpt.meta: Assign (w/Assign) lacks its attribute T.",
    )


@pytest.mark.parametrize("factor", [1.0, 2.0], ids=["right weights", "wrong weights"])
def test_a_comparison_of_weights_judges_these_and_notes_that_tensorflow_does_not_import_the_file(
    factor: float, tmp_path: Path
) -> None:
    v1 = tf.compat.v1
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        weight = v1.get_variable("fc/kernel", initializer=kernel, use_resource=False)
        tf.matmul(x, weight, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model"))
    with tf.Graph().as_default() as graph:
        tf.matmul(
            v1.placeholder(tf.float32, [None, 3], "x"),
            tf.constant(kernel * factor, name="fc/kernel"),
            name="y",
        )
        tf.nn.elu(tf.constant([1.0]), name="beside")
    definition = graph.as_graph_def()
    next(node for node in definition.node if node.name == "beside").attr["T"].type = 3
    (tmp_path / "model.pb").write_bytes(definition.SerializeToString())
    (tmp_path / "tfparity.yaml").write_text(
        'models: {net: {reference: {checkpoint: model}, export: {frozen_graph: model.pb}, outputs: ["y:0"],'
        " compare: weights}}"
    )
    result = checked_manifest(tmp_path)
    assert (result.verdict, result.findings) == ("pass" if factor == 1 else "fail", ())
    assert "1 constant is the checkpoint's" in result.notes[0] or "the weights are not" in result.notes[0]
    assert result.notes[-1] == (
        "TensorFlow does not import model.pb: Elu (beside) has T int32, which the op does not allow."
    )
