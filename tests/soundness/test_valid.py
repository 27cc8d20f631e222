"""What is said of a node that TensorFlow refuses, against what TensorFlow's importer does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from pytest_tfparity.graph.signatures import signature
from pytest_tfparity.graph.valid import flaws
from soundness.mutants import KINDS, mutant
from soundness.networks import FAMILIES, network
from soundness.pairs import Written, prove
from soundness.signatures import describe, read, registered_ops

TABLE = Path(__file__).parents[2] / "pytest_tfparity" / "graph" / "signatures.tsv"


IMPORTED = [kind for kind in KINDS if kind not in ("arity", "lowering")]
"""Kinds of mutation that TensorFlow answers to, and that can be refused: a Merge without inputs ends its process."""


def imported(definition: Any) -> bool:
    """Whether TensorFlow imports a graph."""
    with tf.Graph().as_default():
        try:
            tf.import_graph_def(definition, name="")
        except (ValueError, KeyError, TypeError, tf.errors.OpError):
            return False
    return True


def imported_apart(definitions: Sequence[Any], folder: Path) -> list[bool]:
    """Whether TensorFlow imports each of several graphs, in a process that it may end."""
    for number, definition in enumerate(definitions):
        (folder / f"{number}.pb").write_bytes(definition.SerializeToString())
    answers: list[bool] = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    while len(answers) < len(definitions):
        command = [sys.executable, "-m", "soundness.test_valid", str(folder), str(len(answers))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        answers += [line == "imported" for line in done.stdout.split()]
        if done.returncode:
            answers.append(False)  # the one that it ended with
    return answers


def test_a_flaw_of_the_number_of_inputs_is_one_to_tensorflow_too(tmp_path: Path) -> None:
    flawed, told = [], []
    for family in FAMILIES:
        model, dice = network(family, 1), random.Random(family)
        for _ in range(12):
            found = mutant(model, dice, ["arity"])
            if found is not None and (flaw := next(flaws(found.model.graph), None)) is not None:
                flawed.append(found.model.definition)
                told.append(f"{family}: {flaw}")
    assert len(flawed) >= 100
    answers = imported_apart(flawed, tmp_path)
    assert [flaw for flaw, was_imported in zip(told, answers, strict=True) if was_imported] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_that_tensorflow_wrote_has_no_flaw(family: str) -> None:
    for seed in range(4):
        assert list(flaws(network(family, seed).graph)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_flaw_is_one_to_tensorflow_too(family: str) -> None:
    model, dice = network(family, 1), random.Random(family)
    told = 0
    for _ in range(120):
        found = mutant(model, dice, IMPORTED)
        if found is not None and (flaw := next(flaws(found.model.graph), None)) is not None:
            assert not imported(found.model.definition), f"{found.kind}: {flaw}"
            told += 1
    assert told >= 5


def changed(change: Any, family: str = "dense", seed: int = 0) -> str:
    """What is said of a network once ``change`` was made to its GraphDef, which TensorFlow refuses then."""
    model = network(family, seed)
    nodes = {node.op: node for node in reversed(model.definition.node)}
    change(nodes)
    assert not imported(model.definition)
    (flaw, *_) = flaws(Written(definition=model.definition, inputs=("x",), outputs=("y",)).graph)
    return str(flaw)


def test_each_flaw_is_said() -> None:
    assert (
        changed(lambda nodes: nodes["MatMul"].attr.__delitem__("T"))
        == "MatMul (matmul) lacks its attribute T"
    )
    assert "has transpose_a that is no bool" in changed(
        lambda nodes: nodes["MatMul"].attr["transpose_a"].CopyFrom(tf.compat.v1.AttrValue(i=1))
    )
    assert "has T string, which the op does not allow" in changed(
        lambda nodes: nodes["MatMul"].attr["T"].CopyFrom(tf.compat.v1.AttrValue(type=7))
    )
    assert "reads x:0 as double, and it is float" in changed(
        lambda nodes: nodes["MatMul"].attr["T"].CopyFrom(tf.compat.v1.AttrValue(type=2))
    )
    assert (
        changed(lambda nodes: nodes["MatMul"].input.append("x")) == "MatMul (matmul) takes 2 inputs and has 3"
    )
    assert "reads nothing:0, which is not in the graph" in changed(
        lambda nodes: nodes["MatMul"].input.__setitem__(0, "nothing")
    )
    assert "waits for nothing, which is not in the graph" in changed(
        lambda nodes: nodes["MatMul"].input.append("^nothing")
    )
    assert "reads x:3, and Placeholder has 1 outputs" in changed(
        lambda nodes: nodes["MatMul"].input.__setitem__(0, "x:3")
    )


def test_a_cycle_through_control_inputs_and_a_place_beside_nothing_are_flaws() -> None:
    assert "waits for itself" in changed(lambda nodes: nodes["Const"].input.append("^matmul_1"))
    beside = tf.compat.v1.AttrValue()
    beside.list.s.append(b"loc:@nothing")
    told = changed(lambda nodes: nodes["MatMul"].attr["_class"].CopyFrom(beside))
    assert told == "A node (nothing) is not in the graph, and others are to be placed beside it"


def altered(change: Callable[[Any], None]) -> Written:
    """A network with ``change`` made to its GraphDef."""
    model = network("dense", 0)
    definition = tf.compat.v1.GraphDef()
    definition.CopyFrom(model.definition)
    change(definition)
    return replace(model, definition=definition)


def said_of(change: Callable[[Any], None]) -> list[str]:
    """The flaws of a network with ``change`` made to it; TensorFlow imports it if there is none, and else does not."""
    model = altered(change)
    found = [str(flaw) for flaw in flaws(model.graph)]
    assert imported(model.definition) == (not found)
    return found


def runs(definition: Any) -> bool:
    """Whether a session of this machine alone runs ``y`` of a graph, as those do that programs ask for by default."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with v1.Session(graph=graph, config=v1.ConfigProto(allow_soft_placement=True)) as session:
            try:
                session.run("y:0", {"x:0": [1.0]})
            except tf.errors.InvalidArgumentError:
                return False
    return True


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("/gpu:7", True),
        ("/device:TPU:0", True),
        ("/job:localhost/replica:0/task:0/device:GPU:0", True),
        ("/job:*/device:CPU:0", True),
        ("/task:0", True),
        ("/job:ps/task:1/device:GPU:0", False),
        ("/job:localhosts", False),
        ("/job:localhost/task:1", False),
        ("/replica:3/cpu:0", False),
        ("/task:10", False),
    ],
)
def test_a_device_of_another_process_is_a_flaw_as_it_is_to_a_session(name: str, own: bool) -> None:
    with tf.Graph().as_default() as graph:
        tf.nn.relu(tf.compat.v1.placeholder(tf.float32, [1], name="x"), name="y")
    definition = graph.as_graph_def()
    definition.node[1].device = name
    assert runs(definition) is own
    found = list(flaws(Written(definition=definition, inputs=("x",), outputs=("y",)).graph))
    said = f"Relu (y) is to run on {name!r}, in another process than the one that loads the file"
    assert [str(flaw).partition(";")[0] for flaw in found] == ([] if own else [said])
    assert {flaw.refuses for flaw in found} <= {"run"}


