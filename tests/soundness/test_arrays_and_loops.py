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


def _array(order: str) -> Written:
    """An array of one element that is written with x and with 2x, in an order that control inputs set."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        made = tf.raw_ops.TensorArrayV3(size=1, dtype=tf.float32, clear_after_read=False, dynamic_size=True)
        size = tf.raw_ops.TensorArraySizeV3
        if order == "size before":
            before = size(handle=made[0], flow_in=made[1])
            with tf.control_dependencies([before]):
                flow = tf.raw_ops.TensorArrayWriteV3(handle=made[0], index=3, value=x, flow_in=made[1])
        else:
            flow = tf.raw_ops.TensorArrayWriteV3(handle=made[0], index=3, value=x, flow_in=made[1])
            with tf.control_dependencies([flow]):
                before = size(handle=made[0], flow_in=made[1])
        with tf.control_dependencies([flow]):
            tf.multiply(x, tf.cast(before, tf.float32), "y")

    return written(build)


def test_the_order_of_an_arrays_size_and_a_write_counts() -> None:
    differ(_array("size before"), _array("size after"), X)


def _inplace(after: bool) -> Written:
    """``y`` reads a tensor before or after it is updated in place."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        base = tf.raw_ops.DeepCopy(x=tf.stack([x, x]))
        updated = tf.raw_ops.InplaceUpdate(x=base, i=[0], v=tf.expand_dims(x * 100.0, 0))
        with tf.control_dependencies([updated] if after else []):
            y = tf.raw_ops.AddV2(x=base, y=tf.zeros_like(base))
        if not after:
            with tf.control_dependencies([y]):
                tf.identity(x)
        tf.identity(y, "y")

    return written(build)


def test_an_update_in_place_that_a_control_input_puts_before_a_read_counts() -> None:
    differ(_inplace(True), _inplace(False), X)


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
