"""Build the networks that the benchmark checks: ``python networks.py KIND FOLDER``.

Each network becomes a folder as a training script would leave it: ``model.ckpt.*`` and its
``.meta`` from ``tf.compat.v1.train.Saver``, ``model.pb`` from ``convert_variables_to_constants``
and ``inputs.npz``, a golden batch; where the weights do not fit into a GraphDef there is ``saved_model`` instead
of it. The input is ``image:0``, the output ``logits:0``. Weights are random but sane: He-initialised kernels and
moving statistics that are not 0 and 1, so that nothing overflows and no batch norm is a no-op. ``--fault`` spoils
one layer of the frozen graph alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any
Network = Callable[[], tuple[Tensor, tuple[int, ...]]]
"""Builds into the default graph; returns the logits and the shape of a golden batch."""

v1 = tf.compat.v1
BATCH = 8
UNITS = 4096
STEPPED = "layer03/weights"
LARGEST_GRAPH = 2**31
"""Bytes that a protocol buffer can hold: what is larger is exported as a SavedModel."""
FAULTY = "block3/unit_3/bottleneck/conv2/BatchNorm"
"""The batch norm of ResNet-50 that ``--fault`` spoils: the 33rd of 53."""


def convolution(
    x: Tensor,
    filters: int,
    kernel: int | tuple[int, int],
    scope: str,
    *,
    stride: int = 1,
    padding: str = "SAME",
) -> Tensor:
    """Convolve without a bias, as is usual before batch norm."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    channels = x.shape[-1]
    with v1.variable_scope(scope):
        weights = v1.get_variable(
            "weights",
            [height, width, channels, filters],
            initializer=v1.random_normal_initializer(0.0, (2.0 / (height * width * channels)) ** 0.5),
        )
        return tf.nn.conv2d(x, weights, strides=[1, stride, stride, 1], padding=padding, name="Conv2D")


def batch_norm(x: Tensor, *, scale: float = 1.0) -> Tensor:
    """Normalise in inference mode; ``scale`` is the middle of gamma's range."""
    shape = [x.shape[-1]]
    uniform, normal = v1.random_uniform_initializer, v1.random_normal_initializer
    with v1.variable_scope("BatchNorm"):
        gamma = v1.get_variable("gamma", shape, initializer=uniform(0.8 * scale, 1.2 * scale))
        beta = v1.get_variable("beta", shape, initializer=normal(0.0, 0.1))
        mean = v1.get_variable("moving_mean", shape, initializer=normal(0.0, 0.1), trainable=False)
        variance = v1.get_variable("moving_variance", shape, initializer=uniform(0.5, 1.5), trainable=False)
        return v1.nn.fused_batch_norm(
            x, gamma, beta, mean=mean, variance=variance, epsilon=1e-3, is_training=False
        )[0]


def unit(x: Tensor, filters: int, kernel: int | tuple[int, int], scope: str, **options: Any) -> Tensor:
    """Convolution, batch norm, ReLU."""
    with v1.variable_scope(scope):
        return tf.nn.relu(batch_norm(convolution(x, filters, kernel, "conv", **options)))


def logits(x: Tensor, classes: int) -> Tensor:
    """Pool what is left of the image and classify it."""
    x = tf.reduce_mean(x, axis=[1, 2], name="pool")
    with v1.variable_scope("classifier"):
        weights = v1.get_variable(
            "weights",
            [x.shape[-1], classes],
            initializer=v1.random_normal_initializer(0.0, float(x.shape[-1]) ** -0.5),
        )
        biases = v1.get_variable("biases", [classes], initializer=v1.random_normal_initializer(0.0, 0.1))
        return tf.nn.bias_add(tf.matmul(x, weights), biases)


def image(size: int) -> tuple[Tensor, tuple[int, ...]]:
    """Place an input for square colour images."""
    return v1.placeholder(tf.float32, [None, size, size, 3], "image"), (BATCH, size, size, 3)


def resnet50() -> tuple[Tensor, tuple[int, ...]]:
    """ResNet-50 v1 (He et al. 2015): 53 convolutions with batch norm, 25.6 million weights."""
    x, shape = image(224)
    x = unit(x, 64, 7, "stem", stride=2)
    x = tf.nn.max_pool2d(x, 3, 2, "SAME")
    for block, (filters, depth, stride) in enumerate([(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)], 1):
        for index in range(depth):
            with v1.variable_scope(f"block{block}/unit_{index + 1}/bottleneck"):
                x = bottleneck(x, filters, stride if index == 0 else 1, project=index == 0)
    return logits(x, 1000), shape


