"""The reference once and the export twice in one graph of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from graphs.plain import FLOAT, Plan, chain, loop, side
from pytest_tfparity.errors import ModelError
from pytest_tfparity.graph.graph import TensorName, tensor_name
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.runtime.matching import Splice
from pytest_tfparity.runtime.protobuf import plain_graph
from pytest_tfparity.runtime.side_by_side import EXPORT, OWN, REFERENCE, SideBySide

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


@contextmanager
def loaded(
    reference: Side,
    export: Side,
    aligned: dict[str, str],
    value: Any,
    libraries: tuple[Callable[[], Any], Callable[[], Any]] = (lambda: None, lambda: None),
) -> Iterator[SideBySide]:
    inputs = {tensor: np.asarray(value, np.float32) for tensor in reference.inputs}
    both = SideBySide(Splice.of(reference, export, aligned), inputs, libraries)
    try:
        both.load()
        yield both
    finally:
        both.close()


def values(both: SideBySide, *names: tuple[str, str]) -> list[Any]:
    tensors = [both.tensor(prefix, tensor_name(name)) for prefix, name in names]
    return [np.asarray(each).tolist() for each in both.session.run(tensors, both.feeds)]


ALIGNED = {"mul": "net/mul", "add": "net/add", "square": "net/square"}


def test_a_difference_is_accumulated_in_the_first_copy_and_local_in_the_second() -> None:
    reference, export = chain(frozen=False), chain(weight=3.0, prefix="net/")
    with loaded(reference, export, ALIGNED, [[1.0, 2.0]]) as both:
        assert values(both, (REFERENCE, "mul"), (EXPORT, "net/mul"), (OWN, "net/mul")) == [
            [[2.0, 4.0]],
            [[3.0, 6.0]],
            [[3.0, 6.0]],
        ]
        assert values(both, (REFERENCE, "square"), (EXPORT, "net/square"), (OWN, "net/square")) == [
            [[9.0, 25.0]],
            [[16.0, 49.0]],
            [[9.0, 25.0]],
        ]
        assert both.unmatched == set()
        assert both.unfair() == set()


def test_variables_hold_what_the_checkpoint_holds() -> None:
    reference = chain(weight=5.0, frozen=False)
    with loaded(reference, chain(), {}, [[1.0, 1.0]]) as both:
        assert values(both, (REFERENCE, "w")) == [[5.0, 5.0]]


def test_constant_feeds_of_each_side_are_its_own() -> None:
    def scaled(factor: float) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.placeholder("scale")
        plan("y", "Mul", "x", "scale", T=FLOAT)
        return side(plan, "y", feeds={"scale": np.float32(factor)})

    with loaded(scaled(2.0), scaled(3.0), {"y": "y"}, [1.0]) as both:
        assert values(both, (REFERENCE, "y"), (EXPORT, "y"), (OWN, "y")) == [[2.0], [3.0], [3.0]]


def reshaped(shape: list[int], op: str = "Relu") -> Side:
    plan = Plan()
    plan.placeholder()
    plan.const("shape", shape, np.int32)
    plan("flat", "Reshape", "x", "shape", T=FLOAT)
    plan("y", op, "flat", T=FLOAT)
    return side(plan, "y")


def test_a_value_of_another_shape_is_handed_on_where_the_reader_takes_any() -> None:
    with loaded(reshaped([2, 3]), reshaped([6]), {"flat": "flat", "y": "y"}, np.ones((3, 2))) as both:
        assert both.unmatched == set()
        assert both.tensor(OWN, TensorName("y", 0)).shape.as_list() == [2, 3]


def test_a_value_of_another_shape_is_unmatched_where_the_reader_does_not_load_with_it() -> None:
    def transposed(shape: list[int], order: list[int]) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.const("shape", shape, np.int32)
        plan.const("order", order, np.int32)
        plan("flat", "Reshape", "x", "shape", T=FLOAT)
        plan("turned", "Transpose", "flat", "order", T=FLOAT, Tperm=type(FLOAT)(3))
        plan("y", "Relu", "turned", T=FLOAT)
        return side(plan, "y")

    reference, export = transposed([6], [0]), transposed([2, 3], [1, 0])
    aligned = {name: name for name in ("flat", "turned", "y")}
    with loaded(reference, export, aligned, np.ones((3, 2))) as both:
        assert TensorName("flat", 0) in both.unmatched
        assert "turned" in both.unfair()


def test_a_value_of_another_type_is_cast_for_its_readers() -> None:
    def counted(number: int) -> Side:
        dtype = type(FLOAT)(number)
        plan = Plan()
        plan.placeholder()
        plan("wide", "Cast", "x", SrcT=FLOAT, DstT=dtype)
        plan("y", "Neg", "wide", T=dtype)
        return side(plan, "y")

    with loaded(counted(2), counted(1), {"wide": "wide", "y": "y"}, [1.5]) as both:
        assert both.unmatched == set()
        assert values(both, (REFERENCE, "y"), (OWN, "y")) == [[-1.5], [-1.5]]


def test_loops_of_the_copies_have_frames_of_their_own() -> None:
    reference, export = loop(), loop(step=0.75)
    aligned = {name: name for name in export.graph.nodes}
    splice = Splice.of(reference, export, aligned)
    both = SideBySide(
        splice,
        {TensorName("x", 0): np.float32(0), TensorName("limit", 0): np.float32(2)},
        (lambda: None, lambda: None),
    )
    both.load()
    frames = {
        operation.get_attr("frame_name")
        for operation in both.graph.get_operations()
        if operation.type == "Enter"
    }
    assert frames == {b"reference/while", b"export/while", b"own/while"}
    assert values(both, (REFERENCE, "while/exit"), (EXPORT, "while/exit")) == [2.0, 2.25]
    both.close()


def calling(factor: float) -> Any:
    """A GraphDef whose ``y`` is a function of ``x`` that calls another; their names are the same for all."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [2], "x")

        @tf.function(autograph=False)
        def inner(given: Any) -> Any:
            return given * factor

        @tf.function(autograph=False)
        def outer(given: Any) -> Any:
            return inner(given) + 1.0

        tf.identity(outer(x), "y")
        written = graph.as_graph_def()
    nodes = [*written.node, *(node for each in written.library.function for node in each.node_def)]
    for function in written.library.function:
        name = "inner" if "inner" in function.signature.name else "outer"
        for node in nodes:
            if "f" in node.attr and node.attr["f"].func.name == function.signature.name:
                node.attr["f"].func.name = name
        function.signature.name = name
    return written


