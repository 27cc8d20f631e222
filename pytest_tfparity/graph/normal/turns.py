"""What lives in each turn of a loop: the heads of its variables live together, so that one condition says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..graph import Attr, TensorName
from .form import Edge, Guard, Life, NormalNode


@dataclass(slots=True)
class _Loop:
    """One loop. ``turn`` is the condition that a turn of it lives, ``entered`` when its variables come into it.

    ``heads`` are the nodes of its variables, but for those that each turn hands on as they came; ``handed`` are the
    tensors that hand on the one and the other; ``constants`` are when its constants come into it.
    """

    turn: Guard
    heads: list[int] = field(default_factory=list)
    handed: list[TensorName] = field(default_factory=list)
    entered: list[Life] = field(default_factory=list)
    constants: list[Life] = field(default_factory=list)


class Turns:
    """The loops of a graph. What stands in one is said to live with its turns, which :meth:`hold` proves.

    Two graphs write down one loop and yet name other heads where something waits for a turn: each writer of a
    constant in a loop's body names those that it knows. ``first`` has the first head of the loop of each head, for
    the turns in which it lives; ``kept`` are the nodes that stand for what each turn hands on as it was given.
    """

    def __init__(self) -> None:
        self.first: dict[int, int] = {}
        self.kept: set[int] = set()
        self._loops: dict[Attr, _Loop] = {}
        self._entered: dict[int, Life] = {}

    def _loop(self, frame: Attr) -> _Loop:
        # No node has such a number: which head stands for the turn is not known before all are.
        return self._loops.setdefault(frame, _Loop(Guard(-1 - len(self._loops), 0, -1)))

    def head(self, index: int, frame: Attr, entered: Life, back: TensorName, *, kept: bool) -> Life:
        """When the node ``index`` of a variable of ``frame`` lives.

        Its first value comes into the loop if ``entered``, each further one is ``back``; ``kept``: that is the first.
        """
        loop = self._loop(frame)
        if kept:
            self.kept.add(index)
        else:
            loop.heads.append(index)
        loop.entered.append(entered)
        loop.handed.append(back)
        self._entered[index] = entered
        return (loop.turn,)

    def constant(self, frame: Attr, entered: Life) -> Life:
        """When a constant of the loop ``frame`` lives, which comes into it if ``entered``.

        With each turn, which begins where a head lives (``FrameState`` in tensorflow/core/common_runtime).
        """
        loop = self._loop(frame)
        loop.constants.append(entered)
        return (loop.turn,)

    def left(self, head: int) -> Life | None:
        """When what ``head`` holds leaves the loop, which is taken to end: one that does not gives nothing at all."""
        return self._entered.get(head)

    def hold(
        self, nodes: Sequence[NormalNode], lives: Sequence[Life], tensor: Callable[[TensorName], Edge]
    ) -> bool:
        """Whether all that was said to live with the turns of a loop does.

        In the first turn it does if all that enters lives under the same conditions; in a further one if each head
        is handed on under no other conditions than these, that the turn before was one, and that its only
        ``LoopCond`` was true.
        """
        decides: dict[Guard, list[int]] = {}
        for index, node in enumerate(nodes):
            if node.op == "LoopCond" and len(lives[index]) == 1:
                decides.setdefault(lives[index][0], []).append(index)
        return all(
            _lives_together(loop, decides.get(loop.turn, ()), lives, tensor) for loop in self._loops.values()
        )

    def settle(self, nodes: Sequence[NormalNode], lives: Sequence[Life]) -> None:
        """Let the first head of each loop stand for its turns, and leave turns out that a ``LoopCond`` implies."""
        firsts = {loop.turn: Guard(loop.heads[0], 0, -1) for loop in self._loops.values()}
        self.first = {head: loop.heads[0] for loop in self._loops.values() for head in loop.heads}
        for node in nodes:
            if node.guards:
                decided = [guard.node for guard in node.guards if guard.side >= 0]
                implied = {
                    each for index in decided if nodes[index].op == "LoopCond" for each in lives[index]
                }
                node.guards = tuple(firsts.get(each, each) for each in node.guards if each not in implied)


def _lives_together(
    loop: _Loop,
    decides: Sequence[int],
    lives: Sequence[Life],
    tensor: Callable[[TensorName], Edge],
) -> bool:
    entered = {frozenset(each) for each in loop.entered}
    if len(entered) != 1 or len(decides) != 1 or not loop.heads:
        return False
    (outside,) = entered
    handed = {guard for back in loop.handed for guard in lives[tensor(back).node]}
    allowed = {loop.turn, Guard(decides[0], 0, 1)} | outside
    return handed <= allowed and all(outside.issuperset(each) for each in loop.constants)
