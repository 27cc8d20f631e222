"""How exact each layer of an export is by itself, as its own runtime computes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import TfparityError
from ...formats.model import GraphModel
from ...graph.graph import Array, TensorName
from ...graph.layer import layer_of
from ...graph.lift.lifted import Stored
from ..alignment import reference_of
from ..evidence import Evidence
from ..query import query
from ..runner import Translation

_ROWS = 4
"""Rows of the golden inputs that are looked at: a layer has thousands of values in each."""
_OUTSTANDING = 10.0
"""dB below the median layer from which a layer is named. Measured at right exports of a MobileNetV2 in five types: 9.4
at most, but for a softmax in int8, whose range the format fixes (26)."""
_FEWEST = 3
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNoise:
    """A tensor that the runtime computed, against the reference.

    ``own`` is the ratio of signal to noise in dB where the reference's layer was given what the runtime computed before
    it, ``accumulated`` where each side ran on its own; infinite where all values are equal. ``used`` are the least and
    the greatest value of the reference.
    """

    tensor: TensorName
    reference: TensorName
    layer: str
    stored: Stored
    own: float
    accumulated: float
    used: tuple[float, float]


@query
def layer_noise(evidence: Evidence) -> tuple[LayerNoise, ...]:
    """The tensors that both sides have, inputs first; none where a side cannot be run so."""
    run = evidence.case.runner.translation if evidence.case.runner is not None else None
    if run is None:
        return ()
    try:
        return _measured(evidence, run)
    except TfparityError:
        return ()


def outstanding(layers: Sequence[LayerNoise]) -> tuple[LayerNoise, ...]:
    """The layers that differ by themselves much more than the median one, the worst first."""
    middle = _middle(layers)
    if middle is None:
        return ()
    found = [each for each in layers if each.own < middle - _OUTSTANDING]
    return tuple(sorted(found, key=lambda each: each.own))


def sentence(layers: Sequence[LayerNoise], runtime: str) -> str | None:
    """Which layers stand out; None where none does."""
    worst, middle = outstanding(layers), _middle(layers)
    if not worst or middle is None:
        return None
    named = ", ".join(f"{each.layer} ({decibels(each.own)})" for each in worst[:_NAMED])
    more = f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else ""
    return (
        f"Given what {runtime} computed before them, these layers differ most from the reference's: {named}{more};"
        f" the median layer has {decibels(middle)}."
    )


def decibels(value: float) -> str:
    """A ratio of signal to noise for a sentence."""
    if math.isfinite(value):
        return f"{value:.1f} dB"
    return "no noise" if value > 0 else "nothing left of the signal"


def _middle(layers: Sequence[LayerNoise]) -> float | None:
    """The median noise; None of too few layers to speak of one."""
    return median(each.own for each in layers) if len(layers) >= _FEWEST else None


def _measured(evidence: Evidence, run: Translation) -> tuple[LayerNoise, ...]:
    reference, export = run.runner.reference, run.export
    if not isinstance(reference, GraphModel):
        return ()
    names = evidence[reference_of]
    known = {
        tensor: TensorName(names[tensor.node], tensor.port)
        for tensor in export.lifted.activations
        if names.get(tensor.node) in reference.graph.nodes and tensor not in evidence.export.inputs
    }
    inputs = _some_rows(run)
    of_reference = {given: inputs[given] for given, _ in run.runner.input_names}
    of_export = {other: inputs[given] for given, other in run.runner.input_names}
    computed = export.values(of_export, list(known))
    given = {known[tensor]: value for tensor, value in computed.items() if value.dtype.kind == "f"}
    own = reference.inner_values(of_reference, list(given), given)
    plain = reference.inner_values(of_reference, list(given))
    return tuple(
        LayerNoise(
            tensor=tensor,
            reference=other,
            layer=layer_of(other.node),
            stored=export.lifted.activations[tensor],
            own=sqnr(own[other], computed[tensor]),
            accumulated=sqnr(plain[other], computed[tensor]),
            used=(float(plain[other].min()), float(plain[other].max())),
        )
        for tensor, other in known.items()
        if other in own and own[other].shape == computed[tensor].shape == plain[other].shape
        if own[other].size
    )


def sqnr(right: npt.NDArray[Any], given: npt.NDArray[Any]) -> float:
    """``10 log10(sum(right**2) / sum((given - right)**2))`` in dB; -inf where one side alone is not finite."""
    right, given = right.astype(np.float64), given.astype(np.float64)
    finite = np.isfinite(right) & np.isfinite(given)
    if not np.array_equal(right[~finite], given[~finite], equal_nan=True):
        return -math.inf
    noise = float(np.sum((given[finite] - right[finite]) ** 2))
    signal = float(np.sum(right[finite] ** 2))
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _some_rows(run: Translation) -> Mapping[str, Array]:
    """The first rows of the golden inputs, where all have as many and neither side says how many there must be."""
    inputs = run.runner.inputs
    rows = {value.shape[0] if value.ndim else 0 for value in inputs.values()}
    try:
        models = (run.runner.reference, run.export)
        specs = [spec for model in models for spec in model.inputs(model.outputs() or ()).values()]
    except TfparityError:
        return inputs
    is_open = all(spec.dims is not None and spec.dims and spec.dims[0] in (-1, 1) for spec in specs)
    if len(rows) != 1 or 0 in rows or not is_open:
        return inputs
    return {name: value[:_ROWS] for name, value in inputs.items()}
