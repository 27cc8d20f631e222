"""A TFLite file, opened: one signature of it, run by LiteRT."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import ModelError, did_you_mean
from ..graph.graph import Array, Graph, Node, Shape, TensorName
from ..graph.lift.lifted import Grid, Lifted
from ..graph.lift.tflite import Lift, lift_tflite
from ..graph.read.saved_model import SERVING
from ..graph.read.tflite import Subgraph, TFLiteModel, TFLiteSignature, read_tflite
from ..runtime.batches import cut_inputs, joined
from .format import FeedValue
from .lifted import LiftedModel

if TYPE_CHECKING:
    from ..runtime.litert import Interpreter


class TFLiteFile(LiftedModel):
    """One ``signature`` of a TFLite file; without signatures inputs and outputs are called by their tensors."""

    noun = "TFLite file"
    runtime = "LiteRT"

    def __init__(
        self,
        path: Path,
        *,
        signature: str | None = None,
        feeds: Mapping[str, FeedValue] = MappingProxyType({}),
    ) -> None:
        super().__init__(path, feeds=feeds)
        self._signature_name = signature

    @property
    def taken(self) -> str:
        """See :attr:`.model.Model.taken`."""
        types = sorted(self.lifted.types - {"int32", "int64", "bool"}) or ["no"]
        signature = self._signature
        which = "without a signature" if signature is None else f"signature {signature.name}"
        return f"a TFLite file with {' and '.join(types)} weights, {which}"

    def read(self) -> Lifted:
        """See :meth:`.lifted.LiftedModel.read`."""
        return self._lift.lifted

    def answer(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """See :meth:`.lifted.LiftedModel.answer`: as one batch where the file leaves it open, else in slices."""
        wanted = {name: self._lift.outputs[name] for name in outputs}
        if self._is_open:
            try:
                return self._run(self._interpreter, feeds, wanted)
            except ModelError:  # some files say that the batch is open and compute with one row all the same
                self.close()
        given = {TensorName(name, 0): value for name, value in feeds.items()}
        cut = cut_inputs(self._fixed, self.label, given)
        parts = [
            self._run(self._interpreter, {tensor.node: value for tensor, value in piece.items()}, wanted)
            for piece in cut.pieces
        ]
        return joined(self.label, cut, parts)

    def values(
        self, inputs: Mapping[str, Array], tensors: Collection[TensorName]
    ) -> Mapping[TensorName, Array]:
        """See :meth:`.model.HasOwnRuntime.values`."""
        from ..runtime.litert import Interpreter

        indices = self._lift.tensors
        wanted = {str(tensor): indices[tensor] for tensor in tensors if tensor in indices}
        given = {TensorName(name, 0): value for name, value in self._fed(inputs).items()}
        cut = cut_inputs(self._fixed, self.label, given)
        interpreter = Interpreter(self.path, self.label, keeps_all=True)
        parts = [
            self._run(interpreter, {tensor.node: value for tensor, value in piece.items()}, wanted)
            for piece in cut.pieces
        ]
        found = joined(self.label, cut, parts)
        return {tensor: found[str(tensor)] for tensor in tensors if str(tensor) in found}

    def close(self) -> None:
        """Let LiteRT go of the file."""
        super().close()
        self.__dict__.pop("_interpreter", None)

    @property
    def is_open(self) -> bool:
        """Whether TensorFlow or LiteRT may hold the model."""
        return super().is_open or "_interpreter" in self.__dict__

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        return self.path.stat().st_size if self.is_open else 0

    def _run(
        self, interpreter: Interpreter, feeds: Mapping[str, Array], wanted: Mapping[str, int]
    ) -> dict[str, Array]:
        by_index = {self._lift.inputs[name]: value for name, value in feeds.items()}
        found = interpreter.run(by_index, set(wanted.values()), self._grids)
        return {name: found[index] for name, index in wanted.items() if index in found}

    @cached_property
    def _interpreter(self) -> Interpreter:
        from ..runtime.litert import Interpreter

        return Interpreter(self.path, self.label)

    @cached_property
    def _file(self) -> TFLiteModel:
        return read_tflite(self.path)

    @cached_property
    def _signature(self) -> TFLiteSignature | None:
        """The signature; None where the file has none and none is stated. Raises ModelError."""
        known = {each.name: each for each in self._file.signatures}
        name = self._signature_name
        if name is None:
            if SERVING in known or not known:
                return known.get(SERVING)
            if len(known) == 1:
                return next(iter(known.values()))
        elif name in known:
            return known[name]
        there = f"It has {', '.join(known)}" if known else "It has none"
        if name is None:
            raise ModelError(f"{self.label} has several signatures. {there}. Name one under `signature`.")
        raise ModelError(
            f"{self.label} has no signature {name!r}.{did_you_mean(name, known)} {there}. Name one under `signature`."
        )

    @property
    def _subgraph(self) -> Subgraph:
        signature = self._signature
        return self._file.subgraphs[0 if signature is None else signature.subgraph]

    @cached_property
    def _lift(self) -> Lift:
        signature = self._signature
        if signature is not None and signature.subgraph:
            raise ModelError(
                f"Signature {signature.name} of {self.label} is a graph beside the main one, which is not run yet."
                " Convert it into a file of its own."
            )
        if signature is not None:
            return lift_tflite(self._subgraph, signature.inputs, signature.outputs)
        return lift_tflite(self._subgraph, None, None)

    @cached_property
    def _grids(self) -> Mapping[int, Grid]:
        """The grids of the computed tensors, by index."""
        activations = self._lift.lifted.activations
        found = {index: activations[tensor].grid for tensor, index in self._lift.tensors.items()}
        return {index: grid for index, grid in found.items() if grid is not None}

    @cached_property
    def _fixed(self) -> Graph:
        """The inputs with the sizes that the file holds before it is resized."""
        tensors = self._subgraph.tensors
        nodes = {}
        for name, index in self._lift.inputs.items():
            node = self.graph.nodes[name]
            attrs = {**node.attrs, "shape": Shape(tensors[index].fixed)}
            nodes[name] = Node(name=name, op=node.op, attrs=attrs)
        return Graph(nodes=nodes, producer=self.graph.producer)

    @property
    def _is_open(self) -> bool:
        tensors = self._subgraph.tensors
        return any(-1 in tensors[index].shape for index in self._lift.inputs.values())
