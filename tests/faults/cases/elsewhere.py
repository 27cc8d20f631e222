"""Faults of exports whose nodes have other names, or whose batch norms are folded away: names prove nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from faults.corpus import Case, Found, Reference
from faults.graphs import Edit, folded, renamed, scrambled, several, with_identities, without_identities
from faults.networks import NETWORKS
from faults.weights import at_start, exchanged, raw

STATISTICS = ("moving_mean", "moving_variance")
BLOCKS, TABULAR = Reference(network="blocks"), Reference(network="tabular")
RESIDUAL, SCANNER = Reference(network="residual"), Reference(network="scanner")


def under(prefix: str, network: str) -> Mapping[str, Any]:
    """An export whose nodes were imported under a prefix."""
    names = NETWORKS[network].outputs
    return {"edit": renamed(prefix), "outputs": tuple((name, f"{prefix}/{name}") for name in names)}


def anywhere(*scopes: str) -> tuple[str, ...]:
    return tuple(f"{scope}|import/{scope}" for scope in scopes)


def blocks_folded(*numbers: int) -> Edit:
    return several(*(folded(f"block{n}/conv/kernel", f"block{n}/bn") for n in numbers))


ELSEWHERE = (
    Case(
        name="batch norms of an imported copy run in training mode",
        reference=BLOCKS,
        changes={"block1/bn": {"training": True}, "block3/bn": {"training": True}},
        findings=(Found(cause="bn-training-mode", scopes=anywhere("block1/bn", "block3/bn")),),
        **under("import", "blocks"),
    ),
    Case(
        name="an imported copy of a dense network has initial statistics",
        reference=TABULAR,
        weights=at_start("tower/norm_2", only=STATISTICS),
        findings=(Found(cause="bn-stats-initial-values", scopes=anywhere("tower/norm_2")),),
        **under("import", "tabular"),
    ),
    Case(
        name="an imported copy has another activation and two kernels exchanged",
        reference=RESIDUAL,
        changes={"net/unit5/out": lambda x, name: tf.nn.elu(x, name=name)},
        weights=exchanged(("net/unit2/a/weights", "net/unit3/a/weights")),
        findings=(
            Found(cause="graph-op-differs", scopes=("net/unit5|net/unit5/out|import/net/unit5",)),
            Found(
                cause="ckpt-tensor-mapped-to-wrong-variable", scopes=anywhere("net/unit2/a", "net/unit3/a")
            ),
        ),
        **under("import", "residual"),
    ),
    Case(
        name="one batch norm of thirteen without a name runs in training mode",
        reference=RESIDUAL,
        changes={"net/unit3/b/BatchNorm": {"training": True}},
        edit=scrambled,
        findings=(Found(cause="bn-training-mode", scopes=("net/unit3/b/BatchNorm",)),),
    ),
    Case(
        name="one batch norm of thirteen without a name has initial statistics",
        reference=RESIDUAL,
        weights=at_start("net/unit4/a/BatchNorm", only=STATISTICS),
        edit=scrambled,
        findings=(Found(cause="bn-stats-initial-values", scopes=("net/unit4/a/BatchNorm",)),),
    ),
    Case(
        name="raw weights without names are frozen where averages are meant",
        reference=Reference(network="scanner", shadows="trainable", ema="trainable"),
        weights=raw(),
        edit=scrambled,
        findings=(Found(cause="ema-not-applied", scopes=NETWORKS["scanner"].layers),),
    ),
    Case(
        name="a layer without a name was not restored",
        reference=SCANNER,
        weights=at_start("trunk/c2"),
        edit=scrambled,
        findings=(Found(cause="partial-restore", scopes=("trunk/c2",)),),
    ),
    Case(
        name="a batch norm trains in an export with more identities",
        reference=SCANNER,
        changes={"trunk/n1": {"training": True}},
        edit=with_identities,
        findings=(Found(cause="bn-training-mode", scopes=("trunk/n1",)),),
    ),
    Case(
        name="a kernel was not restored in an export without identities",
        reference=TABULAR,
        weights=at_start("heads/scores"),
        edit=without_identities,
        findings=(Found(cause="partial-restore", scopes=("heads/scores",)),),
    ),
    Case(
        name="the last layer of a rightly folded export was not restored",
        reference=BLOCKS,
        weights=at_start("fc"),
        edit=blocks_folded(1, 2, 3),
        findings=(Found(cause="partial-restore", scopes=("fc",)),),
    ),
    Case(
        name="one batch norm trains and the others are folded rightly",
        reference=BLOCKS,
        changes={"block2/bn": {"training": True}},
        edit=blocks_folded(1, 3),
        findings=(Found(cause="bn-training-mode", scopes=("block2/bn",)),),
    ),
    Case(
        name="epsilon differs in one batch norm and another is folded rightly",
        reference=TABULAR,
        changes={"tower/norm_1": {"epsilon": 0.1}},
        edit=folded("tower/hidden_2/kernel", "tower/norm_2"),
        findings=(Found(cause="bn-epsilon-mismatch", scopes=("tower/norm_1",)),),
    ),
    Case(
        name="raw weights are folded where averages are meant",
        reference=Reference(network="blocks", shadows="trainable", ema="trainable"),
        weights=raw(),
        edit=blocks_folded(1, 2, 3),
        findings=(
            Found(
                cause="ema-not-applied",
                scopes=(*(f"block{n}/conv|block{n}/bn" for n in (1, 2, 3)), "fc"),
            ),
        ),
    ),
    Case(
        name="channels are reversed before a rightly folded network without names",
        reference=SCANNER,
        changes={"input/swapped": None},
        edit=several(folded("trunk/c1/w", "trunk/n1"), folded("trunk/c2/w", "trunk/n2"), scrambled),
        findings=(Found(cause="channel-order", scopes=("input|input/swapped",)),),
    ),
)
