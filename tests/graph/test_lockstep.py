"""The walk of a proof over two graphs side by side: what it proves, and what it leaves to the normal forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphs.plain import FLOAT, INT, Plan, proof, side, tensor
from pytest_tfparity.graph.graph import Graph, Node, TensorName
from pytest_tfparity.graph.proof.fingerprint import Contents
from pytest_tfparity.graph.proof.lockstep import in_lockstep
from pytest_tfparity.graph.proof.proof import Side, normalised, prove

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)


def network(change: Callable[[Plan], None] | None = None, *, frozen: bool = False, **options) -> Side:
    """``Relu(x @ w + b)``, its weights in variables or, ``frozen``, as constants, one thing of it changed."""
    plan = Plan()
    plan.placeholder("x")
    for name, value in (("w", KERNEL), ("b", KERNEL[0])):
        if frozen:
            plan(name, "Const", value=tensor(value), dtype=FLOAT)
        else:
            plan.variable(name)
        plan(f"{name}/read", "Identity", name, T=FLOAT)
    plan("product", "MatMul", "x", "w/read", T=FLOAT, transpose_a=False, transpose_b=False)
    plan("sum", "BiasAdd", "product", "b/read", T=FLOAT)
    plan("y", "Relu", "sum", T=FLOAT)
    if change is not None:
        change(plan)
    variables = {} if frozen else {"w": KERNEL, "b": KERNEL[0]}
    return side(plan, "y", variables=variables, **options)


def alike(reference: Side, export: Side) -> bool:
    found = in_lockstep(reference, export, Contents())
    assert in_lockstep(export, reference, Contents()) is found
    return found


def test_a_frozen_copy_is_proven_without_a_normal_form(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alike(network(), network(frozen=True))
    monkeypatch.setattr("pytest_tfparity.graph.proof.proof.form_of", None)
    contents = Contents()
    assert prove(normalised(network(), contents), normalised(network(frozen=True), contents)).proven


def changed(name: str, **fields) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        plan.nodes[name] = plan.nodes[name]._replace(**fields)

    return change


def added(name: str, op: str, *inputs: str, **attrs) -> Callable[[Plan], None]:
    """A node, which ``sum`` waits for."""

    def change(plan: Plan) -> None:
        plan(name, op, *inputs, **attrs)
        plan.nodes["sum"] = plan.nodes["sum"]._replace(controls=(name,))

    return change


@pytest.mark.parametrize(
    "change",
    [
        changed("y", op="Relu6"),
        changed("y", op="Mystery"),
        changed("y", inputs=()),
        changed("y", inputs=(TensorName("sum", 1),)),
        changed("y", inputs=(TensorName("nowhere", 0),)),
        changed("y", inputs=(TensorName("product", 0),)),
        changed("product", attrs={"T": FLOAT, "transpose_a": True, "transpose_b": False}),
        changed("product", inputs=(TensorName("w/read", 0), TensorName("x", 0))),
        changed("product", inputs=(TensorName("x", 0), TensorName("w/read", 1))),
        changed("product", inputs=(TensorName("x", 0), TensorName("w", 1))),
        changed("b/read", inputs=()),
        changed("b/read", inputs=(TensorName("w", 0),)),
        changed("b", attrs={"dtype": INT, "value": tensor(KERNEL[0])}),
        changed("b", attrs={"dtype": FLOAT, "value": tensor(np.nextafter(KERNEL[0], np.float32(9)))}),
        changed("b", attrs={"dtype": FLOAT, "value": tensor(KERNEL[0].reshape(1, 3))}),
        changed("b", attrs={"dtype": FLOAT}),
        changed("b", inputs=(TensorName("w", 0),)),
        changed("b/read", inputs=(TensorName("b/read", 0),)),
    ],
)
def test_whatever_is_otherwise_ends_the_walk(change: Callable[[Plan], None]) -> None:
    assert not alike(network(), network(change, frozen=True))
    assert not proof(network(), network(change, frozen=True)).proven


@pytest.mark.parametrize(
    "change",
    [
        changed("y", controls=("nowhere",)),
        added("op", "Mystery"),
        added("op", "Assign", "w", "w/read"),
        added("op", "Switch", "x", "x"),
        added("op", "Identity", "nowhere"),
    ],
)
def test_what_is_waited_for_and_may_leave_a_trace_is_left_to_the_normal_form(
    change: Callable[[Plan], None],
) -> None:
    assert not alike(network(), network(change, frozen=True))
    assert not alike(network(change), network(frozen=True))


@pytest.mark.parametrize("op", ["RandomUniform", "TensorArrayV3", "While", "ResourceGather", "Merge"])
def test_what_asks_for_more_than_two_nodes_is_left_to_the_normal_form(op: str) -> None:
    change = changed("y", op=op)
    assert not alike(network(change), network(change, frozen=True))


def test_what_only_waits_for_what_leaves_no_trace_is_proven() -> None:
    for op in ("NoOp", "Assert", "RandomUniform", "Placeholder"):
        assert alike(network(), network(added("op", op), frozen=True)), op


def test_a_variable_without_a_value_or_that_waits_is_no_constant() -> None:
    without = network()
    assert not alike(Side(graph=without.graph, outputs=without.outputs, inputs=without.inputs), network())
    waiting = network(changed("w", controls=("x",)))
    assert not alike(waiting, network(frozen=True))
    assert not proof(waiting, network(frozen=True)).proven


def test_what_is_fed_stands_for_itself_and_hides_what_is_before_it() -> None:
    fed = {"product:0": KERNEL}
    otherwise = changed("product", op="Mystery")
    assert alike(network(feeds=fed), network(otherwise, frozen=True, feeds=fed))
    assert not alike(network(feeds=fed), network(frozen=True))
    assert not alike(network(feeds=fed), network(frozen=True, feeds={"product:0": KERNEL + 1}))
    other = network(inputs=("product",)), network(otherwise, frozen=True, inputs=("product",))
    assert alike(*other)
    assert not alike(network(inputs=("sum",)), network(frozen=True, inputs=("product",)))


def test_an_op_of_a_file_is_none_of_the_walks_own() -> None:
    change = changed("x", op="<input>", attrs={"index": 0})
    assert not alike(network(change, inputs=()), network(change, frozen=True, inputs=()))


def test_a_circle_proves_nothing() -> None:
    def circle(*names: str) -> Side:
        nodes = {
            name: Node(name, "Relu", (TensorName(before, 0),), (), {"T": FLOAT})
            for name, before in zip(names, (*names[1:], names[0]), strict=True)
        }
        return side(Graph(nodes), names[0], inputs=())

    assert not alike(circle("a", "b"), circle("a", "b"))
    assert not alike(circle("a"), circle("a", "b"))


def test_what_is_written_twice_on_one_side_is_left_to_the_normal_form() -> None:
    once, twice = Plan(), Plan()
    for plan, other in ((once, "a"), (twice, "b")):
        plan.placeholder("x")
        plan("a", "Relu", "x", T=FLOAT)
        plan("b", "Relu", "x", T=FLOAT)
        plan("y", "AddV2", "a", other, T=FLOAT)
    assert not in_lockstep(side(once, "y"), side(twice, "y"), Contents())
    assert proof(side(once, "y"), side(twice, "y")).proven
