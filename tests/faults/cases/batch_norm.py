"""Faults of batch norm: its mode, its statistics, its folding."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from faults.corpus import Case, Found, Reference
from faults.graphs import epsilon, folded, phase_fixed, several
from faults.networks import NETWORKS
from faults.weights import Weights, at_start, exchanged, of_layers, without_statistics

BLOCKS = Reference(network="blocks")
TABULAR = Reference(network="tabular")
RESIDUAL = Reference(network="residual")
SCANNER = Reference(network="scanner")
PHASED = Reference(network="phased", feeds={"training:0": False})
FUNCTIONAL = Reference(network="functional", feeds={"is_training:0": False})
LEARNING = {"phase": "keras_learning_phase"}
LEARNING_FEED = {"keras_learning_phase:0": False}
STATISTICS = ("moving_mean", "moving_variance")


def norms(network: str) -> tuple[str, ...]:
    return NETWORKS[network].norms


def each(scopes: tuple[str, ...], **options: Any) -> dict[str, Any]:
    """The same options for several layers."""
    return dict.fromkeys(scopes, options)


def drifted(value: np.ndarray) -> np.ndarray:
    """A statistic of some steps later."""
    return value * np.linspace(0.8, 1.3, value.size, dtype=np.float32) + np.float32(0.01)


def sized(scope: str, **parts: Any) -> Any:
    """The checkpoint with some values of a batch norm put in."""

    def saved(tensors: Weights) -> Weights:
        changed = dict(tensors)
        for name, (index, value) in parts.items():
            changed[f"{scope}/{name}"] = tensors[f"{scope}/{name}"].copy()
            changed[f"{scope}/{name}"][index] = value
        return changed

    return saved


def unmoved(*scopes: str) -> Any:
    """The checkpoint with statistics that no step has updated."""

    def saved(tensors: Weights) -> Weights:
        return at_start(*scopes, only=STATISTICS)(tensors, tensors)

    return saved


def held(name: str, index: int, value: float) -> Any:
    """One value of one tensor of the export."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        tensor = right[name].copy()
        tensor[index] = value
        return {**right, name: tensor}

    return change


