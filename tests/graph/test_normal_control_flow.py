"""Conditionals, loops, functions, and variables that change during a run."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from graphs.plain import BOOL, FLOAT, Plan, align, loop, proof, prove, relu_of, side
from pytest_tfparity.graph.graph import DType, Function


def conditional(
    *, predicate="constant", value=False, then="Neg", otherwise="Relu", port=0, swap=False, chain=()
):
    """``tf.cond`` of TensorFlow 1: a Switch for the input, a Merge for the result."""
    plan = Plan()
    plan.placeholder()
    if predicate == "constant":
        plan.const("pred", value, np.bool_)
    elif predicate == "default":
        plan.const("pred/input", value, np.bool_)
        plan("pred", "PlaceholderWithDefault", "pred/input", dtype=BOOL)
    else:
        plan.placeholder("pred", BOOL)
    last = "pred"
    for number, op in enumerate(chain):
        last = plan(f"chain_{number}", op, last)
    plan("switch", "Switch", "x", last, T=FLOAT)
    plan("then", then, "switch:1", T=FLOAT)
    plan("else", otherwise, "switch:0", T=FLOAT)
    plan("merge", "Merge", *(("then", "else") if swap else ("else", "then")), T=FLOAT, N=2)
    inputs = ("x", "pred") if predicate == "input" else ("x",)
    return side(plan, f"merge:{port}", inputs=inputs)


@pytest.mark.parametrize("predicate", ["constant", "default"])
def test_only_the_live_side_of_a_conditional_stays(predicate):
    assert proof(relu_of(), conditional(predicate=predicate, value=False)).proven
    assert not proof(relu_of(), conditional(predicate=predicate, value=True)).proven


def test_the_live_side_follows_the_predicate_through_logic():
    assert proof(relu_of(), conditional(value=True, chain=("Identity", "LogicalNot", "Identity"))).proven
    assert not proof(relu_of(), conditional(value=True, chain=("LogicalNot", "LogicalNot"))).proven


def test_the_dead_side_may_hold_anything():
    assert proof(relu_of(), conditional(value=False, then="RandomShuffle")).proven
    assert not proof(
        conditional(value=True, then="RandomShuffle"), conditional(value=True, then="RandomShuffle")
    ).proven


def test_which_input_arrived_at_a_merge_is_known():
    plan = Plan()
    plan.const("y", 1, np.int32)
    index = side(plan, "y")
    assert proof(index, conditional(value=True, port=1)).proven
    assert not proof(index, conditional(value=False, port=1)).proven


def test_a_conditional_on_the_input_stays_whole():
    assert proof(conditional(predicate="input"), conditional(predicate="input")).proven
    assert not proof(conditional(predicate="input"), conditional(predicate="input", then="Exp")).proven
    assert not proof(
        conditional(predicate="input"), conditional(predicate="input", chain=("LogicalNot",))
    ).proven


def test_a_merge_of_two_tensors_that_both_live_is_never_proven():
    plan = Plan()
    plan.placeholder()
    plan("a", "Relu", "x", T=FLOAT)
    plan("b", "Neg", "x", T=FLOAT)
    plan("y", "Merge", "a", "b", T=FLOAT, N=2)
    made = proof(side(plan, "y"), side(plan, "y"))
    assert made.reason == "which input of y arrives is not known in the reference"


def guarded(*, value=None, swap=False):
    """A conditional between two constants, which only control inputs tell apart."""
    plan = Plan()
    plan.placeholder("x", BOOL)
    pred = "x" if value is None else plan.const("pred", value, np.bool_)
    plan("switch", "Switch", pred, pred, T=BOOL)
    plan("switch_t", "Identity", "switch:1", T=BOOL)
    plan("switch_f", "Identity", "switch:0", T=BOOL)
    plan.const("one", 1.0, np.float32, "^switch_f" if swap else "^switch_t")
    plan.const("two", 2.0, np.float32, "^switch_t" if swap else "^switch_f")
    plan("y", "Merge", "two", "one", T=FLOAT, N=2)
    return side(plan, "y")


def test_control_inputs_decide_which_constant_of_a_conditional_lives():
    plan = Plan()
    plan.const("y", 1.0)
    one = side(plan, "y")
    assert proof(one, guarded(value=True)).proven
    assert not proof(one, guarded(value=False)).proven
    assert proof(guarded(), guarded()).proven
    assert not proof(guarded(), guarded(swap=True)).proven


def nested(side_of_predicate):
    """A Switch whose predicate is constant and lives on one side of a conditional on the input."""
    plan = Plan()
    plan.placeholder("x", BOOL)
    plan("switch", "Switch", "x", "x", T=BOOL)
    plan("alive", "Identity", f"switch:{side_of_predicate}", T=BOOL)
    plan.const("pred", True, np.bool_, "^alive")
    plan.const("value", 1.0)
    plan("inner", "Switch", "value", "pred", T=FLOAT)
    plan("other", "Identity", f"switch:{1 - side_of_predicate}", T=BOOL)
    plan.const("two", 2.0, np.float32, "^other")
    plan("y", "Merge", "two", "inner:1", T=FLOAT, N=2)
    return side(plan, "y")


def test_a_constant_predicate_lives_only_where_its_conditional_does():
    assert proof(nested(1), nested(1)).proven
    assert not proof(nested(1), nested(0)).proven


def test_control_inputs_that_decide_nothing_do_not_count():
    plan = Plan()
    plan.placeholder()
    plan("check", "Assert", "x")
    plan("y", "Relu", "x", "^check", T=FLOAT)
    assert proof(relu_of(), side(plan, "y")).proven


# --- variables that change


def counting(*, target="w"):
    """A variable that is read after another op, wired by a control input, has assigned to ``target``."""
    plan = Plan()
    plan.placeholder()
    plan.variable("w")
    plan.variable("steps")
    plan.const("one", np.ones(3))
    plan("add", "AssignAdd", target, "one", T=FLOAT)
    plan("w/read", "Identity", "w", "^add", T=FLOAT)
    plan("y", "Mul", "x", "w/read", T=FLOAT)
    return side(plan, "y", variables={"w": np.ones(3), "steps": np.zeros(3)})


def test_a_variable_that_is_changed_before_it_is_read_is_never_proven():
    made = prove(counting(), counting())
    assert made.reason == "variable w is changed by AssignAdd (add) in the reference"


def test_a_variable_that_nobody_reads_may_change():
    plan = Plan()
    plan.placeholder()
    plan.const("w", np.ones(3))
    plan("y", "Mul", "x", "w", T=FLOAT)
    assert proof(side(plan, "y"), counting(target="steps")).proven


def test_a_variable_that_is_changed_through_its_handle_is_never_proven():
    plan = Plan()
    plan.placeholder()
    plan("w", "VarHandleOp", dtype=FLOAT)
    plan.const("one", np.ones(3))
    plan("add", "AssignAddVariableOp", "w", "one", dtype=FLOAT)
    plan("w/read", "ReadVariableOp", "w", "^add", dtype=FLOAT)
    plan("y", "Mul", "x", "w/read", T=FLOAT)
    changing = side(plan, "y", variables={"w": np.ones(3)})
    assert prove(changing, changing).reason == (
        "variable w is changed by AssignAddVariableOp (add) in the reference"
    )


def test_assigning_a_live_variable_to_another_one_changes_only_that():
    plan = Plan()
    plan.placeholder()
    plan.variable("w")
    plan.variable("shadow")
    plan("copy", "Assign", "shadow", "w", T=FLOAT)
    plan("y", "Mul", "x", "w", "^copy", T=FLOAT)
    made = side(plan, "y", variables={"w": np.ones(3), "shadow": np.zeros(3)})
    assert prove(made, made).proven


# --- functions


def calling(op="StatefulPartitionedCall", *, inner="Relu", name="inner", attr=FLOAT, output="y"):
    plan = Plan()
    plan.placeholder()
    plan.function(
        name,
        ["a"],
        {"out": "act:activations:0"},
        [("double", "Identity", ["a"], {"T": FLOAT}), ("act", inner, ["double:output:0"], {"T": attr})],
    )
    if op == name:
        plan(output, op, "x")
    else:
        plan(output, op, "x", f=Function(name, {}), Tin=(FLOAT,), Tout=(FLOAT,))
    return side(plan, output)


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall", "inner"])
def test_a_called_function_is_inlined(op):
    assert proof(relu_of(), calling(op)).proven
    assert not proof(relu_of(), calling(op, inner="Relu6")).proven


def test_attributes_of_a_call_reach_the_nodes_of_the_function():
    from pytest_tfparity.graph.graph import AttrReference

    def typed(dtype):
        plan = Plan()
        plan.placeholder()
        attrs = {"T": AttrReference("kind")}
        plan.function("inner", ["a"], {"out": "act:activations:0"}, [("act", "Relu", ["a"], attrs)])
        plan("y", "PartitionedCall", "x", f=Function("inner", {"kind": dtype}))
        return side(plan, "y")

    assert proof(relu_of(), typed(FLOAT)).proven
    assert not proof(relu_of(), typed(DType(2))).proven


@pytest.mark.parametrize(
    ("output", "index", "port"), [("y", 0, 0), ("batch_variance", 0, 2), ("reserve_space_2", 0, 4)]
)
def test_named_outputs_of_a_function_are_the_ports_that_tensorflow_counts(output, index, port):
    def norm(source):
        plan = Plan()
        plan.placeholder()
        plan.function(
            "inner",
            ["a"],
            {"out": f"bn:{output}:{index}"},
            [("bn", "FusedBatchNormV3", ["a"] * 5, {"T": FLOAT, "U": FLOAT, "is_training": True})],
        )
        plan("call", "PartitionedCall", "x", f=Function("inner", {}))
        plan("bn", "FusedBatchNormV3", *["x"] * 5, T=FLOAT, U=FLOAT, is_training=True)
        return side(plan, source)

    assert proof(norm(f"bn:{port}"), norm("call:0")).proven
    assert not proof(norm(f"bn:{(port + 1) % 5}"), norm("call:0")).proven


def test_lists_of_outputs_are_counted():
    plan = Plan()
    plan.placeholder()
    plan.function(
        "inner",
        ["a"],
        {"out": "parts:output:2"},
        [
            ("axis", "Const", [], {"value": _scalar(), "dtype": DType(3)}),
            ("parts", "Split", ["axis:output:0", "a"], {"num_split": 3, "T": FLOAT}),
        ],
    )
    plan("call", "PartitionedCall", "x", f=Function("inner", {}))
    plan.const("axis", 0, np.int32)
    plan("split", "Split", "axis", "x", num_split=3, T=FLOAT)
    assert proof(side(plan, "split:2"), side(plan, "call")).proven
    assert not proof(side(plan, "split:1"), side(plan, "call")).proven


def _scalar():
    from graphs.plain import tensor

    return tensor(0, np.int32)


def test_an_output_of_an_unknown_op_in_a_function_is_not_guessed():
    made = prove(calling(inner="Mystery"), calling(inner="Mystery"))
    assert (
        made.reason
        == "in function inner, output 'activations' of Mystery (act) is not known in the reference"
    )


def test_functions_that_call_themselves_end():
    plan = Plan()
    plan.placeholder()
    call = {"f": Function("inner", {}), "Tout": (FLOAT,)}
    plan.function("inner", ["a"], {"out": "again:output:0"}, [("again", "PartitionedCall", ["a"], call)])
    plan("y", "PartitionedCall", "x", **call)
    assert not prove(side(plan, "y"), side(plan, "y")).proven


def test_an_assignment_inside_a_function_is_noticed():
    plan = Plan()
    plan.placeholder()
    plan("w", "VarHandleOp", dtype=FLOAT)
    plan.function(
        "inner",
        ["a", "handle"],
        {"out": "mul:z:0"},
        [
            ("read", "ReadVariableOp", ["handle"], {"dtype": FLOAT}),
            ("mul", "Mul", ["a", "read:value:0"], {"T": FLOAT}),
            ("assign", "AssignVariableOp", ["handle", "mul:z:0"], {"dtype": FLOAT}),
        ],
    )
    plan("y", "StatefulPartitionedCall", "x", "w", f=Function("inner", {}))
    made = side(plan, "y", variables={"w": np.ones(3)})
    assert prove(made, made).reason == "variable w is changed by AssignVariableOp (y/assign) in the reference"


def branching(*, op="If", value=None, then="Neg", otherwise="Relu"):
    plan = Plan()
    plan.placeholder()
    for name, inner in (("yes", then), ("no", otherwise)):
        plan.function(name, ["a"], {"out": "act:activations:0"}, [("act", "Relu", ["a"], {"T": FLOAT})])
        if inner != "Relu":
            output = "y" if inner == "Neg" else "activations"
            plan.function(name, ["a"], {"out": f"act:{output}:0"}, [("act", inner, ["a"], {"T": FLOAT})])
    pred = plan.placeholder("pred", BOOL) if value is None else plan.const("pred", value, np.bool_)
    branches = {"then_branch": Function("yes", {}), "else_branch": Function("no", {})}
    plan("y", op, pred, "x", Tcond=BOOL, Tin=(FLOAT,), Tout=(FLOAT,), **branches)
    return side(plan, "y", inputs=("x", "pred") if value is None else ("x",))


@pytest.mark.parametrize("op", ["If", "StatelessIf"])
def test_of_a_functional_conditional_the_live_branch_stays(op):
    assert proof(relu_of(), branching(op=op, value=False)).proven
    assert not proof(relu_of(), branching(op=op, value=True)).proven


def test_a_functional_conditional_on_the_input_stays_whole():
    assert proof(branching(), branching(op="StatelessIf")).proven
    assert not proof(branching(), branching(then="Relu6")).proven
    assert not proof(branching(), branching(otherwise="Relu6")).proven
    assert not proof(branching(then="Relu", otherwise="Neg"), branching()).proven


def test_a_branch_with_random_numbers_is_never_proven():
    random = branching(then="RandomShuffle")
    assert not prove(random, random).proven


def test_a_case_with_a_known_index_is_its_branch():
    def case(index):
        plan = Plan()
        plan.placeholder()
        plan.function("zero", ["a"], {"out": "act:y:0"}, [("act", "Neg", ["a"], {"T": FLOAT})])
        plan.function("one", ["a"], {"out": "act:activations:0"}, [("act", "Relu", ["a"], {"T": FLOAT})])
        plan.const("index", index, np.int32)
        plan("y", "Case", "index", "x", branches=(Function("zero", {}), Function("one", {})))
        return side(plan, "y")

    assert proof(relu_of(), case(1)).proven
    assert proof(relu_of(), case(7)).proven
    assert not proof(relu_of(), case(0)).proven


# --- loops


def test_a_loop_written_twice_is_one_function():
    assert proof(loop(), loop(frame=b"other", prefix="net/loop", order=True)).proven
    assert proof(loop(), loop(extra=("Identity",))).proven


@pytest.mark.parametrize("other", [{"step": 2.0}, {"bound": "LessEqual"}, {"extra": ("Relu",)}])
def test_a_loop_with_another_condition_or_body_differs(other):
    assert not proof(loop(), loop(**other)).proven


def test_a_loop_differs_from_its_first_turn_written_out():
    plan = Plan()
    plan.placeholder()
    plan.placeholder("limit")
    plan("y", "AddV2", "x", plan.const("one", 1.0), T=FLOAT)
    assert not proof(loop(), side(plan, "y", inputs=("x", "limit"))).proven


def functional_loop(*, body="Relu", condition="Less"):
    plan = Plan()
    plan.placeholder()
    plan.function("cond", ["a"], {"out": "less:z:0"}, [("less", condition, ["a", "a"], {"T": FLOAT})])
    plan.function("body", ["a"], {"out": "act:activations:0"}, [("act", body, ["a"], {"T": FLOAT})])
    plan(
        "y",
        "While",
        "x",
        cond=Function("cond", {}),
        body=Function("body", {}),
        T=(FLOAT,),
        parallel_iterations=10,
    )
    return side(plan, "y")


def test_a_functional_loop_is_compared_by_its_functions():
    assert proof(functional_loop(), functional_loop()).proven
    assert not proof(functional_loop(), functional_loop(body="Relu6")).proven
    assert not proof(functional_loop(), functional_loop(condition="Greater")).proven


# --- size


def chain(length: int, last: str = "Relu", prefix: str = "node"):
    plan = Plan()
    name = plan.placeholder()
    for number in range(length):
        name = plan(f"{prefix}_{number}", "Relu" if number else last, name, T=FLOAT)
    return side(plan, name)


def test_long_chains_do_not_reach_the_recursion_limit():
    length = 5 * sys.getrecursionlimit()
    reference = chain(length)
    assert prove(reference, chain(length, prefix="other")).proven
    export = chain(length, last="Relu6", prefix="other")
    assert not prove(reference, export).proven
    (found,) = align(reference, export).divergences
    assert found.export == ("other_0",)


# --- arrays


def arrays(*, written=1, read="first", twice=False, beside=False):
    """Two TensorArrays of one size; ``x`` is written into the first and read from one of them."""
    plan = Plan()
    plan.placeholder()
    plan.const("size", 3, np.int32)
    plan.const("index", written, np.int32)
    for name in ("first", "second"):
        plan(name, "TensorArrayV3", "size", dtype=FLOAT, tensor_array_name=name.encode())
        plan(f"{name}/write", "TensorArrayWriteV3", name, "index", "x", f"{name}:1", T=FLOAT)
    flows = ["first/write", "second/write"]
    if twice:
        plan("again", "TensorArrayWriteV3", "first", "index", "x", "first:1", T=FLOAT)
        flows.append("again")
    if beside:
        plan("clobber", "TensorArrayWriteV3", read, "size", "x", f"{read}:1", T=FLOAT)
    plan("flow", "AddN", *flows, *(["^clobber"] if beside else []), T=FLOAT, N=len(flows))
    plan("y", "TensorArrayReadV3", read, "index", "flow", dtype=FLOAT)
    return side(plan, "y")


def test_arrays_that_follow_their_flow_are_proven():
    assert proof(arrays(), arrays()).proven
    assert not proof(arrays(), arrays(written=2)).proven


def test_arrays_are_told_apart():
    assert not proof(arrays(), arrays(read="second")).proven


def test_writing_an_array_twice_is_not_writing_it_once():
    assert not proof(arrays(twice=True), arrays()).proven
    plan = Plan()
    plan.nodes = dict(arrays(twice=True).graph.nodes)
    # The same flows, two of them from one node: TensorFlow refuses the second write, and only that.
    plan("flow", "AddN", "first/write", "second/write", "first/write", T=FLOAT, N=3)
    assert not proof(arrays(twice=True), side(plan, "y")).proven


def test_an_array_that_is_changed_beside_its_flow_is_never_proven():
    made = proof(arrays(beside=True), arrays(beside=True))
    assert (
        made.reason
        == "an array is changed by TensorArrayWriteV3 (clobber) beside the outputs in the reference"
    )
