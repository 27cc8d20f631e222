"""The exact answer: a graph in float64 beside itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tfparity.comparison.decided import decided_by, roundings_needed
from pytest_tfparity.comparison.rounding import distance, last_place, rounding_of
from pytest_tfparity.graph.edit.writer import node_bytes
from pytest_tfparity.graph.exact.spelt import REMAINDERS, SPELT
from pytest_tfparity.graph.exact.widen import widened
from pytest_tfparity.graph.graph import DType, tensor_name
from pytest_tfparity.runtime.exact import Exact, has_kernel, run_exactly
from pytest_tfparity.runtime.protobuf import plain_graph
from pytest_tfparity.runtime.session import Sessions, Source
from soundness.networks import FAMILIES, network
from soundness.pairs import Written, restore, written

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1
raw = tf.raw_ops
op_def_registry = pytest.importorskip("tensorflow.python.framework.op_def_registry")

SEEDS = st.integers(0, 2**32 - 1)
Answer = tuple[dict[str, np.ndarray], Exact]


def source(model: Written) -> Source:
    def restored(session: Any, part: Any) -> None:
        with session.graph.as_default():
            live = {name: value for name, value in model.variables.items() if name in part.nodes}
            session.run([restore(session.graph, name, value) for name, value in live.items()])

    return Source(
        label="model",
        graph=plain_graph(model.definition, "model"),
        graph_def=lambda: model.definition,
        constants={},
        check=lambda part: None,
        restore=restored,
    )


def both(model: Written, *values: Any) -> Answer:
    """What ``model`` answers in its own types, and exactly."""
    feeds = {f"{name}:0": np.asarray(value) for name, value in zip(model.inputs, values, strict=True)}
    outputs = [name if ":" in name else f"{name}:0" for name in model.outputs]
    sessions = Sessions(source(model))
    plain = sessions.run(feeds, outputs, "graph")
    sessions.close()
    return plain, run_exactly(source(model), feeds, outputs)


def close(plain: np.ndarray, exact: np.ndarray, units: float) -> None:
    """No further apart than ``units`` units in the last place of the plain answer, at its scale."""
    apart = distance(plain, exact)
    scale = float(np.max(np.abs(exact), initial=0.0))
    assert apart is not None
    assert apart <= units * last_place(plain.dtype, scale), (apart, scale)


def agrees(
    build: Callable[[], Any], *values: Any, units: float = 64, islands: tuple[str, ...] = (), **options: Any
) -> Answer:
    """Every output that ``build`` returns, exact, is where the float32 answer is but for its rounding."""
    count = 0

    def named() -> None:
        nonlocal count
        outputs = build()
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        count = len(outputs)
        for place, output in enumerate(outputs):
            tf.identity(output, name=f"y{place}")

    names = tuple("abcdef"[: len(values)])
    model = written(named, inputs=names, outputs=(), **options)
    plain, exact = both(
        Written(definition=model.definition, inputs=names, outputs=[f"y{place}" for place in range(count)]),
        *values,
    )
    for name, answer in plain.items():
        if answer.dtype.kind in "fc":
            close(answer, exact.outputs[name], units)
    assert tuple(island.op for island in exact.islands) == islands
    return plain, exact


def placed(name: str, value: np.ndarray, *, rank: bool = True) -> Any:
    return v1.placeholder(value.dtype, [None] * value.ndim if rank else value.shape, name)


def drawn(seed: int, *shape: int, positive: bool = False) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1.5, shape)
    return (np.abs(values) + 0.1 if positive else values).astype(np.float32)


def test_the_exact_answer_is_that_of_the_same_weights_in_float64() -> None:
    x, w, b = drawn(1, 5, 7), drawn(2, 7, 6), drawn(3, 6)

    def build() -> Any:
        return tf.nn.softmax(tf.nn.bias_add(v1.placeholder(tf.float32, [None, 7], "a") @ w, b))

    _, exact = agrees(build, x)
    logits = x.astype(np.float64) @ w.astype(np.float64) + b.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(exact.outputs["y0:0"], expected, rtol=1e-14, atol=0)
    assert exact.outputs["y0:0"].dtype == np.float64


# --- ops without a float64 kernel


@settings(max_examples=20, deadline=None)
@given(
    SEEDS,
    st.sampled_from(["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"]),
    st.booleans(),
    st.sampled_from([1.0, 0.25]),
    st.integers(2, 4),
)
def test_a_fused_batch_norm_is_written_out(
    seed: int, op: str, training: bool, factor: float, rows: int
) -> None:
    x = drawn(seed, rows, 3, 2, 4)
    scale, offset, mean = (drawn(seed + place, 4) for place in (1, 2, 3))
    variance = drawn(seed + 4, 4, positive=True)

    def build() -> Any:
        given = {} if training and factor == 1.0 else {"mean": mean, "variance": variance}
        made = getattr(raw, op)(
            x=placed("a", x),
            scale=scale,
            offset=offset,
            mean=given.get("mean", np.zeros(0, np.float32)),
            variance=given.get("variance", np.zeros(0, np.float32)),
            epsilon=1e-3,
            exponential_avg_factor=factor if training else 1.0,
            is_training=training,
        )
        return made[:3]

    agrees(build, x)


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_a_fused_batch_norm_with_channels_first(seed: int) -> None:
    x, scale, offset, mean = drawn(seed, 2, 4, 3, 5), *(drawn(seed + place, 4) for place in (1, 2, 3))
    variance = drawn(seed + 4, 4, positive=True)

    def build() -> Any:
        return raw.FusedBatchNormV3(
            x=placed("a", x), scale=scale, offset=offset, mean=mean, variance=variance,
            data_format="NCHW", is_training=False,
        )[0]  # fmt: skip

    agrees(build, x)


@settings(max_examples=30, deadline=None)
@given(
    SEEDS,
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([(False, False), (True, False), (False, True)]),
    st.sampled_from([np.float32, np.uint8]),
)
def test_a_bilinear_resize_is_written_out(
    seed: int, given_size: tuple[int, int], wanted: tuple[int, int], mode: tuple[bool, bool], dtype: type
) -> None:
    image = np.abs(drawn(seed, 2, *given_size, 3) * 50).astype(dtype)

    def build() -> Any:
        return raw.ResizeBilinear(
            images=placed("a", image), size=list(wanted), align_corners=mode[0], half_pixel_centers=mode[1]
        )

    agrees(build, image)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(0, 3), st.floats(0.1, 2.0), st.sampled_from([0.5, 0.75, 1.0]))
def test_local_response_normalisation_is_written_out(
    seed: int, radius: int, alpha: float, beta: float
) -> None:
    x = drawn(seed, 2, 2, 3, 5)

    def build() -> Any:
        return raw.LRN(input=placed("a", x), depth_radius=radius, bias=1.0, alpha=alpha, beta=beta)

    agrees(build, x)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.booleans(), st.sampled_from([-1.0, 0.6]))
def test_an_lstm_block_cell_is_written_out(seed: int, peephole: bool, clip: float) -> None:
    x, cell, h = drawn(seed, 3, 4), drawn(seed + 1, 3, 5), drawn(seed + 2, 3, 5)
    w, b = drawn(seed + 3, 9, 20), drawn(seed + 4, 20)
    wci, wcf, wco = (drawn(seed + place, 5) for place in (5, 6, 7))

    def build() -> Any:
        return raw.LSTMBlockCell(
            x=placed("a", x), cs_prev=cell, h_prev=h, w=w, wci=wci, wcf=wcf, wco=wco, b=b,
            forget_bias=0.5, cell_clip=clip, use_peephole=peephole,
        )  # fmt: skip

    agrees(build, x, units=256)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_a_gru_block_cell_is_written_out(seed: int) -> None:
    x, h = drawn(seed, 3, 4), drawn(seed + 1, 3, 5)
    w_ru, w_c, b_ru, b_c = (
        drawn(seed + 2, 9, 10),
        drawn(seed + 3, 9, 5),
        drawn(seed + 4, 10),
        drawn(seed + 5, 5),
    )

    def build() -> Any:
        return raw.GRUBlockCell(x=placed("a", x), h_prev=h, w_ru=w_ru, w_c=w_c, b_ru=b_ru, b_c=b_c)

    agrees(build, x, units=256)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.floats(0.1, 3.0))
def test_a_contrast_is_written_out(seed: int, factor: float) -> None:
    images = drawn(seed, 2, 3, 4, 3)
    agrees(lambda: raw.AdjustContrastv2(images=placed("a", images), contrast_factor=factor), images)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(["FloorMod", "TruncateMod", "Mod"]))
def test_a_remainder_keeps_the_quotient_of_float32(seed: int, op: str) -> None:
    x, y = drawn(seed, 20) * 10, drawn(seed + 1, 20, positive=True)
    _, exact = agrees(lambda: getattr(raw, op)(x=placed("a", x) * 3.0, y=y), x, units=512)
    assert exact.outputs["y0:0"].shape == (20,)


def node_model(op: str, *values: np.ndarray, **attrs: Any) -> Written:
    """One node of ``op``, which Python has no function for, on the first value as an input and constants."""

    def build() -> None:
        placed("a", values[0])
        for name, value in zip("bcdefg", values[1:], strict=False):
            tf.constant(value, name=name)

    model = written(build, inputs=("a",), outputs=())
    node = model.definition.node.add(name="y", op=op, input="abcdefg"[: len(values)])
    known = {each.name for each in op_def_registry.get(op).attr}
    for name, value in attrs.items():
        if name in known:  # TensorFlow 2.12 has no TArgs
            node.attr[name].CopyFrom(attr(value))
    return Written(definition=model.definition, inputs=("a",), outputs=["y"])


def attr(value: Any) -> Any:
    made = v1.AttrValue()
    if isinstance(value, bool):
        made.b = value
    elif isinstance(value, float):
        made.f = value
    elif isinstance(value, int):
        made.i = value
    elif isinstance(value, bytes):
        made.s = value
    elif isinstance(value, tf.DType):
        made.type = value.as_datatype_enum
    else:
        kinds = {bytes: made.list.s, int: made.list.i, tf.DType: made.list.type}
        kinds[type(value[0])].extend(getattr(each, "as_datatype_enum", each) for each in value)
    return made


def node_agrees(op: str, *values: np.ndarray, **attrs: Any) -> None:
    """The first output of one node, in float64, is where the float32 answer is but for its rounding."""
    model = node_model(op, *values, **attrs)
    plain, exact = both(model, values[0])
    close(plain["y:0"], exact.outputs["y:0"], 64)
    assert not exact.islands


# With each, what is read behind the products: a bias, what is added, gamma, beta, mean and variance.
FUSED = {
    ("BiasAdd",): "b",
    ("BiasAdd", "Relu"): "b",
    ("BiasAdd", "LeakyRelu"): "b",
    ("BiasAdd", "Relu6"): "b",
    ("BiasAdd", "Elu"): "b",
}
NORMED = {("FusedBatchNorm",): "gbmv", ("FusedBatchNorm", "Relu"): "gbmv", ("FusedBatchNorm", "Elu"): "gbmv"}


def behind(seed: int, kinds: str, channels: int) -> list[np.ndarray]:
    return [drawn(seed + 10 + place, channels, positive=kind == "v") for place, kind in enumerate(kinds)]


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(sorted({**FUSED, ("BiasAdd", "Tanh"): "b", ("BiasAdd", "Sigmoid"): "b"})))
def test_a_fused_product_is_written_out(seed: int, fused: tuple[str, ...]) -> None:
    x, w = drawn(seed, 3, 4), drawn(seed + 1, 4, 5)
    node_agrees(
        "_FusedMatMul", x, w, *behind(seed, "b", 5), T=tf.float32, num_args=1, leakyrelu_alpha=0.3,
        fused_ops=[each.encode() for each in fused],
    )  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(sorted({**FUSED, **NORMED})), st.sampled_from([b"SAME", b"VALID"]))
def test_a_fused_convolution_is_written_out(seed: int, fused: tuple[str, ...], padding: bytes) -> None:
    x, w = drawn(seed, 2, 6, 5, 3), drawn(seed + 1, 3, 2, 3, 4)
    more = behind(seed, {**FUSED, **NORMED}[fused], 4)
    node_agrees(
        "_FusedConv2D", x, w, *more, T=tf.float32, TArgs=[tf.float32] * len(more), num_args=len(more),
        epsilon=1e-3, strides=[1, 2, 1, 1], padding=padding, leakyrelu_alpha=0.3,
        fused_ops=[each.encode() for each in fused],
    )  # fmt: skip


def alone(model: Written, value: np.ndarray) -> np.ndarray:
    """The exact answer of a node that TensorFlow has no kernel for in any type: its optimiser alone makes them."""
    plain = source(model)
    wide = widened(plain.graph, [tensor_name("y")], {tensor_name("a")}, has_kernel)
    assert not wide.islands
    definition = v1.GraphDef()
    definition.CopyFrom(model.definition)
    for node in wide.added.values():
        definition.node.add().ParseFromString(node_bytes(node))
    sessions = Sessions(replace(plain, graph=wide.graph, graph_def=lambda: definition))
    name = str(wide.exact[tensor_name("y")])
    answer = sessions.run({"a:0": value}, [name], "graph")[name]
    sessions.close()
    return answer


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(sorted(FUSED)))
def test_a_fused_depthwise_convolution_is_written_out(seed: int, fused: tuple[str, ...]) -> None:
    x, w, (bias,) = drawn(seed, 2, 6, 5, 3), drawn(seed + 1, 3, 3, 3, 2), behind(seed, "b", 6)
    model = node_model(
        "_FusedDepthwiseConv2dNative", x, w, bias, T=tf.float32, num_args=1, strides=[1, 1, 1, 1],
        padding=b"SAME", leakyrelu_alpha=0.3, fused_ops=[each.encode() for each in fused],
    )  # fmt: skip
    unfused = tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "SAME") + bias
    last = {"LeakyRelu": partial(tf.nn.leaky_relu, alpha=0.3)}
    if len(fused) > 1:
        unfused = last.get(fused[1], getattr(tf.nn, fused[1].lower(), None))(unfused)
    close(unfused.numpy(), alone(model, x), 64)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.booleans(), st.sampled_from([b"Identity", b"Relu"]))
def test_a_batch_norm_with_what_follows_it_is_written_out(seed: int, side: bool, activation: bytes) -> None:
    x, more = drawn(seed, 2, 3, 2, 4), behind(seed, "gbmv", 4)
    added = drawn(seed + 9, 2, 3, 2, 4)
    model = node_model(
        "_FusedBatchNormEx", x, *more, *([added] if side else []), T=tf.float32, U=tf.float32, epsilon=1e-3,
        is_training=False, num_side_inputs=int(side), activation_mode=activation,
    )  # fmt: skip
    unfused = raw.FusedBatchNormV3(
        x=x, scale=more[0], offset=more[1], mean=more[2], variance=more[3], epsilon=1e-3, is_training=False
    )[0]
    unfused = unfused + added if side else unfused
    unfused = tf.nn.relu(unfused) if activation == b"Relu" else unfused
    close(unfused.numpy(), alone(model, x), 64)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.booleans())
def test_the_oldest_batch_norm_is_written_out(seed: int, scales: bool) -> None:
    """An op that new graphs must not have, and whose float64 kernel some TensorFlows lack."""
    x, (mean, variance, beta, gamma) = drawn(seed, 2, 3, 2, 4), behind(seed, "mvbg", 4)
    model = node_model(
        "BatchNormWithGlobalNormalization", x, mean, variance, beta, gamma, T=tf.float32,
        variance_epsilon=1e-3, scale_after_normalization=scales,
    )  # fmt: skip
    model.definition.versions.producer = 8
    plain, exact = both(model, x)
    close(plain["y:0"], exact.outputs["y:0"], 64)
    wide = widened(
        source(model).graph,
        [tensor_name("y")],
        {tensor_name("a")},
        lambda op, types: op != "BatchNormWithGlobalNormalization",
    )
    assert "BatchNormWithGlobalNormalization" not in {node.op for node in wide.added.values()}


def test_every_op_that_is_written_out_has_been_compared() -> None:
    """An entry that is added to either table without a test here is found."""
    assert {
        "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx",
        "BatchNormWithGlobalNormalization", "ResizeBilinear", "LRN", "LSTMBlockCell", "GRUBlockCell",
        "AdjustContrastv2", "_FusedConv2D", "_FusedDepthwiseConv2dNative", "_FusedMatMul",
    } == set(SPELT)  # fmt: skip
    assert {"FloorMod", "TruncateMod", "Mod"} == REMAINDERS


# --- what stays as it is


def test_what_is_decided_stays_decided() -> None:
    """0.7 in float32 is a little less than 0.7: times 10 and rounded down it would be another shape in float64."""
    x = np.float32(0.7)

    def build() -> Any:
        count = tf.cast(tf.floor(v1.placeholder(tf.float32, [], "a") * 10.0), tf.int32)
        return tf.fill([count], v1.get_default_graph().get_tensor_by_name("a:0"))

    plain, exact = agrees(build, x)
    assert plain["y0:0"].shape == exact.outputs["y0:0"].shape == (7,)


def test_random_numbers_stay_those_that_were_drawn() -> None:
    x = drawn(1, 4, 3)
    agrees(lambda: placed("a", x) * raw.StatelessRandomUniform(shape=[4, 3], seed=[3, 4]), x)


def test_integers_and_strings_have_no_exact_answer() -> None:
    x = drawn(1, 4, 3)
    _, exact = agrees(
        lambda: [
            tf.argmax(placed("a", x), 1),
            tf.strings.as_string(v1.get_default_graph().get_tensor_by_name("a:0")),
        ],
        x,
    )
    assert exact.outputs == {}


# --- what integers are decided by

DECISIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "an argmax": ("largest", lambda x: tf.argmax(x, 1)),
    "an argmax along another axis": ("largest", lambda x: tf.argmax(x, 0, output_type=tf.int32)),
    "an argmin": ("largest", lambda x: tf.argmin(x, -1)),
    "an argmax in another shape and type": (
        "largest",
        lambda x: tf.cast(tf.reshape(tf.expand_dims(tf.argmax(x, 1), 1), [2, -1]), tf.int32),
    ),
    "the places of a top k": ("ranked", lambda x: tf.math.top_k(x, 2).indices),
    "a comparison": ("sign", lambda x: x > 0.25),
    "a comparison as numbers": ("sign", lambda x: tf.cast(tf.reduce_sum(x, 1) <= x[:, 0], tf.int32)),
    "a cast": ("truncate", lambda x: tf.cast(x * 40.0, tf.uint8)),
    "a rounded cast": ("round", lambda x: tf.cast(tf.round(x * 40.0), tf.int32)),
    "a cast of a floor": ("floor", lambda x: tf.cast(tf.floor(x * 40.0), tf.int64)),
    "a cast of a ceiling": ("ceil", lambda x: tf.cast(tf.math.ceil(x * 40.0), tf.int32)),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_what_decides_integers_is_known_in_float64(name: str) -> None:
    kind, build = DECISIONS[name]
    x = np.abs(drawn(3, 4, 6))
    plain, exact = agrees(lambda: build(placed("a", x) * 0.7), x)
    on = exact.decided["y0:0"]
    assert on.decision.kind == kind
    roundings = [rounding_of(*each) for each in zip(on.plain, on.exact, strict=True)]
    decided = decided_by(
        kind,
        on.exact,
        tuple(each for each in roundings if each is not None),
        sign=on.decision.sign,
        axis=on.decision.axis,
    )
    # Far from any tie, all that is not the answer needs many roundings; the answer itself is the exact one's.
    answer = plain["y0:0"]
    other = np.logical_not(answer) if answer.dtype == bool else (answer + 1) % 4
    assert not roundings_needed(decided, answer, answer).any()
    assert roundings_needed(decided, answer, other).max() > 1000
    assert roundings_needed(decided, other, answer).max() < 1


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.reduce_sum(tf.argmax(x, 1)),
        lambda x: tf.argmax(x, 1) + 1,
        lambda x: tf.equal(x, 0.25),
        lambda x: tf.argmax(tf.cast(x, tf.int32), 1),
        lambda x: tf.cast(tf.argmax(x, 1), tf.uint8),
        lambda x: tf.math.top_k(x, 2, sorted=False).indices,
        lambda x: tf.shape(x),
    ],
    ids=[
        "a sum",
        "one more",
        "equal floats",
        "of integers",
        "too small a type",
        "an unsorted top k",
        "a shape",
    ],
)
def test_integers_that_follow_otherwise_are_decided_by_nothing_known(build: Callable[[Any], Any]) -> None:
    x = np.abs(drawn(3, 4, 6))
    _, exact = agrees(lambda: build(placed("a", x)), x)
    assert exact.decided == {}


def test_an_integer_that_float32_cannot_hold_is_exact() -> None:
    x = np.array([2**24 + 1, 3], np.int64)
    _, exact = agrees(lambda: tf.cast(placed("a", x), tf.float32), x)
    assert exact.outputs["y0:0"].tolist() == [2**24 + 1, 3]


def test_an_op_without_a_float64_kernel_is_named_as_an_approximation() -> None:
    x = drawn(1, 1, 4, 4, 2)

    def build() -> Any:
        return raw.ResizeBicubic(images=placed("a", x) * 2.0, size=[6, 6])

    _, exact = agrees(build, x, islands=("ResizeBicubic",))
    assert [island.node for island in exact.islands] == ["ResizeBicubic"]


def test_a_tensor_that_is_fed_in_the_middle_is_what_is_fed() -> None:
    x = drawn(1, 2, 3)
    model = written(
        lambda: tf.multiply(tf.identity(placed("a", x) + 1.0, name="inner"), 3.0, name="y"), inputs=("inner",)
    )
    _, exact = both(model, x)
    np.testing.assert_array_equal(exact.outputs["y:0"], x.astype(np.float64) * 3)


def test_half_precision_is_held_against_float64_too() -> None:
    x = drawn(1, 4, 3).astype(np.float16)
    plain, exact = agrees(lambda: tf.matmul(placed("a", x), x.T.copy()), x)
    assert plain["y0:0"].dtype == np.float16
    assert exact.outputs["y0:0"].dtype == np.float64


def test_complex_numbers_become_complex128() -> None:
    x = drawn(1, 2, 8)
    _, exact = agrees(lambda: tf.signal.rfft(placed("a", x, rank=False)), x)
    assert exact.outputs["y0:0"].dtype == np.complex128


# --- control flow, arrays and functions


@pytest.mark.parametrize("functional", [False, True], ids=["lowered", "functional"])
def test_loops_conditionals_and_arrays(functional: bool) -> None:
    x, w = drawn(1, 3, 4), drawn(2, 4, 4) * np.float32(0.3)

    def build() -> Any:
        a = v1.placeholder(tf.float32, [3, 4], "a")
        count = v1.placeholder(tf.int32, [], "b")
        array = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[3, 4])
        names = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[])

        def turn(i: Any, state: Any, array: Any, names: Any) -> Any:
            state = tf.cond(tf.equal(i % 2, 0), lambda: tf.tanh(state @ w), lambda: state * 0.5 + 1.0)
            return i + 1, state, array.write(i, state), names.write(i, i)

        _, state, array, names = tf.while_loop(lambda i, *_: i < count, turn, (0, a, array, names))
        return state, tf.reduce_sum(array.stack(), 0), names.stack()

    _, exact = agrees(build, x, np.int32(5), functional=functional)
    state = x.astype(np.float64)
    for i in range(5):
        state = np.tanh(state @ w.astype(np.float64)) if i % 2 == 0 else state * 0.5 + 1.0
    np.testing.assert_allclose(exact.outputs["y0:0"], state, rtol=1e-13)


def test_a_loop_in_a_called_function() -> None:
    x, w = drawn(1, 3, 4), drawn(2, 4, 4) * np.float32(0.3)

    @tf.function
    def inner(value: Any) -> Any:
        _, value = tf.while_loop(lambda n, _: n < 3, lambda n, v: (n + 1, tf.tanh(v @ w)), (0, value))
        return value, tf.argmax(value, 1)

    @tf.function
    def outer(value: Any) -> Any:
        first, place = inner(value)
        return first * 2.0 + tf.cast(place, tf.float32)[:, None]

    _, exact = agrees(lambda: outer(v1.placeholder(tf.float32, [3, 4], "a")), x, functional=True)
    value = x.astype(np.float64)
    for _ in range(3):
        value = np.tanh(value @ w.astype(np.float64))
    np.testing.assert_allclose(exact.outputs["y0:0"], value * 2 + value.argmax(1)[:, None], rtol=1e-13)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_of_every_family_runs_in_float64(family: str, seed: int) -> None:
    model = network(family, seed)
    node = next(each for each in model.definition.node if each.name == "x")
    dtype = np.dtype(tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype)
    shape = [2 if dim.size < 0 else dim.size for dim in node.attr["shape"].shape.dim]
    random = np.random.default_rng(seed)
    x = random.normal(0, 1.5, shape) if dtype.kind == "f" else random.integers(0, 9, shape)
    plain, exact = both(model, x.astype(dtype))
    for name, answer in plain.items():
        if answer.dtype.kind == "f":
            close(answer, exact.outputs[name], 64)
    assert not exact.islands


def lstm(x: Any, weights: Mapping[str, np.ndarray]) -> Any:
    @tf.function
    def steps(x: Any) -> Any:
        def turn(step: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
            i, j, f, o = tf.split(tf.concat([x[:, step], h], 1) @ weights["w"], 4, axis=1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            return step + 1, tf.tanh(c) * tf.sigmoid(o), c

        zeros = tf.zeros([tf.shape(x)[0], 4])
        return tf.while_loop(lambda step, *_: step < tf.shape(x)[1], turn, (0, zeros, zeros))[1]

    return steps(x)


def u_net(x: Any, weights: Mapping[str, np.ndarray]) -> Any:
    down = tf.nn.relu(tf.nn.conv2d(x, weights["down"], 2, "SAME"))
    up = tf.nn.conv2d_transpose(down, weights["up"], tf.shape(x), 2, "SAME")
    wide = v1.image.resize_bilinear(down, tf.shape(x)[1:3], half_pixel_centers=True)
    return tf.nn.sigmoid(tf.concat([up, wide, x], 3))


def ssd(x: Any, weights: Mapping[str, np.ndarray]) -> Any:
    features = tf.nn.relu6(tf.nn.depthwise_conv2d(x, weights["depthwise"], [1, 1, 1, 1], "SAME"))
    boxes = tf.reshape(tf.nn.conv2d(features, weights["boxes"], 1, "SAME"), [tf.shape(x)[0], -1, 4])
    scores = tf.sigmoid(tf.reduce_sum(boxes, 2))

    def of_image(given: Any) -> Any:
        corners, score = given
        kept = tf.image.non_max_suppression(corners, score, 5, 0.5)
        return tf.gather(corners, kept), tf.gather(score, kept)

    return tf.map_fn(of_image, (boxes, scores), fn_output_signature=(tf.float32, tf.float32))


def bert(x: Any, weights: Mapping[str, np.ndarray]) -> Any:
    heads = [tf.einsum("bld,dhk->bhlk", x, weights[name]) for name in ("q", "k", "v")]
    attention = tf.nn.softmax(tf.matmul(heads[0], heads[1], transpose_b=True) / 2.0)
    mixed = tf.reshape(tf.transpose(attention @ heads[2], [0, 2, 1, 3]), tf.shape(x)) + x
    mean, variance = tf.nn.moments(mixed, [2], keepdims=True)
    normed = tf.nn.batch_normalization(mixed, mean, variance, None, weights["gamma"], 1e-12)
    return normed * 0.5 * (1.0 + tf.math.erf(normed / np.sqrt(2.0)))


NETWORKS: dict[str, tuple[Callable[..., Any], tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "lstm": (lstm, (2, 6, 3), {"w": (7, 16)}),
    "u_net": (u_net, (2, 8, 6, 3), {"down": (3, 3, 3, 5), "up": (3, 3, 3, 5)}),
    "ssd": (ssd, (2, 4, 4, 3), {"depthwise": (3, 3, 3, 2), "boxes": (3, 3, 6, 8)}),
    "bert": (bert, (2, 5, 8), {"q": (8, 2, 4), "k": (8, 2, 4), "v": (8, 2, 4), "gamma": (8,)}),
}


@pytest.mark.parametrize("functional", [False, True], ids=["lowered", "functional"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_kinds_that_people_export(name: str, functional: bool) -> None:
    build, shape, shapes = NETWORKS[name]
    weights = {key: drawn(place, *size) * np.float32(0.4) for place, (key, size) in enumerate(shapes.items())}
    x = drawn(9, *shape)
    agrees(
        lambda: build(v1.placeholder(tf.float32, [None, *shape[1:]], "a"), weights), x, functional=functional
    )


def test_a_default_that_the_graph_does_not_state_is_not_written() -> None:
    """Attributes are added from version to version, and an older TensorFlow complains of each that it does not know."""
    x = drawn(1, 4, 3)
    model = written(lambda: tf.matmul(placed("a", x), x.T.copy(), name="y"), inputs=("a",))
    (product,) = (each for each in model.definition.node if each.op == "MatMul")
    for name in [name for name in product.attr if name != "T"]:
        del product.attr[name]
    wide = widened(source(model).graph, [tensor_name("y")], {tensor_name("a")}, lambda op, types: True)
    assert {name: dict(node.attrs) for name, node in wide.added.items() if node.op == "MatMul"} == {
        "tfparity_exact/y": {"T": DType(2)}
    }


# --- architectures, as far as their ops make them what they are; the others are families of tests/soundness/networks.py


def test_a_u_net_runs_in_float64() -> None:
    """Down by pooling, up by a transposed convolution and by a resize, joined with what went down, then a mask."""
    image = drawn(1, 2, 8, 8, 3)
    down, bottom, up = drawn(2, 3, 3, 3, 4), drawn(3, 3, 3, 4, 6), drawn(4, 2, 2, 4, 6)
    join, head = drawn(5, 3, 3, 8, 4), drawn(6, 1, 1, 7, 5)
    norm = [drawn(7, 4), drawn(8, 4), drawn(9, 4), drawn(10, 4, positive=True)]

    def build() -> Any:
        x = v1.placeholder(tf.float32, [2, 8, 8, 3], "a")
        first = v1.nn.fused_batch_norm(tf.nn.conv2d(x, down, 1, "SAME"), *norm, is_training=False)[0]
        first = tf.nn.relu(first)
        low = tf.nn.relu(tf.nn.conv2d(tf.nn.max_pool2d(first, 2, 2, "SAME"), bottom, 1, "SAME"))
        high = tf.nn.conv2d_transpose(low, up, [2, 8, 8, 4], 2, "SAME")
        joined = tf.nn.relu(tf.nn.conv2d(tf.concat([first, high], 3), join, 1, "SAME"))
        coarse = raw.ResizeBilinear(images=tf.nn.avg_pool2d(x, 2, 2, "SAME"), size=[8, 8])
        scores = tf.nn.conv2d(tf.concat([joined, coarse], 3), head, 1, "SAME")
        return tf.nn.softmax(scores), tf.argmax(scores, 3)

    _, exact = agrees(build, image)
    assert exact.decided["y1:0"].decision.kind == "largest"


def test_a_detector_runs_in_float64() -> None:
    """Anchors decoded by exp, scores by a sigmoid, then boxes are suppressed and gathered as in float32."""
    image, boxes, scores = drawn(1, 1, 6, 6, 3), drawn(2, 3, 3, 3, 4), drawn(3, 3, 3, 3, 1)
    anchors = np.abs(drawn(4, 36, 4))

    def build() -> Any:
        x = v1.placeholder(tf.float32, [1, 6, 6, 3], "a")
        told = tf.reshape(tf.nn.conv2d(x, boxes, 1, "SAME"), [36, 4]) * 0.1
        centre = anchors[:, :2] + told[:, :2] * anchors[:, 2:]
        size = tf.exp(told[:, 2:]) * anchors[:, 2:]
        corners = tf.concat([centre - size / 2, centre + size / 2], 1)
        likely = tf.reshape(tf.nn.sigmoid(tf.nn.conv2d(x, scores, 1, "SAME")), [36])
        kept = raw.NonMaxSuppressionV3(
            boxes=corners, scores=likely, max_output_size=8, iou_threshold=0.5, score_threshold=0.1
        )
        top = tf.math.top_k(likely, 5)
        return tf.gather(corners, kept), tf.gather(likely, kept), top.values, top.indices

    _, exact = agrees(build, image)
    assert exact.decided["y3:0"].decision.kind == "ranked"