def test_functions_of_one_name_are_told_apart_by_another_name() -> None:
    definitions = [calling(2.0), calling(3.0)]
    sides = [side(plain_graph(each, "graph"), "y") for each in definitions]
    assert [set(each.graph.functions) for each in sides] == [{"inner", "outer"}] * 2
    aligned = {name: name for name in sides[1].graph.nodes}
    libraries = (lambda: definitions[0].library, lambda: definitions[1].library)
    with loaded(sides[0], sides[1], aligned, [1.0, 2.0], libraries) as both:
        assert values(both, (REFERENCE, "y"), (EXPORT, "y")) == [[3.0, 5.0], [4.0, 7.0]]
        kept = {each.signature.name for each in both.graph.as_graph_def().library.function}
        assert {"inner", "outer", "inner_of_export", "outer_of_export"} <= kept


def test_a_batch_that_is_pinned_is_loaded_with_open_rows() -> None:
    def pinned(rows: int) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.const("w", np.ones((rows, 2)))
        plan("y", "MatMul", "x", "w", T=FLOAT, transpose_a=False, transpose_b=False)
        return side(plan, "y")

    with loaded(pinned(3), pinned(3), {"y": "y"}, np.ones((4, 3))) as both:
        assert values(both, (EXPORT, "y")) == [[[3.0, 3.0]] * 4]


def test_what_no_attempt_loads_is_told() -> None:
    plan = Plan()
    plan.placeholder()
    plan("y", "NoSuchOp", "x", T=FLOAT)
    wrong = side(plan, "y")
    both = SideBySide(
        Splice.of(wrong, wrong, {"y": "y"}),
        {TensorName("x", 0): np.ones(1, np.float32)},
        (lambda: None, lambda: None),
    )
    with pytest.raises(ModelError, match=r"does not load the two graphs side by side: .*NoSuchOp"):
        both.load()


def test_nothing_is_open_before_it_is_loaded() -> None:
    both = SideBySide(Splice.of(chain(), chain(), {}), {}, (lambda: None, lambda: None))
    both.close()
    assert both.session is None
