"""Operations that the graphs of the fault corpus differ in, and how their cases name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from faults.corpus import Found, Reference
from faults.graphs import Edit
from faults.weights import Weights

v1 = tf.compat.v1
BLOCKS, TABULAR = Reference(network="blocks"), Reference(network="tabular")
RESIDUAL, CAMERA = Reference(network="residual"), Reference(network="camera")
SCANNER = Reference(network="scanner")


def at(name: str) -> str:
    """The scope of an operation: its own name, or that of the scope that it stands in."""
    return f"{name}|{name.rpartition('/')[0]}" if "/" in name else name


def found(cause: str, *scopes: str, certainty: str = "proven") -> tuple[Found, ...]:
    return (Found(cause=cause, scopes=scopes, certainty=certainty),)


def dropout(x: Any, name: str) -> Any:
    return tf.nn.dropout(x, rate=0.5, seed=7, name=name)


def fed_dropout(x: Any, name: str) -> Any:
    keep = v1.placeholder_with_default(tf.constant(0.5), [], "keep_prob")
    with v1.name_scope(name):
        mask = tf.floor(keep + tf.random.uniform(tf.shape(x), seed=5))
        return tf.multiply(x / keep, mask, name="mul_1")


def noise(x: Any, name: str) -> Any:
    with v1.name_scope(name):
        return tf.add(x, tf.random.normal(tf.shape(x), stddev=0.3, seed=3), name="noisy")


WORDS = ("red", "green", "blue", "grey")


def looked_up(*words: str, last_first: bool = False) -> Any:
    """A table that numbers ``words``; what it says of some of :data:`WORDS` is added."""

    def operation(x: Any, name: str) -> Any:
        with v1.name_scope(name):
            numbers = _table(words, last_first).lookup(tf.constant(WORDS[::2]))
            return tf.add(x, tf.cast(tf.reduce_sum(numbers * [1, 10]), x.dtype) / 50.0, name="looked_up")

    return operation


def _table(words: Sequence[str], last_first: bool) -> Any:
    numbers = list(range(len(words)))
    entries = list(zip(words, numbers, strict=True))[:: -1 if last_first else 1]
    filled = v1.lookup.KeyValueTensorInitializer(
        [word for word, _ in entries], np.int64([number for _, number in entries]), tf.string, tf.int64
    )
    return v1.lookup.StaticHashTable(filled, -1, name="words")


def with_table_filled(scope: str, *words: str, last_first: bool = False) -> Edit:
    """The nodes that fill the table of :func:`looked_up` at ``scope``, which freezing leaves out."""

    def edit(graph: Any, tensors: Weights) -> None:
        with tf.Graph().as_default() as whole, v1.name_scope(f"{scope}/"):
            _table(words, last_first)
        known = {node.name for node in graph.node}
        graph.node.extend(node for node in whole.as_graph_def().node if node.name not in known)

    return edit


def drawn(x: Any, name: str) -> Any:
    """Noise that no seed decides: other numbers in each session."""
    graph = v1.get_default_graph()
    seed, graph.seed = graph.seed, None
    with v1.name_scope(name):
        noisy = tf.add(x, tf.random.normal(tf.shape(x), stddev=0.3), name="drawn")
    graph.seed = seed
    return noisy


def flipped(x: Any, name: str) -> Any:
    with v1.name_scope(name):
        coin = tf.random.uniform([tf.shape(x)[0], 1, 1, 1], seed=9)
        return tf.where(tf.greater(coin, 0.5), x, tf.reverse(x, [2]))


def brightened(x: Any, name: str) -> Any:
    with v1.name_scope(name):
        return x + tf.random.uniform([], -20.0, 20.0, seed=11)


def reversed_by_slices(x: Any, name: str) -> Any:
    return tf.identity(x[..., ::-1], name=name)


def reversed_channels(x: Any, name: str) -> Any:
    return tf.reverse(x, [-1], name=name)


def turned(x: Any, name: str) -> Any:
    return tf.transpose(x, [0, 2, 1, 3], name=name)


def resized(method: Any, **options: Any) -> Any:
    return lambda x, name: method(x, [8, 8], name=name, **options)


def channels_first(size: int) -> Any:
    """Flattened as from a network with channels first."""

    def flatten(x: Any, name: str) -> Any:
        with v1.name_scope(name):
            return tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, size], name="Reshape")

    return flatten


def of_batch(x: Any, name: str) -> Any:
    """The map of ``scanner`` normalised over the whole batch."""
    strength = tf.reduce_sum(x, axis=-1)
    return tf.divide(strength, tf.sqrt(tf.reduce_mean(tf.square(strength))), name=name)


def mirrored(x: Any, name: str) -> Any:
    return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT", name=name)


def half_pixels(x: Any, name: str) -> Any:
    return tf.raw_ops.ResizeBilinear(images=x, size=[8, 8], half_pixel_centers=True, name=name)


def small(x: Any, name: str) -> Any:
    return tf.multiply(tf.cast(x, tf.float32), 1 / 64.0, name=name)


RESIZED_LAST = {"preprocess/cast": small, "preprocess/mean": None, "preprocess/scale": None}


def from_jpeg(**options: Any) -> Any:
    """Pixels by way of JPEG, decoded in a loop over the batch."""

    def decode(x: Any, name: str) -> Any:
        with v1.name_scope(name):
            coded = tf.map_fn(
                lambda image: tf.io.encode_jpeg(image, quality=60, name="coded"),
                x,
                fn_output_signature=tf.string,
            )
            pixels = tf.map_fn(
                lambda code: tf.io.decode_jpeg(code, channels=3, name="decoded", **options),
                coded,
                fn_output_signature=tf.uint8,
            )
            return tf.cast(tf.ensure_shape(pixels, [None, 12, 12, 3]), tf.float32, name="pixels")

    return decode


def moving_range(x: Any, name: str, moving: bool = True) -> Any:
    """A range that every run moves, as quantisation-aware training leaves it."""
    with v1.variable_scope(f"{name}_range", auxiliary_name_scope=False):
        high = v1.get_variable(
            "high", [], initializer=v1.zeros_initializer(), trainable=False, use_resource=False
        )
    if moving:
        high = v1.assign_sub(high, 0.1 * (high - tf.reduce_max(x)), name=f"{name}_range/AssignMovingAvg")
    return tf.minimum(tf.nn.relu(x), tf.identity(high), name=name)


def fixed_range(x: Any, name: str) -> Any:
    return moving_range(x, name, moving=False)


def not_a_number(name: str) -> Any:
    def saved(tensors: Weights) -> Weights:
        broken = tensors[name].copy()
        broken.reshape(-1)[0] = np.nan
        return {**tensors, name: broken}

    return saved


def infinite(value: np.ndarray) -> np.ndarray:
    changed = value.copy()
    changed.reshape(-1)[0] = np.inf
    return changed
