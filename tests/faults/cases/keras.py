"""Faults of networks that Keras built, frozen with its own function or as TensorFlow 1 does it."""

from __future__ import annotations

from faults.corpus import Case, Found, Reference
from faults.keras import frozen_by_keras, small_cnn, with_skip
from faults.weights import at_start, exchanged

STATISTICS = ("moving_mean", "moving_variance")
CNN, SKIP = Reference(network="keras_cnn"), Reference(network="keras_skip")
BY_KERAS = {"outputs": (("answer:0", "Identity:0"),)}


def within(model: str, layer: str) -> str:
    """A layer's scope, by its variables or by its operations; Keras numbers the latter."""
    return f"{layer}|{model}/{layer}|{model}_1/{layer}_1"


def of_cnn(*layers: str) -> tuple[str, ...]:
    return tuple(within("cnn", layer) for layer in layers)


def of_skip(*layers: str) -> tuple[str, ...]:
    return tuple(within("skipping", layer) for layer in layers)


KERAS = (
    Case(
        name="a Keras model is called with training on, and its dropout too",
        reference=CNN,
        changes={"model": {"training": True}},
        findings=(
            Found(cause="bn-training-mode", scopes=of_cnn("b1", "b2")),
            Found(cause="dropout-active", scopes=of_cnn("drop")),
        ),
    ),
    Case(
        name="a functional Keras model is called with training on",
        reference=SKIP,
        changes={"model": {"training": True}},
        findings=(Found(cause="bn-training-mode", scopes=of_skip("deep_norm", "point_norm")),),
    ),
    Case(
        name="epsilon of a Keras batch norm differs",
        reference=CNN,
        changes={"b1": {"epsilon": 0.1}},
        findings=(Found(cause="bn-epsilon-mismatch", scopes=of_cnn("b1")),),
    ),
    Case(
        name="a Keras batch norm is rebuilt without scale",
        reference=SKIP,
        changes={"point_norm": {"scale": False}},
        findings=(Found(cause="bn-gamma-missing", scopes=of_skip("point_norm")),),
    ),
    Case(
        name="an activation of a Keras model differs",
        reference=SKIP,
        changes={"act": {"kind": "elu"}},
        findings=(Found(cause="graph-op-differs", scopes=of_skip("act")),),
    ),
    Case(
        name="a model frozen by Keras has the statistics of one batch norm at their start",
        reference=CNN,
        weights=at_start("b2", only=STATISTICS),
        edit=frozen_by_keras(small_cnn),
        findings=(Found(cause="bn-stats-initial-values", scopes=of_cnn("b2")),),
        **BY_KERAS,
    ),
    Case(
        name="a functional model frozen by Keras was not restored in its last layer",
        reference=SKIP,
        weights=at_start("classes"),
        edit=frozen_by_keras(with_skip),
        findings=(Found(cause="partial-restore", scopes=of_skip("classes")),),
        **BY_KERAS,
    ),
    Case(
        name="a functional model frozen by Keras has gamma and variance exchanged",
        reference=SKIP,
        weights=exchanged(("deep_norm/gamma", "deep_norm/moving_variance")),
        edit=frozen_by_keras(with_skip),
        findings=(Found(cause="ckpt-tensor-mapped-to-wrong-variable", scopes=of_skip("deep_norm")),),
        **BY_KERAS,
    ),
    Case(
        name="a model frozen by Keras is right",
        reference=CNN,
        edit=frozen_by_keras(small_cnn),
        verdict=("proven",),
        **BY_KERAS,
    ),
    Case(
        name="a functional model frozen by Keras is right",
        reference=SKIP,
        edit=frozen_by_keras(with_skip),
        verdict=("proven",),
        **BY_KERAS,
    ),
)