MODE = (
    Case(
        name="all fused batch norms run in training mode",
        reference=BLOCKS,
        changes=each(norms("blocks"), training=True),
        findings=(Found(cause="bn-training-mode", scopes=norms("blocks")),),
    ),
    Case(
        name="one batch norm of thirteen runs in training mode",
        reference=RESIDUAL,
        changes=each(("net/unit3/b/BatchNorm",), training=True),
        findings=(Found(cause="bn-training-mode", scopes=("net/unit3/b/BatchNorm",)),),
    ),
    Case(
        name="dense batch norms normalise with moments of the batch",
        reference=TABULAR,
        changes=each(norms("tabular"), training=True),
        findings=(Found(cause="bn-training-mode", scopes=norms("tabular")),),
    ),
    Case(
        name="one of two batch norms spelt as arithmetic runs in training mode",
        reference=SCANNER,
        changes=each(("trunk/n2",), training=True),
        findings=(Found(cause="bn-training-mode", scopes=("trunk/n2",)),),
    ),
    Case(
        name="a phase placeholder is frozen with its default True",
        reference=PHASED,
        findings=(Found(cause="bn-training-mode", scopes=norms("phased")),),
    ),
    Case(
        name="a phase placeholder that chooses functions is frozen with its default True",
        reference=FUNCTIONAL,
        findings=(Found(cause="bn-training-mode", scopes=norms("functional")),),
    ),
    Case(
        name="the phase is inverted in the export",
        reference=PHASED,
        changes={"polarity": tf.logical_not},
        edit=phase_fixed("training"),
        findings=(Found(cause="bn-training-mode", scopes=norms("phased")),),
    ),
    Case(
        name="one conditional batch norm is hard-wired to training",
        reference=PHASED,
        changes=each(("encoder/norm_1",), training=True),
        edit=phase_fixed("training"),
        findings=(Found(cause="bn-training-mode", scopes=("encoder/norm_1",)),),
    ),
    Case(
        name="the learning phase of Keras defaults to training",
        reference=Reference(network="phased", changes=LEARNING, feeds=LEARNING_FEED),
        findings=(Found(cause="keras-learning-phase", scopes=norms("phased")),),
    ),
    Case(
        name="the learning phase of Keras chooses training functions",
        reference=Reference(network="functional", changes=LEARNING, feeds=LEARNING_FEED),
        findings=(Found(cause="keras-learning-phase", scopes=norms("functional")),),
    ),
    Case(
        name="epsilon is 1e-5 in every fused batch norm of the export",
        reference=BLOCKS,
        changes=each(norms("blocks"), epsilon=1.1e-5),
        findings=(Found(cause="bn-epsilon-mismatch", scopes=norms("blocks")),),
    ),
    Case(
        name="epsilon is larger in one batch norm spelt as arithmetic",
        reference=TABULAR,
        changes=each(("tower/norm_2",), epsilon=0.05),
        findings=(Found(cause="bn-epsilon-mismatch", scopes=("tower/norm_2",)),),
    ),
    Case(
        name="epsilon differs in both branches of a conditional batch norm",
        reference=PHASED,
        changes=each(("encoder/norm_0",), epsilon=0.1),
        edit=phase_fixed("training"),
        findings=(Found(cause="bn-epsilon-mismatch", scopes=("encoder/norm_0",)),),
    ),
    Case(
        name="fused batch norms are built without their trained gamma",
        reference=BLOCKS,
        changes=each(norms("blocks")[:2], scale=False),
        findings=(Found(cause="bn-gamma-missing", scopes=norms("blocks")[:2]),),
    ),
    Case(
        name="a batch norm spelt as arithmetic is built without its trained gamma",
        reference=TABULAR,
        changes=each(("tower/norm_1",), scale=False),
        findings=(Found(cause="bn-gamma-missing", scopes=("tower/norm_1",)),),
    ),
    Case(
        name="a batch norm normalises along the rows of a square image",
        reference=Reference(network="scanner", changes={"trunk/c1": {"filters": 6}}),
        changes=each(("trunk/n1",), axis=1),
        findings=(Found(cause="bn-axis", scopes=("trunk/n1",)),),
    ),
    Case(
        name="a batch norm of a network of eight channels normalises along the rows",
        reference=Reference(network="blocks", changes={"block1/bn": {"spelt": "arithmetic"}}),
        changes={"block1/bn": {"spelt": "arithmetic", "axis": 1}},
        findings=(Found(cause="bn-axis", scopes=("block1/bn",)),),
    ),
    Case(
        name="a converter dropped epsilon and a channel is dead",
        reference=Reference(
            network="blocks", saved=sized("block2/bn", moving_variance=(3, 0.0), moving_mean=(3, 0.0))
        ),
        edit=epsilon("block2/bn", 0.0),
        findings=(Found(cause="nan-zero-epsilon", scopes=("block2/bn",)),),
    ),
    Case(
        name="an arithmetic batch norm without epsilon has a dead channel",
        reference=Reference(network="tabular", saved=sized("tower/norm_1", moving_variance=(5, 0.0))),
        edit=epsilon("tower/norm_1", 0.0),
        findings=(Found(cause="nan-zero-epsilon", scopes=("tower/norm_1",)),),
    ),
)

