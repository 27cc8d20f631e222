"""How the sides behave when they are run in other ways than the comparison ran them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import TfparityError
from ..formats.format import Role
from ..graph.graph import Array
from .case import Case
from .evidence import CaseEvidence
from .query import case_query
from .runner import OutputArrays

ANOTHER_BATCH_MOVES = 1e-4
"""Share of an output's largest value that another batch size may move it by: other kernels add up in another order.
Measured on a CPU, rows alone and in batches of 8 and 32: 2.3e-6 at most over 60 dense networks and six of
``tf.keras.applications``, all untrained. Trained networks cancel more: forty times that."""

_MOST_ROWS = 8
"""How many rows are run alone, each a run: a row that the others move shows it among the first."""


@case_query
def reference_answers(evidence: CaseEvidence) -> OutputArrays | None:
    """The reference's outputs on the inputs that were compared; None if it cannot be run on them."""
    return _answers(evidence.case, "reference")


@case_query
def export_answers(evidence: CaseEvidence) -> OutputArrays | None:
    """The export's outputs on the inputs that were compared; None if it cannot be run on them."""
    return _answers(evidence.case, "export")


@case_query
def reference_repeats(evidence: CaseEvidence) -> bool | None:
    """Whether a second run of the reference in the same session gives the same bits; None if it cannot be run."""
    first, again = evidence[reference_answers], _answers(evidence.case, "reference")
    if first is None or again is None:
        return None
    return all(_same(one, other) for one, other in zip(first, again, strict=True))


@case_query
def export_repeats(evidence: CaseEvidence) -> bool | None:
    """Whether a second run of the export in the same session gives the same bits; None if it cannot be run."""
    first, again = evidence[export_answers], _answers(evidence.case, "export")
    if first is None or again is None:
        return None
    return all(_same(one, other) for one, other in zip(first, again, strict=True))


@case_query
def rows_coupled(evidence: CaseEvidence) -> tuple[float | None, ...]:
    """For each output of the export: by how much a row alone differs from the same row in its batch, at most.

    The first rows are tried. 0 within rounding, None where the output has no row for each row of the batch,
    or where a single row cannot be run. Empty if the export cannot be run.
    """
    together = evidence[export_answers]
    if together is None:
        return ()
    rows = _rows(evidence.case)
    most: list[float | None] = [None] * len(together)
    for index in range(min(rows or 0, _MOST_ROWS)):
        alone = _row(evidence.case, index, rows)
        if alone is None:
            break
        moved = [_moved(one, batch, index, rows) for one, batch in zip(alone, together, strict=True)]
        most = [
            one if other is None else max(one or 0.0, other) for one, other in zip(most, moved, strict=True)
        ]
        if all(moved is None or moved > 0 for moved in most):
            break
    return tuple(most)


@case_query
def rows_equal(evidence: CaseEvidence) -> tuple[bool, ...]:
    """For each output of the export: whether every row of the batch got the answer of row 0, whose inputs differ."""
    rows = _rows(evidence.case)
    if rows is None or not any(_varies(value, rows) for value in _inputs(evidence.case).values()):
        return ()
    return tuple(
        bool(value.ndim and value.shape[0] == rows and not _varies(value, rows))
        for value in evidence[export_answers] or ()
    )


def _inputs(case: Case) -> Mapping[str, Array]:
    return {} if case.runner is None else case.runner.inputs


def _answers(case: Case, role: Role, inputs: Mapping[str, Array] | None = None) -> OutputArrays | None:
    if case.runner is None or not case.runner.inputs:
        return None
    try:
        return case.runner.answers(role, case.runner.inputs if inputs is None else inputs)
    except TfparityError:
        return None


def _rows(case: Case) -> int | None:
    """How many rows the batch has: the leading dimension that most inputs share; None below two."""
    sizes = [value.shape[0] for value in _inputs(case).values() if value.ndim]
    most = max(set(sizes), key=lambda size: (sizes.count(size), size), default=0)
    return most if most > 1 else None


def _row(case: Case, index: int, rows: int | None) -> OutputArrays | None:
    """The export's outputs for one row alone; None if it cannot be run so."""
    alone = {
        name: value[index : index + 1] if value.ndim and value.shape[0] == rows else value
        for name, value in _inputs(case).items()
    }
    return _answers(case, "export", alone)


def _moved(alone: Array, batch: Array, index: int, rows: int | None) -> float | None:
    if not batch.ndim or batch.shape[0] != rows or alone.shape != (1, *batch.shape[1:]):
        return None
    if batch.dtype.kind not in "fciub":
        return None
    one, other = np.asarray(alone[0], np.float64), np.asarray(batch[index], np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    moved = float(np.abs(one - other).max(initial=0.0))
    return moved if moved > ANOTHER_BATCH_MOVES * float(np.abs(other).max(initial=0.0)) else 0.0


def _varies(value: Array, rows: int) -> bool:
    return bool(value.ndim and value.shape[0] == rows and (value[1:] != value[:1]).any())


def _same(one: Array, other: Array) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
