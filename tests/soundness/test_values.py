"""Constants and predicates: what TensorFlow makes of them, not what IEEE arithmetic would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from soundness.pairs import Written, differ, prove, written

v1 = tf.compat.v1
X = np.float32([2.0, 3.0])
SUBNORMAL = np.float32(1e-40)


def chosen(predicate: Any, *, functional: bool) -> Written:
    """``y`` is ``x * 2`` where the predicate holds, else ``x * 3``."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        y = tf.cond(predicate(), lambda: x * 2.0, lambda: x * 3.0)
        tf.identity(y, "y")

    return written(build, functional=functional)


def plain(factor: float) -> Written:
    def build() -> None:
        tf.identity(v1.placeholder(tf.float32, [2], "x") * factor, "y")

    return written(build)


COMPARISONS = {
    "greater than zero": lambda: tf.greater(tf.constant(SUBNORMAL), 0.0),
    "not equal to zero": lambda: tf.not_equal(tf.constant(SUBNORMAL), 0.0),
    "zero below": lambda: tf.less(tf.constant(np.float32(0.0)), SUBNORMAL),
    "a product that is flushed before it is rounded up to a normal number": lambda: tf.greater(
        tf.constant(np.float32((1 + 2**-12) * 2.0**-63)) * np.float32((1 - 2**-12) * 2.0**-63), 0.0
    ),
    "at least a subnormal": lambda: tf.logical_not(tf.greater_equal(tf.constant(np.float32(0.0)), SUBNORMAL)),
}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("functional", [True, False])
def test_a_comparison_of_subnormal_numbers_is_not_decided_before_it_is_run(
    name: str, functional: bool
) -> None:
    computed = chosen(COMPARISONS[name], functional=functional)
    (got,) = computed.run(X)
    other = 3.0 if np.array_equal(got, X * np.float32(2.0)) else 2.0
    differ(computed, plain(other), X)


def test_a_subnormal_number_as_the_condition_of_an_if_is_not_decided() -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")

        @tf.function
        def two(x: Any) -> Any:
            return x * 2.0

        @tf.function
        def three(x: Any) -> Any:
            return x * 3.0

        spec = tf.TensorSpec([2], tf.float32)
        then, otherwise = two.get_concrete_function(spec), three.get_concrete_function(spec)
        then.add_to_graph(tf.compat.v1.get_default_graph())
        otherwise.add_to_graph(tf.compat.v1.get_default_graph())
        (y,) = tf.raw_ops.StatelessIf(
            cond=tf.constant(SUBNORMAL), input=[x], Tout=[tf.float32], then_branch=then, else_branch=otherwise
        )
        tf.identity(y, "y")

    computed = written(build, functional=True)
    (got,) = computed.run(X)
    differ(computed, plain(3.0 if np.array_equal(got, X * np.float32(2.0)) else 2.0), X)


def _with_attribute_twice(first: float, second: float) -> Written:
    """A LeakyRelu whose ``alpha`` is written twice: a map's last entry counts."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        tf.raw_ops.LeakyRelu(features=x, alpha=first, name="y")

    once = written(build)
    node = next(each for each in once.definition.node if each.name == "y")
    data = node.SerializeToString()
    other = tf.compat.v1.NodeDef()
    other.attr["alpha"].f = second
    definition = tf.compat.v1.GraphDef()
    definition.CopyFrom(once.definition)
    for index, each in enumerate(definition.node):
        if each.name == "y":
            del definition.node[index]
            break
    raw = definition.SerializeToString() + _field(1, data + other.SerializeToString())
    return Written(definition=_Raw(raw), inputs=once.inputs, outputs=once.outputs)


class _Raw:
    """A GraphDef as the bytes of its file."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def SerializeToString(self) -> bytes:  # noqa: N802
        return self.data


def _field(number: int, data: bytes) -> bytes:
    size, length = b"", len(data)
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def test_of_an_attribute_that_is_written_twice_the_last_one_counts() -> None:
    twice = _with_attribute_twice(0.5, 0.25)
    parsed = tf.compat.v1.GraphDef.FromString(twice.definition.data)
    reference = Written(definition=parsed, inputs=twice.inputs, outputs=twice.outputs)
    wrong = np.float32([-2.0, 1.0])
    assert reference.run(wrong)[0][0] == np.float32(-0.5)

    def build() -> None:
        tf.raw_ops.LeakyRelu(features=v1.placeholder(tf.float32, [2], "x"), alpha=0.5, name="y")

    assert not prove(twice.side, written(build).side).proven


def _fed_inside(dtype: Any) -> Written:
    """``y`` of a tensor inside of the graph, which is what is fed."""

    def build() -> None:
        x = tf.cast(v1.placeholder(tf.float32, [2], "source"), dtype, name="x")
        tf.cast(tf.cast(x, tf.int32), tf.float32, name="y")

    return written(build)


def test_the_type_of_an_inner_tensor_that_is_fed_counts() -> None:
    made = prove(_fed_inside(tf.float64).side, _fed_inside(tf.int64).side)
    assert not made.proven
    assert prove(_fed_inside(tf.float64).side, _fed_inside(tf.float64).side).proven
    inputs = Written(definition=_fed_inside(tf.float64).definition, inputs=("x",), outputs=("x",))
    other = Written(definition=_fed_inside(tf.int64).definition, inputs=("x",), outputs=("x",))
    assert inputs.run(np.float64([0.5, 1.0]))[0].dtype != other.run(np.int64([0, 1]))[0].dtype
    made = prove(inputs.side, other.side)
    assert made.reason == "input x:0 is double in the reference and int64 (x:0) in the export"