STATISTIC = (
    Case(
        name="the statistics of one batch norm of thirteen are initial values",
        reference=RESIDUAL,
        weights=at_start("net/unit2/b/BatchNorm", only=STATISTICS),
        findings=(Found(cause="bn-stats-initial-values", scopes=("net/unit2/b/BatchNorm",)),),
    ),
    Case(
        name="all statistics of a dense network are initial values",
        reference=TABULAR,
        weights=at_start(only=STATISTICS),
        findings=(Found(cause="bn-stats-initial-values", scopes=norms("tabular")),),
    ),
    Case(
        name="the statistics of conditional batch norms are initial values",
        reference=PHASED,
        weights=at_start(only=STATISTICS),
        edit=phase_fixed("training"),
        findings=(Found(cause="bn-stats-initial-values", scopes=norms("phased")),),
    ),
    Case(
        name="only the moving means of two batch norms are initial values",
        reference=BLOCKS,
        weights=at_start("block1/bn", "block3/bn", only=("moving_mean",)),
        findings=(Found(cause="bn-stats-initial-values", scopes=("block1/bn", "block3/bn")),),
    ),
    Case(
        name="the statistics are those of another step",
        reference=BLOCKS,
        weights=of_layers(value=drifted, only=STATISTICS),
        findings=(Found(cause="bn-stats-differ-from-ckpt", scopes=norms("blocks")),),
    ),
    Case(
        name="one batch norm spelt as arithmetic has statistics of another step",
        reference=SCANNER,
        weights=of_layers("trunk/n2", value=drifted, only=STATISTICS),
        findings=(Found(cause="bn-stats-differ-from-ckpt", scopes=("trunk/n2",)),),
    ),
    Case(
        name="the checkpoint was saved without statistics",
        reference=Reference(network="blocks", saved=without_statistics),
        weights=at_start(only=STATISTICS),
        verdict=("fail", "error"),
        findings=(Found(cause="bn-stats-not-saved", scopes=norms("blocks"), certainty="decisive|warning"),),
    ),
    Case(
        name="the checkpoint of resource variables was saved without statistics",
        reference=Reference(network="tabular", saved=without_statistics),
        weights=at_start(only=STATISTICS),
        verdict=("fail", "error"),
        findings=(Found(cause="bn-stats-not-saved", scopes=norms("tabular"), certainty="decisive|warning"),),
    ),
    Case(
        name="the update ops were never run",
        reference=Reference(network="blocks", saved=unmoved(*norms("blocks"))),
        verdict=("proven",),
        health={"bn-stats-never-updated": norms("blocks")},
    ),
    Case(
        name="the update ops of one scope were never run",
        reference=Reference(network="tabular", saved=unmoved("tower/norm_2")),
        verdict=("proven",),
        health={"bn-stats-never-updated": ("tower/norm_2",)},
    ),
    Case(
        name="a variance of the export overflowed",
        reference=BLOCKS,
        weights=held("block2/bn/moving_variance", 1, np.inf),
        findings=(Found(cause="bn-variance-nonfinite", scopes=("block2/bn",)),),
    ),
    Case(
        name="a moving mean of the export is not a number",
        reference=TABULAR,
        weights=held("tower/norm_1/moving_mean", 2, np.nan),
        findings=(Found(cause="bn-variance-nonfinite", scopes=("tower/norm_1",)),),
    ),
    Case(
        name="a batch norm reads the averaged moments of another branch",
        reference=Reference(network="branches"),
        changes={"order": ("right", "left")},
        findings=(Found(cause="bn-stats-names-shifted", scopes=norms("branches")),),
    ),
    Case(
        name="three batch norms read one another's averaged moments",
        reference=Reference(network="forest"),
        changes={"order": ("elm", "ash", "oak")},
        findings=(Found(cause="bn-stats-names-shifted", scopes=norms("forest")),),
    ),
    Case(
        name="mean and variance of a batch norm are exchanged",
        reference=TABULAR,
        weights=exchanged(("tower/norm_1/moving_mean", "tower/norm_1/moving_variance")),
        findings=(Found(cause="ckpt-tensor-mapped-to-wrong-variable", scopes=("tower/norm_1",)),),
    ),
)

