"""What a node may change, wherever its references come from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphs.plain import FLOAT, STRING, Plan
from pytest_tfparity.graph.graph import DType, Function, Shape
from pytest_tfparity.graph.references import References, Writer
from pytest_tfparity.graph.variables import Storage

RESOURCE, VARIANT = DType(20), DType(21)
V = Storage("resource", "localhost", "v")
OTHER = Storage("resource", "localhost", "other")


def written(build: Callable[[Plan], str]) -> Writer | None:
    """What assigning to the handle that ``build`` makes may change."""
    plan = Plan()
    for name in ("v", "other"):
        plan(name, "VarHandleOp", dtype=FLOAT, shared_name=name.encode())
    plan.const("value", 1.0)
    plan("write", "AssignVariableOp", build(plan), "value", dtype=FLOAT)
    return References(plan.graph.nodes.get, plan.functions).writer(plan.nodes["write"])


def test_a_handle_is_followed_through_what_hands_it_on() -> None:
    found = written(lambda plan: plan("id", "Identity", "v", T=RESOURCE))
    assert found is not None
    assert (found.storages, found.anything) == ({V}, False)


def test_of_handles_that_were_packed_it_may_be_any() -> None:
    def packed(plan: Plan) -> str:
        plan("pack", "Pack", "v", "other", T=RESOURCE, N=2)
        plan.const("index", 0)
        return plan("pick", "GatherV2", "pack", "index", "index", Tparams=RESOURCE, Tindices=DType(3))

    found = written(packed)
    assert found is not None
    assert found.storages == {V, OTHER}


@pytest.mark.parametrize(
    "attrs", [{"dtypes": (RESOURCE,)}, {"dtypes": (VARIANT,)}], ids=["resource", "variant"]
)
def test_a_handle_that_was_kept_somewhere_may_be_of_any_variable(attrs: dict[str, tuple[DType]]) -> None:
    found = written(lambda plan: plan("kept", "Unstage", **attrs))
    assert found is not None
    assert found.changes(V)
    assert found.anything


def test_a_handle_that_is_fed_may_be_of_any_variable() -> None:
    found = written(lambda plan: plan("fed", "Placeholder", dtype=RESOURCE, shape=Shape(())))
    assert found is not None
    assert found.anything


def test_a_value_that_was_read_refers_to_nothing() -> None:
    plan = Plan()
    plan("v", "VarHandleOp", dtype=FLOAT, shared_name=b"v")
    plan("read", "ReadVariableOp", "v", dtype=FLOAT)
    plan("mystery", "Mystery", "read")
    found = References(plan.graph.nodes.get, {}).writer(plan.nodes["mystery"])
    assert found is not None
    assert (found.storages, found.anything) == (frozenset(), False)


def test_an_op_that_is_not_known_may_write_what_it_is_given() -> None:
    plan = Plan()
    plan("v", "VarHandleOp", dtype=FLOAT, shared_name=b"v")
    plan("mystery", "Mystery", "v")
    found = References(plan.graph.nodes.get, {}).writer(plan.nodes["mystery"])
    assert found is not None
    assert found.storages == {V}


@pytest.mark.parametrize("op", ["RemoteCall", "MapDefun", "For", "SymbolicGradient", "NoSuchOp"])
def test_whatever_runs_a_function_writes_what_that_writes(op: str) -> None:
    plan = Plan()
    nodes = [
        ("v", "VarHandleOp", [], {"dtype": FLOAT, "shared_name": b"v"}),
        ("one", "Const", [], {}),
        ("write", "AssignVariableOp", ["v:resource:0", "one:output:0"], {}),
    ]
    plan.function("inner", [], {}, nodes)
    plan.function("outer", [], {}, [("call", "PartitionedCall", [], {"f": Function("inner", {})})])
    plan("run", op, f=Function("outer", {}), Tin=(), Tout=(STRING,))
    found = References(plan.graph.nodes.get, plan.functions).writer(plan.nodes["run"])
    assert found is not None
    assert V in found.storages
