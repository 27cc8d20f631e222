"""Batch norm is recognised by what it computes, whatever it is spelt like."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.batch_norm import Build, names, tensor
from pytest_tfparity.graph.batch_norm.find import BatchNorm, find_batch_norms
from pytest_tfparity.graph.graph import Function, FunctionBody, FunctionInput, FunctionNode, Graph, TensorName
from pytest_tfparity.graph.layer import layer_of


def only(build: Build | Graph, output: str, feeds: dict[str, bool] | None = None) -> BatchNorm:
    graph = build.graph() if isinstance(build, Build) else build
    fed = {TensorName(name, 0): np.array(value) for name, value in (feeds or {}).items()}
    (found,) = find_batch_norms(graph, names(output), names("x"), fed)
    return found


@pytest.mark.parametrize("op", ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
@pytest.mark.parametrize(("layout", "axis"), [(b"NHWC", -1), (b"NCHW", 1), (b"NDHWC", -1), (b"NCDHW", 1)])
def test_a_fused_op_is_read_off(op: str, layout: bytes, axis: int) -> None:
    build = Build()
    build.const("conv/kernel", np.ones((1, 1, 3, 3)))
    build.add("Conv2D", "conv/Conv2D", build.image(), "conv/kernel")
    weights = build.weights("block/bn")
    build.add(
        op,
        "block/bn/FusedBatchNorm",
        "conv/Conv2D",
        *weights,
        is_training=False,
        epsilon=1e-5,
        data_format=layout,
    )
    found = only(build, "block/bn/FusedBatchNorm")
    assert found.scope == "block/bn"
    assert (found.mode, found.decided_by) == ("inference", None)
    assert found.weights == tuple(weights)
    assert (found.epsilon, found.axis) == (1e-5, axis)
    assert (found.linear, found.kernel, found.bias) == ("conv/Conv2D", "conv/kernel", None)


def test_a_bias_between_kernel_and_layer_is_named() -> None:
    build = Build()
    build.add("MatMul", "dense", build.image(rank=2), build.const("kernel", np.ones((3, 3))))
    build.add("BiasAdd", "biased", "dense", build.const("bias", np.ones(3)))
    gamma, beta, mean, variance = build.weights("bn")
    found = only(build, build.nn("bn", "biased", mean, variance, beta, gamma))
    assert (found.linear, found.kernel, found.bias) == ("dense", "kernel", "bias")


def test_a_fused_op_in_training_mode_has_no_stored_statistics() -> None:
    build = Build()
    gamma, beta, *_ = build.weights("bn")
    build.const("bn/Const", [])
    build.add(
        "FusedBatchNormV3", "bn/F", build.image(), gamma, beta, "bn/Const", "bn/Const", is_training=True
    )
    found = only(build, "bn/F")
    assert found.mode == "training"
    assert found.weights == (gamma, beta, None, None)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_the_arithmetic_of_tf_nn_is_one_layer_with_or_without_gamma_and_beta(
    scale: bool, center: bool
) -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("dense/bn")
    out = build.nn(
        "dense/bn", build.image(rank=2), mean, variance, beta * center or None, gamma * scale or None
    )
    build.add("Relu", "relu", out)
    found = only(build, "relu")
    assert (found.scope, found.node, found.input) == ("dense/bn", out, TensorName("x", 0))
    assert found.weights == (gamma * scale or None, beta * center or None, mean, variance)
    assert found.mode == "inference"
    assert found.epsilon == pytest.approx(1e-3)


def test_the_hand_written_quotient_takes_up_its_gamma_and_beta_but_not_the_next_layer() -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("net")
    build.add("Sub", "net/sub", build.image(), mean)
    build.add("AddV2", "net/add", variance, build.const("net/add/y", 1e-5))
    build.add("Sqrt", "net/Sqrt", "net/add")
    build.add("RealDiv", "net/truediv", "net/sub", "net/Sqrt")
    build.add("Mul", "net/mul", gamma, "net/truediv")
    build.add("AddV2", "net/add_1", "net/mul", beta)
    build.add("Mul", "scaled", "net/add_1", build.const("layer_scale", [1.0, 2.0, 3.0]))
    build.add("AddV2", "shifted", "scaled", build.const("offset", [1.0, 2.0, 3.0]))
    found = only(build, "shifted")
    assert found.node == "net/add_1"
    assert found.weights == (gamma, beta, mean, variance)
    assert found.epsilon == pytest.approx(1e-5)


def test_a_constant_subtracted_from_the_input_is_not_taken_for_the_mean() -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("bn")
    build.add("Sub", "preprocess", build.image(), build.const("imagenet_mean", [120.0, 110.0, 100.0]))
    out = build.nn("bn", "preprocess", mean, variance, beta, gamma)
    found = only(build, out)
    assert (found.mean, found.input.node, found.node) == (mean, "preprocess", out)


@pytest.mark.parametrize(("axes", "axis"), [([0], -1), ([0, 1, 2], -1), ([0, 2, 3], 1)])
def test_live_batch_moments_are_training_mode(axes: list[int], axis: int) -> None:
    build = Build()
    gamma, beta, *_ = build.weights("bn")
    x = build.image(rank=len(axes) + 1)
    mean, variance = build.moments("bn/moments", x, axes)
    found = only(build, build.nn("bn", x, mean, variance, beta, gamma))
    assert (found.mode, found.axis) == ("training", axis)
    assert found.weights == (gamma, beta, None, None)


@pytest.mark.parametrize("axes", [[1], [-1], [1, 2], [1, 2, 3]])
def test_layer_and_instance_norm_are_no_batch_norm(axes: list[int]) -> None:
    build = Build()
    gamma, beta, *_ = build.weights("LayerNorm")
    x = build.image()
    mean, variance = build.moments("LayerNorm/moments", x, axes, keep=True)
    out = build.nn("LayerNorm", x, mean, variance, beta, gamma)
    assert find_batch_norms(build.graph(), names(out)) == ()


def test_normalising_a_whole_batch_at_once_is_no_batch_norm() -> None:
    build = Build()
    x = build.image()
    mean, variance = build.moments("all", x, [0, 1, 2, 3])
    assert find_batch_norms(build.graph(), names(build.nn("all", x, mean, variance, None, None))) == ()


def test_a_layer_norm_spelt_as_a_fused_op_over_the_batch_on_the_channels_axis_is_no_batch_norm() -> None:
    build = Build()
    for name, value in [("one", 1), ("size", 4), ("minus", -1)]:
        build.const(name, value, "int32")
    build.add("Pack", "shape", "one", "minus", "size", "one")
    build.add("Reshape", "folded", build.image(), "shape")
    build.add("Fill", "ones", "dims", build.const("1", 1.0))
    build.add("Fill", "zeros", "dims", build.const("0", 0.0))
    build.const("none", [])
    build.add(
        "FusedBatchNormV3",
        "ln",
        "folded",
        "ones",
        "zeros",
        "none",
        "none",
        is_training=True,
        data_format=b"NCHW",
    )
    assert find_batch_norms(build.graph(), names("ln")) == ()


def test_l2_normalisation_is_no_batch_norm() -> None:
    build = Build()
    build.add("Square", "square", build.image(rank=2))
    build.add("Sum", "sum", "square", build.const("axis", [1], "int32"))
    build.add("Maximum", "max", "sum", build.const("tiny", 1e-12))
    build.add("Rsqrt", "rsqrt", "max")
    build.add("Mul", "out", "x", "rsqrt")
    assert find_batch_norms(build.graph(), names("out")) == ()


def arithmetic_with_phase() -> tuple[Build, str, list[str]]:
    build = Build()
    weights = build.weights("bn")
    gamma, beta, moving_mean, moving_variance = weights
    x = build.image(rank=2)
    mean, variance = build.moments("bn/moments", x, [0])
    build.add("Identity", "bn/cond/pred_id", "phase")
    chosen = build.choose("bn/cond", "bn/cond/pred_id", mean, moving_mean)
    chosen_1 = build.choose("bn/cond_1", "bn/cond/pred_id", variance, moving_variance)
    return build, build.nn("bn", x, chosen, chosen_1, beta, gamma), weights


def test_an_unfed_phase_leaves_the_mode_unknown_and_a_feed_decides_it() -> None:
    build, out, (gamma, beta, mean, variance) = arithmetic_with_phase()
    build.add("Placeholder", "phase")
    unknown = only(build, out)
    assert (unknown.mode, unknown.decided_by) == ("unknown", "phase")
    assert unknown.weights == (gamma, beta, mean, variance)
    assert only(build, out, {"phase": True}).mode == "training"
    inference = only(build, out, {"phase": False})
    assert (inference.mode, inference.decided_by, inference.mean) == ("inference", "phase", mean)


@pytest.mark.parametrize("default", [True, False])
def test_the_default_of_an_unfed_phase_counts(default: bool) -> None:
    build, out, _ = arithmetic_with_phase()
    build.const("phase/input", default, "bool")
    build.add("PlaceholderWithDefault", "phase", "phase/input")
    found = only(build, out)
    assert (found.mode, found.decided_by) == ("training" if default else "inference", "phase")
    (fed,) = find_batch_norms(build.graph(), names(out), names("x", "phase"))
    assert fed.mode == "unknown"


@pytest.mark.parametrize(
    ("op", "constants", "expected"),
    [
        ("LogicalNot", [], "inference"),
        ("LogicalAnd", [False], "inference"),
        ("LogicalOr", [True], "training"),
    ],
)
def test_predicates_are_folded_through_logic(op: str, constants: list[bool], expected: str) -> None:
    build, out, _ = arithmetic_with_phase()
    build.const("true", True, "bool")
    build.add(
        op, "phase", "true", *(build.const(f"c{index}", each, "bool") for index, each in enumerate(constants))
    )
    assert only(build, out).mode == expected


def fused_in_a_conditional(build: Build) -> list[str]:
    """A fused op on each side of a Switch, as ``tf.layers`` writes them."""
    gamma, beta, mean, variance = weights = build.weights("a/bn")
    build.image()
    build.const("a/bn/cond/Const", [])
    for suffix, port, statistics in (("", 1, None), ("_1", 0, (mean, variance))):
        build.add("Switch", f"a/bn/cond/Switch{suffix}", "x", "phase")
        build.add(
            "FusedBatchNormV3",
            f"a/bn/cond/FusedBatchNormV3{suffix}",
            f"a/bn/cond/Switch{suffix}:{port}",
            gamma,
            beta,
            *(statistics or ("a/bn/cond/Const", "a/bn/cond/Const")),
            is_training=statistics is None,
        )
    build.add("Merge", "a/bn/cond/Merge", "a/bn/cond/FusedBatchNormV3_1", "a/bn/cond/FusedBatchNormV3")
    return weights


def test_of_two_fused_ops_in_a_conditional_the_live_one_counts() -> None:
    build = Build()
    build.add("Placeholder", "phase")
    weights = fused_in_a_conditional(build)
    build.add("Relu", "relu", "a/bn/cond/Merge")
    live = only(build, "relu", {"phase": False})
    assert (live.node, live.output) == ("a/bn/cond/FusedBatchNormV3_1", TensorName("a/bn/cond/Merge", 0))
    assert (live.scope, live.mode, live.decided_by, live.input.node) == ("a/bn", "inference", "phase", "x")
    assert only(build, "relu", {"phase": True}).mode == "training"
    unknown = only(build, "relu")
    assert (unknown.mode, unknown.weights) == ("unknown", tuple(weights))


@pytest.mark.parametrize("phase", [True, False])
def test_functional_conditionals_are_followed_into_their_functions(phase: bool) -> None:
    def branch(name: str, training: bool) -> FunctionBody:
        arguments = ("value", "gamma", "beta", "mean", "variance")
        inputs = tuple(FunctionInput(each, "", 0) for each in arguments)
        norm = FunctionNode("FusedBatchNormV3", "FusedBatchNormV3", inputs, (), {"is_training": training})
        identity = FunctionNode("Identity", "Identity", (FunctionInput("FusedBatchNormV3", "y", 0),), (), {})
        returns = {"output": FunctionInput("Identity", "output", 0)}
        return FunctionBody(name, arguments, ("output",), (norm, identity), returns)

    build = Build()
    weights = build.weights("bn")
    build.const("phase", phase, "bool")
    build.add(
        "If",
        "bn/cond",
        "phase",
        build.image(),
        *weights,
        then_branch=Function("yes", {}),
        else_branch=Function("no", {}),
    )
    build.add("Relu", "relu", "bn/cond")
    graph = Graph(build.nodes, {"yes": branch("yes", True), "no": branch("no", False)})
    found = only(graph, "relu")
    assert found.mode == ("training" if phase else "inference")
    assert (found.scope, found.decided_by, found.gamma, found.input.node) == ("bn", "phase", weights[0], "x")
    assert found.output == TensorName("bn/cond", 0)


def test_a_layer_applied_twice_is_two_records_of_one_scope_and_a_dead_one_none() -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("bn")
    x = build.image(rank=2)
    first = build.nn("bn", x, mean, variance, beta, gamma)
    second = build.nn("bn_1", build.add("Relu", "relu", first), mean, variance, beta, gamma)
    build.nn("dead", second, mean, variance, beta, gamma)
    found = find_batch_norms(build.graph(), names(second))
    assert [record.scope for record in found] == ["bn", "bn"]
    assert len({record.node for record in found}) == 2


def test_an_inverse_that_two_towers_share_is_two_records() -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("bn")
    first = build.nn("bn", build.image("x", 2), mean, variance, beta, gamma)
    build.add("Mul", "other/mul_1", build.image("y", 2), "bn/batchnorm/mul")
    build.add("AddV2", "other/add_1", "other/mul_1", "bn/batchnorm/sub")
    found = find_batch_norms(build.graph(), names(first, "other/add_1"))
    assert [(record.node, record.input.node) for record in found] == [(first, "x"), ("other/add_1", "y")]


def test_a_vector_reshaped_for_channels_first_shows_the_axis() -> None:
    build = Build()
    parts = build.weights("bn")
    build.const("shape", [1, 3, 1, 1], "int32")
    gamma, beta, mean, variance = (build.add("Reshape", f"{part}/Reshape", part, "shape") for part in parts)
    found = only(build, build.nn("bn", build.image(), mean, variance, beta, gamma))
    assert found.axis == 1
    assert found.weights == tuple(parts)


def test_variables_are_weights_and_their_update_tells_the_momentum() -> None:
    build = Build()
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        build.add("VarHandleOp", f"bn/{name}")
        build.add("ReadVariableOp", f"bn/{name}/Read", f"bn/{name}")
    reads = [f"bn/{name}/Read" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    build.add("FusedBatchNormV3", "bn/F", build.image(), *reads, is_training=False)
    build.const("decay", 0.01)
    build.add("Mul", "delta", "difference", "decay")
    build.add("AssignSubVariableOp", "update", "bn/moving_mean", "delta")
    found = only(build, "bn/F")
    assert found.mean == "bn/moving_mean"
    assert found.momentum == 0.99


def test_batch_norm_with_global_normalization_is_read_off() -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("bn")
    op = "BatchNormWithGlobalNormalization"
    attrs = {"variance_epsilon": 1e-3, "scale_after_normalization": False}
    build.add(op, "bn/G", build.image(), mean, variance, beta, gamma, **attrs)
    assert only(build, "bn/G").weights == (None, beta, mean, variance)


def test_a_chain_of_50_000_nodes_does_not_recurse() -> None:
    build = Build()
    last = build.image(rank=2)
    for index in range(50_000):
        last = build.add("Relu", f"r{index}", last)
    gamma, beta, mean, variance = build.weights("bn")
    assert only(build, build.nn("bn", last, mean, variance, beta, gamma)).input.node == last


@pytest.mark.parametrize(
    ("node", "fused", "scope"),
    [
        ("block1/bn/FusedBatchNormV3", True, "block1/bn"),
        ("block1/bn/cond/FusedBatchNormV3_1", True, "block1/bn"),
        ("bn/cond/then/_0/FusedBatchNormV3", True, "bn"),
        ("batchnorm/FusedBatchNormV3", True, "batchnorm"),
        ("dense/bn/batchnorm/add_1", False, "dense/bn"),
        ("batchnorm/add_1", False, "batchnorm"),
        ("net/add_1", False, "net"),
    ],
)
def test_the_scope_is_the_layers(node: str, fused: bool, scope: str) -> None:
    assert layer_of(node, arithmetic=not fused) == scope


def test_constant_values_are_not_needed_to_find_a_layer() -> None:
    build = Build()
    gamma, beta, mean, variance = build.weights("bn")
    out = build.nn("bn", build.image(rank=2), mean, variance, beta, gamma)
    variables = {name: tensor([1.0]) for name in (gamma, beta, mean, variance)}
    for name in variables:
        build.add("SomeCustomVariable", name)
    (found,) = find_batch_norms(build.graph(), names(out), variables=variables)
    assert found.weights == (gamma, beta, mean, variance)


def test_layers_come_in_the_order_of_the_file() -> None:
    build = Build()
    build.image(rank=2)
    for scope, source in (("late", "early/batchnorm/add_1"), ("early", "x")):
        gamma, beta, mean, variance = build.weights(scope)
        build.nn(scope, source, mean, variance, beta, gamma)
    found = find_batch_norms(build.graph(), names("late/batchnorm/add_1"))
    assert [record.scope for record in found] == ["late", "early"]


def test_a_fused_op_on_one_side_of_a_choice_between_two_inputs_keeps_its_mode() -> None:
    build = Build()
    build.add("Placeholder", "phase")
    weights = build.weights("bn")
    build.add("FusedBatchNormV3", "bn/F", build.image(), *weights, is_training=False)
    build.add("Relu", "relu", build.choose("cond", "phase", "bn/F", "x"))
    found = only(build, "relu")
    assert (found.mode, found.node, found.output) == ("inference", "bn/F", TensorName("bn/F", 0))