FOLD = (
    Case(
        name="a batch norm is folded into its kernel and still runs",
        reference=RESIDUAL,
        edit=folded("net/unit4/a/weights", "net/unit4/a/BatchNorm", kept=True),
        findings=(Found(cause="bn-folded-twice", scopes=("net/unit4/a/BatchNorm|net/unit4/a",)),),
    ),
    Case(
        name="a dense batch norm is folded into its kernel and still runs",
        reference=TABULAR,
        edit=folded("tower/hidden_1/kernel", "tower/norm_1", kept=True),
        findings=(Found(cause="bn-folded-twice", scopes=("tower/norm_1|tower/hidden_1",)),),
    ),
    Case(
        name="every batch norm is folded with an epsilon of 1e-5",
        reference=Reference(network="blocks", saved=sized("block1/bn", moving_variance=(0, 1e-3))),
        edit=several(
            *(folded(f"block{n}/conv/kernel", f"block{n}/bn", epsilon=1e-5) for n in (1, 2, 3)),
        ),
        findings=(
            Found(
                cause="bn-folded-wrong-epsilon",
                scopes=tuple(f"block{n}/bn|block{n}/conv" for n in (1, 2, 3)),
            ),
        ),
    ),
    Case(
        name="one dense batch norm is folded with another epsilon",
        reference=TABULAR,
        edit=several(
            folded("tower/hidden_1/kernel", "tower/norm_1", epsilon=0.02),
            folded("tower/hidden_2/kernel", "tower/norm_2"),
        ),
        findings=(Found(cause="bn-folded-wrong-epsilon", scopes=("tower/norm_1|tower/hidden_1",)),),
    ),
    Case(
        name="a square kernel is folded along its input channels",
        reference=RESIDUAL,
        edit=folded("net/unit5/b/weights", "net/unit5/b/BatchNorm", axis=2),
        findings=(Found(cause="bn-folded-wrong-axis", scopes=("net/unit5/b/BatchNorm|net/unit5/b",)),),
    ),
    Case(
        name="a square dense kernel is folded along its rows",
        reference=TABULAR,
        edit=folded("tower/hidden_2/kernel", "tower/norm_2", axis=0),
        findings=(Found(cause="bn-folded-wrong-axis", scopes=("tower/norm_2|tower/hidden_2",)),),
    ),
    Case(
        name="folds leave the means out of their biases",
        reference=BLOCKS,
        edit=several(*(folded(f"block{n}/conv/kernel", f"block{n}/bn", mean=False) for n in (1, 2, 3))),
        findings=(
            Found(
                cause="bn-folded-without-mean",
                scopes=tuple(f"block{n}/bn|block{n}/conv" for n in (1, 2, 3)),
            ),
        ),
    ),
    Case(
        name="one fold of a dense network leaves the mean out of its bias",
        reference=TABULAR,
        edit=several(
            folded("tower/hidden_1/kernel", "tower/norm_1"),
            folded("tower/hidden_2/kernel", "tower/norm_2", mean=False),
        ),
        findings=(Found(cause="bn-folded-without-mean", scopes=("tower/norm_2|tower/hidden_2",)),),
    ),
    Case(
        name="a fold rescales a convolution that another output reads",
        reference=BLOCKS,
        outputs=("logits:0", "raw:0"),
        edit=folded("block2/conv/kernel", "block2/bn"),
        findings=(Found(cause="pass-fold-bn-shared-conv", scopes=("block2/conv|block2/bn",)),),
    ),
    Case(
        name="a fold rescales a dense layer whose raw output is asked for",
        reference=TABULAR,
        outputs=("scores:0", "tower/hidden_1/MatMul:0"),
        edit=folded("tower/hidden_1/kernel", "tower/norm_1"),
        findings=(Found(cause="pass-fold-bn-shared-conv", scopes=("tower/hidden_1|tower/norm_1",)),),
    ),
    Case(
        name="a fold rescales a kernel that two convolutions share",
        reference=Reference(network="residual", changes={"net/unit1/b": {"variables": "net/unit1/a"}}),
        edit=folded("net/unit1/a/weights", "net/unit1/a/BatchNorm"),
        findings=(
            Found(
                cause="pass-fold-bn-shared-weights",
                scopes=("net/unit1/a|net/unit1/b|net/unit1/a/BatchNorm",),
            ),
        ),
    ),
    Case(
        name="a fold rescales a kernel that two blocks share",
        reference=Reference(network="blocks", changes={"block3/conv": {"variables": "block2/conv"}}),
        edit=folded("block2/conv/kernel", "block2/bn"),
        findings=(Found(cause="pass-fold-bn-shared-weights", scopes=("block2/conv|block3/conv|block2/bn",)),),
    ),
)

BATCH_NORM = (*MODE, *STATISTIC, *FOLD)
