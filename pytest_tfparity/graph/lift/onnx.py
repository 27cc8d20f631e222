"""An ONNX file as a graph of TensorFlow ops, its images with the channels last as TensorFlow has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from ..graph import Array, DType, Graph, TensorName
from ..read.onnx import OnnxModel, OnnxNode, OnnxTensor, OnnxValue
from ..read.tensors import numpy_dtype
from .builder import FLOAT, GraphBuilder
from .lifted import Grid, Lifted, Stored, type_name
from .onnx_op import NotLifted, Op, Order, Value
from .onnx_ops import OPS
from .onnx_shapes import Numbers, numbers_of

_HALF, _BFLOAT16, _STRING = 19, 14, 7
_WIDENED = frozenset({_HALF})
_CONTRADICTIONS = (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError)
"""What the arithmetic of shapes raises where attributes do not fit together: there a file is damaged."""


class OnnxLift(NamedTuple):
    """A file translated: what a user calls its inputs and outputs, and what its tensors have become.

    ``inputs`` and ``outputs`` lead to the file's own names; ``tensors`` from a tensor of the graph to the one of the
    file and the order of that one's axes in the graph.
    """

    lifted: Lifted
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    tensors: Mapping[TensorName, tuple[str, Order]]


def lift_onnx(model: OnnxModel) -> OnnxLift:
    """What the outputs of ``model`` compute, constants dequantised, in TensorFlow's layouts."""
    graph = model.graph
    inputs = _shown([value.name for value in graph.inputs], ())
    outputs = _shown([value.name for value in graph.outputs], inputs)
    lifter = _Lifter(model=model, make=GraphBuilder({*inputs, *outputs}))
    for name, value in zip(inputs, graph.inputs, strict=True):
        lifter.feed(name, value)
    for node in graph.nodes:
        lifter.lift(node)
    for name, value in zip(outputs, graph.outputs, strict=True):
        lifter.give(name, value)
    return lifter.lifted(inputs, outputs)


