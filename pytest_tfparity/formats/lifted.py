"""A file that another runtime runs: read and translated by ourselves, answered for by its runtime alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import did_you_mean
from ..graph.edit.writer import node_bytes
from ..graph.graph import Array, Graph, TensorName, tensor_name
from ..graph.lift.lifted import Lifted, Stored
from ..graph.lift.simulated import simulated
from ..graph.proof.proof import Side
from ..runtime.feeds import TensorSpec, checked, constant_feeds, tensor_spec
from .format import FeedValue
from .model import GraphModel, HasOwnRuntime, Model, Repairable

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..runtime.session import Source
    from ..runtime.session_config import SessionKind
    from .rewritten_graph import RewrittenGraph


class LiftedModel(GraphModel, Repairable, HasOwnRuntime):
    """A file of another runtime. Read when first needed; its runtime holds it until ``close``.

    A format states ``noun`` and ``runtime`` (for messages), reads the file (``read``) and runs it (``answer``).
    What TensorFlow runs is the translation: with repairs, and in the place of the runtime where somebody asks so.
    """

    remake = "convert again"

    def __init__(self, path: Path, *, feeds: Mapping[str, FeedValue] = MappingProxyType({})) -> None:
        self.label = str(path)
        self._path = path
        self._stated_feeds = feeds

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"

    @abstractmethod
    def read(self) -> Lifted:
        """The file, translated. Raises ModelError."""

    @abstractmethod
    def answer(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """What the runtime answers, by the names of ``outputs``; ``feeds`` fit the inputs, by their names.

        Both are names of ``lifted``. Raises ModelError, RuntimeMissing.
        """

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @cached_property
    def lifted(self) -> Lifted:
        """See :attr:`.model.HasOwnRuntime.lifted`."""
        return self.read()

    @property
    def graph(self) -> Graph:
        """The translation."""
        return self.lifted.graph

    @cached_property
    def feeds(self) -> Mapping[TensorName, Array]:
        """The constant feeds, in the dtypes of the inputs. Raises FeedError."""
        return MappingProxyType(constant_feeds(self.graph, self.label, self._stated_feeds))

    def outputs(self) -> Sequence[str]:
        """The outputs that the file declares."""
        return [f"{name}:0" for name in self.lifted.outputs]

    def inputs(self, outputs: Any) -> Mapping[str, TensorSpec]:
        """The inputs that the file declares: its runtime wants them all, whatever is asked for."""
        filled = {name.node for name in self.feeds}
        return {
            f"{name}:0": tensor_spec(self.graph, TensorName(name, 0))
            for name in self.lifted.inputs
            if name not in filled
        }

    def has_tensor(self, name: str) -> bool:
        """Whether the file declares this input or output."""
        tensor = tensor_name(name)
        return not tensor.port and tensor.node in (*self.lifted.outputs, *self.lifted.inputs)

    def nearest_tensors(self, name: str) -> str:
        """A sentence that suggests inputs and outputs of the file by names like that of the tensor ``name``."""
        known = [*self.lifted.outputs, *self.lifted.inputs]
        return did_you_mean(tensor_name(name).node, known) or (
            f" It has the inputs {', '.join(self.lifted.inputs)} and the outputs {', '.join(self.lifted.outputs)}."
        )

    def output_step(self, output: str) -> float | None:
        """See :meth:`.model.Model.output_step`."""
        made = self.graph.nodes[tensor_name(output).node]
        while made.op == "Identity":  # an output in float that is made of integers is one
            held = self.lifted.activations.get(made.inputs[0])
            if held is not None and held.grid is not None and not held.grid.per_channel:
                return float(held.grid.scale.flat[0])
            made = self.graph.nodes[made.inputs[0].node]
        return None

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`: what the runtime answers."""
        self.require(outputs)
        wanted = {name: tensor_name(name).node for name in outputs}
        found = self.answer(self._fed(inputs), list(dict.fromkeys(wanted.values())))
        return {name: found[node] for name, node in wanted.items()}

    def translated(
        self,
        inputs: Mapping[str, Array],
        tensors: Sequence[TensorName],
        *,
        graph: Graph | None = None,
        activations: Mapping[TensorName, Stored] | None = None,
    ) -> dict[TensorName, Array]:
        """See :meth:`.model.HasOwnRuntime.translated`."""
        from .rewritten_graph import RewrittenGraph

        side = Side(
            graph=self.graph if graph is None else graph,
            outputs=tuple(tensors),
            inputs=tuple(TensorName(name, 0) for name in self.lifted.inputs),
            feeds=self.feeds,
        )
        grids = self.lifted.activations if activations is None else activations
        with closing(RewrittenGraph(self, simulated(side, grids), self)) as model:
            found = model.run(inputs, list(dict.fromkeys(map(str, model.names))))
        return {tensor: found[str(name)] for tensor, name in zip(tensors, model.names, strict=True)}

    def graph_def(self) -> Any:
        """The translation as a ``tf.compat.v1.GraphDef``. See :meth:`.model.HasSession.graph_def`."""
        return self._graph_def(bare=False)

    def outline(self) -> Any:
        """See :meth:`.model.HasSession.outline`."""
        return self._graph_def(bare=True)

    def _graph_def(self, *, bare: bool) -> Any:
        from ..runtime.tensorflow import tensorflow

        found = tensorflow().compat.v1.GraphDef()
        found.versions.producer = _PRODUCER
        for node in self.graph.nodes.values():
            found.node.add().ParseFromString(node_bytes(node, bare=bare))
        return found

    def source(self) -> Source:
        """See :meth:`.model.GraphModel.source`: the translation."""
        from ..runtime.session import Source

        return Source(
            label=self.label,
            graph=self.graph,
            graph_def=self.outline,
            constants=self.feeds,
            check=lambda part: self.require_values(part, self.label),
            restore=lambda session, part: None,
        )

    def require_values(self, part: Part, label: str) -> None:
        """See :meth:`.model.Repairable.require_values`: all weights are constants."""

    def rewritten(
        self, side: Side, donor: Model, names: Sequence[TensorName] | None = None
    ) -> RewrittenGraph:
        """See :meth:`.model.Repairable.rewritten`: on the grids of the file, where it computes in integers."""
        from .rewritten_graph import RewrittenTranslation

        return RewrittenTranslation(self, simulated(side, self.lifted.activations), donor, names)

    def _fed(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All inputs of the file by their names. Raises FeedError where one is missing or does not fit."""
        given = checked(self.graph, self.label, inputs)
        found = {tensor.node: value for tensor, value in {**given, **self.feeds}.items()}
        lost = [name for name in self.lifted.inputs if name not in found]
        if lost:
            from ..errors import FeedError

            raise FeedError(
                f"{self.label} has the input {lost[0]}, for which no values are given: {self.runtime} needs all"
                " inputs. State them under `inputs` or `feeds`."
            )
        return {name: found[name] for name in self.lifted.inputs}


_PRODUCER = 1286
"""The version that a translation is written as: that of TensorFlow 2.12, which all that are supported read."""
