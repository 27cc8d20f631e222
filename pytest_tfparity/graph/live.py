"""Which part of a graph a run executes: predicates that are known before it, and what they leave alive.

This is the one place where a predicate gets its meaning: the normal form, the records of batch norms,
the diagnosis and the pruning before a run all ask :func:`liveness`. What is not known is None, and
leaves both sides of a conditional alive: nothing may be concluded from it.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from . import ops
from .deadness import ALIVE, Choice, Deadness, State
from .graph import Array, Attr, Function, Graph, Node, Tensor, TensorName, listed
from .loops import Lookup, is_back_edge
from .predicates import Predicates, constant_scalar
from .references import References, Writer
from .scalars import Scalar
from .variables import Variables

if TYPE_CHECKING:
    from .inline import Budget, Inlined, Inliner


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """What is known of a graph before it is run.

    ``nodes`` are those that the outputs need, control inputs included, inputs first (the ends of loops
    last); nodes of functions are called ``call/inner``. ``calls`` are the nodes that stand for a function: the
    tensors that it returns. ``taken`` are the ``Switch`` nodes whose predicate is known (1: true),
    ``choices`` the ``Merge`` nodes that end a conditional. ``refusals`` are clauses: what of the functions
    could not be written out. ``writers`` are the nodes that run and may change variables. ``values`` and
    ``states`` are asked with the methods.
    """

    nodes: Mapping[str, Node]
    calls: Mapping[str, tuple[TensorName, ...]]
    taken: Mapping[str, int]
    choices: Mapping[str, Choice]
    refusals: tuple[str, ...]
    values: Mapping[TensorName, Scalar | None]
    states: Mapping[str | TensorName, State]
    fed: Set[TensorName]
    writers: tuple[Writer, ...] = ()

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
    outputs: Collection[TensorName],
    *,
    inputs: Iterable[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    variables: Mapping[str, Tensor] | None = None,
    whole: bool = False,
    lowered: Container[str] = (),
    budget: Budget | None = None,
) -> Liveness:
    """What is known of ``graph`` when ``inputs`` are fed anything and ``feeds`` these constants.

    ``variables`` are the values of variable nodes; one that the run changes counts as not known.
    ``whole`` graphs are the bodies of functions: whatever may write runs, though no output needs it. Calls and
    decided conditionals are written out; those of the ops ``lowered`` also where nothing decides them, as
    ``Switch`` and ``Merge``, and loops as their frames.
    """
    known = Variables(graph, variables or {})
    while True:
        walk = _Walk(
            graph,
            known,
            feeds or {},
            frozenset(inputs),
            lowered=lowered,
            budget=budget,
        )
        walk.run(outputs, whole=whole)
        writers = walk.writers()
        changed = {each for each in walk.known.relied if any(writer.changes(each) for writer in writers)}
        if not changed:
            return walk.found(writers)
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
        lowered: Container[str],
        budget: Budget | None,
    ) -> None:
        self.graph = graph
        self.written_out: dict[str, Node] = {}
        # Without functions nothing is written out. No method of the walk: it would be a cycle of what is large.
        self.node: Lookup = _Nodes(graph.nodes, self.written_out).get if graph.functions else graph.nodes.get
        self.known = Predicates(graph, self.node, inputs, feeds, variables)
        self.fed = self.known.fed
        self.lowered = lowered
        self._budget = budget
        self.done: dict[str, Node] = {}
        self.calls: dict[str, tuple[TensorName, ...]] = {}
        self.references = References(self.node, graph.functions, self.calls, self.fed)
        self._conditionals: dict[str, bool | None] = {}
        self.deadness = Deadness(self.node, self.known, self.calls, self._conditionals)
        self._refusals: list[str] = []
        self._started: set[str] = set()
        self._expanded: set[str] = set()
        self._loops: list[Node] = []
        self._effects: list[str] = []

    def found(self, writers: tuple[Writer, ...]) -> Liveness:
        return Liveness(
            nodes=self.done,
            calls=self.calls,
            taken=self.deadness.taken,
            choices=self.deadness.choices,
            refusals=tuple(
                dict.fromkeys((*self._refusals, *(self.inliner.refusals if self._expanded else ())))
            ),
            values=self.known.values,
            states=self.deadness.states,
            fed=self.fed,
            writers=writers,
        )

    # --- the walk

    def run(self, outputs: Iterable[TensorName], *, whole: bool) -> None:
        if whole:
            self._effects += [
                name for name, node in self.graph.nodes.items() if self.references.may_write(node)
            ]
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
            self.known.follow(node)
            self.deadness.follow(node)

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

    @cached_property
    def inliner(self) -> Inliner:
        """What writes calls out: only a graph with functions needs it."""
        from .inline import Budget, Inliner

        budget = self._budget or Budget(self.graph.functions)
        return Inliner(self.graph.functions, _Nodes(self.graph.nodes, self.written_out), budget)

    def _expand(self, node: Node) -> None:
        """Write out what ``node`` runs, if it is known which function that is, or by lowering it."""
        if self.deadness.state_of(node)[0] is False:
            return
        written = self._lowered(node) if node.op in self.lowered else self._called(node)
        if written is None:
            return
        self._refusals.extend(written.unknown)
        self.calls[node.name] = written.returns
        for each in written.nodes:
            self.written_out[each.name] = each
            if self.references.may_write(each):
                self._effects.append(each.name)

    def _called(self, node: Node) -> Inlined | None:
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

    def _lowered(self, node: Node) -> Inlined | None:
        if node.op in ops.WHILES:
            return self.inliner.loop(node)
        truth = self.known.decides_if(node.inputs[0]) if node.inputs else None
        written = self.inliner.conditional(node)
        if written is not None:
            self._conditionals.update(dict.fromkeys(written.switches, truth))
        return written

    # --- afterwards

    def writers(self) -> tuple[Writer, ...]:
        """The nodes that run and may change variables; what a call runs stands there itself."""
        found = (
            self.references.writer(node)
            for node in self.done.values()
            if self.references.may_write(node)
            and not self.deadness.is_dead(node)
            and node.name not in self.calls
        )
        return tuple(writer for writer in found if writer is not None)


class _Nodes:
    """The nodes of a graph and those that were written out."""

    def __init__(self, *nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes

    def __contains__(self, name: object) -> bool:
        return any(name in each for each in self._nodes)

    def get(self, name: str) -> Node | None:
        """The node ``name``, None if there is none."""
        return next((each[name] for each in self._nodes if name in each), None)