def _shown(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Names that TensorFlow allows for nodes, each once, with the file's own."""
    found: dict[str, str] = {}
    known = set(taken)
    for name in names:
        fitting = shown = GraphBuilder.fitting(name)
        count = 0
        while shown in known:
            count += 1
            shown = f"{fitting}_{count}"
        known.add(shown)
        found[shown] = name
    return found


@dataclass(slots=True)
class _Lifter:
    """A graph on its way: what each tensor of the file has become."""

    model: OnnxModel
    make: GraphBuilder
    values: dict[str, Value] = field(default_factory=dict)
    numbers: dict[str, Numbers] = field(default_factory=dict)
    folded: dict[str, OnnxTensor] = field(default_factory=dict)
    grids: dict[str, tuple[Grid, DType]] = field(default_factory=dict)
    turned: dict[tuple[TensorName, Order], TensorName] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    activations: dict[TensorName, Stored] = field(default_factory=dict)
    opaque: dict[str, str] = field(default_factory=dict)
    origins: dict[TensorName, tuple[str, Order]] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators that the file was written for."""
        return self.model.opset

    def lifted(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> OnnxLift:
        """What was made so far, as far as the outputs need it."""
        whole = self.make.graph
        live = whole.live([*outputs, *inputs])
        lifted = Lifted(
            graph=Graph(nodes={name: node for name, node in whole.nodes.items() if name in live}),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            stored={name: held for name, held in self.stored.items() if name in live},
            activations={tensor: held for tensor, held in self.activations.items() if tensor.node in live},
            opaque={name: op for name, op in self.opaque.items() if name in live},
        )
        tensors = {tensor: origin for tensor, origin in self.origins.items() if tensor.node in live}
        return OnnxLift(lifted, inputs, outputs, tensors)

    def feed(self, name: str, value: OnnxValue) -> None:
        """An input of the file, called ``name``."""
        dtype = lifted_type(value.dtype or FLOAT)
        self._take(value.name, Value(self.make.placeholder(name, dtype, value.dims), None, value.dims))

    def give(self, name: str, value: OnnxValue) -> None:
        """An output of the file, called ``name``."""
        self.make.output(name, self.plain(self.value(value.name)))

    def lift(self, node: OnnxNode) -> None:
        """Translate one operator; what cannot be translated becomes a node of its own op."""
        if self._computed(node):
            return
        try:
            if node.domain or node.op not in OPS or not node.outputs:
                raise NotLifted
            results = OPS[node.op](Op(node, self))
        except (NotLifted, *_CONTRADICTIONS):
            results = self._opaque(node)
        for name, result in zip(node.outputs, results, strict=False):
            if name and result is not None:
                self._take(name, result)

    def _computed(self, node: OnnxNode) -> bool:
        """Note what is known of whole numbers that ``node`` computes; whether it is all: then they are a constant."""
        if node.domain or len(node.outputs) != 1:
            return False
        op = Op(node, self)
        try:
            dims = op.dims(0) if node.op == "Shape" else None
            found = numbers_of(node, dims, op.known, lambda: op.axes(3))
        except NotLifted:
            return False
        if found is None:
            return False
        self.numbers[node.outputs[0]] = found
        whole = [number for number in found if number is not None]
        if len(whole) < len(found) or node.op not in ("Shape", "Gather", "Slice"):
            return False
        value = self.shaped(node, whole)
        self.folded[node.outputs[0]] = OnnxTensor(node.outputs[0], DType(9), value.shape, lambda: value)
        return True

    def shaped(self, node: OnnxNode, whole: list[int]) -> Array:
        """Numbers that ``node`` computes as an array: a single one where a single index is gathered."""
        held = np.asarray(whole, np.int64)
        indices = self.constant(node.inputs[1]) if node.op == "Gather" else None
        return held.reshape(indices.dims) if indices is not None else held

    def _take(self, name: str, value: Value) -> None:
        """Note what a tensor has become that is computed."""
        said = self.model.graph.values.get(name)
        if value.dims is None and said is not None:
            value = value._replace(dims=said.dims)
        self.values[name] = value
        if value.tensor not in self.origins:
            self.origins[value.tensor] = (name, value.order)
            plain = Stored(name=name, type=type_name(self.make.type_of(value.tensor)))
            self.activations.setdefault(value.tensor, plain)

    def constant(self, name: str) -> OnnxTensor | None:
        """The constant that a tensor is; None for one that is computed."""
        return self.folded.get(name) or self.model.graph.constants.get(name)

    def fold(self, name: str, tensor: OnnxTensor, grid: Grid | None = None) -> None:
        """Note that a tensor is a constant, whose integers, if it has such, stand for the numbers of ``grid``."""
        self.folded[name] = tensor
        if grid is not None:
            self.folded[name] = tensor._replace(dtype=FLOAT, load=partial(_dequantised, tensor, grid))
            self.grids[name] = (grid, tensor.dtype)

    def on_grid(self, value: Value, name: str, kind: str, grid: Grid) -> None:
        """Note that ``value``, the tensor ``name``, is rounded to a grid."""
        self.activations[value.tensor] = Stored(name=name, type=kind, grid=grid)

    def value(self, name: str) -> Value:
        """What a tensor has become; constants are put in when they are first read."""
        if name not in self.values:
            tensor = self.constant(name)
            if tensor is None:  # what no operator writes: the file is damaged, or a graph around it gives it
                made = self.make.opaque("ONNX.UNKNOWN", name or "absent", (), [FLOAT])
                self.opaque[made.node] = "UNKNOWN"
                self.values[name] = Value(made, None, None)
            else:
                self.values[name] = Value(self.weights(name, None), None, tensor.dims)
        return self.values[name]

    def plain(self, value: Value) -> TensorName:
        """``value`` with its axes as the file has them."""
        rank = len(value.order) if value.order is not None else 0
        return self.in_order(value, tuple(range(rank)) if rank else None)

    def in_order(self, value: Value, order: Order) -> TensorName:
        """``value`` with its axes in another order than the file's; None is that of the file."""
        if value.order == order or order is None:
            return value.tensor
        held = value.order or tuple(range(len(order)))
        needed = tuple(held.index(axis) for axis in order)
        if needed == tuple(range(len(needed))):
            return value.tensor
        if (value.tensor, needed) not in self.turned:
            axes = self.make.array(f"{value.tensor.node}/perm", needed)
            name = f"{value.tensor.node}/Transpose"
            self.turned[value.tensor, needed] = self.make.add("Transpose", name, [value.tensor, axes])
        return self.turned[value.tensor, needed]

    def weights(self, name: str, layout: Callable[[Array], Array] | None) -> TensorName:
        """A constant of the file, dequantised, in another ``layout``: of its value as of its scales."""
        tensor = self.constant(name)
        if tensor is None:
            raise NotLifted
        if numpy_dtype(tensor.dtype) is None or tensor.dtype.number in (_STRING, _BFLOAT16):
            made = self.make.opaque("ONNX.CONSTANT", name, (), [lifted_type(tensor.dtype)])
            self.opaque[made.node] = "CONSTANT"
            return made
        grid, kind = self.grids.get(name, (None, tensor.dtype))
        change = layout or _as_it_is
        shape = change(np.broadcast_to(np.int8(0), tensor.dims)).shape
        dtype = lifted_type(tensor.dtype)
        made = self.make.constant(tensor.name or name, dtype, shape, partial(_loaded, tensor, change))
        if grid is not None and grid.per_channel:
            grid = Grid(
                scale=change(grid.scale).astype(np.float64),
                zero_point=change(grid.zero_point).astype(np.int64),
                lowest=grid.lowest,
                highest=grid.highest,
            )
        self.stored[made.node] = Stored(name=tensor.name or name, type=type_name(kind), grid=grid)
        return made

    def _opaque(self, node: OnnxNode) -> list[Value | None]:
        op = f"{node.domain}.{node.op}" if node.domain else node.op
        inputs = [self.plain(self.value(name)) for name in node.inputs if name]
        said = [self.model.graph.values.get(name) for name in node.outputs]
        types = [lifted_type(each.dtype) if each and each.dtype else FLOAT for each in said]
        fitting = GraphBuilder.fitting(op)
        made = self.make.opaque(
            f"ONNX.{fitting}", node.name or (node.outputs or (op,))[0], inputs, types or [FLOAT]
        )
        self.opaque[made.node] = op
        return [
            Value(TensorName(made.node, port), None, each.dims if each else None)
            for port, each in enumerate(said)
        ]


def lifted_type(dtype: DType) -> DType:
    """The type of a tensor in the lifted graph: float32 for one of 16 bits."""
    return FLOAT if dtype.number in _WIDENED else dtype


def _dequantised(tensor: OnnxTensor, grid: Grid) -> Array:
    real: Array = ((tensor.load().astype(np.float64) - grid.zero_point) * grid.scale).astype(np.float32)
    return real


def _loaded(tensor: OnnxTensor, change: Callable[[Array], Array]) -> Array:
    """A constant as it stands in the lifted graph."""
    value = tensor.load()
    if value.dtype == np.float16:
        value = value.astype(np.float32)
    changed: Array = change(value).view()
    changed.flags.writeable = False
    return changed


def _as_it_is(value: Array) -> Array:
    return value
