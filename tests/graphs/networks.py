"""Small networks that tests write to a folder: a checkpoint, its ``.meta`` and a frozen export of it.

    network = small_network(tmp_path, ema=True)
    network.checkpoint, network.meta, network.frozen_graph, network.images, network.expected

The network is conv -> BN -> ReLU -> mean over the image -> dense -> softmax, with random weights and
moving statistics that are far from their initial values. TensorFlow is imported when one is built.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


def stated_check(checkpoint: Path, frozen_graph: Path, **keywords: Any) -> Any:
    """The check of two files, with the keywords of a marker."""
    from pytest_tfparity.settings.resolve import resolve

    given = {"checkpoint": checkpoint, "frozen_graph": frozen_graph, **keywords}
    return resolve(None, marker=given, ini={}, options={}, root=Path.cwd(), name=frozen_graph.stem)


OUTPUTS = ("logits:0", "probabilities:0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The files of one network. ``expected`` is what the right export answers to ``images``."""

    folder: Path
    checkpoint: Path
    meta: Path
    frozen_graph: Path
    images: np.ndarray
    expected: Mapping[str, np.ndarray]
    input: str = "image:0"
    outputs: tuple[str, ...] = OUTPUTS


def images(count: int = 4, seed: int = 7) -> np.ndarray:
    """Golden images, float32 [count, 6, 6, 2]."""
    return np.random.default_rng(seed).normal(size=(count, 6, 6, 2)).astype(np.float32)


def build(
    *,
    training: bool = False,
    batch: int | None = None,
    use_resource: bool = False,
    updates: bool = False,
    ema: bool = False,
    devices: tuple[str, str] = ("", ""),
) -> Any:
    """Add the network to the default graph (a fresh one, please) and return its logits.

    ``training`` puts BN into training mode; ``updates`` hangs a step counter on the logits as a control
    dependency, as training graphs do; ``ema`` adds shadows of the trainable variables; ``devices`` are
    those of the block's and of the dense layer's variables.
    """
    import tensorflow as tf

    v1 = tf.compat.v1

    def variable(name: str, shape: tuple[int, ...], start: float, trainable: bool = True) -> Any:
        return v1.get_variable(
            name,
            shape,
            tf.float32,
            initializer=v1.constant_initializer(start),
            trainable=trainable,
            use_resource=use_resource,
        )

    image = v1.placeholder(tf.float32, [batch, 6, 6, 2], "image")
    with v1.device(devices[0]), v1.variable_scope("block"):
        with v1.variable_scope("conv"):
            net = tf.nn.conv2d(image, variable("kernel", (3, 3, 2, 3), 0.1), strides=1, padding="SAME")
        with v1.variable_scope("bn"):
            gamma, beta = variable("gamma", (3,), 1.0), variable("beta", (3,), 0.0)
            mean = variable("moving_mean", (3,), 0.0, trainable=False)
            variance = variable("moving_variance", (3,), 1.0, trainable=False)
            statistics = {} if training else {"mean": mean, "variance": variance}
            net, _, _ = v1.nn.fused_batch_norm(
                net, gamma, beta, epsilon=1e-3, is_training=training, **statistics
            )
    net = tf.reduce_mean(tf.nn.relu(net), axis=[1, 2], name="pool")
    with v1.device(devices[1]), v1.variable_scope("fc"):
        net = tf.matmul(net, variable("kernel", (3, 4), 0.1)) + variable("bias", (4,), 0.0)
    with v1.device(devices[0]):
        step = v1.get_variable(
            "global_step",
            [],
            tf.int64,
            trainable=False,
            use_resource=use_resource,
            initializer=v1.zeros_initializer(),
        )
    controls = [v1.assign_add(step, 1)] if updates else []
    with tf.control_dependencies(controls):
        logits = tf.identity(net, name="logits")
    tf.nn.softmax(logits, name="probabilities")
    if ema:
        v1.train.ExponentialMovingAverage(0.9).apply(v1.trainable_variables())
    return logits


def weights(variables: list[Any], seed: int = 0) -> dict[str, np.ndarray]:
    """A value for each variable, by name: random, variances positive, the same for the same seed."""
    generator = np.random.default_rng(seed)
    values = {}
    for each in sorted(variables, key=lambda variable: str(variable.op.name)):
        shape, dtype = each.shape.as_list(), each.dtype.base_dtype.as_numpy_dtype
        value = generator.normal(size=shape)
        value = np.abs(value) + 0.5 if "variance" in each.op.name else value
        values[each.op.name] = np.asarray(value * 5 if np.dtype(dtype).kind == "i" else value).astype(dtype)
    return values


