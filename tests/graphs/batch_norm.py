"""Small graphs with batch norms in them, written node by node."""

from __future__ import annotations

import numpy as np

from pytest_tfparity.graph.graph import DType, Graph, Node, Shape, Tensor, TensorName, tensor_name


def tensor(value: object, dtype: str = "float32") -> Tensor:
    array = np.asarray(value, dtype)
    number = {"float32": 1, "int32": 3, "bool": 10, "int64": 9, "float16": 19}[dtype]
    return Tensor(DType(number), array.shape, lambda: array)


class Build:
    """A graph in the making; every method returns the name of what it added."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    def add(self, op: str, name: str, *inputs: str, controls: tuple[str, ...] = (), **attrs: object) -> str:
        self.nodes[name] = Node(name, op, tuple(tensor_name(each) for each in inputs), controls, attrs)  # type: ignore[arg-type]
        return name

    def const(self, name: str, value: object, dtype: str = "float32") -> str:
        return self.add("Const", name, value=tensor(value, dtype))

    def image(self, name: str = "x", rank: int = 4) -> str:
        return self.add("Placeholder", name, shape=Shape((-1,) * rank))

    def weights(
        self, scope: str, channels: int = 3, names: str = "gamma beta moving_mean moving_variance"
    ) -> list[str]:
        return [
            self.const(f"{scope}/{name}", np.linspace(0.5, 2.0, channels) * (index + 1))
            for index, name in enumerate(names.split())
        ]

    def moments(self, scope: str, x: str, axes: list[int], keep: bool = False) -> tuple[str, str]:
        """Mean and variance of ``x`` over ``axes``, as ``tf.nn.moments`` spells them."""
        self.const(f"{scope}/axes", axes, "int32")
        mean = self.add("Mean", f"{scope}/mean", x, f"{scope}/axes", keep_dims=True)
        self.add("StopGradient", f"{scope}/StopGradient", mean)
        self.add("SquaredDifference", f"{scope}/SquaredDifference", x, f"{scope}/StopGradient")
        variance = self.add("Mean", f"{scope}/variance", f"{scope}/SquaredDifference", f"{scope}/axes")
        if keep:
            return mean, variance
        return self.add("Squeeze", f"{scope}/Squeeze", mean), self.add(
            "Squeeze", f"{scope}/Squeeze_1", variance
        )

    def nn(
        self,
        scope: str,
        x: str,
        mean: str,
        variance: str,
        beta: str | None,
        gamma: str | None,
        epsilon: float = 1e-3,
    ) -> str:
        """The nodes of ``tf.nn.batch_normalization``."""
        s = f"{scope}/batchnorm"
        self.const(f"{s}/add/y", epsilon)
        self.add("AddV2", f"{s}/add", variance, f"{s}/add/y")
        inverse = self.add("Rsqrt", f"{s}/Rsqrt", f"{s}/add")
        if gamma:
            inverse = self.add("Mul", f"{s}/mul", inverse, gamma)
        self.add("Mul", f"{s}/mul_1", x, inverse)
        if beta:
            self.add("Mul", f"{s}/mul_2", mean, inverse)
            self.add("Sub", f"{s}/sub", beta, f"{s}/mul_2")
        else:
            self.add("Neg", f"{s}/Neg", mean)
            self.add("Mul", f"{s}/sub", f"{s}/Neg", inverse)
        return self.add("AddV2", f"{s}/add_1", f"{s}/mul_1", f"{s}/sub")

    def choose(self, name: str, predicate: str, yes: str, no: str) -> str:
        """``tf.cond(predicate, lambda: yes, lambda: no)`` as Switch and Merge."""
        self.add("Switch", f"{name}/Switch_1", yes, predicate)
        self.add("Switch", f"{name}/Switch_2", no, predicate)
        return self.add("Merge", f"{name}/Merge", f"{name}/Switch_2:0", f"{name}/Switch_1:1")

    def graph(self) -> Graph:
        return Graph(self.nodes)


def names(*tensors: str) -> list[TensorName]:
    return [tensor_name(each) for each in tensors]
