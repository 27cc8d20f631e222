"""The part of a graph that given outputs need, and nothing else, so that it computes the same.

Control inputs order side effects, and no side effect is ever run here: they are dropped. What
they also do, in graphs with ``Switch``/``Merge`` control flow, is to say in which branch or loop
a node without data inputs lives; without one, a constant of an untaken branch would reach the
``Merge`` and a constant of a loop body would run once. Such nodes keep a control input on
something harmless of the same branch or loop (:func:`_context`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from ..graph.graph import Attr, Function, Graph, Node, Tensor, TensorName
from . import ops


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some nodes of a graph, closed under their data inputs.

    ``nodes``: by name, inputs before their consumers (loops broken at ``Merge``); a ``Merge`` of
    which one branch is known to be dead has the live input alone. ``controls``: the control inputs
    that each keeps. ``contexts``: nodes to add, name to the ``Switch`` output that they pass on.
    ``functions``: the functions of the library that are called. ``initialisers``: nodes that fill lookup
    tables.
    """

    nodes: Mapping[str, Node]
    controls: Mapping[str, tuple[str, ...]]
    contexts: Mapping[str, TensorName]
    functions: Set[str]
    initialisers: tuple[str, ...]

    def read(self) -> set[TensorName]:
        """The tensors that the nodes of this part read."""
        return {source for node in self.nodes.values() for source in node.inputs} | set(
            self.contexts.values()
        )


class Effect(NamedTuple):
    """A node that must not be run: its name and op, and the function of the library it stands in."""

    node: str
    op: str
    function: str | None = None


def prune(
    graph: Graph,
    outputs: Iterable[TensorName],
    feeds: Set[TensorName] = frozenset(),
    predicates: Mapping[TensorName, bool] | None = None,
) -> Part:
    """The part that ``outputs`` need when the tensors ``feeds`` are given.

    ``predicates`` are booleans known before the run (constant feeds): of a ``Merge`` behind a
    ``Switch`` that they decide, the dead branch is left out. Names that the graph lacks are skipped.
    """
    wanted = [output.node for output in outputs if output not in feeds]
    closure = _Closure(graph, feeds)
    closure.add(wanted)
    merges = _decided_merges(graph, closure, predicates or {})
    if merges:
        closure = _Closure(graph, feeds, merges)
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
        functions=_functions(graph, nodes.values()),
        initialisers=initialisers,
    )


def harmless(graph: Graph, known: Container[str]) -> list[TensorName]:
    """Every node without a side effect and of a ``known`` op that depends on no other kind of node."""
    bad = {
        node.name
        for node in graph.nodes.values()
        if (node.op not in known and node.op not in graph.functions)
        or forbidden(node.op)
        or _effect_in(graph, _functions(graph, [node]))
    }
    readers: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        for source in node.inputs:
            readers.setdefault(source.node, []).append(node.name)
    stack = list(bad)
    while stack:
        fresh = [reader for reader in readers.get(stack.pop(), ()) if reader not in bad]
        bad.update(fresh)
        stack.extend(fresh)
    return [TensorName(name, 0) for name in graph.nodes if name not in bad]


def effects(graph: Graph, part: Part) -> Iterator[Effect]:
    """The nodes of ``part`` that change something or call Python; the filling of lookup tables is none."""
    for node in part.nodes.values():
        if forbidden(node.op) and node.name not in part.initialisers:
            yield Effect(node.name, node.op)
        elif called := _functions(graph, [node]):
            inner = _effect_in(graph, called)
            if inner is not None:
                yield Effect(node.name, inner.op, inner.function)


def forbidden(op: str) -> bool:
    """Whether a node of this op is never run."""
    return ops.writes(op) or ops.calls_python(op)


def written_variable(graph: Graph, node: str) -> str | None:
    """The variable that a writing node changes: the root of its first input."""
    seen = set()
    while node in graph.nodes and node not in seen:
        seen.add(node)
        if graph.nodes[node].op in ops.VARIABLES:
            return node
        if not graph.nodes[node].inputs:
            return None
        node = graph.nodes[node].inputs[0].node
    return None


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
            found = [context for control in node.controls if (context := _context(self.graph, control))]
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


def _context(graph: Graph, control: str) -> tuple[str, TensorName | None] | None:
    """Something harmless that lives in the branch or loop of node ``control``; None outside of all.

    Either ``(node, None)``, a node of the graph, or ``(new name, switch output)``, an ``Identity``
    to be added. Walks from ``control`` upwards to the first ``Switch`` or ``Enter`` that is not
    closed again by a ``Merge`` or ``Exit`` on the way: ``depth`` counts those that are.
    """
    stack, seen = [(control, 0)], set()
    while stack:
        name, depth = stack.pop()
        node = graph.nodes.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if (node.op in ops.MERGES and not _opens_loop(graph, node)) or node.op in ops.EXITS:
            depth += 1
        elif depth == 0 and (node.op in ops.MERGES or node.op in ops.ENTERS or node.op == "LoopCond"):
            return name, None
        elif depth and (node.op in ops.ENTERS or (node.op in ops.SWITCHES and not _of_loop(graph, node))):
            depth -= 1
        if depth == 0 and (switch := _switch_before(graph, node)) is not None:
            if node.op in ops.IDENTITIES:
                return name, None
            return f"tfparity_branch/{switch.node}/{switch.port}", switch
        stack.extend((source.node, depth) for source in node.inputs)
        stack.extend((each, depth) for each in node.controls)
    return None


