"""``compare: weights`` passes only where every weight is the checkpoint's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pytest_tfparity.diagnosis.weights_parity import weights_parity
from pytest_tfparity.graph.graph import DType, Tensor

SHADOW = "/ExponentialMovingAverage"


def tensor(value: object) -> Tensor:
    array = np.asarray(value, np.float32)
    return Tensor(DType(1), array.shape, lambda: array)


def random(seed: int, *shape: int) -> Tensor:
    return tensor(np.random.default_rng(seed).standard_normal(shape))


def checkpoint(averaged: bool = False) -> dict[str, Tensor]:
    tensors = {
        "conv/kernel": random(1, 3, 3, 2, 4),
        "conv/kernel/Momentum": random(2, 3, 3, 2, 4),
        "bn/gamma": random(3, 4),
        "bn/beta": random(4, 4),
        "bn/moving_mean": random(5, 4),
        "bn/moving_variance": random(6, 4),
        "aux/kernel": random(7, 5, 5),
        "beta1_power": tensor(0.9),
    }
    if averaged:
        tensors |= {name + SHADOW: random(20 + i, *tensors[name].shape) for i, name in enumerate(_USED)}
    return tensors


_USED = ("conv/kernel", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance")


def export(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensors[name] for name in _USED} | {"keep_prob": tensor(0.5)}


def test_the_checkpoints_own_weights_pass_and_an_unused_head_is_a_note() -> None:
    tensors = checkpoint()
    found = weights_parity(export(tensors), tensors)
    assert found.passed
    assert (found.equal, found.left_out, found.undecided) == (5, ("aux/kernel",), False)


def test_renamed_weights_pass_by_their_content() -> None:
    tensors = checkpoint()
    renamed = {f"Const_{index}": value for index, value in enumerate(export(tensors).values())}
    assert weights_parity(renamed, tensors).passed


@pytest.mark.parametrize("name", _USED)
def test_one_changed_weight_fails_and_is_named(name: str) -> None:
    tensors = checkpoint()
    wrong = export(tensors)
    wrong[name] = tensor(np.nextafter(wrong[name].array, np.float32(9)))
    (mismatch,) = weights_parity(wrong, tensors).mismatches
    assert (mismatch.problem, mismatch.constant) == ("differs", name)
    assert mismatch.told("checkpoint").startswith(f"{name} differs from {name} of the checkpoint")


@pytest.mark.parametrize("name", _USED)
def test_a_renamed_export_with_zeros_in_place_of_a_layer_fails(name: str) -> None:
    tensors = checkpoint()
    wrong = export(tensors)
    wrong[name] = tensor(np.zeros(wrong[name].shape))
    renamed = {f"Const_{index}": value for index, value in enumerate(wrong.values())}
    problems = [(each.problem, each.variable) for each in weights_parity(renamed, tensors).mismatches]
    assert ("unused", name) in problems


def test_swapped_weights_fail() -> None:
    tensors = checkpoint()
    wrong = export(tensors) | {"bn/gamma": tensors["bn/beta"], "bn/beta": tensors["bn/gamma"]}
    messages = [each.told("checkpoint") for each in weights_parity(wrong, tensors).mismatches]
    assert "bn/gamma differs from bn/gamma of the checkpoint: it is bn/beta." in messages
    assert len(messages) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda value: np.zeros_like(value), "one number throughout."),
        (lambda value: value.astype(np.float16).astype(np.float32), "conv/kernel, rounded to float16."),
        (lambda value: np.flip(value, 0), "conv/kernel, flipped."),
        (lambda value: -value, "conv/kernel, with the opposite sign."),
    ],
)
def test_a_weight_that_differs_is_told_with_what_it_is(
    changed: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    tensors = checkpoint()
    wrong = export(tensors) | {"conv/kernel": tensor(changed(tensors["conv/kernel"].array))}
    (mismatch,) = weights_parity(wrong, tensors).mismatches
    assert (
        mismatch.told("checkpoint") == f"conv/kernel differs from conv/kernel of the checkpoint: it is {said}"
    )


def test_statistics_that_a_training_mode_export_lacks_are_reported() -> None:
    tensors = checkpoint()
    wrong = export(tensors)
    del wrong["bn/moving_mean"], wrong["bn/moving_variance"]
    found = weights_parity(wrong, tensors)
    assert [each.variable for each in found.mismatches] == ["bn/moving_mean", "bn/moving_variance"]


def test_a_constant_of_no_variable_fails_but_the_mean_colour_of_the_input_does_not() -> None:
    tensors = checkpoint()
    strange = export(tensors) | {"extra/kernel": random(50, 6, 6)}
    assert [each.problem for each in weights_parity(strange, tensors).mismatches] == ["not found"]
    colour = export(tensors) | {"preprocess/mean": tensor([123.0, 116.0, 103.0])}
    found = weights_parity(colour, tensors)
    assert found.passed
    assert found.structural == ("preprocess/mean",)


def test_an_export_without_weights_never_passes() -> None:
    (mismatch,) = weights_parity({"keep_prob": tensor(1.0)}, checkpoint()).mismatches
    assert mismatch.problem == "nothing"


def averaged(tensors: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return export(tensors) | {name: tensors[name + SHADOW] for name in names}


_TRAINED = ("conv/kernel", "bn/gamma", "bn/beta")


@pytest.mark.parametrize(
    ("names", "ema", "wrong"),
    [
        ((), "none", ()),
        (_TRAINED, "trainable", ()),
        (_USED, "all", ()),
        (_TRAINED, ("conv/*", "*/gamma", "*/beta"), ()),
        ((), None, ()),
        (_TRAINED, None, ()),
        ((), "trainable", _TRAINED),
        (_TRAINED, "none", _TRAINED),
        (_USED, "trainable", ("bn/moving_mean", "bn/moving_variance")),
        (_TRAINED, "all", ("bn/moving_mean", "bn/moving_variance")),
        (("conv/kernel", "bn/gamma"), None, ("bn/beta",)),
        (("bn/moving_mean",), None, ("bn/moving_mean",)),
    ],
)
def test_moving_averages_are_expected_where_they_are_asked_for(
    names: tuple[str, ...], ema: str | tuple[str, ...] | None, wrong: tuple[str, ...]
) -> None:
    tensors = checkpoint(averaged=True)
    found = weights_parity(averaged(tensors, *names), tensors, ema=ema)
    assert sorted(each.constant or "" for each in found.mismatches) == sorted(wrong)
    assert found.undecided == (ema is None)
