"""What optimisers make of a graph: proven where no bit of any result changes, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from graph.op_registry import registered_ops
from pytest_tfparity.graph.graph import DType
from pytest_tfparity.graph.normal.attributes import commutes
from soundness.networks import network
from soundness.pairs import AS_WRITTEN, Written, differ, prove, written
from soundness.rewrites import grappler

v1 = tf.compat.v1
raw = tf.raw_ops
Build = Callable[[Any], Any]
X = np.float32([[1.5, -2.0, 0.25], [0.0, 7.0, -1.0]])
STRANGE = np.float32([[np.inf, -np.inf, np.nan], [-0.0, 1e-40, 3e38]])


def of(build: Build, *, dtype: Any = tf.float32) -> Written:
    """``y`` as ``build`` makes it of ``x``, of any shape."""
    return written(lambda: tf.identity(build(v1.placeholder(dtype, None, "x")), "y"))


def proven(one: Build, other: Build, *, dtype: Any = tf.float32) -> bool:
    return prove(of(one, dtype=dtype).side, of(other, dtype=dtype).side).proven


FLOATS = np.float32([0.1, 2.5, -3.0])


def _computed() -> Any:
    scale = raw.RealDiv(x=tf.constant(FLOATS), y=tf.constant(np.float32(3.0)))
    return raw.Mul(x=scale, y=raw.Cast(x=tf.constant([1, 2, 3]), DstT=tf.float32))


SAME: dict[str, tuple[Build, Build]] = {
    "constants computed": (
        lambda x: x * _computed(),
        lambda x: x * tf.constant(FLOATS / np.float32(3.0) * np.float32([1, 2, 3])),
    ),
    "a shape computed": (
        lambda x: raw.Reshape(tensor=x, shape=raw.Pack(values=[tf.constant(3), tf.constant(5) - 3])),
        lambda x: raw.Reshape(tensor=x, shape=[3, 2]),
    ),
    "weights moved": (
        lambda x: x + raw.Transpose(x=tf.constant([[1.0], [2.0], [3.0]]), perm=[1, 0]),
        lambda x: x + tf.constant([[1.0, 2.0, 3.0]]),
    ),
    "dimensions put back": (
        lambda x: raw.Transpose(x=raw.Transpose(x=x, perm=[1, 0]), perm=[1, 0]),
        lambda x: x,
    ),
    "a square of a difference": (
        lambda x: raw.Square(x=x - 0.5),
        lambda x: raw.SquaredDifference(x=x, y=0.5),
    ),
    "a pack of one": (
        lambda x: raw.Pack(values=[x], axis=-1),
        lambda x: raw.ExpandDims(input=x, axis=-1),
    ),
    "operands of a difference squared": (
        lambda x: raw.SquaredDifference(x=x, y=0.5),
        lambda x: raw.SquaredDifference(x=0.5, y=x),
    ),
    "operands of a comparison": (
        lambda x: tf.cast(raw.NotEqual(x=x, y=0.25), tf.float32),
        lambda x: tf.cast(raw.NotEqual(x=0.25, y=x), tf.float32),
    ),
    "a sum of two": (
        lambda x: raw.AddN(inputs=[x, tf.constant([[0.5]]) * tf.ones_like(x)]),
        lambda x: raw.AddN(inputs=[tf.constant([[0.5]]) * tf.ones_like(x), x]),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_bit_is_proven(name: str) -> None:
    one, other = (of(build) for build in SAME[name])
    for batch in (X, -X, STRANGE):
        (expected,), (got,) = one.run(batch), other.run(batch)
        assert np.array_equal(expected, got, equal_nan=True)
    assert prove(one.side, other.side).proven


def test_a_constant_that_is_moved_into_a_loop_is_the_same_there() -> None:
    loop = network("lowered_loop", 1)
    moved = replace(loop, definition=grappler("constfold")(loop))
    assert any(node.op == "Const" and node.input for node in moved.definition.node if "Folding" in node.name)
    batch = np.float32([[0.5, -1.0, 2.0, 0.0]])
    assert np.array_equal(loop.run(batch)[0], moved.run(batch)[0])
    assert prove(loop.side, moved.side).proven


def _looped(body: Build) -> Written:
    """``x`` changed three times by ``body``, which sees constants of the graph around the loop."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        tf.identity(tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, body(y)), [0, x])[1], "y")

    return written(build)


