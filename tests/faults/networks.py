"""The networks of the fault corpus: they differ in structure, in names and in spelling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from faults.keras import as_graph, small_cnn, with_skip
from faults.layers import Layers

v1 = tf.compat.v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How to build it, what it is fed, and its layers: those with kernels and its batch norms.

    ``options`` are those of :class:`Layers`. ``optional`` are outputs that a case must ask for.
    """

    build: Callable[[Layers], None]
    inputs: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]
    kernels: tuple[str, ...]
    norms: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that has weights."""
        return (*self.kernels, *self.norms)


def normal(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pixels(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def mean_of_image(x: Any, name: str) -> Any:
    return tf.reduce_mean(x, axis=[1, 2], name=name)


def _blocks(layers: Layers) -> None:
    """Three blocks of convolution and fused batch norm; ``VariableV2``."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], "image")
    for number, stride in (1, 1), (2, 2), (3, 1):
        block = f"block{number}"
        x = layers.apply(f"{block}/pad", None, x)
        x = layers.conv(x, f"{block}/conv", 8, stride=stride)
        raw = x
        x = layers.batch_norm(x, f"{block}/bn")
        x = layers.apply(f"{block}/relu", tf.nn.relu, x)
        if number == 2:
            layers.apply("raw", lambda x, name: tf.reduce_mean(tf.abs(x), axis=[1, 2], name=name), raw)
    layers.apply("second/centred", None, x)
    x = layers.apply("drop", None, x)
    x = layers.apply("pool", mean_of_image, x)
    with v1.name_scope("auxiliary/"):
        tf.identity(x[:, :5], name="scores")
    x = layers.dense(x, "fc", 5)
    logits = tf.identity(x, name="logits")
    layers.apply("prob", tf.nn.softmax, logits)


def _tabular(layers: Layers) -> None:
    """Two inputs, two outputs, dense layers with batch norm as arithmetic; resource variables."""
    features = v1.placeholder(tf.float32, [None, 12], "features")
    context = v1.placeholder(tf.float32, [None, 12], "context")
    features, context = layers.changes.get("inputs", lambda *pair: pair)(features, context)
    noisy = layers.apply("tower/noise", None, features)
    x = layers.dense(noisy, "tower/hidden_1", 16, bias=False)
    x = layers.batch_norm(x, "tower/norm_1")
    x = layers.apply("tower/act_1", tf.nn.elu, x)
    side = layers.dense(context, "side/hidden", 16)
    side = layers.apply("side/act", tf.nn.tanh, side)
    x = layers.apply("tower/joined", lambda a, b, name: tf.add(a, 0.5 * b, name=name), x, side)
    skip = x
    x = layers.dense(x, "tower/hidden_2", 16, bias=False)
    x = layers.batch_norm(x, "tower/norm_2")
    x = layers.apply("tower/act_2", lambda x, name: tf.nn.leaky_relu(x, 0.1, name=name), x)
    x = layers.apply("tower/sum", tf.add, x, skip)
    x = layers.apply("tower/drop", None, x)
    tf.identity(layers.dense(x, "heads/scores", 4), name="scores")
    value = layers.dense(x, "heads/value", 1)
    tf.tanh(value, name="value")
    layers.apply("heads/probabilities", tf.nn.softmax, layers.dense(side, "heads/classes", 3))
    tf.identity(layers.dense(side, "heads/extra", 4), name="extra_scores")


UNITS = tuple(f"net/unit{number}/{part}" for number in range(1, 7) for part in "ab")


def _residual(layers: Layers) -> None:
    """Six residual units (or more), thirteen batch norms, named as slim names them."""
    x = v1.placeholder(tf.float32, [None, 6, 6, 4], "pixels")
    x = unit(layers, x, "net/stem")
    outputs = [x]
    for number in range(1, 1 + layers.changes.get("units", 6)):
        y = unit(layers, x, f"net/unit{number}/a")
        y = unit(layers, y, f"net/unit{number}/b", activation=False)
        shortcut = layers.changes.get(f"net/unit{number}/shortcut", lambda outputs: outputs[-1])(outputs)
        x = layers.apply(f"net/unit{number}/add", tf.add, y, shortcut)
        x = layers.apply(f"net/unit{number}/out", tf.nn.relu, x)
        outputs.append(x)
    x = layers.apply("net/pool", mean_of_image, x)
    x = layers.apply("net/dropout", None, x)
    tf.identity(layers.dense(x, "net/Logits", 6), name="net/predictions")