def _switch_before(graph: Graph, node: Node) -> TensorName | None:
    for source in node.inputs:
        feeder = graph.nodes.get(source.node)
        if feeder is not None and feeder.op in ops.SWITCHES:
            return source
    return None


def _of_loop(graph: Graph, switch: Node) -> bool:
    predicate = graph.nodes.get(switch.inputs[1].node)
    return predicate is not None and predicate.op == "LoopCond"


def _opens_loop(graph: Graph, merge: Node) -> bool:
    sources = (graph.nodes.get(source.node) for source in merge.inputs)
    return any(source is not None and source.op in ops.NEXT_ITERATIONS | ops.ENTERS for source in sources)


def _decided_merges(
    graph: Graph, closure: _Closure, predicates: Mapping[TensorName, bool]
) -> dict[str, Node]:
    """Every ``Merge`` that has dead inputs because its predicate is known, with its live inputs alone."""
    nodes = closure.nodes
    if not any(node.op in ops.SWITCHES for node in nodes.values()):
        return {}
    indices = {
        source.node for node in nodes.values() for source in node.inputs if source.port == 1
    }  # a Merge whose second output is read says which input it took: it stays as it is
    truths = _Truths(graph, closure.feeds, predicates)
    dead: set[TensorName | str] = set()
    merges: dict[str, Node] = {}
    for name, node in nodes.items():
        gone = [source in dead or source.node in dead for source in node.inputs]
        if node.op in ops.MERGES:
            if all(gone) or (any(gone) and _opens_loop(graph, node)):
                dead.add(name)
            elif any(gone) and name not in indices:
                live = tuple(source for source, is_gone in zip(node.inputs, gone, strict=True) if not is_gone)
                merges[name] = Node(name, node.op, live, node.controls, node.attrs)
        elif any(gone) or any(
            control in dead for control in (*node.controls, *closure.contexts.get(name, ()))
        ):
            dead.add(name)
        elif node.op in ops.SWITCHES:
            truth = truths.of(node.inputs[1])
            if truth is not None:
                dead.add(TensorName(name, 0 if truth else 1))
                dead.update(
                    added
                    for added, source in closure.added.items()
                    if source == TensorName(name, 0 if truth else 1)
                )
    return merges


class _Truths:
    """What is known of boolean tensors before anything runs."""

    def __init__(self, graph: Graph, feeds: Set[TensorName], predicates: Mapping[TensorName, bool]) -> None:
        self.graph = graph
        self.feeds = feeds
        self.known: dict[TensorName, bool | None] = dict(predicates)

    def of(self, tensor: TensorName) -> bool | None:
        """The value of a scalar predicate, None if only the run can tell."""
        stack = [tensor]
        while stack:
            current = stack[-1]
            if current in self.known:
                stack.pop()
                continue
            node = self.graph.nodes.get(current.node)
            sources = self._sources(current, node)
            missing = [source for source in sources if source not in self.known]
            if missing and len(stack) < 1000:
                stack.extend(missing)
                continue
            values = [self.known.get(source) for source in sources]
            fed = current in self.feeds
            self.known[current] = None if node is None or fed else _folded(node, values)
            stack.pop()
        return self.known[tensor]

    def _sources(self, tensor: TensorName, node: Node | None) -> tuple[TensorName, ...]:
        if node is None or tensor in self.feeds or node.op not in _FOLDED:
            return ()
        return node.inputs


_FOLDED = frozenset({"Identity", "PlaceholderWithDefault", "LogicalNot", "LogicalAnd", "LogicalOr"})


def _folded(node: Node, values: list[bool | None]) -> bool | None:
    if node.op == "Const":
        return _truth(node.attrs.get("value"))
    if not values or node.op not in _FOLDED:
        return None
    if node.op == "LogicalNot":
        return None if values[0] is None else not values[0]
    if node.op in ("LogicalAnd", "LogicalOr"):
        deciding = node.op == "LogicalOr"
        if deciding in values:
            return deciding
        return None if None in values else not deciding
    return values[0]


def _truth(value: Attr) -> bool | None:
    if isinstance(value, Tensor) and value.shape == () and value.dtype.number == 10:  # DT_BOOL
        return bool(value.array)
    return None


def _initialisers(graph: Graph, closure: _Closure) -> tuple[str, ...]:
    tables = {name for name, node in closure.nodes.items() if node.op in ops.TABLES}
    if not tables:
        return ()
    return tuple(
        node.name
        for node in graph.nodes.values()
        if ops.initialises_table(node.op) and node.inputs and node.inputs[0].node in tables
    )


def _functions(graph: Graph, nodes: Iterable[Node]) -> set[str]:
    """The functions of the library that ``nodes`` call, directly or not."""
    if not graph.functions:
        return set()
    found: set[str] = set()
    stack = [name for node in nodes for name in _called(node.op, node.attrs)]
    while stack:
        name = stack.pop()
        body = graph.functions.get(name)
        if body is None or name in found:
            continue
        found.add(name)
        stack.extend(called for node in body.nodes for called in _called(node.op, node.attrs))
    return found


def _called(op: str, attrs: Mapping[str, Attr]) -> Iterator[str]:
    yield op
    for value in attrs.values():
        for item in value if type(value) is tuple else (value,):
            if isinstance(item, Function):
                yield item.name


def _effect_in(graph: Graph, functions: Iterable[str]) -> Effect | None:
    for name in sorted(functions):
        for node in graph.functions[name].nodes:
            if forbidden(node.op):
                return Effect(node.name, node.op, name)
    return None
