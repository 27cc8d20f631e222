"""Small networks of every family, written with TensorFlow: what mutations are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from soundness.pairs import Written

v1 = tf.compat.v1
raw = tf.raw_ops

Build: TypeAlias = Callable[["Pen"], None]


class Pen:
    """Writes a network: seeded weights, each a constant or (every third) a variable."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.variables: dict[str, Any] = {}
        self._made = 0

    def input(self, *shape: int | None, name: str = "x", dtype: Any = tf.float32) -> Any:
        return v1.placeholder(dtype, shape, name)

    def weight(self, *shape: int, positive: bool = False) -> Any:
        values = self.random.normal(0, 0.5, shape).astype(np.float32)
        values = np.abs(values) + np.float32(0.1) if positive else values
        self._made += 1
        if self._made % 3 or self.seed % 2:
            return tf.constant(values)
        name = f"weight_{self._made}"
        if self._made % 2:
            handle = raw.VarHandleOp(dtype=tf.float32, shape=shape, shared_name=name, name=name)
            self.variables[name] = values
            return raw.ReadVariableOp(resource=handle, dtype=tf.float32, name=f"{name}/Read/ReadVariableOp")
        variable = raw.VariableV2(shape=shape, dtype=tf.float32, name=name)
        self.variables[name] = values
        return raw.Identity(input=variable)

    def pick(self, *choices: Any) -> Any:
        return choices[self.seed % len(choices)]


def dense(pen: Pen) -> None:
    x = pen.input(None, 6)
    for _ in range(2):
        x = pen.pick(tf.nn.relu, tf.nn.tanh, tf.nn.elu)(tf.nn.bias_add(x @ pen.weight(6, 6), pen.weight(6)))
    tf.nn.softmax(x @ pen.weight(6, 3), name="y")


def _norm(pen: Pen, x: Any, channels: int) -> Any:
    scale, offset = pen.weight(channels, positive=True), pen.weight(channels)
    mean, variance = pen.weight(channels), pen.weight(channels, positive=True)
    if pen.seed % 2:
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)
    found = raw.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=1e-3, is_training=False
    )
    return found[0]


def convolutional(pen: Pen) -> None:
    x = pen.input(None, 6, 6, 3)
    y = tf.nn.conv2d(x, pen.weight(3, 3, 3, 4), 1, "SAME", dilations=pen.pick(1, 2))
    y = tf.nn.relu6(_norm(pen, y, 4))
    y = tf.nn.depthwise_conv2d(y, pen.weight(3, 3, 4, 1), [1, 1, 1, 1], "SAME")
    y = pen.pick(tf.nn.max_pool2d, tf.nn.avg_pool2d)(y, 2, 2, "VALID")
    tf.reduce_mean(y, [1, 2], name="y")


def residual(pen: Pen) -> None:
    x = pen.input(None, 5, 5, 4)
    y = tf.nn.relu(_norm(pen, tf.nn.conv2d(x, pen.weight(3, 3, 4, 4), 1, "SAME"), 4))
    y = _norm(pen, tf.nn.conv2d(y, pen.weight(3, 3, 4, 4), 1, "SAME"), 4)
    y = tf.nn.leaky_relu(x + y, 0.2)
    y = tf.concat([y, tf.square(x - y)], -1)
    tf.reshape(tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]]), [-1, 7 * 7 * 8], name="y")


def attention(pen: Pen) -> None:
    x = pen.input(None, 4, 6)
    query, key, value = (tf.einsum("btc,cd->btd", x, pen.weight(6, 6)) for _ in range(3))
    scores = tf.matmul(query, key, transpose_b=True) / tf.sqrt(6.0)
    y = tf.matmul(tf.nn.softmax(scores), value) + x
    mean, variance = tf.nn.moments(y, [-1], keepdims=True)
    y = (y - mean) * tf.math.rsqrt(variance + 1e-6) * pen.weight(6) + pen.weight(6)
    tf.identity(tf.transpose(y, [0, 2, 1]), "y")


def embedding(pen: Pen) -> None:
    ids = pen.input(None, 3, dtype=tf.int32)
    rows = tf.gather(pen.weight(7, 4), ids % 7)
    y = tf.reduce_sum(rows * pen.weight(3, 4), 1)
    y = y + tf.one_hot(tf.argmax(y, -1), 4, on_value=1.0, off_value=-1.0)
    tf.identity(tf.cast(tf.greater(y, 0.0), tf.float32) + tf.clip_by_value(y, -0.5, 0.5), "y")


def lowered_loop(pen: Pen) -> None:
    x = pen.input(None, 4)
    kernel = pen.weight(4, 4)
    _, y = tf.while_loop(
        lambda i, _: i < 3,
        lambda i, y: (i + 1, tf.tanh(y @ kernel)),
        [tf.constant(0), x],
        parallel_iterations=2,
    )
    tf.identity(y, "y")