def unit(layers: Layers, x: Any, scope: str, activation: bool = True) -> Any:
    x = layers.conv(x, scope, 4)
    x = layers.batch_norm(x, f"{scope}/BatchNorm")
    return layers.apply(f"{scope}/Relu", tf.nn.relu, x) if activation else x


def _phased(layers: Layers) -> None:
    """Batch norm of both modes under ``tf.cond``, as Switch and Merge, driven by a phase."""
    name = layers.changes.get("phase", "training")
    x = v1.placeholder(tf.float32, [None, 6, 6, 2], "input_image")
    phase = v1.placeholder_with_default(tf.constant(True), [], name)
    layers.phase = layers.changes.get("polarity", tf.identity)(phase)
    v1.disable_control_flow_v2()
    try:
        x = layers.conv(x, "encoder/conv_0", 6, bias=True)
        x = tf.nn.relu(layers.batch_norm(x, "encoder/norm_0"))
        x = layers.conv(x, "encoder/conv_1", 6, stride=2, bias=True)
        x = tf.nn.relu(layers.batch_norm(x, "encoder/norm_1"))
        x = tf.reshape(x, [-1, 3 * 3 * 6])
        x = layers.dense(x, "decoder/dense", 7)
        x = tf.nn.relu(layers.batch_norm(x, "decoder/norm"))
        tf.sigmoid(layers.dense(x, "decoder/out", 3), name="answer")
    finally:
        v1.enable_control_flow_v2()


def _functional(layers: Layers) -> None:
    """The same choice as an ``If`` with functions, resource variables, arithmetic batch norm."""
    name = layers.changes.get("phase", "is_training")
    x = v1.placeholder(tf.float32, [None, 9], "signal")
    phase = v1.placeholder_with_default(tf.constant(True), [], name)
    layers.phase = layers.changes.get("polarity", tf.identity)(phase)
    v1.enable_control_flow_v2()
    for number in range(2):
        x = layers.dense(x, f"mlp/layer{number}", 9)
        x = tf.nn.relu(layers.batch_norm(x, f"mlp/layer{number}_bn"))
    tf.identity(layers.dense(x, "mlp/answer", 2), name="result")


def _camera(layers: Layers) -> None:
    """Bytes of an image in, preprocessing in the graph, convolutions with biases, flattened."""
    x = v1.placeholder(tf.uint8, [None, 12, 12, 3], "frames")
    x = layers.apply("preprocess/cast", lambda x, name: tf.cast(x, tf.float32, name=name), x)
    x = layers.apply("preprocess/reverse", None, x)
    x = layers.apply("preprocess/turn", None, x)
    x = layers.apply("preprocess/crop", lambda x, name: tf.identity(x[:, 1:11, 1:11], name=name), x)
    x = layers.apply("preprocess/resize", lambda x, name: v1.image.resize_bilinear(x, [8, 8], name=name), x)
    x = layers.apply("preprocess/mean", lambda x, name: tf.subtract(x, [104.0, 117.0, 123.0], name=name), x)
    x = layers.apply("preprocess/scale", lambda x, name: tf.multiply(x, 1 / 64.0, name=name), x)
    x = layers.apply("preprocess/augment", None, x)
    x = tf.nn.relu(layers.conv(x, "features/first", 6, bias=True), name="features/first/Relu")
    x = layers.apply("features/pool", lambda x, name: v1.nn.max_pool2d(x, 2, 2, "SAME", name=name), x)
    x = tf.nn.relu(layers.conv(x, "features/second", 6, bias=True), name="features/second/Relu")
    x = layers.apply("flatten", lambda x, name: tf.reshape(x, [-1, 96], name=name), x)
    x = layers.dense(x, "head", 4)
    layers.apply("output/classes", tf.nn.softmax, x)


