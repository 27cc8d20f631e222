"""One small network twice: a checkpoint of TensorFlow, and the ONNX file that a right export of it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from graphs.onnx_files import Op, write_onnx
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.resolve import resolve

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

_RNG = np.random.default_rng(11)
IMAGES = _RNG.normal(size=(3, 8, 8, 3)).astype(np.float32)
EPSILON = 1e-3


def _array(*shape: int) -> np.ndarray:
    return _RNG.normal(scale=0.5, size=shape).astype(np.float32)


WEIGHTS: Mapping[str, np.ndarray] = {
    "first/kernel": _array(3, 3, 3, 4),
    "bn/gamma": _RNG.uniform(0.5, 1.5, 4).astype(np.float32),
    "bn/beta": _array(4),
    "bn/moving_mean": _array(4),
    "bn/moving_variance": _RNG.uniform(0.5, 2.0, 4).astype(np.float32),
    "second/kernel": _array(3, 3, 4, 5),
    "second/bias": _array(5),
    "dense/kernel": _array(8 * 8 * 5, 4),
    "dense/bias": _array(4),
}


def build(x: Any) -> None:
    """Two convolutions, the second of stride 2, a resize, a dense layer; outputs ``logits`` and ``features``."""

    def weight(name: str) -> Any:
        return v1.get_variable(name, WEIGHTS[name].shape, use_resource=False)

    y = tf.nn.conv2d(x, weight("first/kernel"), 1, "SAME", name="first/Conv2D")
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    y, _, _ = v1.nn.fused_batch_norm(
        y,
        *(weight(f"bn/{name}") for name in names),
        epsilon=EPSILON,
        is_training=False,
        name="bn/FusedBatchNorm",
    )
    y = tf.nn.relu(y, name="relu")
    y = tf.nn.conv2d(y, weight("second/kernel"), 2, "SAME", name="second/Conv2D")
    y = tf.nn.bias_add(y, weight("second/bias"), name="second/BiasAdd")
    tf.reduce_mean(y, [1, 2], name="features")
    y = tf.image.resize(y, (8, 8), name="up/resize")
    y = tf.matmul(tf.reshape(y, [-1, 8 * 8 * 5], name="flat"), weight("dense/kernel"), name="dense/MatMul")
    tf.nn.bias_add(y, weight("dense/bias"), name="logits")


def _first_axes(kernel: np.ndarray) -> np.ndarray:
    """A kernel as ONNX has it: filters, channels, rows, columns."""
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


@dataclass(frozen=True, kw_only=True)
class Export:
    """A right export; a test changes its operators, constants or outputs."""

    ops: Mapping[str, Op] = field(
        default_factory=lambda: {
            "in": Op("Transpose", ("x",), ("x_first",), {"perm": [0, 3, 1, 2]}),
            "first": Op("Conv", ("x_first", "first/kernel"), ("first",), {"auto_pad": "SAME_UPPER"}),
            "bn": Op(
                "BatchNormalization",
                ("first", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"),
                ("bn",),
                {"epsilon": EPSILON},
            ),
            "relu": Op("Relu", ("bn",), ("relu",)),
            "second": Op(
                "Conv",
                ("relu", "second/kernel", "second/bias"),
                ("second",),
                {"strides": [2, 2], "pads": [0, 0, 1, 1]},
            ),
            "features": Op("GlobalAveragePool", ("second",), ("pooled",)),
            "squeezed": Op("Flatten", ("pooled",), ("features",), {"axis": 1}),
            "up": Op(
                "Resize",
                ("second", "", "", "sizes"),
                ("up",),
                {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
            ),
            "back": Op("Transpose", ("up",), ("last",), {"perm": [0, 2, 3, 1]}),
            "flat": Op("Reshape", ("last", "shape"), ("flat",)),
            "dense": Op("Gemm", ("flat", "dense/kernel", "dense/bias"), ("logits",)),
        }
    )
    constants: Mapping[str, np.ndarray] = field(
        default_factory=lambda: {
            **{name: _first_axes(value) if value.ndim == 4 else value for name, value in WEIGHTS.items()},
            "sizes": np.int64([3, 5, 8, 8]),
            "shape": np.int64([-1, 8 * 8 * 5]),
        }
    )
    outputs: Sequence[str] = ("logits", "features")

    def with_op(self, name: str, **changed: Any) -> Export:
        """With another operator in the place of ``name``."""
        attrs = {**self.ops[name].attrs, **changed.pop("attrs", {})}
        return replace(self, ops={**self.ops, name: self.ops[name]._replace(attrs=attrs, **changed)})

    def with_constant(self, **values: np.ndarray) -> Export:
        """With other constants; ``__`` in a name is ``/``."""
        changed = {name.replace("__", "/"): value for name, value in values.items()}
        return replace(self, constants={**self.constants, **changed})

    def write(self, path: Path, **options: Any) -> Path:
        """Write it."""
        return write_onnx(
            path, list(self.ops.values()), self.constants, {"x": [-1, 8, 8, 3]}, self.outputs, **options
        )


def compared(
    folder: Path,
    export: Export | Path,
    *,
    outputs: Sequence[Any] = ("logits", "features"),
    image: Mapping[str, Any] | None = None,
    prepare: Callable[[Any], Any] = lambda x: x,
    also: Callable[[], None] = lambda: None,
    atol: float = 1e-4,
    **options: Any,
) -> ParityResult:
    """Check an export against the checkpoint of :func:`build` behind ``prepare``."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        build(prepare(v1.placeholder(tf.float32, [None, 8, 8, 3], "x")))
        also()
        networks.load(session, WEIGHTS)
        v1.train.Saver().save(session, str(folder / "model"))
    path = export if isinstance(export, Path) else export.write(folder / "model.onnx")
    np.savez(folder / "inputs.npz", x=IMAGES)
    stated = {
        "checkpoint": str(folder / "model"),
        "export": {"onnx": str(path)},
        "inputs": {"x": {"npz": str(folder / "inputs.npz"), "key": "x", **(image or {})}},
        "outputs": list(outputs),
        "atol": atol,
        **options,
    }
    return check(resolve(None, marker=stated, ini={}, options={}, root=folder, name="net"), ModelStore())