def bottleneck(x: Tensor, filters: int, stride: int, *, project: bool) -> Tensor:
    """Add a residual whose gamma is small, so that sixteen of them do not grow the sum out of bounds."""
    shortcut = x
    if project:
        with v1.variable_scope("shortcut"):
            shortcut = batch_norm(convolution(x, 4 * filters, 1, "conv", stride=stride))
    x = unit(x, filters, 1, "conv1")
    x = unit(x, filters, 3, "conv2", stride=stride)
    with v1.variable_scope("conv3"):
        residual = batch_norm(convolution(x, 4 * filters, 1, "conv"), scale=0.3)
    return tf.nn.relu(shortcut + residual)


def inception() -> tuple[Tensor, tuple[int, ...]]:
    """Inception v3 (Szegedy et al. 2015): 94 convolutions with batch norm, 23.8 million weights."""
    x, shape = image(299)
    x = unit(x, 32, 3, "Conv2d_1a", stride=2, padding="VALID")
    x = unit(x, 32, 3, "Conv2d_2a", padding="VALID")
    x = unit(x, 64, 3, "Conv2d_2b")
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    x = unit(x, 80, 1, "Conv2d_3b", padding="VALID")
    x = unit(x, 192, 3, "Conv2d_4a", padding="VALID")
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = mixed(x, name, [[(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)]], pooled)
    x = reduction(x, "Mixed_6a", [[(384, 3)], [(64, 1), (96, 3), (96, 3)]])
    for name, n in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        row, column = (1, 7), (7, 1)
        x = mixed(
            x,
            name,
            [
                [(192, 1)],
                [(n, 1), (n, row), (192, column)],
                [(n, 1), (n, column), (n, row), (n, column), (192, row)],
            ],
            192,
        )
    x = reduction(x, "Mixed_7a", [[(192, 1), (320, 3)], [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)]])
    for name in ("Mixed_7b", "Mixed_7c"):
        x = mixed(x, name, [[(320, 1)], [(384, 1)], [(448, 1), (384, 3)]], 192, fork=384)
    return logits(x, 1000), shape


Branch = Sequence[tuple[int, int | tuple[int, int]]]


def chain_units(x: Tensor, branch: Branch, scope: str, *, last_stride: int = 1) -> Tensor:
    """Stack the units of one branch."""
    with v1.variable_scope(scope):
        for index, (filters, kernel) in enumerate(branch):
            reduces = last_stride > 1 and index == len(branch) - 1
            options = {"stride": last_stride, "padding": "VALID"} if reduces else {}
            x = unit(x, filters, kernel, f"Conv2d_0{index}", **options)
    return x


def mixed(x: Tensor, scope: str, branches: Sequence[Branch], pooled: int, *, fork: int = 0) -> Tensor:
    """Concatenate branches and a pooled one; ``fork`` splits the later branches' ends into 1x3 and 3x1."""
    with v1.variable_scope(scope):
        ends = []
        for index, branch in enumerate(branches):
            end = chain_units(x, branch, f"Branch_{index}")
            if fork and index:
                with v1.variable_scope(f"Branch_{index}"):
                    ends += [unit(end, fork, (1, 3), "Conv2d_row"), unit(end, fork, (3, 1), "Conv2d_column")]
            else:
                ends.append(end)
        ends.append(unit(tf.nn.avg_pool2d(x, 3, 1, "SAME"), pooled, 1, "Branch_pool"))
        return tf.concat(ends, axis=3)


def reduction(x: Tensor, scope: str, branches: Sequence[Branch]) -> Tensor:
    """Halve the image in every branch and concatenate."""
    with v1.variable_scope(scope):
        ends = [chain_units(x, branch, f"Branch_{i}", last_stride=2) for i, branch in enumerate(branches)]
        return tf.concat([*ends, tf.nn.max_pool2d(x, 3, 2, "VALID")], axis=3)


def small() -> tuple[Tensor, tuple[int, ...]]:
    """Four convolutions with batch norm, 0.24 million weights, 1 MB."""
    x, shape = image(32)
    for index, filters in enumerate((32, 64, 128, 128), 1):
        x = unit(x, filters, 3, f"conv{index}", stride=2)
    return logits(x, 10), shape


