"""Residual networks of different depth, width and input scale: with batch norms, folded rightly, in float16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
DEPTHS, WIDTHS, SCALES = (2, 8, 32), (4, 16, 64), (1e-3, 1.0, 255.0)
EPSILON = 1e-3
Weights = Mapping[str, np.ndarray]


def manifests(folder: Path) -> tuple[Path, Path]:
    """Write every network below ``folder``; the manifests of the right exports and of those in float16."""
    right, wrong = ["models:"], ["models:"]
    for depth, width, scale in product(DEPTHS, WIDTHS, SCALES):
        name = f"depth-{depth}-width-{width}-scale-{scale:g}"
        weights = _weights(depth, width)
        images = np.random.default_rng(1).normal(0, scale, (4, 12, 12, 3)).astype(np.float32)
        np.savez(folder / f"{name}.npz", image=images)
        for kind, values, folded in (
            ("reference", weights, False),
            ("folded", weights, True),
            (
                "half",
                {key: value.astype(np.float16).astype(np.float32) for key, value in weights.items()},
                False,
            ),
        ):
            with tf.Graph().as_default() as graph:
                _build(depth, values, folded=folded)
            (folder / f"{name}-{kind}.pb").write_bytes(graph.as_graph_def().SerializeToString())
        right += _model(name, "folded")
        wrong += _model(name, "half")
    files = folder / "right.yaml", folder / "wrong.yaml"
    for file, lines in zip(files, (right, wrong), strict=True):
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


def _model(name: str, kind: str) -> Iterator[str]:
    yield f"  {name}-{kind}:"
    yield f"    reference: {{frozen_graph: {name}-reference.pb}}"
    yield f"    export: {{frozen_graph: {name}-{kind}.pb}}"
    yield f'    inputs: {{"image:0": {{npz: {name}.npz, key: image}}}}'
    yield '    outputs: ["logits:0"]'


def _weights(depth: int, width: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(depth * 1000 + width)

    def normal(*shape: int, deviation: float, mean: float = 0.0) -> np.ndarray:
        return random.normal(mean, deviation, shape).astype(np.float32)

    weights = {
        "stem": normal(3, 3, 3, width, deviation=0.3),
        "head": normal(width, 10, deviation=width**-0.5),
    }
    for layer in range(depth):
        weights[f"kernel{layer}"] = normal(3, 3, width, width, deviation=(2 / (9 * width)) ** 0.5)
        weights[f"gamma{layer}"] = normal(width, deviation=0.2, mean=1.0)
        weights[f"beta{layer}"] = normal(width, deviation=0.1)
        weights[f"mean{layer}"] = normal(width, deviation=0.1)
        weights[f"variance{layer}"] = random.uniform(0.5, 2.0, width).astype(np.float32)
    return weights


def _build(depth: int, weights: Weights, *, folded: bool) -> Any:
    net = tf.nn.conv2d(v1.placeholder(tf.float32, [None, 12, 12, 3], "image"), weights["stem"], 1, "SAME")
    for layer in range(depth):
        names = ("kernel", "gamma", "beta", "mean", "variance")
        kernel, gamma, beta, mean, variance = (weights[f"{name}{layer}"] for name in names)
        if folded:
            scale = gamma / np.sqrt(variance + np.float32(EPSILON))
            branch = tf.nn.bias_add(tf.nn.conv2d(net, kernel * scale, 1, "SAME"), beta - mean * scale)
        else:
            branch = tf.nn.conv2d(net, kernel, 1, "SAME")
            branch = v1.nn.fused_batch_norm(
                branch, gamma, beta, mean, variance, epsilon=EPSILON, is_training=False
            )[0]
        net = net + tf.nn.relu(branch)
    return tf.matmul(tf.reduce_mean(net, [1, 2]), weights["head"], name="logits")
