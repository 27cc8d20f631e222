import json
import zipfile

import numpy as np
import pytest
from google.protobuf import text_format

from pytest_tfparity.errors import ModelError, UnreadableFile
from pytest_tfparity.graph.graph import (
    AttrReference,
    DType,
    Function,
    FunctionInput,
    Shape,
    Tensor,
    TensorName,
)
from pytest_tfparity.graph.read import messages
from pytest_tfparity.graph.read.graphdef import parse_meta, read_graph, read_meta


def graph_def(count=4096):
    """x -> Add(x, big) -> Relu, with a large constant."""
    graph = messages.GraphDef()
    graph.versions.producer = 27
    graph.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    big = graph.node.add(name="big", op="Const")
    big.attr["dtype"].type = 1
    value = big.attr["value"].tensor
    value.dtype = 1
    value.tensor_shape.dim.add(size=count)
    value.tensor_content = np.arange(count, dtype="<f4").tobytes()
    graph.node.add(name="sum", op="Add", input=["x", "big:0", "^x"]).attr["T"].type = 1
    graph.node.add(name="out", op="Relu", input=["sum"]).attr["T"].type = 1
    return graph


def meta_graph_def():
    meta = messages.MetaGraphDef()
    meta.meta_info_def.meta_graph_version = "1"
    meta.meta_info_def.stripped_op_list.op.add(name="Add")
    meta.graph_def.CopyFrom(graph_def())
    return meta


