"""Ops that touch the machine are never run: on the way to an output, in a function, in a loop, in a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from graph.op_registry import registered_ops
from graphs.networks import write_graph
from pytest_tfparity.check.check import check
from pytest_tfparity.errors import FeedError, ModelError
from pytest_tfparity.formats.frozen_graph import FrozenGraph
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.graph.computing import computes
from pytest_tfparity.settings.resolve import resolve

v1, raw = tf.compat.v1, tf.raw_ops

Build = Callable[[Any, Path], Any]
"""Adds hostile nodes to a graph, given its input (a float) and a folder; a tensor of any type that depends on them."""


def _read(x: Any, folder: Path) -> Any:
    return raw.ReadFile(filename=str(folder / "secret"))


def _debug(x: Any, folder: Path) -> Any:
    return raw.DebugIdentityV2(
        input=x, tfdbg_context_id="a", op_name="b", output_slot=0, tensor_debug_mode=2,
        debug_urls=[f"file://{folder}/written"],
    )  # fmt: skip


def _old_debug(x: Any, folder: Path) -> Any:
    return raw.DebugIdentity(input=x, tensor_name="x:0", debug_urls=[f"file://{folder}/written"])


HOSTILE: dict[str, Build] = {
    "ReadFile": _read,
    "MatchingFiles": lambda x, folder: raw.MatchingFiles(pattern=f"{folder}/*"),
    "RestoreV2": lambda x, folder: raw.RestoreV2(
        prefix=f"{folder}/secret", tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "DebugIdentityV2": _debug,
    "DebugIdentity": _old_debug,
    "DebugNanCount": lambda x, folder: raw.DebugNanCount(input=x, debug_urls=[f"file://{folder}/written"]),
    "PrintV2": lambda x, folder: _after(
        raw.PrintV2(input="text", output_stream=f"file://{folder}/written"), x
    ),
    "WriteFile": lambda x, folder: _after(raw.WriteFile(filename=f"{folder}/written", contents="text"), x),
    "PyFunc": lambda x, folder: raw.PyFunc(input=[x], token="pyfunc_0", Tout=[tf.float32])[0],
    "Recv": lambda x, folder: raw.Recv(
        tensor_type=tf.float32,
        tensor_name="never",
        send_device="/cpu:0",
        send_device_incarnation=1,
        recv_device="/cpu:0",
    ),
    "DecodeProtoV2": lambda x, folder: raw.DecodeProtoV2(
        bytes=[b""], message_type="a.B", field_names=[], output_types=[], descriptor_source=f"{folder}/secret"
    )[0],
    "FixedUnigramCandidateSampler": lambda x, folder: raw.FixedUnigramCandidateSampler(
        true_classes=[[0]], num_true=1, num_sampled=1, unique=True, range_max=2, vocab_file=f"{folder}/secret"
    )[0],
    "ImmutableConst": lambda x, folder: raw.ImmutableConst(
        dtype=tf.uint8, shape=[1], memory_region_name=f"{folder}/secret"
    ),
}


def _after(operation: Any, x: Any) -> Any:
    with tf.control_dependencies([operation]):
        return tf.identity(x)


def number(tensor: Any) -> Any:
    """A float made of the values of any tensor."""
    values = tf.strings.length(tensor) if tensor.dtype == tf.string else tensor
    return tf.reduce_sum(tf.cast(values, tf.float32))


def in_graph(build: Build, folder: Path) -> Any:
    x = v1.placeholder(tf.float32, [], "x")
    return x + number(build(x, folder))


def in_function(build: Build, folder: Path) -> Any:
    @tf.function
    def body(x: Any) -> Any:
        return x + number(build(x, folder))

    return body(v1.placeholder(tf.float32, [], "x"))


def in_loop(build: Build, folder: Path) -> Any:
    x = v1.placeholder(tf.float32, [], "x")
    return v1.while_loop(lambda y: y < 1, lambda y: [y + 1 + number(build(y, folder))], [x])


def in_dataset(build: Build, folder: Path) -> Any:
    x = v1.placeholder(tf.float32, [], "x")
    dataset = tf.data.Dataset.from_tensors(x).map(lambda y: y + number(build(y, folder)))
    return tf.data.experimental.get_single_element(dataset)


PLACES = {"graph": in_graph, "function": in_function, "loop": in_loop, "dataset": in_dataset}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine" / "secret").write_text("secret")
    return tmp_path / "machine"


def model_of(path: Path, place: Callable[[Build, Path], Any], build: Build, folder: Path) -> FrozenGraph:
    with tf.Graph().as_default() as graph:
        tf.identity(place(build, folder), "y")
    return FrozenGraph(write_graph(graph.as_graph_def(), path / "m.pb"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("op", HOSTILE)
def test_an_op_that_touches_the_machine_is_refused_by_name_and_leaves_no_trace(
    tmp_path: Path, folder: Path, op: str, place: str
) -> None:
    model = model_of(tmp_path, PLACES[place], HOSTILE[op], folder)
    if place == "graph" and op in ("PrintV2", "WriteFile"):
        model.run({"x": np.float32(0)}, ["y"])  # an order is no input: what is only waited for is left out
    else:
        with pytest.raises((ModelError, FeedError)) as caught:
            model.run({"x": np.float32(0)}, ["y"])
        assert op in str(caught.value) or (place == "dataset" and "a data pipeline" in str(caught.value))
        assert str(model.path) in str(caught.value)
    session = model.session()
    assert op not in {operation.type for operation in session.graph.get_operations()}
    assert os.listdir(folder) == ["secret"]
    model.close()


def test_a_vocabulary_is_read_from_the_folder_of_the_tests_and_from_nowhere_else(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lookup(x: Any, folder: Path) -> Any:
        table = raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        raw.InitializeTableFromTextFileV2(
            table_handle=table, filename=str(folder / "secret"), key_index=-2, value_index=-1
        )
        return raw.LookupTableFindV2(table_handle=table, keys=["secret"], default_value=np.int64(-7))

    model = model_of(tmp_path, in_graph, lookup, folder)
    monkeypatch.chdir(tmp_path)
    assert model.run({"x": np.float32(1)}, ["y"])["y"] == 1  # the number of the line
    model.close()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    with pytest.raises(ModelError, match=r"also runs InitializeTableFromTextFileV2 \("):
        model.run({"x": np.float32(1)}, ["y"])


def test_a_function_that_calls_itself_is_refused_before_tensorflow_sees_it(tmp_path: Path) -> None:
    definition = calling_itself()
    model = FrozenGraph(write_graph(definition, tmp_path / "m.pb"))
    with pytest.raises(ModelError, match=r"m\.pb cannot be run: function again calls itself"):
        model.run({"x": np.float32(1)}, ["y"])


def test_nor_does_what_a_report_shows_run_it(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        tf.nn.relu(v1.placeholder(tf.float32, [], name="x"), name="y")
    files = {
        "reference": {"frozen_graph": str(write_graph(graph.as_graph_def(), tmp_path / "right.pb"))},
        "export": {"frozen_graph": str(write_graph(calling_itself(), tmp_path / "m.pb"))},
    }
    stated = {**files, "outputs": ["y:0"], "inputs": {"x:0": {"random": {"shape": []}}}}
    spec = resolve(None, marker=stated, ini={}, options={}, root=tmp_path, name="m")
    result = check(spec, ModelStore(), details=True)
    assert result.verdict == "error"
    assert "function again calls itself" in str(result.error)
    assert result.details is not None


def calling_itself() -> Any:
    """A graph whose output is a call of a function that calls itself."""
    definition = v1.GraphDef()
    function = definition.library.function.add()
    function.signature.name = "again"
    function.signature.input_arg.add(name="x", type=1)
    function.signature.output_arg.add(name="y", type=1)
    function.ret["y"] = "call:output:0"
    definition.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    for call in (definition.node.add(name="y", input=["x"]), function.node_def.add(name="call", input=["x"])):
        call.op = "PartitionedCall"
        call.attr["f"].func.name = "again"
        call.attr["Tin"].list.type.append(1)
        call.attr["Tout"].list.type.append(1)
    return definition


TOUCHING = (
    "ReadFile", "WriteFile", "TextFile", "MatchingFiles", "FileReader", "FileSystem", "Dataset", "Iterator", "Reader",
    "Writer", "Debug", "Rpc", "Send", "Recv", "PyFunc", "Collective", "Nccl", "TPU", "Tpu", "Xla", "Queue", "Restore",
    "Save", "Load", "Infeed", "Outfeed", "Remote", "Stage", "Mutex", "Session",
)  # fmt: skip
"""Parts of names of ops that touch the machine."""


def test_no_op_whose_name_speaks_of_the_machine_computes() -> None:
    spoken = {op for op in registered_ops() if any(word in op for word in TOUCHING)}
    assert len(spoken) > 400
    assert {op for op in spoken if computes(op)} == {"DebugGradientIdentity", "DebugGradientRefIdentity"}


def test_what_networks_are_made_of_computes() -> None:
    for op in (
        "Conv2D",
        "FusedBatchNormV3",
        "RandomUniform",
        "While",
        "TensorArrayReadV3",
        "HashTableV2",
        "Assert",
    ):
        assert computes(op)
    assert computes("AnOpOfTheProject")
    assert not computes("_Recv")