def recurrent(pen: Pen) -> None:
    x = pen.input(None, 3, 4)
    kernel, state = pen.weight(8, 4), tf.zeros_like(x[:, 0])
    steps = tf.unstack(x, 3, 1)
    kept = []
    for step in steps:
        gate = tf.sigmoid(tf.concat([step, state], -1) @ kernel)
        state = gate * state + (1.0 - gate) * tf.tanh(step)
        kept.append(state)
    tf.identity(tf.stack(kept, 1), "y")


def array_loop(pen: Pen) -> None:
    x = pen.input(None, 3, 2)
    kernel = pen.weight(2, 2)
    rows = tf.transpose(x, [1, 0, 2])
    array = tf.TensorArray(tf.float32, 3).unstack(rows)
    out = tf.TensorArray(tf.float32, 3)
    _, out = tf.while_loop(
        lambda i, _: i < 3,
        lambda i, out: (i + 1, out.write(i, array.read(i) @ kernel)),
        [tf.constant(0), out],
    )
    tf.identity(out.stack(), "y")


def conditional(pen: Pen) -> None:
    x = pen.input(None, 4)
    a, b = pen.weight(4), pen.weight(4)
    large = tf.greater(tf.reduce_sum(x), 0.0)
    y = tf.cond(large, lambda: x * a + 1.0, lambda: tf.nn.relu(x - b))
    always = tf.logical_or(tf.constant(True), large) if pen.seed % 3 == 0 else tf.constant(bool(pen.seed % 2))
    tf.identity(tf.cond(always, lambda: y * 2.0, lambda: y - 3.0), "y")


def calls(pen: Pen) -> None:
    x = pen.input(None, 4)
    a = pen.weight(4)

    @tf.function
    def layer(x: Any, a: Any) -> Any:
        return tf.nn.softplus(x * a), x - a

    one, two = layer(x, a)
    three, _ = layer(two, one)
    tf.identity(one + three, "y")


def shapes(pen: Pen) -> None:
    x = pen.input(None, 4, 4, 2)
    size = tf.shape(x)
    y = tf.reshape(x, tf.stack([size[0], 16, 2]))
    y = tf.strided_slice(y, [0, 1, 0], [0, 15, 2], [1, pen.pick(1, 2), 1], begin_mask=1, end_mask=1)
    y = tf.tile(tf.expand_dims(y, 1), [1, 2, 1, 1])
    first, second = tf.split(y, 2, -1)
    tf.identity(tf.squeeze(first - second, -1), "y")


def images(pen: Pen) -> None:
    x = pen.input(None, 4, 4, 3, dtype=tf.uint8)
    y = tf.cast(x, tf.float32) / 127.5 - 1.0
    resize = pen.pick(raw.ResizeBilinear, raw.ResizeNearestNeighbor)
    y = resize(images=y, size=[6, 6], align_corners=False, half_pixel_centers=bool(pen.seed % 2))
    y = tf.reverse(y, [-1])
    tf.reduce_max(y, pen.pick([1, 2], [1]), name="y")


def integers(pen: Pen) -> None:
    x = pen.input(None, 5, dtype=tf.int32)
    y = tf.cumsum(x, axis=1, exclusive=bool(pen.seed % 2)) * 3 - tf.math.floordiv(x, 2)
    y = tf.where(tf.equal(y % 2, 0), y, -y)
    tf.reduce_prod(tf.minimum(tf.maximum(y, -3), 3), 1, name="y")


def normed(pen: Pen) -> None:
    x = pen.input(None, 4, 4, 4)
    y = tf.nn.lrn(x, 2, 1.0, 1e-2, 0.5)
    y = tf.nn.l2_normalize(y, -1)
    y = tf.nn.conv2d_transpose(y, pen.weight(3, 3, 2, 4), [2, 8, 8, 2], 2, "SAME") if pen.seed % 5 == 0 else y
    tf.identity(tf.math.reduce_std(y, [1, 2]), "y")


def selected(pen: Pen) -> None:
    x = pen.input(None, 6)
    top, indices = tf.math.top_k(x, 3, sorted=bool(pen.seed % 2))
    y = tf.gather(x, tf.argsort(x[0]), axis=1)
    y = tf.concat([top, tf.cast(indices, tf.float32), y], 1)
    tf.identity(tf.reverse_sequence(tf.expand_dims(y, -1), tf.fill([tf.shape(x)[0]], 4), seq_axis=1), "y")


def dropped(pen: Pen) -> None:
    x = pen.input(None, 6)
    phase = v1.placeholder_with_default(bool(pen.seed % 4 == 3), [], "phase")
    y = tf.cond(phase, lambda: x * 3.0, lambda: tf.identity(x))
    tf.nn.selu(tf.stop_gradient(y) @ pen.weight(6, 2), name="y")


