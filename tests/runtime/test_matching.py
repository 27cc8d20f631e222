"""Which nodes of two graphs are measured against each other, and of what each side consists."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.plain import BOOL, FLOAT, INT64, Plan, loop, side
from pytest_tfparity.graph.graph import Shape, TensorName, tensor_name
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.runtime.matching import Half, Splice


def chain(prefix: str = "") -> Side:
    """relu(x * w) with a weight that follows from constants, and a node that no output needs."""
    plan = Plan()
    plan.placeholder()
    plan.const(f"{prefix}a", np.ones(2))
    plan(f"{prefix}w", "Neg", f"{prefix}a", T=FLOAT)
    plan(f"{prefix}mul", "Mul", "x", f"{prefix}w", T=FLOAT)
    plan(f"{prefix}y", "Relu", f"{prefix}mul", T=FLOAT)
    plan(f"{prefix}unused", "Abs", "x", T=FLOAT)
    return side(plan, f"{prefix}y")


def branched(*, fed: bool | None = None) -> Side:
    """One of two branches by ``which``, which the run decides, or a constant feed."""
    plan = Plan()
    plan.placeholder()
    plan.placeholder("which", BOOL)
    plan("switch", "Switch", "x", "which", T=FLOAT)
    plan("then", "Neg", "switch", T=FLOAT)
    plan("other", "Abs", "switch:1", T=FLOAT)
    plan("merge", "Merge", "then", "other", T=FLOAT, N=2)
    plan("y", "Relu", "merge", T=FLOAT)
    if fed is None:
        return side(plan, "y", inputs=("x", "which"))
    return side(plan, "y", feeds={"which": np.bool_(fed)})


def names(pairs: tuple[tuple[TensorName, TensorName], ...]) -> list[tuple[str, str]]:
    return [(str(reference), str(export)) for reference, export in pairs]


def test_a_half_is_what_the_outputs_need_inputs_first() -> None:
    half = Half.of(chain())
    assert list(half.nodes) == ["a", "w", "mul", "y"]
    assert half.read == set(map(tensor_name, ["a", "x", "w", "mul", "y"]))


def test_what_follows_from_weights_alone_does_not_vary() -> None:
    assert Half.of(chain()).varying == {"mul", "y"}


def test_chance_varies_by_itself_and_a_variable_does_not() -> None:
    plan = Plan()
    plan.placeholder()
    plan("w", "VariableV2", dtype=FLOAT, shape=Shape((2,)))
    plan.const("shape", [2], np.int32)
    plan("noise", "RandomStandardNormal", "shape", dtype=FLOAT, T=tensor_dtype(3), seed=1, seed2=1)
    plan("scaled", "Mul", "w", "noise", T=FLOAT)
    plan("kept", "Neg", "w", T=FLOAT)
    plan("both", "AddV2", "scaled", "kept", T=FLOAT)
    plan("y", "AddV2", "both", "x", T=FLOAT)
    varying = Half.of(side(plan, "y", variables={"w": np.ones(2)})).varying
    assert varying == {"noise", "scaled", "both", "y"}


def tensor_dtype(number: int):
    return type(FLOAT)(number)


def test_branches_that_the_run_decides_are_deeper() -> None:
    half = Half.of(branched())
    assert {name for name, depth in half.depth.items() if depth} == {"switch", "then", "other"}


@pytest.mark.parametrize(("fed", "taken"), [(False, "then"), (True, "other")])
def test_a_branch_that_a_constant_decides_is_no_branch(fed: bool, taken: str) -> None:
    half = Half.of(branched(fed=fed))
    assert {"then", "other"} & set(half.nodes) == {taken}
    assert not any(half.depth.values())
    assert half.nodes["merge"].attrs["N"] == 1


def test_a_loop_is_deep_and_its_end_is_not() -> None:
    half = Half.of(loop())
    inside = {name for name, depth in half.depth.items() if depth}
    assert "while/add" in inside
    assert "while/exit" not in inside
    order = list(half.nodes)
    assert order.index("while/enter") < order.index("while/merge") < order.index("while/exit")


def test_an_array_of_this_graph_is_bound_to_it_and_its_values_are_not() -> None:
    plan = Plan()
    plan.placeholder()
    plan.const("size", 1, np.int32)
    plan.const("zero", 0, np.int32)
    plan("array", "TensorArrayV3", "size", dtype=FLOAT)
    plan("handle", "Identity", "array", T=type(FLOAT)(20))
    plan("written", "TensorArrayWriteV3", "handle", "zero", "x", "array:1", T=FLOAT)
    plan("read", "TensorArrayReadV3", "handle", "zero", "written", dtype=FLOAT)
    assert Half.of(side(plan, "read")).bound == {"array", "handle", "written"}


def test_pairs_are_what_varies_on_both_sides_in_the_order_of_the_export() -> None:
    aligned = {"mul": "net/mul", "y": "net/y", "a": "net/a", "w": "net/w"}
    splice = Splice.of(chain(), chain("net/"), aligned)
    assert names(splice.pairs) == [("mul:0", "net/mul:0"), ("y:0", "net/y:0")]
    assert set(splice.own) == {"net/mul", "net/y"}
    assert splice.reference.side.outputs == (tensor_name("y"),)


def test_what_has_no_partner_is_in_the_copy_and_in_no_pair() -> None:
    splice = Splice.of(chain(), chain("net/"), {"y": "net/y"})
    assert names(splice.pairs) == [("y:0", "net/y:0")]
    assert set(splice.own) == {"net/mul", "net/y"}


def test_the_inside_of_a_branch_is_copied_and_not_measured() -> None:
    reference, export = branched(), branched()
    splice = Splice.of(reference, export, {name: name for name in export.graph.nodes})
    assert names(splice.pairs) == [("merge:0", "merge:0"), ("y:0", "y:0")]
    assert {"switch", "then", "other"} <= set(splice.own)


def test_every_port_that_is_read_is_a_pair() -> None:
    plan = Plan()
    plan.placeholder()
    plan.const("k", 1, np.int32)
    plan("top", "TopKV2", "x", "k", T=FLOAT)
    plan("index", "Cast", "top:1", SrcT=type(FLOAT)(3), DstT=INT64)
    top = side(plan, "top", "index")
    splice = Splice.of(top, top, {name: name for name in plan.nodes})
    assert names(splice.pairs) == [("top:0", "top:0"), ("top:1", "top:1"), ("index:0", "index:0")]
