"""The catalogue: every cause, in the order in which they are asked.

Each sees the export with what the causes before it explained already repaired. So what shifts whole
parts of a graph comes first, what makes the layers of both sides alike before what compares their
weights, what explains all weights at once before what explains one, and the general differences of a
graph last.
"""

from __future__ import annotations

from ..cause import Cause
from ..causes import (
    batch_norm,
    batch_norm_mode,
    batches,
    boundary,
    comparability,
    dropout,
    ema,
    finiteness,
    folding,
    layout,
    measured,
    numerics,
    passes,
    preprocessing,
    statistics,
    unsound,
    weights,
    wiring,
)

CAUSES: tuple[Cause, ...] = (
    *comparability.CAUSES,
    *batches.EARLY,
    *finiteness.EARLY,
    *boundary.CAUSES,
    *passes.CAUSES,
    *folding.CAUSES,
    *batch_norm_mode.CAUSES,
    *batch_norm.CAUSES,
    *numerics.CAUSES,
    *ema.CAUSES,
    *weights.CAUSES,
    *statistics.CAUSES,
    *dropout.CAUSES,
    *batches.CAUSES,
    *finiteness.CAUSES,
    *preprocessing.CAUSES,
    *layout.CAUSES,
    *wiring.CAUSES,
    *measured.CAUSES,
)

ON_WRONG_INPUTS: tuple[Cause, ...] = (*batches.EARLY,)
"""The causes that can be behind inputs that a side does not take: then nothing else is to be concluded."""

CATALOGUE: dict[str, Cause] = {cause.id: cause for cause in (*reversed(CAUSES), *unsound.UNSOUND)}
"""Every entry by its id, those that only the health of a checkpoint shows among them."""


def named(*ids: str) -> tuple[Cause, ...]:
    """The causes with these ids. Raises KeyError for an id that is none."""
    return tuple(CATALOGUE[each] for each in ids)


OTHER_WEIGHTS: tuple[Cause, ...] = named("stale-export", "other-run")
"""The causes that an export can show although it passes: it is within tolerance of weights that are not its own."""

UNLOADABLE: tuple[Cause, ...] = named("pb-unloadable-ref-edges")
"""What keeps TensorFlow from importing a file, although the part that the outputs need can be run."""