def quantised(pen: Pen) -> None:
    x = pen.input(None, 4)
    levels = tf.constant(pen.random.integers(-100, 100, (4, 6)).astype(np.int8))
    kernel = (tf.cast(levels, tf.float32) - pen.pick(3.0, 0.0)) * tf.constant(np.float32(0.05)) / 3.0
    mask = tf.cast(tf.less(tf.range(6) * 2, tf.reduce_prod(tf.constant([2, pen.pick(3, 5)]))), tf.float32)
    bias = tf.where(tf.greater(mask, 0.5), tf.zeros_like(mask), tf.fill([6], np.float32(-1e9)))
    y = (x @ kernel) * mask + bias
    tf.identity(tf.gather(y, tf.math.floormod(tf.range(8), 6), axis=1), "y")


def moved(pen: Pen) -> None:
    x = pen.input(None, 3, 4)
    kernel = tf.transpose(pen.weight(5, 4))
    y = tf.transpose(tf.nn.relu(tf.transpose(x, [0, 2, 1])), [0, 2, 1]) @ kernel
    rows = tf.unstack(tf.reshape(pen.weight(2, 5), [5, 2]), axis=1)
    scale = tf.concat([tf.reverse(rows[0], [0])[::2], tf.tile(rows[1][1:2], [2])], 0)
    y = y * tf.pad(scale[1:], [[1, 0]], constant_values=0.25)
    first, second = tf.split(tf.stack([y, tf.square(y - x[:, :, :1])]), 2)
    y = tf.transpose(tf.squeeze(first - second, 0), pen.pick([0, 2, 1], [2, 0, 1]))
    tf.reshape(tf.transpose(y, [1, 0, 2]), tf.stack([-1, 15]), name="y")


def repeated(pen: Pen) -> None:
    x = pen.input(None, 4)
    kernel, shift, step = pen.weight(4, 4), pen.weight(4), tf.constant(2) * 1

    def body(i: Any, y: Any, total: Any) -> Any:
        y = tf.nn.tanh(y @ kernel + shift * tf.cast(step, tf.float32))
        return i + step, y, total + tf.math.squared_difference(y, 0.5)

    _, y, total = tf.while_loop(lambda i, *_: i < 3 * step, body, [tf.constant(0), x, tf.zeros_like(x)])
    tf.identity(y - total, "y")


def switched(pen: Pen) -> None:
    x = pen.input(None, 4)
    a = pen.weight(4)
    index = tf.cast(tf.reduce_sum(x), tf.int32) if pen.seed % 2 else tf.constant(1) + pen.pick(0, 1)
    branches = [lambda: x * a, lambda: tf.nn.softsign(x) - a, lambda: tf.maximum(x, a)]
    y = tf.switch_case(tf.clip_by_value(index, 0, 2), branches)
    tf.identity(tf.where(tf.not_equal(y, a), y, -a), "y")


FAMILIES: Mapping[str, Build] = {
    build.__name__: build
    for build in (
        dense, convolutional, residual, attention, embedding, lowered_loop, recurrent, array_loop, conditional,
        calls, shapes, images, integers, normed, selected, dropped, quantised, moved, repeated, switched,
    )
}  # fmt: skip


def network(family: str, seed: int) -> Written:
    """One network: ``seed`` chooses weights, variants, and whether control flow is functional."""
    pen = Pen(seed)
    functional = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if seed % 4 >= 2 else v1.disable_control_flow_v2)()
    try:
        with tf.Graph().as_default() as graph:
            FAMILIES[family](pen)
    finally:
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    return Written(definition=graph.as_graph_def(), inputs=("x",), outputs=("y",), variables=pen.variables)


def networks(seeds: range) -> Iterator[tuple[str, Written]]:
    """Every family with every seed, by a name."""
    for seed in seeds:
        for family in FAMILIES:
            yield f"{family}-{seed}", network(family, seed)


def batches(model: Written, seed: int) -> Iterator[np.ndarray]:
    """Ordinary and adversarial inputs: normal, batch 1 and 5, zeros of both signs, infinities, subnormals, NaN."""
    node = next(each for each in model.definition.node if each.name == "x")
    dtype = tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype
    shape = [dim.size for dim in node.attr["shape"].shape.dim]
    random = np.random.default_rng(seed)
    for rows in (2, 1, 5):
        sizes = [rows if size < 0 else size for size in shape]
        if np.dtype(dtype).kind == "f":
            yield random.normal(0, 1.5, sizes).astype(dtype)
        else:
            yield random.integers(0, 200 if dtype == np.uint8 else 9, sizes).astype(dtype)
    sizes = [2 if size < 0 else size for size in shape]
    if np.dtype(dtype).kind != "f":
        yield np.zeros(sizes, dtype)
        return
    special = np.array([0.0, -0.0, -1.0, 1.0, 1e-40, -1e-40, np.inf, -np.inf, np.nan, 3e38, 0.5, -2.5], dtype)
    yield np.resize(special, sizes)
    yield np.zeros(sizes, dtype)
    yield np.full(sizes, -1e-40, dtype)
