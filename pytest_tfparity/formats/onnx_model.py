"""An ONNX file, opened: run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..graph.graph import Array, TensorName
from ..graph.lift.lifted import Lifted
from ..graph.lift.onnx import OnnxLift, lift_onnx
from ..graph.read.onnx import OnnxModel, read_onnx
from ..runtime.batches import cut_inputs, joined
from .lifted import LiftedModel

if TYPE_CHECKING:
    from ..runtime.onnx_runtime import OnnxSession


class OnnxFile(LiftedModel):
    """An ONNX file. Its inputs and outputs are called as in the file."""

    noun = "ONNX file"
    runtime = "ONNX Runtime"

    @property
    def taken(self) -> str:
        """See :attr:`.model.Model.taken`."""
        producer = f" of {self._file.producer}" if self._file.producer else ""
        return f"an ONNX file{producer}, opset {self._file.opset}"

    def read(self) -> Lifted:
        """See :meth:`.lifted.LiftedModel.read`."""
        return self._lift.lifted

    def answer(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """See :meth:`.lifted.LiftedModel.answer`: in slices where the file fixes the batch."""
        return self._run(self._session, feeds, {name: self._lift.outputs[name] for name in outputs})

    def values(
        self, inputs: Mapping[str, Array], tensors: Collection[TensorName]
    ) -> Mapping[TensorName, Array]:
        """See :meth:`.model.HasOwnRuntime.values`."""
        from ..runtime.onnx_runtime import OnnxSession

        known = {tensor: self._lift.tensors[tensor] for tensor in tensors if tensor in self._lift.tensors}
        kept = {
            tensor: (name, order) for tensor, (name, order) in known.items() if name not in self._open_names
        }
        names = {name for name, _ in kept.values()}
        also = names - set(self._lift.outputs.values())
        session = OnnxSession(self.path, self.label, also=also)
        found = self._run(session, self._fed(inputs), {name: name for name in names})
        return {
            tensor: np.transpose(found[name], order) if order is not None else found[name]
            for tensor, (name, order) in kept.items()
        }

    def close(self) -> None:
        """Let ONNX Runtime go of the file."""
        super().close()
        self.__dict__.pop("_session", None)

    @property
    def is_open(self) -> bool:
        """Whether TensorFlow or ONNX Runtime may hold the model."""
        return super().is_open or "_session" in self.__dict__

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        if not self.is_open:
            return 0
        return sum(path.stat().st_size for path in (self.path, *self._file.external))

    def _run(
        self, session: OnnxSession, feeds: Mapping[str, Array], wanted: Mapping[str, str]
    ) -> dict[str, Array]:
        given = {TensorName(name, 0): value for name, value in feeds.items()}
        cut = cut_inputs(self.graph, self.label, given)
        parts = []
        for piece in cut.pieces:
            fed = {self._lift.inputs[tensor.node]: value for tensor, value in piece.items()}
            found = session.run(fed, list(wanted.values()))
            parts.append({name: found[own] for name, own in wanted.items()})
        return joined(self.label, cut, parts)

    @cached_property
    def _session(self) -> OnnxSession:
        from ..runtime.onnx_runtime import OnnxSession

        return OnnxSession(self.path, self.label)

    @cached_property
    def _file(self) -> OnnxModel:
        return read_onnx(self.path)

    @cached_property
    def _lift(self) -> OnnxLift:
        return lift_onnx(self._file)

    @property
    def _open_names(self) -> frozenset[str]:
        """The inputs of the file, which its runtime does not give again."""
        return frozenset(self._lift.inputs.values())
