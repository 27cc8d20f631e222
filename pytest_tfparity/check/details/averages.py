"""Which constant of the export holds a variable as it was trained, and which its moving average."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnosis.alignment import reference_of
from ...diagnosis.evidence import Evidence
from ...diagnosis.places.weights import (
    expected_key,
    export_constants,
    provenances,
    variable_of,
    wrong_constants,
)
from ...diagnosis.provenance import part_of
from ...diagnosis.tensor_names import shadow_of
from ...graph.graph import Array
from ...graph.read.tensors import values
from ...result_details import Holds, WeightRow
from .numbers import largest_difference


def weight_rows(evidence: Evidence, most: int) -> tuple[tuple[WeightRow, ...], int]:
    """A row for each constant that stands for a variable, wrong ones first; and how many there are.

    Empty where no variable has a moving average and nothing is wrong: then there is nothing to tell apart.
    """
    rows = sorted(_rows(evidence), key=lambda row: not row.wrong)  # stable: in the order of the graph
    if not any(row.wrong or row.spread is not None for row in rows):
        return (), 0
    return tuple(rows[:most]), len(rows)


def _rows(evidence: Evidence) -> Iterator[WeightRow]:
    checkpoint = evidence.case.checkpoint
    wrong = {each.constant: each for each in evidence[wrong_constants]}
    for name, origin in evidence[provenances].items():
        variable, expected = evidence[variable_of].get(name), expected_key(evidence, name)
        if variable is None or expected is None:
            continue
        average = shadow_of(variable, checkpoint)
        part = evidence.case.parts.get(evidence[reference_of].get(name, ""), "")

        def read(key: str | None, part: str = part) -> Array | None:
            return values(part_of(checkpoint[key], part)) if key in checkpoint and key is not None else None

        at_fault = name in wrong
        yield WeightRow(
            variable=variable,
            constant=name,
            expected="average" if expected == average else "raw",
            holds=_holds(origin.kind, at_fault, expected == average),
            origin=origin.kind,
            source=origin.source,
            distance=largest_difference(values(evidence[export_constants][name]), read(expected))
            if at_fault
            else 0.0,
            spread=largest_difference(read(variable), read(average)) if average is not None else None,
            wrong=at_fault,
        )


def _holds(kind: str, wrong: bool, averaged: bool) -> Holds:
    if kind == "own":
        return "raw" if not (averaged and not wrong) else "average"
    return "average" if kind == "shadow" else "other"