def test_a_device_that_is_none_is_a_flaw_and_one_that_a_machine_lacks_is_not() -> None:
    def device(name: str) -> Callable[[Any], None]:
        return lambda definition: setattr(definition.node[0], "device", name)

    (said,) = said_of(device("x"))
    assert said.endswith("is to run on 'x', which is the name of no device")
    for name in ("/gpu:7", "cpu:0", "/", "/device:XLA_CPU:0"):
        assert said_of(device(name)) == []


def test_the_device_of_a_node_that_is_placed_beside_another_is_not_read() -> None:
    def beside(definition: Any) -> None:
        definition.node[1].device = "x"
        definition.node[1].attr["_class"].list.s.append(b"loc:@" + definition.node[0].name.encode())

    assert said_of(beside) == []


@pytest.mark.parametrize(
    ("dims", "right"),
    [
        ([-5, 3], False),
        ([2**31, 2**31, 4], False),
        ([1] * 255, False),
        ([2**62, 2, 0], False),
        ([0, 2**62, 2**62], True),
        ([-1, 2**62, 2**62], True),
    ],
    ids=["negative", "large", "deep", "large before empty", "empty before large", "unknown"],
)
def test_a_shape_that_no_tensor_can_have_is_a_flaw(dims: list[int], right: bool) -> None:
    def placeholder(definition: Any) -> None:
        node = definition.node.add(name="aside", op="Placeholder")
        node.attr["dtype"].type = 1
        for size in dims:
            node.attr["shape"].shape.dim.add(size=size)

    assert said_of(placeholder) == ([] if right else ["Placeholder (aside) has shape that is no shape"])


