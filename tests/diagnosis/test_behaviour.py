"""What running a side again, or row by row, shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from graphs.fake_runner import Answer, FakeRunner
from pytest_tfparity.diagnosis.behaviour import (
    export_answers,
    export_repeats,
    reference_answers,
    rows_coupled,
    rows_equal,
)
from pytest_tfparity.diagnosis.case import Case
from pytest_tfparity.diagnosis.evidence import Evidence
from pytest_tfparity.diagnosis.runner import OutputArrays, Role
from pytest_tfparity.errors import ModelError
from pytest_tfparity.graph.graph import Graph
from pytest_tfparity.graph.proof.proof import Side, normalised

ROWS = {"x": np.arange(6, dtype=np.float32).reshape(3, 2)}


def evidence(runner: FakeRunner | None) -> Evidence:
    side = normalised(Side(graph=Graph(nodes={}), outputs=()))
    return Evidence.of(
        Case(
            reference=side,
            export=side,
            checkpoint={},
            keys={},
            outputs=(),
            export_name="model.pb",
            reference_name="model.ckpt",
            reference_noun="checkpoint",
            reference_graph="checkpoint's graph",
            runner=runner,
        )
    )


def behaving(answer: Answer, **inputs: np.ndarray) -> Evidence:
    return evidence(FakeRunner(answer=answer, inputs=inputs or ROWS))


def test_an_answer_that_changes_from_run_to_run_does_not_repeat() -> None:
    numbers = iter(np.float32([1, 2, 3, 4]))
    assert behaving(lambda role, inputs: (inputs["x"] * next(numbers),))[export_repeats] is False
    assert behaving(lambda role, inputs: (inputs["x"] * 2,))[export_repeats] is True


def test_a_side_that_cannot_be_run_says_nothing() -> None:
    def refuse(role: Role, inputs: object) -> OutputArrays:
        raise ModelError("It cannot be run.")

    found = behaving(refuse)
    assert found[export_repeats] is None
    assert found[rows_equal] == ()
    assert found[rows_coupled] == ()


def test_without_anything_to_run_nothing_is_known() -> None:
    found = evidence(None)
    assert (found[reference_answers], found[export_answers], found[export_repeats]) == (None, None, None)
    assert (found[rows_equal], found[rows_coupled]) == ((), ())


def test_a_side_is_run_once_for_all_that_ask_even_after_a_repair() -> None:
    runner = FakeRunner(answer=lambda role, inputs: (inputs["x"],), inputs=ROWS)
    found = evidence(runner)
    assert found[rows_equal] == (False,)
    assert found.after(())[export_answers] is found[export_answers]
    assert runner.asked == ["export"]


@pytest.mark.parametrize("same", [True, False])
def test_rows_are_alike_where_all_got_the_answer_of_the_first(same: bool) -> None:
    def answer(role: Role, inputs: Mapping[str, np.ndarray]) -> OutputArrays:
        value = inputs["x"]
        return (np.repeat(value[:1], len(value), axis=0) if same else value,)

    assert behaving(answer)[rows_equal] == (same,)


def test_a_row_that_the_others_move_is_coupled_to_them_by_as_much() -> None:
    def answer(role: Role, inputs: Mapping[str, np.ndarray]) -> OutputArrays:
        value = inputs["x"]
        return (value, value - value.mean(axis=0), value.sum())

    alone, coupled, scalar = behaving(answer)[rows_coupled]
    assert (alone, scalar) == (0.0, None)
    assert coupled == pytest.approx(2.0)


def test_rows_that_move_by_rounding_alone_are_not_coupled() -> None:
    def answer(role: Role, inputs: Mapping[str, np.ndarray]) -> OutputArrays:
        value = inputs["x"]
        return (value + np.float32(1e-5) * len(value),)

    assert behaving(answer)[rows_coupled] == (0.0,)
