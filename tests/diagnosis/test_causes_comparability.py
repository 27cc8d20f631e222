"""Causes that keep two sides from being compared, each on graphs that show it and on graphs that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.compared import BATCH, Build, compare, dense, only
from pytest_tfparity.reports.terminal import report

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


def plain() -> None:
    x = v1.placeholder(tf.float32, [None, 6], "x")
    tf.identity(dense(tf.nn.relu(dense(x, "hidden", 5))), "y")


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
def test_variables_that_the_outputs_need_are_named_and_the_checkpoints_values_put_in(
    tmp_path: Path, resource: bool
) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        with v1.variable_scope("fc"):
            kernel = v1.get_variable("kernel", (6, 3), use_resource=resource)
        tf.matmul(x, kernel, name="y")

    result = compare(tmp_path, build, frozen=False)
    finding = only(result)
    assert result.verdict == "error"
    assert (finding.cause, finding.certainty) == ("export-not-frozen", "proven")
    assert (finding.nodes, finding.scopes) == (("fc/kernel",), ("fc",))
    assert "model.pb is not frozen: 1 variable is left in it (fc/kernel), without a value" in finding.message
    assert "export-not-frozen   proven" in "\n".join(report(result))


def test_variables_that_no_output_needs_are_no_fault(tmp_path: Path) -> None:
    def change(graph: Any) -> None:
        node = graph.node.add(name="left_over", op="VariableV2")
        node.attr["dtype"].type = 1
        node.attr["shape"].shape.SetInParent()

    result = compare(tmp_path, plain, change=change)
    assert (result.verdict, result.findings) == ("proven", ())


def _assigning(graph: Any) -> None:
    """Leave an update of a frozen weight in the file, as contrib's batch norm does."""
    switch = graph.node.add(name="fc/update/Switch", op="RefSwitch", input=["fc/bias", "fc/never"])
    switch.attr["T"].type = 1
    never = graph.node.add(name="fc/never", op="Const")
    never.attr["dtype"].type = 10
    never.attr["value"].tensor.dtype = 10
    never.attr["value"].tensor.bool_val.append(False)
    never.attr["value"].tensor.tensor_shape.SetInParent()
    update = graph.node.add(name="fc/update", op="AssignSub", input=["fc/update/Switch:1", "fc/bias"])
    update.attr["T"].type = 1


def test_a_file_that_tensorflow_refuses_fails_although_its_outputs_are_right(tmp_path: Path) -> None:
    result = compare(tmp_path, plain, change=_assigning)
    finding = only(result)
    assert result.verdict == "fail"
    assert finding.cause == "pb-unloadable-ref-edges"
    assert (finding.nodes, finding.scopes) == (("fc/update/Switch", "fc/update"), ("fc",))
    assert "RefSwitch fc/update/Switch wants a reference to fc/bias" in " ".join(
        map(str.strip, report(result))
    )
    whole = v1.GraphDef.FromString((tmp_path / "model.pb").read_bytes())
    with tf.Graph().as_default(), pytest.raises(ValueError, match="incompatible with expected float_ref"):
        tf.import_graph_def(whole)


def test_a_wrong_export_that_tensorflow_refuses_gets_both_findings(tmp_path: Path) -> None:
    def other() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        tf.identity(dense(tf.nn.relu6(dense(x, "hidden", 5))), "y")

    result = compare(tmp_path, plain, other, change=_assigning, batch=BATCH * 100)
    assert {"pb-unloadable-ref-edges", "graph-op-differs"} <= {finding.cause for finding in result.findings}


@pytest.mark.parametrize("both", [True, False], ids=["on both sides", "in the export"])
def test_an_op_that_tensorflow_does_not_know_is_named(tmp_path: Path, both: bool) -> None:
    def unknown(graph: Any) -> None:
        for node in graph.node:
            if node.op == "Relu":
                node.op = "FancyRelu"

    def change(graph: Any) -> None:
        unknown(graph)
        if both:
            path = tmp_path / "model.meta"
            meta = v1.MetaGraphDef.FromString(path.read_bytes())
            unknown(meta.graph_def)
            path.write_bytes(meta.SerializeToString())

    result = compare(tmp_path, plain, change=change)
    finding = only(result)
    assert result.verdict == "error"
    assert finding.cause == "unregistered-op"
    assert finding.nodes == ("Relu",)
    assert "FancyRelu (Relu), which this TensorFlow does not know" in finding.message
    assert bool(finding.evidence) is both


def test_a_reference_that_changes_when_run_is_named_with_what_it_changes(tmp_path: Path) -> None:
    def moving(training: bool = True) -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        with v1.variable_scope("range"):
            most = v1.get_variable("max", initializer=1.0, use_resource=False)
        used = v1.assign(most, tf.maximum(most, tf.reduce_max(x)), name="range/Assign") if training else most
        tf.minimum(dense(x), used, name="y")

    result = compare(tmp_path, moving, lambda: moving(False))
    finding = only(result)
    assert result.verdict == "error"
    assert (finding.cause, finding.certainty) == ("stateful-reference", "decisive")
    assert (finding.nodes, finding.scopes) == (("range/Assign",), ("range",))
    assert "which changes range/max" in finding.message


