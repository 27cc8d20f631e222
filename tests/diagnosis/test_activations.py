"""Nodes measured side by side: what differs by itself, and what only because of what came before it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphs.plain import BOOL, FLOAT, Plan, align, chain, loop, side
from pytest_tfparity.graph.graph import DType, TensorName
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.runtime.activations import Activation, measure

pytest.importorskip("tensorflow")

X = TensorName("x", 0)
_INT64 = DType(9)


def measured(reference: Side, export: Side, memory: int = 1 << 30, **inputs) -> dict[str, Activation]:
    fed = {TensorName(name, 0): np.asarray(value, np.float32) for name, value in inputs.items()}
    nodes = align(reference, export).nodes
    return {each.export: each for each in measure(reference, export, nodes, fed, memory=memory)}


@pytest.mark.parametrize("memory", [1 << 30, 1], ids=["one run", "a run for each node"])
def test_only_the_node_with_another_weight_differs_by_itself(memory: int) -> None:
    found = measured(chain(frozen=False), chain(weight=3.0), memory, x=[[1.0, 2.0]])
    assert found["mul"].own == pytest.approx(2.0)
    assert [name for name, each in found.items() if each.at_fault] == ["mul"]
    assert [name for name, each in found.items() if each.differs] == ["mul", "add", "square"]
    assert found["square"].accumulated == pytest.approx(49 - 25)
    assert found["square"].scale == pytest.approx(25.0)


def test_renamed_nodes_are_measured_too() -> None:
    found = measured(chain(), chain(weight=3.0, prefix="net/"), x=[[1.0, 2.0]])
    assert [each.reference for each in found.values()] == ["mul", "add", "square"]
    assert [name for name, each in found.items() if each.at_fault] == ["net/mul"]


def test_equal_sides_do_not_differ_at_all() -> None:
    assert {(each.own, each.accumulated) for each in measured(chain(), chain(), x=[[1.0, 2.0]]).values()} == {
        (0.0, 0.0)
    }


def test_a_loop_is_measured_at_its_end() -> None:
    found = measured(loop(), loop(step=0.75), x=0.0, limit=2.0)
    assert list(found) == ["while/exit"]
    assert found["while/exit"].own == pytest.approx(0.25)


def test_a_branch_that_constants_decide_is_seen_into() -> None:
    found = measured(_branch(1.0), _branch(5.0), x=[1.0, 2.0])
    assert found["then"].own == pytest.approx(4.0)


def _branch(added: float) -> Side:
    plan = Plan()
    plan.placeholder()
    plan.const("training", value=False, dtype=np.bool_)
    plan("switch", "Switch", "x", "training", T=FLOAT)
    plan.const("c", np.float32(added), np.float32, "^pivot")
    plan("pivot", "Identity", "switch", T=FLOAT)
    plan("then", "AddV2", "switch", "c", T=FLOAT)
    plan("other", "Neg", "switch:1", T=FLOAT)
    plan("merge", "Merge", "then", "other", T=FLOAT, N=2)
    plan("y", "Relu", "merge", T=FLOAT)
    return side(plan, "y")


def test_a_branch_that_the_run_decides_is_measured_behind_its_end() -> None:
    def branched(added: float) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.placeholder("which", BOOL)
        plan("switch", "Switch", "x", "which", T=FLOAT)
        plan.const("c", np.float32(added))
        plan("then", "AddV2", "switch", "c", T=FLOAT)
        plan("merge", "Merge", "then", "switch:1", T=FLOAT, N=2)
        plan("y", "Relu", "merge", T=FLOAT)
        return side(plan, "y", inputs=("x", "which"))

    reference, export = branched(1.0), branched(5.0)
    fed = {X: np.ones(2, np.float32), TensorName("which", 0): np.asarray(False)}
    found = {each.export: each for each in measure(reference, export, align(reference, export).nodes, fed)}
    assert "then" not in found
    assert found["merge"].own == pytest.approx(4.0)
    assert found["y"].own == 0.0


def test_another_shape_is_infinitely_far() -> None:
    def reshaped(shape: list[int]) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.const("shape", shape, np.int32)
        plan("flat", "Reshape", "x", "shape", T=FLOAT)
        plan("y", "Relu", "flat", T=FLOAT)
        return side(plan, "y")

    found = measured(reshaped([-1, 4]), reshaped([1, -1]), x=np.ones((3, 2, 2)))
    assert found["flat"].own == math.inf
    assert found["y"].own == 0.0
    assert found["y"].accumulated == math.inf


def test_a_node_that_cannot_be_run_costs_itself_and_what_follows() -> None:
    def reshaped(shape: list[int]) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.const("shape", shape, np.int32)
        plan("before", "Neg", "x", T=FLOAT)
        plan("flat", "Reshape", "before", "shape", T=FLOAT)
        plan("y", "Relu", "flat", T=FLOAT)
        return side(plan, "y")

    found = measured(reshaped([-1, 4]), reshaped([1, 4]), x=np.ones((3, 2, 2)))
    assert found["before"].own == found["before"].accumulated == 0.0
    assert found["flat"].accumulated == math.inf
    assert found["y"].accumulated == math.inf


def test_where_values_stop_being_finite_is_told() -> None:
    def inverse(tiny: float) -> Side:
        plan = Plan()
        plan.placeholder()
        plan.const("tiny", np.float32(tiny))
        plan("add", "AddV2", "x", "tiny", T=FLOAT)
        plan("inverse", "Rsqrt", "add", T=FLOAT)
        plan("y", "Relu", "inverse", T=FLOAT)
        return side(plan, "y")

    found = measured(inverse(1e-3), inverse(0.0), x=[0.0, 1.0])
    assert [name for name, each in found.items() if each.finite == (True, False)] == ["inverse", "y"]
    assert found["inverse"].accumulated == math.inf
    assert found["inverse"].own == 0.0


def test_integers_are_compared_exactly() -> None:
    def counted(step: int) -> Side:
        plan = Plan()
        plan.placeholder()
        plan("whole", "Cast", "x", SrcT=FLOAT, DstT=_INT64)
        plan.const("step", np.int64(step), np.int64)
        plan("y", "AddV2", "whole", "step", T=_INT64)
        return side(plan, "y")

    found = measured(counted(2**40), counted(2**40 + 1), x=[0.0])
    assert found["y"].own == 1.0
