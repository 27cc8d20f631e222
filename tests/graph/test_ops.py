"""The table of ops against the TensorFlow that is installed."""

from __future__ import annotations

import pytest

from graph.op_registry import AGAINST, describe, registered_ops
from pytest_tfparity.graph import ops
from pytest_tfparity.graph.graph import DType, Node, Shape
from pytest_tfparity.graph.normal.walk import doubt


@pytest.fixture(scope="module")
def registry():
    return registered_ops()


def test_no_op_that_tensorflow_calls_stateful_counts_as_pure(registry):
    stateful = [name for name, op in registry.items() if op.is_stateful]
    assert len(stateful) > 300
    assert [name for name in stateful if (known := ops.registered(name)) and known.pure] == []


def test_no_op_that_writes_or_calls_counts_as_pure(registry):
    impure = [name for name, op in registry.items() if describe(op).get("impure")]
    assert [name for name in impure if (known := ops.registered(name)) and known.pure] == []


def test_defaults_and_outputs_are_those_of_tensorflow(registry):
    table = ops._table()
    checked = 0
    for name, op in registry.items():
        if name not in table:
            continue
        now, then = describe(op), table[name]
        assert now.get("output") == then.get("output"), name
        assert now.get("outputs") == then.get("outputs"), name
        for attr, default in now.get("defaults", {}).items():
            assert then.get("defaults", {}).get(attr, default) == default, (name, attr)
        checked += 1
    assert checked > 1000


def test_every_fact_against_a_proof_that_tensorflow_tells_is_known(registry):
    table = ops._table()
    for name, op in registry.items():
        if name in table:
            told = describe(op)
            assert [flag for flag in AGAINST if told.get(flag) and not table[name].get(flag)] == [], name
            assert told.get("commutes") or not table[name].get("commutes"), name


def test_an_op_that_only_tensorflow_knows_is_not_proven(registry):
    unknown = [name for name in registry if ops.registered(name) is None]
    assert unknown
    assert [name for name in unknown if doubt(Node("y", name)) is None] == []


def test_defaults_are_attributes():
    conv = ops.registered("Conv2D")
    assert conv is not None
    assert conv.defaults["dilations"] == (1, 1, 1, 1)
    assert conv.defaults["data_format"] == b"NHWC"
    placeholder, top = ops.registered("Placeholder"), ops.registered("TopKV2")
    assert placeholder is not None
    assert top is not None
    assert placeholder.defaults["shape"] == Shape(None)
    assert top.defaults["Tk"] == DType(3)
    assert ops.registered("DescrptSeA") is None


def test_outputs_are_counted_by_their_attributes():
    assert ops.ports("FusedBatchNormV3", "batch_variance", {}) == range(2, 3)
    assert ops.ports("Unpack", "output", {"num": 4}) == range(4)
    assert ops.ports("ParseExample", "sparse_values", {"Nsparse": 2, "sparse_types": (DType(1),)}) == range(
        2, 3
    )
    assert ops.ports(
        "ParseExample", "dense_values", {"Nsparse": 2, "sparse_types": (DType(1),), "Tdense": ()}
    ) == range(5, 5)
    assert ops.ports("ParseExample", "dense_values", {"Nsparse": 2}) is None
    assert ops.ports("Conv2D", "nothing", {}) is None
    assert ops.ports("Mystery", "output", {}) is None


SETS = {
    name: value
    for name, value in vars(ops).items()
    if isinstance(value, frozenset) and name.isupper() and not name.startswith("_")
}


@pytest.mark.parametrize("name", SETS)
def test_every_op_of_a_set_is_one_of_tensorflows(name):
    # Google's own variable, which tools that freeze graphs know, and an op of TensorFlow's graph optimiser.
    private = {"AutoReloadVariable", "_FusedBatchNormEx"}
    assert {op for op in SETS[name] if ops.registered(op) is None} <= private


@pytest.mark.parametrize("op", sorted(ops.PASS_THROUGH - {"ReadVariableOp"}))
def test_an_op_that_hands_its_input_on_has_as_many_outputs_as_inputs_that_it_hands_on(op):
    known = ops.registered(op)
    assert known is None or [count for _, count in known.outputs] == [""]


@pytest.mark.parametrize(
    "ask",
    [
        ops.is_random, ops.writes, ops.may_write, ops.wants_reference, ops.calls_python, ops.has_effect,
        ops.reads_data, ops.initialises_table, ops.function_attributes, ops.library_of,
    ],
)  # fmt: skip
def test_of_an_op_that_it_does_not_know_every_question_is_answered_with_nothing(ask):
    assert not ask("Mystery")


@pytest.mark.parametrize(
    ("op", "facts"),
    [
        ("RandomUniform", "is_random"),
        ("StatefulStandardNormalV2", "is_random may_write"),
        ("StatelessRandomUniform", ""),
        ("StatefulPartitionedCall", ""),
        ("AssignAdd", "writes may_write wants_reference has_effect"),
        ("AssignVariableOp", "writes may_write has_effect"),
        ("ReadVariableOp", ""),
        ("RefSwitch", "wants_reference"),
        ("PyFunc", "calls_python has_effect"),
        ("WriteFile", "writes has_effect"),
        ("IteratorGetNext", "may_write reads_data"),
        ("InitializeTableV2", "writes may_write initialises_table has_effect"),
        ("Conv2D", ""),
    ],
)
def test_what_is_known_of_an_op(op, facts):
    asked = (
        "is_random", "writes", "may_write", "wants_reference", "calls_python", "has_effect", "reads_data",
        "initialises_table",
    )  # fmt: skip
    assert [name for name in asked if getattr(ops, name)(op)] == [
        name for name in asked if name in facts.split()
    ]
