"""Calls of functions, functional conditionals and loops written out as plain nodes.

Nodes of a function keep their names under the name of the call: ``call/inner``. A conditional becomes
what TensorFlow's own lowering makes of it (lower_if_op.cc): a ``Switch`` for each argument, a ``Merge``
for each result, else side first. So does a loop (lower_while_op.cc). Other ops that run functions keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import ops
from .function_body import Body, body_of
from .graph import Attr, DType, Function, FunctionBody, Node, TensorName, listed

_MOST_NODES = 500_000
"""Nodes that are written out in all: five times the largest graph that is measured (``benchmarks``), at 0.4 kB
each. Functions that call others twice, these others twice, would fill any memory."""
_RESOURCE = DType(20)


class Budget:
    """How much of a library of functions may still be written out.

    Asked before anything is: a function that calls itself, or whose calls are too many, costs nothing.
    """

    def __init__(self, functions: Mapping[str, FunctionBody], nodes: int = _MOST_NODES) -> None:
        self._functions = functions
        self._limit = nodes
        self._left = nodes
        self._sizes: dict[str, int | None] = {}

    def refusal(self, function: str) -> str | None:
        """Takes the nodes of ``function``; where that is too much, a clause that says why."""
        size = self._size(function)
        if size is None:
            return f"function {function} calls itself"
        if size > self._left:
            return f"function {function} is called too often: its calls have more than {self._limit:,} nodes"
        self._left -= len(self._functions[function].nodes)
        return None

    def _size(self, function: str) -> int | None:
        """The nodes of a function with all that it calls; None if it calls itself, directly or not."""
        stack = [(function, False)]
        while stack:
            name, finished = stack.pop()
            if finished:
                parts = [self._sizes[each] for each in called_functions(self._functions, name)]
                known = [part for part in parts if part is not None]
                total = len(self._functions[name].nodes) + sum(known)
                self._sizes[name] = min(total, self._limit + 1) if len(known) == len(parts) else None
            elif name not in self._sizes:
                self._sizes[name] = None  # until what it calls is known: that must not be itself
                stack.append((name, True))
                stack.extend((each, False) for each in called_functions(self._functions, name))
        return self._sizes[function]


def called_functions(functions: Mapping[str, FunctionBody], name: str) -> list[str]:
    """The functions that function ``name`` calls, each as often as it does."""
    found = []
    for node in functions[name].nodes:
        found.append(node.op)
        for attribute in ops.function_attributes(node.op):
            value = node.attrs.get(attribute)
            for each in (value,) if isinstance(value, Function) else listed(value) or ():
                found += [each.name] if isinstance(each, Function) else []
    return [each for each in found if each in functions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inlined:
    """What stands for a call: its nodes, and the tensor that each of its results is.

    ``unknown`` lists what could not be resolved, a clause each. ``switches`` are the nodes that choose a
    side where the call was a conditional.
    """

    nodes: Sequence[Node]
    returns: tuple[TensorName, ...]
    unknown: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


class Inliner:
    """Writes the calls of one graph out, within a budget."""

    def __init__(self, functions: Mapping[str, FunctionBody], taken: Container[str], budget: Budget) -> None:
        self.functions = functions
        self.refusals: list[str] = []
        self._taken = taken
        self._budget = budget

    def call(
        self,
        node: Node,
        function: Function,
        arguments: Sequence[TensorName],
        named: Callable[[str], str] | None = None,
    ) -> Inlined | None:
        """``function`` in place of ``node``; None where it is not in the library or that would be too much.

        ``named`` gives the name of a node by that in the function; default: under the name of the call.
        """
        body = self._body(function)
        if body is None:
            return None
        return self._placed(named or _under(self._free(node.name, body.nodes)), body, arguments)

    def conditional(self, node: Node) -> Inlined | None:
        """An ``If`` whose predicate is not known as ``Switch`` and ``Merge``; None as for :meth:`call`."""
        sides = [
            side
            for key in ("else_branch", "then_branch")
            if isinstance(function := node.attrs.get(key), Function)
            and (side := self._body(function)) is not None
        ]
        return self._lowered(node, *sides) if len(sides) == 2 else None

    def loop(self, node: Node) -> Inlined | None:
        """A ``While`` as the frame of a loop; None as for :meth:`call`, and where no variable of it turns.

        A resource is the same in each turn: it enters the loop as a constant.
        """
        condition, body = node.attrs.get("cond"), node.attrs.get("body")
        types = listed(node.attrs.get("T"))
        if not isinstance(condition, Function) or not isinstance(body, Function) or types is None:
            return None
        constant = [kind == _RESOURCE for kind in types]
        if all(constant) or len(constant) != len(node.inputs):
            return None
        decides, turns = self._body(condition), self._body(body)
        if decides is None or turns is None or len(turns.returns) != len(node.inputs):
            return None
        return self._turned(node, constant, decides, turns) if len(decides.returns) == 1 else None

    def _body(self, function: Function) -> Body | None:
        body = self.functions.get(function.name)
        if body is None:
            return None
        refusal = self._budget.refusal(function.name)
        if refusal is not None:
            self.refusals.append(refusal)
            return None
        return body_of(self.functions, body, function.attrs)

    def _free(self, name: str, wanted: Collection[str]) -> str:
        """``name``, or one after it, under which the graph has no node of a ``wanted`` name yet."""
        prefix, number = name, 0
        while any(f"{prefix}/{inner}" in self._taken for inner in wanted):
            number += 1
            prefix = f"{name}_{number}"
        return prefix

    def _placed(
        self,
        named: Callable[[str], str],
        body: Body,
        arguments: Sequence[TensorName],
        gate: tuple[str, ...] = (),
    ) -> Inlined:
        """``body`` with its nodes ``named``; one without inputs waits for ``gate``."""
        names = {inner.name: named(inner.name) for inner in body.nodes.values() if inner.op != ops.ARGUMENT}
        placed = _placing(lambda inner: names.get(inner) or named(inner), body, arguments)
        nodes = [
            Node(
                names[inner.name],
                inner.op,
                tuple(map(placed, inner.inputs)),
                (
                    *(placed(TensorName(control, 0)).node for control in inner.controls),
                    *(() if inner.inputs else gate),
                ),
                inner.attrs,
            )
            for inner in body.nodes.values()
            if inner.op != ops.ARGUMENT
        ]
        unknown = tuple(f"in function {body.name}, {reason}" for reason in body.unknown)
        return Inlined(nodes=nodes, returns=tuple(map(placed, body.returns)), unknown=unknown)

    def _lowered(self, node: Node, otherwise: Body, then: Body) -> Inlined:
        predicate, *arguments = node.inputs
        own = ["pivot", "else_pivot", "then_pivot", *(f"switch_{index}" for index in range(len(arguments)))]
        own += [f"merge_{port}" for port in range(len(then.returns))]
        own += [
            f"{side}/{inner}" for side, body in (("else", otherwise), ("then", then)) for inner in body.nodes
        ]
        name = self._free(node.name, own)
        pivot = Node(f"{name}/pivot", "Switch", (predicate, predicate), node.controls)
        switches = [pivot]
        for index, argument in enumerate(arguments):
            switches.append(Node(f"{name}/switch_{index}", "Switch", (argument, predicate), node.controls))
        nodes = [*switches]
        returned: list[tuple[TensorName, ...]] = []
        unknown: list[str] = []
        for port, (side, body) in enumerate((("else", otherwise), ("then", then))):
            gate = Node(f"{name}/{side}_pivot", "Identity", (TensorName(pivot.name, port),))
            inputs = [TensorName(switch.name, port) for switch in switches[1:]]
            written = self._placed(_under(f"{name}/{side}"), body, inputs, (gate.name,))
            nodes += [gate, *written.nodes]
            returned.append(written.returns)
            unknown += written.unknown
        merges = [
            Node(f"{name}/merge_{port}", "Merge", sides)
            for port, sides in enumerate(zip(*returned, strict=False))
        ]
        return Inlined(
            nodes=[*nodes, *merges],
            returns=tuple(TensorName(merge.name, 0) for merge in merges),
            unknown=tuple(unknown),
            switches=tuple(switch.name for switch in switches),
        )

    def _turned(self, node: Node, constant: Sequence[bool], decides: Body, turns: Body) -> Inlined:
        places = range(len(constant))
        own = ["turn", "LoopCond", *(f"{part}_{place}" for place in places for part in _PARTS)]
        own += [f"cond/{inner}" for inner in decides.nodes] + [f"body/{inner}" for inner in turns.nodes]
        frame = _Frame(self._free(node.name, own), constant)
        asked = self._placed(_under(f"{frame.name}/cond"), decides, frame.heads(), frame.asks())
        done = self._placed(_under(f"{frame.name}/body"), turns, frame.handed(), (frame.gate,))
        nodes = [*frame.entered(node), *frame.turning(asked.returns), *asked.nodes, *done.nodes]
        return Inlined(
            nodes=[*nodes, *frame.closed(done.returns)],
            returns=tuple(
                node.inputs[place] if constant[place] else frame.tensor("exit", place) for place in places
            ),
            unknown=(*asked.unknown, *done.unknown),
        )


_PARTS = ("enter", "merge", "switch", "next", "exit", "held")


@dataclass(frozen=True, slots=True)
class _Frame:
    """The nodes that make a loop of its condition and its body; ``constant`` says which variables never change."""

    name: str
    constant: Sequence[bool]

    def tensor(self, part: str, place: int, port: int = 0) -> TensorName:
        return TensorName(f"{self.name}/{part}_{place}", port)

    @property
    def gate(self) -> str:
        """What a node of the body waits for that reads nothing of the loop: a turn that the condition lets through."""
        return f"{self.name}/turn"

    def changing(self) -> list[int]:
        return [place for place, held in enumerate(self.constant) if not held]

    def heads(self) -> list[TensorName]:
        """The variables as the condition gets them."""
        return [self.tensor("enter" if held else "merge", place) for place, held in enumerate(self.constant)]

    def asks(self) -> tuple[str, ...]:
        """What a node of the condition waits for that reads nothing of the loop."""
        return (self.tensor("merge", self.changing()[0]).node,)

    def handed(self) -> list[TensorName]:
        """The variables as the body gets them."""
        return [
            self.tensor("held", place) if held else self.tensor("switch", place, 1)
            for place, held in enumerate(self.constant)
        ]

    def entered(self, node: Node) -> Iterator[Node]:
        frame: dict[str, Attr] = {
            "frame_name": self.name.encode(),
            "parallel_iterations": node.attrs.get("parallel_iterations", 10),
        }
        for place, held in enumerate(self.constant):
            attrs = {**frame, "is_constant": held}
            source = (node.inputs[place],)
            yield Node(self.tensor("enter", place).node, "Enter", source, node.controls, attrs)
            if held:
                entered = (self.tensor("enter", place),)
                yield Node(self.tensor("held", place).node, "Identity", entered, (self.gate,))

    def turning(self, condition: Sequence[TensorName]) -> Iterator[Node]:
        decided = Node(f"{self.name}/LoopCond", "LoopCond", tuple(condition))
        yield decided
        for place in self.changing():
            back = (self.tensor("enter", place), self.tensor("next", place))
            merge, switch = self.tensor("merge", place), self.tensor("switch", place)
            yield Node(merge.node, "Merge", back)
            yield Node(switch.node, "Switch", (merge, TensorName(decided.name, 0)))
            yield Node(self.tensor("exit", place).node, "Exit", (switch,))
        yield Node(self.gate, "Identity", (self.tensor("switch", self.changing()[0], 1),))

    def closed(self, results: Sequence[TensorName]) -> Iterator[Node]:
        for place in self.changing():
            yield Node(self.tensor("next", place).node, "NextIteration", (results[place],))


def _under(prefix: str) -> Callable[[str], str]:
    """Names of nodes below a scope."""
    return lambda inner: f"{prefix}/{inner}"


def _placing(
    named: Callable[[str], str], body: Body, arguments: Sequence[TensorName]
) -> Callable[[TensorName], TensorName]:
    """Where a tensor of ``body`` is found: an argument with the caller, any other where its node is ``named``."""

    def placed(source: TensorName) -> TensorName:
        node = body.nodes.get(source.node)
        index = node.attrs.get("index") if node is not None and node.op == ops.ARGUMENT else None
        if isinstance(index, int) and index + source.port < len(arguments):
            return arguments[index + source.port]
        return TensorName(named(source.node), source.port)

    return placed
