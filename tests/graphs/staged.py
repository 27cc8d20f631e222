"""A small network in stages, each of which one side may leave out or do otherwise.

    reference = staged(frozen=False)
    export = staged(frozen=True, input=reverse, activation=None)

Stages, in order: input, first (conv), activation, middle, second (conv), last, output.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphs.batch_norm import names
from graphs.layers import FLOAT, Layers, Values, weights
from pytest_tfparity.graph.graph import TensorName
from pytest_tfparity.graph.proof.proof import Side

INT = 3
Stage = Callable[[Layers, str], str]
VALUES = weights("first", "second", "aux", channels=3)


def staged(
    *,
    frozen: bool,
    input: Stage | None = None,
    activation: Stage | None = lambda net, x: net.add("Relu", "first/act", x, T=FLOAT),
    middle: Stage | None = None,
    second: Stage = lambda net, x: net.conv("second/conv", x),
    output: Stage | None = None,
    also: Stage | None = None,
    outputs: tuple[str, ...] = (),
    values: Values | None = None,
) -> Side:
    """The network; ``also`` adds nodes beside it, ``outputs`` are others than its last node."""
    net = Layers(VALUES if values is None else values, frozen=frozen)
    x = net.image()
    x = input(net, x) if input else x
    x = net.conv("first/conv", x)
    x = activation(net, x) if activation else x
    hidden = middle(net, x) if middle else x
    x = second(net, hidden)
    x = output(net, x) if output else x
    if also:
        also(net, hidden)
    return net.side(*(outputs or (x,)))


def multiplied(name: str, factor: object) -> Stage:
    """The data times a constant."""

    def stage(net: Layers, x: str) -> str:
        return net.add("Mul", name, x, net.const(f"{name}/y", factor), T=FLOAT)

    return stage


def shifted(name: str, by: object) -> Stage:
    """The data minus a constant."""

    def stage(net: Layers, x: str) -> str:
        return net.add("Sub", name, x, net.const(f"{name}/y", by), T=FLOAT)

    return stage


def op(kind: str, name: str, **attrs: object) -> Stage:
    """An op of one input."""
    return lambda net, x: net.add(kind, name, x, T=FLOAT, **attrs)


def set_by(kind: str, name: str, value: object, dtype: str = "int32", **attrs: object) -> Stage:
    """An op of the data and one constant: ``Transpose``, ``Pad``, ``ReverseV2``, ``Reshape``."""

    def stage(net: Layers, x: str) -> str:
        return net.add(kind, name, x, net.const(f"{name}/set", value, dtype), T=FLOAT, **attrs)

    return stage


def all_of(*stages: Stage) -> Stage:
    """One stage after the other."""

    def stage(net: Layers, x: str) -> str:
        for each in stages:
            x = each(net, x)
        return x

    return stage


def uniform(net: Layers, scope: str, x: str, *, like: bool = True) -> str:
    """Random numbers between 0 and 1 in the shape of the data, or a single one."""
    shape = (
        net.add("Shape", f"{scope}/Shape", x, T=FLOAT) if like else net.const(f"{scope}/Shape", [], "int32")
    )
    return net.add("RandomUniform", f"{scope}/uniform/RandomUniform", shape, dtype=FLOAT, seed=1)


def dropout(scope: str, *, spelling: str = "floor", keep: float = 0.5, switch: str | None = None) -> Stage:
    """``tf.nn.dropout`` as 1.12 (floor), 1.15 (mask) or 2 (select) write it; ``switch`` holds keep_prob."""

    def stage(net: Layers, x: str) -> str:
        drawn = uniform(net, scope, x)
        if spelling == "floor":
            kept = net.const(f"{switch or scope}/input", keep)
            if switch:
                kept = net.add("PlaceholderWithDefault", switch, kept, dtype=FLOAT)
            mask = net.add(
                "Floor", f"{scope}/Floor", net.add("Add", f"{scope}/add", kept, drawn, T=FLOAT), T=FLOAT
            )
            return net.add(
                "Mul", f"{scope}/mul_1", net.add("RealDiv", f"{scope}/div", x, kept, T=FLOAT), mask, T=FLOAT
            )
        passed = net.add(
            "GreaterEqual", f"{scope}/GreaterEqual", drawn, net.const(f"{scope}/rate", 1 - keep), T=FLOAT
        )
        scaled = net.add("Mul", f"{scope}/mul", x, net.const(f"{scope}/scale", 1 / keep), T=FLOAT)
        if spelling == "mask":
            return net.add("Mul", f"{scope}/mul_1", scaled, net.add("Cast", f"{scope}/Cast", passed), T=FLOAT)
        return net.add(
            "SelectV2", f"{scope}/SelectV2", passed, scaled, net.const(f"{scope}/zero", 0.0), T=FLOAT
        )

    return stage


def with_inputs(side: Side, *inputs: str, outputs: tuple[str, ...] = ()) -> Side:
    """The side with other inputs, or outputs."""
    kept: tuple[TensorName, ...] = tuple(names(*outputs)) or side.outputs
    return Side(
        graph=side.graph,
        outputs=kept,
        inputs=tuple(names(*inputs)),
        feeds=side.feeds,
        variables=side.variables,
    )


def kernel_reversed() -> np.ndarray:
    """The first kernel with its input channels reversed."""
    return VALUES["first/conv/kernel"][:, :, ::-1].copy()
