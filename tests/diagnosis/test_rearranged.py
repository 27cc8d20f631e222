"""A kernel whose values stand in other places, under what a fold or a stored type left of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tfparity.diagnosis.places.rearranged import rearranged

SEEDS = st.integers(0, 2**31 - 1)
CHANGES = {
    "transposed": lambda kernel, order: kernel.transpose(0, 1, 3, 2),
    "height and width": lambda kernel, order: kernel.transpose(1, 0, 2, 3),
    "flipped": lambda kernel, order: kernel[::-1, ::-1],
    "in the old shape": lambda kernel, order: kernel.transpose(3, 2, 0, 1).reshape(kernel.shape),
    "inputs permuted": lambda kernel, order: kernel[:, :, order],
    "outputs permuted": lambda kernel, order: kernel[..., order],
}


def kernel_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, (3, 3, 12, 12)).astype(np.float32)


@pytest.mark.parametrize("change", CHANGES)
@given(seed=SEEDS, noise=st.sampled_from([0.0, 1e-7, 1e-3, 1e-2]))
@settings(max_examples=15, deadline=None)
def test_the_places_are_found_under_noise(change: str, seed: int, noise: float) -> None:
    random, kernel = np.random.default_rng(seed), kernel_of(seed)
    order = random.permutation(12)
    if np.array_equal(order, np.arange(12)):
        return
    moved = CHANGES[change](kernel, order)
    held = moved * (1 + noise * random.normal(size=moved.shape))
    np.testing.assert_array_equal(next(iter(rearranged(held, kernel))), moved)


@given(seed=SEEDS)
@settings(max_examples=50, deadline=None)
def test_kernels_that_have_nothing_to_do_with_each_other_are_not_claimed(seed: int) -> None:
    assert list(rearranged(kernel_of(seed), kernel_of(seed + 1))) == []


@given(seed=SEEDS, scale=st.floats(1.3, 3))
@settings(max_examples=25, deadline=None)
def test_a_kernel_in_its_own_places_is_not_moved(seed: int, scale: float) -> None:
    kernel = kernel_of(seed)
    assert list(rearranged(kernel * scale, kernel)) == []
    assert list(rearranged(kernel, kernel)) == []


def test_what_is_not_finite_or_of_another_shape_is_not_looked_at() -> None:
    kernel = kernel_of(0)
    assert list(rearranged(np.full_like(kernel, np.nan), kernel)) == []
    assert list(rearranged(kernel[:2], kernel)) == []
