"""The normal form of a graph: what its outputs compute, without how that was written down.

Restored variables and fed tensors are constants, pass-through ops are gone, of conditionals with a
known predicate only the live side is left, functions are inlined, attributes and ops have one
spelling. Every node keeps the place in the original graph that it came from; :mod:`.walk` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np

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
    ``joined`` says that partitioned variables were put together. ``turns`` are heads of loops, each with the first
    of its loop: they live together (:mod:`.turns`).
    ``tensors()`` says which normal tensor an original one became (those outside functions, if visited).
    """

    nodes: list[NormalNode]
    outputs: tuple[Edge, ...]
    tensors: Callable[[], Mapping[TensorName, Edge]] = dict
    loops: bool = False
    refusals: tuple[str, ...] = ()
    joined: bool = False
    turns: Mapping[int, int] = field(default_factory=dict)

    def live(self, outputs: Iterable[Edge] | None = None) -> list[int]:
        """Indices of the nodes that the outputs need, ascending."""
        return sorted(self._reached(self.outputs if outputs is None else outputs, settled=False))

    def doubts(self) -> list[str]:
        """Why no proof can rest on this graph: one clause a reason, the node nearest to the input first."""
        found = [self.nodes[index].refusal for index in self.doubtful()]
        return [*self.refusals, *(reason for reason in found if reason is not None)]

    def doubtful(self) -> list[int]:
        """Indices of the nodes that the outputs really depend on and that no proof can rest on, ascending."""
        if all(node.refusal is None for node in self.nodes):
            return []
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
            node = self.nodes[index]
            if settled and node.settled is not None:
                stack.extend(node.settled)
                continue
            stack.extend([source.node for source in node.inputs])
            if node.guards:
                stack.extend([guard.node for guard in node.guards])
        return reached


Life: TypeAlias = "tuple[Guard, ...]"
"""All the conditions under which something lives; empty if it always does."""


def union(some: Life, others: Life) -> Life:
    """The conditions of both."""
    if not others or some == others:
        return some
    return tuple(dict.fromkeys((*some, *others)))


def less(some: Life, others: Iterable[Guard]) -> Life:
    """The conditions that are not among ``others``."""
    if not some:
        return some
    known = set(others)
    return tuple(guard for guard in some if guard not in known)


def exclusive(lives: Sequence[frozenset[Guard]]) -> bool:
    """Whether at most one of several tensors lives: any two need a predicate to be both true and false."""
    for position, life in enumerate(lives):
        opposite = {Guard(node, port, 1 - side) for node, port, side in life if side >= 0}
        if any(not opposite & other for other in lives[position + 1 :]):
            return False
    return True


def common_life(lives: Sequence[frozenset[Guard]]) -> frozenset[Guard] | None:
    """When a Merge of two opposite sides lives, if that no longer depends on their predicate."""
    if len(lives) != 2:
        return None
    first, second = lives
    decided = {
        (node, port) for node, port, side in first if side >= 0 and Guard(node, port, 1 - side) in second
    }
    rests = [frozenset(guard for guard in life if guard[:2] not in decided) for life in lives]
    return rests[0] if len(decided) == 1 and rests[0] == rests[1] else None


def is_partitioned(node: NormalNode, nodes: Sequence[NormalNode]) -> bool:
    """Whether a node puts constants together, as reading a partitioned variable does."""
    return node.op == "ConcatV2" and all(nodes[edge.node].op == "Const" for edge in node.inputs)


def whole(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The constant that ``ConcatV2`` of constants is; the last part is the axis. None if they do not fit."""
    *found, axis = parts
    tensors = [tensor for tensor in found if tensor is not None]
    if axis is None or axis.shape != () or not tensors or len(tensors) != len(found):
        return None
    first, along = tensors[0], int(axis.array.item())
    along += len(first.shape) if along < 0 else 0
    if not 0 <= along < len(first.shape) or not all(_fits(tensor, first, along) for tensor in tensors):
        return None
    length = sum(tensor.shape[along] for tensor in tensors)
    shape = (*first.shape[:along], length, *first.shape[along + 1 :])
    return Tensor(first.dtype, shape, lambda: np.concatenate([tensor.array for tensor in tensors], along))


def _fits(tensor: Tensor, first: Tensor, along: int) -> bool:
    def rest(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return shape[:along], shape[along + 1 :]

    return (
        tensor.dtype == first.dtype
        and len(tensor.shape) == len(first.shape)
        and rest(tensor.shape) == rest(first.shape)
    )


def partitions(graph: NormalGraph) -> int:
    """How many live nodes only put constants together."""
    found = [index for index, node in enumerate(graph.nodes) if is_partitioned(node, graph.nodes)]
    return len(set(graph.live()).intersection(found)) if found else 0


def components(graph: NormalGraph) -> list[list[int]]:
    """The live nodes in sets that depend on one another, what is depended on first (Tarjan, iterative)."""
    numbers: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    found: list[list[int]] = []
    for start in graph.live():
        if start in numbers:
            continue
        work = [(start, graph.dependencies(start))]
        numbers[start] = lowest[start] = len(numbers)
        open_nodes.append(start)
        is_open.add(start)
        while work:
            index, sources = work[-1]
            for source in sources:
                if source not in numbers:
                    numbers[source] = lowest[source] = len(numbers)
                    open_nodes.append(source)
                    is_open.add(source)
                    work.append((source, graph.dependencies(source)))
                    break
                if source in is_open:
                    lowest[index] = min(lowest[index], numbers[source])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[index])
                if lowest[index] == numbers[index]:
                    component: list[int] = []
                    while not component or component[-1] != index:
                        component.append(open_nodes.pop())
                        is_open.discard(component[-1])
                    found.append(component)
    return found
