"""A frozen graph that was changed, in memory: to run it, or to write it to a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..graph import ops
from ..graph.edit.pruning import Part
from ..graph.edit.writer import node_bytes
from ..graph.graph import Array, Graph, Node, TensorName
from ..graph.proof.proof import Side
from ..runtime.restoring import assign
from ..runtime.session import Source
from ..runtime.tensorflow import tensorflow
from .model import GraphModel, HasSession, Model, Repairable, Rewritten


class RewrittenGraph(GraphModel, Rewritten):
    """The graph of ``side``, made from ``original``, with outputs called ``names`` (default: as they are there).

    Its functions are those of the original, and of ``donor`` where the graph took them from there.
    """

    noun = "repaired frozen graph"

    def __init__(
        self, original: Repairable, side: Side, donor: Model, names: Sequence[TensorName] | None = None
    ) -> None:
        self.label = f"{original.label} (repaired)"
        self._original = original
        self._side = side
        self._donor = donor
        self.names = side.outputs if names is None else names

    @property
    def path(self) -> Path:
        """The file that it was made from."""
        return self._original.path

    @cached_property
    def graph(self) -> Graph:
        """The changed graph."""
        return _named(self._side, self.names)

    @property
    def feeds(self) -> Mapping[TensorName, Array]:
        """The constant feeds."""
        return self._side.feeds

    def graph_def(self) -> Any:
        """See :meth:`.model.HasSession.graph_def`."""
        return self._graph_def(bare=False)

    def outline(self) -> Any:
        """See :meth:`.model.HasSession.outline`."""
        return self._graph_def(bare=True)

    def library(self) -> Any:
        """The functions of the graph as a ``FunctionDefLibrary``."""
        found = tensorflow().compat.v1.GraphDef().library
        found.CopyFrom(self._original.outline().library)
        before = self._original.graph.functions
        taken = {name for name, body in self._side.graph.functions.items() if body is not before.get(name)}
        if taken:
            kept = [each for each in found.function if each.signature.name not in taken]
            given = self._donor.outline().library.function if isinstance(self._donor, HasSession) else ()
            del found.function[:]
            found.function.extend([*kept, *(each for each in given if each.signature.name in taken)])
        return found

    def source(self) -> Source:
        """See :meth:`.model.GraphModel.source`."""
        return Source(
            label=self.label,
            graph=self.graph,
            graph_def=self.outline,
            constants=self.feeds,
            check=self._check,
            restore=lambda session, part: assign(session, part, self._side.variables),
        )

    def _check(self, part: Part) -> None:
        """Raise ModelError where a variable that would be run has no value."""
        without = {name: node for name, node in part.nodes.items() if name not in self._side.variables}
        self._original.require_values(replace(part, nodes=without), self.label)

    def write(self, path: Path) -> None:
        """Write it as a binary GraphDef. Raises ModelError if the file cannot be written, or holds variables."""
        needed = self.graph.live(map(str, self.names)).values()
        left = [
            node.name for node in needed if node.op in ops.VARIABLES and node.name in self._side.variables
        ]
        if left:
            raise ModelError(
                f"{self.label} cannot be written as a frozen graph: {left[0]} stays a variable, since more than plain"
                " reads refer to it (a loop, for one). Mend the export as the findings say, and export again."
            )
        try:
            path.write_bytes(self.graph_def().SerializeToString())
        except OSError as error:
            raise ModelError(
                f"{self.label} cannot be written to {path}: {error.strerror}. Name another file."
            ) from None

    def _graph_def(self, *, bare: bool) -> Any:
        found = tensorflow().compat.v1.GraphDef()
        found.versions.CopyFrom(self._original.outline().versions)
        found.library.CopyFrom(self.library())
        for node in self.graph.nodes.values():
            found.node.add().ParseFromString(node_bytes(node, bare=bare))
        return found


class RewrittenTranslation(RewrittenGraph):
    """The translation of a file of another runtime, changed: it can be run, and not be written as such a file."""

    noun = "repaired translation"

    def write(self, path: Path) -> None:
        """Raises ModelError: what was changed is a graph of TensorFlow."""
        raise ModelError(
            f"{self._original.label} cannot be written with its repairs: they were made in a translation of it"
            f" ({self._original.noun}s are made by their converter). Mend what the findings say, and"
            f" {self._original.remake}."
        )


def _named(side: Side, names: Sequence[TensorName]) -> Graph:
    """The graph of ``side`` with its outputs under ``names``: what stood there before is renamed."""
    nodes = dict(side.graph.nodes)
    for output, name in zip(side.outputs, names, strict=True):
        if output == name or name.port != 0:
            continue
        if name.node in nodes:
            _rename(nodes, name.node, f"{name.node}_before_repair")
        dtype = _dtype(nodes.get(output.node))
        nodes[name.node] = Node(name=name.node, op="Identity", inputs=(output,), attrs=dtype)
    return Graph(nodes=nodes, functions=side.graph.functions, producer=side.graph.producer)


def _rename(nodes: dict[str, Node], old: str, new: str) -> None:
    for key, node in list(nodes.items()):
        if any(source.node == old for source in node.inputs):
            inputs = tuple(TensorName(new, s.port) if s.node == old else s for s in node.inputs)
            nodes[key] = node._replace(inputs=inputs)
    nodes[new] = nodes.pop(old)._replace(name=new)


def _dtype(node: Node | None) -> dict[str, Any]:
    dtype = node.attrs.get("T", node.attrs.get("dtype")) if node is not None else None
    return {} if dtype is None else {"T": dtype}
