"""Random graphs, ways to write the same graph differently, and ways to change what it computes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from graphs.plain import BOOL, FLOAT, INT
from pytest_tfparity.graph.graph import DType, Graph, Node, Tensor, TensorName
from pytest_tfparity.graph.proof.proof import Side

_UNARY = ("Relu", "Relu6", "Sigmoid", "Tanh", "Neg", "Exp", "Abs", "Softplus", "Sqrt")
_PASSING = ("Identity", "StopGradient", "Snapshot")
_BINARY = ("AddV2", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference", "RealDiv")
_OTHER_BINARY = {"AddV2": "Sub", "Sub": "AddV2", "Mul": "RealDiv", "RealDiv": "Mul", "Maximum": "Minimum",
                 "Minimum": "Maximum", "SquaredDifference": "Sub"}  # fmt: skip
_CONV = {
    "T": FLOAT,
    "strides": (1, 1, 1, 1),
    "padding": b"SAME",
    "data_format": b"NHWC",
    "dilations": (1, 1, 1, 1),
}
_NORM = {
    "T": FLOAT,
    "U": FLOAT,
    "epsilon": 0.0010000000474974513,
    "is_training": False,
    "data_format": b"NHWC",
}
_POOL = {
    "T": FLOAT,
    "ksize": (1, 2, 2, 1),
    "strides": (1, 1, 1, 1),
    "padding": b"SAME",
    "data_format": b"NHWC",
}
# An attribute, and another value of it that means something else.
_CHANGES = {
    "Conv2D": (("strides", (1, 2, 2, 1)), ("padding", b"VALID"), ("dilations", (1, 2, 2, 1))),
    "FusedBatchNormV3": (("epsilon", 9.999999747378752e-06), ("is_training", True), ("data_format", b"NCHW")),
    "MaxPool": (("ksize", (1, 3, 3, 1)), ("padding", b"VALID")),
    "AvgPool": (("ksize", (1, 3, 3, 1)), ("strides", (1, 2, 2, 1))),
    "MatMul": (("transpose_b", True), ("transpose_a", True)),
    "Mean": (("keep_dims", False),),
    "LeakyRelu": (("alpha", 0.30000001192092896),),
    "Cast": (("DstT", DType(2)),),
    "ConcatV2": (),
    "Split": (("num_split", 3),),
}  # fmt: skip


class Draw:
    """A random graph, all of it needed by its outputs."""

    def __init__(self, seed: int, size: int = 12) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.nodes: dict[str, Node] = {"x": Node("x", "Placeholder", attrs={"dtype": FLOAT})}
        self.tensors = [TensorName("x", 0)]
        self.unread = {TensorName("x", 0)}
        for _ in range(self.random.randint(size // 2, size)):
            self.layer()
        outputs = tuple(sorted(self.unread))
        self.side = Side(graph=Graph(self.nodes), outputs=outputs, inputs=(TensorName("x", 0),))

    def layer(self) -> None:
        kind = self.random.choice(
            (
                "unary",
                "unary",
                "binary",
                "binary",
                "conv",
                "norm",
                "pool",
                "matmul",
                "mean",
                "leaky",
                "concat",
                "split",
            )
        )
        x = self.random.choice(self.tensors[-4:])
        if kind == "unary":
            self.add(self.random.choice(_UNARY), (x,), {"T": FLOAT})
        elif kind == "binary":
            other = self.random.choice([*self.tensors, self.const((4,))])
            self.add(self.random.choice(_BINARY), (x, other), {"T": FLOAT})
        elif kind == "conv":
            self.add("Conv2D", (x, self.const((3, 3, 4, 4))), dict(_CONV))
        elif kind == "norm":
            weights = tuple(self.const((4,)) for _ in range(4))
            self.add("FusedBatchNormV3", (x, *weights), dict(_NORM))
        elif kind == "pool":
            self.add(self.random.choice(("MaxPool", "AvgPool")), (x,), dict(_POOL))
        elif kind == "matmul":
            self.add(
                "MatMul", (x, self.const((4, 4))), {"T": FLOAT, "transpose_a": False, "transpose_b": False}
            )
        elif kind == "mean":
            axes = self.const((2,), np.int32)
            self.add("Mean", (x, axes), {"T": FLOAT, "Tidx": INT, "keep_dims": True})
        elif kind == "leaky":
            self.add("LeakyRelu", (x,), {"T": FLOAT, "alpha": 0.20000000298023224})
        elif kind == "concat":
            inputs = (x, self.random.choice(self.tensors), self.const((), np.int32))
            self.add("ConcatV2", inputs, {"T": FLOAT, "Tidx": INT, "N": 2})
        else:
            self.add("Split", (self.const((), np.int32), x), {"T": FLOAT, "num_split": 2}, ports=2)

    def const(self, shape: tuple[int, ...], dtype: type = np.float32) -> TensorName:
        name = f"const_{len(self.nodes)}"
        array = np.asarray(self.numbers.standard_normal(shape) * 4).astype(dtype)
        value = Tensor(FLOAT if dtype is np.float32 else INT, shape, lambda: array)
        self.nodes[name] = Node(name, "Const", attrs={"dtype": value.dtype, "value": value})
        return TensorName(name, 0)

    def add(self, op: str, inputs: tuple[TensorName, ...], attrs: dict, ports: int = 1) -> None:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes[name] = Node(name, op, inputs, (), attrs)
        self.unread -= set(inputs)
        made = [TensorName(name, port) for port in range(ports)]
        self.tensors += made
        self.unread |= set(made)


def rewritten(side: Side, seed: int, *, rename: bool = True) -> Side:
    """The same function, written otherwise: other names and order, more identities, variables for constants."""
    rand = random.Random(seed)
    names = {name: f"import/{rand.randrange(10**9)}_{name}" if rename else name for name in side.graph.nodes}
    nodes: list[Node] = []
    variables = {}

    def renamed(source: TensorName) -> TensorName:
        return TensorName(names[source.node], source.port)

    for node in side.graph.nodes.values():
        name = names[node.name]
        if node.op == "Const" and rand.random() < 0.5:
            variables[name] = node.attrs["value"]
            nodes.append(Node(name, "VariableV2", attrs={"dtype": node.attrs["dtype"]}))
            continue
        inputs = []
        for position, source in enumerate(map(renamed, node.inputs)):
            if rand.random() < 0.3:
                extra = f"{name}/identity_{position}"
                nodes.append(Node(extra, rand.choice(_PASSING), (source,)))
                source = TensorName(extra, 0)
            inputs.append(source)
        attrs = dict(node.attrs)
        if rand.random() < 0.5:
            attrs["_class"] = (b"loc:@" + name.encode(),)
            for silent, default in (("dilations", (1, 1, 1, 1)), ("data_format", b"NHWC")):
                if attrs.get(silent) == default:
                    del attrs[silent]
        nodes.append(Node(name, node.op, tuple(inputs), (), attrs))
    rand.shuffle(nodes)
    graph = Graph({node.name: node for node in nodes})
    return Side(
        graph=graph,
        outputs=tuple(map(renamed, side.outputs)),
        inputs=tuple(map(renamed, side.inputs)),
        variables=variables,
    )


@dataclass(frozen=True)
class Change:
    """One change of a graph: what was done, and the node (by the name in the changed graph) that it was done to."""

    kind: str
    node: str
    side: Side


def changed(side: Side, seed: int) -> Change:
    """``side`` with one bit, attribute, op or edge of its live part changed, or a node inserted or deleted."""
    rand = random.Random(seed)
    while True:
        change = _changed(side, rand, seed)
        if change is not None:
            return change


def _changed(side: Side, rand: random.Random, seed: int) -> Change | None:
    """One random change of a random node; None where that kind of change does not suit that node."""
    kind = rand.choice(list(_KINDS))
    live = side.graph.live([str(output) for output in side.outputs])
    return _KINDS[kind](side, rand.choice(list(live)), live, rand, seed)


def _with_node(side: Side, node: Node) -> Side:
    return replace(side, graph=Graph({**side.graph.nodes, node.name: node}))


def _bit(side: Side, name: str, live: Mapping[str, Node], rand: random.Random, seed: int) -> Change | None:
    node = live[name]
    value = node.attrs.get("value", side.variables.get(name))
    if not isinstance(value, Tensor):
        return None
    other = _flipped(value, rand)
    if name in side.variables:
        return Change("bit", name, replace(side, variables={**side.variables, name: other}))
    return Change("bit", name, _with_node(side, node._replace(attrs={**node.attrs, "value": other})))


def _attribute(
    side: Side, name: str, live: Mapping[str, Node], rand: random.Random, seed: int
) -> Change | None:
    node = live[name]
    choices = _CHANGES.get(node.op, ())
    if not choices:
        return None
    attr, value = rand.choice(choices)
    return Change("attribute", name, _with_node(side, node._replace(attrs={**node.attrs, attr: value})))


def _op(side: Side, name: str, live: Mapping[str, Node], rand: random.Random, seed: int) -> Change | None:
    node = live[name]
    if node.op in _UNARY:
        other = rand.choice([op for op in _UNARY if op != node.op])
        return Change("op", name, _with_node(side, node._replace(op=other)))
    if node.op in _OTHER_BINARY:
        return Change("op", name, _with_node(side, node._replace(op=_OTHER_BINARY[node.op])))
    return None


def _edge(side: Side, name: str, live: Mapping[str, Node], rand: random.Random, seed: int) -> Change | None:
    node, nodes, varying = live[name], side.graph.nodes, _varying(live)
    slots = [slot for slot, source in enumerate(node.inputs) if source.node in varying]
    if not slots or node.op in _PASSING:
        return None
    slot = rand.choice(slots)
    earlier = [TensorName(other, 0) for other in list(live)[: list(live).index(name)] if other in varying]
    old = _through(nodes, node.inputs[slot])
    choices = [source for source in earlier if _through(nodes, source) != old]
    if not choices:
        return None
    return Change("edge", name, _with_node(side, _with_input(node, slot, rand.choice(choices))))


def _insert(side: Side, name: str, live: Mapping[str, Node], rand: random.Random, seed: int) -> Change | None:
    node, varying = live[name], _varying(live)
    slots = [slot for slot, source in enumerate(node.inputs) if source.node in varying]
    if not slots:
        return None
    slot = rand.choice(slots)
    made = Node(f"inserted_{seed}", "Erf", (node.inputs[slot],), (), {"T": FLOAT})
    reader = _with_input(node, slot, TensorName(made.name, 0))
    return Change("insert", made.name, _with_node(_with_node(side, made), reader))


def _delete(side: Side, name: str, live: Mapping[str, Node], rand: random.Random, seed: int) -> Change | None:
    node = live[name]
    if node.op not in _UNARY:
        return None

    def around(edges: tuple[TensorName, ...]) -> tuple[TensorName, ...]:
        return tuple(node.inputs[0] if edge.node == name else edge for edge in edges)

    nodes = {each.name: each._replace(inputs=around(each.inputs)) for each in side.graph.nodes.values()}
    return Change("delete", name, replace(side, graph=Graph(nodes), outputs=around(side.outputs)))


_KINDS: Mapping[str, Callable[[Side, str, Mapping[str, Node], random.Random, int], Change | None]] = {
    "bit": _bit,
    "attribute": _attribute,
    "op": _op,
    "edge": _edge,
    "insert": _insert,
    "delete": _delete,
}


def _with_input(node: Node, slot: int, source: TensorName) -> Node:
    return node._replace(inputs=(*node.inputs[:slot], source, *node.inputs[slot + 1 :]))


def _varying(live: Mapping[str, Node]) -> set[str]:
    varying: set[str] = set()
    for node in live.values():
        if node.op == "Placeholder" or any(source.node in varying for source in node.inputs):
            varying.add(node.name)
    return varying


def _through(nodes: Mapping[str, Node], source: TensorName) -> TensorName:
    while nodes[source.node].op in _PASSING:
        source = nodes[source.node].inputs[0]
    return source


def _flipped(value: Tensor, rand: random.Random) -> Tensor:
    array = np.array(value.array)
    bits = array.reshape(-1).view(np.uint8)
    bits[rand.randrange(bits.size)] ^= 1 << rand.randrange(8)
    return Tensor(value.dtype, value.shape, lambda: array)


__all__ = ["BOOL", "Change", "Draw", "changed", "rewritten"]
