"""Writes that a read can be ordered after: none is proven away, and TensorFlow shows that it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from soundness.pairs import Written, differ, written

v1 = tf.compat.v1
FLAG = np.bool_(True)
X = np.float32([2.0, 3.0])


def variable(resource: bool = True) -> Any:
    return v1.get_variable("v", initializer=np.float32(3.0), use_resource=resource, dtype=tf.float32)


def read_after(
    write: Callable[[Any, Any], Any], *, resource: bool = True, functional: bool = True
) -> Written:
    """``y = x * v``, read after what ``write`` makes of the variable and the flag."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        flag = v1.placeholder(tf.bool, [], "flag")
        v = variable(resource)
        done = write(v, flag)
        with tf.control_dependencies([done]):
            m = v.read_value()
        tf.multiply(x, m, "y")

    return written(build, inputs=("x", "flag"), variables={"v": np.float32(3.0)}, functional=functional)


def constant() -> Written:
    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        v1.placeholder(tf.bool, [], "flag")
        tf.multiply(x, tf.constant(np.float32(3.0)), "y")

    return written(build, inputs=("x", "flag"))


def _cond(v: Any, flag: Any) -> Any:
    return tf.cond(flag, lambda: v.assign(9.0).read_value(), v.read_value)


def _case(v: Any, flag: Any) -> Any:
    index = tf.cast(flag, tf.int32)
    return tf.switch_case(index, [v.read_value, lambda: v.assign(9.0).read_value()])


def _while(v: Any, flag: Any) -> Any:
    def body(index: Any) -> Any:
        with tf.control_dependencies([tf.cond(flag, lambda: v.assign(9.0).read_value(), v.read_value)]):
            return index + 1

    return tf.identity(tf.while_loop(lambda index: index < 1, body, [tf.constant(0)])[0])


def _call(v: Any, flag: Any) -> Any:
    @tf.function
    def write(flag: Any) -> Any:
        return tf.cond(flag, lambda: v.assign(9.0).read_value(), v.read_value)

    return write(flag)


@pytest.mark.parametrize("write", [_cond, _case, _while, _call])
def test_a_write_inside_of_a_function_that_only_a_control_input_reaches_counts(
    write: Callable[[Any, Any], Any],
) -> None:
    differ(read_after(write), constant(), X, FLAG)


@pytest.mark.parametrize("write", [_cond, _while])
def test_a_write_inside_of_a_lowered_conditional_that_only_a_control_input_reaches_counts(
    write: Callable[[Any, Any], Any],
) -> None:
    differ(read_after(write, functional=False), constant(), X, FLAG)


def _ref_select(v: Any, flag: Any) -> Any:
    other = v1.get_variable("other", initializer=np.float32(0.0), use_resource=False)
    chosen = tf.raw_ops.RefSelect(index=tf.cast(flag, tf.int32), inputs=[other._ref(), v._ref()])
    return tf.raw_ops.Assign(ref=chosen, value=9.0).op


def test_a_write_through_a_chosen_reference_counts() -> None:
    reference = read_after(_ref_select, resource=False)
    with_other = Written(
        definition=reference.definition,
        inputs=reference.inputs,
        outputs=reference.outputs,
        variables={"v": np.float32(3.0), "other": np.float32(0.0)},
    )
    differ(with_other, constant(), X, FLAG)


def _carried(carry: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def write(v: Any, flag: Any) -> Any:
        return tf.raw_ops.AssignVariableOp(resource=carry(v.handle), value=np.float32(9.0))

    return write


CARRIERS: dict[str, Callable[[Any], Any]] = {
    "Identity": tf.identity,
    "Pack and Unpack": lambda handle: tf.unstack(tf.stack([handle, handle]))[1],
    "Reshape": lambda handle: tf.reshape(tf.reshape(handle, [1]), []),
    "ExpandDims and Squeeze": lambda handle: tf.squeeze(tf.expand_dims(handle, 0)),
    "GatherV2": lambda handle: tf.gather(tf.stack([handle, handle]), 1),
    "StridedSlice": lambda handle: tf.stack([handle, handle])[1],
    "IdentityN": lambda handle: tf.raw_ops.IdentityN(input=[handle, tf.constant(0)])[0],
}


@pytest.mark.parametrize("name", CARRIERS)
def test_a_write_through_a_handle_that_was_passed_on_counts(name: str) -> None:
    differ(read_after(_carried(CARRIERS[name])), constant(), X, FLAG)


def test_a_write_through_a_handle_that_a_conditional_returns_counts() -> None:
    def write(v: Any, flag: Any) -> Any:
        handle = tf.cond(flag, lambda: tf.identity(v.handle), lambda: tf.identity(v.handle))
        return tf.raw_ops.AssignVariableOp(resource=handle, value=np.float32(9.0))

    differ(read_after(write), constant(), X, FLAG)
