"""Right rewrites of a graph: silent where a check passes, and no fault beside one where it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphs.compared import compare, dense

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

IMAGES = np.random.default_rng(3).normal(size=(4, 6, 6, 5)).astype(np.float32)


def block(*, divided: float = 2.0, factor: bool = False) -> None:
    """A convolution, a division by a constant (or a product with its inverse), a dense layer."""
    x = v1.placeholder(tf.float32, [None, 6], "x")
    y = tf.nn.elu(dense(x, "first", 6))
    y = tf.multiply(y, 0.25, name="part") if factor else tf.divide(y, 4.0, name="part")
    tf.identity(dense(y, "second") / divided, name="y")


def test_a_product_with_the_inverse_is_no_fault(tmp_path: Path) -> None:
    result = compare(tmp_path, block, lambda: block(factor=True))
    assert (result.verdict, result.health) == ("pass", ())


def test_beside_a_fault_it_is_not_named(tmp_path: Path) -> None:
    result = compare(tmp_path, block, lambda: block(divided=3.0, factor=True))
    (found,) = result.findings
    assert (found.cause, found.certainty) == ("graph-const-differs", "proven")


def residual(
    *, folded: bool = False, epsilon: float = 1e-3, offset: float = 1.0, fault: bool = False
) -> None:
    """A convolution with batch norm beside a shortcut; ``folded`` as TensorFlow's graph optimiser writes it."""
    x = v1.placeholder(tf.float32, [None, 6, 6, 5], "x")
    kernel = v1.get_variable("conv/kernel", (3, 3, 5, 5), use_resource=False)
    weights = {
        name: v1.get_variable(f"bn/{name}", (5,), use_resource=False, trainable=name in ("gamma", "beta"))
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    if folded:
        scale = weights["gamma"] * v1.rsqrt(weights["moving_variance"] + epsilon)
        kernel = tf.identity(kernel * scale, name="conv/folded")
        shift = tf.identity((weights["beta"] - weights["moving_mean"] * scale) * offset, name="bn/offset")
        y = tf.nn.conv2d(x, kernel, strides=1, padding="SAME", name="conv/conv")
        y = tf.add(shift, tf.add_n([x, y], name="sum"), name="bn/added")
    else:
        y = tf.nn.conv2d(x, kernel, strides=1, padding="SAME", name="conv/conv")
        y, _, _ = v1.nn.fused_batch_norm(
            y,
            weights["gamma"],
            weights["beta"],
            weights["moving_mean"],
            weights["moving_variance"],
            epsilon,
            is_training=False,
            name="bn/norm",
        )
        y = tf.add(y, x, name="sum")
    y = (tf.nn.elu if fault else tf.nn.relu)(y, name="act")
    tf.identity(tf.reduce_mean(y, [1, 2]), name="y")


def constants_folded(graph: object) -> None:
    """What depends on constants alone, as a constant."""
    with tf.Graph().as_default() as made, v1.Session(graph=made) as session:
        tf.import_graph_def(graph, name="")
        for name in ("conv/folded", "bn/offset"):
            value = session.run(f"{name}:0")
            node = next(node for node in graph.node if node.name == name)  # type: ignore[attr-defined]
            node.CopyFrom(v1.NodeDef(name=name, op="Const"))
            node.attr["dtype"].type = 1
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def test_an_offset_behind_the_shortcut_is_a_right_fold(tmp_path: Path) -> None:
    result = compare(tmp_path, residual, lambda: residual(folded=True), batch=IMAGES, change=constants_folded)
    assert (result.verdict, result.health) == ("pass", ())


def test_beside_a_fault_it_is_no_fold_without_an_offset(tmp_path: Path) -> None:
    result = compare(
        tmp_path,
        residual,
        lambda: residual(folded=True, fault=True),
        batch=IMAGES,
        change=constants_folded,
    )
    assert result.verdict == "fail"
    assert {finding.cause for finding in result.findings} == {"graph-op-differs"}
    assert "act" in result.findings[0].nodes
