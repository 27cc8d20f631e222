"""Variables, constants, feeds and ops that hand their input on."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.plain import FLOAT, INT, Plan, proof, prove, relu_of, side
from pytest_tfparity.graph.graph import tensor_name
from pytest_tfparity.graph.normal.walk import normal_form

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


def frozen(weights=WEIGHTS):
    plan = Plan()
    plan.placeholder()
    plan.const("w", weights)
    plan("y", "MatMul", "x", "w", T=FLOAT)
    return side(plan, "y")


def through(*ops: str):
    plan = Plan()
    last = plan.placeholder("input")
    for number, op in enumerate(ops):
        last = plan(f"pass_{number}", op, last, T=FLOAT)
    plan("y", "Relu", last, T=FLOAT)
    return side(plan, "y", inputs=("input",))


@pytest.mark.parametrize(
    "op",
    [
        "Identity",
        "StopGradient",
        "CheckNumerics",
        "Snapshot",
        "PreventGradient",
        "PlaceholderWithDefault",
        "IdentityN",
        "Print",
    ],
)
def test_an_op_that_hands_its_input_on_vanishes(op):
    assert proof(relu_of(), through(op, "Identity", op)).proven


@pytest.mark.parametrize("op", ["Neg", "Rint", "Floor", "OnesLike"])
def test_an_op_that_computes_something_stays(op):
    assert not proof(relu_of(), through(op)).proven


def test_identity_n_hands_on_each_of_its_inputs():
    def exported(port):
        plan = Plan()
        plan.placeholder()
        plan("neg", "Neg", "x", T=FLOAT)
        plan("both", "IdentityN", "x", "neg")
        plan("y", "Relu", f"both:{port}", T=FLOAT)
        return side(plan, "y")

    assert proof(relu_of(), exported(0)).proven
    assert not proof(relu_of(), exported(1)).proven


@pytest.mark.parametrize(
    ("op", "read"), [("VariableV2", "Identity"), ("Variable", "Identity"), ("VarHandleOp", "ReadVariableOp")]
)
def test_a_variable_is_its_restored_value(op, read):
    plan = Plan()
    plan.placeholder()
    plan.variable("net/w", op)
    plan("net/w/read", read, "net/w")
    plan("y", "MatMul", "x", "net/w/read", T=FLOAT)
    assert proof(side(plan, "y", variables={"net/w": WEIGHTS}), frozen()).proven
    assert not proof(side(plan, "y", variables={"net/w": WEIGHTS + 1}), frozen()).proven


def test_a_variable_without_a_value_is_named():
    plan = Plan()
    plan.placeholder()
    plan.variable("w")
    plan("y", "MatMul", "x", "w", T=FLOAT)
    made = prove(side(plan, "y"), frozen())
    assert made.reason == "variable w has no value in the reference"
    assert made.reference_fingerprint is None


def test_two_handles_of_one_shared_variable_hold_one_value():
    plan = Plan()
    plan.placeholder()
    plan("first", "VarHandleOp", shared_name=b"w")
    plan("second", "VarHandleOp", shared_name=b"w")
    plan("read", "ReadVariableOp", "second")
    plan("y", "MatMul", "x", "read", T=FLOAT)
    assert proof(side(plan, "y", variables={"first": WEIGHTS}), frozen()).proven


def test_gathering_rows_of_a_variable_is_gathering_rows_of_its_value():
    plan = Plan()
    plan.placeholder(dtype=INT)
    plan("w", "VarHandleOp", dtype=FLOAT)
    plan("y", "ResourceGather", "w", "x", dtype=FLOAT, Tindices=INT, validate_indices=True)
    other = Plan()
    other.placeholder(dtype=INT)
    other.const("w", WEIGHTS)
    other.const("axis", 0, np.int32)
    other("y", "GatherV2", "w", "x", "axis", Tparams=FLOAT, Tindices=INT, Taxis=INT, batch_dims=0)
    reference = side(plan, "y", variables={"w": WEIGHTS})
    assert proof(reference, side(other, "y")).proven
    other.const("axis", 1, np.int32)
    assert not proof(reference, side(other, "y")).proven


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (0.0, -0.0),
        (1.0, np.nextafter(np.float32(1), np.float32(2))),
        (np.float32(np.nan), np.uint32(0x7FC00001).view(np.float32)),
        (WEIGHTS, WEIGHTS.reshape(3, 2)),
        (WEIGHTS, WEIGHTS.T.copy().reshape(2, 3)),
    ],
)
def test_constants_are_compared_by_shape_and_bits(value, other):
    assert not proof(frozen(value), frozen(other)).proven
    assert proof(frozen(value), frozen(np.array(value))).proven


def test_constants_of_other_dtypes_differ_even_with_equal_bits():
    def constant(dtype):
        plan = Plan()
        plan.const("y", 0, dtype)
        return side(plan, "y", inputs=())

    assert not proof(constant(np.int32), constant(np.float32)).proven


def test_text_constants_are_compared_element_by_element():
    def texts(*values):
        plan = Plan()
        plan.const("y", np.array(values, object), object)
        return side(plan, "y", inputs=())

    assert proof(texts(b"a", b"bc"), texts(b"a", b"bc")).proven
    assert not proof(texts(b"a", b"bc"), texts(b"ab", b"c")).proven


def test_large_constants_that_differ_in_one_bit_differ():
    values = np.random.default_rng(1).standard_normal((300, 300)).astype(np.float32)
    other = values.copy()
    other.view(np.uint32)[150, 150] ^= 1
    assert proof(frozen(values), frozen(values.copy())).proven
    assert not proof(frozen(values), frozen(other)).proven


def test_an_unfed_default_is_its_value_and_a_feed_replaces_it():
    plan = Plan()
    plan.placeholder()
    plan.const("rate/input", 0.5)
    plan("rate", "PlaceholderWithDefault", "rate/input", dtype=FLOAT)
    plan("y", "Mul", "x", "rate", T=FLOAT)

    def constant(value):
        other = Plan()
        other.placeholder()
        other.const("k", value)
        other("y", "Mul", "x", "k", T=FLOAT)
        return side(other, "y")

    assert proof(constant(0.5), side(plan, "y")).proven
    assert proof(constant(1.0), side(plan, "y", feeds={"rate:0": 1.0})).proven
    assert not proof(constant(1.0), side(plan, "y")).proven


def test_a_feed_has_the_dtype_of_the_placeholder():
    plan = Plan()
    plan.placeholder("scale")
    form = normal_form(plan.graph, [tensor_name("scale")], feeds={tensor_name("scale"): np.array(1)})
    value = form.nodes[form.outputs[0].node].value
    assert value is not None
    assert value.dtype == FLOAT
    assert value.array.dtype == np.float32


def test_a_placeholder_that_nobody_feeds_is_named():
    made = prove(relu_of(), side(_two_placeholders(), "y"))
    assert made.reason == "placeholder phase is not fed in the export"


def _two_placeholders():
    plan = Plan()
    plan.placeholder()
    plan.placeholder("phase")
    plan("y", "Mul", "x", "phase", T=FLOAT)
    return plan


def test_inputs_correspond_by_position_and_may_be_any_tensor():
    plan = Plan()
    plan("pipeline", "IteratorGetNext", output_types=(INT, FLOAT))
    plan("y", "Relu", "pipeline:1", T=FLOAT)
    assert proof(relu_of(), side(plan, "y", inputs=("pipeline:1",))).proven
    assert not proof(relu_of(), side(plan, "y", inputs=("pipeline:0",))).proven


def test_exchanged_inputs_are_not_the_same_function():
    def difference(*inputs):
        plan = Plan()
        plan.placeholder("a")
        plan.placeholder("b")
        plan("y", "Sub", "a", "b", T=FLOAT)
        return side(plan, "y", inputs=inputs)

    assert proof(difference("a", "b"), difference("a", "b")).proven
    assert not proof(difference("a", "b"), difference("b", "a")).proven


def test_inputs_of_other_dtypes_are_named():
    plan = Plan()
    plan.placeholder(dtype=INT)
    plan("y", "Relu", "x", T=FLOAT)
    made = prove(relu_of(), side(plan, "y"))
    assert made.reason == "input x:0 is float in the reference and int32 (x:0) in the export"


def test_a_pinned_batch_dimension_is_noted_and_does_not_hinder_a_proof():
    from pytest_tfparity.graph.graph import Shape

    plan = Plan()
    plan.placeholder(shape=Shape((1, 4)))
    plan("y", "Relu", "x", T=FLOAT)
    made = prove(relu_of(), side(plan, "y"))
    assert made.proven
    assert made.notes == ("Input x:0 takes any shape in the reference, x:0 [1, 4] in the export.",)


def test_what_is_not_in_the_graph_is_no_proof():
    plan = Plan()
    plan.placeholder()
    plan("y", "Relu", "gone", T=FLOAT)
    made = prove(side(plan, "y"), side(plan, "y"))
    assert made.reason == "node gone does not exist in the reference"


def test_each_output_counts():
    plan = Plan()
    plan.placeholder()
    plan("y", "Relu", "x", T=FLOAT)
    plan("z", "Neg", "x", T=FLOAT)
    assert proof(side(plan, "y", "z"), side(plan, "y", "z")).proven
    assert not proof(side(plan, "y", "z"), side(plan, "z", "y")).proven
    assert not proof(side(plan, "y", "z"), side(plan, "y")).proven
    assert prove(side(plan), side(plan)).reason == "there is no output to compare"


def test_the_nodes_of_the_form_remember_their_names():
    plan = Plan()
    plan.placeholder()
    plan.variable("net/w")
    plan("net/w/read", "Identity", "net/w")
    plan("y", "MatMul", "x", "net/w/read", T=FLOAT)
    reference = side(plan, "y", variables={"net/w": WEIGHTS})
    form = normal_form(plan.graph, reference.outputs, inputs=reference.inputs, variables=reference.variables)
    assert [form.nodes[index].name for index in form.live()] == ["x", "net/w", "y"]
    edge = form.tensors()[tensor_name("net/w/read")]
    assert form.nodes[edge.node].name == "net/w"
