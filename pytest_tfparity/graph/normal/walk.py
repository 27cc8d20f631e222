"""From a graph to its normal form: one walk from the outputs, inputs first, without recursion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from .. import ops as op_table
from ..graph import Array, Attr, DType, FunctionBody, Graph, Node, Tensor, TensorName
from ..read.tensors import base_dtype, numpy_dtype
from . import control_flow as control_flow
from . import functions as normal_functions
from .attributes import ALIASES, ARRAYS, meaningful, plain_op, respelled
from .form import Edge, Guard, NormalGraph, NormalNode, is_partitioned
from .values import FOLDED, Bounds, Scalar, always, folded, joined, moved, scalar_of, uniform

Key: TypeAlias = "tuple[int, str]"
"""A node: the number of its scope (0 is the graph, others are calls) and its name there."""

Result: TypeAlias = "int | tuple[Edge | None, ...] | None"
"""What a node became: one normal node, port by port; a tensor for each port; None if it never runs."""

_VARIABLES = frozenset({"VariableV2", "Variable", "VarHandleOp"})
_MOST_NODES = 1_000_000
_DEEPEST = 30
# Ops that take a reference and only read through it.
_READERS = frozenset(
    {
        "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
        "IsVariableInitialized", "RefIdentity", "RefSwitch", "RefMerge", "RefEnter", "RefExit",
        "RefNextIteration", "RefSelect", "_ReadVariablesOp",
    }
)  # fmt: skip

_CARRIERS = frozenset({"Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration"})
# Of these the first input alone is changed.
_WRITE_FIRST = ("Assign", "Scatter", "ResourceScatter", "StridedSlice", "ResourceStridedSlice", "CountUpTo")


@dataclass(slots=True)
class _Scope:
    """A graph, or one call of a function: ``arguments`` are the tensors of the call."""

    nodes: Mapping[str, Node]
    prefix: str = ""
    arguments: Sequence[Edge] | None = None
    depth: int = 0


@dataclass(slots=True)
class _Call:
    """A call that is being inlined: its scope, what it returns, and when it runs."""

    scope: int
    returns: tuple[TensorName, ...]
    life: tuple[Guard, ...]


def normal_form(
    graph: Graph,
    outputs: Sequence[TensorName],
    *,
    inputs: Sequence[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    variables: Mapping[str, Tensor] | None = None,
    joined: bool = False,
) -> NormalGraph:
    """What ``outputs`` compute from ``inputs``.

    ``feeds`` are tensors held at a constant, ``variables`` the values of variable nodes; ``joined``
    puts the parts of partitioned variables together (a concatenation of constants). Nothing is
    raised: what cannot be resolved is in ``NormalGraph.doubts``.
    """
    walk = _Walk(graph.functions, graph.nodes, variables or {}, joined=joined)
    for index, name in enumerate(inputs):
        walk.fed[name] = walk.add(NormalNode(name.node, "Input", attrs={"index": index}))
    for name, array in (feeds or {}).items():
        if name not in walk.fed:
            walk.fed[name] = walk.constant(name.node, _fed_value(graph.nodes.get(name.node), array), "feed")
    return walk.run(outputs)


def _fed_value(node: Node | None, array: Array) -> Tensor:
    """A feed as TensorFlow sees it: of the dtype of the tensor that is fed."""
    array = np.asarray(array)
    attrs = node.attrs if node is not None else {}
    dtype = next((attrs[key] for key in ("dtype", "T") if isinstance(attrs.get(key), DType)), None)
    if isinstance(dtype, DType):
        dtype = base_dtype(dtype)
        kind = numpy_dtype(dtype)
        array = array if kind is None else array.astype(kind)
    else:
        dtype = next(
            (DType(n) for n in (1, 2, 3, 9, 10, 4, 7) if numpy_dtype(DType(n)) == array.dtype), DType(0)
        )
    return Tensor(dtype, array.shape, lambda: array)


@dataclass(slots=True)
class _Walk:
    functions: Mapping[str, FunctionBody]
    graph: Mapping[str, Node]
    variables: Mapping[str, Tensor]
    depth: int = 0
    joined: bool = False
    nodes: list[NormalNode] = field(default_factory=list)
    lives: list[tuple[Guard, ...]] = field(default_factory=list)
    fed: dict[TensorName, Edge] = field(default_factory=dict)
    scopes: list[_Scope] = field(default_factory=list)
    results: dict[Key, Result] = field(default_factory=dict)
    calls: dict[Key, _Call | None] = field(default_factory=dict)
    loops: list[tuple[int, Key]] = field(default_factory=list)
    extra: list[Key] = field(default_factory=list)
    storage: dict[str, int] = field(default_factory=dict)
    restored: dict[int, str] = field(default_factory=dict)
    writes: list[tuple[NormalNode, tuple[Edge, ...]]] = field(default_factory=list)
    known: dict[Edge, Scalar | None] = field(default_factory=dict)
    bounds: dict[Edge, Bounds] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    attrs: dict[tuple[str, int], tuple[str, str, dict[str, Attr]]] = field(default_factory=dict)
    looped: bool = False

    # --- the walk

    def run(self, outputs: Sequence[TensorName], arguments: Sequence[Edge] | None = None) -> NormalGraph:
        self.scopes.append(_Scope(self.graph, arguments=arguments))
        edges = []
        for output in outputs:
            if not self.is_fed(0, output):
                self.resolve((0, output.node))
                self.finish_loops()
            edge = self.tensor(0, output)
            if edge is None:
                edge = self.opaque(str(output), "Dead", f"{output} is never computed")
            edges.append(edge)
        while self.extra:
            self.resolve(self.extra.pop())
            self.finish_loops()
        graph = NormalGraph(self.nodes, tuple(edges), self.tensors, self.looped)
        self.refusals.extend(self.changed_variables(graph))
        self.refusals.extend(self.changed_arrays(graph))
        graph.joined = self.joined
        graph.refusals = tuple(dict.fromkeys(self.refusals))
        return graph

    def resolve(self, wanted: Key) -> None:
        stack, begun = [wanted], set()
        while stack:
            key = stack[-1]
            if key in self.results:
                stack.pop()
                continue
            missing = [need for need in self.needs(key) if need not in self.results]
            if not missing:
                self.results[key] = self.result(key)
                stack.pop()
                continue
            begun.add(key)
            for need in missing:
                if need in begun:
                    name = self.scopes[need[0]].prefix + need[1]
                    self.results[need] = self.opaque(name, "Cycle", f"{name} depends on itself").node
            stack.extend(reversed(missing))

    def finish_loops(self) -> None:
        """Give the Merge of each loop its back edges, now that what is before the loop is known."""
        while self.loops:
            index, (scope, name) = self.loops.pop()
            node = self.scopes[scope].nodes[name]
            edges = []
            for source in node.inputs:
                if not self.is_fed(scope, source):
                    self.resolve((scope, source.node))
                edges.append(self.tensor(scope, source))
            kept = tuple(edge for edge in edges if edge is not None)
            if len(kept) != len(edges):
                self.nodes[index].refusal = f"loop {self.nodes[index].name} has an end that is never reached"
            self.nodes[index].inputs = kept

    def needs(self, key: Key) -> list[Key]:
        """The nodes that must be known before ``key`` is: first its inputs, then the body it calls."""
        number, name = key
        scope = self.scopes[number]
        node = scope.nodes.get(name)
        if node is None:
            return []
        inputs: Iterable[TensorName] = node.inputs
        if plain_op(node.op) == "Merge":
            inputs = [source for source in inputs if not control_flow.is_back_edge(scope.nodes, source)]
        wanted = [(number, source.node) for source in inputs if not self.is_fed(number, source)]
        wanted += [(number, control) for control in node.controls]
        if node.op not in control_flow.CALLERS and node.op not in self.functions:
            return wanted
        if any(need not in self.results for need in wanted):
            return wanted
        call = self.call(key, node)
        return [] if call is None else [(call.scope, source.node) for source in call.returns]

    def is_fed(self, scope: int, name: TensorName) -> bool:
        return scope == 0 and name in self.fed

    def tensor(self, scope: int, name: TensorName) -> Edge | None:
        """The normal tensor of a resolved one; None if it never lives."""
        if scope == 0 and name in self.fed:
            return self.fed[name]
        result = self.results[scope, name.node]
        if isinstance(result, int):
            return Edge(result, name.port)
        if result is None:
            return None
        if name.port < len(result):
            return result[name.port]
        return self.opaque(str(name), "Missing", f"{name} does not exist")

    # --- making nodes

    def add(self, node: NormalNode, life: tuple[Guard, ...] = ()) -> Edge:
        self.nodes.append(node)
        self.lives.append(life)
        return Edge(len(self.nodes) - 1, 0)

    def opaque(self, name: str, op: str, refusal: str) -> Edge:
        return self.add(NormalNode(name, op, spelling=op, refusal=refusal))

    def constant(self, name: str, value: Tensor, spelling: str, guards: tuple[Guard, ...] = ()) -> Edge:
        return self.add(NormalNode(name, "Const", guards=guards, value=value, spelling=spelling), guards)

    def life(self, edge: Edge) -> tuple[Guard, ...]:
        """The conditions under which a tensor lives; empty if it always does."""
        life = self.lives[edge.node]
        node = self.nodes[edge.node]
        if node.op == "Switch":
            predicate = node.inputs[1]
            return _union(life, (Guard(predicate.node, predicate.port, edge.port),))
        return life

    def controls_life(self, scope: int, controls: Iterable[str]) -> tuple[Guard, ...]:
        life: tuple[Guard, ...] = ()
        for control in controls:
            result = self.results[scope, control]
            if isinstance(result, int):
                life = _union(life, self.lives[result])
            else:
                for edge in result or ():
                    life = life if edge is None else _union(life, self.life(edge))
        return life

    def passed(self, name: str, edge: Edge, life: tuple[Guard, ...]) -> Edge:
        """``edge`` itself, or, where it lives only under further conditions, an Identity that says so."""
        guards = _less(life, self.life(edge))
        if not guards:
            return edge
        life = _union(self.life(edge), guards)
        return self.add(NormalNode(name, "Identity", (edge,), guards=guards, spelling="Identity"), life)

    # --- the rules

    def result(self, key: Key) -> Result:
        number, name = key
        scope = self.scopes[number]
        node = scope.nodes.get(name)
        full = scope.prefix + name
        if node is None:
            return self.opaque(full, "Missing", f"node {full} does not exist").node
        if any(self.results[number, control] is None for control in node.controls):
            return None
        if plain_op(node.op) == "Merge":
            return self.merge(key, node, full)
        sources = [self.tensor(number, source) for source in node.inputs]
        edges = tuple([edge for edge in sources if edge is not None])
        if len(edges) != len(sources):
            return None
        guards: tuple[Guard, ...] = ()
        if node.controls:
            guards = self.controls_life(number, node.controls)
        op = node.op
        if op in ALIASES and edges:
            return (self.passed(full, edges[0], guards),)
        if op == "IdentityN":
            return tuple([self.passed(full, edge, guards) for edge in edges])
        call = self.calls.get(key)
        if call is not None:
            return tuple(self.returned(full, call))
        if op == normal_functions.ARGUMENT and scope.arguments is not None:
            index = node.attrs["index"]
            assert isinstance(index, int)
            return (scope.arguments[index],) if index < len(scope.arguments) else None
        if op == "Const":
            value = node.attrs.get("value")
            if isinstance(value, Tensor):
                return self.constant(full, value, "Const", guards).node
        if op in _VARIABLES:
            return self.variable(node, full, number, guards)
        if op in ("Placeholder", "PlaceholderV2"):
            return self.opaque(full, op, f"placeholder {full} is not fed").node
        return self.plain(number, node, full, edges, guards)

    def plain(
        self, scope: int, node: Node, full: str, edges: tuple[Edge, ...], guards: tuple[Guard, ...]
    ) -> Result:
        life = guards
        for edge in edges:
            life = _union(life, self.life(edge))
        if guards:
            guards = _less(guards, _all(self.life(edge) for edge in edges))
        name, op, attrs = self.spelt(node)
        if name == "Switch":
            predicate = self.value(edges[1])
            if predicate is not None:
                taken = self.passed(full, edges[0], _union(guards, self.life(edges[1])))
                return (None, taken) if predicate else (taken, None)
        if name in ("Gather", "ResourceGather"):
            return self.gather(node, full, edges, guards, life)
        made = NormalNode(full, op, edges, attrs, guards, spelling=node.op)
        if self.joined and not life and is_partitioned(made, self.nodes):
            whole = joined([self.nodes[edge.node].value for edge in edges])
            if whole is not None:
                return self.constant(full, whole, op).node
        index = self.add(made, life).node
        made.refusal = self.doubt(node.op, full)
        if name in control_flow.FUNCTIONAL:
            self.keep_functions(made, node)
        if name == "Exit":
            self.lives[index] = (Guard(index, 0, -1),)
        self.follow(index, made)
        if _may_write(node.op):
            self.writes.append((made, edges[:1] if node.op.startswith(_WRITE_FIRST) else edges))
        if op != name and name.startswith("FusedBatchNorm"):
            # Only output 0 is the same in every spelling.
            rest = NormalNode(full, name, edges, meaningful(name, node.attrs), guards, spelling=node.op)
            rest.refusal = made.refusal
            other = self.add(rest, life).node
            return (Edge(index, 0), *(Edge(other, port) for port in range(1, 6)))
        return index

    def spelt(self, node: Node) -> tuple[str, str, dict[str, Attr]]:
        """The op without regard to references, its one spelling, and the attributes that matter."""
        key = (node.op, id(node.attrs))
        spelt = self.attrs.get(key)
        if spelt is None:
            name = plain_op(node.op)
            spelt = self.attrs[key] = (name, *respelled(name, meaningful(name, node.attrs)))
        return spelt

    def variable(self, node: Node, full: str, scope: int, guards: tuple[Guard, ...]) -> Result:
        shared = node.attrs.get("shared_name")
        label = shared.decode("utf-8", "replace") if isinstance(shared, bytes) and shared else node.name
        if not guards and label in self.storage:
            return self.storage[label]
        value = self.variables.get(node.name) if scope == 0 else None
        if value is None:
            value = self.variables.get(label)
        if value is None:
            value = next((self.variables[name] for name in self.variables if self.shares(name, label)), None)
        if value is None:
            return self.opaque(full, node.op, f"variable {full} has no value").node
        index = self.constant(full, value, node.op, guards).node
        self.restored[index] = label
        if not guards:
            self.storage[label] = index
        return index

    def shares(self, name: str, label: str) -> bool:
        node = self.scopes[0].nodes.get(name)
        return node is not None and node.attrs.get("shared_name") == label.encode()

    def gather(
        self,
        node: Node,
        full: str,
        edges: tuple[Edge, ...],
        guards: tuple[Guard, ...],
        life: tuple[Guard, ...],
    ) -> Result:
        """``Gather`` and ``ResourceGather`` as the ``GatherV2`` along axis 0 that freezing makes of them."""
        batch = node.attrs.get("batch_dims", 0)
        axis = self.constant(full, Tensor(DType(3), (), lambda: np.array(0, np.int32)), "axis")
        attrs: dict[str, Attr] = {
            "Tparams": node.attrs.get("Tparams", node.attrs.get("dtype")),
            "Tindices": node.attrs.get("Tindices"),
            "Taxis": DType(3),
        }
        made = NormalNode(full, "GatherV2", (*edges, axis), attrs, guards, spelling=node.op)
        if batch != 0:
            made.refusal = f"{node.op} ({full}) has batch dimensions"
        return self.add(made, life).node

    def doubt(self, op: str, full: str) -> str | None:
        if plain_op(op) in control_flow.FUNCTIONAL:
            return None
        known = op_table.op(op)
        if known is None:
            return f"unknown op {op} ({full})"
        if known.pure or plain_op(op) != op or op in ARRAYS:
            return None
        if known.stateful and ("seed" in known.defaults or "Random" in op or op.startswith("Stateful")):
            return f"random op {op} ({full})"
        return f"stateful op {op} ({full})"

    # --- control flow

    def merge(self, key: Key, node: Node, full: str) -> Result:
        number = key[0]
        nodes = self.scopes[number].nodes
        back = [control_flow.is_back_edge(nodes, source) for source in node.inputs]
        entering = [None if b else self.tensor(number, s) for s, b in zip(node.inputs, back, strict=True)]
        live = [(slot, edge) for slot, edge in enumerate(entering) if edge is not None]
        if not live:
            return None
        guards = self.controls_life(number, node.controls)
        if any(back):
            self.looped = True
            made = NormalNode(full, "Merge", guards=guards, spelling=node.op)
            index = self.add(made).node
            self.lives[index] = (Guard(index, 0, -1),)
            self.loops.append((index, key))
            return index
        if len(live) == 1:
            slot, edge = live[0]
            taken = self.passed(full, edge, guards)
            value = np.array(slot, np.int32)
            chosen = self.constant(full, Tensor(DType(3), (), lambda: value), "value_index", self.life(taken))
            return (taken, chosen)
        attrs: dict[str, Attr] = {"slots": tuple(slot for slot, _ in live)}
        made = NormalNode(full, "Merge", tuple(edge for _, edge in live), attrs, guards, spelling=node.op)
        lives = [frozenset(self.life(edge)) for _, edge in live]
        if not control_flow.exclusive(lives):
            made.refusal = f"which input of {full} arrives is not known"
        index = self.add(made).node
        common = control_flow.common_life(lives)
        self.lives[index] = (
            (Guard(index, 0, -1),) if common is None else _union(tuple(sorted(common)), guards)
        )
        return index

    def call(self, key: Key, node: Node) -> _Call | None:
        """The scope that ``node`` runs, if it is known which; made when first asked for."""
        if key in self.calls:
            return self.calls[key]
        self.calls[key] = None
        number = key[0]
        scope = self.scopes[number]
        edges = [self.tensor(number, source) for source in node.inputs]
        if None in edges or any(self.results[number, control] is None for control in node.controls):
            return None
        live = [edge for edge in edges if edge is not None]
        function, arguments = control_flow.callee(node, live, self.value, self.functions)
        body = self.functions.get(function.name) if function is not None else None
        if function is None or body is None:
            return None
        if scope.depth >= _DEEPEST or len(self.nodes) > _MOST_NODES:
            self.refusals.append(f"function {body.name} is called too deeply")
            return None
        filled = normal_functions.body(self.functions, body, function.attrs)
        self.refusals.extend(f"in function {body.name}, {reason}" for reason in filled.unknown)
        life = self.controls_life(number, node.controls)
        for edge in live:
            life = _union(life, self.life(edge))
        name = scope.prefix + node.name
        self.scopes.append(_Scope(filled.nodes, f"{name}/", arguments, scope.depth + 1))
        call = self.calls[key] = _Call(len(self.scopes) - 1, filled.returns, life)
        self.extra.extend((call.scope, each.name) for each in filled.nodes.values() if _may_write(each.op))
        return call

    def returned(self, full: str, call: _Call) -> Iterable[Edge | None]:
        for source in call.returns:
            edge = self.tensor(call.scope, source)
            yield None if edge is None else self.passed(full, edge, call.life)

    def keep_functions(self, made: NormalNode, node: Node) -> None:
        """Give a conditional or loop that stays whole the normal forms of its functions."""
        forms: dict[str, NormalGraph] = {}
        attrs = dict(made.attrs)
        for name, function in control_flow.functions_of(node):
            attrs.pop(name.partition(" ")[0], None)
            body = self.functions.get(function.name)
            if body is None or self.depth >= _DEEPEST:
                made.refusal = f"function {function.name} of {made.name} is missing or too deep"
                continue
            filled = normal_functions.body(self.functions, body, function.attrs)
            inner = _Walk(self.functions, filled.nodes, {}, self.depth + 1)
            arguments = [
                inner.add(NormalNode(argument, "Input", attrs={"index": index}))
                for index, argument in enumerate(body.arguments)
            ]
            inner.extra.extend((0, each.name) for each in filled.nodes.values() if _may_write(each.op))
            form = forms[name] = inner.run(filled.returns, arguments)
            doubts = [*filled.unknown, *form.doubts()]
            doubts += [f"{each.op} ({each.name}) changes a variable" for each, _ in inner.writes]
            if doubts and made.refusal is None:
                made.refusal = f"in {made.name}: {doubts[0]}"
        if not forms and made.refusal is None:
            made.refusal = f"{made.spelling} ({made.name}) names no function"
        made.attrs, made.functions = attrs, forms

    # --- what is known without running

    def value(self, edge: Edge) -> Scalar | None:
        """The value of a tensor that is a constant scalar."""
        if edge not in self.known:
            node = self.nodes[edge.node]
            constant = node.value if node.op == "Const" and edge.port == 0 else None
            small = constant is not None and constant.shape == ()
            self.known[edge] = scalar_of(constant.array, constant.dtype) if small and constant else None
        return self.known[edge]

    def follow(self, index: int, node: NormalNode) -> None:
        """Note what is known of the output of a new node: its value, its bounds."""
        edge = Edge(index, 0)
        if node.op in FOLDED and not node.guards:
            values = [self.value(source) for source in node.inputs]
            if None not in values:
                self.known[edge] = folded(node.op, node.attrs, values)
        if node.op == "RandomUniform":
            bounds = uniform(node.attrs, index)
            if bounds is not None:
                self.bounds[edge] = bounds
        elif self.bounds and node.inputs:
            self.follow_bounds(edge, node)

    def follow_bounds(self, edge: Edge, node: NormalNode) -> None:
        bounds = self.bounds.get(node.inputs[0])
        other = node.inputs[1] if len(node.inputs) == 2 else None
        if bounds is None and other is not None and node.op in ("AddV2", "Mul"):
            bounds, other = self.bounds.get(other), node.inputs[0]
        if bounds is None:
            return
        by = self.value(other) if other is not None else None
        if always(node.op, bounds, by) and not self.lives[edge.node]:
            origin = self.nodes[bounds.origin]
            node.settled = tuple(source.node for source in origin.inputs)
        elif node.op in ("AddV2", "Mul", "Sub") and by is not None:
            shifted = moved(node.op, bounds, by)
            if shifted is not None:
                self.bounds[edge] = shifted

    # --- afterwards

    def changed_variables(self, graph: NormalGraph) -> list[str]:
        """Live variables that something changes during the run: what is read then is not known."""
        if not self.writes:
            return []
        live = {self.restored[index]: index for index in graph.live() if index in self.restored}
        reasons = []
        for node, edges in self.writes:
            for label in sorted({self.restored[index] for index in self.referred(edges)} & set(live)):
                name = self.nodes[live[label]].name
                reasons.append(f"variable {name} is changed by {node.spelling} ({node.name})")
        return reasons

    def changed_arrays(self, graph: NormalGraph) -> list[str]:
        """Arrays that are changed beside the flow that leads to the outputs."""
        written = [node for node, _ in self.writes if node.op.startswith("TensorArray")]
        if not written:
            return []
        graph.label(ARRAYS)
        return [
            f"an array is changed by {node.op} ({node.name}) beside the outputs"
            for node in written
            if node.label is None
        ]

    def referred(self, edges: Iterable[Edge]) -> list[int]:
        """The variables behind references, which conditionals and loops may hand on."""
        found, seen, stack = [], set(), [edge.node for edge in edges]
        while stack:
            index = stack.pop()
            if index in self.restored:
                found.append(index)
            elif index not in seen and self.nodes[index].op in _CARRIERS:
                stack.extend(edge.node for edge in self.nodes[index].inputs)
            seen.add(index)
        return found

    def tensors(self) -> dict[TensorName, Edge]:
        """Which normal tensor each resolved tensor of the graph became."""
        tensors: dict[TensorName, Edge] = {}
        for (scope, name), result in self.results.items():
            if scope == 0 and isinstance(result, int):
                tensors[TensorName(name, 0)] = Edge(result, 0)
            elif scope == 0 and isinstance(result, tuple):
                for port, edge in enumerate(result):
                    if edge is not None:
                        tensors[TensorName(name, port)] = edge
        tensors.update(self.fed)
        return tensors


def _may_write(op: str) -> bool:
    known = op_table.op(op)
    return known is not None and known.refers and op not in _READERS


def _union(some: tuple[Guard, ...], others: tuple[Guard, ...]) -> tuple[Guard, ...]:
    if not others or some == others:
        return some
    return tuple(dict.fromkeys((*some, *others)))


def _less(some: tuple[Guard, ...], others: Iterable[Guard]) -> tuple[Guard, ...]:
    if not some:
        return some
    known = set(others)
    return tuple(guard for guard in some if guard not in known)


def _all(lives: Iterable[tuple[Guard, ...]]) -> list[Guard]:
    return [guard for life in lives for guard in life]
