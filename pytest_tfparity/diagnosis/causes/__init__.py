"""The catalogue: every cause, in the order in which they are asked.

Each sees the export with what the causes before it explained already repaired. So what shifts whole
parts of a graph comes first, what makes the layers of both sides alike before what compares their
weights, what explains all weights at once before what explains one, and the general differences of a
graph last.
"""

from __future__ import annotations

from ..cause import Cause
from . import (
    altered_weights,
    arrangement,
    averages,
    batch_coupling,
    batch_norm,
    batch_norm_mode,
    batch_size,
    folds,
    inputs_outputs,
    layout,
    loading,
    non_finite,
    other_layout,
    passes,
    precision,
    preprocessing,
    random_numbers,
    stateful,
    statistics,
    tables,
    weights,
    wiring,
)
from .kinds.graph import GraphCause, classified, is_legible

DIFFERENCES: tuple[GraphCause, ...] = (
    wiring.MISSING_SOFTMAX,
    precision.INTEGERS,
    layout.SOFTMAX_AXIS,
    preprocessing.CHANNEL_ORDER,
    preprocessing.DECODE_ATTRIBUTE,
    preprocessing.RESIZE_ATTRIBUTE,
    preprocessing.RESIZE_METHOD,
    layout.PADDING,
    layout.FLATTEN_ORDER,
    layout.AXIS_TRANSPOSED,
    preprocessing.INPUT_SCALING,
    preprocessing.PREPROCESS_CONSTANT,
    preprocessing.PREPROCESS_MISSING,
    random_numbers.DROPOUT_SCALING,
    wiring.WIRING_DIFFERS,
    wiring.OP_MISSING,
    wiring.GRAPH_CONSTANT,
    wiring.OP_DIFFERS,
)
"""The causes that are differences of the graphs: a difference speaks for the first one that fits it."""
GRAPH: tuple[Cause, ...] = classified(DIFFERENCES, is_legible)

CAUSES: tuple[Cause, ...] = (
    *loading.CAUSES,
    *stateful.CAUSES,
    *other_layout.CAUSES,
    *batch_size.CAUSES,
    *non_finite.EARLY,
    *inputs_outputs.CAUSES,
    *passes.CAUSES,
    *tables.CAUSES,
    *folds.CAUSES,
    *batch_norm_mode.CAUSES,
    *batch_norm.CAUSES,
    *precision.CAUSES,
    *averages.CAUSES,
    *arrangement.CAUSES,
    *altered_weights.CAUSES,
    *weights.CAUSES,
    *statistics.CAUSES,
    *random_numbers.CAUSES,
    *batch_coupling.CAUSES,
    *non_finite.CAUSES,
    *altered_weights.LAST,
    *GRAPH,
)

ON_WRONG_INPUTS: tuple[Cause, ...] = (*other_layout.CAUSES, *batch_size.CAUSES)
"""The causes that can be behind inputs that a side does not take: then nothing else is to be concluded."""

ROUNDING = Cause(id="rounding", ways=())
"""What is no fault of an export: told before any of these is asked (``check/rounding.py``)."""

QUANTISATION = tuple(
    Cause(id=each, ways=())
    for each in (
        "tflite-quant-range-clipped",
        "tflite-quant-range-inflated",
        "tflite-zero-point",
        "tflite-per-tensor-quantisation",
        "tflite-dynamic-range",
    )
)
"""What integers do to an export that is right otherwise: told after all of these (``diagnosis/quantised``)."""

CATALOGUE: dict[str, Cause] = {
    cause.id: cause for cause in (*CAUSES, *statistics.HEALTH, ROUNDING, *QUANTISATION)
}
"""Every entry by its id, those that only the health of a checkpoint shows among them."""


def by_id(*ids: str) -> tuple[Cause, ...]:
    """The causes with these ids. Raises KeyError for an id that is none."""
    return tuple(CATALOGUE[each] for each in ids)


UNLOADABLE: tuple[Cause, ...] = by_id("pb-unloadable-ref-edges")
"""What keeps TensorFlow from importing a file, although the part that the outputs need can be run."""
