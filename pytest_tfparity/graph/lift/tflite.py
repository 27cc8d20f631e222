"""A signature of a TFLite file as a graph of TensorFlow ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..graph import Array, DType, TensorName
from ..read.flatbuffer import Malformed
from ..read.tensors import numpy_dtype
from ..read.tflite import CUSTOM, Operator, Quantisation, Subgraph, TFLiteTensor
from .builder import FLOAT, GraphBuilder
from .lifted import Grid, Lifted, Stored, type_name
from .tflite_ops import DEQUANTIZE, NAMES, OPS, NotLifted, Op

_TYPES = {
    0: 1, 1: 19, 2: 3, 3: 4, 4: 9, 5: 7, 6: 10, 7: 5, 8: 8, 9: 6, 10: 2, 11: 18, 12: 23, 13: 20, 14: 21, 15: 22, 16: 17,
    17: 29, 18: 14, 19: 31, 20: 30,
}  # fmt: skip
"""Numbers of TFLite's ``TensorType`` as those of ``tensorflow.DataType``."""
_HALF, _INT4, _STRING = 19, 29, 7
_PACKED = (30, 31)
"""Types of which several share a byte and that are not taken apart: uint4, int2."""
_WIDENED = (_HALF,)


class Lift(NamedTuple):
    """A file translated: what a user calls its inputs and outputs, and each tensor that is computed, by index."""

    lifted: Lifted
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    tensors: Mapping[TensorName, int]


def lift_tflite(
    subgraph: Subgraph, inputs: Mapping[str, int] | None, outputs: Mapping[str, int] | None
) -> Lift:
    """What ``outputs`` compute, constants dequantised, in TensorFlow's layouts.

    ``inputs`` and ``outputs`` are the names of a signature with indices of tensors; None where there is none: they are
    called by their tensors then.
    """
    names = GraphBuilder()
    inputs = _named_by_tensors(names, subgraph, subgraph.inputs) if inputs is None else inputs
    outputs = _named_by_tensors(names, subgraph, subgraph.outputs) if outputs is None else outputs
    fitting = {name: names.fitting(name) for name in (*inputs, *outputs)}
    shown_inputs = {fitting[name]: index for name, index in inputs.items()}
    shown_outputs = {
        fitting[name] if fitting[name] not in shown_inputs else f"{fitting[name]}_output": index
        for name, index in outputs.items()
    }
    computed = (subgraph.tensors[index].name for operator in subgraph.operators for index in operator.outputs)
    lifter = _Lifter(subgraph=subgraph, make=GraphBuilder({*shown_inputs, *shown_outputs}, computed))
    for name, index in shown_inputs.items():
        tensor = subgraph.tensors[index]
        lifter.take(index, lifter.make.placeholder(name, lifted_type(tensor), tensor.shape))
    for operator in subgraph.operators:
        lifter.lift(operator)
    for name, index in shown_outputs.items():
        lifter.make.output(name, lifter.tensor(index))
    lifted = Lifted(
        graph=lifter.make.graph,
        inputs=tuple(shown_inputs),
        outputs=tuple(shown_outputs),
        stored=lifter.constants,
        activations=lifter.activations,
        opaque=lifter.opaque,
    )
    return Lift(lifted, shown_inputs, shown_outputs, lifter.indices)


def _named_by_tensors(names: GraphBuilder, subgraph: Subgraph, indices: Sequence[int]) -> dict[str, int]:
    return {names.fitting(subgraph.tensors[index].name): index for index in indices}


def lifted_type(tensor: TFLiteTensor) -> DType:
    """The type of a tensor in the lifted graph: float32 for what is quantised or of 16 bits."""
    number = _TYPES.get(tensor.type, 0)
    return FLOAT if tensor.quantisation is not None or number in _WIDENED else DType(number)


def stored(tensor: TFLiteTensor) -> Stored:
    """How the file holds a tensor, in the file's own layout."""
    number = _TYPES.get(tensor.type, 0)
    return Stored(
        name=tensor.name,
        type=type_name(DType(number)),
        grid=None if tensor.quantisation is None else _grid(tensor, tensor.quantisation),
    )


