"""Two and three independent faults in one export: each is found, each is proven."""

from __future__ import annotations

import tensorflow as tf

from faults.corpus import Case, Found, Reference
from faults.graphs import epsilon, folded, phase_fixed, several
from faults.networks import NETWORKS
from faults.weights import at_start, averaged, both, exchanged, of_layers, raw

STATISTICS = ("moving_mean", "moving_variance")
BLOCKS, TABULAR = Reference(network="blocks"), Reference(network="tabular")
RESIDUAL, CAMERA = Reference(network="residual"), Reference(network="camera")

TOGETHER = (
    Case(
        name="one batch norm trains and another has initial statistics",
        reference=RESIDUAL,
        changes={"net/unit2/a/BatchNorm": {"training": True}},
        weights=at_start("net/unit5/b/BatchNorm", only=STATISTICS),
        findings=(
            Found(cause="bn-training-mode", scopes=("net/unit2/a/BatchNorm",)),
            Found(cause="bn-stats-initial-values", scopes=("net/unit5/b/BatchNorm",)),
        ),
    ),
    Case(
        name="a dense batch norm trains and one head was not restored",
        reference=TABULAR,
        changes={"tower/norm_1": {"training": True}},
        weights=at_start("heads/value"),
        findings=(
            Found(cause="bn-training-mode", scopes=("tower/norm_1",)),
            Found(cause="partial-restore", scopes=("heads/value",)),
        ),
    ),
    Case(
        name="channels are reversed and the last kernel was not restored",
        reference=CAMERA,
        changes={"preprocess/reverse": lambda x, name: tf.reverse(x, [-1], name=name)},
        weights=at_start("head"),
        findings=(
            Found(cause="channel-order", scopes=("preprocess/reverse|preprocess",)),
            Found(cause="partial-restore", scopes=("head",)),
        ),
    ),
    Case(
        name="epsilon differs in one batch norm and a kernel is transposed in another block",
        reference=BLOCKS,
        weights=of_layers("block3/conv", value=lambda kernel: kernel.swapaxes(2, 3)),
        edit=epsilon("block1/bn", 0.1),
        findings=(
            Found(cause="bn-epsilon-mismatch", scopes=("block1/bn",)),
            Found(cause="kernel-transposed", scopes=("block3/conv",)),
        ),
    ),
    Case(
        name="averages are missing and the statistics are initial values",
        reference=Reference(network="blocks", shadows="trainable", ema="trainable"),
        weights=both(raw(), at_start(only=STATISTICS)),
        findings=(
            Found(cause="ema-not-applied", scopes=NETWORKS["blocks"].layers),
            Found(cause="bn-stats-initial-values", scopes=NETWORKS["blocks"].norms),
        ),
    ),
    Case(
        name="averages of the statistics and an activation of another kind",
        reference=Reference(network="residual", shadows="all", ema="trainable"),
        weights=averaged(only=STATISTICS),
        changes={"net/unit6/out": lambda x, name: tf.nn.elu(x, name=name)},
        findings=(
            Found(cause="ema-applied-to-bn-stats", scopes=NETWORKS["residual"].norms),
            Found(cause="graph-op-differs", scopes=("net/unit6/out|net/unit6",)),
        ),
    ),
    Case(
        name="a wrong fold and the loss of a dense layer's restore",
        reference=TABULAR,
        weights=at_start("side/hidden"),
        edit=several(
            folded("tower/hidden_1/kernel", "tower/norm_1", mean=False),
            folded("tower/hidden_2/kernel", "tower/norm_2"),
        ),
        findings=(
            Found(cause="bn-folded-without-mean", scopes=("tower/norm_1|tower/hidden_1",)),
            Found(cause="partial-restore", scopes=("side/hidden",)),
        ),
    ),
    Case(
        name="a batch norm trains, two kernels are exchanged, dropout is on",
        reference=RESIDUAL,
        changes={
            "net/unit1/b/BatchNorm": {"training": True},
            "net/dropout": lambda x, name: tf.nn.dropout(x, rate=0.5, seed=7, name=name),
        },
        weights=exchanged(("net/unit3/a/weights", "net/unit4/a/weights")),
        findings=(
            Found(cause="bn-training-mode", scopes=("net/unit1/b/BatchNorm",)),
            Found(cause="ckpt-tensor-mapped-to-wrong-variable", scopes=("net/unit3/a", "net/unit4/a")),
            Found(cause="dropout-active", scopes=("net/dropout",)),
        ),
    ),
    Case(
        name="a mean differs, an image is transposed, a padding is lost",
        reference=CAMERA,
        changes={
            "preprocess/mean": lambda x, name: tf.subtract(x, [123.7, 116.8, 103.9], name=name),
            "preprocess/turn": lambda x, name: tf.transpose(x, [0, 2, 1, 3], name=name),
            "features/second": {"padding": [[0, 0], [0, 2], [0, 2], [0, 0]]},
        },
        findings=(
            Found(cause="preprocess-const|input-scaling", scopes=("preprocess/mean|preprocess",)),
            Found(cause="axis-transposed", scopes=("preprocess/turn|preprocess",)),
            Found(cause="padding", scopes=("features/second",)),
        ),
    ),
    Case(
        name="epsilon, initial statistics and a raw kernel, each in a batch norm of its own",
        reference=Reference(network="residual", shadows="trainable", ema="trainable"),
        weights=both(raw("net/unit4/b"), at_start("net/unit2/b/BatchNorm", only=STATISTICS)),
        edit=epsilon("net/unit6/a/BatchNorm", 0.05),
        findings=(
            Found(cause="bn-epsilon-mismatch", scopes=("net/unit6/a/BatchNorm",)),
            Found(cause="bn-stats-initial-values", scopes=("net/unit2/b/BatchNorm",)),
            Found(cause="ema-partially-applied", scopes=("net/unit4/b",)),
        ),
    ),
    Case(
        name="one conditional batch norm trains and the statistics of another are initial values",
        reference=Reference(network="phased", feeds={"training:0": False}),
        changes={"encoder/norm_0": {"training": True}},
        weights=at_start("decoder/norm", only=STATISTICS),
        edit=phase_fixed("training"),
        findings=(
            Found(cause="bn-training-mode", scopes=("encoder/norm_0",)),
            Found(cause="bn-stats-initial-values", scopes=("decoder/norm",)),
        ),
    ),
    Case(
        name="one of a hundred batch norms trains and another has initial statistics",
        reference=Reference(network="residual", changes={"units": 50}),
        changes={"net/unit31/a/BatchNorm": {"training": True}},
        weights=at_start("net/unit12/b/BatchNorm", only=STATISTICS),
        atol=1e-3,
        findings=(
            Found(cause="bn-training-mode", scopes=("net/unit31/a/BatchNorm",)),
            Found(cause="bn-stats-initial-values", scopes=("net/unit12/b/BatchNorm",)),
        ),
        slow=True,
    ),
    Case(
        name="two of a hundred kernels are exchanged and one activation is missing",
        reference=Reference(network="residual", changes={"units": 50}),
        changes={"net/unit44/a/Relu": None},
        weights=exchanged(("net/unit7/a/weights", "net/unit30/b/weights")),
        atol=1e-3,
        findings=(
            Found(cause="ckpt-tensor-mapped-to-wrong-variable", scopes=("net/unit7/a", "net/unit30/b")),
            Found(cause="graph-op-missing", scopes=("net/unit44/a|net/unit44/a/Relu",)),
        ),
        slow=True,
    ),
)
