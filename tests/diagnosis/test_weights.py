"""Every constant of an export is told whose it is, by content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tfparity.diagnosis.provenance import Provenance, provenance
from pytest_tfparity.diagnosis.relations.relation import Relation
from pytest_tfparity.graph.graph import DType, Tensor

SHADOW = "/ExponentialMovingAverage"
_NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def tensor(value: object) -> Tensor:
    array = np.asarray(value)
    return Tensor(DType(_NUMBERS[array.dtype.name]), array.shape, lambda: array)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def checkpoint() -> dict[str, Tensor]:
    """Two layers, averaged, with slots and BN statistics."""
    tensors = {}
    for index, layer in enumerate(("a", "b")):
        tensors[f"{layer}/kernel"] = tensor(random(3, 3, 4, 4, seed=10 * index + 1))
        tensors[f"{layer}/kernel/Adam"] = tensor(random(3, 3, 4, 4, seed=10 * index + 2))
        tensors[f"{layer}/kernel{SHADOW}"] = tensor(random(3, 3, 4, 4, seed=10 * index + 3))
        tensors[f"{layer}/bn/moving_mean"] = tensor(random(4, seed=10 * index + 4))
        tensors[f"{layer}/bn/moving_variance"] = tensor(random(4, seed=10 * index + 5) ** 2)
    tensors["global_step"] = tensor(np.int64(80))
    return tensors


def one(value: object, name: str = "a/kernel", **options: object) -> Provenance:
    (found,) = provenance({name: tensor(value)}, checkpoint(), **options)  # type: ignore[arg-type]
    return found


def kernel(name: str = "a/kernel") -> np.ndarray:
    return np.asarray(checkpoint()[name].array)


def test_the_own_variable_and_its_moving_average_are_told_apart() -> None:
    assert one(kernel()).kind == "own"
    shadow = one(kernel(f"a/kernel{SHADOW}"))
    assert (shadow.kind, shadow.source, shadow.averaged) == ("shadow", f"a/kernel{SHADOW}", True)


@pytest.mark.parametrize(
    ("source", "kind"),
    [("b/kernel", "other variable"), (f"b/kernel{SHADOW}", "other shadow"), ("b/kernel/Adam", "slot")],
)
def test_the_content_of_another_tensor_is_named(source: str, kind: str) -> None:
    found = one(kernel(source))
    assert (found.kind, found.source, found.variable) == (kind, source, "a/kernel")


def test_a_renamed_constant_is_the_variable_that_it_holds_and_no_other() -> None:
    found = one(kernel("b/kernel"), name="Const_7")
    assert (found.kind, found.source, found.variable) == ("variable", "b/kernel", None)
    placed = one(kernel("b/kernel"), name="Const_7", variables_of={"Const_7": "a/kernel"})
    assert placed.kind == "other variable"


def test_a_float16_image_is_recognised() -> None:
    rounded = kernel().astype(np.float16)
    assert one(rounded.astype(np.float32)).kind == "float16"
    assert one(rounded).kind == "float16"


@pytest.mark.parametrize("rounding", ["truncated", "nearest"])
def test_a_bfloat16_image_says_how_it_was_rounded(rounding: str) -> None:
    whole = kernel().view(np.uint32).astype(np.uint64)
    if rounding == "nearest":
        whole = whole + 0x7FFF + ((whole >> 16) & 1)
    image = (whole & 0xFFFF0000).astype(np.uint32).view(np.float32)
    found = one(image)
    assert (found.kind, found.relation and found.relation.rounding) == ("bfloat16", rounding)


def test_a_transpose_says_which() -> None:
    found = one(np.ascontiguousarray(kernel().transpose(0, 1, 3, 2)))
    assert (found.relation, found.source) == (Relation(kind="transposed", axes=(0, 1, 3, 2)), "a/kernel")


def test_a_transpose_of_a_renamed_kernel_is_found() -> None:
    found = one(np.ascontiguousarray(kernel("b/kernel").transpose(3, 2, 0, 1)), name="Const_1")
    assert (found.kind, found.source) == ("transposed", "b/kernel")


def test_other_arrangements_of_the_same_values_are_recognised() -> None:
    assert one(kernel().reshape(9, 16)).kind == "reshaped"
    assert one(kernel()[::-1].copy()).kind == "flipped"
    assert one(-kernel()).kind == "negated"
    scaled = one(kernel() * np.float32(0.25))
    assert scaled.relation == Relation(kind="scaled", number=pytest.approx(0.25))


def test_rounded_weights_tell_their_step() -> None:
    step = 0.25
    found = one((np.rint(kernel() / step) * step).astype(np.float32))
    assert found.relation == Relation(kind="rounded", factors=(step,))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_mixture_of_variable_and_average_is_solved(share: float) -> None:
    d = np.float32(share)
    mixed = d * kernel(f"a/kernel{SHADOW}") + (np.float32(1) - d) * kernel()
    found = one(mixed)
    assert found.relation == Relation(kind="mixture", number=pytest.approx(share, abs=1e-5))


def test_another_checkpoint_of_the_folder_is_named() -> None:
    older = {"a/kernel": tensor(random(3, 3, 4, 4, seed=77))}
    found = one(random(3, 3, 4, 4, seed=77), others={"model-40": older, "model-20": checkpoint()})
    assert (found.kind, found.checkpoints) == ("other checkpoint", ("model-40",))


def test_unrelated_values_are_unknown_with_a_cosine() -> None:
    unrelated, near = one(random(3, 3, 4, 4, seed=99)), one(kernel() + 0.1 * random(3, 3, 4, 4, seed=5))
    assert (unrelated.kind, near.kind) == ("unknown", "unknown")
    assert unrelated.cosine is not None
    assert near.cosine is not None
    assert abs(unrelated.cosine) < 0.3 < 0.95 < near.cosine


def test_zeros_in_place_of_a_trained_variable_are_initial_values_and_prove_no_origin() -> None:
    found = one(np.zeros(4, np.float32), name="a/bn/moving_mean")
    assert (found.kind, found.informative) == ("initial", False)


def test_zeros_are_not_looked_up_among_other_variables() -> None:
    tensors = {"a/bias": tensor(np.zeros(4, np.float32)), "b/bias": tensor(random(4))}
    (own,) = provenance({"a/bias": tensor(np.zeros(4, np.float32))}, tensors)
    assert (own.kind, own.informative) == ("own", False)
    (nobody,) = provenance({"Const": tensor(np.zeros(4, np.float32))}, tensors)
    assert (nobody.kind, nobody.source) == ("unknown", None)


def test_another_shape_is_said() -> None:
    assert one(random(3, 3, 4, 7)).kind == "other shape"


def test_nan_is_compared_by_its_bits() -> None:
    value = random(6)
    value[2] = np.nan
    (found,) = provenance({"w": tensor(value.copy())}, {"w": tensor(value)})
    assert found.kind == "own"


@given(st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(0, 143))
def test_one_changed_bit_is_never_the_own_variable(seed: int, bit: int, place: int) -> None:
    value = np.random.default_rng(seed).standard_normal(144).astype(np.float32)
    changed = value.copy()
    changed.view(np.uint32)[place] ^= np.uint32(1 << bit)
    (found,) = provenance({"w": tensor(changed)}, {"w": tensor(value)})
    assert found.kind not in ("own", "shadow", "variable", "transposed", "reshaped", "permuted", "negated")
