"""Frozen graphs: binary, text, not frozen, with unknown ops, with a pinned batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import FeedError, ModelError, TensorNotFound
from pytest_tfparity.formats.frozen_graph import FrozenGraph

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


def frozen(path: Path, **feeds: object) -> FrozenGraph:
    return FrozenGraph(path, feeds=feeds.get("feeds", {}))  # type: ignore[arg-type]


def written(path: Path, graph: tf.Graph) -> Path:
    return networks.write_graph(graph.as_graph_def(), path)


@pytest.fixture
def network(tmp_path: Path) -> networks.Network:
    return networks.small_network(tmp_path)


@pytest.mark.parametrize("name", ["model.pb", "model.pbtxt", "model.bytes"])
def test_binary_and_text_graphs_answer_alike(tmp_path: Path, name: str) -> None:
    network = networks.small_network(tmp_path, export=name)
    model = frozen(network.frozen_graph)
    answer = model.run({"image": network.images}, ["logits", "probabilities:0"])
    np.testing.assert_allclose(answer["logits"], network.expected["logits:0"], atol=1e-6)
    np.testing.assert_allclose(answer["probabilities:0"], network.expected["probabilities:0"], atol=1e-6)
    assert model.graph_def().node[0].name
    assert model.session(["logits"]).run("logits:0", {"image:0": network.images}).shape == (4, 4)
    model.close()


@pytest.mark.parametrize("kind", ["graph", "default"])
def test_both_kinds_of_session_answer(network: networks.Network, kind: str) -> None:
    model = frozen(network.frozen_graph)
    answer = model.run({"image:0": network.images}, ["logits:0", "logits:0"], session=kind)  # type: ignore[arg-type]
    np.testing.assert_allclose(answer["logits:0"], network.expected["logits:0"], atol=1e-5)
    model.close()


def test_a_graph_that_is_not_frozen_is_recognised(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        networks.build()
    path = written(tmp_path / "raw.pb", graph)
    message = r"raw.pb is not frozen: 7 variables are left in it \(block/.*4 more\). Freeze it with"
    with pytest.raises(ModelError, match=message):
        frozen(path).run({"image": networks.images()}, ["logits"])


def test_variables_that_the_outputs_do_not_need_are_no_obstacle(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], "x")
        tf.multiply(x, 2.0, name="y")
        v1.assign_add(v1.get_variable("counter", [], use_resource=False), 1.0)
    model = frozen(written(tmp_path / "partly.pb", graph))
    np.testing.assert_array_equal(model.run({"x": np.float32([1, 2])}, ["y"])["y"], [2, 4])
    model.close()


def test_a_graph_of_placeholders_alone_is_told_as_that(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        v1.placeholder(tf.float32, [None], "x")
        v1.placeholder(tf.int32, [None], "labels")
    path = written(tmp_path / "idle.pb", graph)
    with pytest.raises(ModelError, match=r"idle.pb computes nothing: .*\(x, labels\)"):
        frozen(path).run({}, ["x"])


def test_an_unknown_op_is_named_with_its_node(network: networks.Network) -> None:
    graph_def = v1.GraphDef.FromString(network.frozen_graph.read_bytes())
    next(node for node in graph_def.node if node.op == "Relu").op = "DescrptSeA"
    path = networks.write_graph(graph_def, network.folder / "custom.pb")
    message = (
        r"custom.pb needs ops that TensorFlow .* does not know: DescrptSeA \(node Relu; from DeePMD-kit\)"
    )
    with pytest.raises(ModelError, match=message):
        frozen(path).run({"image": network.images}, ["logits"])
    answer = frozen(path).run({"image": network.images}, ["block/conv/Conv2D"])
    assert answer["block/conv/Conv2D"].shape == (4, 6, 6, 3)


def test_stale_output_shapes_and_devices_are_left_out(network: networks.Network) -> None:
    graph_def = v1.GraphDef.FromString(network.frozen_graph.read_bytes())
    for node in graph_def.node:
        shape = node.attr["_output_shapes"].list.shape.add()
        shape.dim.add(size=17)
        node.attr["_class"].list.s.append(b"loc:@gone")
        node.device = "/job:worker/replica:0/task:3/device:GPU:7"
    path = networks.write_graph(graph_def, network.folder / "stale.pb")
    answer = frozen(path).run({"image": network.images}, ["logits:0"])
    np.testing.assert_allclose(answer["logits:0"], network.expected["logits:0"], atol=1e-6)


def test_outputs_that_do_not_exist_bring_the_nearest_names(network: networks.Network) -> None:
    model = frozen(network.frozen_graph)
    with pytest.raises(TensorNotFound, match=r"has no tensor 'logit:0'. Did you mean 'logits'"):
        model.run({"image": network.images}, ["logit:0"])
    with pytest.raises(TensorNotFound, match=r"node logits has one output, :0"):
        model.run({"image": network.images}, ["logits:3"])
    model.close()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_pinned_batch_is_fed_in_slices(tmp_path: Path, batch: int) -> None:
    network = networks.small_network(tmp_path, batch=batch)
    answer = frozen(network.frozen_graph).run({"image": network.images}, ["logits:0", "fc/kernel"])
    np.testing.assert_allclose(answer["logits:0"], network.expected["logits:0"], atol=1e-6)
    assert answer["fc/kernel"].shape == (3, 4)


def test_rows_that_fill_no_whole_slices_are_refused(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path, batch=3)
    message = r"image:0 of .* takes a batch of exactly 3; 4 rows are given for it, which is no multiple"
    with pytest.raises(FeedError, match=message):
        frozen(network.frozen_graph).run({"image": network.images}, ["logits"])


def test_slices_of_inputs_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [1, 2], "x")
        tf.add(x, v1.placeholder(tf.float32, [None, 2], "z"), name="y")
    path = written(tmp_path / "two.pb", graph)
    with pytest.raises(FeedError, match="its 4 rows must be fed in slices, but z:0 has 3 rows"):
        frozen(path).run({"x": np.ones((4, 2), np.float32), "z": np.ones((3, 2), np.float32)}, ["y"])


def test_an_output_of_one_value_a_slice_is_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        tf.reduce_sum(v1.placeholder(tf.float32, [1, 2], "x"), name="total")
    path = written(tmp_path / "total.pb", graph)
    with pytest.raises(ModelError, match=r"total \(shape \[\]\) is one value for each slice"):
        frozen(path).run({"x": np.arange(4, dtype=np.float32).reshape(2, 2)}, ["total"])


def test_encoded_images_are_fed_as_strings(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    with tf.Graph().as_default() as graph:
        encoded = v1.placeholder(tf.string, [], "encoded")
        tf.io.decode_png(encoded, channels=3, name="image")
        raw = v1.placeholder(tf.string, [None], "raw")
        tf.io.decode_raw(raw, tf.uint8, name="bytes")
    model = frozen(written(tmp_path / "decode.pb", graph))
    png = tf.io.encode_png(pixels).numpy()
    answer = model.run({"encoded": np.array(png, dtype=object)}, ["image"])
    np.testing.assert_array_equal(answer["image"], pixels)
    raws = np.array([b"\x00\x01", b"\x02\x00"], dtype=object)
    np.testing.assert_array_equal(model.run({"raw": raws}, ["bytes"])["bytes"], [[0, 1], [2, 0]])
    assert model.run({"raw": raws}, ["raw"])["raw"].tolist() == raws.tolist()
    model.close()


def test_results_are_arrays_also_where_tensorflow_gives_scalars(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], "x")
        tf.reduce_sum(x, name="total")
        tf.identity(tf.constant(b"ab\0"), name="text")
    answer = frozen(written(tmp_path / "scalar.pb", graph)).run(
        {"x": np.ones(3, np.float32)}, ["total", "text"]
    )
    assert answer["total"].shape == ()
    assert isinstance(answer["total"], np.ndarray)
    assert answer["total"] == 3
    assert answer["text"].item() == b"ab\0"


def test_an_error_inside_tensorflow_names_file_and_node(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, None, "x")
        tf.debugging.check_numerics(tf.math.log(x), "log of a negative number", name="check")
    path = written(tmp_path / "log.pb", graph)
    message = r"log.pb cannot be run: TensorFlow stops at check \(CheckNumerics\): log of a negative number"
    with pytest.raises(ModelError, match=message) as caught:
        frozen(path).run({"x": np.float32([-1])}, ["check"])
    assert "\n" not in str(caught.value)


def test_reference_edges_left_in_an_export_are_explained(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [2], "x")
        v1.assign_sub(v1.get_variable("mean", [2], use_resource=False), x, name="update")
    graph_def = graph.as_graph_def()
    mean = next(node for node in graph_def.node if node.name == "mean")
    mean.Clear()
    mean.name, mean.op = "mean", "Const"
    mean.attr["dtype"].type = 1
    mean.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.zeros(2, np.float32)))
    path = networks.write_graph(graph_def, tmp_path / "edges.pb")
    with pytest.raises(ModelError, match=r"Running update:0 of .*edges.pb also runs AssignSub \(update\)"):
        frozen(path).run({"x": np.ones(2, np.float32)}, ["update"])


def test_a_closed_model_can_be_used_again(network: networks.Network) -> None:
    model = frozen(network.frozen_graph)
    first = model.run({"image": network.images}, ["logits"])["logits"]
    model.close()
    np.testing.assert_array_equal(model.run({"image": network.images}, ["logits"])["logits"], first)
    model.close()


def test_a_copy_under_another_name_is_the_same_graph(network: networks.Network) -> None:
    copy = shutil.copy(network.frozen_graph, network.folder / "frozen.bytes")
    assert set(frozen(Path(copy)).graph.nodes) == set(frozen(network.frozen_graph).graph.nodes)


@pytest.mark.skipif(
    "debug_info" not in v1.GraphDef.DESCRIPTOR.fields_by_name,
    reason="this TensorFlow does not know it either",
)
def test_a_text_with_a_field_that_only_tensorflow_knows_is_run(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        tf.add(v1.placeholder(tf.float32, [2], "x"), 1.0, name="y")
    graph_def = graph.as_graph_def()
    graph_def.debug_info.files.append("train.py")
    (tmp_path / "model.pbtxt").write_text(str(graph_def))
    model = frozen(tmp_path / "model.pbtxt")
    np.testing.assert_array_equal(model.run({"x": np.float32([1, 2])}, ["y"])["y"], [2, 3])
    model.close()
