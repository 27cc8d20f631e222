"""A frozen graph: a GraphDef, binary or text, whose weights are constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, UnreadableFile
from ..graph import op_kinds as ops
from ..graph.graph import Array, Graph, Tensor, TensorName
from ..graph.read.graphdef import read_graph
from ..runtime.feeds import constants
from ..settings.resolve import ExportSpec
from .format import SessionKind

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..runtime.session import Sessions


class FrozenGraph:
    """The export of a check. Read when first needed; run in sessions that stay open until ``close``."""

    def __init__(self, spec: ExportSpec) -> None:
        self.spec = spec
        self.label = str(spec.frozen_graph)
        self.restored: Mapping[str, Tensor] = MappingProxyType({})
        self.variables: Mapping[str, Array] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"FrozenGraph({self.label!r})"

    @cached_property
    def graph(self) -> Graph:
        """The whole graph, read without TensorFlow.

        Raises UnreadableFile if only TensorFlow may know the file, ModelError if it is no graph or
        holds nothing that computes.
        """
        return self._computing(read_graph(self.spec.frozen_graph))

    @cached_property
    def feeds(self) -> Mapping[TensorName, np.ndarray[Any, Any]]:
        """The constant feeds, in their placeholders' dtypes. Raises FeedError."""
        return MappingProxyType(constants(self._graph, self.label, self.spec.feeds))

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`. ModelError if the outputs need variables."""
        return self._sessions.run(inputs, outputs, session)

    def graph_def(self) -> Any:
        """The whole graph as a ``tf.compat.v1.GraphDef``; do not change it. Raises ModelError."""
        return self._graph_def

    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """A ``tf.compat.v1.Session`` with the part that ``outputs`` need (None: all that is harmless)."""
        return self._sessions.session(outputs)

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        return self.spec.frozen_graph.stat().st_size if "_sessions" in self.__dict__ else 0

    def close(self) -> None:
        """Close the sessions and forget TensorFlow's copy of the graph."""
        if "_sessions" in self.__dict__:
            self.__dict__.pop("_sessions").close()
        self.__dict__.pop("_graph_def", None)

    @cached_property
    def _graph_def(self) -> Any:
        from ..runtime.protobuf import parse_graph_def

        return parse_graph_def(self.spec.frozen_graph)

    @cached_property
    def _graph(self) -> Graph:
        try:
            return self.graph
        except UnreadableFile:
            from ..runtime.protobuf import plain_graph

            return self._computing(plain_graph(self._graph_def, self.label))

    @cached_property
    def _sessions(self) -> Sessions:
        from ..runtime.session import Sessions, Source

        return Sessions(
            Source(
                label=self.label,
                graph=self._graph,
                graph_def=self.graph_def,
                constants=self.feeds,
                check=self._check_frozen,
                restore=lambda session, part: None,
            )
        )

    def _computing(self, graph: Graph) -> Graph:
        idle = ops.PLACEHOLDERS | {"Const", "NoOp", "PlaceholderWithDefault"}
        if all(node.op in idle for node in graph.nodes.values()):
            names = ", ".join(list(graph.nodes)[:5])
            raise ModelError(
                f"{self.label} computes nothing: it holds only placeholders and constants ({names})."
                " Name the network's outputs when freezing it."
            )
        return graph

    def _check_frozen(self, part: Part) -> None:
        variables = [node.name for node in part.nodes.values() if node.op in ops.VARIABLES]
        if variables:
            count = f"{len(variables)} variables" if len(variables) > 1 else "1 variable"
            are = "are still variables" if len(variables) > 1 else "is still a variable"
            raise ModelError(
                f"{self.label} is not frozen: {count} ({variables[0]}) {are}."
                " Freeze it with convert_variables_to_constants."
            )
