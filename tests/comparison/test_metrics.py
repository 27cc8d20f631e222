"""Metrics for approximate exports: signal to noise, cosine, steps of a quantised output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from pytest_tfparity.comparison.compare import compare
from pytest_tfparity.comparison.tolerance import Tolerance
from pytest_tfparity.errors import SettingsError
from pytest_tfparity.reports.terminal import at_most
from pytest_tfparity.result import Criterion, OutputComparison


def judged(reference: Any, export: Any, *, step: float | None = None, **asked: Any) -> OutputComparison:
    tolerance = Tolerance(**{"atol": math.inf, **asked})
    return compare(
        np.asarray(reference),
        np.asarray(export),
        tolerance,
        reference_name="y:0",
        export_name="y:0",
        step=step,
    )


def value_of(found: OutputComparison) -> float | None:
    (criterion,) = found.criteria
    assert criterion.passed == found.passed
    return criterion.value


def test_sqnr_is_the_power_of_the_reference_over_that_of_the_difference() -> None:
    found = judged([3.0, 4.0], [3.0, 4.5], sqnr=20)
    assert found.criteria == (Criterion(name="sqnr", asked=20.0, value=pytest.approx(20.0), passed=True),)
    assert not judged([3.0, 4.0], [3.0, 4.5], sqnr=20.01).passed
    assert judged([3.0, 4.0], [3.0, 4.5], sqnr=20.01).required_atol is None


def test_equal_arrays_have_no_noise() -> None:
    assert value_of(judged([1.0, -2.0], [1.0, -2.0], sqnr=300)) is None
    assert value_of(judged([0.0, 0.0], [0.0, -0.0], sqnr=300)) is None
    assert value_of(judged([0.0, 0.0], [0.0, 0.0], cosine=1.0)) == 1.0


@pytest.mark.parametrize("asked", [{"sqnr": -1000.0}, {"cosine": 1e-9}, {"steps": 1e9}])
def test_nothing_passes_by_a_number_that_does_not_exist(asked: dict[str, float]) -> None:
    wrong: list[tuple[Any, Any]] = [
        ([0.0, 0.0], [0.0, 1e-9]),  # no signal
        ([], []),
        ([np.nan, 1.0], [np.nan, 1.0]),
        ([np.inf, 1.0], [-np.inf, 1.0]),
        ([1.0, 1.0], [np.nan, 1.0]),
        ([1.0, 1.0], [1.0, np.inf]),
        ([1.0, 2.0], [[1.0, 2.0]]),
        (np.float32([1.0, 2.0]), np.float64([1.0, 2.0])),
    ]
    for reference, export in wrong[0 if "steps" not in asked else 1 :]:
        assert not judged(reference, export, step=1.0, **asked).passed
    assert not judged([b"a"], [b"b"], **asked).passed
    assert not judged([1j], [1j + 1e-3], **asked).passed
    assert not judged([np.nan] * 2, [np.nan] * 2, step=1.0, equal_nan=True, **asked).passed


def test_the_same_nan_and_infinity_count_for_nothing_where_they_are_allowed() -> None:
    reference, export = [3.0, np.nan, 4.0, np.inf], [3.0, np.nan, 4.5, np.inf]
    assert value_of(judged(reference, export, equal_nan=True, sqnr=20)) == pytest.approx(20.0)
    assert value_of(judged(reference, export, equal_nan=True, steps=2, step=0.25)) == pytest.approx(2.0)


def test_a_cosine_is_none_where_it_could_not_fail() -> None:
    assert value_of(judged([2.0, 2.0, 2.0], [5.0, 5.0, 5.0], cosine=0.1)) is None
    assert value_of(judged([2.0], [5.0], cosine=0.1)) is None
    assert value_of(judged([1.0, 2.0], [0.0, 0.0], cosine=0.1)) is None


def test_the_cosine_is_that_of_all_values_and_does_not_see_a_factor() -> None:
    assert value_of(judged([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 1.0]], cosine=0.8)) == pytest.approx(
        2 / math.sqrt(6)
    )
    assert value_of(judged([3.0, 4.0], [30.0, 40.0], cosine=1.0)) == 1.0
    assert not judged([3.0, 4.0], [30.0, 40.0], cosine=1.0, sqnr=20).passed


def test_steps_count_the_quanta_of_the_output() -> None:
    assert value_of(judged([1.0, 2.0], [1.0, 2.5], steps=2, step=0.25)) == pytest.approx(2.0)
    assert not judged([1.0, 2.0], [1.0, 2.5], steps=1.9, step=0.25).passed
    assert not judged([1.0, 2.0], [1.0, 2.0], steps=1, step=None).passed


def test_ten_steps_of_float32_are_ten_steps() -> None:
    step = np.float32(0.1)
    grid = (np.arange(-128, 128) * step).astype(np.float32)
    assert judged(grid[:-10], grid[10:], steps=10, step=float(step)).passed
    assert not judged(grid[:-11], grid[11:], steps=10, step=float(step)).passed


def test_each_of_several_criteria_must_hold() -> None:
    found = judged([3.0, 4.0], [3.0, 4.5], sqnr=10, cosine=0.99, steps=1, step=0.25, atol=0.5)
    assert [(each.name, each.passed) for each in found.criteria] == [
        ("sqnr", True),
        ("cosine", True),
        ("steps", False),
    ]
    assert not found.passed
    assert found.failing == 0
    assert not judged([3.0, 4.0], [3.0, 4.5], sqnr=10, atol=0.4).passed


def test_sums_of_squares_do_not_leave_float64() -> None:
    assert value_of(judged([3e200, 4e200], [3e200, 4.5e200], sqnr=19)) == pytest.approx(20.0)
    assert value_of(judged([3e-200, 4e-200], [3e-200, 4.5e-200], sqnr=19)) == pytest.approx(20.0)
    assert value_of(judged([1e200, 1.0], [1e200, 2.0], sqnr=19)) is not None


@settings(deadline=None)
@given(
    stnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e3, 1e3, width=16)),
    st.data(),
)
def test_what_would_pass_passes(reference: Any, data: st.DataObject) -> None:
    export = data.draw(stnp.arrays(np.float32, reference.shape, elements=st.floats(-1e3, 1e3, width=16)))
    for name, least in (("sqnr", 1e9), ("cosine", 1.0)):
        found = judged(reference, export, **{name: least})
        value = found.criteria[0].value
        if value is not None and (name == "sqnr" or value > 1e-3):
            assert judged(reference, export, **{name: float(at_most(value))}).passed
        elif value is None:
            assert found.passed == np.array_equal(reference, export)


def test_a_result_comes_back_from_json() -> None:
    from pytest_tfparity.result import ParityResult

    found = judged([3.0, 4.0], [3.0, 4.5], sqnr=10, cosine=0.5)
    result = ParityResult(nodeid="n", model="m", verdict="fail", outputs=(found,))
    assert ParityResult.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"sqnr": math.inf}, "sqnr must be a finite number, in dB, not inf"),
        ({"cosine": 1.5}, "cosine must be above 0 and at most 1, not 1.5"),
        ({"steps": -1}, "steps must be a finite number of at least 0, not -1"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        judged([1.0], [1.0], **asked)
