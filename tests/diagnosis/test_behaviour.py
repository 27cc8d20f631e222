"""What running a side again, or row by row, shows."""

import numpy as np
import pytest

from pytest_tfparity.diagnosis.behaviour import Behaviour, Trials
from pytest_tfparity.errors import ModelError

ROWS = {"x": np.arange(6, dtype=np.float32).reshape(3, 2)}


def test_an_answer_that_changes_from_run_to_run_does_not_repeat() -> None:
    numbers = iter(np.float32([1, 2, 3, 4]))
    random = Behaviour(trials=Trials(inputs=ROWS, answer=lambda role, inputs: (inputs["x"] * next(numbers),)))
    assert random.repeats("export") is False
    plain = Behaviour(trials=Trials(inputs=ROWS, answer=lambda role, inputs: (inputs["x"] * 2,)))
    assert plain.repeats("export") is True


def test_a_side_that_cannot_be_run_says_nothing() -> None:
    def refuse(role: str, inputs: object) -> tuple[np.ndarray, ...]:
        raise ModelError("It cannot be run.")

    behaviour = Behaviour(trials=Trials(inputs=ROWS, answer=refuse))
    assert behaviour.repeats("export") is None
    assert behaviour.equal_rows("export") == ()


@pytest.mark.parametrize("same", [True, False])
def test_rows_are_alike_where_all_got_the_answer_of_the_first(same: bool) -> None:
    def answer(role: str, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        value = inputs["x"]
        return (np.repeat(value[:1], len(value), axis=0) if same else value,)

    assert Behaviour(trials=Trials(inputs=ROWS, answer=answer)).equal_rows("export") == (same,)
