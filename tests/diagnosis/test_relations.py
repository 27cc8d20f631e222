"""Each relation is found where it was made, and not where only something like it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tfparity.diagnosis.relations.chain import relation_of
from pytest_tfparity.diagnosis.relations.order import blocks_of
from pytest_tfparity.diagnosis.relations.relation import Relation

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from(
    [(3, 3, 8, 16), (1, 1, 16, 8), (64, 32), (16, 5), (3, 3, 4, 2), (40,), (2, 3, 3, 4, 8)]
)


def kernel(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def found(array: np.ndarray, original: np.ndarray) -> Relation:
    told = relation_of(np.ascontiguousarray(array), original)
    assert told is not None
    return told


@given(SEEDS, SHAPES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_permutation_of_one_axis_is_found_and_undone(
    seed: int, shape: tuple[int, ...], data: st.DataObject
) -> None:
    original = kernel(seed, shape)
    axis = data.draw(st.integers(0, len(shape) - 1))
    order = np.random.default_rng(seed + 1).permutation(shape[axis])
    array = original.take(order, axis)
    if np.array_equal(array, original):
        assert relation_of(array, original) is None
        return
    told = found(array, original)
    if told.kind == "permuted":
        assert told.axis is not None
        assert np.array_equal(original.take(told.order, told.axis), array)
    else:
        assert told.kind == "flipped"
        assert np.array_equal(np.flip(original, told.axes), array)


def test_exchanged_gates_are_told_as_blocks() -> None:
    original = kernel(1, (12, 4 * 8))
    gates = np.split(original, 4, 1)
    told = found(np.concatenate([gates[0], gates[2], gates[1], gates[3]], 1), original)
    assert (told.kind, told.axis, told.blocks) == ("permuted", 1, (0, 2, 1, 3))


def test_classes_shifted_by_one_are_no_blocks() -> None:
    original = kernel(2, (16, 5))
    told = found(np.roll(original, 1, 1), original)
    assert (told.kind, told.order, told.blocks) == ("permuted", (4, 0, 1, 2, 3), ())


def test_blocks() -> None:
    assert blocks_of((2, 3, 0, 1)) == (1, 0)
    assert blocks_of((1, 0, 3, 2)) == ()
    assert blocks_of((4, 5, 2, 3, 0, 1)) == (2, 1, 0)


@given(SEEDS, st.sampled_from([(0,), (1,), (0, 1), (2,), (0, 1, 2, 3)]))
@settings(max_examples=30, deadline=None)
def test_a_flip_is_found(seed: int, axes: tuple[int, ...]) -> None:
    original = kernel(seed, (3, 3, 8, 16))
    told = found(np.flip(original, axes), original)
    assert (told.kind, told.axes) == ("flipped", axes)


def test_axes_that_were_exchanged_by_a_reshape_are_found() -> None:
    original = kernel(3, (3, 3, 8, 16))
    told = found(original.transpose(3, 2, 0, 1).reshape(original.shape), original)
    assert (told.kind, told.axes) == ("reordered", (3, 2, 0, 1))


@given(SEEDS, SHAPES, st.floats(0.01, 0.15))
@settings(max_examples=60, deadline=None)
def test_small_weights_at_zero_are_found(seed: int, shape: tuple[int, ...], bound: float) -> None:
    original = kernel(seed, shape)
    small = np.abs(original) < np.float32(bound)
    array = np.where(small, np.float32(0), original)
    told = relation_of(array, original)
    if not small.any() or np.unique(array[~small]).size < 4:
        return
    assert told is not None
    assert told.kind == "zeroed"
    assert told.changed == int(small.sum())
    assert told.bound is not None
    assert np.array_equal(np.where(np.abs(original) < told.bound, np.float32(0), original), array)


def test_weights_at_zero_that_no_bound_explains_are_masked() -> None:
    original = kernel(4, (64, 32))
    mask = np.random.default_rng(5).random(original.shape) < 0.5
    told = found(np.where(mask, np.float32(0), original), original)
    assert (told.kind, told.bound, told.changed) == ("masked", None, int(mask.sum()))


def test_a_trained_kernel_with_many_zeros_is_not_one_that_was_cut() -> None:
    original = np.where(np.random.default_rng(6).random((64, 32)) < 0.5, np.float32(0), kernel(6, (64, 32)))
    other = np.where(original == 0, np.float32(0), kernel(7, (64, 32)))
    assert relation_of(other, original) is None


@given(SEEDS, SHAPES, st.floats(0.02, 0.2))
@settings(max_examples=60, deadline=None)
def test_a_clip_is_found(seed: int, shape: tuple[int, ...], bound: float) -> None:
    original = kernel(seed, shape)
    array = np.clip(original, -np.float32(bound), np.float32(bound))
    if np.array_equal(array, original) or np.unique(array[array == original]).size < 4:
        return
    told = found(array, original)
    assert told.kind == "clipped"
    assert told.limits is not None
    assert np.array_equal(np.clip(original, *np.float32(told.limits)), array)


def quantise(original: np.ndarray, axis: int | None, *, narrow: bool = True) -> np.ndarray:
    axes = tuple(each for each in range(original.ndim) if each != axis)
    step = np.abs(original).max(axes, keepdims=True) / np.float32(127 if narrow else 128)
    places = np.clip(np.rint(original / step), -127 if narrow else -128, 127)
    array: np.ndarray = (places * step).astype(np.float32)
    return array


@given(SEEDS, st.sampled_from([None, 3, 2]))
@settings(max_examples=40, deadline=None)
def test_eight_bits_are_found_for_all_and_for_each_channel(seed: int, axis: int | None) -> None:
    original = kernel(seed, (3, 3, 8, 16))
    if axis is not None:
        size = [1] * 4
        size[axis] = original.shape[axis]
        original = original * np.random.default_rng(seed).uniform(0.2, 5, size).astype(np.float32)
    told = found(quantise(original, axis), original)
    assert (told.kind, told.axis) == ("rounded", axis)
    assert len(told.factors) == (1 if axis is None else original.shape[axis])


@given(SEEDS, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_one_factor_a_channel_is_found(seed: int, axis: int) -> None:
    original = kernel(seed, (3, 3, 8, 16))
    size = [1] * 4
    size[axis] = original.shape[axis]
    factors = np.random.default_rng(seed).uniform(0.2, 3, size).astype(np.float32)
    told = found(original * factors, original)
    assert (told.kind, told.axis) == ("channels scaled", axis)
    assert np.allclose(told.factors, factors.reshape(-1), rtol=1e-6)


MAPS = {
    "sqrt(x)": np.sqrt,
    "x**2": np.square,
    "1/sqrt(x)": lambda x: np.float32(1) / np.sqrt(x),
    "sqrt(x+c)": lambda x: np.sqrt(x + np.float32(1e-3)),
    "1/sqrt(x+c)": lambda x: np.float32(1) / np.sqrt(x + np.float32(1e-3)),
    "x+c": lambda x: x + np.float32(1e-3),
}


@pytest.mark.parametrize("name", MAPS)
@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_statistics_that_went_through_a_function_are_found(name: str, seed: int) -> None:
    original = np.random.default_rng(seed).uniform(0.01, 3, 24).astype(np.float32)
    told = found(MAPS[name](original), original)
    assert (told.kind, told.function) == ("mapped", name)


@given(SEEDS, SHAPES, st.floats(0.1, 3))
@settings(max_examples=30, deadline=None)
def test_one_factor_is_found(seed: int, shape: tuple[int, ...], factor: float) -> None:
    original = kernel(seed, shape)
    told = relation_of(original * np.float32(factor), original)
    if abs(factor - 1) > 1e-5:
        assert told == Relation(kind="scaled", number=pytest.approx(factor, rel=1e-6))


def test_a_factor_of_rounding_is_no_relation() -> None:
    original = kernel(11, (64, 32))
    assert relation_of(np.nextafter(original, np.float32(np.inf)), original) is None


def test_the_grid_of_float32_itself_is_no_rounding_to_steps() -> None:
    """Numbers near 1000 lie on steps of 6e-5, whoever made them."""
    places = np.random.default_rng(12).integers(0, 200, (2, 40))
    original, array = (1000 + places * np.spacing(np.float32(1000))).astype(np.float32)
    assert relation_of(array, original) is None
    assert relation_of(original + np.spacing(np.float32(1000)), original) is None


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (64, 32), (16, 5), (24,), (4,), (2, 4), (3, 3, 1, 8)])
def test_unrelated_kernels_have_no_relation_of(shape: tuple[int, ...]) -> None:
    for seed in range(200):
        assert relation_of(kernel(seed, shape), kernel(seed + 100_000, shape)) is None


def test_one_training_step_is_no_relation_of() -> None:
    for seed in range(50):
        original = kernel(seed, (3, 3, 8, 16))
        assert relation_of(original + kernel(seed + 1, original.shape) * np.float32(1e-3), original) is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_array_has_no_relation_of(value: float) -> None:
    assert relation_of(np.full((8, 8), value, np.float32), kernel(1, (8, 8))) is None


def test_equal_rows_in_another_order_are_equal() -> None:
    original = kernel(9, (8, 8))
    original[3] = original[5]
    swapped = original.take([0, 1, 2, 5, 4, 3, 6, 7], 0)
    assert relation_of(swapped, original) is None


def test_a_symmetric_kernel_that_was_flipped_is_equal() -> None:
    half = kernel(10, (2, 3, 8, 16))
    original = np.concatenate([half, half[:1]])
    original[2] = original[0]
    assert relation_of(np.ascontiguousarray(np.flip(original, 0)), original) is None


@pytest.mark.slow
def test_twenty_thousand_pairs_of_unrelated_kernels_have_no_relation_of() -> None:
    shapes = [(3, 3, 8, 16), (64, 32), (16, 5), (24,), (4,), (2, 4), (3, 3, 1, 8), (1, 1, 4, 4), (5,), (6, 2)]
    for seed in range(20_000):
        shape = shapes[seed % len(shapes)]
        assert relation_of(kernel(seed, shape), kernel(seed + 1_000_000, shape)) is None
