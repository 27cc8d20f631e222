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


def _say(node: Any, *shapes: list[int]) -> None:
    said = node.attr["_output_shapes"].list
    said.SetInParent()
    del said.shape[:]
    for shape in shapes:
        said.shape.add().SetInParent()
        for size in shape:
            said.shape[-1].dim.add(size=size)


def _no_value(nodes: dict[str, Any]) -> None:
    nodes[f"{_INITIAL}/max"].attr["value"].tensor.tensor_shape.dim.add(size=-1)


def _default(nodes: dict[str, Any]) -> None:
    nodes["save/Const"].attr["shape"].shape.dim.add(size=2)


def _speak(meta: Any, old: str, new: str) -> None:
    held = meta.collection_def["variables"].bytes_list.value
    held[0] = held[0].replace(old.encode(), new.encode())


def _ensure(node: Any) -> None:
    node.op = "EnsureShape"
    node.attr["T"].type = 1
    node.attr["shape"].shape.unknown_rank = True


def _save_with(meta: Any, tensor: str) -> None:
    meta.saver_def.filename_tensor_name = tensor


def _lose(meta: Any) -> None:
    for collection in ("variables", "trainable_variables"):
        held = meta.collection_def[collection].bytes_list.value
        held[0] = held[0].replace(_INITIAL.encode(), _INITIAL.replace("uniform", "uniferm").encode())


