"""How the values of each output differ: a histogram, and a sample to set export against reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from ...diagnosis.relations.relation import doubles
from ...graph.graph import Array
from ...result import OutputComparison
from ...result_details import OutputDifferences
from .numbers import short

BINS_PER_DECADE = 4
MOST_DECADES = 12
"""Differences smaller than the largest by more than this are put together: float32 numbers of one size differ
by seven at most."""
MOST_BINS = 40
"""Bars of a histogram in quanta at most: they stay apart at the width that it is drawn."""
MOST_POINTS = 400
WORST_POINTS = 100
"""Points of a scatter plot, and those of them that differ most. A budget: 8 kB of report.json for each output."""
MOST_OUTPUTS = 12
"""Outputs with pictures. A budget for the page, as the points are."""


def output_differences(
    outputs: Sequence[OutputComparison],
    expected: Mapping[str, Array],
    answers: Mapping[str, Array],
    step: Callable[[str], float | None] = lambda output: None,
) -> tuple[OutputDifferences, ...]:
    """The differences of the numeric outputs of equal shape, those that fail first, at most twelve.

    ``step`` says how far apart two values are that an output of the export can hold, None where it is not quantised.
    """
    ordered = sorted(outputs, key=lambda each: each.passed)
    return tuple(islice(_described(ordered, expected, answers, step), MOST_OUTPUTS))


def _described(
    outputs: Sequence[OutputComparison],
    expected: Mapping[str, Array],
    answers: Mapping[str, Array],
    step: Callable[[str], float | None],
) -> Iterator[OutputDifferences]:
    for output in outputs:
        reference, export = expected.get(output.reference), answers.get(output.export)
        if reference is None or export is None or reference.shape != export.shape or reference.size == 0:
            continue
        if not all(
            array.dtype.kind in "biuf" or array.dtype.name == "bfloat16" for array in (reference, export)
        ):
            continue
        yield _difference(output, doubles(reference), doubles(export), step(output.export))


def _difference(
    output: OutputComparison,
    reference: npt.NDArray[np.float64],
    export: npt.NDArray[np.float64],
    step: float | None,
) -> OutputDifferences:
    with np.errstate(all="ignore"):
        differences = np.abs(export - reference)
    same = (reference == export) | (np.isnan(reference) & np.isnan(export))
    differences[same] = 0.0
    countable = np.isfinite(differences) & (differences > 0)
    edges, counts = (
        _histogram(differences[countable]) if step is None else _in_steps(differences[countable], step)
    )
    return OutputDifferences(
        reference=output.reference,
        export=output.export,
        edges=edges,
        counts=counts,
        equal=int(same.sum()),
        beyond=int((~np.isfinite(differences)).sum()),
        total=int(differences.size),
        points=_points(differences, reference, export),
        step=step,
    )


def _histogram(differences: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges at equal steps of the logarithm, and how many differences lie between two of them."""
    if differences.size == 0:
        return (), ()
    exponents = np.log10(differences)
    high = int(np.floor(exponents.max() * BINS_PER_DECADE)) + 1
    low = max(int(np.floor(exponents.min() * BINS_PER_DECADE)), high - MOST_DECADES * BINS_PER_DECADE)
    places = np.clip(np.floor(exponents * BINS_PER_DECADE).astype(np.int64), low, high - 1) - low
    counts = np.bincount(places, minlength=high - low)
    edges = 10.0 ** (np.arange(low, high + 1) / BINS_PER_DECADE)
    return tuple(short(edge) for edge in edges), tuple(int(count) for count in counts)


def _in_steps(differences: npt.NDArray[np.float64], step: float) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges half way between multiples of ``step``, of several where there are many; the first bin begins at 0."""
    if differences.size == 0:
        return (), ()
    steps = np.floor(differences / step + 0.5)
    width = max(1, math.ceil((float(steps.max()) + 1) / MOST_BINS))
    counts = np.bincount((steps // width).astype(np.int64))
    edges = [0.0, *((number * width - 0.5) * step for number in range(1, counts.size + 1))]
    return tuple(short(edge) for edge in edges), tuple(int(count) for count in counts)


def _points(
    differences: npt.NDArray[np.float64], reference: npt.NDArray[np.float64], export: npt.NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    """The worst values and evenly chosen others, where both sides are finite."""
    usable = np.flatnonzero(np.isfinite(reference) & np.isfinite(export))
    if usable.size > MOST_POINTS:
        by_size = usable[np.argsort(-differences[usable], kind="stable")]
        worst, rest = by_size[:WORST_POINTS], np.sort(by_size[WORST_POINTS:])
        even = rest[np.linspace(0, rest.size - 1, MOST_POINTS - WORST_POINTS).astype(np.int64)]
        usable = np.concatenate([worst, even])
    else:
        usable = usable[np.argsort(-differences[usable], kind="stable")]
    return tuple((short(reference[index]), short(export[index])) for index in usable)
