"""What passes, what fails, and what a comparison says about it."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from pytest_tfparity.comparison.compare import compare
from pytest_tfparity.comparison.deviation import CHUNK
from pytest_tfparity.comparison.tolerance import Tolerance, TopK
from pytest_tfparity.errors import SettingsError
from pytest_tfparity.result import OutputComparison

ml_dtypes = pytest.importorskip("ml_dtypes")


def judged(reference: Any, export: Any, **tolerance: Any) -> OutputComparison:
    return compare(
        np.asarray(reference),
        np.asarray(export),
        Tolerance(**tolerance),
        reference_name="logits:0",
        export_name="net/logits:0",
    )


def test_equal_arrays_pass_and_use_nothing() -> None:
    result = judged([1.0, -2.0], [1.0, -2.0])
    assert result.passed
    assert (result.failing, result.total, result.used) == (0, 2, 0.0)
    assert (result.max_abs, result.max_rel) == (0.0, 0.0)
    assert (result.required_atol, result.required_rtol) == (0.0, 0.0)
    assert result.worst_index is None


def test_the_worst_element_is_named_with_both_values() -> None:
    result = judged([[1.0, 2.0], [4.0, 0.0]], [[1.0, 2.5], [4.25, 0.0]], atol=0.1)
    assert not result.passed
    assert (result.failing, result.total) == (2, 4)
    assert (result.worst_index, result.worst_reference, result.worst_export) == ((0, 1), 2.0, 2.5)
    assert (result.max_abs, result.max_rel) == (0.5, 0.25)
    assert result.required_atol == 0.5
    assert result.required_rtol == pytest.approx(0.2)
    assert result.used == pytest.approx(5.0)
    assert result.problem is None
    assert (result.reference, result.export, result.against) == ("logits:0", "net/logits:0", "reference")


def test_the_worst_element_is_the_one_that_exceeds_its_own_allowance_most() -> None:
    result = judged([100.0, 1.0], [101.0, 1.5], atol=0.0, rtol=0.1)
    assert result.worst_index == (1,)
    assert result.max_abs == 1.0
    assert result.failing == 1


def test_a_pass_names_the_element_that_uses_most_of_its_tolerance() -> None:
    result = judged([100.0, 1.0, 3.0], [101.0, 1.08, 3.0], atol=0.0, rtol=0.1)
    assert result.passed
    assert result.worst_index == (1,)
    assert result.used == pytest.approx(0.8)


def test_a_difference_of_exactly_the_tolerance_passes() -> None:
    assert judged([1.0], [1.5], atol=0.5).passed
    assert judged([2.0], [3.0], atol=0.5, rtol=0.25).passed
    assert not judged([1.0], [math.nextafter(1.5, 2)], atol=0.5).passed


def test_float32_is_compared_in_float64() -> None:
    reference = np.float32([16777216.0])
    result = judged(reference, np.float32([16777218.0]), atol=1.5)
    assert (result.passed, result.max_abs) == (False, 2.0)
    huge = judged(np.float32([3e38]), np.float32([-3e38]), atol=1.0)
    assert huge.max_abs == pytest.approx(6e38)


def test_no_rtol_helps_where_the_reference_is_zero() -> None:
    result = judged([0.0, 1.0], [0.5, 1.0], atol=0.1)
    assert result.required_rtol is None
    assert result.required_atol == 0.5
    assert result.max_rel is None


def test_zero_tolerance_passes_equal_arrays_and_nothing_else() -> None:
    assert judged([1.0], [1.0], atol=0.0).used == 0.0
    result = judged([1.0], [math.nextafter(1.0, 2)], atol=0.0)
    assert (result.passed, result.used) == (False, None)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64, np.bool_, ml_dtypes.int4])
def test_integers_must_be_equal_whatever_the_tolerance(dtype: Any) -> None:
    assert judged(np.array([0, 1], dtype), np.array([0, 1], dtype), atol=0.0).passed
    result = judged(np.array([0, 1], dtype), np.array([1, 1], dtype), atol=10.0, rtol=10.0)
    assert not result.passed
    assert (result.failing, result.max_abs, result.worst_index) == (1, 1.0, (0,))
    assert (result.required_atol, result.required_rtol, result.used) == (None, None, None)
    assert result.problem == f"{np.dtype(dtype).name} values must be equal, whatever the tolerance"


def test_integers_beyond_float64_are_told_apart() -> None:
    big = np.array([2**53, -(2**63)], np.int64)
    assert judged(big, big + np.array([1, 0]), atol=5.0).failing == 1
    result = judged(np.array([-(2**63)], np.int64), np.array([2**63 - 1], np.int64))
    assert result.max_abs == 2.0**64
    assert judged(np.array([2**64 - 1], np.uint64), np.array([2**64 - 2], np.uint64)).max_abs == 1.0


def test_quantised_integers_of_tensorflow_are_integers() -> None:
    qint8 = np.dtype([("qint8", np.int8)])
    reference = np.array([(1,), (2,)], qint8)
    assert judged(reference, reference.copy()).passed
    assert judged(reference, np.array([(1,), (5,)], qint8)).max_abs == 3.0


def test_strings_must_be_equal_byte_for_byte() -> None:
    reference = np.array([[b"cat", b"dog\0"]], object)
    assert judged(reference, np.array([["cat", b"dog\0"]], object)).passed
    result = judged(reference, np.array([[b"cat", b"dog"]], object))
    assert (result.passed, result.failing, result.worst_index) == (False, 1, (0, 1))
    assert (result.worst_reference, result.worst_export) == ("b'dog\\x00'", "b'dog'")
    assert result.problem == "string values must be equal, whatever the tolerance"
    assert (result.max_abs, result.required_atol) == (None, None)


def test_a_lone_string_keeps_its_last_nul() -> None:
    result = compare(b"cat\0", b"cat", Tolerance(), reference_name="a:0", export_name="a:0")  # type: ignore[arg-type]
    assert (result.passed, result.failing, result.worst_index) == (False, 1, ())


def test_a_long_string_is_cut_in_the_report() -> None:
    result = judged(np.array([b"x" * 1000], object), np.array([b"y"], object))
    assert isinstance(result.worst_reference, str)
    assert len(result.worst_reference) == 60


def test_another_shape_fails_and_names_both() -> None:
    result = judged(np.zeros((4, 10)), np.zeros((3, 10)))
    assert (result.passed, result.failing, result.total) == (False, 40, 40)
    assert result.problem == "shape [3, 10], but [4, 10] in the reference"
    assert (result.max_abs, result.required_atol, result.worst_index) == (None, None, None)


def test_a_shape_that_would_broadcast_fails() -> None:
    assert not judged(np.zeros((4, 1)), np.zeros((4,))).passed
    assert not judged(np.zeros(()), np.zeros((1,))).passed


def test_another_dtype_fails_although_the_numbers_agree() -> None:
    result = judged(np.float32([1, 2]), np.float64([1, 2.5]), atol=1.0)
    assert (result.passed, result.failing) == (False, 2)
    assert result.problem == "dtype float64, but float32 in the reference"
    assert (result.max_abs, result.required_atol, result.required_rtol) == (0.5, None, None)
    assert not judged(np.int32([1]), np.int64([1])).passed
    assert not judged(np.float32([1]), np.array([b"1"], object)).passed


def test_byte_order_is_not_another_dtype() -> None:
    assert judged(np.array([1.0], ">f4"), np.array([1.0], "<f4")).passed
    assert judged(np.array([1], ">i8"), np.array([1], "<i8")).passed


def test_an_empty_comparison_fails() -> None:
    result = judged(np.zeros((0, 10)), np.zeros((0, 10)))
    assert (result.passed, result.total, result.failing) == (False, 0, 0)
    assert result.problem == "nothing to compare: shape [0, 10] has no elements"


def test_a_scalar_is_compared() -> None:
    result = judged(np.float32(1.0), np.float32(2.0))
    assert (result.passed, result.worst_index, result.worst_export) == (False, (), 2.0)


def test_nan_on_both_sides_fails_with_its_count() -> None:
    values = np.ones(80)
    values[:12] = math.nan
    result = judged(values, values)
    assert (result.passed, result.failing) == (False, 12)
    assert result.problem == "12 of 80 values are NaN on both sides"
    assert (result.required_atol, result.required_rtol, result.used) == (None, None, None)
    assert (result.worst_index, result.worst_reference) == ((0,), "nan")


def test_nan_on_both_sides_passes_when_allowed() -> None:
    result = judged([math.nan, 1.0], [math.nan, 1.0], equal_nan=True)
    assert result.passed
    assert result.problem is None


def test_nothing_but_nan_is_nothing_compared() -> None:
    result = judged([math.nan] * 3, [math.nan] * 3, equal_nan=True)
    assert (result.passed, result.failing, result.max_abs) == (False, 3, None)
    assert result.problem == "all 3 values are NaN on both sides, so nothing is compared"


@pytest.mark.parametrize("equal_nan", [False, True])
@pytest.mark.parametrize("statistic", ["max", "mean", "median", "quantile(0.1)"])
def test_nan_on_one_side_fails_under_every_statistic_and_tolerance(equal_nan: bool, statistic: str) -> None:
    result = judged(
        [1.0] * 9 + [math.nan, 1.0],
        [1.0] * 9 + [1.0, math.nan],
        equal_nan=equal_nan,
        statistic=statistic,
        atol=math.inf,
    )
    assert not result.passed
    assert result.failing == 2
    assert result.problem == (
        "1 of 11 values are NaN in the reference alone; 1 of 11 values are NaN in the export alone"
    )
    assert result.worst_index == (9,)


def test_what_a_golden_says_is_called_golden() -> None:
    nan, one = np.array([math.nan]), np.array([1.0])
    result = compare(nan, one, Tolerance(), reference_name="a:0", export_name="b:0", against="golden")
    assert result.problem == "1 of 1 values are NaN in the golden alone"
    assert result.against == "golden"


@pytest.mark.parametrize("statistic", ["max", "mean", "median"])
def test_infinities_are_equal_to_themselves_alone(statistic: str) -> None:
    inf = math.inf
    assert judged([inf, -inf, 1.0], [inf, -inf, 1.0], rtol=0.1, statistic=statistic).passed
    for export in ([-inf, 1.0], [1.0, 1.0], [3e300, 1.0]):
        for atol, rtol in ((1.0, 0.0), (inf, 0.0), (1.0, 1.0)):
            result = judged([inf, 1.0], export, atol=atol, rtol=rtol, statistic=statistic)
            assert not result.passed
            assert result.problem == "1 of 2 values are infinite on one side or with another sign"
            assert (result.failing, result.required_atol, result.worst_index) == (1, None, (0,))


def test_an_infinite_atol_passes_anything_finite() -> None:
    result = judged([1.0, 5e200], [7.0, -5e200], atol=math.inf)
    assert (result.passed, result.failing, result.used) == (True, 0, 0.0)


def test_complex_numbers_are_compared_by_the_size_of_their_difference() -> None:
    result = judged(np.complex64([3 + 4j]), np.complex64([0]), atol=4.9)
    assert (result.passed, result.max_abs, result.max_rel) == (False, 5.0, 1.0)
    assert result.worst_reference == "(3+4j)"
    assert judged(np.complex64([3 + 4j]), np.complex64([3 + 4j])).passed
    assert not judged(np.array([complex(math.inf, 1)]), np.array([complex(math.inf, 2)]), atol=9.0).passed


@pytest.mark.parametrize(
    "dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.float16]
)
def test_small_floats_are_floats(dtype: Any) -> None:
    reference, export = np.array([1.0, 2.0], dtype), np.array([1.0, 2.5], dtype)
    result = judged(reference, export, atol=0.4)
    assert (result.passed, result.max_abs, result.worst_reference) == (False, 0.5, 2.0)
    assert judged(reference, export, atol=0.5).passed
    assert not judged(reference, np.array([1.0, math.nan], dtype), atol=math.inf).passed


def test_objects_that_are_no_strings_are_equal_or_not() -> None:
    assert not judged(np.array([1, None], object), np.array([1, 2], object)).passed
    assert not judged(np.array(["2020"], "datetime64[Y]"), np.array(["2020"], "datetime64[Y]")).passed


def test_the_mean_lets_one_element_stand_out() -> None:
    reference, export = np.ones(100), np.ones(100)
    export[7] = 2.0
    result = judged(reference, export, atol=0.01, statistic="mean")
    assert (result.passed, result.failing, result.statistic) == (True, 1, "mean")
    assert result.used == pytest.approx(1.0)
    assert result.worst_index == (7,)
    strict = judged(reference, export, atol=0.009, statistic="mean")
    assert (strict.passed, strict.required_atol) == (False, pytest.approx(0.01))


def test_a_quantile_is_the_share_of_elements_that_must_be_within() -> None:
    reference = np.zeros(100)
    export = np.zeros(100)
    export[:7] = 1.0
    assert judged(reference, export, statistic="quantile(0.93)").passed
    assert not judged(reference, export, statistic="quantile(0.94)").passed
    assert judged(reference, export, statistic="quantile(0.94)").required_atol == 1.0
    assert judged(reference, export, statistic="median").passed


def test_a_quantile_counts_with_the_decimal_as_written() -> None:
    export = np.ones(100)
    export[:7] = 0.0
    assert judged(np.zeros(100), export, statistic="quantile(0.07)").passed


def test_top_k_counts_rows_with_the_same_largest_entries() -> None:
    reference = np.array([[9.0, 5.0, 1.0], [9.0, 5.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    export = np.array([[5.0, 9.0, 1.0], [9.0, 1.0, 5.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    allowed = {"atol": math.inf}
    assert judged(reference, export, top_k=TopK(k=2, agree=0.75), **allowed).passed
    result = judged(reference, export, top_k=TopK(k=2, agree=0.8), **allowed)
    assert not result.passed
    assert result.problem == (
        "the 2 largest entries are the same in 3 of 4 rows, a share of 0.75 where 0.8 is asked"
    )
    assert (result.required_atol, result.required_rtol, result.failing) == (None, None, 0)
    assert judged(reference, export, top_k=TopK(k=3), **allowed).passed
    assert not judged(reference, export, top_k=TopK(k=1, agree=0.76), **allowed).passed


def test_top_k_is_asked_beside_the_tolerance() -> None:
    assert not judged([[1.0, 2.0]], [[1.0, 2.5]], top_k=TopK(k=1)).passed


def test_equal_entries_rank_by_position() -> None:
    assert judged([[1.0, 1.0, 0.0]], [[1.0, 0.5, 0.0]], atol=9.0, top_k=TopK(k=1)).passed
    assert not judged([[1.0, 1.0, 0.0]], [[0.5, 1.0, 0.0]], atol=9.0, top_k=TopK(k=1)).passed


@settings(deadline=None)
@given(
    stnp.arrays(np.int16, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.integers(-2, 2)),
    st.data(),
)
def test_top_k_follows_a_stable_sort(reference: Any, data: st.DataObject) -> None:
    export = data.draw(stnp.arrays(np.float32, reference.shape, elements=st.integers(-2, 2)))
    k = data.draw(st.integers(1, reference.shape[1]))
    sides = (reference.astype(np.float32), export)
    largest = [[set(np.argsort(-row, kind="stable")[:k]) for row in side] for side in sides]
    agreeing = sum(left == right for left, right in zip(*largest, strict=True))
    result = judged(*sides, atol=math.inf, top_k=TopK(k=k))
    assert result.passed == (agreeing == len(reference))
    if not result.passed:
        assert f"in {agreeing} of {len(reference)} rows" in str(result.problem)


def test_top_k_that_cannot_be_asked_fails_with_the_reason() -> None:
    assert judged([[1.0]], [[1.0]], top_k=TopK(k=2)).problem == (
        "top_k needs a last axis of at least 2 entries, but the shape is [1, 1]"
    )
    assert not judged(1.0, 1.0, top_k=TopK(k=1)).passed
    assert judged([1j], [1j], top_k=TopK(k=1)).problem == "top_k needs real numbers, not complex128"


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ({"atol": -1.0}, "atol must be a number of at least 0"),
        ({"atol": math.nan}, "atol must be a number of at least 0"),
        ({"atol": "1e-5"}, "not '1e-5'"),
        ({"rtol": math.inf}, "rtol must be a finite number of at least 0, not inf"),
        ({"rtol": True}, "rtol must be a finite number"),
        ({"equal_nan": "yes"}, "equal_nan must be true or false"),
        ({"statistic": "quantile(0)"}, "not 'quantile(0)'"),
        ({"statistic": "quantile(1.5)"}, "statistic must be max, mean, median or quantile"),
        ({"statistic": "p99"}, "not 'p99'"),
        ({"top_k": TopK(k=0)}, "k must be a whole number of at least 1, not 0"),
        ({"top_k": TopK(k=1, agree=1.2)}, "agree must be above 0 and at most 1, not 1.2"),
    ],
)
def test_a_tolerance_that_makes_no_sense_is_refused(tolerance: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in Tolerance(**tolerance).problems())
    with pytest.raises(SettingsError, match="must be"):
        judged([1.0], [1.0], **tolerance)


def test_a_sensible_tolerance_has_no_problems() -> None:
    assert Tolerance(atol=math.inf, rtol=1, statistic="quantile(0.99)", top_k=TopK(k=5)).problems() == ()


def test_chunks_and_layouts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    reference = rng.integers(-50, 50, (7, 11, 13)) / 8
    export = reference + rng.integers(-4, 5, reference.shape) / 16
    for statistic in ("max", "mean", "median", "quantile(0.9)"):
        whole = judged(reference, export, atol=0.1, rtol=0.01, statistic=statistic)
        monkeypatch.setattr("pytest_tfparity.comparison.deviation.CHUNK", 10)
        monkeypatch.setattr("pytest_tfparity.comparison.top_k.CHUNK", 10)
        pieces = judged(reference, np.asfortranarray(export), atol=0.1, rtol=0.01, statistic=statistic)
        turned = judged(reference.T.copy().T, export, atol=0.1, rtol=0.01, statistic=statistic)
        monkeypatch.undo()
        assert not whole.passed
        assert pieces == turned == whole


@pytest.mark.parametrize("statistic", ["max", "mean", "median"])
def test_memory_stays_a_fraction_of_a_large_output(statistic: str) -> None:
    reference = np.ones((5_000_000,), np.float32)
    export = reference.copy()
    export[::3] += 1e-3
    tracemalloc.start()
    result = judged(reference, export, statistic=statistic, rtol=1e-4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.max_abs is not None
    # a median keeps one float64 array, twice the float32 output; the rest is a few chunks
    chunks = 10 * 8 * CHUNK
    assert peak < (2 * reference.nbytes if statistic == "median" else 0) + chunks
    assert chunks < 1.1 * reference.nbytes


FLOATS = st.one_of(
    st.floats(-10, 10),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, 1e-320, 1e300, -1e300, math.inf, -math.inf, math.nan]),
)
SIZES = st.floats(0, 100) | st.sampled_from([0.0, 1e-300, 1e300, math.inf])
STATISTICS = st.sampled_from(["max", "mean", "median", "quantile(0.3)", "quantile(0.99)", "quantile(1.0)"])


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[Any, Any, dict[str, Any]]:
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16]))
    with np.errstate(all="ignore"):
        reference = np.array(draw(st.lists(FLOATS, min_size=1, max_size=8)), np.float64).astype(dtype)
        noise = st.lists(FLOATS, min_size=reference.size, max_size=reference.size)
        export = draw(st.one_of(st.just(reference), noise.map(lambda values: np.array(values).astype(dtype))))
        if draw(st.booleans()):
            export = np.where(np.arange(reference.size) % 2 == 0, reference, export).astype(dtype)
    tolerance = {
        "atol": draw(SIZES),
        "rtol": draw(st.floats(0, 10) | st.sampled_from([0.0, 1e-300, 1e300])),
        "equal_nan": draw(st.booleans()),
        "statistic": draw(STATISTICS),
    }
    return reference, export, tolerance


@settings(deadline=None)
@given(comparisons())
def test_the_tolerance_that_is_suggested_passes(case: tuple[Any, Any, dict[str, Any]]) -> None:
    reference, export, tolerance = case
    result = judged(reference, export, **tolerance)
    if result.required_atol is not None:
        assert judged(reference, export, **{**tolerance, "atol": result.required_atol}).passed
        if result.required_atol > 0:
            below = math.nextafter(result.required_atol, 0)
            assert not judged(reference, export, **{**tolerance, "atol": below}).passed
    elif not (math.isinf(tolerance["atol"]) and result.passed):
        assert not judged(reference, export, **{**tolerance, "atol": 1.7e308}).passed
    if result.required_rtol is not None:
        assert judged(reference, export, **{**tolerance, "rtol": result.required_rtol}).passed
        assert result.passed or result.required_rtol > tolerance["rtol"]


@settings(deadline=None)
@given(comparisons())
def test_a_comparison_agrees_with_the_formula(case: tuple[Any, Any, dict[str, Any]]) -> None:
    reference, export, tolerance = case
    result = judged(reference, export, **{**tolerance, "statistic": "max"})
    failing = []
    for index, (right, left) in enumerate(zip(export.tolist(), reference.tolist(), strict=True)):
        if math.isnan(left) or math.isnan(right):
            within = tolerance["equal_nan"] and math.isnan(left) and math.isnan(right)
        elif math.isinf(left) or math.isinf(right):
            within = left == right
        else:
            distance = abs(right - left)
            if math.isinf(distance):
                within = tolerance["atol"] == math.inf
            else:
                within = distance - tolerance["rtol"] * abs(left) <= tolerance["atol"]
        if not within:
            failing.append(index)
    if np.isnan(reference).all() and np.isnan(export).all():
        assert not result.passed
        return
    assert result.failing == len(failing)
    assert result.passed == (not failing)
    if failing:
        assert result.worst_index is not None
        assert result.worst_index[0] in failing


@settings(deadline=None)
@given(comparisons())
def test_every_number_is_plain_and_finite(case: tuple[Any, Any, dict[str, Any]]) -> None:
    reference, export, tolerance = case
    result = judged(reference, export, **tolerance)
    for name in ("max_abs", "max_rel", "required_atol", "required_rtol", "used"):
        value = getattr(result, name)
        assert value is None or (type(value) is float and math.isfinite(value)), name
    assert type(result.failing) is type(result.total) is int
    assert type(result.passed) is bool
    assert all(type(axis) is int for axis in result.worst_index or ())
    assert type(result.worst_reference) in (float, str, type(None))
    if result.passed and result.used is not None and tolerance["statistic"] != "mean":
        assert result.used <= 1 + 1e-12


@settings(deadline=None)
@given(stnp.arrays(np.int64, 4), stnp.arrays(np.int64, 4))
def test_integer_distances_are_exact(reference: Any, export: Any) -> None:
    result = judged(reference, export)
    distances = [abs(left - right) for left, right in zip(reference.tolist(), export.tolist(), strict=True)]
    assert result.passed == (not any(distances))
    assert result.max_abs == float(max(distances))
    assert result.failing == sum(distance > 0 for distance in distances)
