"""Which part of a graph a run executes: predicates that are known before it, and what they leave alive.

This is the one place where a predicate gets its meaning: the normal form, the records of batch norms,
the diagnosis and the pruning before a run all ask :func:`liveness`. Rules of TensorFlow's executor
(executor.cc): a node is dead if an input or control input is dead, a ``Merge`` if all its inputs are;
of a ``Switch`` the side that the predicate does not name is dead. What is not known is None, and
leaves both sides of a conditional alive: nothing may be concluded from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from . import ops
from .graph import Array, Attr, Function, Graph, Node, Tensor, TensorName, listed
from .inline import Budget, Inliner, Written
from .loops import Lookup, is_back_edge, is_of_loop
from .predicates import Predicates, constant_scalar
from .scalars import Scalar
from .variables import Variables, label_of

State: TypeAlias = "tuple[bool | None, str | None]"
"""Whether a tensor is ever computed (None: that depends on a feed), and the predicate that decides."""

ALIVE: State = (True, None)

FOLLOWED = ops.PASS_THROUGH | ops.ENTERS | ops.SWITCHES | {"EnsureShape", "IdentityN"}
"""Ops that a tensor is followed through to what it is made of."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which input of a Merge is taken (None: it depends on a feed) and the node that decides it."""

    taken: int | None
    predicate: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """What is known of a graph before it is run.

    ``nodes`` are those that the outputs need, control inputs included, inputs first (the ends of loops
    last); nodes of functions are called ``call/inner``. ``calls`` are the nodes that stand for a function: the
    tensors that it returns. ``taken`` are the ``Switch`` nodes whose predicate is known (1: true),
    ``choices`` the ``Merge`` nodes that end a conditional. ``refusals`` are clauses: what of the functions
    could not be written out. ``values`` and ``states`` are asked with the methods.
    """

    nodes: Mapping[str, Node]
    calls: Mapping[str, tuple[TensorName, ...]]
    taken: Mapping[str, int]
    choices: Mapping[str, Choice]
    refusals: tuple[str, ...]
    values: Mapping[TensorName, Scalar | None]
    states: Mapping[str | TensorName, State]
    fed: Set[TensorName]

    def node(self, name: str) -> Node | None:
        """The node ``name``, None if the outputs do not need it."""
        return self.nodes.get(name)

    def value(self, tensor: TensorName) -> Scalar | None:
        """The value of a scalar that is known, None of any other tensor."""
        if tensor in self.values:
            return self.values[tensor]
        node = None if tensor in self.fed else self.nodes.get(tensor.node)
        return None if node is None else constant_scalar(node)

    def is_dead(self, tensor: TensorName) -> bool:
        """Whether ``tensor`` is never computed."""
        if not self.states or tensor in self.fed:
            return False
        state = self.states.get(tensor) or self.states.get(tensor.node, ALIVE)
        return state[0] is False

    def returned(self, tensor: TensorName) -> TensorName:
        """``tensor``, or what a function returns in its place."""
        while (
            (returns := self.calls.get(tensor.node, ()))
            and tensor.port < len(returns)
            and tensor not in self.fed
        ):
            tensor = returns[tensor.port]
        return tensor

    def is_dead_node(self, name: str) -> bool:
        """Whether the node ``name`` never runs."""
        return self.states.get(name, ALIVE)[0] is False


