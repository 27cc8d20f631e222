"""Batches for placeholders that pin their rows: cut into slices, and the answers put together again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from graphs.plain import FLOAT, STRING, Plan
from pytest_tfparity.errors import FeedError, ModelError
from pytest_tfparity.graph.graph import Graph, Shape, TensorName
from pytest_tfparity.runtime.batches import Cut, cut_inputs, joined

X, SCALE = TensorName("x", 0), TensorName("scale", 0)


def graph(**dims: tuple[int, ...] | None) -> Graph:
    """Placeholders of these shapes; None is a shape that is not known."""
    plan = Plan()
    for name, shape in dims.items():
        plan.placeholder(name, FLOAT, shape=Shape(shape))
    return plan.graph


STRINGS = np.array([b"one", b"two"], object)


def test_strings_for_a_placeholder_of_one_are_given_one_at_a_time() -> None:
    found = cut(one_string("x"), {X: STRINGS})
    assert [(piece[X].item(), piece[X].shape) for piece in found.pieces] == [(b"one", ()), (b"two", ())]
    whole = joined("net.pb", found, [{"y:0": rows(1)}, {"y:0": rows(1) + 1}])
    np.testing.assert_array_equal(whole["y:0"], np.stack([rows(1), rows(1) + 1]))
    with pytest.raises(ModelError, match=r"y:0 has another shape for another string \(\[1, 2\], \[2, 2\]\)"):
        joined("net.pb", found, [{"y:0": rows(1)}, {"y:0": rows(2)}])


def test_different_numbers_of_strings_are_refused() -> None:
    with pytest.raises(FeedError, match="for x:0, scale:0, of which different numbers are given: 2, 1"):
        cut(one_string("x", "scale"), {X: STRINGS, SCALE: STRINGS[:1]})


def one_string(*names: str) -> Graph:
    """Placeholders of one string each, in a graph of a version in which no dimensions mean a scalar."""
    plan = Plan()
    for name in names:
        plan.placeholder(name, STRING, shape=Shape(()))
    return replace(plan.graph, producer=1286)


def rows(count: int) -> np.ndarray:
    return np.arange(2 * count, dtype=np.float32).reshape(count, 2)


def cut(of: Graph, inputs: Mapping[TensorName, np.ndarray]) -> Cut:
    return cut_inputs(of, "net.pb", inputs)


@pytest.mark.parametrize("dims", [(-1, 2), None, (6, 2)], ids=["open", "unknown", "of that many rows"])
def test_inputs_that_fit_stay_whole(dims: tuple[int, ...] | None) -> None:
    inputs = {X: rows(6)}
    found = cut(graph(x=dims), inputs)
    assert found.size is None
    assert found.pieces == [inputs]


def test_a_pinned_batch_cuts_every_input_that_has_its_rows() -> None:
    inputs = {X: rows(6), TensorName("mask", 0): rows(6)[:, 0], SCALE: np.float32(3)}
    found = cut(graph(x=(2, 2), mask=(-1,), scale=()), inputs)
    assert found.size == 2
    assert len(found.pieces) == 3
    np.testing.assert_array_equal(found.pieces[1][X], rows(6)[2:4])
    np.testing.assert_array_equal(found.pieces[1][TensorName("mask", 0)], [4, 6])
    assert all(piece[SCALE] == 3 for piece in found.pieces)


def test_an_input_of_as_many_rows_as_it_pins_itself_is_given_to_every_slice() -> None:
    table = np.ones((5, 2), np.float32)
    found = cut(graph(x=(2, 2), scale=(5, 2)), {X: rows(4), SCALE: table})
    assert [piece[SCALE] is table for piece in found.pieces] == [True, True]


@pytest.mark.parametrize("given", [5, 0])
def test_rows_that_are_no_multiple_of_the_batch_are_refused(given: int) -> None:
    with pytest.raises(FeedError, match=rf"x:0 of net.pb takes a batch of exactly 2; {given} rows are given"):
        cut(graph(x=(2, 2)), {X: rows(given)})


def test_an_input_of_other_rows_is_refused() -> None:
    with pytest.raises(FeedError, match="its 4 rows must be fed in slices, but scale:0 has 3 rows"):
        cut(graph(x=(2, 2), scale=(-1, 2)), {X: rows(4), SCALE: rows(3)})


def test_the_answers_to_slices_become_the_answer_to_all_rows() -> None:
    found = cut(graph(x=(2, 2)), {X: rows(6)})
    answers = [{"y:0": piece[X] * 2, "classes:0": np.arange(3)} for piece in found.pieces]
    whole = joined("net.pb", found, answers)
    np.testing.assert_array_equal(whole["y:0"], rows(6) * 2)
    np.testing.assert_array_equal(whole["classes:0"], [0, 1, 2])


def test_one_answer_is_left_as_it_is() -> None:
    answer = {"y:0": rows(3)}
    assert joined("net.pb", Cut(size=None, pieces=[]), [answer]) == answer


def test_an_answer_that_is_the_same_for_every_slice_may_be_nan() -> None:
    nan = np.float32(np.nan)
    assert np.isnan(joined("net.pb", Cut(size=2, pieces=[]), [{"loss:0": nan}, {"loss:0": nan}])["loss:0"])


def test_one_value_for_each_slice_cannot_be_put_together() -> None:
    answers = [{"loss:0": np.float32(1)}, {"loss:0": np.float32(2)}]
    with pytest.raises(
        ModelError, match=r"loss:0 \(shape \[\]\) is one value for each slice.*Compare another"
    ):
        joined("net.pb", Cut(size=2, pieces=[]), answers)
