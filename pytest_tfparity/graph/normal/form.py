"""The normal form of a graph: what its outputs compute, without how that was written down.

Restored variables and fed tensors are constants, pass-through ops are gone, of conditionals with a
known predicate only the live side is left, functions are inlined, attributes and ops have one
spelling. ``normal_form`` keeps for every node the place in the original graph that it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from ..graph import Attr, Tensor, TensorName

_NO_ATTRS: Mapping[str, Attr] = MappingProxyType({})
_NO_FUNCTIONS: Mapping[str, NormalGraph] = MappingProxyType({})


class Edge(NamedTuple):
    """Output ``port`` of the normal node with index ``node``."""

    node: int
    port: int


class Guard(NamedTuple):
    """When a node runs: if the boolean ``node:port`` is ``side``, or, for -1, if that tensor lives."""

    node: int
    port: int
    side: int


@dataclass(slots=True)
class NormalNode:
    """A node of the normal form.

    ``name`` and ``spelling`` are the node and op of the original graph (``call/inner`` for a node of
    an inlined function; a constant is named after its variable, its Const or the tensor that was
    fed). ``value`` is set for ``Const``. ``guards`` say when it runs, where control inputs decide that.
    ``refusal`` says why no proof can rest on the node. ``settled`` names what a node depends on,
    whatever its inputs are: a dropout that keeps everything depends on the shape alone. ``label`` tells
    nodes that act on a TensorArray from one another, which otherwise would be the same by their inputs.
    """

    name: str
    op: str
    inputs: tuple[Edge, ...] = ()
    attrs: Mapping[str, Attr] = field(default_factory=lambda: _NO_ATTRS)
    guards: tuple[Guard, ...] = ()
    value: Tensor | None = None
    spelling: str = ""
    functions: Mapping[str, NormalGraph] = field(default_factory=lambda: _NO_FUNCTIONS)
    refusal: str | None = None
    settled: tuple[int, ...] | None = None
    label: int | None = None


@dataclass(slots=True)
class NormalGraph:
    """Nodes, and the outputs in the order they were asked for.

    Inputs come before what reads them, but for the back edges of loops (``loops`` is true then).
    ``joined`` says that partitioned variables were put together.
    ``tensors()`` says which normal tensor an original one became (those outside functions, if visited).
    """

    nodes: list[NormalNode]
    outputs: tuple[Edge, ...]
    tensors: Callable[[], Mapping[TensorName, Edge]] = dict
    loops: bool = False
    refusals: tuple[str, ...] = ()
    joined: bool = False

    def live(self, outputs: Iterable[Edge] | None = None) -> list[int]:
        """Indices of the nodes that the outputs need, ascending."""
        return sorted(self._reached(self.outputs if outputs is None else outputs, settled=False))

    def doubts(self) -> list[str]:
        """Why no proof can rest on this graph: one clause a reason, the node nearest to the input first."""
        found = [self.nodes[index].refusal for index in self.doubtful()]
        return [*self.refusals, *(reason for reason in found if reason is not None)]

    def doubtful(self) -> list[int]:
        """Indices of the nodes that the outputs really depend on and that no proof can rest on, ascending."""
        reached = sorted(self._reached(self.outputs, settled=True))
        return [index for index in reached if self.nodes[index].refusal is not None]

    def dependencies(self, index: int) -> Iterator[int]:
        """Indices of the nodes that node ``index`` reads or is guarded by."""
        node = self.nodes[index]
        for source in node.inputs:
            yield source.node
        for guard in node.guards:
            yield guard.node

    def label(self, ops: Collection[str]) -> None:
        """Number the live nodes with one of ``ops`` as a walk from the outputs first meets them."""
        seen: set[int] = set()
        labels = 0
        stack = [edge.node for edge in reversed(self.outputs)]
        while stack:
            index = stack.pop()
            if index in seen:
                continue
            seen.add(index)
            if self.nodes[index].op in ops:
                self.nodes[index].label = labels
                labels += 1
            stack.extend(reversed(list(self.dependencies(index))))

    def _reached(self, outputs: Iterable[Edge], *, settled: bool) -> set[int]:
        reached: set[int] = set()
        stack = [edge.node for edge in outputs]
        while stack:
            index = stack.pop()
            if index in reached:
                continue
            reached.add(index)
            needed = self.nodes[index].settled if settled else None
            stack.extend(self.dependencies(index) if needed is None else needed)
        return reached
