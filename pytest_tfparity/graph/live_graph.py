"""The part of a graph that is really taken: predicates folded, dead sides of conditionals left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from . import ops
from .deadness import FOLLOWED, Choice, root
from .graph import Array, Graph, Node, Tensor, TensorName
from .live import Liveness, liveness
from .loops import is_of_loop


@dataclass(frozen=True, slots=True)
class LiveGraph:
    """The nodes that the outputs need once predicates are folded, inputs first, loops kept whole.

    ``choices`` are the Merge nodes of conditionals, ``fed`` the tensors that a run is given,
    ``feeds`` those of them that are constant, ``readers`` the live nodes that read each node.
    """

    nodes: Mapping[str, Node]
    order: Mapping[str, int]
    choices: Mapping[str, Choice]
    fed: frozenset[TensorName]
    feeds: Mapping[TensorName, Array]
    readers: Mapping[str, list[str]] = field(default_factory=dict)

    def node(self, tensor: TensorName) -> Node | None:
        """The node that computes ``tensor``; None where it is fed or not in the graph."""
        return None if tensor in self.fed else self.nodes.get(tensor.node)

    def source(self, tensor: TensorName) -> TensorName:
        """``tensor`` followed through identities, variable reads and the taken side of conditionals."""
        return self.trace(tensor)[0]

    def trace(self, tensor: TensorName) -> tuple[TensorName, str | None]:
        """As :meth:`source`, with the predicate that chose a side on the way, if any did."""
        predicate = None
        for _ in range(len(self.nodes) + 1):
            node = self.node(tensor)
            onward = None if node is None else self.step(node, tensor)
            if node is None or onward is None:
                break
            if node.op in ops.MERGES:
                predicate = predicate or self.choices[node.name].predicate
            tensor = onward
        return tensor, predicate

    def step(self, node: Node, tensor: TensorName) -> TensorName | None:
        """The input that ``node`` passes on as its output ``tensor``, if it does no more than that."""
        if not node.inputs:
            return None
        if node.op in FOLLOWED:
            if self.loops(node):
                return None
            return node.inputs[tensor.port] if node.op == "IdentityN" else node.inputs[0]
        choice = self.choices.get(node.name) if node.op in ops.MERGES and tensor.port == 0 else None
        return None if choice is None or choice.taken is None else node.inputs[choice.taken]

    def enclosing(self, tensor: TensorName) -> str | None:
        """What decides the conditional in whose branch ``tensor`` is read, if it comes from outside of one."""
        for _ in range(len(self.nodes) + 1):
            node = self.node(tensor)
            if node is None or node.op in ops.MERGES:
                return None
            if node.op in ops.SWITCHES and not self.loops(node) and len(node.inputs) > 1:
                return self.root(node.inputs[1])
            onward = self.step(node, tensor)
            if onward is None:
                return None
            tensor = onward
        return None

    def root(self, predicate: TensorName) -> str:
        """The placeholder or constant that a predicate is made of."""
        return root(self.nodes.get, predicate)

    def loops(self, node: Node) -> bool:
        """Whether ``node`` is the Switch of a loop: what it passes on is another tensor in each turn."""
        return node.op in ops.SWITCHES and is_of_loop(self.nodes.get, node)

    def constant(self, tensor: TensorName) -> Array | None:
        """The value of ``tensor`` where it is a constant of the graph or a constant feed, else None."""
        found = self.source(tensor)
        if found in self.feeds:
            return np.asarray(self.feeds[found])
        node = self.node(found)
        value = node.attrs.get("value") if node is not None and node.op == "Const" else None
        return value.array if isinstance(value, Tensor) else None


def live_graph(
    graph: Graph,
    outputs: Iterable[TensorName],
    inputs: Iterable[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    variables: Mapping[str, Tensor] | None = None,
    *,
    found: Liveness | None = None,
) -> LiveGraph:
    """What of ``graph`` computes ``outputs`` when ``inputs`` are fed anything and ``feeds`` these constants.

    ``variables`` are the values of variable nodes. A ``PlaceholderWithDefault`` that is not fed has its
    default. A predicate that is known neither way leaves both sides of its conditional alive. ``found`` is what
    :func:`liveness` says of all these with conditionals ``lowered``, if that is known already.
    """
    feeds = dict(feeds or {})
    outputs = tuple(outputs)
    found = found or liveness(
        graph, outputs, inputs=inputs, feeds=feeds, variables=variables, lowered=ops.IFS
    )
    nodes = _taken(found, [output for output in outputs if output not in found.fed])
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        for source in dict.fromkeys(source.node for source in _read(node, found.choices)):
            readers.setdefault(source, []).append(node.name)
    order = {name: index for index, name in enumerate(nodes)}
    return LiveGraph(nodes, order, found.choices, frozenset(found.fed), feeds, readers)


def _read(node: Node, choices: Mapping[str, Choice]) -> tuple[TensorName, ...]:
    """The inputs of ``node``; of a decided conditional the one that is taken."""
    choice = choices.get(node.name)
    return node.inputs if choice is None or choice.taken is None else (node.inputs[choice.taken],)


def _taken(found: Liveness, outputs: Iterable[TensorName]) -> dict[str, Node]:
    """The nodes that ``outputs`` need, inputs first, what calls return in place of the calls."""
    nodes: dict[str, Node] = {}
    done: dict[str, Node] = {}
    stack = [(found.returned(output).node, False) for output in reversed(list(outputs))]
    while stack:
        name, finished = stack.pop()
        if finished:
            done[name] = nodes[name]
            continue
        if name in nodes or name not in found.nodes:
            continue
        node = nodes[name] = _returned(found, found.nodes[name])
        stack.append((name, True))
        read = _read(node, found.choices)
        stack.extend((source.node, False) for source in reversed(read) if source not in found.fed)
    return done


def _returned(found: Liveness, node: Node) -> Node:
    if not any(source.node in found.calls for source in node.inputs):
        return node
    return node._replace(inputs=tuple(map(found.returned, node.inputs)))


def taken_graph(live: LiveGraph) -> Graph:
    """The nodes of ``live`` as they are really taken: decided conditionals are gone, functions written out."""
    if not live.choices:
        return Graph(live.nodes)

    def taken(tensor: TensorName) -> TensorName:
        while (node := live.node(tensor)) is not None:
            choice = live.choices.get(node.name)
            if choice is not None and choice.taken is not None and tensor.port == 0:
                tensor = node.inputs[choice.taken]
            elif node.op in ops.SWITCHES and not live.loops(node):
                tensor = node.inputs[0]
            else:
                break
        return tensor

    return Graph(
        {name: node._replace(inputs=tuple(map(taken, node.inputs))) for name, node in live.nodes.items()}
    )
