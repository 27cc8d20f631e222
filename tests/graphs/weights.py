"""A network of two convolutions with batch norm and a dense layer, as a checkpoint and as an export of it.

network = Weights()
findings(network, network.values | {"a/conv/kernel": other})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from graphs.plain import FLOAT, INT, Plan, tensor
from pytest_tfparity.diagnosis.case import Case
from pytest_tfparity.diagnosis.causes import CAUSES
from pytest_tfparity.diagnosis.diagnose import Diagnosis, diagnose
from pytest_tfparity.diagnosis.evidence import Evidence
from pytest_tfparity.graph.graph import Graph, tensor_name
from pytest_tfparity.graph.proof.proof import Side, normalised
from pytest_tfparity.result import Finding

SHADOW = "/ExponentialMovingAverage"
Values = dict[str, np.ndarray]
BLOCKS = ("a", "b", "c")
SHAPES = {
    **{f"{block}/conv/kernel": (3, 3, 4, 4) for block in BLOCKS},
    **{
        f"{block}/bn/{part}": (4,)
        for block in BLOCKS
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    },
    "head/kernel": (4, 5),
    "head/bias": (5,),
}
STATISTICS = tuple(name for name in SHAPES if "moving" in name)


def trained(seed: int = 0) -> Values:
    """Weights far from their initial values; variances and scales positive."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, shape in SHAPES.items():
        value = generator.standard_normal(shape)
        found[name] = (np.abs(value) + 0.5 if name.endswith(("variance", "gamma")) else value).astype(
            np.float32
        )
    return found


def initial(seed: int = 9) -> Values:
    """What the network begins with."""
    constant = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0, "bias": 0.0}
    random = trained(seed)
    return {
        name: np.full(shape, constant[last], np.float32)
        if (last := name.rpartition("/")[2]) in constant
        else random[name]
        for name, shape in SHAPES.items()
    }


def averaged(values: Values, names: tuple[str, ...] = tuple(SHAPES)) -> Values:
    """A moving average of each of ``names``, under the average's name."""
    other = trained(77)
    return {f"{name}{SHADOW}": (0.9 * values[name] + 0.1 * other[name]).astype(np.float32) for name in names}


def graph(weights: Mapping[str, np.ndarray] | None, edit: Callable[[Plan], None] | None = None) -> Graph:
    """The network with ``weights`` as constants, or with variables where there are none."""
    plan = Plan()
    plan.placeholder()
    for name in SHAPES:
        if weights is None:
            plan.variable(name)
        else:
            plan.const(name, weights[name], weights[name].dtype)
    last = "x"
    for block in BLOCKS:
        attrs = {"T": FLOAT, "strides": (1, 1, 1, 1), "padding": b"SAME"}
        plan(f"{block}/conv/Conv2D", "Conv2D", last, f"{block}/conv/kernel", **attrs)
        parts = [f"{block}/bn/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")]
        attrs = {"T": FLOAT, "U": FLOAT, "epsilon": 1e-3, "is_training": False}
        plan(f"{block}/bn/FusedBatchNormV3", "FusedBatchNormV3", f"{block}/conv/Conv2D", *parts, **attrs)
        last = plan(f"{block}/Relu", "Relu", f"{block}/bn/FusedBatchNormV3", T=FLOAT)
    plan.const("pool/axes", [1, 2], np.int32)
    plan("pool", "Mean", last, "pool/axes", T=FLOAT, Tidx=INT, keep_dims=False)
    plan("head/MatMul", "MatMul", "pool", "head/kernel", T=FLOAT)
    plan("head/BiasAdd", "BiasAdd", "head/MatMul", "head/bias", T=FLOAT)
    if edit is not None:
        edit(plan)
    return plan.graph


@dataclass(kw_only=True)
class Weights:
    """The checkpoint: ``values`` by name, further ``tensors``, and what the reference restores (``keys``)."""

    values: Values = field(default_factory=trained)
    tensors: Values = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    others: dict[str, Values] = field(default_factory=dict)
    reference_edit: Callable[[Plan], None] | None = None
    lost: tuple[str, ...] = ()

    def case(self, export: Mapping[str, np.ndarray], edit: Callable[[Plan], None] | None = None) -> Case:
        """The checkpoint beside an export that holds ``export`` (by name), nothing being run."""
        checkpoint = {
            name: tensor(value, value.dtype)
            for name, value in {**self.values, **self.tensors}.items()
            if name not in self.lost
        }
        keys = {name: self.keys.get(name, name) for name in SHAPES}
        fixed = {"outputs": (tensor_name("head/BiasAdd"),), "inputs": (tensor_name("x"),)}
        variables = {name: checkpoint[key] for name, key in keys.items() if key in checkpoint}
        return Case(
            reference=normalised(Side(graph=graph(None, self.reference_edit), variables=variables, **fixed)),
            export=normalised(Side(graph=graph(export, edit), **fixed)),
            checkpoint=checkpoint,
            keys=keys,
            others={
                label: {name: tensor(value) for name, value in values.items()}
                for label, values in self.others.items()
            },
            outputs=(),
            export_name="model.pb",
            remake="freeze again",
            reference_name="model.ckpt",
            reference_noun="checkpoint",
            reference_graph="checkpoint's graph",
        )

    def diagnosis(
        self, export: Mapping[str, np.ndarray], edit: Callable[[Plan], None] | None = None
    ) -> Diagnosis:
        """What is found of it."""
        return diagnose(self.case(export, edit), CAUSES)


def evidence(network: Weights, export: Mapping[str, np.ndarray]) -> Evidence:
    """What an export that holds ``export`` shows before any repair."""
    return Evidence.of(network.case(export))


def findings(
    network: Weights, export: Mapping[str, np.ndarray], edit: Callable[[Plan], None] | None = None
) -> list[Finding]:
    """The findings of :meth:`Weights.diagnosis`, each of which must be proven."""
    found = list(network.diagnosis(export, edit).findings)
    assert all(each.certainty == "proven" for each in found), [each.message for each in found]
    return found


def causes(found: list[Finding]) -> dict[str, tuple[str, ...]]:
    """Cause to scopes, sorted."""
    return {each.cause: tuple(sorted(each.scopes)) for each in found}
