"""Which nodes of a graph are dead, and what their conditionals choose, as TensorFlow's executor hands it on.

Rules of executor.cc: a node is dead if an input or control input is dead, a ``Merge`` if all its inputs
are; of a ``Switch`` the side that the predicate does not name is dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from . import ops
from .graph import Node, TensorName
from .loops import Lookup, is_back_edge, is_of_loop
from .predicates import Predicates

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


class Deadness:
    """What is known of the nodes of a graph, which are told to :meth:`follow` inputs first.

    ``calls`` are the tensors that calls return; ``conditionals`` are the ``Switch`` nodes that stand for an ``If``,
    with what that takes its predicate for. ``states`` holds what is not alive, ``taken`` the side of each
    ``Switch`` whose predicate is known (1: true), ``choices`` each ``Merge`` that ends a conditional.
    """

    def __init__(
        self,
        node: Lookup,
        known: Predicates,
        calls: Mapping[str, Sequence[TensorName]],
        conditionals: Mapping[str, bool | None],
    ) -> None:
        self.states: dict[str | TensorName, State] = {}
        self.taken: dict[str, int] = {}
        self.choices: dict[str, Choice] = {}
        self._node = node
        self._known = known
        self._calls = calls
        self._conditionals = conditionals

    def is_dead(self, node: Node) -> bool:
        """Whether a node that was followed never runs."""
        return self.states.get(node.name, ALIVE)[0] is False

    def state(self, tensor: TensorName) -> State:
        """Whether ``tensor`` is ever computed."""
        if tensor in self._known.fed:
            return ALIVE
        return self.states.get(tensor) or self.states.get(tensor.node, ALIVE)

    def state_of(self, node: Node) -> State:
        """A node is dead if anything that it reads or waits for is; undecided likewise."""
        if not self.states:
            return ALIVE
        sources: Iterable[TensorName] = node.inputs
        if node.op in ops.MERGES:
            sources = (source for source in node.inputs if not is_back_edge(self._node, source))
        known = [self.state(source) for source in sources]
        if node.op not in ops.MERGES:  # that waits for its control inputs, dead or not
            known += [self.states.get(control, ALIVE) for control in node.controls]
        return _worst(known)

    def follow(self, node: Node) -> None:
        """Note what becomes of ``node``, now that this is known of what it reads."""
        if node.op in ops.MERGES and not any(is_back_edge(self._node, source) for source in node.inputs):
            self._merge(node)
            return
        state = self.state_of(node)
        if state != ALIVE:
            self.states[node.name] = state
        if node.name in self._calls:
            self._return(node.name)
        elif node.op in ops.SWITCHES and len(node.inputs) > 1:
            self._switch(node, state)

    def _return(self, call: str) -> None:
        for port, source in enumerate(self._calls[call]):
            tensor = TensorName(call, port)
            self._known.learn(tensor, self._known.value(source))
            state = _worst([self.states.get(call, ALIVE), self.state(source)])
            if state != ALIVE:
                self.states[tensor] = state

    def _switch(self, node: Node, state: State) -> None:
        predicate = node.inputs[1]
        if state[0] is False or is_of_loop(self._node, node):
            return
        truth = self._predicate(node.name, predicate)
        by = root(self._node, predicate)
        if truth is None:
            self.states.update({TensorName(node.name, port): (None, by) for port in (0, 1)})
        else:
            self.taken[node.name] = int(truth)
            self.states[TensorName(node.name, 1 - int(truth))] = (False, by)

    def _predicate(self, switch: str, predicate: TensorName) -> bool | None:
        """What decides a ``Switch``: a bool, or, where that was an ``If``, what that takes it for."""
        if switch in self._conditionals:
            return self._conditionals[switch]
        return self._known.decides_switch(predicate)

    def _merge(self, node: Node) -> None:
        choice, state = _merged([self.state(source) for source in node.inputs])
        if state != ALIVE:
            self.states[node.name] = state
        if choice is None:
            return
        self.choices[node.name] = choice
        if choice.taken is not None:
            self._known.learn(TensorName(node.name, 0), self._known.value(node.inputs[choice.taken]))
            self._known.learn(TensorName(node.name, 1), np.int32(choice.taken))


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
