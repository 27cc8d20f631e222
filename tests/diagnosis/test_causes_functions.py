"""Differences inside a function's body are told by the same rules as those outside of all functions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from graphs.layers import case
from graphs.plain import FLOAT, Plan, side, tensor
from pytest_tfparity.diagnosis.diagnose import diagnose
from pytest_tfparity.graph.graph import Attr, Function
from pytest_tfparity.graph.proof.proof import Side
from pytest_tfparity.result import Finding

Step = tuple[str, str, tuple[str, ...], dict[str, Attr]]
"""A node of a body: name, op, what it reads, attributes."""

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)


def held(name: str, value: object, dtype: type = np.float32) -> Step:
    made = tensor(value, dtype)
    return (name, "Const", (), {"dtype": made.dtype, "value": made})


def looped(*steps: Step, frozen: bool, last: str, captured: Mapping[str, object] | None = None) -> Side:
    """A picture that goes through ``steps`` in a loop, then through a convolution.

    ``captured`` are constants outside of the loop that its body is given as ``captured_0`` and so on, and hands on.
    """
    plan = Plan()
    plan.placeholder("x")
    given = list((captured or {}).items())
    arguments = ["picture", *(f"captured_{index}" for index in range(len(given)))]
    for name, value in given:
        plan.const(name, value)
    results = {f"result_{index}": argument for index, argument in enumerate(arguments)}
    plan.function("body", arguments, results | {"result_0": last}, steps)
    plan.function(
        "cond", arguments, {"again": "again:z:0"}, [("again", "Less", ("picture", "picture"), {"T": FLOAT})]
    )
    plan(
        "loop", "StatelessWhile", "x", *(name for name, _ in given),
        cond=Function("cond", {}), body=Function("body", {}),
    )  # fmt: skip
    if frozen:
        plan.const("kernel", KERNEL)
    else:
        plan("kernel", "VariableV2", dtype=FLOAT)
    plan("conv", "Conv2D", "loop", "kernel", strides=(1, 1, 1, 1), padding=b"SAME", T=FLOAT)
    return side(plan, "conv", variables={} if frozen else {"kernel": KERNEL})


def found(reference: Side, export: Side) -> Finding:
    (finding,) = diagnose(case(reference, export)).findings
    return finding


def scaled(by: float) -> tuple[Step, Step]:
    return held("scale", by), ("scaled", "Mul", ("picture", "scale:output:0"), {"T": FLOAT})


PLAIN: Step = ("plain", "Relu", ("picture",), {"T": FLOAT})


def test_another_number_that_the_input_is_multiplied_by_is_scaling_in_a_loop_too() -> None:
    reference, export = (
        looped(*scaled(by), frozen=frozen, last="scaled:z:0") for by, frozen in ((2.0, False), (3.0, True))
    )
    finding = found(reference, export)
    assert (finding.cause, finding.nodes) == ("input-scaling", ("loop",))
    assert finding.message == (
        "The input is scaled differently: loop: in its body, scale: 2.0 in the checkpoint's graph and 3.0 in model.pb."
    )


@pytest.mark.parametrize("captured", [2.0, [1.0, 2.0, 3.0]])
def test_a_step_in_a_loop_by_a_constant_from_outside_is_told_by_that_constant(captured: object) -> None:
    step: Step = ("scaled", "Mul", ("picture", "captured_0"), {"T": FLOAT})
    behind: Step = ("plain", "Relu", ("scaled:z:0",), {"T": FLOAT})
    kept: Step = ("kept", "Relu", ("picture",), {"T": FLOAT})
    reference = looped(step, behind, frozen=False, last="plain:activations:0", captured={"factor": captured})
    export = looped(
        ("plain", *kept[1:]), frozen=True, last="plain:activations:0", captured={"factor": captured}
    )
    finding = found(reference, export)
    assert finding.cause == ("input-scaling" if np.size(captured) == 1 else "preprocess-missing")


def test_channels_in_another_order_are_told_in_a_loop_too() -> None:
    turned: Step = ("turned", "ReverseV2", ("plain:activations:0", "axis:output:0"), {"T": FLOAT})
    reference = looped(PLAIN, frozen=False, last="plain:activations:0")
    export = looped(PLAIN, held("axis", [3], np.int32), turned, frozen=True, last="turned:output:0")
    assert found(reference, export).cause == "channel-order"


def test_an_op_that_a_body_lacks_is_named_with_its_place() -> None:
    step: Step = ("abs", "Abs", ("plain:activations:0",), {"T": FLOAT})
    behind: Step = ("root", "Sqrt", ("abs:y:0",), {"T": FLOAT})
    reference = looped(PLAIN, step, behind, frozen=False, last="root:y:0")
    export = looped(
        PLAIN, ("root", "Sqrt", ("plain:activations:0",), {"T": FLOAT}), frozen=True, last="root:y:0"
    )
    finding = found(reference, export)
    assert finding.cause == "preprocess-missing"
    assert finding.message == "Between input and first layer, model.pb lacks Abs abs (in the body of loop)."


def test_differences_of_two_kinds_in_one_body_are_no_kind_of_their_own() -> None:
    turned: Step = ("turned", "ReverseV2", ("root:y:0", "axis:output:0"), {"T": FLOAT})
    axis = held("axis", [3], np.int32)
    root: Step = ("root", "Sqrt", ("scaled:z:0",), {"T": FLOAT})
    reference = looped(*scaled(2.0), root, frozen=False, last="root:y:0")
    export = looped(*scaled(3.0), root, axis, turned, frozen=True, last="turned:output:0")
    assert found(reference, export).cause == "graph-op-differs"
