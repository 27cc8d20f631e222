"""What a pair of tensors is reduced to inside TensorFlow is what numpy says of their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_tfparity.graph.graph import TensorName
from pytest_tfparity.runtime.reductions import Reduction, Reductions, measurable

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

NAMES = (TensorName("a", 0), TensorName("b", 0))


def reduced(
    reference: Any, export: Any, own: Any, *, shapes: tuple[Any, Any, Any] | None = None
) -> Reduction:
    """The three arrays, placed into one graph (with ``shapes`` as its static shapes), reduced and fetched."""
    values = [np.asarray(each) for each in (reference, export, own)]
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        known = shapes or tuple(value.shape for value in values)
        tensors = tuple(
            v1.placeholder(value.dtype, shape) for value, shape in zip(values, known, strict=True)
        )
        pair = Reduction(names=NAMES, tensors=tensors, bytes=0)
        definition = v1.GraphDef()
        Reductions(definition).add(0, pair)
        given_ = {f"{role}0:0": tensor for role, tensor in zip("rao", tensors, strict=True)}
        tf.import_graph_def(definition, name="measure", input_map=given_)
        fetches = {what: graph.get_tensor_by_name(f"measure/{name}:0") for what, name in pair.fetches.items()}
        pair.values = session.run(fetches, dict(zip(tensors, values, strict=True)))
    return pair


def test_the_largest_differences_and_values_are_numpys() -> None:
    reference = np.float32([[1, -5], [2, 3]])
    found = reduced(reference, reference + np.float32([[0, 0.5], [0, 0]]), reference - np.float32(0.25))
    assert found.values["scale"] == 5.0
    assert found.values["difference a"] == 0.5
    assert found.values["difference o"] == 0.25
    assert all(found.values[f"finite {role}"] for role in "rao")
    assert found.other_shape == (False, False)


@settings(max_examples=20, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.just(3), st.integers(1, 4), st.integers(1, 4)),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_any_finite_values_are_reduced_as_numpy_reduces_them(values: np.ndarray) -> None:
    reference, export, own = values
    found = reduced(reference, export, own)
    assert found.values["scale"] == np.abs(reference).max()
    assert found.values["difference a"] == np.abs(reference - export).max()
    assert found.values["difference o"] == np.abs(reference - own).max()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(3))
def test_what_is_not_finite_is_told_for_each_side(bad: float, place: int) -> None:
    values = [np.ones(3, np.float32) for _ in range(3)]
    values[place][1] = bad
    found = reduced(*values)
    assert [bool(found.values[f"finite {role}"]) for role in "rao"] == [place != index for index in range(3)]


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint32, np.float64])
def test_wide_types_are_compared_in_float64(dtype: type) -> None:
    reference = np.array([2**31 - 2, 5], dtype)
    found = reduced(reference, reference + dtype(1), reference)
    assert found.values["difference a"] == 1.0
    assert found.values["difference o"] == 0.0


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.float16])
def test_narrow_types_are_compared_in_float32(dtype: type) -> None:
    reference, export = np.array([0, 1, 1], dtype), np.array([0, 0, 1], dtype)
    found = reduced(reference, export, reference)
    assert (found.values["difference a"], found.values["difference o"]) == (1.0, 0.0)
    assert found.values["scale"].dtype == np.float32


def test_types_may_differ_between_the_sides() -> None:
    found = reduced(np.float32([0.5, 1]), np.float64([0.5, 3]), np.float16([0.25, 1]))
    assert (found.values["difference a"], found.values["difference o"]) == (2.0, 0.25)


def test_a_shape_that_is_known_to_be_another_is_not_subtracted() -> None:
    found = reduced(np.ones((2, 3)), np.ones((3, 2)), np.ones((2, 3)))
    assert found.other_shape == (True, False)
    assert "difference a" not in found.fetches
    assert found.values["difference o"] == 0.0


def test_shapes_that_only_the_run_knows_are_fetched_and_the_common_part_subtracted() -> None:
    found = reduced(np.float32([1, 2, 3]), np.float32([1, 4]), np.float32([1, 2, 3]), shapes=([None],) * 3)
    assert found.other_shape == (False, False)
    assert (found.values["shape r"], found.values["shape a"]) == ([3], [2])
    assert found.values["difference a"] == 2.0


def test_empty_tensors_are_finite_and_do_not_differ() -> None:
    empty = np.zeros((0, 3), np.float32)
    found = reduced(empty, empty, empty)
    assert all(found.values[f"finite {role}"] for role in "rao")
    assert not found.values["difference a"] > 0  # the largest of nothing is minus infinity
    assert not found.values["scale"] > 0


def test_a_scalar_is_a_tensor_of_one() -> None:
    found = reduced(np.float32(2), np.float32(-1), np.float32(2))
    assert (found.values["scale"], found.values["difference a"]) == (2.0, 3.0)


def test_only_numbers_can_be_subtracted() -> None:
    with tf.Graph().as_default():
        assert measurable(v1.placeholder(tf.bool, []))
        assert measurable(v1.placeholder(tf.bfloat16, []))
        assert not measurable(v1.placeholder(tf.string, []))
        assert not measurable(v1.placeholder(tf.complex64, []))
        assert not measurable(v1.placeholder(tf.resource, []))
