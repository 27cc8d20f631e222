"""What lives in each turn of a loop: the heads of its variables live together, so that one condition says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..graph import Attr, TensorName
from .form import Edge, Guard, Life, NormalNode


@dataclass(slots=True)
class Turns:
    """The loops of a graph. Each head of one is said to live when the first of it does, which :meth:`hold` proves.

    Two graphs write down one loop and yet name other heads where something waits for a turn: each writer of a
    constant in a loop's body names those that it knows. ``first`` has the first head of the loop of each head,
    ``kept`` what each turn hands on as it was given, by the ``Enter`` that stands for it.
    """

    first: dict[int, int] = field(default_factory=dict)
    kept: dict[int, tuple[Attr, TensorName]] = field(default_factory=dict)
    _firsts: dict[Attr, int] = field(default_factory=dict)
    _entered: dict[int, Life] = field(default_factory=dict)
    _handed_on: list[tuple[Attr, Edge]] = field(default_factory=list)

    def life(self, head: int, frame: Attr, entered: Life) -> Life:
        """When ``head`` of the loop ``frame`` lives, into which its first value comes if ``entered``."""
        self.first[head] = self._firsts.setdefault(frame, head)
        self._entered[head] = entered
        return (Guard(self.first[head], 0, -1),)

    def each(self, frame: Attr, entered: Life) -> Life:
        """When what is the same in each turn of the loop ``frame`` lives: with the turn, and if it ``entered``.

        A turn begins where a head lives (``FrameState::IncrementIteration`` in tensorflow/core/common_runtime).
        """
        first = self._firsts.get(frame)
        if first is None:
            return entered
        return (*(guard for guard in entered if guard not in self._entered[first]), Guard(first, 0, -1))

    def left(self, head: int) -> Life | None:
        """When what ``head`` holds leaves the loop, which is taken to end: one that does not gives nothing at all."""
        return self._entered.get(head)

    def keep(self, head: int, frame: Attr, entered: Life, back: TensorName) -> None:
        """Note that ``head`` is the same in each turn of ``frame``, which hands it on as the tensor ``back``."""
        self.kept[head] = (frame, back)
        self._entered[head] = entered

    def close(self, tensor: Callable[[TensorName], Edge]) -> None:
        """Look up what is handed on, now that every node is there."""
        self._handed_on = [(frame, tensor(back)) for frame, back in self.kept.values()]

    def hold(self, nodes: Sequence[NormalNode], lives: Sequence[Life]) -> bool:
        """Whether the heads of each loop really live together.

        In the first turn they do if what enters lives under the same conditions; in a further one if each is handed
        on under no other conditions than that the turn before was one, and that its only ``LoopCond`` was true.
        """
        handed: dict[int, set[Guard]] = {}
        entered: dict[int, set[frozenset[Guard]]] = {}
        for head, first in self.first.items():
            entered.setdefault(first, set()).add(frozenset(self._entered[head]))
            for edge in nodes[head].inputs:
                if nodes[edge.node].op == "NextIteration":
                    handed.setdefault(first, set()).update(lives[edge.node])
        for frame, edge in self._handed_on:
            handed.setdefault(self._firsts.get(frame, -1), set()).update(lives[edge.node])
        decides: dict[Guard, list[int]] = {}
        for index, node in enumerate(nodes):
            if node.op == "LoopCond" and len(lives[index]) == 1:
                decides.setdefault(lives[index][0], []).append(index)
        for first, conditions in handed.items():
            turn = Guard(first, 0, -1)
            deciding = decides.get(turn, [])
            if len(deciding) != 1 or not conditions <= {turn, Guard(deciding[0], 0, 1)}:
                return False
        return all(len(each) == 1 for each in entered.values())

    def settle(self, nodes: Sequence[NormalNode]) -> None:
        """Leave out of the conditions of ``nodes`` that a turn lives, where they say that its ``LoopCond`` is true."""
        turns = {Guard(first, 0, -1) for first in self._firsts.values()}
        for node in nodes if turns else ():
            if any(guard.side >= 0 and nodes[guard.node].op == "LoopCond" for guard in node.guards):
                node.guards = tuple(guard for guard in node.guards if guard not in turns)