def _scanner(layers: Layers) -> None:
    """A float image, scaled and resized, batch norm as arithmetic, a map of where it looked."""
    x = v1.placeholder(tf.float32, [None, 11, 11, 2], "scan")
    x = layers.apply("input/scaled", lambda x, name: tf.subtract(x * 2.0, 1.0, name=name), x)
    x = layers.apply("input/swapped", lambda x, name: tf.reverse(x, [-1], name=name), x)
    x = layers.apply("input/turned", None, x)
    x = layers.apply(
        "input/padded", lambda x, name: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], name=name), x
    )
    x = layers.apply(
        "input/resized", lambda x, name: v1.image.resize_nearest_neighbor(x, [6, 6], name=name), x
    )
    x = layers.conv(x, "trunk/c1", 6)
    x = tf.nn.relu6(layers.batch_norm(x, "trunk/n1"))
    x = layers.conv(x, "trunk/c2", 6, stride=2)
    x = layers.batch_norm(x, "trunk/n2")
    x = layers.apply("trunk/act", lambda x, name: tf.nn.softplus(x, name=name), x)
    layers.apply("looked/map", _map_of_each, x)
    x = layers.apply("flat", lambda x, name: tf.reshape(x, [-1, 54], name=name), x)
    tf.identity(layers.dense(x, "top", 3), name="grade")


def _map_of_each(x: Any, name: str) -> Any:
    strength = tf.reduce_sum(x, axis=-1)
    norm = tf.sqrt(tf.reduce_mean(tf.square(strength), axis=[1, 2], keepdims=True))
    return tf.divide(strength, norm, name=name)


def _branches(layers: Layers) -> None:
    """Two branches whose statistics are averages of moments, named by an automatic name scope."""
    x = v1.placeholder(tf.float32, [None, 10], "x")
    branches = {}
    for name in layers.changes.get("order", ("left", "right")):
        y = layers.dense(x, f"{name}/dense", 8)
        scope = tf.compat.v1.get_default_graph().unique_name("bn")
        channels = (8,)
        with v1.variable_scope(f"{name}/bn", auxiliary_name_scope=False):
            beta, gamma = layers.variable("beta", channels), layers.variable("gamma", channels)
        mean, variance = (
            layers.variable(f"{scope}/moments/{part}/ExponentialMovingAverage", channels, trainable=False)
            for part in ("Squeeze", "Squeeze_1")
        )
        with v1.name_scope(f"{name}/bn/"):
            y = tf.nn.batch_normalization(y, mean, variance, beta, gamma, 1e-3)
        branches[name] = tf.nn.relu(y)
    x = tf.concat([branches["left"], branches["right"]], axis=1, name="joined")
    tf.identity(layers.dense(x, "last", 4), name="y")


def _forest(layers: Layers) -> None:
    """Two images of one shape; fused batch norms with averages of moments, numbered as they are built."""
    near, far = (v1.placeholder(tf.float32, [None, 5, 5, 2], name) for name in ("near", "far"))
    near, far = layers.changes.get("inputs", lambda *pair: pair)(near, far)
    images = {"oak": near, "elm": far, "ash": near + far}
    trees = {}
    for name in layers.changes.get("order", ("oak", "elm", "ash")):
        x = layers.conv(images[name], f"{name}/conv", 4)
        statistics = f"forest/{v1.get_default_graph().unique_name('norm')}/moments"
        with v1.variable_scope(f"{name}/norm", auxiliary_name_scope=False):
            scale, offset = layers.variable("gamma", (4,)), layers.variable("beta", (4,))
        mean, variance = (
            layers.variable(f"{statistics}/{part}/ExponentialMovingAverage", (4,), trainable=False)
            for part in ("Squeeze", "Squeeze_1")
        )
        with v1.name_scope(f"{name}/norm/"):
            x, _, _ = v1.nn.fused_batch_norm(x, scale, offset, mean, variance, is_training=False)
        trees[name] = tf.nn.relu(x)
    x = tf.concat([mean_of_image(trees[name], f"mean_{name}") for name in ("oak", "elm", "ash")], axis=1)
    tf.nn.softmax(layers.dense(x, "wood", 3), name="kind")


def _album(layers: Layers) -> None:
    """Encoded images, decoded one by one in a loop; unscaled pixels until the first layer."""
    coded = v1.placeholder(tf.string, [None], "coded")
    options = layers.options("decoder")

    def decoded(one: Any) -> Any:
        pixels = tf.io.decode_jpeg(one, channels=3, name="decode", **options)
        return tf.image.convert_image_dtype(tf.ensure_shape(pixels, [8, 8, 3]), tf.float32)

    x = tf.map_fn(decoded, coded, fn_output_signature=tf.float32, name="decoded")
    x = layers.apply("album/scaled", lambda x, name: tf.multiply(x - 0.5, 4.0, name=name), x)
    x = tf.nn.relu(layers.batch_norm(layers.conv(x, "album/conv", 6), "album/bn"))
    tf.identity(layers.dense(mean_of_image(x, "album/mean"), "album/fc", 4), name="page")


