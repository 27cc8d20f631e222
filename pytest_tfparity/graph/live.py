"""The part of a graph that is really taken: predicates folded, dead sides of conditionals left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from .graph import Array, Graph, Node, Tensor, TensorName
from .inline import without_calls

PASSES_ON = frozenset(
    {
        "Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot", "Enter",
        "RefEnter", "RefIdentity", "ReadVariableOp", "Switch", "RefSwitch", "EnsureShape",
    }
)  # fmt: skip
"""Ops whose output is their first input."""

VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"})

_SWITCHES = ("Switch", "RefSwitch")
_MERGES = ("Merge", "RefMerge")

State: TypeAlias = tuple[bool | None, str | None]
"""Whether a tensor is ever computed (None: that depends on a feed), and the predicate that decides."""

_ALIVE: State = (True, None)

_EVALUATED: dict[str, Callable[..., object]] = {
    "LogicalNot": np.logical_not,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which input of a Merge is taken (None: it depends on a feed) and the node that decides it."""

    taken: int | None
    predicate: str | None


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
            if node.op in _MERGES:
                predicate = predicate or self.choices[node.name].predicate
            tensor = onward
        return tensor, predicate

    def step(self, node: Node, tensor: TensorName) -> TensorName | None:
        """The input that ``node`` passes on as its output ``tensor``, if it does no more than that."""
        if not node.inputs:
            return None
        if node.op in PASSES_ON:
            if self.loops(node):
                return None
            return node.inputs[tensor.port] if node.op == "IdentityN" else node.inputs[0]
        choice = self.choices.get(node.name) if node.op in _MERGES and tensor.port == 0 else None
        return None if choice is None or choice.taken is None else node.inputs[choice.taken]

    def enclosing(self, tensor: TensorName) -> str | None:
        """What decides the conditional in whose branch ``tensor`` is read, if it comes from outside of one."""
        for _ in range(len(self.nodes) + 1):
            node = self.node(tensor)
            if node is None or node.op in _MERGES:
                return None
            if node.op in _SWITCHES and not self.loops(node) and len(node.inputs) > 1:
                return self.root(node.inputs[1])
            onward = self.step(node, tensor)
            if onward is None:
                return None
            tensor = onward
        return None

    def root(self, predicate: TensorName) -> str:
        """The placeholder or constant that a predicate is made of."""
        name = predicate.node
        while (node := self.nodes.get(name)) is not None and node.inputs:
            if node.op not in PASSES_ON and node.op != "LogicalNot":
                break
            name = node.inputs[0].node
        return name

    def loops(self, node: Node) -> bool:
        """Whether ``node`` is the Switch of a loop: what it passes on is another tensor in each turn."""
        if node.op not in _SWITCHES or len(node.inputs) < 2:
            return False
        predicate = self.nodes.get(node.inputs[1].node)
        return predicate is not None and predicate.op == "LoopCond"

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
) -> LiveGraph:
    """What of ``graph`` computes ``outputs`` when ``inputs`` are fed anything and ``feeds`` these constants.

    A ``PlaceholderWithDefault`` that is not fed has its default. A predicate that is known neither way
    leaves both sides of its conditional alive.
    """
    graph = without_calls(graph)
    feeds = dict(feeds or {})
    fed = frozenset(inputs) | frozenset(feeds)
    wanted = [output for output in outputs if output.node in graph.nodes]
    choices = _choices(graph, wanted, fed, feeds)
    nodes = _taken(graph, wanted, fed, choices)
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        choice = choices.get(node.name)
        taken = node.inputs if choice is None or choice.taken is None else (node.inputs[choice.taken],)
        for source in dict.fromkeys(source.node for source in taken):
            readers.setdefault(source, []).append(node.name)
    order = {name: index for index, name in enumerate(nodes)}
    return LiveGraph(nodes, order, choices, fed, feeds, readers)


def _walk(
    graph: Graph, outputs: Iterable[TensorName], step: Callable[[Node], Iterable[str]]
) -> dict[str, Node]:
    done: dict[str, Node] = {}
    started: set[str] = set()
    stack = [(output.node, False) for output in reversed(list(outputs))]
    while stack:
        name, finished = stack.pop()
        node = graph.nodes.get(name)
        if node is None or (not finished and name in started):
            continue
        if finished:
            done[name] = node
            continue
        started.add(name)
        stack.append((name, True))
        stack.extend((source, False) for source in step(node) if source not in started)
    return done


def _taken(
    graph: Graph, outputs: Iterable[TensorName], fed: frozenset[TensorName], choices: Mapping[str, Choice]
) -> dict[str, Node]:
    def step(node: Node) -> Iterable[str]:
        choice = choices.get(node.name)
        if choice is not None and choice.taken is not None:
            return (node.inputs[choice.taken].node,)
        return [source.node for source in reversed(node.inputs) if source not in fed]

    return _walk(graph, (output for output in outputs if output not in fed), step)


