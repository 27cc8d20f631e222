"""Functions written out where they are called, and what is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest

from graphs.plain import BOOL, FLOAT, Plan, proof, prove, relu_of, side, tensor
from pytest_tfparity.graph.graph import Function, TensorName
from pytest_tfparity.graph.live import liveness
from pytest_tfparity.graph.live_graph import live_graph
from pytest_tfparity.graph.proof.proof import Side


def calls(depth: int, *, twice: bool = True, inner: str = "PartitionedCall") -> Side:
    """A function that calls another, twice or once, and that another; the last one is ``Relu``."""
    plan = Plan()
    plan.placeholder()
    plan.function("f0", ["a"], {"out": "act:activations:0"}, [("act", "Relu", ["a"], {"T": FLOAT})])
    for number in range(1, depth + 1):
        below = {"f": Function(f"f{number - 1}", {}), "Tin": (FLOAT,), "Tout": (FLOAT,)}
        nodes = [("one", "PartitionedCall", ["a"], below)]
        if twice:
            nodes.append(("two", "PartitionedCall", ["one:output:0"], below))
        plan.function(f"f{number}", ["a"], {"out": f"{nodes[-1][0]}:output:0"}, nodes)
    plan("y", "PartitionedCall", "x", f=Function(f"f{depth}", {}))
    return side(plan, "y")


def test_calls_inside_one_another_are_written_out() -> None:
    assert proof(relu_of(), calls(200, twice=False)).proven
    assert len(live_graph(calls(3).graph, [TensorName("y", 0)]).nodes) == 8 + 1


def test_a_library_that_would_fill_the_memory_is_refused_at_once() -> None:
    start = time.perf_counter()
    made = prove(calls(60), calls(60))
    assert made.reason == (
        "function f60 is called too often: its calls have more than 500,000 nodes in the reference"
    )
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("op", ["PartitionedCall", "If", "While"])
def test_a_function_that_calls_itself_is_refused(op: str) -> None:
    plan = Plan()
    plan.placeholder()
    inner = {
        "PartitionedCall": {"f": Function("inner", {})},
        "If": {"then_branch": Function("inner", {}), "else_branch": Function("inner", {})},
        "While": {"cond": Function("inner", {}), "body": Function("inner", {})},
    }[op]
    sources = ["a", "a"] if op == "If" else ["a"]
    plan.function("inner", ["a"], {"out": "again:output:0"}, [("again", op, sources, inner)])
    plan("y", "PartitionedCall", "x", f=Function("inner", {}))
    made = prove(side(plan, "y"), side(plan, "y"))
    assert made.reason == "function inner calls itself in the reference"


def test_nodes_of_a_call_never_take_the_name_of_another() -> None:
    plan = Plan()
    plan.placeholder()
    plan.function("inner", ["a"], {"out": "act:activations:0"}, [("act", "Relu", ["a"], {"T": FLOAT})])
    plan("call/act", "Neg", "x", T=FLOAT)
    plan("call", "PartitionedCall", "call/act", f=Function("inner", {}))
    plan("y", "Identity", "call", T=FLOAT)
    straight = Plan()
    straight.placeholder()
    straight("neg", "Neg", "x", T=FLOAT)
    straight("y", "Relu", "neg", T=FLOAT)
    assert proof(side(straight, "y"), side(plan, "y")).proven
    assert set(liveness(plan.graph, [TensorName("y", 0)]).nodes) == {
        "x", "call/act", "call_1/act", "call", "y",
    }  # fmt: skip


def test_a_conditional_that_a_feed_decides_becomes_switch_and_merge_else_first() -> None:
    plan = Plan()
    plan.placeholder()
    plan.placeholder("q", BOOL)
    for name, op in (("yes", "Relu"), ("no", "Relu6")):
        plan.function(name, ["a"], {"out": "act:activations:0"}, [("act", op, ["a"], {"T": FLOAT})])
    branches = {"then_branch": Function("yes", {}), "else_branch": Function("no", {})}
    plan("c", "If", "q", "x", **branches)
    plan("y", "Identity", "c", T=FLOAT)
    live = live_graph(plan.graph, [TensorName("y", 0)], [TensorName("x", 0), TensorName("q", 0)])
    assert live.nodes["c/merge_0"].inputs == (TensorName("c/else/act", 0), TensorName("c/then/act", 0))
    assert live.choices["c/merge_0"].predicate == "q"
    assert live.nodes["c/then/act"].inputs == (TensorName("c/switch_0", 1),)


def test_an_output_that_is_the_result_of_a_call_has_its_nodes() -> None:
    live = live_graph(calls(1, twice=False).graph, [TensorName("y", 0)], [TensorName("x", 0)])
    assert set(live.nodes) == {"y/one/act"}


def test_a_function_is_dead_where_an_argument_is() -> None:
    plan = Plan()
    plan.placeholder()
    plan.const("p", False, np.bool_)
    plan("switch", "Switch", "x", "p", T=FLOAT)
    plan.function(
        "const",
        ["a"],
        {"out": "one:output:0"},
        [("one", "Const", [], {"dtype": FLOAT, "value": tensor(1.0)})],
    )
    plan("then", "PartitionedCall", "switch:1", f=Function("const", {}))
    plan("else", "Relu", "switch:0", T=FLOAT)
    plan("y", "Merge", "else", "then", T=FLOAT, N=2)
    assert proof(relu_of(), side(plan, "y")).proven
