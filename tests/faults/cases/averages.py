"""Faults of moving averages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from faults.corpus import Case, Found, Reference
from faults.networks import NETWORKS
from faults.weights import (
    SHADOW,
    Weights,
    averaged,
    mixed,
    of_second_average,
    raw,
)

STATISTICS = ("moving_mean", "moving_variance")


def norms(network: str) -> tuple[str, ...]:
    return NETWORKS[network].norms


def layers(network: str) -> tuple[str, ...]:
    return NETWORKS[network].layers


def average_of(network: str, shadows: str = "trainable", ema: str | None = "trainable") -> Reference:
    """A checkpoint with moving averages, and which of them are right."""
    return Reference(network=network, shadows=shadows, ema=ema)


def unconverged(tensors: Weights) -> Weights:
    """Averages that still hold nine tenths of where their variables started."""
    return {
        name: np.asarray(
            (0.9 * _start(name) + 0.1 * tensors[name.removesuffix(SHADOW)])
            if name.endswith(SHADOW)
            else value,
            value.dtype,
        )
        for name, value in tensors.items()
    }


def _start(name: str) -> float:
    return 1.0 if name.removesuffix(SHADOW).endswith(("gamma", "moving_variance")) else 0.0


EMA = (
    Case(
        name="raw weights are frozen where moving averages are meant",
        reference=average_of("blocks"),
        weights=raw(),
        findings=(Found(cause="ema-not-applied", scopes=layers("blocks")),),
    ),
    Case(
        name="raw resource variables are frozen where moving averages are meant",
        reference=average_of("tabular"),
        weights=raw(),
        findings=(Found(cause="ema-not-applied", scopes=layers("tabular")),),
    ),
    Case(
        name="raw weights are frozen where averages of all variables are meant",
        reference=average_of("residual", "all", "all"),
        weights=raw(),
        findings=(Found(cause="ema-not-applied", scopes=layers("residual")),),
        slow=True,
    ),
    Case(
        name="raw weights are frozen where the saver of the graph restores averages",
        reference=average_of("blocks", ema="saver"),
        weights=raw(),
        findings=(Found(cause="ema-not-applied", scopes=layers("blocks")),),
    ),
    Case(
        name="moving averages are frozen where raw weights are meant",
        reference=average_of("residual", ema=None),
        weights=averaged(),
        findings=(Found(cause="ema-applied-unexpectedly", scopes=layers("residual")),),
    ),
    Case(
        name="moving averages of resource variables are frozen where raw weights are meant",
        reference=average_of("tabular", ema=None),
        weights=averaged(),
        findings=(Found(cause="ema-applied-unexpectedly", scopes=layers("tabular")),),
    ),
    Case(
        name="a second average of the same variables is frozen",
        reference=replace(average_of("blocks"), second=True),
        weights=of_second_average(),
        findings=(Found(cause="ema-other-average", scopes=layers("blocks")),),
    ),
    Case(
        name="one dense layer is of a second average",
        reference=replace(average_of("tabular"), second=True),
        weights=of_second_average("side/hidden"),
        findings=(Found(cause="ema-other-average", scopes=("side/hidden",)),),
    ),
    Case(
        name="the moving statistics are averaged once more",
        reference=average_of("residual", "all"),
        weights=averaged(only=STATISTICS),
        findings=(Found(cause="ema-applied-to-bn-stats", scopes=norms("residual")),),
    ),
    Case(
        name="the moving statistics of arithmetic batch norms are averaged once more",
        reference=average_of("scanner", "all"),
        weights=averaged(only=STATISTICS),
        findings=(Found(cause="ema-applied-to-bn-stats", scopes=norms("scanner")),),
    ),
    Case(
        name="the moving statistics of one batch norm of thirteen are averaged once more",
        reference=average_of("residual", "all"),
        weights=averaged("net/unit5/a/BatchNorm", only=STATISTICS),
        findings=(Found(cause="ema-applied-to-bn-stats", scopes=("net/unit5/a/BatchNorm",)),),
    ),
    Case(
        name="the moving statistics are raw where averages of all variables are meant",
        reference=average_of("blocks", "all", "all"),
        weights=raw(*norms("blocks")),
        findings=(Found(cause="ema-not-applied-to-bn-stats|ema-partially-applied", scopes=norms("blocks")),),
        slow=True,
    ),
    Case(
        name="only the statistics are raw where averages of all variables are meant",
        reference=average_of("blocks", "all", "all"),
        weights=lambda checkpoint, right: {
            name: checkpoint[name] if name.endswith(STATISTICS) else value for name, value in right.items()
        },
        findings=(Found(cause="ema-not-applied-to-bn-stats", scopes=norms("blocks")),),
    ),
    Case(
        name="only the statistics of a dense network are raw where all averages are meant",
        reference=average_of("tabular", "all", "all"),
        weights=lambda checkpoint, right: {
            name: checkpoint[name] if name.endswith(STATISTICS) else value for name, value in right.items()
        },
        findings=(Found(cause="ema-not-applied-to-bn-stats", scopes=norms("tabular")),),
    ),
    Case(
        name="one kernel of a residual network is raw and all others are averages",
        reference=average_of("residual"),
        weights=raw("net/unit3/b"),
        findings=(Found(cause="ema-partially-applied", scopes=("net/unit3/b",)),),
    ),
    Case(
        name="two dense layers are raw and all others are averages",
        reference=average_of("tabular"),
        weights=raw("side/hidden", "heads/value"),
        findings=(Found(cause="ema-partially-applied", scopes=("side/hidden", "heads/value")),),
    ),
    Case(
        name="one layer is an average and all others are raw as they should be",
        reference=average_of("blocks", ema=None),
        weights=averaged("block2/conv"),
        findings=(Found(cause="ema-partially-applied", scopes=("block2/conv",)),),
    ),
    Case(
        name="the averaging op ran once more on the averages",
        reference=average_of("blocks"),
        weights=mixed(0.9),
        findings=(Found(cause="ema-double-applied", scopes=layers("blocks")),),
    ),
    Case(
        name="the averaging op ran once more on averages of resource variables",
        reference=average_of("tabular"),
        weights=mixed(0.99),
        findings=(Found(cause="ema-double-applied", scopes=layers("tabular")),),
    ),
    Case(
        name="averages that never converged are exported as the checkpoint says",
        reference=Reference(
            network="blocks", shadows="trainable", ema="trainable", decay=0.9999, saved=unconverged
        ),
        verdict=("proven",),
        health={"ema-unconverged": ("block1/bn", "block2/bn", "block3/bn", "fc")},
    ),
    Case(
        name="averages of resource variables that never converged are exported",
        reference=Reference(
            network="tabular", shadows="trainable", ema="trainable", decay=0.9999, saved=unconverged
        ),
        verdict=("proven",),
        health={
            "ema-unconverged": (
                "tower/norm_1",
                "tower/norm_2",
                "side/hidden",
                "heads/scores",
                "heads/value",
                "heads/classes",
                "heads/extra",
            )
        },
    ),
)