def test_a_list_without_a_value_is_an_empty_one_and_a_type_without_one_is_a_flaw() -> None:
    def convolution(name: str) -> Any:
        with tf.Graph().as_default() as graph:
            x = tf.compat.v1.placeholder(tf.float32, [1, 4, 4, 1], name="x")
            tf.nn.conv2d(x, tf.ones([1, 1, 1, 1]), 1, "SAME", name="y")
        definition = graph.as_graph_def()
        node = next(each for each in definition.node if each.op == "Conv2D")
        node.attr[name].CopyFrom(tf.compat.v1.AttrValue())
        return Written(definition=definition, inputs=("x",), outputs=("y",))

    empty, lacking = convolution("explicit_paddings"), convolution("T")
    assert imported(empty.definition)
    assert list(flaws(empty.graph)) == []
    assert not imported(lacking.definition)
    assert [str(flaw) for flaw in flaws(lacking.graph)] == ["Conv2D (y) has T that is no type"]
    for name in (
        "data_format",
        "use_cudnn_on_gpu",
        "dilations",
    ):  # for which Python's importer puts the default
        unset = convolution(name)
        assert imported(unset.definition)
        assert list(flaws(unset.graph)) == []


def test_a_function_that_stands_where_an_op_does_and_a_version_below_zero_are_flaws() -> None:
    def function(name: str) -> Callable[[Any], None]:
        return lambda definition: setattr(definition.library.function.add().signature, "name", name)

    assert said_of(function("Relu")) == ["function Relu has the name of an op"]
    assert said_of(function("MyRelu")) == []
    said = said_of(lambda definition: setattr(definition.versions, "producer", -1))
    assert said == ["it has a negative version"]


def test_what_some_tensorflow_alone_reads_is_not_proven() -> None:
    def consumer(version: int) -> Callable[[Any], None]:
        return lambda definition: setattr(definition.versions, "min_consumer", version)

    plain = network("dense", 0).side
    assert prove(plain, altered(consumer(12)).side).proven  # as graphs with functions have it
    later, excluding = (
        altered(consumer(10**6)),
        altered(lambda each: each.versions.bad_consumers.append(2474)),
    )
    assert not imported(later.definition)
    assert prove(plain, later.side).reason == (
        "the graph is for readers of version 1000000 of the format and later in the export"
    )
    assert not prove(plain, excluding.side).proven


def test_a_function_that_is_there_twice_is_not_proven() -> None:
    def twice(definition: Any) -> None:
        for _ in range(2):
            definition.library.function.add().signature.name = "f"

    assert (
        prove(network("dense", 0).side, altered(twice).side).reason
        == "function f is there twice in the export"
    )


def test_the_table_is_that_of_the_installed_tensorflow() -> None:
    table = read(TABLE)
    checked = 0
    for name, op in registered_ops().items():
        now, then = describe(op), table.get(name)
        if then is None or (now["inputs"], now["outputs"]) != (then["inputs"], then["outputs"]):
            continue  # a test op of this build, or an op that has grown since
        for attr in (
            now["attrs"].keys() & then["attrs"].keys()
        ):  # an older TensorFlow has some that are gone since
            assert then["attrs"][attr]["kind"] == now["attrs"][attr]["kind"], (name, attr)
        checked += 1
    assert checked > 1200


def test_an_unknown_op_has_no_signature() -> None:
    assert signature("NoSuchOp") is None
    assert signature("Conv2") is None


if __name__ == "__main__":
    for number in range(int(sys.argv[2]), len(list(Path(sys.argv[1]).iterdir()))):
        graph = tf.compat.v1.GraphDef.FromString(Path(sys.argv[1], f"{number}.pb").read_bytes())
        print("imported" if imported(graph) else "refused", flush=True)
