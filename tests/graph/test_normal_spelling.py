"""Attributes and ops that have several spellings."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.plain import BOOL, DOUBLE, FLOAT, HALF, INT, STRING, Plan, proof, prove, relu_of, side
from pytest_tfparity.graph.graph import DType


def node(op: str, *, count: int = 1, output: str = "y", **attrs):
    """One op that reads the input ``count`` times."""
    plan = Plan()
    plan.placeholder()
    plan("y", op, *["x"] * count, **attrs)
    return side(plan, output)


@pytest.mark.parametrize(
    ("op", "silent"),
    [
        ("Conv2D", {"explicit_paddings": ()}),
        ("Conv2D", {"dilations": (1, 1, 1, 1)}),
        ("Conv2D", {"data_format": b"NHWC"}),
        ("Conv2D", {"use_cudnn_on_gpu": False}),
        ("Conv2D", {"_output_shapes": ()}),
        ("Conv2D", {"_class": (b"loc:@w",)}),
        ("ResizeBilinear", {"half_pixel_centers": False, "align_corners": False}),
        ("Equal", {"incompatible_shape_error": True}),
        ("MatMul", {"grad_a": False, "grad_b": False, "transpose_a": False}),
        ("Cast", {"Truncate": False}),
        ("Squeeze", {"squeeze_dims": ()}),
    ],
)
def test_an_attribute_at_its_default_says_nothing(op, silent):
    assert proof(node(op, T=FLOAT), node(op, T=FLOAT, **silent)).proven


@pytest.mark.parametrize(
    ("op", "telling"),
    [
        ("Conv2D", {"explicit_paddings": (0, 0, 1, 1, 1, 1, 0, 0)}),
        ("Conv2D", {"dilations": (1, 2, 2, 1)}),
        ("Conv2D", {"data_format": b"NCHW"}),
        ("ResizeBilinear", {"half_pixel_centers": True}),
        ("Equal", {"incompatible_shape_error": False}),
        ("MatMul", {"transpose_a": True}),
        ("Squeeze", {"squeeze_dims": (1,)}),
        ("Relu", {"T": DOUBLE}),
        ("FusedBatchNormV3", {"is_training": False}),
        ("LeakyRelu", {"alpha": 0.25}),
        ("Sum", {"keep_dims": True}),
        ("Custom", {"anything": 1}),
    ],
)
def test_an_attribute_with_another_value_counts(op, telling):
    assert not proof(node(op), node(op, **telling)).proven


def test_kinds_of_attributes_are_told_apart():
    for one, other in [(1, True), (1, 1.0), (0, False), (b"1", 1), ((), b""), (DType(1), 1), ((1,), (True,))]:
        assert not proof(node("Relu", value=one), node("Relu", value=other)).proven


@pytest.mark.parametrize("version", ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
@pytest.mark.parametrize("training", [False, True])
def test_versions_of_fused_batch_norm_are_one_in_their_first_output(version, training):
    attrs = {"epsilon": 0.5, "is_training": training}
    reference = node("FusedBatchNormV3", count=5, T=FLOAT, U=FLOAT, **attrs)
    extra = {} if version == "FusedBatchNorm" else {"U": FLOAT}
    assert proof(reference, node(version, count=5, T=FLOAT, **attrs, **extra)).proven
    attrs["is_training"] = not training
    assert not proof(reference, node(version, count=5, T=FLOAT, **attrs, **extra)).proven


def test_versions_of_fused_batch_norm_differ_in_their_other_outputs():
    attrs = {"T": FLOAT, "is_training": False}
    first = node("FusedBatchNorm", count=5, output="y:3", **attrs)
    assert not proof(first, node("FusedBatchNormV3", count=5, output="y:3", U=FLOAT, **attrs)).proven
    assert proof(first, node("FusedBatchNorm", count=5, output="y:3", **attrs)).proven


def test_additions_of_numbers_are_one_and_those_of_texts_are_not():
    assert proof(node("Add", count=2, T=FLOAT), node("AddV2", count=2, T=FLOAT)).proven
    assert not proof(node("Add", count=2, T=STRING), node("AddV2", count=2, T=STRING)).proven


def test_divisions_of_floats_are_one_and_those_of_integers_are_not():
    assert proof(node("Div", count=2, T=HALF), node("RealDiv", count=2, T=HALF)).proven
    assert not proof(node("Div", count=2, T=INT), node("RealDiv", count=2, T=INT)).proven


def test_batched_matrix_products_are_one():
    reference = node("BatchMatMul", count=2, T=FLOAT, adj_x=False, adj_y=True)
    assert proof(reference, node("BatchMatMulV2", count=2, T=FLOAT, adj_y=True)).proven
    assert proof(reference, node("BatchMatMulV3", count=2, Ta=FLOAT, Tb=FLOAT, Tout=FLOAT, adj_y=True)).proven
    assert not proof(
        reference, node("BatchMatMulV3", count=2, Ta=FLOAT, Tb=FLOAT, Tout=DOUBLE, adj_y=True)
    ).proven


@pytest.mark.parametrize(
    ("op", "commutes"), [("AddV2", True), ("Mul", True), ("Sub", False), ("Maximum", False)]
)
def test_inputs_of_a_sum_and_a_product_may_be_exchanged(op, commutes):
    def exchanged(*inputs):
        plan = Plan()
        plan.placeholder()
        plan.const("k", [1, 2])
        plan("y", op, *inputs, T=FLOAT)
        return side(plan, "y")

    assert proof(exchanged("x", "k"), exchanged("k", "x")).proven is commutes


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("RandomUniform", "random op RandomUniform (y) in the reference"),
        ("RandomStandardNormal", "random op RandomStandardNormal (y) in the reference"),
        ("StatefulUniform", "random op StatefulUniform (y) in the reference"),
        ("QueueDequeueV2", "stateful op QueueDequeueV2 (y) in the reference"),
        ("AssignAdd", "stateful op AssignAdd (y) in the reference"),
        ("PyFunc", "stateful op PyFunc (y) in the reference"),
        ("PyFuncStateless", "stateful op PyFuncStateless (y) in the reference"),
        ("ReadFile", "stateful op ReadFile (y) in the reference"),
        ("HashTableV2", "stateful op HashTableV2 (y) in the reference"),
        ("DescrptSeA", "unknown op DescrptSeA (y) in the reference"),
        ("FractionalMaxPool", "stateful op FractionalMaxPool (y) in the reference"),
    ],
)
def test_what_is_more_than_a_function_of_its_inputs_is_never_proven(op, reason):
    made = prove(node(op), node(op))
    assert not made.proven
    assert made.reason == reason
    assert made.reference_fingerprint is None


def test_an_unknown_op_beside_the_outputs_does_not_matter():
    plan = Plan()
    plan.placeholder()
    plan("y", "Relu", "x", T=FLOAT)
    plan("noise", "RandomUniform", "y", T=INT)
    assert proof(relu_of(), side(plan, "y")).proven


def dropout(rate: float, *, keeps: str = "GreaterEqual", seed: int = 1):
    """``x / (1 - rate) * cast(random >= rate)``, as tf.nn.dropout writes it."""
    plan = Plan()
    plan.placeholder()
    plan("shape", "Shape", "x", T=FLOAT, out_type=INT)
    plan("random", "RandomUniform", "shape", T=INT, dtype=FLOAT, seed=seed, seed2=seed)
    plan.const("min", 0.0)
    plan.const("max", 1.0)
    plan("range", "Sub", "max", "min", T=FLOAT)
    plan("scaled", "Mul", "random", "range", T=FLOAT)
    plan("moved", "Add", "scaled", "min", T=FLOAT)
    plan.const("keep", 1 - rate)
    plan("rate", "Sub", "max", "keep", T=FLOAT)
    if keeps == "Floor":
        plan("sum", "Add", "keep", "moved", T=FLOAT)
        plan("mask", "Floor", "sum", T=FLOAT)
    else:
        plan("kept", keeps, "moved", "rate", T=FLOAT)
        plan("mask", "Cast", "kept", SrcT=BOOL, DstT=FLOAT)
    plan("divided", "RealDiv", "x", "keep", T=FLOAT)
    plan("y", "Mul", "divided", "mask", T=FLOAT)
    return side(plan, "y")


@pytest.mark.parametrize("keeps", ["GreaterEqual", "Floor"])
def test_a_dropout_that_keeps_everything_is_no_random_op(keeps):
    assert proof(dropout(0.0, keeps=keeps), dropout(0.0, keeps=keeps)).proven
    # The seeds of numbers that do not matter do not matter.
    assert proof(dropout(0.0, keeps=keeps), dropout(0.0, keeps=keeps, seed=2)).proven


@pytest.mark.parametrize(
    ("rate", "keeps"), [(0.5, "GreaterEqual"), (0.5, "Floor"), (0.0, "Greater"), (1e-6, "Floor")]
)
def test_a_dropout_that_drops_anything_is_a_random_op(rate, keeps):
    made = proof(dropout(rate, keeps=keeps), dropout(rate, keeps=keeps))
    assert made.reason == "random op RandomUniform (random) in the reference"


def test_numbers_that_matter_elsewhere_are_random_for_all_that():
    kept = dropout(0.0)
    plan = Plan()
    plan.nodes = dict(kept.graph.nodes)
    plan("z", "AddV2", "y", "random", T=FLOAT)
    assert not proof(side(plan, "z"), side(plan, "z")).proven


def test_a_dropout_whose_shape_is_random_is_random():
    kept = dropout(0.0)
    plan = Plan()
    plan.nodes = dict(kept.graph.nodes)
    plan.const("two", np.array([2, 2]), np.int32)
    plan("shape", "RandomUniformInt", "two", T=INT, Tout=INT)
    assert not proof(side(plan, "y"), side(plan, "y")).proven
