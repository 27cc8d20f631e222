"""The formula behind a fold that is wrong: found where the numbers follow from it, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tfparity.diagnosis.places.fold_formula import Terms, channel_factors, misfolded, misplaced_offset

SEEDS = st.integers(0, 2**31 - 1)
EPSILON = 1e-3


def terms(seed: int, channels: int = 8, *, bias: bool = False) -> Terms:
    generator = np.random.default_rng(seed)

    def drawn(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, channels).astype(np.float32).astype(np.float64)

    return Terms(
        gamma=drawn(0.5, 2),
        beta=drawn(-1, 1),
        mean=drawn(0.1, 1),
        variance=drawn(0.2, 3),
        epsilon=EPSILON,
        bias=drawn(-1, -0.1) if bias else None,
    )


def factors(given: Terms, scale: np.ndarray, seed: int = 1) -> np.ndarray | None:
    """The factors of a kernel that was multiplied by ``scale`` in float32."""
    kernel = np.random.default_rng(seed).normal(size=(36, given.variance.size)).astype(np.float32)
    return channel_factors(kernel, kernel * scale.astype(np.float32))


FORMULAS: dict[str, Callable[[Terms], np.ndarray]] = {
    "gamma is missing": lambda each: 1 / np.sqrt(each.variance + EPSILON),
    "the square root is missing": lambda each: each.gamma / (each.variance + EPSILON),
    "epsilon stands outside of the root": lambda each: each.gamma / (np.sqrt(each.variance) + EPSILON),
    "it multiplies where it must divide": lambda each: each.gamma * np.sqrt(each.variance + EPSILON),
    "the variance is missing": lambda each: each.gamma,
    "gamma and the square root are missing": lambda each: 1 / (each.variance + EPSILON),
}


@pytest.mark.parametrize("fault", FORMULAS)
@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_term_that_is_missing_or_misplaced_is_named(fault: str, seed: int) -> None:
    each = terms(seed)
    found = factors(each, FORMULAS[fault](each))
    assert found is not None
    told = misfolded(each, found, {})
    assert told is not None
    assert told.fault == fault


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_a_right_fold_has_no_wrong_formula(seed: int) -> None:
    each = terms(seed)
    found = factors(each, each.scale)
    assert found is not None
    assert misfolded(each, found, {"other": terms(seed + 1)}, multiplier=2) is None


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_factors_of_no_formula_have_none(seed: int) -> None:
    each = terms(seed)
    found = factors(each, np.random.default_rng(seed).uniform(0.3, 3, 8))
    assert found is not None
    assert misfolded(each, found, {"other": terms(seed + 1)}, multiplier=2) is None


def test_a_kernel_that_is_more_than_scaled_has_no_factors() -> None:
    kernel = np.random.default_rng(1).normal(size=(36, 8)).astype(np.float32)
    noise = np.random.default_rng(2).normal(size=(36, 8)).astype(np.float32)
    assert channel_factors(kernel, kernel * np.float32(2) + noise * np.float32(1e-4)) is None


def test_channels_of_zeros_are_left_out() -> None:
    each = terms(3)
    kernel = np.random.default_rng(1).normal(size=(36, 8)).astype(np.float32)
    kernel[:, 2] = 0
    found = channel_factors(kernel, kernel * FORMULAS["gamma is missing"](each).astype(np.float32))
    assert found is not None
    told = misfolded(each, found, {})
    assert told is not None
    assert told.fault == "gamma is missing"


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_terms_of_another_layer_are_named_with_it(seed: int) -> None:
    each, other = terms(seed), terms(seed + 1)
    found = factors(each, each.gamma / np.sqrt(other.variance + EPSILON))
    assert found is not None
    told = misfolded(each, found, {"block2/bn": other})
    assert told is not None
    assert told.fault == "the variance is that of block2/bn"


@given(SEEDS, st.sampled_from([2, 4]))
@settings(max_examples=25, deadline=None)
def test_a_depthwise_scale_along_the_wrong_axes_is_told(seed: int, multiplier: int) -> None:
    each = terms(seed)
    found = factors(each, each.scale.reshape(multiplier, -1).T.reshape(-1))
    assert found is not None
    told = misfolded(each, found, {}, multiplier=multiplier)
    assert told is not None
    assert "depthwise" in told.fault


OFFSETS: dict[str, Callable[[Terms], np.ndarray]] = {
    "the convolution's own bias is not scaled": lambda each: each.beta + each.bias - each.mean * each.scale,
    "the convolution's own bias is missing": lambda each: each.beta - each.mean * each.scale,
    "beta is missing": lambda each: (each.bias - each.mean) * each.scale,
    "the mean is added, not subtracted": lambda each: each.beta + (each.bias + each.mean) * each.scale,
    "the mean is not scaled": lambda each: each.beta + each.bias - each.mean,
    "beta is scaled": lambda each: each.bias + (each.beta - each.mean) * each.scale,
}


@pytest.mark.parametrize("fault", OFFSETS)
@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_wrong_offset_is_named_by_its_term(fault: str, seed: int) -> None:
    each = terms(seed, bias=True)
    told = misplaced_offset(each, OFFSETS[fault](each).astype(np.float32).astype(np.float64))
    assert told is not None
    assert told.fault == fault


@given(SEEDS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_right_or_a_random_offset_has_no_wrong_formula(seed: int, right: bool) -> None:
    each = terms(seed, bias=True)
    random = np.random.default_rng(seed).normal(size=8)
    assert each.bias is not None
    assert (
        misplaced_offset(each, each.beta + (each.bias - each.mean) * each.scale if right else random) is None
    )
