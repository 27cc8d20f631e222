"""One wrong TFLite export of each cause, as a converter makes it: cause, layer, and whether a repair proves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.saved_models import checked, write_module
from graphs.tflite import Kind, convert
from pytest_tfparity.result import Finding, ParityResult

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install pytest-tfparity[tflite]")

CHANNELS = 24
Weights = Mapping[str, np.ndarray]
NAMES = ("gamma", "beta", "moving_mean", "moving_variance")


def drawn(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, 0.25, shape).astype(np.float32)

    def between(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, CHANNELS).astype(np.float32)

    return {
        "conv": normal(3, 3, 3, CHANNELS),
        "gamma": between(0.5, 1.5),
        "beta": normal(CHANNELS),
        "moving_mean": normal(CHANNELS),
        "moving_variance": between(0.05, 2),
        "second": normal(3, 3, CHANNELS, CHANNELS),
        "bias": normal(CHANNELS),
        "second_gamma": between(0.5, 1.5),
        "second_beta": normal(CHANNELS),
        "second_mean": normal(CHANNELS),
        "second_variance": between(0.05, 2),
        "depthwise": 2 * normal(3, 3, CHANNELS, 1),
        "dense": normal(4 * 4 * CHANNELS, 10) / 2,
        "dense_bias": normal(10),
        "aux": normal(CHANNELS, 10),
        "aux_bias": normal(10),
    }


WEIGHTS = drawn(1)


def but(**changed: np.ndarray) -> Weights:
    return {**WEIGHTS, **{name: np.ascontiguousarray(value, np.float32) for name, value in changed.items()}}


def untrained() -> Weights:
    zeros = ("beta", "moving_mean", "bias", "second_beta", "second_mean", "dense_bias", "aux_bias")
    ones = ("gamma", "moving_variance", "second_gamma", "second_variance")
    made = drawn(7)
    return {
        name: np.zeros_like(value) if name in zeros else np.ones_like(value) if name in ones else value
        for name, value in made.items()
    }


@dataclass(frozen=True, kw_only=True)
class Network:
    """How the network is built; the reference is ``Network()``."""

    weights: Weights = field(default_factory=lambda: WEIGHTS)
    epsilon: float = 1e-3
    padding: Any = "SAME"
    resize: Mapping[str, Any] = field(default_factory=lambda: {"half_pixel_centers": True})
    nearest: bool = False
    order: tuple[int, ...] = (0, 1, 2, 3)
    before: Callable[[Any], Any] = lambda image: image
    activation: str = "relu6"
    exchanged: bool = False

    def __call__(self, module: Any, image: Any) -> dict[str, Any]:
        activate = getattr(tf.nn, self.activation)

        def normed(x: Any, *weights: Any) -> Any:
            return tf.compat.v1.nn.fused_batch_norm(x, *weights, epsilon=self.epsilon, is_training=False)[0]

        with tf.name_scope("block1"):
            x = tf.nn.conv2d(self.before(image), module.conv, 2, self.padding)
            x = activate(normed(x, module.gamma, module.beta, module.moving_mean, module.moving_variance))
        with tf.name_scope("up"):
            v1 = tf.compat.v1.image
            resize = v1.resize_nearest_neighbor if self.nearest else v1.resize_bilinear
            x = resize(x, (16, 16), **self.resize)
        with tf.name_scope("block2"):
            x = tf.nn.conv2d(x, module.second, 2, "SAME") + module.bias
            x = activate(
                normed(x, module.second_gamma, module.second_beta, module.second_mean, module.second_variance)
            )
        with tf.name_scope("block3"):
            x = activate(tf.nn.depthwise_conv2d(x, module.depthwise, [1, 2, 2, 1], "SAME"))
        with tf.name_scope("head"):
            flat = tf.reshape(tf.transpose(x, self.order) if self.order[1] != 1 else x, [-1, 16 * CHANNELS])
            logits = tf.matmul(flat, module.dense) + module.dense_bias
        with tf.name_scope("side"):
            aux = tf.matmul(tf.reduce_mean(x, [1, 2]), module.aux) + module.aux_bias
        first, second = (aux, logits) if self.exchanged else (logits, aux)
        return {"logits": first, "aux": second}


def images() -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 1, (8, 16, 16, 3)).astype(np.float32)


def write(folder: Path, network: Network) -> Path:
    scopes = {"conv": "block1/kernel", "second": "block2/kernel", "bias": "block2/bias"}
    scopes |= {name: f"block1/bn/{name}" for name in NAMES}
    seconds = ("second_gamma", "second_beta", "second_mean", "second_variance")
    scopes |= {name: f"block2/bn/{role}" for name, role in zip(seconds, NAMES, strict=True)}
    scopes |= {"depthwise": "block3/depthwise", "dense": "head/kernel", "dense_bias": "head/bias"}
    scopes |= {"aux": "side/kernel", "aux_bias": "side/bias"}
    return write_module(folder, network, network.weights, {"image": [None, 16, 16, 3]}, names=scopes)


@dataclass(frozen=True, kw_only=True)
class Fault:
    network: Network
    cause: str
    scope: str
    certain: bool = True


PERMUTED = np.random.default_rng(3).permutation(CHANNELS)
FAULTS: Mapping[str, Fault] = {
    "epsilon": Fault(network=Network(epsilon=0.03), cause="bn-folded-wrong-epsilon", scope="block1"),
    "statistics": Fault(
        network=Network(weights=but(moving_mean=np.zeros(CHANNELS), moving_variance=np.ones(CHANNELS))),
        cause="bn-stats-initial-values",
        scope="block1",
    ),
    "inputs and outputs": Fault(
        network=Network(weights=but(second=WEIGHTS["second"].transpose(0, 1, 3, 2))),
        cause="kernel-transposed",
        scope="block2",
    ),
    "height and width": Fault(
        network=Network(weights=but(conv=WEIGHTS["conv"].transpose(1, 0, 2, 3))),
        cause="kernel-transposed",
        scope="block1",
    ),
    "output channels": Fault(
        network=Network(weights=but(second=WEIGHTS["second"][..., PERMUTED])),
        cause="weights-permuted",
        scope="block2",
    ),
    "classes": Fault(
        network=Network(weights=but(dense=WEIGHTS["dense"][:, ::-1])), cause="weights-permuted", scope="head"
    ),
    "flipped": Fault(
        network=Network(weights=but(depthwise=WEIGHTS["depthwise"][::-1, ::-1])),
        cause="weights-permuted",
        scope="block3",
    ),
    "flatten": Fault(network=Network(order=(0, 3, 1, 2)), cause="flatten-order", scope="head"),
    "channel order": Fault(
        network=Network(before=lambda image: image[..., ::-1]), cause="channel-order", scope="block1"
    ),
    "padding": Fault(
        network=Network(padding=[[0, 0], [1, 0], [1, 0], [0, 0]]), cause="padding", scope="block1"
    ),
    "resize": Fault(network=Network(resize={"align_corners": True}), cause="resize-attr", scope="up"),
    "resize method": Fault(network=Network(nearest=True), cause="resize-op", scope="up"),
    "preprocessing": Fault(
        network=Network(before=lambda image: image - 0.5), cause="input-scaling", scope="block1"
    ),
    "outputs": Fault(network=Network(exchanged=True), cause="wrong-output-node", scope=""),
    "another run": Fault(network=Network(weights=drawn(2)), cause="other-run", scope="block2", certain=False),
    "untrained": Fault(
        network=Network(weights=untrained()), cause="initial-values", scope="block2", certain=False
    ),
}
ATOL: Mapping[Kind, float] = {"float": 1e-4, "float16": 2e-2, "int8": 0.6}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("reference") / "model", Network())


def against(reference: Path, export: Path, kind: Kind) -> ParityResult:
    np.savez(export.parent / "images.npz", image=images())
    inputs = {"image": {"npz": export.parent / "images.npz", "key": "image"}}
    return checked(
        {"saved_model": reference},
        {"tflite": export},
        inputs=inputs,
        outputs=["logits", "aux"],
        atol=ATOL[kind],
    )


def told(fault: Fault, reference: Path, folder: Path, kind: Kind) -> Finding:
    wrong = write(folder / "wrong", fault.network)
    result = against(reference, convert(wrong, folder / "model.tflite", kind, images()), kind)
    assert result.verdict == "fail"
    assert len(result.findings) == 1, [(each.cause, each.message) for each in result.findings]
    return result.findings[0]


@pytest.mark.parametrize("kind", ATOL)
def test_a_right_export_passes(reference: Path, tmp_path: Path, kind: Kind) -> None:
    result = against(reference, convert(reference, tmp_path / "model.tflite", kind, images()), kind)
    assert (result.verdict, result.findings) == ("pass", ())


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_one_is_told(reference: Path, tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    finding = told(fault, reference, tmp_path, "float")
    assert (finding.cause, finding.certainty) == (fault.cause, "proven" if fault.certain else "suggestive")
    assert fault.scope in " ".join(finding.scopes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float16", "int8"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_one_of_fewer_bits_is_told(reference: Path, tmp_path: Path, name: str, kind: Kind) -> None:
    fault = FAULTS[name]
    finding = told(fault, reference, tmp_path, kind)
    assert finding.cause == fault.cause
    assert finding.certainty in (("proven", "decisive") if fault.certain else ("suggestive",))


def test_weights_beyond_float16_are_told(tmp_path: Path) -> None:
    large = WEIGHTS["dense"].copy()
    large[5, 3] = 9e4
    reference = write(tmp_path / "model", Network(weights=but(dense=large)))
    result = against(reference, convert(reference, tmp_path / "model.tflite", "float16"), "float16")
    (finding,) = result.findings
    assert (finding.cause, finding.certainty) == ("weights-fp16", "decisive")
    assert finding.message.startswith("1 of 3,840 weights of head are larger than float16 can hold (65,504)")
