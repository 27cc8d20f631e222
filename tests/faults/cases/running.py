"""Random operations, and what cannot be compared."""

from __future__ import annotations

import tensorflow as tf

from faults.corpus import Case, Found, Reference
from faults.graphs import custom_op, scaled, unfrozen, updating
from faults.operations import (
    BLOCKS,
    CAMERA,
    RESIDUAL,
    TABULAR,
    at,
    brightened,
    drawn,
    dropout,
    fed_dropout,
    fixed_range,
    flipped,
    found,
    infinite,
    moving_range,
    noise,
    not_a_number,
)
from faults.weights import of_layers

RANDOM = (
    Case(
        name="dropout is left on",
        reference=BLOCKS,
        changes={"drop": dropout},
        findings=found("dropout-active", "drop"),
    ),
    Case(
        name="dropout of a dense network is left on",
        reference=TABULAR,
        changes={"tower/drop": dropout},
        findings=found("dropout-active", "tower/drop"),
    ),
    Case(
        name="keep_prob is frozen with its default of one half",
        reference=Reference(
            network="residual", changes={"net/dropout": fed_dropout}, feeds={"net/keep_prob:0": 1.0}
        ),
        findings=(
            Found(cause="dropout-active", scopes=("net/dropout",), also=("keep_prob", "net/keep_prob")),
        ),
    ),
    Case(
        name="the export flips images at random",
        reference=CAMERA,
        changes={"preprocess/augment": flipped},
        findings=found("random-augmentation", at("preprocess/augment")),
    ),
    Case(
        name="the export brightens images at random",
        reference=Reference(network="camera"),
        changes={"preprocess/reverse": brightened},
        findings=found("random-augmentation", at("preprocess/reverse")),
    ),
    Case(
        name="a noise layer is left in",
        reference=BLOCKS,
        changes={"drop": noise},
        findings=found("random-noise", "drop"),
    ),
    Case(
        name="noise is added to an input of the export",
        reference=TABULAR,
        changes={"tower/drop": noise},
        findings=found("random-noise", at("tower/drop")),
    ),
    Case(
        name="noise is left in the checkpoint's graph and in the export",
        reference=Reference(network="blocks", changes={"drop": drawn}),
        verdict=("fail", "error"),
        findings=found("stateful-reference", "drop/random_normal", certainty="decisive"),
    ),
    Case(
        name="a dense network draws noise on both sides",
        reference=Reference(network="tabular", changes={"tower/drop": drawn}),
        verdict=("fail", "error"),
        findings=found("stateful-reference", "tower/drop/random_normal", certainty="decisive"),
    ),
    Case(
        name="noise that one seed decides on both sides is no difference",
        reference=Reference(network="blocks", changes={"drop": noise}),
        verdict=("pass",),
    ),
    Case(
        name="a factor of keep_prob is left in",
        reference=RESIDUAL,
        edit=scaled("net/pool", 0.8),
        findings=found("dropout-scaling", "net/pool|net", certainty="suggestive"),
    ),
    Case(
        name="a factor of dropout is left in a dense network",
        reference=TABULAR,
        changes={"tower/drop": lambda x, name: tf.multiply(x, 0.5, name=name)},
        findings=found("dropout-scaling", at("tower/drop"), certainty="suggestive"),
    ),
)

COMPARABILITY = (
    Case(
        name="a kernel of the export is still a variable",
        reference=BLOCKS,
        edit=unfrozen("block2/conv/kernel"),
        verdict=("error",),
        findings=found("export-not-frozen", "block2/conv", certainty="decisive|proven"),
    ),
    Case(
        name="a bias of a dense export is still a variable",
        reference=CAMERA,
        edit=unfrozen("head/bias"),
        verdict=("error",),
        findings=found("export-not-frozen", "head", certainty="decisive|proven"),
    ),
    Case(
        name="an activation of the export is an op of another library",
        reference=BLOCKS,
        edit=custom_op("block2/relu", "MySwish"),
        verdict=("error",),
        findings=found("unregistered-op", at("block2/relu"), certainty="decisive|proven"),
    ),
    Case(
        name="a join of a dense export is an op of another library",
        reference=TABULAR,
        edit=custom_op("tower/joined", "JoinByRule"),
        verdict=("error",),
        findings=found("unregistered-op", at("tower/joined"), certainty="decisive|proven"),
    ),
    Case(
        name="a moving average in the export is a reference that cannot be loaded",
        reference=BLOCKS,
        edit=updating("block1/bn/moving_mean"),
        verdict=("error",),
        findings=found("pb-unloadable-ref-edges", "block1/bn", certainty="decisive|proven"),
    ),
    Case(
        name="a moving average of a residual export is a reference that cannot be loaded",
        reference=RESIDUAL,
        edit=updating("net/unit6/b/BatchNorm/moving_mean"),
        verdict=("error",),
        findings=found("pb-unloadable-ref-edges", "net/unit6/b/BatchNorm", certainty="decisive|proven"),
    ),
    Case(
        name="running the reference moves a range",
        reference=Reference(network="blocks", changes={"block2/relu": moving_range}),
        changes={"block2/relu": fixed_range},
        verdict=("error", "fail"),
        findings=found(
            "stateful-reference",
            "relu_range|block2/relu_range|block2/relu|block2",
            certainty="decisive|proven",
        ),
    ),
    Case(
        name="running the reference of a residual network moves a range",
        reference=Reference(network="residual", changes={"net/unit6/out": moving_range}),
        changes={"net/unit6/out": fixed_range},
        verdict=("error", "fail"),
        findings=found(
            "stateful-reference",
            "out_range|net/unit6/out_range|net/unit6/out|net/unit6",
            certainty="decisive|proven",
        ),
    ),
    Case(
        name="both sides are no numbers because the checkpoint is not",
        reference=Reference(network="blocks", saved=not_a_number("fc/kernel")),
        changes={"block1/relu": lambda x, name: tf.nn.elu(x, name=name)},
        findings=(
            Found(cause="nan-in-both", scopes=("fc",), certainty="decisive"),
            Found(cause="graph-op-differs", scopes=(at("block1/relu"),), certainty="proven|decisive"),
        ),
    ),
    Case(
        name="the same function of a checkpoint that is not a number is no parity",
        reference=Reference(network="tabular", saved=not_a_number("heads/scores/kernel")),
        findings=found("nan-in-both", "heads/scores", certainty="decisive"),
    ),
    Case(
        name="a weight of the export is infinite",
        reference=CAMERA,
        weights=of_layers("features/second", value=infinite, only=("kernel",)),
        findings=found("non-finite", "features/second"),
    ),
    Case(
        name="a bias of the export is infinite",
        reference=TABULAR,
        weights=of_layers("side/hidden", value=infinite, only=("bias",)),
        findings=found("non-finite", "side/hidden"),
    ),
)

RUNNING = (*RANDOM, *COMPARABILITY)