def chain(nodes: int) -> tuple[Tensor, tuple[int, ...]]:
    """Add and multiply by small constants, one after the other: ``nodes`` nodes in all.

    Half of them are constants, so the longest path is ``nodes / 2``. Factors alternate around 1
    and terms around 0, so that the value stays where it is.
    """
    x = v1.placeholder(tf.float32, [None, 4], "image")
    first = v1.get_variable("scale", [4], initializer=v1.random_uniform_initializer(0.5, 1.5))
    draw = np.random.default_rng(0)
    x = x * first
    for index in range((nodes - 4) // 4):
        factor = np.float32(2.0 if index % 2 else 0.5)
        x = tf.raw_ops.AddV2(x=x, y=tf.constant(draw.normal(0, 1e-3, 4).astype(np.float32)))
        x = tf.raw_ops.Mul(x=x, y=tf.constant(factor + draw.normal(0, 1e-6, 4).astype(np.float32)))
    return x, (BATCH, 4)


def dense(layers: int) -> tuple[Tensor, tuple[int, ...]]:
    """Fully connected layers of 4,096 units, 64 MiB of weights each: as large as one likes."""
    x = v1.placeholder(tf.float32, [None, UNITS], "image")
    for index in range(layers):
        with v1.variable_scope(f"layer{index:02}"):
            spread = v1.random_normal_initializer(0.0, (2.0 / UNITS) ** 0.5)
            x = tf.nn.relu(tf.matmul(x, v1.get_variable("weights", [UNITS, UNITS], initializer=spread)))
    return x[:, :10], (BATCH, UNITS)


def in_training_mode(frozen: Any) -> None:
    """Let one batch norm use the batch's own statistics, as one built with ``is_training=True`` does."""
    norm = node_of(frozen, f"{FAULTY}/FusedBatchNormV3")
    norm.attr["is_training"].b = True
    for index, name in ((3, f"{FAULTY}/Const"), (4, f"{FAULTY}/Const_1")):
        empty = frozen.node.add(name=name, op="Const")
        empty.attr["dtype"].type = tf.float32.as_datatype_enum
        empty.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([], tf.float32, [0]))
        norm.input[index] = name


def at_initial_statistics(frozen: Any) -> None:
    """Leave the moving statistics of one batch norm where they start: means 0, variances 1."""
    for name, value in (("moving_mean", 0.0), ("moving_variance", 1.0)):
        tensor = node_of(frozen, f"{FAULTY}/{name}").attr["value"].tensor
        initial = np.full(tf.make_ndarray(tensor).shape, value, np.float32)
        tensor.CopyFrom(tf.make_tensor_proto(initial))


def of_another_step(frozen: Any) -> None:
    """Give one fully connected layer other weights than the checkpoint has."""
    tensor = node_of(frozen, STEPPED).attr["value"].tensor
    weights = tf.make_ndarray(tensor)
    noise = np.random.default_rng(1).normal(scale=0.01, size=weights.shape).astype(np.float32)
    tensor.CopyFrom(tf.make_tensor_proto(weights + noise))


def variable_of_another_step(graph: Any) -> Any:
    """The op that does the same to the variable, before it is saved with a SavedModel."""
    with graph.as_default():
        (variable,) = (each for each in v1.global_variables() if each.op.name == STEPPED)
        return variable.assign_add(tf.random.normal(variable.shape, stddev=0.01, seed=1)).op


def node_of(frozen: Any, name: str) -> Any:
    """Find a node of a GraphDef."""
    return next(node for node in frozen.node if node.name == name)


FAULTS = {"training": in_training_mode, "initial": at_initial_statistics, "step": of_another_step}
FAULTY_VARIABLE = {"step": variable_of_another_step}
"""The same faults for a network that is exported as a SavedModel."""


def save(network: Network, folder: Path, seed: int, fault: str | None = None) -> None:
    """Write checkpoint, frozen graph and golden batch of one network into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.set_random_seed(seed)
        output, shape = network()
        tf.identity(output, "logits")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "model.ckpt"))
        if 4 * sum(variable.shape.num_elements() for variable in v1.global_variables()) > LARGEST_GRAPH:
            if fault is not None:
                session.run(FAULTY_VARIABLE[fault](graph))
            tensors = [{name: graph.get_tensor_by_name(f"{name}:0")} for name in ("image", "logits")]
            v1.saved_model.simple_save(session, str(folder / "saved_model"), *tensors)
            frozen = None
        else:
            frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["logits"])
    if frozen is not None:
        if fault is not None:
            FAULTS[fault](frozen)
        (folder / "model.pb").write_bytes(frozen.SerializeToString())
    images = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    np.savez(folder / "inputs.npz", **{"image:0": images})


def main() -> None:
    """Build one network, or several of one kind with different weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["resnet50", "inception", "small", "chain", "dense"])
    parser.add_argument("folders", type=Path, nargs="+", help="one network each, with weights of its own")
    parser.add_argument("--nodes", type=int, default=1000, help="length of a chain")
    parser.add_argument("--layers", type=int, default=6, help="layers of dense, 64 MiB each")
    parser.add_argument("--fault", choices=FAULTS, help="what is wrong with one layer of the export")
    options = parser.parse_args()
    v1.disable_resource_variables()
    kinds = {
        "resnet50": resnet50,
        "inception": inception,
        "small": small,
        "chain": partial(chain, options.nodes),
        "dense": partial(dense, options.layers),
    }
    for seed, folder in enumerate(options.folders):
        save(kinds[options.kind], folder, seed, options.fault)


if __name__ == "__main__":
    main()
