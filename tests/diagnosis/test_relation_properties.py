"""Every relation of a weight to the checkpoint's: made at random, found, repaired; and one that is nearly so is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.plain import Plan
from graphs.weights import SHADOW, SHAPES, Weights, trained
from pytest_tfparity.diagnosis.relations.chain import relation_of
from pytest_tfparity.diagnosis.relations.elementwise import mixture
from pytest_tfparity.diagnosis.relations.relation import Relation
from pytest_tfparity.result import Finding

Made = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Remade = Callable[[np.ndarray, Relation], np.ndarray]
KERNEL, VARIANCE, BIAS = "b/conv/kernel", "b/bn/moving_variance", "head/kernel"
SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A relation: how it is made, the cause that tells it, and what its numbers say of the array.

    ``remade`` follows the relation that was found: bit for bit, or within ``rounding`` of the values.
    """

    made: Made
    kind: str
    cause: str
    remade: Remade
    rounding: float = 0.0
    weight: str = KERNEL


def half(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32)


def cut_to_bfloat16(array: np.ndarray) -> np.ndarray:
    return (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def permuted(axis: int) -> Made:
    def made(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return kernel.take(np.roll(random.permutation(kernel.shape[axis]), 1), axis)

    return made


def disordered(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return random.permutation(kernel.reshape(-1)).reshape(kernel.shape)


def zeroed(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    bound = np.float32(np.quantile(np.abs(kernel), random.uniform(0.1, 0.9)))
    return np.where(np.abs(kernel) < bound, np.float32(0), kernel)


def masked(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    mask = random.random(kernel.shape) < 0.5
    mask.reshape(-1)[np.argmax(np.abs(kernel))] = True  # the largest, which no bound would take
    mask.reshape(-1)[np.argmin(np.abs(kernel))] = False
    return np.where(mask, np.float32(0), kernel)


def clipped(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    low, high = np.float32(np.quantile(kernel, [random.uniform(0.05, 0.3), random.uniform(0.7, 0.95)]))
    return np.clip(kernel, low, high)


def eight_bits(axes: tuple[int, ...] | None) -> Made:
    def made(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
        step = np.abs(kernel).max(axes, keepdims=True) / np.float32(127)
        return np.asarray(np.rint(kernel / step) * step, np.float32)

    return made


def channels_scaled(kernel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return kernel * random.uniform(0.3, 3, kernel.shape[-1]).astype(np.float32)


def on_steps(original: np.ndarray, relation: Relation) -> np.ndarray:
    """The widths of the steps that were found, for each value."""
    size = [1] * original.ndim
    if relation.axis is not None:
        size[relation.axis] = -1
    return np.broadcast_to(np.reshape(relation.factors, size), original.shape)


def same_values(original: np.ndarray, relation: Relation) -> np.ndarray:
    return np.sort(original, None)


def of(kind: str, remade: Remade, made: Made, cause: str, **more: object) -> Case:
    return Case(made=made, kind=kind, cause=cause, remade=remade, **more)  # type: ignore[arg-type]


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sqrt(x)": np.sqrt,
    "x**2": np.square,
    "1/x": np.reciprocal,
    "1/sqrt(x)": lambda x: 1 / np.sqrt(x),
}
CASES = {
    "float16": of("float16", lambda o, r: half(o), lambda k, _: half(k), "weights-fp16"),
    "bfloat16": of("bfloat16", lambda o, r: cut_to_bfloat16(o), lambda k, _: cut_to_bfloat16(k), "weights-bf16"),
    "transposed": of(
        "transposed", lambda o, r: o.transpose(r.axes), lambda k, _: k.transpose(0, 1, 3, 2), "kernel-transposed"
    ),
    "rows and columns transposed": of(
        "transposed", lambda o, r: o.transpose(r.axes), lambda k, _: k.transpose(1, 0, 2, 3), "kernel-transposed"
    ),
    **{
        f"permuted along axis {axis}": of(
            "permuted|flipped",
            lambda o, r: o.take(r.order, r.axis) if r.axis is not None else np.flip(o, r.axes),
            permuted(axis),
            "weights-permuted",
        )
        for axis in (2, 3)
    },
    "rotated": of("flipped", lambda o, r: np.flip(o, r.axes), lambda k, _: np.flip(k, (0, 1)), "weights-permuted"),
    "flipped": of("flipped", lambda o, r: np.flip(o, r.axes), lambda k, _: np.flip(k, 0), "weights-permuted"),
    "another layout by a reshape": of(
        "reordered",
        lambda o, r: o.transpose(r.axes).reshape(o.shape),
        lambda k, _: k.transpose(3, 2, 0, 1).reshape(k.shape),
        "weights-permuted",
    ),
    "in disorder": of("permuted", same_values, disordered, "weights-permuted"),
    "negated": of("negated", lambda o, r: -o, lambda k, _: -k, "weights-altered"),
    "zeroed": of("zeroed", lambda o, r: np.where(np.abs(o) < r.bound, 0, o), zeroed, "weights-altered"),
    "masked": of("masked", lambda o, r: o, masked, "weights-altered"),
    "clipped": of("clipped", lambda o, r: np.clip(o, *np.float32(r.limits)), clipped, "weights-altered"),
    "eight bits": of("rounded", on_steps, eight_bits(None), "weights-quantised-8bit", rounding=1e-6),
    "eight bits a channel": of("rounded", on_steps, eight_bits((0, 1, 2)), "weights-quantised-8bit", rounding=1e-6),
    "one factor": of(
        "scaled", lambda o, r: o * r.number, lambda k, g: k * np.float32(g.uniform(0.2, 0.9)), "weights-altered",
        rounding=1e-6,
    ),
    "one factor a channel": of(
        "channels scaled", lambda o, r: o * np.float64(r.factors), channels_scaled, "weights-altered", rounding=1e-6
    ),
    **{
        name: of(
            "mapped",
            lambda o, r: FUNCTIONS[r.function](np.float64(o)),
            lambda v, _, name=name: np.float32(FUNCTIONS[name](v)),  # type: ignore[misc]
            "bn-stats-transformed",
            rounding=1e-6,
            weight=VARIANCE,
        )
        for name in FUNCTIONS
    },
    "plus epsilon": of(
        "mapped", lambda o, r: o + np.float64(r.number), lambda v, _: v + np.float32(1e-2), "bn-stats-transformed",
        rounding=1e-6, weight=VARIANCE,
    ),
    "times a scale factor": of(
        "scaled", lambda o, r: o * r.number, lambda v, _: v * np.float32(999.98), "bn-stats-transformed", rounding=1e-6,
        weight=VARIANCE,
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", CASES)


def pair(case: Case, seed: int) -> tuple[Weights, np.ndarray]:
    """A network with weights of this seed, and one of them changed."""
    network = Weights(values=trained(seed))
    random = np.random.default_rng(seed)
    array = np.ascontiguousarray(case.made(network.values[case.weight], random), np.float32)
    return network, array


def told(network: Weights, changed: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    found: tuple[Finding, ...] = network.diagnosis(network.values | changed).findings
    return [(each.cause, each.certainty) for each in found]


def nudged(array: np.ndarray) -> np.ndarray:
    """The array with its largest value a thousandth larger."""
    other = array.copy()
    place = np.unravel_index(np.argmax(np.abs(other)), other.shape)
    other[place] *= np.float32(1.001)
    return other


@EACH
@given(seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_a_relation_that_was_made_is_found_and_its_repair_proven(name: str, seed: int) -> None:
    case = CASES[name]
    network, array = pair(case, seed)
    original = network.values[case.weight]
    if np.array_equal(array, original):  # a permutation that moves nothing
        return
    relation = relation_of(array, original)
    assert relation is not None
    assert relation.kind in case.kind.split("|")
    remade = np.asarray(case.remade(original, relation))
    if case.kind == "rounded":  # halfway between two steps either is the nearest
        remade = np.rint(array / remade) * remade
        assert (np.abs(array - original) <= 0.501 * case.remade(original, relation)).all()
    if case.remade is same_values:
        remade, array_ = np.sort(original, None), np.sort(array, None)
    elif case.kind == "masked":
        remade, array_ = np.where(array == 0, 0, original), array
        assert relation.changed == int((array != original).sum())
    else:
        array_ = array
    assert np.allclose(remade, array_, rtol=case.rounding, atol=0)
    assert told(network, {case.weight: array}) == [(case.cause, "proven")]


@EACH
@given(seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_what_is_nearly_a_relation_is_not_called_one(name: str, seed: int) -> None:
    case = CASES[name]
    network, array = pair(case, seed)
    near = nudged(array)
    relation = relation_of(near, network.values[case.weight])
    assert relation is None or relation.kind not in case.kind.split("|")
    certain = [cause for cause, certainty in told(network, {case.weight: near}) if certainty != "suggestive"]
    assert case.cause not in certain


# --- relations to more than one tensor


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A network that keeps averages and an older checkpoint."""

    network: Weights
    shadows: dict[str, np.ndarray] = field(default_factory=dict)


def kept(seed: int) -> Kept:
    values, noise = trained(seed), trained(seed + 1)
    shadows = {f"{name}{SHADOW}": np.float32(0.8 * values[name] + 0.2 * noise[name]) for name in SHAPES}
    other = {f"{name}/slow": np.float32(0.7 * values[name] + 0.3 * noise[name]) for name in SHAPES}
    network = Weights(
        values=values,
        tensors={**shadows, **other},
        keys={name: f"{name}/slow" for name in SHAPES},
        others={"model-60": trained(seed + 2)},
    )
    return Kept(network=network, shadows=shadows)


@given(SEEDS.filter(lambda seed: seed < 2**31), st.floats(0.05, 0.95))
@settings(max_examples=25, deadline=None)
def test_a_mixture_of_variable_and_average_is_solved_and_a_near_one_is_not(seed: int, share: float) -> None:
    one, other = trained(seed)[KERNEL], trained(seed + 1)[KERNEL]
    mixed = np.float32(share) * one + np.float32(1 - share) * other
    found = mixture(mixed, one, other)
    assert found is not None
    assert found.number == pytest.approx(share, abs=1e-5)
    assert mixture(nudged(mixed), one, other) is None


@given(SEEDS.filter(lambda seed: seed < 2**31))
@settings(max_examples=8, deadline=None)
def test_another_average_is_found_repaired_and_not_seen_in_one_that_is_nearly_it(seed: int) -> None:
    held = kept(seed)
    right = {name: held.network.tensors[f"{name}/slow"] for name in SHAPES}
    wrong = held.shadows[f"{BIAS}{SHADOW}"]
    found = held.network.diagnosis(right | {BIAS: wrong}).findings
    assert [each.certainty for each in found] == ["proven"]
    assert found[0].cause in ("ema-other-average", "ema-partially-applied", "ema-applied-unexpectedly")
    near = held.network.diagnosis(right | {BIAS: nudged(wrong)}).findings
    assert all(each.certainty == "suggestive" for each in near)


@given(SEEDS.filter(lambda seed: seed < 2**31))
@settings(max_examples=8, deadline=None)
def test_another_checkpoint_of_some_layers_is_found_repaired_and_not_seen_in_what_is_nearly_it(
    seed: int,
) -> None:
    network = Weights(values=trained(seed), others={"model-60": trained(seed + 2)})
    older = {name: value for name, value in trained(seed + 2).items() if name.startswith("b/")}
    (found,) = network.diagnosis(network.values | older).findings
    assert (found.cause, found.certainty) == ("partial-stale", "proven")
    assert "equal model-60 bit for bit" in found.message
    near = network.diagnosis(network.values | {name: nudged(value) for name, value in older.items()}).findings
    assert all((each.cause, each.certainty) != ("partial-stale", "proven") for each in near)


@given(
    SEEDS.filter(lambda seed: seed < 2**31),
    st.sampled_from(["permuted along axis 3", "zeroed", "eight bits"]),
)
@settings(max_examples=12, deadline=None)
def test_weights_that_the_reference_s_own_graph_holds_have_relations_too(seed: int, name: str) -> None:
    case = CASES[name]
    backbone = {key: value for key, value in trained(seed).items() if key.startswith(("a/", "b/"))}

    def stitched(plan: Plan) -> None:
        for key, value in backbone.items():
            plan.const(key, value, value.dtype)

    rest = {key: value for key, value in trained(seed).items() if key not in backbone}
    network = Weights(values=rest, reference_edit=stitched)
    array = np.ascontiguousarray(case.made(backbone[KERNEL], np.random.default_rng(seed)), np.float32)
    if np.array_equal(array, backbone[KERNEL]):
        return
    assert told(network, {**backbone, KERNEL: array}) == [(case.cause, "proven")]
    near = told(network, {**backbone, KERNEL: nudged(array)})
    assert all(certainty == "suggestive" for _, certainty in near)
