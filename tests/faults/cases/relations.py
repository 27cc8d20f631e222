"""What became of weights: the same values in another order, cut, mapped, folded by a wrong formula; and near misses."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from faults.corpus import Case, Found, Reference
from faults.graphs import folded, several
from faults.networks import NETWORKS
from faults.operations import WORDS, looked_up, with_table_filled
from faults.weights import (
    Change,
    Weights,
    both,
    eight_bits,
    in_layers,
    of_layers,
    of_older_step,
    of_other_run,
    trained,
)

BLOCKS, TABULAR = Reference(network="blocks"), Reference(network="tabular")
RESIDUAL = Reference(network="residual")
NORMS = tuple(f"block{number}/bn" for number in (1, 2, 3))
CONVOLUTIONS = tuple(f"block{number}/conv" for number in (1, 2, 3))


def found(cause: str, *scopes: str, certainty: str = "proven") -> tuple[Found, ...]:
    return (Found(cause=cause, scopes=scopes, certainty=certainty),)


def shifted(value: np.ndarray) -> np.ndarray:
    """The entries of the last axis one further, the last one first."""
    return np.roll(value, 1, -1)


def shaken(value: np.ndarray) -> np.ndarray:
    """The value and as much noise: nothing that a rule or another step would leave."""
    return value + np.random.default_rng(7).normal(0, float(np.std(value)), value.shape)


ORDER = (
    Case(
        name="the classes come in the order of another list",
        reference=BLOCKS,
        weights=of_layers("fc", value=shifted),
        findings=found("weights-permuted", "fc"),
    ),
    Case(
        name="units of a dense layer come in another order",
        reference=TABULAR,
        weights=of_layers("side/hidden", value=lambda value: value[..., np.argsort(np.sin(np.arange(16)))]),
        findings=found("weights-permuted", "side/hidden"),
    ),
    Case(
        name="kernels are turned round",
        reference=RESIDUAL,
        weights=of_layers(
            "net/unit3/a", "net/unit3/b", value=lambda value: np.flip(value, (0, 1)), only=("weights",)
        ),
        findings=found("weights-permuted", "net/unit3/a", "net/unit3/b"),
    ),
)

ALTERED = (
    Case(
        name="small weights are set to zero",
        reference=BLOCKS,
        weights=of_layers(value=lambda value: np.where(np.abs(value) < 0.1, 0, value), only=("kernel",)),
        findings=found("weights-altered", *CONVOLUTIONS, "fc"),
    ),
    Case(
        name="a dense kernel is clipped",
        reference=TABULAR,
        weights=of_layers("tower/hidden_2", value=lambda value: np.clip(value, -0.2, 0.2), only=("kernel",)),
        findings=found("weights-altered", "tower/hidden_2"),
    ),
    Case(
        name="kernels are quantised to eight bits for each output",
        reference=RESIDUAL,
        weights=of_layers(value=eight_bits(-1), only=("weights",)),
        findings=found("weights-quantised-8bit", *NETWORKS["residual"].kernels),
    ),
    Case(
        name="a dense kernel is quantised to eight bits for each output",
        reference=TABULAR,
        weights=of_layers("tower/hidden_2", value=eight_bits(-1), only=("kernel",)),
        findings=found("weights-quantised-8bit", "tower/hidden_2"),
    ),
)

STATISTICS = (
    Case(
        name="moving variances are deviations",
        reference=BLOCKS,
        weights=of_layers(value=np.sqrt, only=("moving_variance",)),
        findings=found("bn-stats-transformed", *NORMS),
    ),
    Case(
        name="moving variances hold their epsilon already",
        reference=TABULAR,
        weights=of_layers(value=lambda value: value + np.float32(0.01), only=("moving_variance",)),
        findings=found("bn-stats-transformed", "tower/norm_1", "tower/norm_2"),
    ),
    Case(
        name="statistics are not divided by their scale factor",
        reference=BLOCKS,
        weights=of_layers(
            value=lambda value: value * np.float32(999.98), only=("moving_mean", "moving_variance")
        ),
        findings=found("bn-stats-transformed", *NORMS),
    ),
)

FORMULAS = (
    Case(
        name="folds forget gamma",
        reference=BLOCKS,
        edit=several(
            *(
                folded(
                    f"block{number}/conv/kernel",
                    f"block{number}/bn",
                    formula=lambda part: 1 / np.sqrt(part["moving_variance"] + np.float32(1e-3)),
                )
                for number in (1, 2, 3)
            )
        ),
        findings=found("bn-folded-wrong-formula", *(f"block{n}/bn|block{n}/conv" for n in (1, 2, 3))),
    ),
    Case(
        name="a dense fold forgets the square root",
        reference=TABULAR,
        edit=folded(
            "tower/hidden_2/kernel",
            "tower/norm_2",
            formula=lambda part: part["gamma"] / (part["moving_variance"] + np.float32(1e-3)),
        ),
        findings=found("bn-folded-wrong-formula", "tower/norm_2|tower/hidden_2"),
    ),
)

OTHERS = (
    Case(
        name="one layer is of an older step that is gone",
        reference=BLOCKS,
        weights=in_layers(of_older_step, "fc"),
        findings=found("partial-stale", "fc", certainty="suggestive"),
    ),
    Case(
        name="a side input's layer is of an older step that is gone",
        reference=TABULAR,
        weights=in_layers(of_older_step, "side/hidden"),
        findings=found("partial-stale", "side/hidden", certainty="suggestive"),
    ),
    Case(
        name="one unit of a residual network comes from another run",
        reference=RESIDUAL,
        weights=in_layers(of_other_run, "net/unit2/a", "net/unit2/a/BatchNorm"),
        findings=found("partial-other-run", "net/unit2/a", "net/unit2/a/BatchNorm", certainty="suggestive"),
    ),
    Case(
        name="a side input's layer comes from another run",
        reference=TABULAR,
        weights=in_layers(of_other_run, "side/hidden"),
        findings=found("partial-other-run", "side/hidden", certainty="suggestive"),
    ),
    Case(
        name="a kernel is another one, and nothing says why",
        reference=BLOCKS,
        weights=of_layers("fc", value=shaken, only=("kernel",)),
        findings=found("weights-differ", "fc", certainty="suggestive"),
    ),
    Case(
        name="a dense kernel is another one, and nothing says why",
        reference=TABULAR,
        weights=of_layers("tower/hidden_1", value=shaken, only=("kernel",)),
        findings=found("weights-differ", "tower/hidden_1", certainty="suggestive"),
    ),
)


def divided(by: float) -> Any:
    return lambda x, name: tf.divide(x, by, name=name)


TABLED = {
    network: {name: looked_up(*WORDS)} for network, name in (("blocks", "drop"), ("tabular", "tower/drop"))
}
TABLES = (
    Case(
        name="the words of a table come in another order",
        reference=Reference(network="blocks", changes=TABLED["blocks"]),
        changes={"drop": looked_up(*WORDS[::-1])},
        edit=with_table_filled("drop", *WORDS[::-1]),
        findings=found("lookup-table-differs", "drop|drop/words"),
    ),
    Case(
        name="a table of a dense network lacks a word and has another",
        reference=Reference(network="tabular", changes=TABLED["tabular"]),
        changes={"tower/drop": looked_up(*WORDS[1:], "black")},
        edit=with_table_filled("tower/drop", *WORDS[1:], "black"),
        findings=found("lookup-table-differs", "tower/drop|tower/drop/words"),
    ),
    Case(
        name="a table that is filled in another order is right",
        reference=Reference(network="blocks", changes=TABLED["blocks"]),
        changes={"drop": looked_up(*WORDS, last_first=True)},
        edit=with_table_filled("drop", *WORDS, last_first=True),
        verdict=("proven", "pass"),
    ),
)

SETTINGS = (
    Case(
        name="another temperature before the classes",
        reference=Reference(network="blocks", changes={"drop": divided(2.0)}),
        changes={"drop": divided(3.0)},
        findings=found("graph-const-differs", "drop|"),
    ),
    Case(
        name="two branches are joined with another weight",
        reference=TABULAR,
        changes={"tower/joined": lambda a, b, name: tf.add(a, 0.3 * b, name=name)},
        findings=found("graph-const-differs", "tower|tower/mul|"),
    ),
)


def symmetric(checkpoint: Weights) -> Weights:
    """Kernels that are the same when turned round."""
    return {
        name: (value + np.flip(value, (0, 1))) / np.float32(2) if value.ndim == 4 else value
        for name, value in checkpoint.items()
    }


def twins(checkpoint: Weights) -> Weights:
    """Two classes that were never told apart."""
    return {
        name: np.concatenate([value[..., :1], value[..., :1], value[..., 2:]], -1)
        if name.startswith("fc/")
        else value
        for name, value in checkpoint.items()
    }


def sparse(checkpoint: Weights) -> Weights:
    """A kernel that training left half at zero."""
    return {**checkpoint, "side/hidden/kernel": thinned(checkpoint["side/hidden/kernel"])}


def thinned(value: np.ndarray) -> np.ndarray:
    kept: np.ndarray = np.where(np.random.default_rng(5).random(value.shape) < 0.5, 0, value)
    return np.asarray(kept, np.float32)


def sparse_of_other_run() -> Change:
    """The side input's layer of another run, at zero in the same places."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        other = trained({name: value.shape for name, value in right.items()}, run="other")
        kernel = thinned(other["side/hidden/kernel"])
        return {**right, "side/hidden/kernel": kernel, "side/hidden/bias": other["side/hidden/bias"]}

    return change


