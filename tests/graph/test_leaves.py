"""The leaves of a graph: what its outputs are made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graphs.generated import Draw
from graphs.plain import Plan
from pytest_tfparity.graph.graph import Node, TensorName


@given(st.integers(0, 10_000))
def test_the_leaves_are_the_nodes_without_inputs_in_the_order_of_what_is_live(seed: int) -> None:
    side = Draw(seed).side
    outputs = [str(output) for output in side.outputs]
    live = side.graph.live(outputs)
    assert [node.name for node in side.graph.leaves(outputs)] == [
        name for name, node in live.items() if not node.inputs
    ]


def test_what_is_fed_is_not_followed_and_a_circle_ends() -> None:
    plan = Plan()
    plan.placeholder("x")
    plan.placeholder("z")
    plan("a", "Relu", "x")
    plan("y", "AddV2", "a", "z")
    graph = plan.graph
    assert [node.name for node in graph.leaves(["y:0"])] == ["x", "z"]
    assert [node.name for node in graph.leaves(["y:0"], ["a:0"])] == ["z"]
    plan.nodes["a"] = Node("a", "Relu", (TensorName("y", 0),))
    assert [node.name for node in plan.graph.leaves(["y:0", "missing"])] == ["z"]
