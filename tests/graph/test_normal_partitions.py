"""Partitioned variables, whole on the other side."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.plain import FLOAT, INT, Plan, divergences, proof, prove, side
from pytest_tfparity.graph.align.divergence import Kind
from pytest_tfparity.graph.proof.proof import normalised

WHOLE = np.arange(24, dtype=np.float32).reshape(6, 4)


def partitioned(axis=0, parts=(WHOLE[:2], WHOLE[2:])):
    plan = Plan()
    plan.placeholder()
    for number in range(len(parts)):
        plan.variable(f"w/part_{number}")
        plan(f"w/part_{number}/read", "Identity", f"w/part_{number}")
    plan.const("w/axis", axis, np.int32)
    reads = [f"w/part_{number}/read" for number in range(len(parts))]
    plan("w", "ConcatV2", *reads, "w/axis", T=FLOAT, Tidx=INT, N=len(parts))
    plan("y", "MatMul", "x", "w", T=FLOAT)
    return side(plan, "y", variables={f"w/part_{number}": part for number, part in enumerate(parts)})


def whole(value=WHOLE):
    plan = Plan()
    plan.placeholder()
    plan.const("w", value)
    plan("y", "MatMul", "x", "w", T=FLOAT)
    return side(plan, "y")


@pytest.mark.parametrize(("axis", "parts"), [(0, (WHOLE[:2], WHOLE[2:])), (-1, (WHOLE[:, :3], WHOLE[:, 3:]))])
def test_the_parts_of_a_variable_are_the_whole_constant(axis, parts):
    assert proof(partitioned(axis, parts), whole()).proven
    assert divergences(partitioned(axis, parts), whole()) == ()


def test_parts_in_another_order_or_with_another_bit_are_not():
    assert not proof(partitioned(parts=(WHOLE[2:], WHOLE[:2])), whole()).proven
    (found,) = divergences(partitioned(), whole(WHOLE + 1))
    assert (found.kind, found.reference) == (Kind.CONSTANT, ("w",))


def test_the_same_parts_on_both_sides_are_compared_part_by_part():
    (found,) = divergences(partitioned(), partitioned(parts=(WHOLE[:2], WHOLE[2:] + 1)))
    assert found.export == ("w/part_1",)


def test_parts_that_do_not_fit_together_stay_apart():
    assert not prove(partitioned(parts=(WHOLE[:2], WHOLE[2:, :3])), whole()).proven


def test_the_fingerprint_of_a_reference_does_not_depend_on_the_export():
    reference = partitioned()
    assert prove(reference, whole()).reference_fingerprint == normalised(reference).fingerprint