def liveness(
    graph: Graph,
    outputs: Iterable[TensorName],
    *,
    inputs: Iterable[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    variables: Mapping[str, Tensor] | None = None,
    effects: Iterable[str] = (),
    lower: bool = False,
    budget: Budget | None = None,
) -> Liveness:
    """What is known of ``graph`` when ``inputs`` are fed anything and ``feeds`` these constants.

    ``variables`` are the values of variable nodes; one that the run changes counts as not known.
    ``effects`` are nodes that run, too, though no output needs them. Calls and decided conditionals are
    written out; with ``lower`` undecided ones are ``Switch`` and ``Merge`` as well.
    """
    known = Variables(graph, variables or {})
    while True:
        walk = _Walk(
            graph,
            known,
            feeds or {},
            frozenset(inputs),
            lower=lower,
            budget=budget or Budget(graph.functions),
        )
        walk.run(outputs, effects)
        changed = walk.known.relied & walk.written() if walk.known.relied else set()
        if not changed:
            return walk.found()
        known = known.without(changed)


class _Walk:
    """One pass over a graph, inputs first: calls are written out, scalars evaluated, deadness handed on."""

    def __init__(
        self,
        graph: Graph,
        variables: Variables,
        feeds: Mapping[TensorName, Array],
        inputs: Set[TensorName],
        *,
        lower: bool,
        budget: Budget,
    ) -> None:
        self.graph = graph
        self.known = Predicates(graph, self.node, inputs, feeds, variables)
        self.fed = self.known.fed
        self.lower = lower
        self.written_out: dict[str, Node] = {}
        self.inliner = Inliner(graph.functions, _Names(graph.nodes, self.written_out), budget)
        self.done: dict[str, Node] = {}
        self.calls: dict[str, tuple[TensorName, ...]] = {}
        self.states: dict[str | TensorName, State] = {}
        self.taken: dict[str, int] = {}
        self.choices: dict[str, Choice] = {}
        self._conditionals: dict[str, bool | None] = {}
        self._refusals: list[str] = []
        self._started: set[str] = set()
        self._expanded: set[str] = set()
        self._loops: list[Node] = []
        self._effects: list[str] = []

    def found(self) -> Liveness:
        return Liveness(
            nodes=self.done,
            calls=self.calls,
            taken=self.taken,
            choices=self.choices,
            refusals=tuple(dict.fromkeys((*self._refusals, *self.inliner.refusals))),
            values=self.known.values,
            states=self.states,
            fed=self.fed,
        )

    def node(self, name: str) -> Node | None:
        return self.graph.nodes.get(name) or self.written_out.get(name)

    # --- the walk

    def run(self, outputs: Iterable[TensorName], effects: Iterable[str]) -> None:
        self._effects.extend(effects)
        for output in outputs:
            if output not in self.fed:
                self.visit(output.node)
        while self._effects:
            self.visit(self._effects.pop())

    def visit(self, name: str) -> None:
        self._visit(name)
        while self._loops:
            for source in self._loops.pop().inputs:
                if source not in self.fed:
                    self._visit(source.node)

    def _visit(self, wanted: str) -> None:
        stack = [wanted]
        while stack:
            name = stack[-1]
            node = self.node(name)
            if node is None or name in self.done:
                stack.pop()
                continue
            before = self._before(node)
            if before:
                stack.extend(before)
                continue
            stack.pop()
            self.done[name] = node
            self._finish(node)

    def _before(self, node: Node) -> list[str]:
        """What must be known before ``node`` is and is not yet, last first: its inputs, then what it calls."""
        if node.name not in self._started:
            self._started.add(node.name)
            before = self._unstarted(self._read(node), node.controls)
            if before:
                return before
        if not self._may_call(node) or node.name in self._expanded:
            return []
        self._expanded.add(node.name)
        self._expand(node)
        return self._unstarted(self.calls.get(node.name, ()), ())

    def _unstarted(self, tensors: Sequence[TensorName], controls: Sequence[str]) -> list[str]:
        names = [source.node for source in tensors if source not in self.fed]
        return [each for each in (*names, *controls) if each not in self._started][::-1]

    def _read(self, node: Node) -> Sequence[TensorName]:
        return self._entering(node) if node.op in ops.MERGES else node.inputs

    def _entering(self, merge: Node) -> tuple[TensorName, ...]:
        """The inputs of a ``Merge`` but those from the end of a loop, which are walked afterwards."""
        entering = tuple(source for source in merge.inputs if not is_back_edge(self.node, source))
        if len(entering) < len(merge.inputs):
            self._loops.append(merge)
        return entering

    # --- calls

    def _may_call(self, node: Node) -> bool:
        return node.op in ops.FUNCTIONAL or node.op in ops.CALLS or node.op in self.graph.functions

    def _expand(self, node: Node) -> None:
        """Write out what ``node`` runs, if it is known which function that is, or by lowering it."""
        if self._state_of(node)[0] is False:
            return
        written = self._lowered(node) if self.lower and node.op in ops.IFS else self._called(node)
        if written is None:
            return
        self._refusals.extend(written.unknown)
        self.calls[node.name] = written.returns
        for each in written.nodes:
            self.written_out[each.name] = each
            if ops.may_write(each.op):
                self._effects.append(each.name)

    def _called(self, node: Node) -> Written | None:
        if node.op in self.graph.functions:
            return self.inliner.call(node, Function(node.op, node.attrs), node.inputs)
        if node.op in ops.CALLS:
            function, arguments = node.attrs.get("f"), node.inputs
        else:
            function, arguments = self._branch(node), node.inputs[1:]
        return self.inliner.call(node, function, arguments) if isinstance(function, Function) else None

    def _branch(self, node: Node) -> Attr:
        """The function that a conditional runs, None where a feed decides."""
        if not node.inputs:
            return None
        if node.op in ops.IFS:
            truth = self.known.decides_if(node.inputs[0])
            return None if truth is None else node.attrs.get("then_branch" if truth else "else_branch")
        branches = listed(node.attrs.get("branches"))
        index = self.known.decides_case(node.inputs[0]) if node.op in ops.CASES else None
        if not branches or index is None:
            return None
        # Out of range means the last branch (functional_ops.cc, Case).
        return branches[index] if 0 <= index < len(branches) else branches[-1]

    def _lowered(self, node: Node) -> Written | None:
        truth = self.known.decides_if(node.inputs[0]) if node.inputs else None
        written = self.inliner.conditional(node)
        if written is not None:
            self._conditionals.update(dict.fromkeys(written.switches, truth))
        return written

    # --- what is known of a node, now that all is known of what it reads

    def state(self, tensor: TensorName) -> State:
        if tensor in self.fed:
            return ALIVE
        return self.states.get(tensor) or self.states.get(tensor.node, ALIVE)

    def _state_of(self, node: Node) -> State:
        """A node is dead if anything that it reads or waits for is; undecided likewise."""
        if not self.states:
            return ALIVE
        sources: Iterable[TensorName] = node.inputs
        if node.op in ops.MERGES:
            sources = (source for source in node.inputs if not is_back_edge(self.node, source))
        known = [self.state(source) for source in sources]
        if node.op not in ops.MERGES:  # that waits for its control inputs, dead or not
            known += [self.states.get(control, ALIVE) for control in node.controls]
        return _worst(known)

    def _finish(self, node: Node) -> None:
        if node.op in ops.MERGES and not any(is_back_edge(self.node, source) for source in node.inputs):
            self._merge(node)
            return
        state = self._state_of(node)
        if state != ALIVE:
            self.states[node.name] = state
        self.known.follow(node)
        if node.name in self.calls:
            self._return(node.name)
        elif node.op in ops.SWITCHES and len(node.inputs) > 1:
            self._switch(node, state)

    def _return(self, call: str) -> None:
        for port, source in enumerate(self.calls[call]):
            tensor = TensorName(call, port)
            self.known.learn(tensor, self.known.value(source))
            state = _worst([self.states.get(call, ALIVE), self.state(source)])
            if state != ALIVE:
                self.states[tensor] = state

    def _switch(self, node: Node, state: State) -> None:
        predicate = node.inputs[1]
        if state[0] is False or is_of_loop(self.node, node):
            return
        truth = self._predicate(node.name, predicate)
        by = root(self.node, predicate)
        if truth is None:
            self.states.update({TensorName(node.name, port): (None, by) for port in (0, 1)})
        else:
            self.taken[node.name] = int(truth)
            self.states[TensorName(node.name, 1 - int(truth))] = (False, by)

    def _predicate(self, switch: str, predicate: TensorName) -> bool | None:
        """What decides a ``Switch``: a bool, or, where that was an ``If``, what that takes it for."""
        if switch in self._conditionals:
            return self._conditionals[switch]
        return self.known.decides_switch(predicate)

    def _merge(self, node: Node) -> None:
        choice, state = _merged([self.state(source) for source in node.inputs])
        if state != ALIVE:
            self.states[node.name] = state
        if choice is None:
            return
        self.choices[node.name] = choice
        if choice.taken is not None:
            self.known.learn(TensorName(node.name, 0), self.known.value(node.inputs[choice.taken]))
            self.known.learn(TensorName(node.name, 1), np.int32(choice.taken))

    # --- afterwards

    def written(self) -> set[str]:
        """The variables that a node that runs may change."""
        found: set[str] = set()
        for name, node in self.done.items():
            if ops.may_write(node.op) and self.states.get(name, ALIVE)[0] is not False:
                sources = node.inputs[:1] if ops.writes_first_input(node.op) else node.inputs
                found.update(label_of(each) for each in self._referred(sources))
        return found

    def _referred(self, sources: Iterable[TensorName]) -> Iterator[Node]:
        """The variables behind references, which calls, conditionals and loops may hand on."""
        stack, seen = list(sources), set(sources)
        while stack:
            tensor = stack.pop()
            node = self.node(tensor.node)
            if node is None:
                continue
            if node.op in ops.VARIABLES:
                yield node
            returns = self.calls.get(node.name, ())
            onward = returns[tensor.port : tensor.port + 1] if returns else ()
            if node.op in ops.CARRIERS or node.op == "IdentityN":
                onward = node.inputs
            stack.extend(source for source in onward if source not in seen)
            seen.update(onward)


class _Names:
    """The names of a graph's nodes and of those that were written out."""

    def __init__(self, *nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes

    def __contains__(self, name: object) -> bool:
        return any(name in each for each in self._nodes)


def root(node: Lookup, predicate: TensorName) -> str:
    """The placeholder or constant that a predicate is made of."""
    name, seen = predicate.node, {predicate.node}
    while (found := node(name)) is not None and found.inputs:
        if found.op not in FOLLOWED and found.op != "LogicalNot":
            break
        name = found.inputs[0].node
        if name in seen:
            break
        seen.add(name)
    return name


def _worst(states: Iterable[State]) -> State:
    worst = ALIVE
    for state in states:
        if state[0] is False:
            return state
        if state[0] is None:
            worst = state
    return worst


def _merged(sides: Sequence[State]) -> tuple[Choice | None, State]:
    deciders = [by for alive, by in sides if alive is not True and by]
    alive = [index for index, side in enumerate(sides) if side[0] is not False]
    if not deciders:
        return None, ALIVE
    if not alive:
        return Choice(0, deciders[0]), sides[0]
    if len(alive) == 1:
        # The only side that is left may still hang on another predicate further out.
        return Choice(alive[0], deciders[0]), sides[alive[0]]
    return Choice(None, deciders[0]), ALIVE