@dataclass(slots=True)
class _Lifter:
    """A graph on its way: what each tensor of the subgraph has become."""

    subgraph: Subgraph
    make: GraphBuilder
    made: dict[int, TensorName] = field(default_factory=dict)
    widened: dict[int, int] = field(default_factory=dict)
    constants: dict[str, Stored] = field(default_factory=dict)
    activations: dict[TensorName, Stored] = field(default_factory=dict)
    opaque: dict[str, str] = field(default_factory=dict)
    indices: dict[TensorName, int] = field(default_factory=dict)

    def lift(self, operator: Operator) -> None:
        """Translate one operator; what cannot be translated becomes a node of its own op."""
        fed = operator.inputs and operator.outputs
        if operator.code == DEQUANTIZE and fed and self.constant(operator.inputs[0]) is not None:
            self.widened[operator.outputs[0]] = self.widened.get(operator.inputs[0], operator.inputs[0])
            return
        try:
            lifting = OPS.get(operator.code)
            if lifting is None or not operator.outputs:
                raise NotLifted
            results = lifting(self._op(operator))
        except (
            NotLifted,
            Malformed,
            IndexError,
            ValueError,
        ):  # shapes or options that do not fit the operator
            results = self._opaque(operator)
        for index, result in zip(operator.outputs, results, strict=False):
            self.take(index, result)

    def take(self, index: int, made: TensorName) -> None:
        """Note what a tensor has become that is computed."""
        self.made[index] = made
        if made not in self.activations:
            self.activations[made] = stored(self.subgraph.tensors[index])
            self.indices[made] = index

    def constant(self, index: int) -> TFLiteTensor | None:
        """The constant that a tensor is, dequantised or not; None for one that is computed."""
        tensor = self.subgraph.tensors[self.widened.get(index, index)]
        return tensor if index not in self.made and tensor.contents is not None else None

    def tensor(self, index: int) -> TensorName:
        """What a tensor has become; constants are put in when they are first read."""
        if index in self.made:
            return self.made[index]
        tensor = self.constant(index)
        if tensor is None:  # a variable, or what no operator writes
            named = self.subgraph.tensors[index]
            made = self.make.opaque("TFLite.VARIABLE", named.name, (), [lifted_type(named)])
            self.opaque[made.node] = "VARIABLE"
            self.made[index] = made
            return made
        self.made[index] = self.weights(tensor, None)
        return self.made[index]

    def weights(self, tensor: TFLiteTensor, layout: Callable[[Array], Array] | None) -> TensorName:
        """A constant of the file, dequantised, in another ``layout``: of its value as of its scales."""
        number = _TYPES.get(tensor.type, 0)
        if tensor.sparse or numpy_dtype(DType(number)) is None or number in (_STRING, *_PACKED):
            made = self.make.opaque("TFLite.CONSTANT", tensor.name, (), [lifted_type(tensor)])
            self.opaque[made.node] = "CONSTANT"
            return made
        held = stored(tensor)
        change = layout or _as_it_is
        shape = change(np.broadcast_to(np.int8(0), tensor.fixed)).shape
        made = self.make.constant(
            tensor.name, lifted_type(tensor), shape, lambda: _frozen(change(dequantised(tensor)))
        )
        grid = held.grid
        if grid is not None and grid.per_channel:
            grid = Grid(
                scale=change(grid.scale).astype(np.float64),
                zero_point=change(grid.zero_point).astype(np.int64),
                lowest=grid.lowest,
                highest=grid.highest,
            )
        self.constants[made.node] = Stored(name=held.name, type=held.type, grid=grid)
        return made

    def _op(self, operator: Operator) -> Op:
        tensors = self.subgraph.tensors
        return Op(
            make=self.make,
            operator=operator,
            name=tensors[operator.outputs[0]].name,
            inputs=[_known(tensors, index) for index in operator.inputs],
            outputs=[tensors[index] for index in operator.outputs],
            types=[lifted_type(tensors[index]) for index in operator.outputs],
            tensor=lambda position: self.tensor(operator.inputs[position]),
            constant=lambda position: self.constant(operator.inputs[position]),
            weights=self.weights,
        )

    def _opaque(self, operator: Operator) -> list[TensorName]:
        name = operator.custom if operator.code == CUSTOM else NAMES.get(operator.code, str(operator.code))
        tensors = self.subgraph.tensors
        outputs = operator.outputs
        text = tensors[outputs[0]].name if outputs else name
        inputs = [self.tensor(index) for index in operator.inputs if index >= 0]
        types = [lifted_type(tensors[index]) for index in outputs]
        made = self.make.opaque(f"TFLite.{name}", text, inputs, types or [FLOAT])
        self.opaque[made.node] = name
        return [TensorName(made.node, port) for port in range(len(outputs))]


def decoded(tensor: TFLiteTensor) -> Array:
    """The values of a constant as the file holds them. ValueError where its bytes are not those of its shape."""
    number = _TYPES[tensor.type]
    dtype = numpy_dtype(DType(number))
    contents = tensor.contents
    if dtype is None or contents is None:
        raise ValueError(f"{tensor.name} is no constant of numbers")
    if number == _INT4:  # two numbers a byte, the lower half first
        pairs = np.frombuffer(contents, np.int8)
        halves = np.stack([np.left_shift(pairs, 4) >> 4, pairs >> 4], axis=-1)
        return halves.reshape(-1)[: int(np.prod(tensor.fixed))].reshape(tensor.fixed)
    return np.frombuffer(contents, dtype).reshape(tensor.fixed)


def dequantised(tensor: TFLiteTensor) -> Array:
    """The values of a constant in the lifted graph: float32 where the file holds integers or 16 bits."""
    raw = decoded(tensor)
    if tensor.quantisation is None:
        return raw.astype(np.float32) if raw.dtype == np.float16 else raw
    grid = _grid(tensor, tensor.quantisation)
    return ((raw.astype(np.float64) - grid.zero_point) * grid.scale).astype(np.float32)


def _grid(tensor: TFLiteTensor, found: Quantisation) -> Grid:
    scale, zero_point = found.scale.astype(np.float64), found.zero_point.astype(np.int64)
    if scale.size > 1:
        dims = [1] * len(tensor.fixed)
        dims[found.axis] = scale.size
        scale, zero_point = scale.reshape(dims), zero_point.reshape(dims)
    lowest, highest = _limits(_TYPES.get(tensor.type, 0))
    return Grid(scale=scale, zero_point=zero_point, lowest=lowest, highest=highest)


def _limits(number: int) -> tuple[int, int]:
    if number == _INT4:
        return -8, 7
    dtype = numpy_dtype(DType(number))
    if dtype is None or dtype.kind not in "iu":
        return 0, 0
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _known(tensors: Sequence[TFLiteTensor], index: int) -> TFLiteTensor | None:
    return tensors[index] if index >= 0 else None


def _as_it_is(value: Array) -> Array:
    return value


def _frozen(value: Array) -> Array:
    value = value.view()
    value.flags.writeable = False
    return value
