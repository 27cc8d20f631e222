"""Right exports, however they came about: they pass, without a finding and without a warning."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from faults.corpus import Case, Reference
from faults.graphs import (
    folded,
    phase_fixed,
    renamed,
    scrambled,
    several,
    with_dead_weight,
    with_identities,
    without_identities,
)
from faults.networks import NETWORKS, UNITS

PASSES = ("proven", "pass")
PHASED = Reference(network="phased", feeds={"training:0": False})
FUNCTIONAL = Reference(network="functional", feeds={"is_training:0": False})


def right(name: str, reference: Reference | str, verdict: tuple[str, ...] = ("proven",), **more: Any) -> Case:
    stated = Reference(network=reference) if isinstance(reference, str) else reference
    return Case(name=name, reference=stated, verdict=verdict, **more)


def elsewhere(network: str, prefix: str) -> dict[str, Any]:
    """An export whose nodes were imported under a prefix."""
    outputs = tuple((name, f"{prefix}/{name}") for name in NETWORKS[network].outputs)
    return {"edit": renamed(prefix), "outputs": outputs}


RIGHT = (
    *(
        right(f"a right export of {network}", network)
        for network in ("blocks", "tabular", "residual", "camera", "scanner", "branches", "forest", "album")
    ),
    right("a right export under a phase that is fixed", PHASED, edit=phase_fixed("training")),
    right("a right export whose phase is fed", PHASED, feeds={"training:0": False}),
    right(
        "a right export of functions under a phase that is fixed", FUNCTIONAL, edit=phase_fixed("is_training")
    ),
    *(
        right(
            f"a right export of averages of {shadows} variables of {network}",
            Reference(network=network, shadows=shadows, ema=shadows),
        )
        for network, shadows in (("blocks", "trainable"), ("tabular", "all"), ("residual", "all"))
    ),
    *(
        right(
            f"a right export of averages of {network} beside a second average",
            Reference(network=network, shadows="trainable", ema="trainable", second=True),
        )
        for network in ("blocks", "tabular")
    ),
    right(
        "a right export of raw weights beside averages",
        Reference(network="residual", shadows="all", ema=None),
    ),
    *(
        right(
            f"a right export of averages of {network} that the saver of the graph restores",
            Reference(network=network, shadows="trainable", ema="saver"),
        )
        for network in ("blocks", "tabular")
    ),
    right(
        "a right export of a hundred batch norms",
        Reference(network="residual", changes={"units": 50}),
        slow=True,
    ),
    right("a right export beside an older step", Reference(network="blocks", earlier=True)),
    *(
        right(f"a right export of {network} under another prefix", network, **elsewhere(network, "import"))
        for network in ("blocks", "tabular", "residual")
    ),
    *(
        right(f"a right export of {network} with other names", network, edit=scrambled)
        for network in ("residual", "scanner")
    ),
    *(
        right(f"a right export of {network} with more identities", network, edit=with_identities)
        for network in ("blocks", "camera")
    ),
    *(
        right(f"a right export of {network} without identities", network, edit=without_identities)
        for network in ("tabular", "scanner")
    ),
    right("a right export with nodes that nothing needs", "blocks", edit=with_dead_weight),
    right(
        "all fused batch norms are folded rightly",
        "blocks",
        PASSES,
        edit=several(*(folded(f"block{n}/conv/kernel", f"block{n}/bn") for n in (1, 2, 3))),
    ),
    right(
        "both dense batch norms are folded rightly",
        "tabular",
        PASSES,
        edit=several(*(folded(f"tower/hidden_{n}/kernel", f"tower/norm_{n}") for n in (1, 2))),
    ),
    right(
        "thirteen batch norms are folded rightly and have other names",
        "residual",
        PASSES,
        edit=several(
            *(folded(f"{scope}/weights", f"{scope}/BatchNorm") for scope in ("net/stem", *UNITS)), scrambled
        ),
        atol=1e-4,
    ),
    right(
        "dropout is on in the checkpoint's graph and its rate is fed",
        Reference(
            network="blocks",
            changes={
                "drop": lambda x, name: tf.nn.dropout(
                    x, rate=tf.compat.v1.placeholder_with_default(0.5, [], "rate"), name=name
                )
            },
            feeds={"rate:0": 0.0},
        ),
        PASSES,
        changes={"drop": None},
    ),
    right(
        "a constant factor is multiplied in another order",
        "scanner",
        PASSES,
        changes={"input/scaled": lambda x, name: tf.subtract(2.0 * x, 1.0, name=name)},
    ),
    right(
        "an activation is spelt in another way",
        "blocks",
        PASSES,
        changes={"block2/relu": lambda x, name: tf.maximum(x, 0.0, name=name)},
    ),
)
