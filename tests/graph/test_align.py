"""Where two graphs part, and which nodes correspond."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.plain import FLOAT, INT, Plan, align, divergences, prove, side
from pytest_tfparity.graph.align.divergence import Kind

RANDOM = np.random.default_rng(5)
KERNELS = RANDOM.standard_normal((200, 3, 3, 4, 4)).astype(np.float32)
STATISTICS = RANDOM.random((200, 4, 4)).astype(np.float32) + 0.5


def network(blocks=range(4), *, prefix="", change=None, relu="Relu", head="Softmax", pad=(), skip=(), **norm):
    """Conv, batch norm and activation for each block; ``change(plan, name)`` edits a block once it is written."""
    plan = Plan()
    last = plan.placeholder(prefix + "x")
    for block in blocks:
        name = f"{prefix}block{block}"
        if block in pad:
            last = plan(
                f"{name}/pad", "Pad", last, plan.const(f"{name}/paddings", [[1, 1]], np.int32), T=FLOAT
            )
        kernel = plan.const(f"{name}/kernel", KERNELS[block])
        conv = plan(f"{name}/conv", "Conv2D", last, kernel, T=FLOAT, padding=b"SAME", strides=(1, 1, 1, 1))
        weights = [
            plan.const(f"{name}/bn/{part}", STATISTICS[block][index])
            for index, part in enumerate(("gamma", "beta", "mean", "variance"))
        ]
        attrs = {"T": FLOAT, "U": FLOAT, "epsilon": 0.001, "is_training": False, **norm}
        bn = plan(f"{name}/bn/norm", "FusedBatchNormV3", conv, *weights, **attrs)
        last = plan(f"{name}/relu", relu, bn, T=FLOAT) if block not in skip else bn
        if change is not None:
            change(plan, name, block)
    if head:
        last = plan(f"{prefix}head", head, last, T=FLOAT)
    return side(plan, last, inputs=(prefix + "x",))


def edited(number, edit):
    """Edit one block."""

    def change(plan, name, block):
        if block == number:
            edit(plan, name)

    return change


def set_attr(node, **attrs):
    def edit(plan, name):
        old = plan.nodes[f"{name}/{node}"]
        plan(f"{name}/{node}", old.op, *map(str, old.inputs), **{**old.attrs, **attrs})

    return edit


def kinds(found):
    return [(each.kind, each.node) for each in found]


@pytest.mark.parametrize("prefix", ["", "import/"])
def test_one_faulty_batch_norm_of_a_hundred_is_named_alone(prefix):
    export = network(range(100), prefix=prefix, change=edited(60, set_attr("bn/norm", is_training=True)))
    (found,) = divergences(network(range(100)), export)
    assert found.kind is Kind.ATTRIBUTE
    assert found.reference == ("block60/bn/norm",)
    assert found.export == (f"{prefix}block60/bn/norm",)
    assert (found.attribute, found.values) == ("is_training", (False, True))
    assert found.detail == "is_training is false in the reference and true in the export"
    assert not found.downstream


def test_the_statistics_of_a_batch_norm_in_training_mode_are_no_fault_of_their_own():
    def train(plan, name):
        for part in ("mean", "variance"):
            plan.const(f"{name}/bn/{part}", [])
        set_attr("bn/norm", is_training=True)(plan, name)

    (found,) = divergences(network(), network(change=edited(2, train)))
    assert found.attribute == "is_training"


@pytest.mark.parametrize("prefix", ["", "import/"])
def test_independent_faults_are_all_found_and_the_later_one_is_downstream(prefix):
    def change(plan, name, block):
        if block == 1:
            plan.const(f"{name}/kernel", KERNELS[150])
        if block == 3:
            set_attr("bn/norm", epsilon=0.01)(plan, name)

    first, second = divergences(network(), network(prefix=prefix, change=change))
    assert (first.kind, first.node) == (Kind.CONSTANT, f"{prefix}block1/kernel")
    assert first.readers == (f"{prefix}block1/conv",)
    assert first.detail == "144 of 144 values differ"
    assert not first.downstream
    assert (second.kind, second.node, second.downstream) == (Kind.ATTRIBUTE, f"{prefix}block3/bn/norm", True)


@pytest.mark.parametrize("prefix", ["", "import/"])
def test_an_output_that_lacks_its_last_op_lacks_that_alone(prefix):
    (found,) = divergences(network(), network(prefix=prefix, head=""))
    assert found.kind is Kind.ONLY_IN_REFERENCE
    assert (found.reference, found.export) == (("head",), ())
    assert found.detail == "the export lacks Softmax head"
    (found,) = divergences(network(prefix=prefix, head=""), network())
    assert kinds([found]) == [(Kind.ONLY_IN_EXPORT, "head")]


@pytest.mark.parametrize("prefix", ["", "import/"])
@pytest.mark.parametrize("upstream", [False, True])
def test_a_node_that_one_side_lacks_is_named_whatever_comes_before(prefix, upstream):
    def change(plan, name, block):
        if upstream and block == 0:
            plan.const(f"{name}/kernel", KERNELS[150])

    found = divergences(network(pad=(2,)), network(prefix=prefix, change=change))
    assert kinds(found)[-1] == (Kind.ONLY_IN_REFERENCE, "block2/pad")
    assert kinds(found)[:-1] == ([(Kind.CONSTANT, f"{prefix}block0/kernel")] if upstream else [])


@pytest.mark.parametrize("prefix", ["", "import/"])
def test_a_missing_activation_is_one_divergence(prefix):
    found = divergences(network(), network(prefix=prefix, skip=(1,)))
    assert kinds(found) == [(Kind.ONLY_IN_REFERENCE, "block1/relu")]


@pytest.mark.parametrize("prefix", ["", "import/"])
def test_a_missing_block_is_named_with_all_its_nodes(prefix):
    (found,) = divergences(network(range(6)), network((0, 1, 2, 4, 5), prefix=prefix))
    assert found.kind is Kind.ONLY_IN_REFERENCE
    assert set(found.reference) == {"block3/relu", "block3/bn/norm", "block3/conv"}


def test_a_node_more_shifts_the_numbers_of_all_behind_it() -> None:
    plans = []
    for odd in (None, "first"):
        plan = Plan()
        last, number = plan.placeholder("x"), 0
        for index in range(4):
            if index == 1 and odd is not None:
                last = plan(f"net/mul_{number}", "Mul", last, plan.const("net/odd", 7.0), T=FLOAT)
                number += 1
            name = f"net/mul_{number}" if number else "net/mul"
            number += 1
            last = plan(name, "Mul", last, plan(f"gate{index}", "Sigmoid", last, T=FLOAT), T=FLOAT)
        plans.append(side(plan, last, inputs=("x",)))
    (found,) = divergences(*plans)
    assert (found.kind, found.export) == (Kind.ONLY_IN_EXPORT, ("net/mul_1",))


def test_another_op_in_the_same_place_is_one_divergence():
    def change(plan, name):
        plan(f"{name}/relu", "Relu6", f"{name}/bn/norm", T=FLOAT)

    (found,) = divergences(network(), network(change=edited(2, change)))
    assert (found.kind, found.reference, found.export) == (Kind.OP, ("block2/relu",), ("block2/relu",))
    assert found.detail == "Relu block2/relu in the reference, Relu6 block2/relu in the export"


def test_exchanged_weights_are_two_constants_and_not_another_order():
    def change(plan, name, block):
        if block in (1, 2):
            plan.const(f"{name}/kernel", KERNELS[3 - block])

    found = divergences(network(), network(change=change))
    assert kinds(found) == [(Kind.CONSTANT, "block1/kernel"), (Kind.CONSTANT, "block2/kernel")]


def branches(first="left", second="right", op="ConcatV2"):
    plan = Plan()
    plan.placeholder()
    plan("left", "Relu", "x", T=FLOAT)
    plan("right", "Sigmoid", "x", T=FLOAT)
    plan.const("axis", 1, np.int32)
    plan("joined", op, first, second, *(["axis"] if op == "ConcatV2" else []), T=FLOAT, N=2)
    plan("y", "AddN", "joined", "left", "right", T=FLOAT, N=3)
    return side(plan, "y")


def test_exchanged_inputs_are_wiring():
    (found,) = divergences(branches(), branches("right", "left"))
    assert (found.kind, found.node) == (Kind.WIRING, "joined")
    assert found.detail == "reads left:0 in the reference and right:0 in the export"
    assert divergences(branches(op="AddV2"), branches("right", "left", op="AddV2")) == ()


def test_a_node_that_reads_another_tensor_is_wiring():
    (found,) = divergences(branches(), branches("left", "left"))
    assert (found.kind, found.node) == (Kind.WIRING, "joined")


def test_another_output_of_the_same_node_is_wiring():
    def part(port):
        plan = Plan()
        plan.placeholder()
        plan.const("axis", 1, np.int32)
        plan("parts", "Split", "axis", "x", num_split=2, T=FLOAT)
        plan("y", "Relu", f"parts:{port}", T=FLOAT)
        return side(plan, "y")

    (found,) = divergences(part(0), part(1))
    assert (found.kind, found.node) == (Kind.WIRING, "y")
    assert found.detail == "reads parts:0 in the reference and parts:1 in the export"


def test_of_two_equal_nodes_the_one_that_changed_is_named():
    def twins(alpha):
        plan = Plan()
        plan.placeholder()
        plan("one", "LeakyRelu", "x", T=FLOAT, alpha=0.5)
        plan("two", "LeakyRelu", "x", T=FLOAT, alpha=alpha)
        plan("left", "Relu6", "one", T=FLOAT)
        plan("right", "Softplus", "two", T=FLOAT)
        return side(plan, "left", "right")

    assert kinds(divergences(twins(0.5), twins(0.25))) == [(Kind.ATTRIBUTE, "two")]


def test_a_constant_where_the_reference_computes_is_an_op():
    def mean(constant):
        plan = Plan()
        plan.placeholder()
        plan.const("axis", [0], np.int32)
        plan("m", "Mean", "x", "axis", T=FLOAT, Tidx=INT)
        plan.const("stored", [1.0, 2.0])
        plan("y", "Sub", "x", "stored" if constant else "m", T=FLOAT)
        return side(plan, "y")

    (found,) = divergences(mean(True), mean(False))
    assert (found.kind, found.reference, found.export) == (Kind.OP, ("stored",), ("m",))


def test_constants_are_named_after_their_variable_and_described():
    def scaled(value, dtype=np.float32):
        plan = Plan()
        plan.placeholder()
        plan.const("keep_prob/input", value, dtype)
        plan("keep_prob", "PlaceholderWithDefault", "keep_prob/input", dtype=FLOAT)
        plan("y", "Mul", "x", "keep_prob", T=FLOAT)
        return side(plan, "y")

    details = [
        divergences(scaled(0.5), other)[0].detail
        for other in (scaled(1), scaled([1, 1]), scaled(1, np.int32))
    ]
    assert details == [
        "0.5 in the reference and 1.0 in the export",
        "shape [] in the reference and [2] in the export",
        "float in the reference and int32 in the export",
    ]


def test_every_node_has_its_partner_by_original_name():
    reference, export = (
        network(),
        network(prefix="import/", change=edited(2, set_attr("bn/norm", epsilon=0.5))),
    )
    nodes = align(reference, export).nodes
    assert nodes == {name: f"import/{name}" for name in reference.graph.nodes}


def test_nodes_on_both_sides_of_a_missing_one_have_partners():
    nodes = align(network(pad=(2,)), network()).nodes
    assert nodes["block2/conv"] == "block2/conv"
    assert nodes["block1/relu"] == "block1/relu"
    assert "block2/pad" not in nodes


def test_loops_are_aligned_node_by_node():
    from graphs.plain import loop

    (found,) = divergences(loop(), loop(step=2.0, prefix="other"))
    assert (found.kind, found.node) == (Kind.CONSTANT, "other/step")
    assert divergences(loop(), loop(prefix="other")) == ()


def test_what_is_proven_has_no_divergence_and_the_reverse():
    for export in (network(), network(prefix="other/"), network(relu="Relu6")):
        assert prove(network(), export).proven is (divergences(network(), export) == ())
