"""Makes a graph of TensorFlow ops: unique names, attributes of types filled in by what each op takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from ..graph import Array, Attr, DType, Graph, Node, Shape, Tensor, TensorName
from ..read.tensors import dtype_of
from ..signatures import ANY, signature, types_of

FLOAT = DType(1)
INT32 = DType(3)
_UNFIT = re.compile(r"[^A-Za-z0-9_.\\/>-]")
_PORT = re.compile(r":\d+$")


class GraphBuilder:
    """A graph that grows node by node. ``reserved`` are names that only the caller gives, exactly as they are.

    ``computed`` are the names that the file gives to what its operators compute: no constant takes one of them, though
    a converter may have named a bias after the operator that adds it.
    """

    def __init__(self, reserved: Collection[str] = (), computed: Iterable[str] = ()) -> None:
        self._nodes: dict[str, Node] = {}
        self._types: dict[TensorName, DType] = {}
        self._reserved = set(reserved)
        self._computed = {self._first(name) for name in computed}

    @property
    def graph(self) -> Graph:
        """What was made so far."""
        return Graph(nodes=self._nodes)

    def fresh(self, text: str, *, constant: bool = False) -> str:
        """A node name like ``text``, the name of a tensor in the file, that no other node has.

        Of a name that a converter made of several (``a;b``) it is the first; what TensorFlow does not allow in a name
        becomes ``_``. A number that has to be added stands behind a dot, as TensorFlow never writes it: ``Relu_1``
        would be another node of the network.
        """
        name = self._first(text)
        found, count = name, 0
        while found in self._nodes or found in self._reserved or (constant and found in self._computed):
            count += 1
            found = f"{name}.{count}"
        return found

    @classmethod
    def _first(cls, text: str) -> str:
        return cls.fitting(text.split(";")[0])

    @staticmethod
    def fitting(text: str) -> str:
        """``text`` as TensorFlow allows it for a node, without a port."""
        return _UNFIT.sub("_", _PORT.sub("", text)).lstrip("_/\\->") or "tensor"

    def placeholder(self, name: str, dtype: DType, dims: Sequence[int] | None) -> TensorName:
        """An input under exactly this name."""
        shape = Shape(None if dims is None else tuple(dims))
        return self._put(Node(name=name, op="Placeholder", attrs={"dtype": dtype, "shape": shape}), [dtype])[
            0
        ]

    def constant(
        self, name: str, dtype: DType, shape: Sequence[int], load: Callable[[], Array]
    ) -> TensorName:
        """A constant whose value is loaded when it is asked for, under a name like ``name``."""
        value = Tensor(dtype=dtype, shape=tuple(shape), load=load)
        node = Node(name=self.fresh(name, constant=True), op="Const", attrs={"dtype": dtype, "value": value})
        return self._put(node, [dtype])[0]

    def array(self, name: str, value: Array | Sequence[int] | int) -> TensorName:
        """A constant of a few numbers, int32 where they are plain integers."""
        held = value if isinstance(value, np.ndarray) else np.asarray(value, np.int32)
        return self.constant(name, dtype_of(held), held.shape, lambda: held)

    def add(self, op: str, name: str, inputs: Sequence[TensorName], **attrs: Attr) -> TensorName:
        """A node of a TensorFlow op, its first output; its types follow from ``inputs`` unless ``attrs`` state them.

        The name is like ``name``.
        """
        told = {**self._inferred(op, inputs), **attrs}
        return self._added(Node(name=self.fresh(name), op=op, inputs=tuple(inputs), attrs=told))

    def output(self, name: str, source: TensorName) -> TensorName:
        """What ``source`` is, under exactly this name."""
        attrs = self._inferred("Identity", [source])
        return self._added(Node(name=name, op="Identity", inputs=(source,), attrs=attrs))

    def _added(self, node: Node) -> TensorName:
        types = types_of(node.op, node.attrs)
        given = types[1] if types is not None else ()
        return self._put(node, [DType(number) for number in given] or [DType(ANY)])[0]

    def opaque(self, op: str, name: str, inputs: Sequence[TensorName], types: Sequence[DType]) -> TensorName:
        """A node of an op that TensorFlow does not have, with outputs of ``types``."""
        return self._put(Node(name=self.fresh(name), op=op, inputs=tuple(inputs)), types)[0]

    def type_of(self, tensor: TensorName) -> DType:
        """The type of a tensor that was made."""
        return self._types[tensor]

    def node(self, name: str) -> Node:
        """A node that was made."""
        return self._nodes[name]

    def held(self, tensor: TensorName) -> Tensor | None:
        """The value of a constant, else None."""
        value = self._nodes[tensor.node].attrs.get("value")
        return value if isinstance(value, Tensor) else None

    def _inferred(self, op: str, inputs: Sequence[TensorName]) -> Mapping[str, Attr]:
        """The attributes that say the types and the number of ``inputs``, in the order of the op's signature."""
        told = signature(op)
        if told is None:
            raise ValueError(f"TensorFlow has no op {op}")
        found: dict[str, Attr] = {}
        rest = list(inputs)
        for position, argument in enumerate(told.inputs):
            after = len(told.inputs) - position - 1
            count = len(rest) - after if argument.number_attr or argument.types_attr else 1
            mine, rest = rest[:count], rest[count:]
            types = [self._types[each] for each in mine]
            if argument.number_attr:
                found[argument.number_attr] = count
            if argument.types_attr:
                found[argument.types_attr] = tuple(types)
            elif argument.type_attr and types:
                found[argument.type_attr] = types[0]
        return found

    def _put(self, node: Node, types: Sequence[DType]) -> list[TensorName]:
        self._nodes[node.name] = node
        made = [TensorName(node.name, port) for port in range(len(types))]
        self._types.update(zip(made, types, strict=True))
        return made


class Translated:
    """An operator of a file that becomes nodes of ``make``, the last one called ``name``."""

    __slots__ = ()
    make: GraphBuilder
    name: str

    def real_constant(self, value: float) -> TensorName:
        """A float32 constant of the translation's own."""
        return self.make.array(f"{self.name}/constant", np.asarray(value, np.float32))
