"""What TensorFlow refuses in nodes that no output needs, and in what a meta graph says beside its graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError

from pytest_tfparity.errors import ModelError
from pytest_tfparity.graph.read.bundle import Bundle
from pytest_tfparity.graph.read.graphdef import read_graph, read_meta
from pytest_tfparity.graph.read.restore import restored_keys
from pytest_tfparity.graph.valid import first_flaw

v1 = tf.compat.v1
_INITIAL = "w/Initializer/random_uniform"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a checkpoint with its ``.meta``: one variable, drawn at first."""
    prefix = tmp_path_factory.mktemp("trained") / "model"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        draw = v1.random_uniform_initializer(seed=1)
        w = v1.get_variable("w", [4, 3], initializer=draw, use_resource=False)
        tf.matmul(x, w, name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(prefix))
    return prefix


def changed(trained: Path, folder: Path, change: Callable[[Any, dict[str, Any]], None]) -> Path:
    """The meta graph after ``change`` of it and its nodes by name."""
    meta = v1.MetaGraphDef.FromString(Path(f"{trained}.meta").read_bytes())
    change(meta, {node.name: node for node in meta.graph_def.node})
    path = folder / "changed.meta"
    path.write_bytes(meta.SerializeToString())
    return path


def imported(path: Path) -> bool:
    with tf.Graph().as_default():
        try:
            v1.train.import_meta_graph(str(path))
        except (ValueError, KeyError, TypeError, tf.errors.OpError):
            return False
    return True


def _resize(nodes: dict[str, Any]) -> None:
    nodes[f"{_INITIAL}/shape"].attr["value"].tensor.tensor_content = np.array([4, 5], "<i4").tobytes()


def _cut(nodes: dict[str, Any]) -> None:
    nodes[f"{_INITIAL}/shape"].attr["value"].tensor.tensor_content = b"\4\0\0\0\3"


def _widen(nodes: dict[str, Any]) -> None:
    nodes[f"{_INITIAL}/max"].attr["value"].tensor.tensor_shape.dim.add(size=2)


def _rename(nodes: dict[str, Any], op: str) -> None:
    nodes[f"{_INITIAL}/RandomUniform"].op = op


def _lose(meta: Any) -> None:
    for collection in ("variables", "trainable_variables"):
        held = meta.collection_def[collection].bytes_list.value
        held[0] = held[0].replace(_INITIAL.encode(), _INITIAL.replace("uniform", "uniferm").encode())


CHANGES: dict[str, tuple[Callable[[Any, dict[str, Any]], None], str]] = {
    "a shape that its constant does not hold": (lambda _, nodes: _cut(nodes), "from a constant that is none"),
    "another shape than is said": (lambda _, nodes: _resize(nodes), "_output_shapes that are not those"),
    "a constant of another shape": (lambda _, nodes: _widen(nodes), "_output_shapes that are not those"),
    "an op that none can be": (lambda _, nodes: _rename(nodes, "random.uniform"), "that no library can have"),
    "an op that nobody knows": (lambda _, nodes: _rename(nodes, "RandomUniferm"), "own list of ops"),
    "an initial value that is gone": (lambda meta, _: _lose(meta), "speaks of 'w/Initializer/random_uniferm"),
}


LATELY_REFUSED = ("a shape that its constant does not hold",)
"""What TensorFlow 2.21 refuses, and 2.12 does not."""


@pytest.mark.parametrize("change", CHANGES)
def test_what_no_output_needs_is_a_flaw_as_it_is_to_tensorflow(
    change: str, trained: Path, tmp_path: Path
) -> None:
    path = changed(trained, tmp_path, CHANGES[change][0])
    flaw = first_flaw(read_meta(path).graph)
    assert CHANGES[change][1] in str(flaw)
    assert not imported(path) or (change in LATELY_REFUSED and not tf.__version__.startswith("2.21."))


def test_a_right_meta_graph_has_no_flaw(trained: Path) -> None:
    path = Path(f"{trained}.meta")
    assert imported(path)
    assert first_flaw(read_meta(path).graph) is None


def test_an_op_of_a_library_that_the_file_lists_may_be_known_to_its_reader(
    trained: Path, tmp_path: Path
) -> None:
    def of_a_library(meta: Any, nodes: dict[str, Any]) -> None:
        _rename(nodes, "Addons>RandomUniform")
        meta.meta_info_def.stripped_op_list.op.add(name="Addons>RandomUniform")

    path = changed(trained, tmp_path, of_a_library)
    assert first_flaw(read_meta(path).graph) is None


def test_a_restore_that_waits_for_a_variable_gives_none_a_value(trained: Path, tmp_path: Path) -> None:
    path = changed(trained, tmp_path, lambda _, nodes: nodes["save/Assign"].input.append("^y"))
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(str(path))
        with pytest.raises(tf.errors.OpError):
            saver.restore(session, str(trained))
    bundle = Bundle(trained)
    assert restored_keys(read_meta(path), None, bundle) == {}
    assert restored_keys(read_meta(Path(f"{trained}.meta")), None, bundle).keys() == {"w"}


def graph_with(change: Callable[[Any], None], folder: Path) -> tuple[Any, Path]:
    with tf.Graph().as_default() as graph:
        tf.nn.relu(v1.placeholder(tf.float32, [2], name="x"), name="y")
    definition = graph.as_graph_def()
    change(definition.node[1])
    path = folder / "graph.pb"
    path.write_bytes(definition.SerializeToString())
    return definition, path


def test_a_class_that_is_no_list_of_texts_is_refused_as_by_tensorflow(tmp_path: Path) -> None:
    definition, path = graph_with(lambda node: node.attr["_class"].CopyFrom(v1.AttrValue(s=b"zzz")), tmp_path)
    with tf.Graph().as_default(), pytest.raises(TypeError):
        tf.import_graph_def(definition, name="")
    with pytest.raises(
        ModelError, match=r"graph\.pb is damaged: what a node has as _output_shapes or _class"
    ):
        first_flaw(read_graph(path))


def test_an_output_of_a_number_that_crashes_tensorflow_is_refused(tmp_path: Path) -> None:
    _, path = graph_with(lambda node: node.input.__setitem__(0, "x:2147483648"), tmp_path)
    with pytest.raises(ModelError, match=r"graph\.pb is damaged: a node reads 'x:2147483648'"):
        read_graph(path)


@pytest.mark.parametrize("levels", [10, 30, 33, 90])
def test_an_attribute_is_as_deep_as_tensorflow_reads(levels: int, tmp_path: Path) -> None:
    def nest(node: Any) -> None:
        value = node.attr["_deep"]
        for _ in range(levels):
            value.func.name = "f"
            value = value.func.attr["a"]

    _, path = graph_with(nest, tmp_path)
    if levels <= 30:
        v1.GraphDef.FromString(path.read_bytes())
        assert first_flaw(read_graph(path)) is None
    else:
        with pytest.raises(DecodeError):
            v1.GraphDef.FromString(path.read_bytes())
        with pytest.raises(ModelError, match=r"graph\.pb .*nested deeper than TensorFlow reads"):
            read_graph(path)
