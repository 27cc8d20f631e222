"""A frozen graph: a GraphDef, binary or text, whose weights are constants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, UnreadableFile
from ..graph import ops
from ..graph.graph import Array, Graph, TensorName
from ..graph.proof.proof import Side
from ..graph.read.file_kind import FileKind, kind_of
from ..graph.read.graphdef import read_graph
from ..graph.read.mapped import mapped
from ..runtime.feeds import constant_feeds
from ..wording import counted, enumerated, verb
from .format import FeedValue, Format, SideSpec
from .model import GraphModel, Model, Repairable
from .section import Key, Section

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..runtime.session import Source
    from .rewritten_graph import RewrittenGraph

_TEXT = re.compile(rb"(\s|#.*\n)*(node|versions|library)\s*:?\s*\{")
"""How a GraphDef in text format begins: with one of its fields, all of which are messages."""


class FrozenGraph(GraphModel, Repairable):
    """A frozen graph. Read when first needed; run in sessions that stay open until ``close``."""

    noun = "frozen graph"
    remake = "freeze again"

    def __init__(self, path: Path, *, feeds: Mapping[str, FeedValue] = MappingProxyType({})) -> None:
        self.label = str(path)
        self._path = path
        self._stated_feeds = feeds

    def __repr__(self) -> str:
        return f"FrozenGraph({self.label!r})"

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @cached_property
    def graph(self) -> Graph:
        """The whole graph, read without TensorFlow.

        Raises UnreadableFile if only TensorFlow may know the file, ModelError if it is no graph or
        holds nothing that computes.
        """
        return self._computing(read_graph(self._path))

    @cached_property
    def feeds(self) -> Mapping[TensorName, Array]:
        """The constant feeds, in their placeholders' dtypes. Raises FeedError."""
        return MappingProxyType(constant_feeds(self._graph, self.label, self._stated_feeds))

    def graph_def(self) -> Any:
        """See :meth:`.model.HasSession.graph_def`."""
        return self._graph_def

    def outline(self) -> Any:
        """See :meth:`.model.HasSession.outline`."""
        return self._outline

    def source(self) -> Source:
        """See :meth:`.model.GraphModel.source`. ModelError if the outputs need variables."""
        from ..runtime.session import Source

        return Source(
            label=self.label,
            graph=self._graph,
            graph_def=self.outline,
            constants=self.feeds,
            check=lambda part: self.require_values(part, self.label),
            restore=lambda session, part: None,
        )

    def require_values(self, part: Part, label: str) -> None:
        """See :meth:`.model.Repairable.require_values`: nothing gives a variable a value."""
        variables = [node.name for node in part.nodes.values() if node.op in ops.VARIABLES]
        if variables:
            raise ModelError(
                f"{label} is not frozen: {counted(len(variables), 'variable')} {verb(variables, 'is', 'are')} left in"
                f" it ({enumerated(variables)})."
                " Freeze it with convert_variables_to_constants."
            )

    def rewritten(
        self, side: Side, donor: Model, names: Sequence[TensorName] | None = None
    ) -> RewrittenGraph:
        """See :meth:`.model.Repairable.rewritten`."""
        from .rewritten_graph import RewrittenGraph

        return RewrittenGraph(self, side, donor, names)

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        return self._path.stat().st_size if self.is_open else 0

    def close(self) -> None:
        """Close the sessions and forget TensorFlow's copy of the graph."""
        super().close()
        self.__dict__.pop("_graph_def", None)
        self.__dict__.pop("_outline", None)

    @cached_property
    def _graph_def(self) -> Any:
        from ..runtime.protobuf import parse_graph_def

        return parse_graph_def(self._path)

    @cached_property
    def _outline(self) -> Any:
        from ..runtime.protobuf import parse_outline

        return self._graph_def if "_graph_def" in self.__dict__ else parse_outline(self._path)

    @cached_property
    def _graph(self) -> Graph:
        """:attr:`graph`, read by TensorFlow where our own reader does not know the file."""
        try:
            return self.graph
        except UnreadableFile:
            from ..runtime.protobuf import plain_graph

            return self._computing(plain_graph(self._graph_def, self.label))

    def _computing(self, graph: Graph) -> Graph:
        idle = ops.INPUTS | {"Const", "NoOp"}
        if all(node.op in idle for node in graph.nodes.values()):
            names = ", ".join(list(graph.nodes)[:5])
            raise ModelError(
                f"{self.label} computes nothing: it holds only placeholders and constants ({names})."
                " Name the network's outputs when freezing it."
            )
        return graph


class FrozenGraphFormat(Format):
    """A GraphDef, binary or text."""

    section = Section(
        name="frozen_graph",
        description="a frozen graph",
        keys=(Key("frozen_graph", "graph", "The frozen graph, binary or text."),),
    )
    noun = FrozenGraph.noun
    usually = "export"
    suffixes = (".pb", ".pbtxt")

    def open(self, spec: SideSpec, root: Path) -> FrozenGraph:
        """See :meth:`.format.Format.open`."""
        return FrozenGraph(spec.path, feeds=spec.feeds)

    def content(self, spec: SideSpec) -> Sequence[Path] | None:
        """The file."""
        return [spec.path]

    def resembles(self, path: Path) -> bool:
        """Whether the name is that of a graph, and not that which a SavedModel has."""
        return path.suffix in self.suffixes and path.stem != "saved_model"

    def recognises(self, path: Path) -> bool:
        """Whether the file begins as a GraphDef does, in its binary or in its text form."""
        try:
            view = mapped(path, "frozen graph")
        except ModelError:
            return False
        return kind_of(view) is FileKind.GRAPH or _TEXT.match(view) is not None