def test_operands_change_places_inside_of_a_loop() -> None:
    one = _looped(lambda y: raw.AddV2(x=raw.Tanh(x=y), y=raw.Mul(x=y, y=tf.square(y))))
    other = _looped(lambda y: raw.AddV2(x=raw.Mul(x=tf.square(y), y=y), y=raw.Tanh(x=y)))
    assert np.array_equal(one.run(X)[0], other.run(X)[0])
    assert prove(one.side, other.side).proven
    differ(one, _looped(lambda y: raw.AddV2(x=raw.Mul(x=tf.square(y), y=tf.tanh(y)), y=y)), X)


def test_operands_that_do_not_change_places_stay_as_they_are_inside_of_a_loop() -> None:
    one = _looped(lambda y: raw.Sub(x=raw.Tanh(x=y), y=y))
    differ(one, _looped(lambda y: raw.Sub(x=y, y=raw.Tanh(x=y))), X)


def test_what_a_loop_computes_of_constants_is_the_constant_that_an_optimiser_puts_there() -> None:
    loop = network("repeated", 1)
    moved = replace(loop, definition=grappler("constfold")(loop))
    ops = [[node.op for node in each.definition.node] for each in (loop, moved)]
    assert ops[1].count("Mul") < ops[0].count("Mul")
    batch = np.float32([[0.5, -1.0, 2.0, 0.0]])
    assert np.array_equal(loop.run(batch)[0], moved.run(batch)[0])
    assert prove(loop.side, moved.side).proven


