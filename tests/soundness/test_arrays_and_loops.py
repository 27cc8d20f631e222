"""Arrays, loops and dead branches: the order that control inputs alone set."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pytest_tfparity.graph.graph import tensor_name
from pytest_tfparity.graph.live import liveness
from soundness.pairs import Written, differ, prove, written

v1 = tf.compat.v1
X = np.float32([2.0, 3.0])


def _array(order: str, *, read: bool) -> Written:
    """The size of an array before or after x is written to it, by control inputs alone; ``read`` x from it, too."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        handle, start = tf.raw_ops.TensorArrayV3(
            size=1, dtype=tf.float32, clear_after_read=False, dynamic_size=True
        )
        size = tf.raw_ops.TensorArraySizeV3(handle=handle, flow_in=start)
        flow = tf.raw_ops.TensorArrayWriteV3(handle=handle, index=3, value=x, flow_in=start)
        first, then = (size, flow) if order == "size first" else (flow, size)
        then.op._add_control_input(first.op)
        value = tf.raw_ops.TensorArrayReadV3(handle=handle, index=3, flow_in=flow, dtype=tf.float32)
        with tf.control_dependencies([flow]):
            tf.multiply(value if read else x, tf.cast(size, tf.float32), "y")

    return written(build)


@pytest.mark.parametrize("read", [True, False])
def test_the_order_of_an_arrays_size_and_a_write_counts(read: bool) -> None:
    differ(_array("size first", read=read), _array("write first", read=read), X)


def _inplace(after: bool, op: str, *, used: bool) -> Written:
    """``y`` reads a tensor before or after that is updated in place; ``used``: the update's result counts, too."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        base = tf.stack([x, x])
        updated = getattr(tf.raw_ops, op)(x=base, i=[0], v=tf.expand_dims(x * 100.0, 0))
        y = tf.raw_ops.AddV2(x=base, y=tf.ones([2, 2]))
        first, then = (updated, y) if after else (y, updated)
        then.op._add_control_input(first.op)
        with tf.control_dependencies([updated]):
            tf.multiply(y, updated if used else 2.0, "y")

    return written(build)


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("op", ["InplaceUpdate", "InplaceAdd", "InplaceSub"])
def test_an_update_in_place_that_a_control_input_puts_before_a_read_counts(op: str, used: bool) -> None:
    differ(_inplace(True, op, used=used), _inplace(False, op, used=used), X)


def _merge(dead: bool) -> Written:
    """A Merge of two sides, with a control input from a branch that is dead."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        flag = v1.placeholder(tf.bool, [], "flag")
        no, yes = tf.raw_ops.Switch(data=x, pred=flag)
        once = tf.raw_ops.Identity(input=yes * 2.0)
        merged = tf.raw_ops.Merge(inputs=[no, once])
        node = merged[0].op
        if dead:
            node._add_control_input(once.op)
        tf.identity(merged[0], "y")

    return written(build, inputs=("x", "flag"))


@pytest.mark.parametrize("flag", [False, True])
def test_a_merge_waits_for_a_dead_control_input_and_lives(flag: bool) -> None:
    with_control, without = _merge(True), _merge(False)
    (got,), (expected,) = with_control.run(X, np.bool_(flag)), without.run(X, np.bool_(flag))
    assert np.array_equal(got, expected)
    fed = {tensor_name("flag"): np.bool_(flag)}
    known = liveness(with_control.graph, [tensor_name("y")], inputs=[tensor_name("x")], feeds=fed)
    assert not known.is_dead(tensor_name("y"))
    assert prove(with_control.side, without.side).proven


def _parallel(iterations: int) -> Written:
    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        found = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * 2.0), [tf.constant(0), x])
        tf.identity(found[1], "y")

    made = written(build)
    for node in made.definition.node:
        if node.op == "Enter":
            node.attr["parallel_iterations"].i = iterations
    return made


def test_a_loop_with_no_parallel_iteration_is_none_that_runs() -> None:

    assert prove(_parallel(10).side, _parallel(3).side).proven
    assert not prove(_parallel(10).side, _parallel(0).side).proven


@pytest.mark.parametrize("node", ["while/Identity_1", "while/Merge_1", "while/Exit_1"])
def test_a_node_of_a_loop_that_waits_for_what_enters_once_does_not_run_in_each_turn(node: str) -> None:
    right, wrong = _parallel(10), _parallel(10)
    next(each for each in wrong.definition.node if each.name == node).input.append("^while/Enter")
    assert np.array_equal(right.run(X)[0], X * 8)
    with pytest.raises(tf.errors.InvalidArgumentError):
        wrong.run(X)
    assert not prove(right.side, wrong.side).proven
