"""Networks of convolutions and batch norms, written node by node: as a checkpoint's graph and as its export."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphs.batch_norm import Build, names, tensor
from pytest_tfparity.diagnosis.case import Case
from pytest_tfparity.diagnosis.diagnose import diagnose
from pytest_tfparity.diagnosis.evidence import Evidence
from pytest_tfparity.graph.graph import DType
from pytest_tfparity.graph.proof.proof import Side, normalised
from pytest_tfparity.result import Finding

FLOAT = DType(1)
WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")
Values = dict[str, np.ndarray]


class Layers(Build):
    """A graph whose weights are variables (a checkpoint's) or, with ``frozen``, constants (an export's)."""

    def __init__(self, values: Mapping[str, np.ndarray], *, frozen: bool) -> None:
        super().__init__()
        self.values = values
        self.frozen = frozen

    def weight(self, name: str, value: np.ndarray | None = None) -> str:
        """A variable as it is read; ``value`` is what the export has in place of its own."""
        if not self.frozen:
            self.add("VariableV2", name, dtype=FLOAT)
        elif name not in self.nodes:
            self.add("Const", name, dtype=FLOAT, value=tensor(self.values[name] if value is None else value))
        return self.add("Identity", f"{name}/read", name, T=FLOAT)

    def conv(self, scope: str, x: str, kernel: np.ndarray | None = None, **attrs: object) -> str:
        attrs = {"strides": (1, 1, 1, 1), "padding": b"SAME", "T": FLOAT, **attrs}
        return self.add("Conv2D", f"{scope}/Conv2D", x, self.weight(f"{scope}/kernel", kernel), **attrs)

    def bias(self, scope: str, x: str, name: str = "bias", value: np.ndarray | None = None) -> str:
        return self.add("BiasAdd", f"{scope}/BiasAdd", x, self.weight(f"{scope}/{name}", value), T=FLOAT)

    def offset(self, name: str, x: str, value: np.ndarray) -> str:
        """What a fold leaves of a batch norm: a constant is added."""
        return self.add("BiasAdd", name, x, self.const(f"{name}_offset", value), T=FLOAT)

    def norm(self, scope: str, x: str, *, training: bool = False, epsilon: float = 1e-3, **other: str) -> str:
        """A fused batch norm; ``other`` are tensors in the place of its weights."""
        reads = [
            other.get(name) or self.weight(f"{scope}/{name}") for name in WEIGHTS[: 2 if training else 4]
        ]
        if training:
            reads += [self.const(f"{scope}/Const", []), self.const(f"{scope}/Const_1", [])]
        attrs = {"is_training": training, "epsilon": epsilon, "data_format": b"NHWC", "T": FLOAT}
        return self.add("FusedBatchNormV3", f"{scope}/FusedBatchNormV3", x, *reads, **attrs)

    def plain_norm(
        self, scope: str, x: str, *, training: bool = False, epsilon: float = 1e-3, scale: bool = True
    ) -> str:
        """``tf.nn.batch_normalization``."""
        mean, variance = (
            self.moments(f"{scope}/moments", x, [0, 1, 2])
            if training
            else (self.weight(f"{scope}/moving_mean"), self.weight(f"{scope}/moving_variance"))
        )
        gamma = self.weight(f"{scope}/gamma") if scale else None
        return self.nn(scope, x, mean, variance, self.weight(f"{scope}/beta"), gamma, epsilon)

    def relu(self, name: str, x: str) -> str:
        return self.add("Relu", name, x, T=FLOAT)

    def side(self, *outputs: str, feeds: Mapping[str, np.ndarray] | None = None) -> Side:
        variables = {} if self.frozen else {name: tensor(value) for name, value in self.values.items()}
        fed = {names(name)[0]: np.asarray(value) for name, value in (feeds or {}).items()}
        return Side(
            graph=self.graph(),
            outputs=tuple(names(*outputs)),
            inputs=tuple(names("x")),
            feeds=fed,
            variables=variables,
        )


def weights(*scopes: str, channels: int = 8, seed: int = 0) -> Values:
    """For each scope a kernel, a bias and the weights of a batch norm, all far from their start."""
    rng = np.random.default_rng(seed)
    values: Values = {}
    for scope in scopes:
        values[f"{scope}/conv/kernel"] = rng.normal(size=(3, 3, channels, channels)).astype(np.float32)
        values[f"{scope}/conv/bias"] = rng.normal(size=channels).astype(np.float32)
        for name in WEIGHTS:
            value = rng.normal(size=channels)
            positive = np.abs(value) + 0.3 if name in ("gamma", "moving_variance") else value
            values[f"{scope}/bn/{name}"] = positive.astype(np.float32)
    return values


def scale_of(values: Values, scope: str, epsilon: float = 1e-3) -> np.ndarray:
    """What a right fold multiplies the kernel by."""
    gamma, variance = values[f"{scope}/gamma"], values[f"{scope}/moving_variance"]
    scale: np.ndarray = gamma / np.sqrt(variance + np.float32(epsilon))
    return scale


def offset_of(values: Values, scope: str, epsilon: float = 1e-3) -> np.ndarray:
    """What a right fold adds."""
    offset: np.ndarray = values[f"{scope}/beta"] - values[f"{scope}/moving_mean"] * scale_of(
        values, scope, epsilon
    )
    return offset


def case(reference: Side, export: Side, checkpoint: Values | None = None) -> Case:
    """Two sides as the diagnosis gets them. The checkpoint is the reference's variables, unless given."""
    held = checkpoint if checkpoint is not None else {}
    tensors = {name: tensor(value) for name, value in held.items()} or dict(reference.variables)
    return Case(
        reference=normalised(reference),
        export=normalised(export),
        checkpoint=tensors,
        keys={name: name for name in reference.variables},
        outputs=(),
        export_name="model.pb",
        remake="freeze again",
        reference_name="model.ckpt",
        reference_noun="checkpoint",
        reference_graph="checkpoint's graph",
    )


def evidence(reference: Side, export: Side, checkpoint: Values | None = None) -> Evidence:
    return Evidence.of(case(reference, export, checkpoint))


def findings(reference: Side, export: Side, checkpoint: Values | None = None) -> tuple[Finding, ...]:
    """What is found; a proof rests on equal fingerprints, nothing is run."""
    return diagnose(case(reference, export, checkpoint)).findings


def only(found: tuple[Finding, ...], cause: str) -> Finding:
    """The one finding, of that cause, proven by its repair."""
    assert [each.cause for each in found] == [cause]
    assert found[0].certainty == "proven"
    assert found[0].repaired_max_abs == 0.0
    return found[0]
