"""What an export of the fault corpus holds in the place of the checkpoint's tensors.

A change of weights is a function of the checkpoint's tensors and the right values, both by name, to
the values of the export. Names end in ``gamma``, ``moving_mean`` and so on, shadows in ``SHADOW``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import numpy as np

SHADOW = "/ExponentialMovingAverage"
FAST = "/fast"
"""What a second average of a variable is called."""
STATISTICS = ("moving_mean", "moving_variance")
Weights: TypeAlias = Mapping[str, np.ndarray]
Change: TypeAlias = Callable[[Weights, Weights], Weights]


def trained(shapes: Mapping[str, tuple[int, ...]], run: str = "") -> dict[str, np.ndarray]:
    """Weights as training leaves them; they depend on their names and on ``run`` alone."""
    values = {}
    for name, shape in shapes.items():
        base = name.removesuffix(SHADOW).removesuffix(FAST)
        value = _weight(base, shape, np.random.default_rng(zlib.crc32((run + base).encode())))
        if name.endswith((SHADOW, FAST)) and "moments" not in name:
            noise = np.random.default_rng(zlib.crc32((run + name).encode())).uniform(0.7, 1.2, shape)
            value = value * noise
        values[name] = np.asarray(value, np.int64 if base == "global_step" else np.float32)
    return values


def _weight(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    last = name.rpartition("/")[2]
    if last == "global_step":
        return np.asarray(1000)
    if last in ("gamma", "moving_variance") or name.endswith("Squeeze_1"):
        return generator.uniform(0.4, 1.8, shape)
    if last in ("beta", "bias", "moving_mean") or name.endswith("Squeeze"):
        return generator.normal(0, 0.4, shape)
    if last == "low":
        return np.full(shape, -2.0)
    if last == "high":
        return np.full(shape, 2.0)
    fan_in = int(np.prod(shape[:-1])) or 1
    return generator.normal(0, 1.3 / np.sqrt(fan_in), shape)


def initial(name: str, value: np.ndarray) -> np.ndarray:
    """What an initialiser would have put there."""
    last = name.rpartition("/")[2]
    if last in ("gamma", "moving_variance"):
        return np.ones_like(value)
    if last in ("beta", "bias", "moving_mean", "global_step"):
        return np.zeros_like(value)
    generator = np.random.default_rng(zlib.crc32(("start" + name).encode()))
    fans = np.prod(value.shape[:-2]) * sum(value.shape[-2:])  # as glorot_uniform_initializer counts them
    bound = np.sqrt(6 / fans)
    return generator.uniform(-bound, bound, value.shape).astype(np.float32)


def layer_of(name: str) -> str:
    return name.rpartition("/")[0]


def at_start(*layers: str, only: Collection[str] = ()) -> Change:
    """These layers (none: all) hold initial values, or those of their variables that end in ``only``."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        return {
            name: initial(name, value)
            if (not layers or layer_of(name) in layers) and (not only or name.rpartition("/")[2] in only)
            else value
            for name, value in right.items()
        }

    return change


def of_layers(*layers: str, value: Callable[[np.ndarray], np.ndarray], only: Collection[str] = ()) -> Change:
    """``value(tensor)`` in these layers (none: in all), or in their variables that end in ``only``."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        return {
            name: np.asarray(value(tensor), np.float32)
            if tensor.dtype == np.float32
            and (not layers or layer_of(name) in layers)
            and (not only or name.rpartition("/")[2] in only)
            else tensor
            for name, tensor in right.items()
        }

    return change


def raw(*layers: str) -> Change:
    """These layers (none: all) hold raw weights where moving averages are right."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        return {
            name: checkpoint[name] if not layers or layer_of(name) in layers else value
            for name, value in right.items()
        }

    return change


def averaged(*layers: str, only: Collection[str] = ()) -> Change:
    """These layers (none: all) hold their moving averages where raw weights are right."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        return {
            name: checkpoint[name + SHADOW]
            if name + SHADOW in checkpoint
            and (not layers or layer_of(name) in layers)
            and (not only or name.rpartition("/")[2] in only)
            else value
            for name, value in right.items()
        }

    return change


def of_second_average(*layers: str) -> Change:
    """These layers (none: all) hold the second average of their variables."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        return {
            name: checkpoint[name + FAST]
            if name + FAST in checkpoint and (not layers or layer_of(name) in layers)
            else value
            for name, value in right.items()
        }

    return change


def mixed(share: float) -> Change:
    """``share * average + (1 - share) * raw``, which one more step of the average leaves."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        return {
            name: np.float32(share) * checkpoint[name + SHADOW] + np.float32(1 - share) * checkpoint[name]
            if name + SHADOW in checkpoint
            else value
            for name, value in right.items()
        }

    return change


def exchanged(*pairs: tuple[str, str]) -> Change:
    """Variables that hold one another's value."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        swapped = dict(right)
        for one, other in pairs:
            swapped[one], swapped[other] = right[other], right[one]
        return swapped

    return change


def older(checkpoint: Weights) -> Weights:
    """An earlier step of the same run: every tensor has moved since, none is as it started."""
    moved = {}
    for name, value in checkpoint.items():
        noise = np.random.default_rng(zlib.crc32(("older" + name).encode())).uniform(0.5, 1.3, value.shape)
        moved[name] = np.asarray(600 if name == "global_step" else value * noise, value.dtype)
    return moved


def of_older_step(checkpoint: Weights, right: Weights) -> Weights:
    """The values of :func:`older`."""
    past = older(checkpoint)
    return {name: past[name] for name in right}


def of_other_run(checkpoint: Weights, right: Weights) -> Weights:
    """The same network, trained another time."""
    return trained({name: value.shape for name, value in right.items()}, run="other")


def in_layers(of: Change, *layers: str, only: Collection[str] = ()) -> Change:
    """These layers as ``of`` leaves them, or their variables that end in ``only``; the others right."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        changed = of(checkpoint, right)
        return {
            name: changed[name]
            if layer_of(name) in layers and (not only or name.rpartition("/")[2] in only)
            else value
            for name, value in right.items()
        }

    return change


def both(*changes: Change) -> Change:
    """One change after another."""

    def change(checkpoint: Weights, right: Weights) -> Weights:
        for each in changes:
            right = each(checkpoint, right)
        return right

    return change


def half(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16)


def brain(value: np.ndarray) -> np.ndarray:
    """The value cut to the sixteen bits of bfloat16."""
    return (value.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def rounded(steps: int) -> Callable[[np.ndarray], np.ndarray]:
    """The value on so many equally spaced steps, as ``round_weights`` leaves it."""

    def change(value: np.ndarray) -> np.ndarray:
        low, high = value.min(), value.max()
        return low + np.round((value - low) / (high - low) * steps) * (high - low) / steps

    return change


def eight_bits(axis: int) -> Callable[[np.ndarray], np.ndarray]:
    """The value in eight bits, one scale for each entry of ``axis``, as float again."""

    def change(value: np.ndarray) -> np.ndarray:
        axes = tuple(index for index in range(value.ndim) if index != axis % value.ndim)
        step = np.abs(value).max(axes, keepdims=True) / np.float32(127)
        return np.clip(np.rint(value / step), -127, 127) * step

    return change


def without_statistics(checkpoint: Weights) -> Weights:
    """What ``Saver(tf.trainable_variables())`` saves."""
    return {name: value for name, value in checkpoint.items() if not name.endswith(STATISTICS)}
