"""Settings of the model's code, tables and random numbers, on TensorFlow's own graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.compared import BATCH, compare, dense, only

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def loops_of_tensorflow_1() -> Iterator[None]:
    """Loops as nodes of the graph: Enter, Switch, Merge."""
    v1.disable_control_flow_v2()
    yield
    v1.enable_control_flow_v2()


def looped(threshold: float) -> Callable[[], None]:
    """A dense layer of which each row, in a loop of its own, loses what is below ``threshold``."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        with v1.name_scope("rows"):
            kept = tf.map_fn(
                lambda row: tf.where(row > threshold, row * 2.0, tf.zeros_like(row) + 0.5), dense(x)
            )
        tf.identity(kept, "y")

    return build


def test_a_constant_inside_a_loop_is_named_alone_and_proven(tmp_path: Path) -> None:
    finding = only(compare(tmp_path, looped(0.1), looped(0.4), batch=np.tile(BATCH, (16, 1)) * 0.2))
    assert (finding.cause, finding.certainty) == ("graph-const-differs", "proven")
    assert "is 0.1 in the checkpoint's graph and 0.4 in" in finding.message
    assert len(finding.nodes) == 1


def test_a_loop_that_is_entered_with_something_else_is_repaired_at_its_entry(tmp_path: Path) -> None:
    def started(make: Callable[[Any], Any]) -> Callable[[], None]:
        def build() -> None:
            x = v1.placeholder(tf.float32, [None, 6], "x")
            values = dense(x)
            begin = make(values)
            total = tf.while_loop(
                lambda i, s: i < 3, lambda i, s: (i + 1, s * 0.5 + values), (tf.constant(0), begin)
            )[1]
            tf.identity(total, "y")

        return build

    zeros = started(lambda values: tf.zeros_like(values, name="begin"))
    finding = only(compare(tmp_path, zeros, started(lambda values: tf.tanh(values, name="begin"))))
    assert finding.certainty == "proven"
    assert "begin" in finding.nodes


def recurrent(by: float, *, functional: bool) -> Callable[[], None]:
    """A loop over a state, as functions or, as TensorFlow 1 wrote it, as a frame."""

    def build() -> None:
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        try:
            x = v1.placeholder(tf.float32, [None, 6], "x")
            values = dense(x)
            state = tf.while_loop(
                lambda i, s: i < 3, lambda i, s: (i + 1, tf.tanh(s * by + values)), (tf.constant(0), values)
            )[1]
            tf.identity(state, "y")
        finally:
            v1.disable_control_flow_v2()

    return build


@pytest.mark.parametrize("functional", [True, False])
def test_a_constant_of_a_loop_is_repaired_where_the_sides_write_loops_otherwise(
    functional: bool, tmp_path: Path
) -> None:
    reference = recurrent(0.5, functional=functional)
    finding = only(compare(tmp_path, reference, recurrent(0.25, functional=not functional)))
    assert finding.cause == "graph-const-differs"
    assert "0.5 in the checkpoint's graph and 0.25 in" in finding.message
    assert finding.certainty == ("proven" if functional else "decisive")


WORDS = ["red", "green", "blue"]


def looked_up(words: list[str], *, last_first: bool = False) -> Callable[[], None]:
    """A table that numbers ``words``, in which four fixed words are looked up, beside a dense layer."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        keys, values = list(words), list(range(len(words)))
        if last_first:
            keys, values = keys[::-1], values[::-1]
        filled = v1.lookup.KeyValueTensorInitializer(keys, np.int64(values), tf.string, tf.int64)
        table = v1.lookup.StaticHashTable(filled, -1, name="words")
        ids = table.lookup(tf.constant(["red", "blue", "green", "red"]))
        total = tf.cast(tf.reduce_sum(ids * [1, 10, 100, 1000]), tf.float32)
        tf.add(dense(x), total, "y")

    return build


def with_table(build: Callable[[], None]) -> Callable[[Any], None]:
    """Puts the nodes of the table back that freezing for ``y`` left out."""

    def change(frozen: Any) -> None:
        with tf.Graph().as_default() as graph:
            build()
        known = {node.name for node in frozen.node}
        frozen.node.extend(
            node
            for node in graph.as_graph_def().node
            if node.name.startswith(("words", "key_value_init", "keys", "values")) and node.name not in known
        )

    return change


def test_another_order_of_the_words_is_told_by_their_numbers(tmp_path: Path) -> None:
    other = looked_up(WORDS[::-1])
    finding = only(compare(tmp_path, looked_up(WORDS), other, change=with_table(other)))
    assert (finding.cause, finding.certainty) == ("lookup-table-differs", "proven")
    assert "2 of 3 keys have another value: red is 0 in the checkpoint's graph and 2 in" in finding.message


def test_the_order_in_which_a_table_is_filled_is_no_difference(tmp_path: Path) -> None:
    other = looked_up(WORDS, last_first=True)
    result = compare(tmp_path, looked_up(WORDS), other, change=with_table(other))
    assert (result.verdict, result.findings) == ("pass", ())


def drawn(scale: float) -> Callable[[], None]:
    """An action drawn from the logits of a dense layer."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        action = tf.random.categorical(dense(x) * scale, 1, name="policy/action")
        tf.identity(action, "y")

    return build


