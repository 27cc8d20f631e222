"""How a model behaves when it is run in other ways than the comparison runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from ..errors import TfparityError
from ..graph.graph import Array

Role: TypeAlias = Literal["reference", "export"]
Answers: TypeAlias = tuple[Array, ...]
ROUNDING = 1e-4
"""Share of an output's largest value that another batch size may move it by: other kernels add up in
another order. Intermediate tensors of Inception v3 move by up to 1.1e-4 of theirs."""

_MOST_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Both sides, ready to be run: ``answer`` gives the compared outputs, in their order, for inputs by
    the reference's names, in sessions that are kept. ``inputs`` are those that were compared on.
    ``answer`` raises TfparityError."""

    inputs: Mapping[str, Array]
    answer: Callable[[Role, Mapping[str, Array]], Answers]


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What running a side again, or one row alone, shows; each is run when first asked for."""

    trials: Trials
    _answers: dict[Role, Answers] = field(default_factory=dict)

    def answer(self, role: Role) -> Answers:
        """The outputs on the inputs that were compared."""
        if role not in self._answers:
            self._answers[role] = self.trials.answer(role, self.trials.inputs)
        return self._answers[role]

    def repeats(self, role: Role) -> bool | None:
        """Whether a second run in the same session gives the same bits; None if it cannot be run."""
        try:
            first = self.answer(role)
            again = self.trials.answer(role, self.trials.inputs)
        except TfparityError:
            return None
        return all(_same(one, other) for one, other in zip(first, again, strict=True))

    @cached_property
    def rows(self) -> int | None:
        """How many rows the batch has: the leading dimension that most inputs share; None below two."""
        sizes = [value.shape[0] for value in self.trials.inputs.values() if value.ndim]
        most = max(set(sizes), key=lambda size: (sizes.count(size), size), default=0)
        return most if most > 1 else None

    def row(self, role: Role, index: int) -> Answers | None:
        """The outputs for one row alone; None if it cannot be run so."""
        rows = self.rows
        if rows is None:
            return None
        alone = {
            name: value[index : index + 1] if value.ndim and value.shape[0] == rows else value
            for name, value in self.trials.inputs.items()
        }
        try:
            return self.trials.answer(role, alone)
        except TfparityError:
            return None

    def coupled(self, role: Role) -> tuple[float | None, ...]:
        """For each output: by how much a row alone differs from the same row in its batch, at most.

        The first rows are tried. 0 within rounding, None where the output has no row for each row of the batch,
        or where a single row cannot be run.
        """
        try:
            together = self.answer(role)
        except TfparityError:
            return ()
        most: list[float | None] = [None] * len(together)
        for index in range(min(self.rows or 0, _MOST_ROWS)):
            alone = self.row(role, index)
            if alone is None:
                break
            moved = [self._moved(one, batch, index) for one, batch in zip(alone, together, strict=True)]
            most = [
                one if other is None else max(one or 0.0, other)
                for one, other in zip(most, moved, strict=True)
            ]
            if all(moved is None or moved > 0 for moved in most):
                break
        return tuple(most)

    def _moved(self, alone: Array, batch: Array, index: int) -> float | None:
        if not batch.ndim or batch.shape[0] != self.rows or alone.shape != (1, *batch.shape[1:]):
            return None
        if batch.dtype.kind not in "fciub":
            return None
        one, other = np.asarray(alone[0], np.float64), np.asarray(batch[index], np.float64)
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            return None
        moved = float(np.abs(one - other).max(initial=0.0))
        return moved if moved > ROUNDING * float(np.abs(other).max(initial=0.0)) else 0.0

    def equal_rows(self, role: Role) -> tuple[bool, ...]:
        """For each output: whether every row of the batch got the answer of row 0, whose inputs differ."""
        rows = self.rows
        if rows is None or not any(_varies(value, rows) for value in self.trials.inputs.values()):
            return ()
        try:
            return tuple(
                bool(value.ndim and value.shape[0] == rows and not _varies(value, rows))
                for value in self.answer(role)
            )
        except TfparityError:
            return ()


def _varies(value: Array, rows: int) -> bool:
    return bool(value.ndim and value.shape[0] == rows and (value[1:] != value[:1]).any())


def _same(one: Array, other: Array) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
