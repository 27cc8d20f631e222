"""The part of a graph that given outputs need, and nothing else, so that it computes the same.

Control inputs order side effects, and no side effect is ever run here: they are dropped. What
they also do, in graphs with ``Switch``/``Merge`` control flow, is to say in which branch or loop
a node without data inputs lives; without one, a constant of an untaken branch would reach the
``Merge`` and a constant of a loop body would run once. Such nodes keep a control input on
something harmless of the same branch or loop (:mod:`.control_flow`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from .. import ops
from ..effects import Effect, effect_of
from ..function_body import reached_functions
from ..graph import Array, Graph, Node, TensorName
from ..inline import Budget
from ..live import Liveness, liveness
from ..loops import opens_loop
from ..read.restore import run_by
from ..references import References, Writer
from .control_flow import context_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some nodes of a graph, closed under their data inputs.

    ``nodes``: by name, inputs before their consumers (loops broken at ``Merge``); a ``Merge`` of
    which one branch is known to be dead has the live input alone. ``controls``: the control inputs
    that each keeps. ``contexts``: nodes to add, name to the ``Switch`` output that they pass on.
    ``functions``: the functions of the library that are called. ``initialisers``: nodes that fill lookup
    tables. ``decided``: the ``Switch`` nodes whose predicate is known before the run. ``awaited``: what
    changes a variable before a node of this part reads it.
    """

    nodes: Mapping[str, Node]
    controls: Mapping[str, tuple[str, ...]]
    contexts: Mapping[str, TensorName]
    functions: Set[str]
    initialisers: tuple[str, ...]
    decided: Set[str] = frozenset()
    awaited: tuple[Effect, ...] = ()

    def read(self) -> set[TensorName]:
        """The tensors that the nodes of this part read."""
        return {source for node in self.nodes.values() for source in node.inputs} | set(
            self.contexts.values()
        )


def prune(
    graph: Graph,
    outputs: Iterable[TensorName],
    feeds: Set[TensorName] = frozenset(),
    predicates: Mapping[TensorName, Array] | None = None,
) -> Part:
    """The part that ``outputs`` need when the tensors ``feeds`` are given.

    ``predicates`` are those whose value is known before the run: of a ``Merge`` behind a ``Switch`` that
    they decide, the dead branch is left out. Names that the graph lacks are skipped.
    """
    asked = [output for output in outputs if output not in feeds]
    wanted = [output.node for output in asked]
    closure = _Closure(graph, feeds)
    closure.add(wanted)
    live = _live(graph, closure.nodes, asked, feeds, predicates or {})
    if live is not None:
        closure = _Closure(graph, feeds, _decided_merges(closure.nodes, live))
        closure.add(wanted)
    initialisers = _initialisers(graph, closure)
    closure.add(initialisers)
    nodes = closure.nodes
    controls = {
        name: kept
        for name, node in nodes.items()
        if (kept := tuple(c for c in node.controls if c in nodes) + tuple(closure.contexts.get(name, ())))
    }
    return Part(
        nodes=nodes,
        controls=controls,
        contexts=closure.added,
        functions=reached_functions(nodes.values(), graph.functions),
        initialisers=initialisers,
        decided=frozenset(live.taken if live is not None else ()),
        awaited=tuple(_awaited(graph, nodes, asked, feeds, predicates or {})),
    )


def _live(
    graph: Graph,
    nodes: Mapping[str, Node],
    outputs: Collection[TensorName],
    feeds: Set[TensorName],
    predicates: Mapping[TensorName, Array],
) -> Liveness | None:
    """What is known of the conditionals among ``nodes``; None where there is none."""
    if not any(node.op in ops.SWITCHES for node in nodes.values()):
        return None
    return liveness(graph, outputs, inputs=feeds - predicates.keys(), feeds=predicates)


def _decided_merges(nodes: Mapping[str, Node], live: Liveness) -> dict[str, Node]:
    """Every ``Merge`` of ``nodes`` that has dead inputs because its predicate is known, with its live ones alone.

    One whose second output (which input it took) is read stays as it is.
    """
    indices = {source.node for node in nodes.values() for source in node.inputs if source.port == 1}
    merges: dict[str, Node] = {}
    for name, node in nodes.items():
        if node.op not in ops.MERGES or name in indices or opens_loop(nodes.get, node):
            continue
        alive = tuple(source for source in node.inputs if not live.is_dead(source))
        if 0 < len(alive) < len(node.inputs):
            merges[name] = node._replace(inputs=alive)
    return merges


def executed(graph: Graph, outputs: Iterable[str]) -> Graph:
    """``graph`` without what no run of the nodes ``outputs`` executes, by data or control inputs; tables are filled."""
    found = {node.name: node for output in outputs for node in run_by(graph, output)}
    for node in graph.nodes.values():
        if ops.initialises_table(node.op) and node.inputs and node.inputs[0].node in found:
            found.update((each.name, each) for each in run_by(graph, node.name))
    nodes = {name: node for name, node in graph.nodes.items() if name in found}
    return replace(graph, nodes=nodes, colocated=frozenset)