NEAR_MISSES = (
    Case(
        name="symmetric kernels are turned round",
        reference=Reference(network="blocks", saved=symmetric),
        weights=of_layers(*CONVOLUTIONS, value=lambda value: np.flip(value, (0, 1))),
        verdict=("proven",),
    ),
    Case(
        name="two equal classes change places",
        reference=Reference(network="blocks", saved=twins),
        weights=of_layers("fc", value=lambda value: value[..., [1, 0, 2, 3, 4]]),
        verdict=("proven",),
    ),
    Case(
        name="a kernel that training left half at zero is of another run",
        reference=Reference(network="tabular", saved=sparse),
        weights=sparse_of_other_run(),
        findings=found("partial-other-run", "side/hidden", certainty="suggestive"),
    ),
    Case(
        name="a permutation and a cut of two layers are two findings",
        reference=BLOCKS,
        weights=both(
            of_layers("fc", value=shifted),
            of_layers(
                "block2/conv", value=lambda value: np.where(np.abs(value) < 0.1, 0, value), only=("kernel",)
            ),
        ),
        findings=(*found("weights-permuted", "fc"), *found("weights-altered", "block2/conv")),
    ),
)

RELATIONS = (*ORDER, *ALTERED, *STATISTICS, *FORMULAS, *OTHERS, *TABLES, *SETTINGS, *NEAR_MISSES)