def test_random_numbers_that_both_sides_draw_are_the_reference_s_own(tmp_path: Path) -> None:
    batch = np.random.default_rng(1).normal(size=(64, 6)).astype(np.float32)
    finding = only(compare(tmp_path, drawn(0.1), batch=batch))
    assert (finding.cause, finding.certainty) == ("stateful-reference", "decisive")
    assert "draws random numbers" in finding.message
    assert "answer differently" not in finding.message


def test_a_threshold_of_ids_is_a_setting_and_no_preprocessing(tmp_path: Path) -> None:
    def masked(padding: int) -> Callable[[], None]:
        def build() -> None:
            x = v1.placeholder(tf.int32, [None, 6], "x")
            with v1.variable_scope("embedding"):
                table = v1.get_variable("table", (9, 4), use_resource=False)
            kept = tf.cast(tf.not_equal(x, padding, name="mask"), tf.float32)
            tf.reduce_sum(tf.gather(table, x) * kept[..., None], 1, name="y")

        return build

    batch = np.random.default_rng(1).integers(0, 9, (8, 6)).astype(np.int32)
    finding = only(compare(tmp_path, masked(0), masked(3), batch=batch))
    assert (finding.cause, finding.certainty) == ("graph-const-differs", "proven")


LOOPS = pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])


def written(build: Callable[[], None], *, functional: bool) -> Callable[[], None]:
    """``build`` with its loops as functions, or as frames."""

    def chosen() -> None:
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        try:
            build()
        finally:
            v1.disable_control_flow_v2()

    return chosen


@LOOPS
def test_a_constant_of_a_loop_s_body_is_proven_however_the_loop_is_written(
    functional: bool, tmp_path: Path
) -> None:
    sides = [recurrent(by, functional=functional) for by in (0.5, 0.25)]
    finding = only(compare(tmp_path, *sides))
    assert (finding.cause, finding.certainty) == ("graph-const-differs", "proven")
    assert "0.5 in the checkpoint's graph and 0.25 in" in finding.message


def cell() -> None:
    """A recurrent cell over the columns of its input, the gates i, c, f, o side by side in one kernel."""
    x = v1.placeholder(tf.float32, [None, 6], "x")
    with v1.variable_scope("cell"):
        kernel = v1.get_variable("kernel", (1 + 4, 4 * 4), use_resource=False)
        bias = v1.get_variable("bias", (4 * 4,), use_resource=False)
    start = tf.zeros([tf.shape(x)[0], 4])

    def step(turn: Any, state: Any, output: Any) -> tuple[Any, Any, Any]:
        column = tf.gather(x, [turn], axis=1)
        gates = tf.matmul(tf.concat([column, output], 1), kernel) + bias
        add, new, forget, shown = tf.split(gates, 4, 1)
        state = tf.sigmoid(forget) * state + tf.sigmoid(add) * tf.tanh(new)
        return turn + 1, state, tf.sigmoid(shown) * tf.tanh(state)

    last = tf.while_loop(lambda turn, state, output: turn < 6, step, (tf.constant(0), start, start))[2]
    tf.identity(last, "y")


def with_gates_exchanged(frozen: Any) -> None:
    """Puts the gates i, c, f, o of the cell into the order i, f, c, o."""
    for node in frozen.node:
        if node.op == "Const" and node.name in ("cell/kernel", "cell/bias"):
            gates = np.split(tf.make_ndarray(node.attr["value"].tensor), 4, -1)
            moved = np.concatenate([gates[each] for each in (0, 2, 1, 3)], -1)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(moved))


@LOOPS
def test_the_order_of_a_cell_s_gates_is_proven(functional: bool, tmp_path: Path) -> None:
    finding = only(compare(tmp_path, written(cell, functional=functional), change=with_gates_exchanged))
    assert (finding.cause, finding.certainty, finding.scopes) == ("weights-permuted", "proven", ("cell",))
    assert "cell/kernel with axis 1 permuted in 4 blocks, [0, 2, 1, 3] for [0, 1, 2, 3]" in finding.message
    assert "gates of a cell" in finding.fix


def centred(mean: list[float]) -> Callable[[], None]:
    """Pictures of which each, in a loop of its own, loses a mean colour before the first layer."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        with v1.name_scope("Preprocessor"):
            pictures = tf.reshape(x, [-1, 2, 3])
            pictures = tf.map_fn(lambda picture: picture - np.float32(mean), pictures)
        tf.identity(dense(tf.reshape(pictures, [-1, 6])), "y")

    return build


@LOOPS
def test_a_mean_that_is_reversed_inside_map_fn_is_proven(functional: bool, tmp_path: Path) -> None:
    mean = [0.485, 0.456, 0.406]
    reference, export = (written(centred(each), functional=functional) for each in (mean, mean[::-1]))
    finding = only(compare(tmp_path, reference, export))
    assert (finding.cause, finding.certainty) == ("preprocess-const", "proven")
    assert (
        "is [0.485, 0.456, 0.406] in the checkpoint's graph and [0.406, 0.456, 0.485] in" in finding.message
    )
    assert "the same numbers reversed" in finding.message