def _choices(
    graph: Graph, outputs: Iterable[TensorName], fed: frozenset[TensorName], feeds: Mapping[TensorName, Array]
) -> dict[str, Choice]:
    """Dead and alive, forward from the inputs: as TensorFlow's executor propagates deadness."""

    def step(node: Node) -> Iterable[str]:
        yield from (source.node for source in node.inputs if source not in fed)
        yield from node.controls

    values: dict[TensorName, Array] = dict(feeds)
    states: dict[str, State] = {}
    ports: dict[TensorName, State] = {}
    choices: dict[str, Choice] = {}
    seen: set[str] = set()

    def state(tensor: TensorName) -> State:
        return ports.get(tensor) or states.get(tensor.node, _ALIVE)

    def root(tensor: TensorName) -> str:
        name = tensor.node
        while (
            (node := graph.nodes.get(name)) is not None
            and node.op in (*PASSES_ON, "LogicalNot")
            and node.inputs
        ):
            name = node.inputs[0].node
        return name

    for name, node in _walk(graph, outputs, step).items():
        if node.op in _MERGES and all(source.node in seen for source in node.inputs):
            choice, after = _merged(node, state)
            if choice is not None:
                choices[name] = choice
                if choice.taken is not None and node.inputs[choice.taken] in values:
                    values[TensorName(name, 0)] = values[node.inputs[choice.taken]]
            if after != _ALIVE:
                states[name] = after
        else:
            known = [state(source) for source in node.inputs] if states or ports else []
            known += [states[control] for control in node.controls if control in states]
            own = _worst(known)
            if own != _ALIVE:
                states[name] = own
            _evaluate(node, values)
            if node.op in _SWITCHES and own[0] is not False and len(node.inputs) > 1:
                predicate = values.get(node.inputs[1])
                by = root(node.inputs[1])
                for port in (0, 1):
                    if predicate is None:
                        ports[TensorName(name, port)] = (None, by)
                    elif bool(predicate.all()) != bool(port):
                        ports[TensorName(name, port)] = (False, by)
        seen.add(name)
    return choices


def _worst(states: Iterable[State]) -> State:
    worst = _ALIVE
    for state in states:
        if state[0] is False:
            return state
        if state[0] is None:
            worst = state
    return worst


def _merged(node: Node, state: Callable[[TensorName], State]) -> tuple[Choice | None, State]:
    sides = [state(source) for source in node.inputs]
    deciders = [by for alive, by in sides if alive is not True and by]
    alive = [index for index, side in enumerate(sides) if side[0] is not False]
    if not deciders:
        return None, _ALIVE
    if not alive:
        return Choice(0, deciders[0]), sides[0]
    if len(alive) == 1:
        # The only side that is left may still hang on another predicate further out.
        return Choice(alive[0], deciders[0]), sides[alive[0]]
    return Choice(None, deciders[0]), _ALIVE


def _evaluate(node: Node, values: dict[TensorName, Array]) -> None:
    """Put the value of a scalar that a predicate may be made of into ``values``."""
    output = TensorName(node.name, 0)
    if output in values:
        return
    if node.op == "Const":
        constant = node.attrs.get("value")
        if isinstance(constant, Tensor) and constant.shape in ((), (1,)):
            values[output] = constant.array
    elif node.op in _EVALUATED:
        if all(source in values for source in node.inputs):
            values[output] = np.asarray(_EVALUATED[node.op](*(values[source] for source in node.inputs)))
    elif node.inputs and node.inputs[0] in values and _passes_value_on(node, values[node.inputs[0]]):
        values[output] = values[node.inputs[0]]
        if node.op in _SWITCHES:
            values[TensorName(node.name, 1)] = values[output]


def _passes_value_on(node: Node, value: Array) -> bool:
    if node.op == "Cast":
        return value.dtype.kind in "bui"
    return node.op in PASSES_ON or node.op == "PlaceholderWithDefault"


def taken_graph(live: LiveGraph) -> Graph:
    """The nodes of ``live`` as they are really taken: decided conditionals are gone, functions written out."""
    if not live.choices:
        return Graph(live.nodes)

    def taken(tensor: TensorName) -> TensorName:
        while (node := live.node(tensor)) is not None:
            choice = live.choices.get(node.name)
            if choice is not None and choice.taken is not None and tensor.port == 0:
                tensor = node.inputs[choice.taken]
            elif node.op in _SWITCHES and not live.loops(node):
                tensor = node.inputs[0]
            else:
                break
        return tensor

    return Graph(
        {name: replace(node, inputs=tuple(map(taken, node.inputs))) for name, node in live.nodes.items()}
    )
