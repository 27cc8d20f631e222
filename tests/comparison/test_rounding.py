"""How far an answer is from the exact one, in units of the reference's rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tfparity.comparison.rounding import distance, last_place, rounding_of

EXACT = np.array([1.0, -3.0, 2.0])


def off(by: float) -> np.ndarray:
    return np.add(EXACT, [0, 0, by]).astype(np.float32)


def test_the_rounding_is_the_largest_distance_from_the_exact_answer() -> None:
    rounding = rounding_of(off(2.0**-10), EXACT)
    assert rounding is not None
    assert (rounding.error, rounding.scale, rounding.unit) == (2.0**-10, 3.0, 2.0**-10)


def test_it_is_at_least_four_units_in_the_last_place_at_the_scale() -> None:
    rounding = rounding_of(off(0), EXACT)
    assert rounding is not None
    assert (rounding.error, rounding.unit) == (0.0, 4 * 2.0**-22)


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float16", 10), ("float32", 23), ("float64", 52), ("complex64", 23)]
)
def test_a_unit_in_the_last_place_is_that_of_the_dtype(dtype: str, bits: int) -> None:
    assert last_place(np.dtype(dtype), 5.0) == 4 * 2.0**-bits


def test_a_dtype_that_numpy_lacks_has_one_too() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert last_place(np.dtype(ml_dtypes.bfloat16), 5.0) == 4 * 2.0**-7


@given(st.floats(1e-30, 1e30))
def test_a_unit_in_the_last_place_is_the_gap_to_the_next_number(scale: float) -> None:
    narrow = np.float32(scale)
    assert last_place(np.dtype("float32"), float(narrow)) == float(
        np.nextafter(narrow, np.float32(np.inf)) - narrow
    )


def test_infinities_and_nan_that_are_in_both_do_not_count() -> None:
    exact = np.array([np.inf, -np.inf, np.nan, 1.0])
    rounding = rounding_of(exact.astype(np.float32), exact)
    assert rounding is not None
    assert (rounding.error, rounding.scale) == (0.0, 1.0)


@pytest.mark.parametrize("other", [[np.nan, 1.0], [np.inf, 1.0]])
def test_an_answer_that_is_not_finite_where_the_other_is_has_no_rounding(other: list[float]) -> None:
    assert rounding_of(np.array(other, np.float32), np.array([2.0, 1.0])) is None
    assert rounding_of(np.array([2.0, 1.0], np.float32), np.array(other)) is None


def test_another_shape_an_integer_and_nothing_at_all_have_no_rounding() -> None:
    assert rounding_of(np.zeros((1, 3), np.float32), EXACT) is None
    assert rounding_of(np.zeros(3, np.int32), EXACT) is None
    assert rounding_of(np.zeros(0, np.float32), np.zeros(0)) is None


def test_complex_numbers_are_measured_by_their_size() -> None:
    assert distance(np.array([3 + 4j], np.complex64), np.array([0j])) == 5.0