def _conditional(**moved: str) -> Written:
    """``x + 1`` or 2 in two conditionals; control inputs that are named go elsewhere."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        total = tf.reduce_sum(x)
        one = tf.cond(total > 0.0, lambda: x + 1.0, lambda: tf.fill([1, 3], 2.0))
        other = tf.cond(total > 10.0, lambda: tf.constant(5.0), lambda: tf.constant(7.0))
        tf.identity(one * other, "y")

    made = written(build)
    for node in made.definition.node:
        node.input[:] = [moved.get(f"{node.op} {name}", name) for name in node.input]
    return made


SWITCH_T, SWITCH_F = "^cond/switch_t", "^cond/switch_f"


def test_what_a_constant_waits_for_is_nothing_where_what_it_meets_lives_no_longer() -> None:
    one, other = _conditional(), _conditional(**{f"Const {SWITCH_T}": "^cond/Switch"})
    assert one.definition != other.definition
    for batch in (X, -X):
        assert np.array_equal(one.run(batch)[0], other.run(batch)[0])
    assert prove(one.side, other.side).proven


def test_what_a_constant_waits_for_is_something_where_what_it_meets_lives_without() -> None:
    one, other = _conditional(), _conditional(**{f"Const {SWITCH_T}": "^cond_1/switch_t"})
    assert one.run(X)[0].shape == (2, 3)
    with pytest.raises(tf.errors.InvalidArgumentError):
        other.run(X)
    assert not prove(one.side, other.side).proven


def test_which_of_two_constants_arrives_is_what_they_wait_for() -> None:
    exchanged = {"Const ^cond_1/switch_t": "^cond_1/switch_f", "Const ^cond_1/switch_f": "^cond_1/switch_t"}
    differ(_conditional(), _conditional(**exchanged), X)


# --- attacks


def _folded(op: Any, *values: Any, **attrs: Any) -> tuple[Build, Build]:
    """``x`` times what ``op`` makes of constants, and times the constant that this TensorFlow computes for it."""
    with tf.Graph().as_default():
        names = list(op.__signature__.parameters) if hasattr(op, "__signature__") else ["x", "y"]
        found = op(**dict(zip(names, map(tf.constant, values), strict=False)), **attrs)
        with v1.Session() as session:
            value = session.run(found)
    return (
        lambda x: x * op(**dict(zip(names, map(tf.constant, values), strict=False)), **attrs),
        lambda x: x * tf.constant(value),
    )


INEXACT = {
    "a square root, which TensorFlow 1.15 and builds for AVX-512 do by Newton": _folded(raw.Sqrt, FLOATS[:2]),
    "a reciprocal square root": _folded(raw.Rsqrt, FLOATS[:2]),
    "a reciprocal": _folded(raw.Reciprocal, FLOATS),
    "an exponential": _folded(raw.Exp, FLOATS),
    "a tangent": _folded(raw.Tanh, FLOATS),
    "a number that is not one": _folded(raw.RealDiv, np.float32([0.0, 1.0]), np.float32([0.0, 1.0])),
}


@pytest.mark.parametrize("name", INEXACT)
def test_what_one_machine_computed_is_not_what_every_machine_computes(name: str) -> None:
    one, other = INEXACT[name]
    assert not proven(one, other)


def test_a_sum_of_floats_is_not_computed_before_it_is_run() -> None:
    numbers = np.float32([1e8, 1.0, -1e8, 3.0])
    total = np.float32(numbers.sum())
    assert not proven(
        lambda x: x * raw.Sum(input=tf.constant(numbers), axis=[0]), lambda x: x * tf.constant(total)
    )


def test_integers_that_leave_their_range_are_not_computed() -> None:
    with np.errstate(over="ignore"):
        wrapped = np.int32(2**31 - 1) + np.int32(1)
    one = of(lambda x: x + raw.AddV2(x=tf.constant(2**31 - 1), y=tf.constant(1)), dtype=tf.int32)
    other = of(lambda x: x + tf.constant(wrapped), dtype=tf.int32)
    assert not prove(one.side, other.side).proven


def _filled(value: Any) -> Written:
    """As many times ``value`` as ``x`` has elements: what is only moved is not flushed."""
    return of(lambda x: raw.Fill(dims=tf.shape(x), value=value()))


def test_a_product_too_small_for_a_normal_number_is_flushed_to_zero() -> None:
    one, other = np.float32(1e-30), np.float32(1e-10)
    assert one * other != 0
    computed = _filled(lambda: raw.Mul(x=tf.constant(one), y=tf.constant(other)))
    differ(computed, _filled(lambda: tf.constant(one * other)), X)


def test_a_product_that_is_rounded_up_to_the_smallest_normal_number_is_flushed_before() -> None:
    one, other = np.float32((1 + 2**-12) * 2.0**-63), np.float32((1 - 2**-12) * 2.0**-63)
    smallest = np.float32(2.0**-126)
    assert float(one) * float(other) < float(smallest)
    assert one * other == smallest
    computed = _filled(lambda: raw.Mul(x=tf.constant(one), y=tf.constant(other)))
    differ(computed, _filled(lambda: tf.constant(smallest)), X)


def test_operands_of_a_maximum_do_not_change_places() -> None:
    one = of(lambda x: raw.Reciprocal(x=raw.Maximum(x=x, y=tf.constant(0.0))))
    other = of(lambda x: raw.Reciprocal(x=raw.Maximum(x=tf.constant(0.0), y=x)))
    assert not prove(one.side, other.side).proven


STRANGERS = np.resize(np.float32([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 3e38, -1.0, 0.5]), 4000)
COMMUTATIVE = {name: op for name, op in registered_ops().items() if op.is_commutative and hasattr(raw, name)}


@pytest.mark.parametrize("op", sorted(COMMUTATIVE.keys() - {"AccumulateNV2", "RiscAdd"}))
def test_operands_that_may_change_places_change_no_bit(op: str) -> None:
    random = np.random.default_rng(5)
    pairs = {
        tf.bool: random.random((2, 4000)) < 0.5,
        tf.int32: random.integers(-(2**31), 2**31, (2, 4000)).astype(np.int32),
        tf.float32: np.stack([STRANGERS, random.permutation(STRANGERS)]),
        tf.float64: random.normal(0, 9, (2, 4000)),
    }
    tried = 0
    for dtype, pair in pairs.items():
        with suppress(TypeError, tf.errors.InvalidArgumentError):  # not for every type
            one, other = (_of_pair(op, dtype, operands) for operands in (pair, pair[::-1]))
            numbers = ~np.isnan(one.astype(np.float64))
            assert one[numbers].tobytes() == other[numbers].tobytes()
            assert np.array_equal(numbers, ~np.isnan(other.astype(np.float64)))
            assert commutes(op, {"T": DType(dtype.as_datatype_enum)})
            tried += 1
    assert tried


def _of_pair(op: str, dtype: Any, values: Any) -> np.ndarray:
    with tf.Graph().as_default() as graph:
        pair = [v1.placeholder(dtype, None) for _ in values]
        kernel = getattr(raw, op)
        made = kernel(inputs=pair) if op == "AddN" else kernel(x=pair[0], y=pair[1])
        with v1.Session(graph=graph, config=AS_WRITTEN) as session:
            return np.asarray(session.run(made, dict(zip(pair, values, strict=True))))


def test_adding_zero_is_something() -> None:
    differ(
        of(lambda x: raw.RealDiv(x=tf.constant(1.0), y=x + tf.constant(0.0))),
        of(lambda x: raw.RealDiv(x=tf.constant(1.0), y=x)),
        np.float32([-0.0]),
    )


def test_a_sum_of_three_is_one_in_an_order() -> None:
    def summed(*order: int) -> Build:
        def build(x: Any) -> Any:
            numbers = [x, tf.constant(np.float32([-1e8])), tf.constant(np.float32([1e8]))]
            return raw.AddN(inputs=[numbers[index] for index in order])

        return build

    differ(of(summed(0, 1, 2)), of(summed(1, 2, 0)), np.float32([1.0]))


def test_the_difference_of_complex_numbers_is_squared_with_its_conjugate() -> None:
    differ(
        of(lambda x: raw.Square(x=x - 1j), dtype=tf.complex64),
        of(lambda x: raw.SquaredDifference(x=x, y=tf.constant(1j, tf.complex64)), dtype=tf.complex64),
        np.complex64([1 + 2j]),
    )


def test_two_orders_of_dimensions_are_put_together_in_their_order() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    twice = of(lambda x: raw.Transpose(x=raw.Transpose(x=x, perm=[1, 2, 0]), perm=[0, 2, 1]))
    right, wrong = (
        of(lambda x, order=order: raw.Transpose(x=x, perm=order)) for order in ([1, 0, 2], [2, 1, 0])
    )
    assert np.array_equal(twice.run(x)[0], right.run(x)[0])
    assert prove(twice.side, right.side).proven
    differ(twice, wrong, x)


def test_a_constant_that_is_used_inside_of_a_loop_alone_is_not_one_outside() -> None:
    """A node that reads nothing but what enters a loop runs in its frame, and cannot be fetched."""

    def inside() -> None:
        x = v1.placeholder(tf.float32, None, "x")
        entered = raw.Enter(data=tf.constant(2.0), frame_name="frame", is_constant=True)
        tf.identity(raw.Neg(x=entered), "y")
        tf.identity(x)

    def outside() -> None:
        v1.placeholder(tf.float32, None, "x")
        tf.identity(tf.constant(-2.0), "y")

    assert not prove(written(inside).side, written(outside).side).proven


def _fused(op: str, *inputs: Any, **attrs: Any) -> Any:
    """A node that TensorFlow's remapper writes; no Python function makes it."""
    graph = v1.get_default_graph()
    return graph.create_op(op, list(inputs), [tf.float32], attrs=attrs, name="fused").outputs[0]


