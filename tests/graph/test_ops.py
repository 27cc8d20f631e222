"""The table of ops against the TensorFlow that is installed."""

from __future__ import annotations

import pytest

from op_registry import describe, registered_ops
from pytest_tfparity.graph import ops
from pytest_tfparity.graph.graph import DType, Shape


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
    assert ops.first_port("FusedBatchNormV3", "batch_variance", {}) == 2
    assert ops.first_port("Unpack", "output", {"num": 4}) == 0
    assert ops.first_port("ParseExample", "sparse_values", {"Nsparse": 2}) == 2
    assert ops.first_port("ParseExample", "dense_values", {"Nsparse": 2, "sparse_types": (DType(1),)}) == 5
    assert ops.first_port("ParseExample", "dense_values", {"Nsparse": 2}) is None
    assert ops.first_port("Conv2D", "nothing", {}) is None
    assert ops.first_port("Mystery", "output", {}) is None
