"""The catalogue: every cause, in the order in which they are asked.

Each sees the export with what the causes before it explained already repaired. So what shifts whole
parts of a graph comes first, what makes the layers of both sides alike before what compares their
weights, what explains all weights at once before what explains one, and the general differences of a
graph last.
"""

from __future__ import annotations

from ..cause import Cause
from . import (
    batch_norm,
    comparability,
    dropout,
    ema,
    folding,
    layout,
    numerics,
    passes,
    preprocessing,
    statistics,
    weights,
    wiring,
)

CAUSES: tuple[Cause, ...] = (
    *comparability.CAUSES,
    *passes.CAUSES,
    *folding.CAUSES,
    *batch_norm.CAUSES,
    *numerics.CAUSES,
    *weights.CAUSES,
    *ema.CAUSES,
    *statistics.CAUSES,
    *dropout.CAUSES,
    *preprocessing.CAUSES,
    *layout.CAUSES,
    *wiring.CAUSES,
)