def test_nan_on_both_sides_is_no_parity_and_the_weight_is_named(tmp_path: Path) -> None:
    result = compare(tmp_path, plain, values={"fc/bias": np.float32([0, np.nan, 1])})
    finding = only(result)
    assert result.verdict == "fail"
    assert finding.cause == "nan-in-both"
    assert (finding.nodes, finding.scopes) == (("fc/bias",), ("fc",))
    assert (
        "4 of 12 values are NaN on both sides: that is no parity. fc/bias in the checkpoint"
        in finding.message
    )


def test_nan_that_both_sides_make_is_placed_where_it_arises(tmp_path: Path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        tf.identity(dense(tf.math.log(x, name="level/log")), "y")

    finding = only(compare(tmp_path, build, run="always"))
    assert (finding.cause, finding.nodes, finding.scopes) == ("nan-in-both", ("level/log",), ("level",))


def test_nan_is_allowed_where_the_check_says_so(tmp_path: Path) -> None:
    values = {"fc/bias": np.float32([0, np.nan, 1])}
    result = compare(tmp_path, plain, values=values, equal_nan=True, health="ignore")
    assert (result.verdict, result.findings) == ("proven", ())


@pytest.mark.parametrize("guard", ["constant", "op"])
def test_the_first_node_that_makes_nan_is_named_and_its_guard_put_back(tmp_path: Path, guard: str) -> None:
    def build(right: bool) -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        power = tf.square(x)
        if guard == "constant":
            power = tf.add(power, 1e-2 if right else 0.0, name="level/add")
        elif right:
            power = tf.maximum(power, 1e-2, name="level/floor")
        tf.identity(dense(tf.math.log(power, name="level/log")), "y")

    silent = BATCH.copy()
    silent[0, 0] = 0.0
    if guard == "op":  # the same everywhere but in the silent place
        silent = np.sign(silent)
    finding = only(compare(tmp_path, lambda: build(True), lambda: build(False), batch=silent))
    assert (finding.cause, finding.certainty) == ("non-finite", "proven")
    assert (finding.nodes, finding.scopes) == (("level/log",), ("level",))


def _flattened(rows: int) -> Build:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        square = tf.reshape(x, [-1, 2, 3])
        flat = tf.reshape(square, [rows, 6 if rows < 0 else -1], name="squash/flat")
        tf.identity(dense(tf.ensure_shape(flat[:, :6], [None, 6])), "y")

    return build


def test_a_batch_size_in_a_shape_is_named_and_opened(tmp_path: Path) -> None:
    result = compare(tmp_path, _flattened(-1), _flattened(1))
    finding = only(result)
    assert result.verdict == "fail"
    assert (finding.cause, finding.certainty) == ("batch-dim-pinned", "proven")
    assert (finding.nodes, finding.scopes) == (("squash/flat",), ("squash",))
    assert "fixes the batch to 1 row" in finding.message


def test_a_batch_size_that_stops_the_run_is_named_too(tmp_path: Path) -> None:
    def build(rows: int) -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        tf.identity(dense(tf.reshape(tf.reshape(x, [-1, 2, 3]), [rows, 6], name="squash/flat")), "y")

    result = compare(tmp_path, lambda: build(-1), lambda: build(1))
    finding = only(result)
    assert result.verdict == "error"
    assert (finding.cause, finding.certainty) == ("batch-dim-pinned", "proven")
    assert finding.nodes == ("squash/flat",)


def test_a_placeholder_that_takes_another_number_of_rows_is_named(tmp_path: Path) -> None:
    def build(rows: int | None) -> None:
        x = v1.placeholder(tf.float32, [rows, 6], "x")
        tf.identity(tf.nn.softmax(dense(x), axis=0 if rows else 1), "y")

    result = compare(tmp_path, lambda: build(None), lambda: build(3))
    finding = only(result)
    assert result.verdict == "error"
    assert (finding.cause, finding.nodes) == ("batch-dim-pinned", ("x",))
    assert "takes batches of exactly 3; the golden batch has 4 rows" in finding.message


def _normalised(axis: int | None) -> Build:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        tf.identity(dense(x), "y")
        strength = tf.square(dense(x, "map"))
        peak = tf.reduce_max(strength, axis=axis, keepdims=True, name="view/peak")
        tf.identity(strength / (peak + 1e-6), "view/map")

    return build


def test_an_output_that_couples_the_batch_is_named_with_its_reduction(tmp_path: Path) -> None:
    result = compare(tmp_path, _normalised(1), _normalised(None), outputs=("y:0", "view/map:0"))
    finding = only(result)
    assert (finding.cause, finding.certainty) == ("output-couples-batch", "proven")
    assert (finding.nodes, finding.scopes) == (("view/peak",), ("view",))
    assert "view/map:0" in finding.message
    assert "y:0 of" not in finding.message.replace("view/map:0 of", "")
    assert "A row alone differs" in finding.evidence[0]


def test_another_axis_of_one_row_couples_nothing(tmp_path: Path) -> None:
    def build(axis: int) -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        grid = tf.reshape(dense(x, units=6), [-1, 2, 3])
        tf.reduce_max(grid / tf.reduce_sum(tf.square(grid), axis=axis, keepdims=True), axis=[1, 2], name="y")

    result = compare(tmp_path, lambda: build(1), lambda: build(2))
    assert result.verdict == "fail"
    assert "output-couples-batch" not in {finding.cause for finding in result.findings}