CHANGES: dict[str, tuple[Callable[[Any, dict[str, Any]], None], str]] = {
    "a shape that its constant does not hold": (lambda _, nodes: _cut(nodes), "from a constant that is none"),
    "another shape than is said": (lambda _, nodes: _resize(nodes), "_output_shapes that are not those"),
    "a constant of another shape": (lambda _, nodes: _widen(nodes), "_output_shapes that are not those"),
    "a constant whose size is not known": (
        lambda _, nodes: _no_value(nodes),
        "a shape that no value can have",
    ),
    "a default of another shape": (lambda _, nodes: _default(nodes), "shapes that do not fit, [] and [2]"),
    "an assignment of another shape": (
        lambda _, nodes: nodes["w/Assign"].input.__setitem__(1, f"{_INITIAL}/max"),
        "Assign (w/Assign) takes shapes that do not fit, [4,3] and []",
    ),
    "a product that is said to be of another shape": (
        lambda _, nodes: _say(nodes[f"{_INITIAL}/mul"], [4, 4]),
        "Mul (w/Initializer/random_uniform/mul) has _output_shapes that are not those",
    ),
    "fewer shapes than outputs": (lambda _, nodes: _say(nodes[f"{_INITIAL}/max"]), "has _output_shapes that"),
    "nothing where shapes are to be said": (
        lambda _, nodes: nodes[f"{_INITIAL}/max"].attr["_output_shapes"].Clear(),
        "Const (w/Initializer/random_uniform/max) has _output_shapes that are not those of its output",
    ),
    "a check of no shape": (
        lambda meta, _: _ensure(meta.graph_def.node.add(name="sure", input=[f"{_INITIAL}/max"])),
        "EnsureShape (sure) states no shape where one is known",
    ),
    "other names than tensors to save": (
        lambda _, nodes: nodes["save/SaveV2"].input.__setitem__(1, "save/Const"),
        "SaveV2 (save/SaveV2) takes a shape [] where one of 1 dimensions is needed",
    ),
    "a type that is a reference": (
        lambda _, nodes: setattr(nodes[f"{_INITIAL}/max"].attr["dtype"], "type", 101),
        "Const (w/Initializer/random_uniform/max) has dtype that is no type",
    ),
    "an output that a node does not have": (
        lambda meta, _: _speak(meta, "w/read:0", "w/read:1"),
        "its collection variables speaks of 'w/read:1', which is not in the graph",
    ),
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


def test_a_value_of_an_unknown_kind_is_none(trained: Path, tmp_path: Path) -> None:
    data = Path(f"{trained}.meta").read_bytes()
    key = b"\n\x0e_output_shapes"
    path = tmp_path / "changed.meta"
    path.write_bytes(data.replace(key + b"\x12", key + b"\x22"))
    assert not imported(path)
    assert "has _output_shapes that are not those of its output" in str(first_flaw(read_meta(path).graph))


@pytest.mark.parametrize("said", [{"s": b"x"}, {"list": {"i": [1, 2]}}, {"i": 3}])
def test_what_is_no_list_of_shapes_is_passed_over(
    said: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    value = v1.AttrValue(**said)
    path = changed(
        trained,
        tmp_path,
        lambda _, nodes: nodes[f"{_INITIAL}/max"].attr["_output_shapes"].CopyFrom(value),
    )
    assert imported(path)
    assert first_flaw(read_meta(path).graph) is None


@pytest.mark.parametrize("tensor", ["x:0", "save/Const:1"])
def test_a_saver_takes_the_name_of_the_file_as_a_text(tensor: str, trained: Path, tmp_path: Path) -> None:
    path = changed(trained, tmp_path, lambda meta, _: _save_with(meta, tensor))
    assert str(first_flaw(read_meta(path).graph)).startswith(
        f"its saver takes the file's name from '{tensor}'"
    )
    with tf.Graph().as_default(), v1.Session() as session, pytest.raises((ValueError, TypeError)):
        v1.train.import_meta_graph(str(path)).restore(session, str(trained))


def _at_random(meta: Any, numbers: np.random.Generator) -> None:
    """One input, stated shape or shape of a constant put in another's place."""
    nodes = list(meta.graph_def.node)
    kind = numbers.choice(["input", "input", "swap", "shape", "said", "constant"])
    sizes: list[list[int]] = [[-1], [0], [5], [], [1], [2, 2], [4, 3], [-1, 3], [3, 4]]
    shape = sizes[numbers.integers(len(sizes))]
    if kind in ("input", "swap"):
        reading = [node for node in nodes if any(not name.startswith("^") for name in node.input)]
        node = reading[numbers.integers(len(reading))]
        inputs = list(node.input)
        if kind == "input":
            inputs[numbers.integers(len(inputs))] = nodes[numbers.integers(len(nodes))].name
        node.input[:] = inputs if kind == "input" else inputs[::-1]
    elif kind == "shape":
        stating = [node for node in nodes if "shape" in node.attr]
        held = stating[numbers.integers(len(stating))].attr["shape"].shape
        held.CopyFrom(
            tf.TensorShape(None if shape == [5] else [None if n < 0 else n for n in shape]).as_proto()
        )
    elif kind == "said":
        saying = [node for node in nodes if node.attr["_output_shapes"].list.shape]
        _say(saying[numbers.integers(len(saying))], shape)
    else:
        constants = [node for node in nodes if node.op == "Const"]
        held = constants[numbers.integers(len(constants))].attr["value"].tensor.tensor_shape
        del held.dim[:]
        for size in shape:
            held.dim.add(size=size)


@pytest.mark.parametrize("resource", [False, True])
def test_what_is_refused_for_its_shapes_is_refused_by_tensorflow(resource: bool, tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        given = v1.placeholder_with_default(tf.ones([4]), [None], name="given")
        w = v1.get_variable(
            "w", [4, 3], initializer=v1.truncated_normal_initializer(seed=1), use_resource=resource
        )
        b = v1.get_variable("b", [3], initializer=tf.zeros_initializer(), use_resource=resource)
        y = tf.nn.relu(tf.matmul(x * given, w) + b, name="y")
        v1.assign_sub(b, tf.reduce_mean(y, 0) * 0.1)
        v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(y)))
        v1.train.Saver()
        meta = v1.train.export_meta_graph(graph=graph, as_text=False)
    meta.graph_def.CopyFrom(graph.as_graph_def(add_shapes=True))
    numbers, path, refused = np.random.default_rng(1 + resource), tmp_path / "mutant.meta", 0
    for _ in range(150):
        mutant = v1.MetaGraphDef.FromString(meta.SerializeToString())
        _at_random(mutant, numbers)
        path.write_bytes(mutant.SerializeToString())
        flaw = first_flaw(read_meta(path).graph)
        refused += flaw is not None
        assert flaw is None or not imported(path), flaw
    assert refused > 60


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


@pytest.mark.parametrize(("rows", "possible"), [(-1, True), (-65537, False)])
def test_what_any_op_says_of_its_output_is_a_shape(tmp_path: Path, rows: int, possible: bool) -> None:
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.reshape(x, [-1, 2], name="halves")
        meta = v1.train.export_meta_graph()
    (node,) = [each for each in meta.graph_def.node if each.op == "Reshape"]
    node.attr["_output_shapes"].list.shape[0].dim[0].size = rows
    path = tmp_path / "said.meta"
    path.write_bytes(meta.SerializeToString())
    assert imported(path) == possible
    assert (first_flaw(read_meta(path).graph) is None) == possible
