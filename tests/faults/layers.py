"""Layers that a network of the fault corpus is made of, in the spellings that real code has.

``changes`` says, by the layer's scope, what an export does otherwise than the checkpoint's graph:
other options for a layer (a mapping), another function for an operation, or None to leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1

Operation = Callable[..., Any]
Changes = Mapping[str, Any]


class Layers:
    """Builds into the default graph.

    ``norm`` is how batch norm is spelt: ``"fused"`` or ``"arithmetic"`` (``tf.nn.batch_normalization``).
    ``phase`` is None, or the tensor that switches every batch norm between both modes by ``tf.cond``.
    ``kernel`` is the name of the weights of convolutions and dense layers.
    """

    def __init__(
        self, changes: Changes, *, norm: str = "fused", resource: bool = False, kernel: str = "kernel"
    ) -> None:
        self.changes = changes
        self.norm = norm
        self.resource = resource
        self.kernel = kernel
        self.phase: Any = None

    def options(self, scope: str, **usual: Any) -> dict[str, Any]:
        """``usual``, but for what the export does otherwise at ``scope``."""
        return {**usual, **self.changes.get(scope, {})}

    def variable(self, name: str, shape: tuple[int, ...], trainable: bool = True) -> Any:
        return v1.get_variable(
            name,
            shape,
            tf.float32,
            initializer=v1.glorot_uniform_initializer() if len(shape) > 1 else v1.zeros_initializer(),
            trainable=trainable,
            use_resource=self.resource,
        )

    def apply(self, name: str, function: Operation | None, *tensors: Any) -> Any:
        """The operation ``function(*tensors, name=name)``; without one, the first tensor as it is."""
        function = self.changes.get(name, function)
        if function is None:
            return tensors[0]
        scope, _, last = name.rpartition("/")
        with v1.name_scope(f"{scope}/" if scope else None):
            return function(*tensors, name=last)

    def conv(self, x: Any, scope: str, filters: int, **usual: Any) -> Any:
        """A 2-D convolution, without bias unless ``bias=True``."""
        plain = {"size": 3, "stride": 1, "padding": "SAME", "bias": False, "variables": scope}
        o = self.options(scope, **{**plain, "filters": filters, **usual})
        with v1.variable_scope(o["variables"], reuse=v1.AUTO_REUSE, auxiliary_name_scope=False):
            kernel = self.variable(self.kernel, (o["size"], o["size"], x.shape[-1], o["filters"]))
            bias = self.variable("bias", (o["filters"],)) if o["bias"] else None
        with v1.name_scope(scope + "/"):
            y = tf.nn.conv2d(x, kernel, strides=o["stride"], padding=o["padding"], name="Conv2D")
            return y if bias is None else tf.nn.bias_add(y, bias, name="BiasAdd")

    def dense(self, x: Any, scope: str, units: int, **usual: Any) -> Any:
        """A dense layer, with a bias unless ``bias=False``."""
        o = self.options(scope, **{"bias": True, "units": units, **usual})
        with v1.variable_scope(scope, auxiliary_name_scope=False):
            kernel = self.variable(self.kernel, (x.shape[-1], o["units"]))
            bias = self.variable("bias", (o["units"],)) if o["bias"] else None
        with v1.name_scope(scope + "/"):
            y = tf.matmul(x, kernel, name="MatMul")
            return y if bias is None else tf.nn.bias_add(y, bias, name="BiasAdd")

    def batch_norm(self, x: Any, scope: str) -> Any:
        """Batch norm with moving statistics; ``axis`` is that of the channels."""
        o = self.options(scope, training=False, epsilon=1e-3, scale=True, axis=-1, spelt=self.norm)
        channels = x.shape[o["axis"]]
        with v1.variable_scope(scope, auxiliary_name_scope=False):
            gamma = self.variable("gamma", (channels,)) if o["scale"] else None
            beta = self.variable("beta", (channels,))
            mean = self.variable("moving_mean", (channels,), trainable=False)
            variance = self.variable("moving_variance", (channels,), trainable=False)
        spelt = _fused if o["spelt"] == "fused" and len(x.shape) == 4 else _arithmetic
        with v1.name_scope(scope + "/"):

            def normalised(training: bool) -> Any:
                return spelt(x, gamma, beta, mean, variance, o["epsilon"], training, o["axis"])

            if self.phase is None or "training" in self.changes.get(scope, {}):
                return normalised(o["training"])
            return v1.cond(self.phase, lambda: normalised(True), lambda: normalised(False))


def _fused(
    x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float, training: bool, axis: int
) -> Any:
    if gamma is None:
        gamma = tf.ones([x.shape[-1]])
    statistics = {} if training else {"mean": mean, "variance": variance}
    return v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon, is_training=training, **statistics)[0]


def _arithmetic(
    x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float, training: bool, axis: int
) -> Any:
    if training:
        mean, variance = tf.nn.moments(x, [i for i in range(len(x.shape)) if i != axis % len(x.shape)])
    if axis not in (-1, len(x.shape) - 1):
        shape = [1] * len(x.shape)
        shape[axis] = -1
        gamma, beta, mean, variance = (
            None if each is None else tf.reshape(each, shape) for each in (gamma, beta, mean, variance)
        )
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)
