"""Functional loops beside lowered ones: what TensorFlow lowers is proven, whatever else enters a loop is not."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tfparity.graph.graph import tensor_name
from pytest_tfparity.graph.normal.walk import normal_form
from pytest_tfparity.graph.proof.proof import normalised, written_alike
from soundness.pairs import Written, differ, prove, written
from soundness.rewrites import grappler

v1 = tf.compat.v1
X = np.float32([2.0, -3.0])

Turn: TypeAlias = "tuple[tuple[str, int], ...]"
"""What becomes of each variable of a loop in a turn: what is done, with the variable of that number."""


def _loop(turn: Turn, *, turns: int = 3, functional: bool, nested: bool = False, pick: int = 0) -> Written:
    """A loop over as many vectors as ``turn`` has entries; ``nested`` does it all in each turn of another one."""

    def step(values: list[Any]) -> list[Any]:
        kinds = {
            "keep": lambda own, other: own,
            "take": lambda own, other: other,
            "add": lambda own, other: own + other,
            "grow": lambda own, other: own * 1.5 + 1.0,
            "reset": lambda own, other: tf.constant([0.5, 0.25]),
        }
        return [kinds[kind](own, values[number]) for own, (kind, number) in zip(values, turn, strict=True)]

    def run(values: list[Any]) -> list[Any]:
        found = tf.while_loop(
            lambda number, *_: number < turns,
            lambda number, *rest: [number + 1, *step(list(rest))],
            [tf.constant(0), *values],
        )
        return list(found[1:])

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        values = [x + float(number) for number in range(len(turn))]
        if nested:
            outer = tf.while_loop(
                lambda number, *_: number < 2,
                lambda number, *rest: [number + 1, *run(list(rest))],
                [tf.constant(0), *values],
            )
            values = list(outer[1:])
        else:
            values = run(values)
        tf.identity(values[pick], "y")

    return written(build, functional=functional)


def _lowered(model: Written) -> Written:
    """``model`` as TensorFlow's graph optimiser lowers it."""
    made = replace(model, definition=grappler("function")(model))
    assert not any(node.op in ("While", "StatelessWhile") for node in made.definition.node)
    return made


TURNS = st.lists(
    st.tuples(st.sampled_from(["keep", "take", "add", "grow", "reset"]), st.integers(0, 2)),
    min_size=3,
    max_size=3,
).map(tuple)


@settings(deadline=None, max_examples=20)
@given(turn=TURNS, pick=st.integers(0, 2), nested=st.booleans())
def test_a_loop_is_what_tensorflow_lowers_it_to(turn: Turn, pick: int, nested: bool) -> None:
    model = _loop(turn, functional=True, nested=nested, pick=pick)
    assert prove(model.side, _lowered(model).side).proven


@settings(deadline=None, max_examples=40)
@given(
    one=TURNS,
    changed=st.integers(0, 2),
    kind=st.sampled_from(["keep", "take", "add", "grow", "reset"]),
    data=st.data(),
)
def test_what_is_proven_of_two_loops_is_so(one: Turn, changed: int, kind: str, data: st.DataObject) -> None:
    other = list(one)
    other[changed] = (kind, data.draw(st.integers(0, 2)))
    pick = data.draw(st.integers(0, 2))
    reference = _loop(one, functional=True, pick=pick)
    export = _loop(
        tuple(other), functional=data.draw(st.booleans()), turns=data.draw(st.integers(2, 3)), pick=pick
    )
    if prove(reference.side, export.side).proven:
        assert np.array_equal(reference.run(X)[0], export.run(X)[0])


@pytest.mark.parametrize("lowered", [False, True])
def test_a_loop_that_exchanges_what_it_holds_keeps_nothing(lowered: bool) -> None:
    """Each of two variables becomes the other: neither is the same in every turn."""
    exchanged = _loop((("take", 1), ("take", 0), ("keep", 0)), functional=not lowered)
    kept = _loop((("keep", 0), ("keep", 0), ("keep", 0)), functional=lowered)
    differ(exchanged, kept, X)


@pytest.mark.parametrize("waiting", ["while/Enter_2", "add/y"])
def test_what_enters_a_loop_and_waits_for_what_leaves_it_never_comes(waiting: str) -> None:
    right = _loop((("add", 1), ("grow", 0)), functional=False)
    definition = copy.deepcopy(right.definition)
    next(node for node in definition.node if node.name == waiting).input.append("^while/Exit_1")
    wrong = replace(right, definition=definition)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        wrong.run(X)
    assert prove(right.side, right.side).proven
    assert not prove(right.side, wrong.side).proven


def _dying(waits_for: str) -> Written:
    """A frame in which one variable lives in the first turns alone, and something waits for a variable.

    ``found`` is handed on as 7 where what it waits for lives, and is dead where not: then the loop gives nothing.
    """

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        frame = {"frame_name": "loop", "is_constant": False, "parallel_iterations": 10}
        raw = tf.raw_ops
        enters = [raw.Enter(data=each, **frame) for each in (tf.constant(0), x, tf.zeros([2]))]
        heads = [
            raw.Merge(inputs=[each, each], name=name)
            for each, name in zip(enters, ("i", "v", "f"), strict=True)
        ]
        number, value, _ = (head.output for head in heads)
        with tf.control_dependencies([number.op]):
            three, two = tf.constant(3), tf.constant(2)
        goes_on = raw.LoopCond(input=number < three)
        _, counted = raw.Switch(data=number, pred=goes_on)
        _, held = raw.Switch(data=value, pred=goes_on)
        left, _ = raw.Switch(data=heads[2].output, pred=goes_on)
        with tf.control_dependencies([counted.op]):
            one = tf.constant(1)
        early = counted < two
        _, first_turns = raw.Switch(data=held, pred=early)
        waited = {"i": counted, "v": first_turns}[waits_for]
        with tf.control_dependencies([tf.identity(waited)]):
            seven = tf.constant([7.0, 7.0])
        backs = [counted + one, first_turns, seven]
        for head, back in zip(heads, backs, strict=True):
            head.output.op._update_input(1, raw.NextIteration(data=back))
        tf.identity(raw.Exit(data=left), "y")

    return written(build)


def test_the_variables_of_a_loop_that_die_apart_do_not_stand_for_one_another() -> None:
    lives, dies = _dying("i"), _dying("v")
    assert np.array_equal(lives.run(X)[0], [7.0, 7.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"dead|not have value"):
        dies.run(X)
    assert not prove(lives.side, dies.side).proven
    form = normal_form(dies.graph, [tensor_name("y")], inputs=[tensor_name("x")])
    assert not form.turns


def test_both_sides_are_written_out_where_one_is() -> None:
    functional = _loop((("grow", 0),) * 3, functional=True)
    sides = [normalised(each.side) for each in (functional, _lowered(functional))]
    assert [each.lowered for each in written_alike(*sides)] == [True, True]
    assert [each.lowered for each in written_alike(sides[0], sides[0])] == [False, False]
