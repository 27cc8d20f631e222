"""Faults of weights: restores, versions, precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from faults.cases.averages import average_of, layers
from faults.corpus import Case, Found, Reference
from faults.graphs import half_compute, quantised
from faults.networks import NETWORKS
from faults.weights import (
    at_start,
    brain,
    exchanged,
    half,
    of_layers,
    of_older_step,
    of_other_run,
    rounded,
)

BLOCKS, TABULAR = Reference(network="blocks"), Reference(network="tabular")
RESIDUAL, CAMERA = Reference(network="residual"), Reference(network="camera")


def kernels(network: str) -> tuple[str, ...]:
    return NETWORKS[network].kernels


def ranged() -> Any:
    """A fake quantisation of activations with ranges that training found."""

    def quantise(x: Any, name: str) -> Any:
        with tf.compat.v1.variable_scope(f"{name}_quant"):
            low, high = (
                tf.compat.v1.get_variable(
                    end, [], initializer=tf.compat.v1.zeros_initializer(), trainable=False
                )
                for end in ("low", "high")
            )
        return tf.quantization.fake_quant_with_min_max_vars(tf.nn.relu(x), low, high, name=name)

    return quantise


RESTORE = (
    Case(
        name="the export holds initial values throughout",
        reference=BLOCKS,
        weights=at_start(),
        findings=(Found(cause="initial-values", scopes=layers("blocks")),),
    ),
    Case(
        name="the export of a dense network holds initial values throughout",
        reference=TABULAR,
        weights=at_start(),
        findings=(Found(cause="initial-values", scopes=layers("tabular")),),
    ),
    Case(
        name="the export of a network without batch norm holds initial values",
        reference=CAMERA,
        weights=at_start(),
        findings=(Found(cause="initial-values", scopes=kernels("camera")),),
    ),
    Case(
        name="the last layer was excluded from the restore",
        reference=BLOCKS,
        weights=at_start("fc"),
        findings=(Found(cause="partial-restore", scopes=("fc",)),),
    ),
    Case(
        name="one unit of a residual network was not restored",
        reference=RESIDUAL,
        weights=at_start("net/unit2/a", "net/unit2/a/BatchNorm"),
        findings=(Found(cause="partial-restore", scopes=("net/unit2/a", "net/unit2/a/BatchNorm")),),
    ),
    Case(
        name="a side input's layer was not restored",
        reference=TABULAR,
        weights=at_start("side/hidden"),
        findings=(Found(cause="partial-restore", scopes=("side/hidden",)),),
    ),
    Case(
        name="the export is that of an older step that lies beside the checkpoint",
        reference=Reference(network="blocks", earlier=True),
        weights=of_older_step,
        findings=(Found(cause="stale-export", scopes=layers("blocks")),),
    ),
    Case(
        name="the export of a dense network is that of an older step beside the checkpoint",
        reference=Reference(network="tabular", earlier=True),
        weights=of_older_step,
        findings=(Found(cause="stale-export", scopes=layers("tabular")),),
    ),
    Case(
        name="the export is that of an older step that is gone",
        reference=RESIDUAL,
        weights=of_older_step,
        findings=(Found(cause="stale-export", scopes=layers("residual"), certainty="suggestive"),),
    ),
    Case(
        name="the export is that of another run",
        reference=BLOCKS,
        weights=of_other_run,
        findings=(Found(cause="other-run", scopes=layers("blocks"), certainty="suggestive"),),
    ),
    Case(
        name="the export of a dense network is that of another run",
        reference=TABULAR,
        weights=of_other_run,
        findings=(Found(cause="other-run", scopes=layers("tabular"), certainty="suggestive"),),
    ),
    Case(
        name="two kernels of one shape are exchanged",
        reference=RESIDUAL,
        weights=exchanged(("net/unit1/a/weights", "net/unit4/b/weights")),
        findings=(
            Found(cause="ckpt-tensor-mapped-to-wrong-variable", scopes=("net/unit1/a", "net/unit4/b")),
        ),
    ),
    Case(
        name="a layer holds the weights of another, which holds its own",
        reference=TABULAR,
        weights=lambda checkpoint, right: {**right, "tower/norm_2/beta": right["tower/norm_1/beta"]},
        findings=(Found(cause="ckpt-tensor-mapped-to-wrong-variable", scopes=("tower/norm_2",)),),
    ),
    Case(
        name="a square dense kernel is transposed",
        reference=TABULAR,
        weights=of_layers("tower/hidden_2", value=np.transpose),
        findings=(Found(cause="kernel-transposed", scopes=("tower/hidden_2",)),),
    ),
    Case(
        name="a square convolution kernel has its channels exchanged",
        reference=BLOCKS,
        weights=of_layers("block2/conv", value=lambda kernel: kernel.swapaxes(2, 3)),
        findings=(Found(cause="kernel-transposed", scopes=("block2/conv",)),),
    ),
    Case(
        name="the export has more classes than the checkpoint",
        reference=BLOCKS,
        changes={"fc": {"units": 7}},
        weights=lambda checkpoint, right: {
            name: np.resize(value, (*value.shape[:-1], 7)) if name.startswith("fc/") else value
            for name, value in right.items()
        },
        findings=(Found(cause="shapes-differ", scopes=("fc",), certainty="decisive|proven"),),
    ),
    Case(
        name="the kernels of a convolution are larger than the checkpoint's",
        reference=CAMERA,
        changes={"features/second": {"size": 5}},
        weights=lambda checkpoint, right: {
            name: np.resize(value, (5, 5, 6, 6)) if name == "features/second/kernel" else value
            for name, value in right.items()
        },
        findings=(Found(cause="shapes-differ", scopes=("features/second",), certainty="decisive|proven"),),
    ),
    Case(
        name="a stale export passes under a loose tolerance with a warning",
        reference=Reference(network="blocks", earlier=True),
        weights=of_older_step,
        atol=100.0,
        verdict=("pass",),
        health={"stale-export": layers("blocks")},
    ),
)

NUMERICS = (
    Case(
        name="all weights went through float16",
        reference=BLOCKS,
        weights=of_layers(value=half),
        findings=(Found(cause="weights-fp16", scopes=layers("blocks")),),
    ),
    Case(
        name="all weights of a dense network went through float16",
        reference=TABULAR,
        weights=of_layers(value=half),
        findings=(Found(cause="weights-fp16", scopes=layers("tabular")),),
    ),
    Case(
        name="averaged weights went through float16",
        reference=average_of("residual"),
        weights=of_layers(value=half),
        findings=(Found(cause="weights-fp16", scopes=layers("residual")),),
        slow=True,
    ),
    Case(
        name="all weights are cut to bfloat16",
        reference=RESIDUAL,
        weights=of_layers(value=brain),
        findings=(Found(cause="weights-bf16", scopes=layers("residual")),),
    ),
    Case(
        name="all weights of resource variables are cut to bfloat16",
        reference=Reference(network="scanner"),
        weights=of_layers(value=brain),
        findings=(Found(cause="weights-bf16", scopes=layers("scanner")),),
    ),
    Case(
        name="convolutions compute in half precision",
        reference=CAMERA,
        edit=half_compute("features/first/Conv2D", "features/second/Conv2D"),
        findings=(Found(cause="compute-fp16", scopes=("features/first", "features/second")),),
    ),
    Case(
        name="dense layers compute in half precision",
        reference=TABULAR,
        edit=half_compute("tower/hidden_1/MatMul", "tower/hidden_2/MatMul"),
        findings=(Found(cause="compute-fp16", scopes=("tower/hidden_1", "tower/hidden_2")),),
    ),
    Case(
        name="kernels are quantised to eight bits",
        reference=BLOCKS,
        edit=quantised(*(f"block{n}/conv/kernel" for n in (1, 2, 3))),
        findings=(Found(cause="weights-quantised-8bit", scopes=kernels("blocks")[:3]),),
    ),
    Case(
        name="one dense kernel is quantised to eight bits",
        reference=TABULAR,
        edit=quantised("tower/hidden_2/kernel"),
        findings=(Found(cause="weights-quantised-8bit", scopes=("tower/hidden_2",)),),
    ),
    Case(
        name="kernels are rounded to sixteen steps",
        reference=RESIDUAL,
        weights=of_layers(value=rounded(16), only=("weights",)),
        findings=(Found(cause="weights-rounded", scopes=kernels("residual")),),
    ),
    Case(
        name="kernels of a dense network are rounded to a hundred steps",
        reference=TABULAR,
        weights=of_layers(value=rounded(100), only=("kernel",)),
        findings=(Found(cause="weights-rounded", scopes=kernels("tabular")),),
    ),
    Case(
        name="the export lacks the fake quantisation of training",
        reference=Reference(network="blocks", changes={"block2/relu": ranged()}),
        changes={"block2/relu": tf.nn.relu},
        findings=(Found(cause="fake-quant-missing", scopes=("block2|block2/relu|block2/relu_quant",)),),
    ),
    Case(
        name="the export of a dense network lacks the fake quantisation of training",
        reference=Reference(network="tabular", changes={"side/act": ranged()}),
        changes={"side/act": tf.nn.relu},
        findings=(Found(cause="fake-quant-missing", scopes=("side|side/act|side/act_quant",)),),
    ),
)

WEIGHTS = (*RESTORE, *NUMERICS)