def effects_of_part(graph: Graph, part: Part) -> Iterator[Effect]:
    """The nodes of ``part`` that change something or call Python; the filling of lookup tables is none.

    And those that a read of the variable that they change waits for: what is read is what they wrote.
    """
    yield from part.awaited
    for node in part.nodes.values():
        found = None if node.name in part.initialisers else effect_of(graph, node)
        if found is not None:
            yield found


def endless_calls(graph: Graph, part: Part) -> str | None:
    """Why TensorFlow cannot write out the functions that ``part`` calls, a clause; None if it can.

    It does so before it runs them, and does not ask how far that leads.
    """
    budget = Budget(graph.functions)
    return next(filter(None, map(budget.refusal, sorted(part.functions))), None)


def _awaited(
    graph: Graph,
    nodes: Mapping[str, Node],
    outputs: Collection[TensorName],
    feeds: Set[TensorName],
    predicates: Mapping[TensorName, Array],
) -> Iterator[Effect]:
    """What runs and changes a variable before one of ``nodes`` reads it: what that waits for, however far."""
    waiting = [node for node in nodes.values() if node.controls and node.inputs]
    if not waiting:
        return
    references = References(graph.nodes.get, graph.functions)
    live: Liveness | None = None
    writers: dict[tuple[str, ...], list[Writer]] = {}
    for node in waiting:
        storages = references.storages(node.inputs)
        if not storages:
            continue
        if node.controls not in writers:
            writers[node.controls] = [*_writers(graph, node.controls, feeds, references)]
        for writer in writers[node.controls]:
            if not any(map(writer.changes, storages)):
                continue
            if live is None:
                live = liveness(graph, outputs, inputs=feeds - predicates.keys(), feeds=predicates)
            if _runs(live, writer.node.name):
                found = effect_of(graph, writer.node) or Effect(writer.node.name, writer.node.op)
                yield found._replace(variable=next(iter(sorted(storages))).name)


def _runs(live: Liveness, writer: str) -> bool:
    """Whether a node that may change a variable runs; of a call, whether anything that it runs changes one."""
    if writer in live.calls:
        return any(each.node.name.startswith(writer) for each in live.writers)
    return not live.is_dead_node(writer)


def _writers(
    graph: Graph, controls: Iterable[str], feeds: Set[TensorName], references: References
) -> Iterator[Writer]:
    """The nodes that may change a variable among ``controls`` and all that these need."""
    stack = list(controls)
    seen = set(stack)
    while stack:
        node = graph.nodes.get(stack.pop())
        if node is None:
            continue
        writer = references.writer(node)
        if writer is not None:
            yield writer
        needed = [*node.controls, *(source.node for source in node.inputs if source not in feeds)]
        stack.extend(name for name in needed if name not in seen)
        seen.update(needed)


class _Closure:
    """Nodes reached from outputs through data inputs, and through what keeps them in their branch or loop."""

    def __init__(
        self, graph: Graph, feeds: Set[TensorName], merges: Mapping[str, Node] | None = None
    ) -> None:
        self.graph = graph
        self.feeds = feeds
        self.merges = merges or {}
        self.nodes: dict[str, Node] = {}
        self.contexts: dict[str, tuple[str, ...]] = {}
        self.added: dict[str, TensorName] = {}
        self._started: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Add these nodes and all that they need, inputs first."""
        for output in names:
            stack = [(output, False)]
            while stack:
                name, finished = stack.pop()
                node = self.merges.get(name) or self.graph.nodes.get(name)
                if node is None:
                    continue
                if finished:
                    self.nodes[name] = node
                elif name not in self._started:
                    self._started.add(name)
                    stack.append((name, True))
                    stack.extend((source, False) for source in self._sources(node))

    def _sources(self, node: Node) -> list[str]:
        sources = [source.node for source in reversed(node.inputs) if source not in self.feeds]
        if not node.inputs and node.controls:
            found = [context for control in node.controls if (context := context_of(self.graph, control))]
            kept = []
            for name, switch in found:
                kept.append(name)
                if switch is None:
                    sources.append(name)
                else:
                    self.added[name] = switch
                    sources.append(switch.node)
            if kept:
                self.contexts[node.name] = tuple(dict.fromkeys(kept))
        return [source for source in sources if source not in self._started]


def _initialisers(graph: Graph, closure: _Closure) -> tuple[str, ...]:
    tables = {name for name, node in closure.nodes.items() if node.op in ops.TABLES}
    if not tables:
        return ()
    return tuple(
        node.name
        for node in graph.nodes.values()
        if ops.initialises_table(node.op) and node.inputs and node.inputs[0].node in tables
    )
