"""Integers that are decided by floats: how many roundings another decision takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_tfparity.comparison.compare import compare
from pytest_tfparity.comparison.decided import (
    Decided,
    compare_decided,
    decided_by,
    is_known,
    roundings_needed,
)
from pytest_tfparity.comparison.rounding import Rounding
from pytest_tfparity.comparison.tolerance import Tolerance, TopK
from pytest_tfparity.result import OutputComparison

UNIT = 2.0**-10
DECIDE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "largest": lambda values: values.argmax(axis=-1),
    "ranked": lambda values: np.argsort(-values, axis=-1, kind="stable")[:, :2],
    "sign": lambda values: values > 0,
    "floor": lambda values: np.floor(values).astype(np.int64),
    "ceil": lambda values: np.ceil(values).astype(np.int64),
    "round": lambda values: np.rint(values).astype(np.int64),
    "truncate": lambda values: np.trunc(values).astype(np.int64),
}


def drawn(most: int, unit: float) -> st.SearchStrategy[np.ndarray]:
    """Matrices of multiples of ``unit``, a power of two, so that no sum rounds; many are equal or near."""
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).integers(-most, most + 1, (3, 4)) * unit
    )


MATRICES = st.one_of(drawn(2**14, 2.0**-12), drawn(12, 2.0**-11))
STEPS = drawn(8, UNIT / 2)


def by(kind: str, exact: np.ndarray, unit: float = UNIT) -> Decided:
    return Decided(kind=kind, exact=exact, unit=unit)


@pytest.mark.parametrize("kind", DECIDE)
@given(exact=MATRICES, step=STEPS)
def test_what_is_decided_near_the_exact_values_takes_no_more_roundings(
    kind: str, exact: np.ndarray, step: np.ndarray
) -> None:
    """No false alarm: whoever is d from the exact answer everywhere needs at most d."""
    reference, answer = DECIDE[kind](exact), DECIDE[kind](exact + step)
    needed = roundings_needed(by(kind, exact), reference, answer)
    assert needed.shape == answer.shape
    assert (needed <= np.abs(step).max() / UNIT).all()


@pytest.mark.parametrize("kind", ["floor", "ceil", "round", "truncate", "sign"])
@given(exact=MATRICES, step=STEPS)
def test_fewer_roundings_do_not_decide_so(kind: str, exact: np.ndarray, step: np.ndarray) -> None:
    """No false pass: nothing that is nearer to the exact value than is said to be needed is decided so."""
    answer = DECIDE[kind](exact + step)
    needed = roundings_needed(by(kind, exact), DECIDE[kind](exact), answer)
    for share in (-0.99, 0.99):
        nearer = DECIDE[kind](exact + share * needed * UNIT)
        assert (nearer != answer)[needed > 0].all()


@given(exact=MATRICES)
def test_a_reference_that_decided_otherwise_does_not_make_the_right_answer_wrong(exact: np.ndarray) -> None:
    reference = exact <= 0
    assert not roundings_needed(by("sign", exact), reference, ~reference).any()


@given(exact=MATRICES, place=st.integers(0, 3))
def test_the_roundings_of_a_place_are_those_that_make_it_the_largest(exact: np.ndarray, place: int) -> None:
    reference = exact.argmax(axis=-1)
    answer = np.full(3, place)
    assume((reference != answer).any())
    needed = roundings_needed(by("largest", exact), reference, answer)
    for row, (first, count) in enumerate(zip(reference, needed, strict=True)):
        moved = exact[row] - UNIT * count
        moved[place] = exact[row, place] + UNIT * count
        assert moved[place] == moved.max() or first == place
        if count:
            short = exact[row] - UNIT * count * 0.99
            short[place] = exact[row, place] + UNIT * count * 0.99
            assert short[place] < short.max()


def test_what_the_reference_answers_needs_none_whatever_the_exact_answer_is() -> None:
    exact = np.array([[1.0, 2.0]])
    assert roundings_needed(by("largest", exact), np.array([0]), np.array([0])).tolist() == [0.0]


def test_a_place_outside_of_its_row_or_named_twice_is_never_decided() -> None:
    exact = np.array([[1.0, 1.0, 0.0]])
    for kind, reference, answer in (
        ("largest", [0], [3]),
        ("largest", [0], [-1]),
        ("ranked", [[0, 1]], [[1, 1]]),
        ("ranked", [[0, 1]], [[1, 7]]),
    ):
        needed = roundings_needed(by(kind, exact), np.array(reference), np.array(answer))
        assert needed.max() == math.inf, (kind, answer)


def test_infinite_values_are_no_tie() -> None:
    exact = np.array([[np.inf, np.inf, -np.inf]])
    needed = roundings_needed(by("largest", exact), np.array([0]), np.array([2]))
    assert needed.tolist() == [math.inf]


def test_rows_run_along_the_axis_and_the_smallest_is_the_largest_of_the_negated() -> None:
    rounding = Rounding(error=UNIT, floor=0.0, scale=4.0)
    exact = np.array([[1.0, 4.0], [1.0, 3.0], [2.0, 3.0]])
    decided = decided_by("largest", (exact,), (rounding,), sign=-1, axis=0)
    needed = roundings_needed(decided, np.array([0, 1]), np.array([1, 2]))
    assert needed.tolist() == [0.0, 0.0]
    assert roundings_needed(decided, np.array([0, 1]), np.array([2, 1])).tolist() == [0.5 / UNIT, 0.0]


def test_a_difference_has_the_roundings_of_both() -> None:
    one, other = (Rounding(error=error, floor=0.0, scale=1.0) for error in (UNIT, 3 * UNIT))
    decided = decided_by("sign", (np.array([1.0]), np.array([1.0 - UNIT])), (one, other), sign=1, axis=-1)
    assert decided.unit == 4 * UNIT
    assert roundings_needed(decided, np.array([True]), np.array([False])).tolist() == [0.25]


# --- the comparison

CLEAR = np.array([[0.0, 5.0, 1.0], [2.0, 2.0 - UNIT, 0.0], [7.0, 1.0, 0.0]])


def compared(answer: list[int], tolerance: Tolerance, exact: np.ndarray = CLEAR) -> OutputComparison:
    reference, export = CLEAR.argmax(axis=-1), np.array(answer)
    plain = compare(reference, export, tolerance, reference_name="classes:0", export_name="classes:0")
    return compare_decided(plain, by("largest", exact), reference, export, tolerance)


def test_a_tie_passes_and_is_counted() -> None:
    found = compared([1, 1, 0], Tolerance(rounding=8.0))
    assert (found.passed, found.ties, found.failing, found.problem) == (True, 1, 0, None)
    assert (found.times_rounding, found.rounding, found.rounding_allowed) == (0.5, UNIT, 8.0)
    assert found.used == 0.5 / 8


def test_another_decision_fails() -> None:
    found = compared([1, 1, 1], Tolerance(rounding=8.0))
    assert (found.passed, found.ties, found.failing) == (False, 1, 1)
    assert found.problem == "1 of 3 values are decided otherwise where the exact answer is no tie"


@pytest.mark.parametrize(
    "tolerance", [Tolerance(), Tolerance(rounding=8.0, top_k=TopK(k=1))], ids=["atol", "top_k"]
)
def test_where_more_is_asked_integers_are_equal(tolerance: Tolerance) -> None:
    assert not compared([1, 1, 0], tolerance).passed


def test_where_a_rounding_is_as_large_as_the_values_integers_are_equal() -> None:
    assert not is_known(by("largest", CLEAR, unit=0.1), 8.0)
    tolerance = Tolerance(rounding=1000.0)
    assert not compared([1, 1, 0], tolerance).passed