def jpegs(count: int) -> np.ndarray:
    """Encoded images of eight by eight pixels, as bytes."""
    noisy = pixels(count, 8, 8, 3)
    return np.array([tf.io.encode_jpeg(image, quality=90).numpy() for image in noisy])


NETWORKS = {
    "blocks": Network(
        build=_blocks,
        inputs={"image:0": normal(6, 8, 8, 3)},
        outputs=("logits:0",),
        kernels=("block1/conv", "block2/conv", "block3/conv", "fc"),
        norms=("block1/bn", "block2/bn", "block3/bn"),
    ),
    "tabular": Network(
        build=_tabular,
        inputs={"features:0": normal(8, 12), "context:0": normal(8, 12, seed=4)},
        outputs=("scores:0", "value:0"),
        kernels=("tower/hidden_1", "side/hidden", "tower/hidden_2", "heads/scores", "heads/value"),
        norms=("tower/norm_1", "tower/norm_2"),
        options={"norm": "arithmetic", "resource": True},
    ),
    "residual": Network(
        build=_residual,
        inputs={"pixels:0": normal(5, 6, 6, 4)},
        outputs=("net/predictions:0",),
        kernels=("net/stem", *UNITS, "net/Logits"),
        norms=tuple(f"{scope}/BatchNorm" for scope in ("net/stem", *UNITS)),
        options={"kernel": "weights"},
    ),
    "phased": Network(
        build=_phased,
        inputs={"input_image:0": normal(4, 6, 6, 2)},
        outputs=("answer:0",),
        kernels=("encoder/conv_0", "encoder/conv_1", "decoder/dense", "decoder/out"),
        norms=("encoder/norm_0", "encoder/norm_1", "decoder/norm"),
    ),
    "functional": Network(
        build=_functional,
        inputs={"signal:0": normal(7, 9)},
        outputs=("result:0",),
        kernels=("mlp/layer0", "mlp/layer1", "mlp/answer"),
        norms=("mlp/layer0_bn", "mlp/layer1_bn"),
        options={"norm": "arithmetic", "resource": True},
    ),
    "camera": Network(
        build=_camera,
        inputs={"frames:0": pixels(4, 12, 12, 3)},
        outputs=("output/classes:0",),
        kernels=("features/first", "features/second", "head"),
    ),
    "scanner": Network(
        build=_scanner,
        inputs={"scan:0": np.random.default_rng(5).random((4, 11, 11, 2)).astype(np.float32)},
        outputs=("grade:0", "looked/map:0"),
        kernels=("trunk/c1", "trunk/c2", "top"),
        norms=("trunk/n1", "trunk/n2"),
        options={"norm": "arithmetic", "resource": True, "kernel": "w"},
    ),
    "branches": Network(
        build=_branches,
        inputs={"x:0": normal(6, 10)},
        outputs=("y:0",),
        kernels=("left/dense", "right/dense", "last"),
        norms=("left/bn", "right/bn"),
    ),
    "forest": Network(
        build=_forest,
        inputs={"near:0": normal(4, 5, 5, 2), "far:0": normal(4, 5, 5, 2, seed=8)},
        outputs=("kind:0",),
        kernels=("oak/conv", "elm/conv", "ash/conv", "wood"),
        norms=("oak/norm", "elm/norm", "ash/norm"),
    ),
    "album": Network(
        build=_album,
        inputs={"coded:0": jpegs(4)},
        outputs=("page:0",),
        kernels=("album/conv", "album/fc"),
        norms=("album/bn",),
        options={"norm": "arithmetic", "resource": True},
    ),
    "keras_cnn": Network(
        build=as_graph(small_cnn),
        inputs={"image:0": normal(6, 6, 6, 2)},
        outputs=("answer:0",),
        kernels=("c1", "d1", "d2"),
        norms=("b1", "b2"),
    ),
    "keras_skip": Network(
        build=as_graph(with_skip),
        inputs={"image:0": normal(5, 6, 6, 2)},
        outputs=("answer:0",),
        kernels=("stem", "deep", "point", "even", "classes"),
        norms=("deep_norm", "point_norm"),
    ),
}
