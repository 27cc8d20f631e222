"""Two sides that answer as a test says, with nothing that could really be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from pytest_tfparity.diagnosis.runner import OutputArrays, Role
from pytest_tfparity.errors import ModelError
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.result import OutputComparison
from pytest_tfparity.runtime.activations import Activation

Answer: TypeAlias = Callable[[Role, Mapping[str, np.ndarray]], OutputArrays]
Compare: TypeAlias = Callable[[Side], tuple[OutputComparison, ...]]


def refused(*_: object) -> OutputArrays:
    raise ModelError("It cannot be run.")


@dataclass(kw_only=True)
class FakeRunner:
    """Runs nothing: a side answers ``answer``, a changed export compares as ``comparison`` says.

    ``asked`` are the sides that were asked for an answer.
    """

    answer: Answer = refused
    comparison: Compare | None = None
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    asked: list[Role] = field(default_factory=list)

    @property
    def translation(self) -> None:
        return None

    @property
    def comparable(self) -> bool:
        return self.comparison is not None

    @property
    def answered(self) -> bool:
        return self.comparison is not None

    def answers(self, role: Role, inputs: Mapping[str, np.ndarray]) -> OutputArrays:
        self.asked.append(role)
        return self.answer(role, inputs)

    def judged(self, answers: OutputArrays) -> tuple[OutputComparison, ...]:
        raise ModelError("It cannot be compared.")

    def compare(self, export: Side) -> tuple[OutputComparison, ...]:
        if self.comparison is None:
            raise ModelError("It cannot be run.")
        return self.comparison(export)

    def measure(self, export: Side, aligned: Mapping[str, str]) -> tuple[Activation, ...]:
        raise ModelError("It cannot be run.")

    def knows(self, op: str) -> bool:
        return True