def load(session: Any, values: Mapping[str, np.ndarray]) -> None:
    """Put ``values`` (by variable name) into every variable of the session's graph."""
    import tensorflow as tf

    with session.graph.as_default():
        initialisers = {each.op.name: each.initializer for each in tf.compat.v1.global_variables()}
    session.run(
        list(initialisers.values()),
        {initialiser.inputs[1]: values[name] for name, initialiser in initialisers.items()},
    )


def freeze(session: Any, path: Path, outputs: tuple[str, ...] = ("probabilities",)) -> Path:
    """Write the session's graph to ``path`` with its variables as constants; text if it ends in txt."""
    import tensorflow as tf

    frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
        session, session.graph.as_graph_def(), list(outputs)
    )
    return write_graph(frozen, path)


def write_graph(graph_def: Any, path: Path) -> Path:
    """Write a ``tf.compat.v1.GraphDef`` to ``path``; text if it ends in txt."""
    import tensorflow as tf

    tf.io.write_graph(graph_def, str(path.parent), path.name, as_text=path.suffix == ".pbtxt")
    return path


def small_network(folder: Path, **options: Any) -> Network:
    """Write checkpoint and export of one network into ``folder``; see :func:`_small_network` for ``options``.

    The same options give the same bytes: they are made once a session and copied from then on.
    """
    template = _template(tuple(sorted(options.items())))
    shutil.copytree(template.folder, folder, dirs_exist_ok=True)
    state = folder / "checkpoint"
    state.write_text(state.read_text().replace(str(template.folder), str(folder)))

    def moved(path: Path) -> Path:
        return folder / path.name

    return replace(
        template,
        folder=folder,
        checkpoint=moved(template.checkpoint),
        meta=moved(template.meta),
        frozen_graph=moved(template.frozen_graph),
    )


@cache
def _template(options: tuple[tuple[str, Any], ...]) -> Network:
    folder = tempfile.mkdtemp(prefix="network-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _small_network(Path(folder), **dict(options))


def _small_network(
    folder: Path,
    *,
    name: str = "model.ckpt-7",
    export: str = "model.pb",
    seed: int = 0,
    ema: bool = False,
    raw_export: bool = False,
    sharded: bool = False,
    relative: bool = False,
    training_bn: bool = False,
    use_resource: bool = False,
    wrong_weights: bool = False,
    updates: bool = False,
    batch: int | None = None,
    keep_statistics: bool = True,
    count: int = 4,
) -> Network:
    """Write checkpoint and export of one network into ``folder``.

    The checkpoint is right and its ``.meta`` is a training job's: its saver restores raw weights.

    ``ema``: the graph keeps shadows, the right export holds them (``raw_export``: it holds raw weights).
    ``sharded`` (two shards), ``relative``: options of the Saver. ``training_bn``: the export's BN is in
    training mode. ``wrong_weights``: one kernel of the export is another one. ``updates``: a counter hangs
    on the logits.
    ``batch``: the export's batch dimension is pinned. ``keep_statistics=False``: the checkpoint lacks the
    moving statistics. ``expected`` is always what the right export answers, whatever was exported.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / name
    two_devices = v1.ConfigProto(device_count={"CPU": 2})
    devices = ("/cpu:0", "/cpu:1") if sharded else ("", "")
    with tf.Graph().as_default() as graph, v1.Session(graph=graph, config=two_devices) as session:
        build(use_resource=use_resource, updates=updates, ema=ema, devices=devices)
        values = weights(v1.global_variables(), seed)
        load(session, values)
        saved = [each for each in v1.global_variables() if keep_statistics or "moving" not in each.op.name]
        saver = v1.train.Saver(saved, sharded=sharded, save_relative_paths=relative)
        saver.save(session, str(prefix))

    right = {key: value for key, value in values.items() if not key.endswith("/ExponentialMovingAverage")}
    if ema:
        right = {key: values.get(f"{key}/ExponentialMovingAverage", value) for key, value in right.items()}
    golden = images(count)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        build()
        load(session, right)
        expected = dict(zip(OUTPUTS, session.run(OUTPUTS, {"image:0": golden}), strict=True))

    exported = dict(values if raw_export else right)
    if wrong_weights:
        exported["fc/kernel"] = exported["fc/kernel"][::-1].copy()
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        build(training=training_bn, batch=batch, use_resource=use_resource)
        load(session, exported)
        frozen_graph = freeze(session, folder / export)
    return Network(
        folder=folder,
        checkpoint=prefix,
        meta=prefix.with_name(prefix.name + ".meta"),
        frozen_graph=frozen_graph,
        images=golden,
        expected=expected,
    )