KERNEL, BIAS = np.ones((1, 1, 4, 4), np.float32), np.float32([0.5, -1.0, 0.0, 2.0])


@pytest.mark.parametrize("after", [[], ["Relu"]])
def test_a_convolution_with_what_follows_fused_is_not_proven(after: list[str]) -> None:
    """oneDNN's rectifier makes 0 of NaN, and TensorFlow's NaN; how a bias is rounded is a kernel's own."""

    def apart() -> None:
        x = v1.placeholder(tf.float32, [None, 2, 2, 4], "x")
        y = tf.nn.bias_add(tf.nn.conv2d(x, KERNEL, 1, "SAME"), BIAS)
        tf.identity(tf.nn.relu(y) if after else y, "y")

    def fused() -> None:
        x = v1.placeholder(tf.float32, [None, 2, 2, 4], "x")
        attr = v1.AttrValue
        y = _fused(
            "_FusedConv2D", x, tf.constant(KERNEL), tf.constant(BIAS),
            T=attr(type=1), TArgs=attr(list=attr.ListValue(type=[1])), num_args=attr(i=1), num_host_args=attr(i=0),
            strides=attr(list=attr.ListValue(i=[1, 1, 1, 1])), padding=attr(s=b"SAME"),
            fused_ops=attr(list=attr.ListValue(s=[b"BiasAdd", *(each.encode() for each in after)])),
        )  # fmt: skip
        tf.identity(y, "y")

    made = prove(written(apart).side, written(fused).side)
    assert not made.proven
    assert made.reason is not None
    assert made.reason.startswith("unknown op _FusedConv2D")