def write(tmp_path, data, name="model.pb"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


def message_of(path, read=read_graph):
    with pytest.raises(ModelError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value).replace(str(path), "FILE")


def test_nodes_inputs_and_attributes_are_read_in_file_order(tmp_path):
    graph = read_graph(write(tmp_path, graph_def()))
    assert list(graph.nodes) == ["x", "big", "sum", "out"]
    assert graph.producer == 27
    total = graph.nodes["sum"]
    assert total.op == "Add"
    assert total.inputs == (TensorName("x", 0), TensorName("big", 0))
    assert total.controls == ("x",)
    assert total.attrs == {"T": DType(1)}


@pytest.mark.parametrize("count", [4096, 400_000])
def test_a_large_constant_is_a_read_only_view_of_the_file(tmp_path, count):
    graph = read_graph(write(tmp_path, graph_def(count)))
    value = graph.nodes["big"].attrs["value"]
    assert isinstance(value, Tensor)
    assert (value.dtype, value.shape) == (DType(1), (count,))
    np.testing.assert_array_equal(value.array, np.arange(count))
    assert np.shares_memory(value.array, value.array)
    assert not value.array.flags.owndata
    assert not value.array.flags.writeable
    assert graph.nodes["big"].attrs["dtype"] == DType(1)


def test_text_reads_as_binary_does(tmp_path):
    binary = read_graph(write(tmp_path, graph_def()))
    text = text_format.MessageToString(graph_def()).encode()
    for prefix in (b"", b"\n\n# a comment\n"):
        other = read_graph(write(tmp_path, prefix + text, "graph.pb"))
        assert list(other.nodes) == list(binary.nodes)
        assert other.nodes["sum"] == binary.nodes["sum"]
        np.testing.assert_array_equal(other.nodes["big"].attrs["value"].array, np.arange(4096))


def test_every_kind_of_attribute_is_read(tmp_path):
    graph = messages.GraphDef()
    attr = graph.node.add(name="n", op="Op").attr
    attr["s"].s = b"\xff"
    attr["i"].i = -(2**63)
    attr["f"].f = 0.5
    attr["b"].b = False
    attr["type"].type = 14
    attr["shape"].shape.dim.add(size=-1)
    attr["unknown"].shape.unknown_rank = True
    attr["scalar"].shape.SetInParent()
    attr["none"].SetInParent()
    attr["ints"].list.i.extend([1, 2])
    attr["types"].list.type.extend([1, 3])
    attr["shapes"].list.shape.add().dim.add(size=3)
    attr["strings"].list.s.extend([b"a", b""])
    attr["floats"].list.f.extend([1, 2])
    attr["bools"].list.b.extend([True, False])
    attr["empty"].list.SetInParent()
    attr["body"].func.name = "f"
    attr["body"].func.attr["T"].type = 1
    attr["functions"].list.func.add(name="g")
    attr["placeholder"].placeholder = "T"
    attr["tensors"].list.tensor.add(dtype=1, float_val=[3])
    attrs = dict(read_graph(write(tmp_path, graph)).nodes["n"].attrs)
    assert [tensor.array.tolist() for tensor in attrs.pop("tensors")] == [3]
    assert attrs == {
        "s": b"\xff", "i": -(2**63), "f": 0.5, "b": False, "type": DType(14), "shape": Shape((-1,)),
        "unknown": Shape(None), "scalar": Shape(()), "none": None, "ints": (1, 2),
        "types": (DType(1), DType(3)), "shapes": (Shape((3,)),), "strings": (b"a", b""), "floats": (1.0, 2.0),
        "bools": (True, False), "empty": (), "body": Function("f", {"T": DType(1)}),
        "functions": (Function("g", {}),), "placeholder": AttrReference("T"),
    }  # fmt: skip


def test_large_attributes_that_are_no_tensors_are_read_too(tmp_path):
    graph = messages.GraphDef()
    attr = graph.node.add(name="n", op="Op").attr
    attr["text"].s = b"x" * 10_000
    attr["tensors"].list.tensor.add(dtype=1, tensor_content=b"\0" * 8192).tensor_shape.dim.add(size=2048)
    attr["small"].i = 1
    attrs = read_graph(write(tmp_path, graph)).nodes["n"].attrs
    assert attrs["text"] == b"x" * 10_000
    assert attrs["tensors"][0].array.shape == (2048,)
    assert attrs["small"] == 1


@pytest.mark.parametrize("count", [1, 3000])
def test_output_shapes_and_classes_are_left_out(tmp_path, count):
    graph = messages.GraphDef()
    attr = graph.node.add(name="n", op="Op").attr
    for size in range(count):
        attr["_output_shapes"].list.shape.add().dim.add(size=size)
    attr["_class"].list.s.extend([b"loc:@a"] * count)
    attr["T"].type = 1
    assert read_graph(write(tmp_path, graph)).nodes["n"].attrs == {"T": DType(1)}


def test_functions_are_taken_apart(tmp_path):
    graph = graph_def()
    function = graph.library.function.add()
    function.signature.name = "body"
    function.signature.is_stateful = True
    function.signature.input_arg.add(name="x", type=1)
    function.signature.output_arg.add(name="y", type=1)
    node = function.node_def.add(name="split", op="Split", input=["x", "^x"])
    node.attr["num_split"].i = 2
    function.node_def.add(name="relu", op="Relu", input=["split:output:1"])
    function.ret["y"] = "relu:activations:0"
    body = read_graph(write(tmp_path, graph)).functions["body"]
    assert (body.arguments, body.results, body.stateful) == (("x",), ("y",), True)
    split, relu = body.nodes
    assert split.inputs == (FunctionInput("x", "", 0, indexed=False),)
    assert split.controls == ("x",)
    assert split.attrs == {"num_split": 2}
    assert relu.inputs == (FunctionInput("split", "output", 1),)
    assert body.returns == {"y": FunctionInput("relu", "activations", 0)}


def test_inputs_that_name_no_node_are_kept(tmp_path):
    graph = graph_def()
    graph.node.add(name="lost", op="Relu", input=["gone:1"])
    read = read_graph(write(tmp_path, graph))
    assert read.nodes["lost"].inputs == (TensorName("gone", 1),)
    assert list(read.live(["lost"])) == ["lost"]


def test_two_nodes_of_one_name_are_refused(tmp_path):
    graph = graph_def()
    graph.node.add(name="sum", op="Add")
    assert "FILE holds two nodes named 'sum'" in message_of(write(tmp_path, graph))


def test_a_graph_without_nodes_is_refused(tmp_path):
    graph = messages.GraphDef()
    graph.versions.producer = 3
    assert message_of(write(tmp_path, graph)) == "FILE holds a graph without any node."


def test_a_node_without_op_is_refused(tmp_path):
    graph = graph_def()
    graph.node.add(name="nothing")
    assert "node 5 ('nothing') has no op" in message_of(write(tmp_path, graph))


def test_a_truncated_file_is_said_to_be_so(tmp_path):
    data = graph_def().SerializeToString()
    assert "is truncated or damaged" in message_of(write(tmp_path, data[: len(data) // 2]))


def test_a_missing_file_names_its_neighbours(tmp_path):
    write(tmp_path, graph_def(), "other.pb")
    message = message_of(tmp_path / "model.pb")
    assert message == "The frozen graph FILE does not exist. In its folder there are: other.pb."


def test_a_folder_and_an_empty_file_are_named(tmp_path):
    assert message_of(tmp_path) == "The frozen graph FILE is a directory; name a file in it."
    assert "FILE is empty (0 bytes)" in message_of(write(tmp_path, b""))


def test_a_git_lfs_pointer_is_named(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 95000000\n"
    assert "is a Git LFS pointer" in message_of(write(tmp_path, pointer))
    assert "git lfs pull" in message_of(write(tmp_path, pointer, "model.meta"), read_meta)


def test_other_formats_are_named(tmp_path):
    saved = b"\x08\x01\x12" + _length(meta_graph_def().SerializeToString())
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", "b")
    onnx = b"\x08\x07\x12\x07pytorch\x3a\x02\x12\x00"
    for data, expected in (
        (meta_graph_def(), "FILE is a MetaGraphDef (a .meta file"),
        (saved, "FILE is a SavedModel (saved_model.pb), not a GraphDef; freeze it first"),
        (b"\x1c\0\0\0TFL3\0\0\0\0", "FILE is a TFLite model, not a GraphDef."),
        (b"\x89HDF\r\n\x1a\n\0\0", "FILE is an HDF5 file"),
        (archive.read_bytes(), "FILE is a zip archive"),
        (onnx, "FILE is an ONNX model"),
        (b"<!DOCTYPE html><html>Not found</html>", "FILE is an HTML or XML page"),
        (json.dumps({"a": 1}).encode(), "FILE is a JSON file"),
        (b"just some words\n", "FILE is text, but not a GraphDef in text format"),
        (b"\0" * 100, "FILE is not a GraphDef: it is damaged"),
        (text_format.MessageToString(meta_graph_def()).encode(), "FILE is a MetaGraphDef"),
    ):
        assert expected in message_of(write(tmp_path, data))


def test_text_of_something_else_is_told_with_its_line_and_what_to_give(tmp_path):
    assert message_of(write(tmp_path, b"\n\nSomebody exports a graph.\n")) == (
        'FILE is text, but not a GraphDef in text format: 3:1 : Message type "GraphDef" has no field named "Somebody".'
        " Give a file that TensorFlow wrote, in text or binary."
    )


def _length(data):
    size, head = len(data), b""
    while size >= 0x80:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data


def test_text_with_a_field_that_is_not_known_is_left_to_tensorflow(tmp_path):
    with pytest.raises(UnreadableFile, match="no field named"):
        read_graph(write(tmp_path, b'node { name: "a" op: "NoOp" flavour: 3 }'))


def test_a_graph_def_in_place_of_a_meta_graph_is_named(tmp_path):
    message = message_of(write(tmp_path, graph_def(), "model.meta"), read_meta)
    assert message.startswith("FILE is a GraphDef, not a MetaGraphDef; it is a .meta file that is needed")


def full_meta():
    meta = meta_graph_def()
    meta.saver_def.filename_tensor_name = "save/Const:0"
    meta.saver_def.save_tensor_name = "save/control_dependency:0"
    meta.saver_def.restore_op_name = "save/restore_all"
    whole = messages.VariableDef(variable_name="w:0", is_resource=True)
    part = messages.VariableDef(variable_name="table/part_1:0")
    part.save_slice_info_def.full_name = "table"
    part.save_slice_info_def.full_shape.extend([10, 4])
    part.save_slice_info_def.var_offset.extend([5, 0])
    part.save_slice_info_def.var_shape.extend([5, 4])
    values = [whole.SerializeToString(), part.SerializeToString()]
    meta.collection_def["variables"].bytes_list.value.extend(values)
    meta.collection_def["trainable_variables"].bytes_list.value.extend(values[:1])
    meta.collection_def["moving_average_variables"].bytes_list.value.extend(values[1:])
    meta.collection_def["losses"].node_list.value.append("loss:0")
    signature = meta.signature_def["serving"]
    signature.inputs["image"].name = "x:0"
    signature.outputs["score"].name = "out:0"
    signature.method_name = "predict"
    return meta


@pytest.mark.parametrize("spelling", ["binary", "text"])
def test_saver_and_variables_are_read(tmp_path, spelling):
    data = full_meta().SerializeToString()
    if spelling == "text":
        data = text_format.MessageToString(full_meta()).encode()
    meta = read_meta(write(tmp_path, data, "model.meta"))
    assert list(meta.graph.nodes) == ["x", "big", "sum", "out"]
    assert meta.saver.restore_op == "save/restore_all"
    whole, part = meta.variables
    assert (whole.name, whole.full_name, whole.slice, whole.resource) == ("w", "", "", True)
    assert (part.name, part.full_name, part.slice) == ("table/part_1", "table", "10 4 5,5:0,4")
    assert meta.trainable == {"w"}
    assert meta.averaged == {"table/part_1"}


def test_a_meta_graph_can_be_bare(tmp_path):
    meta = parse_meta(meta_graph_def().SerializeToString(), "the builder's graph")
    assert meta.saver is None
    assert meta.variables == ()
    with pytest.raises(ModelError, match="the builder's graph is empty"):
        parse_meta(b"", "the builder's graph")


def test_100_000_alike_nodes_share_their_attributes(tmp_path):
    graph = messages.GraphDef()
    for number in range(100_000):
        node = graph.node.add(name=f"block_{number // 10}/op_{number}", op="Relu")
        if number:
            node.input.append(f"block_{(number - 1) // 10}/op_{number - 1}")
        node.attr["T"].type = 1
    read = read_graph(write(tmp_path, graph))
    assert len(read.nodes) == 100_000
    assert len({id(node.attrs) for node in read.nodes.values()}) == 1


def test_attributes_nested_without_end_are_an_error_and_no_crash(tmp_path):
    attr = b""
    for _ in range(2000):
        function = b"\x12" + _length(attr) if attr else b"\x0a\x01f"
        attr = b"\x0a\x01f\x12" + _length(b"\x52" + _length(function))
    node = b"\x0a\x01n\x12\x02Op\x2a" + _length(attr)
    assert "is truncated or damaged" in message_of(write(tmp_path, b"\x0a" + _length(node)))


def test_a_small_file_may_be_written_again_while_its_graph_is_in_use(tmp_path):
    path = write(tmp_path, graph_def())
    graph = read_graph(path)
    path.write_bytes(b"x")
    np.testing.assert_array_equal(graph.nodes["big"].attrs["value"].array, np.arange(4096))


def complete_meta():
    """A meta graph whose saver and variable name nodes that are there."""
    meta = meta_graph_def()
    text = meta.graph_def.node.add(name="name", op="Placeholder")
    text.attr["dtype"].type = messages.data_types()["DT_STRING"]
    for field, name in (
        ("filename_tensor_name", "name:0"),
        ("save_tensor_name", "out:0"),
        ("restore_op_name", "out"),
    ):
        setattr(meta.saver_def, field, name)
    variable = messages.VariableDef(variable_name="x:0", initializer_name="out", snapshot_name="sum:0")
    meta.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())
    return meta, variable


def refusals(meta):
    return list(parse_meta(meta.SerializeToString(), "m.meta").graph.refusals)


def test_a_saver_or_a_variable_that_names_what_is_not_there_is_a_refusal():
    meta, variable = complete_meta()
    assert refusals(meta) == []
    variable.snapshot_name = "gone/read:0"
    meta.collection_def["variables"].bytes_list.value[0] = variable.SerializeToString()
    assert refusals(meta) == ["its collection variables speaks of 'gone/read:0', which is not in the graph"]
    for field, name, said in (
        (
            "filename_tensor_name",
            "x",
            "its saver takes the file's name from 'x', which is no tensor of the graph",
        ),
        ("restore_op_name", "gone", "its saver restores with 'gone', which is not in the graph"),
        ("save_tensor_name", "", "its saver names no op to save or restore with"),
    ):
        meta, _ = complete_meta()
        setattr(meta.saver_def, field, name)
        assert refusals(meta) == [said]
    meta.ClearField("saver_def")
    assert refusals(meta) == []


def test_devices_of_a_meta_graph_are_not_read_since_who_loads_it_clears_them():
    meta, _ = complete_meta()
    meta.graph_def.node[0].device = "no device"
    assert parse_meta(meta.SerializeToString(), "m.meta").graph.devices == {}
