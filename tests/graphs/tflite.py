"""TFLite files that tests convert themselves, right and wrong, beside the SavedModel that they were made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from .saved_models import write_module

Kind: TypeAlias = Literal["float", "float16", "dynamic", "int8", "int16"]
KINDS: tuple[Kind, ...] = ("float", "float16", "dynamic", "int8", "int16")
EPSILON = 1e-3


def weights(seed: int = 0, channels: int = 40) -> dict[str, np.ndarray]:
    """The weights of :func:`network`; the converter leaves kernels of fewer than 1,024 values in float."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, 0.4, shape).astype(np.float32)

    def between(low: float, high: float, count: int) -> np.ndarray:
        return random.uniform(low, high, count).astype(np.float32)

    return {
        "conv": normal(3, 3, 3, channels),
        "gamma": between(0.5, 1.5, channels),
        "beta": normal(channels),
        "mean": normal(channels),
        "variance": between(0.05, 2.0, channels),
        "depthwise": normal(3, 3, channels, 1),
        "dense": normal(channels, 4) / 4,
        "bias": normal(4),
    }


def network(
    epsilon: float = EPSILON, before: Callable[[Any], Any] = lambda image: image
) -> Callable[[Any, Any], dict[str, Any]]:
    """A small network: a convolution with a batch norm, a depthwise one, pooling, a dense layer."""
    import tensorflow as tf

    def call(module: Any, image: Any) -> dict[str, Any]:
        with tf.name_scope("block"):
            x = tf.nn.conv2d(before(image), module.conv, 1, "SAME", name="conv")
            x, _, _ = tf.compat.v1.nn.fused_batch_norm(
                x,
                module.gamma,
                module.beta,
                module.mean,
                module.variance,
                epsilon,
                is_training=False,
                name="bn/fused",
            )
        x = tf.nn.relu(x)
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, module.depthwise, [1, 2, 2, 1], "SAME"))
        x = tf.reduce_mean(x, [1, 2])
        return {"logits": tf.matmul(x, module.dense) + module.bias}

    return call


def write_network(folder: Path, held: Mapping[str, np.ndarray] | None = None, **options: Any) -> Path:
    """A SavedModel of :func:`network` with the weights ``held``."""
    names = {
        "conv": "block/conv/kernel",
        **{name: f"block/bn/{name}" for name in ("gamma", "beta", "mean", "variance")},
        "depthwise": "depthwise/kernel",
        "dense": "dense/kernel",
        "bias": "dense/bias",
    }
    return write_module(
        folder, network(**options), held or weights(), {"image": [None, 8, 8, 3]}, names=names
    )


def images(rows: int = 8, scale: float = 1.0) -> np.ndarray:
    """Golden images."""
    return (scale * np.random.default_rng(1).normal(0, 1, (rows, 8, 8, 3))).astype(np.float32)


def convert(
    model: Path, file: Path, kind: Kind = "float", data: np.ndarray | None = None, **options: Any
) -> Path:
    """The SavedModel as a TFLite file; ``data`` is representative, ``options`` are attributes of the converter."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(model))
    sets = tf.lite.OpsSet
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("int8", "int16"):
        rows = images() if data is None else data
        converter.representative_dataset = lambda: ([row[None]] for row in rows)
        converter.target_spec.supported_ops = [
            sets.TFLITE_BUILTINS_INT8
            if kind == "int8"
            else sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    for name, value in options.items():
        setattr(converter, name, value)
    file.write_bytes(converter.convert())
    return file
