"""From a graph to its normal form, node by node as :mod:`..live` hands them on, without recursion.

Which nodes run, and which side of a decided conditional, is asked there; what remains to do here are the
conditionals that a feed decides. Functional ones and loops stay whole unless they are to be ``lowered``: a repair
exchanges the function that such a node names, and what stands in it has no name in the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .. import ops
from ..graph import Array, Attr, DType, Function, Graph, Node, Tensor, TensorName, listed
from ..live import Liveness, liveness
from ..loops import hands_on, is_back_edge, mixed_frames
from ..predicates import fed_tensor
from ..valid import flaws_of_functions
from ..variables import Storage, Variables, storage_of
from .attributes import meaningful, plain_op, respelled
from .form import (
    Edge,
    Guard,
    Life,
    NormalGraph,
    NormalNode,
    common_life,
    exclusive,
    is_partitioned,
    less,
    union,
    whole,
)

if TYPE_CHECKING:
    from ..inline import Budget
    from .bounds import RandomNumbers
    from .turns import Turns

Result: TypeAlias = "int | tuple[Edge | None, ...] | None"
"""What a node became: one normal node, port by port; a tensor for each port; None if it never runs."""

_INT = DType(3)
_RESOURCE = DType(20)
_DEEPEST = 30
"""Conditionals and loops inside one another whose functions are compared, each a walk inside another's."""
_FUSED_OUTPUTS = 6


def normal_form(
    graph: Graph,
    outputs: Sequence[TensorName],
    *,
    inputs: Sequence[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    variables: Mapping[str, Tensor] | None = None,
    joined: bool = False,
    lowered: bool = False,
    live: Liveness | None = None,
) -> NormalGraph:
    """What ``outputs`` compute from ``inputs``.

    ``feeds`` are tensors held at a constant, ``variables`` the values of variable nodes; ``joined``
    puts the parts of partitioned variables together (a concatenation of constants); ``lowered`` writes functional
    conditionals and loops out. ``live`` is what :func:`liveness` says of all these, if that is known already.
    Nothing is raised: what cannot be resolved is in ``NormalGraph.doubts``.
    """
    walk = _Walk(graph, variables or {}, joined=joined, lowered=lowered)
    form = walk.run(outputs, inputs, feeds or {}, live=live)
    if walk.holds:
        return form
    walk = _Walk(graph, variables or {}, joined=joined, lowered=lowered, together=False)
    return walk.run(outputs, inputs, feeds or {}, live=live)


class _Walk:
    def __init__(
        self,
        graph: Graph,
        variables: Mapping[str, Tensor],
        *,
        budget: Budget | None = None,
        depth: int = 0,
        joined: bool = False,
        lowered: bool = False,
        together: bool = True,
    ) -> None:
        self.graph = graph
        self.values = variables
        self.variables = Variables(graph, variables)
        self._budget = budget
        self.depth = depth
        self.joined = joined
        self.lowered = lowered
        self.together = together
        self.holds = True
        self.turns: Turns | None = None
        self.nodes: list[NormalNode] = []
        self.lives: list[Life] = []
        self.fed: dict[TensorName, Edge] = {}
        self.results: dict[str, Result] = {}
        self.loops: list[tuple[int, Node]] = []
        self.running: dict[str, Life] = {}
        self.stored: dict[Storage, int] = {}
        self.restored: dict[int, Storage] = {}
        self.random: RandomNumbers | None = None
        self.spellings: dict[tuple[str, int], tuple[str, str, Mapping[str, Attr]]] = {}

    # --- the walk

    def run(
        self,
        outputs: Sequence[TensorName],
        inputs: Sequence[TensorName],
        feeds: Mapping[TensorName, Array],
        *,
        whole: bool = False,
        live: Liveness | None = None,
    ) -> NormalGraph:
        """The normal form, true if what was taken to live ``together`` in a loop ``holds``."""
        self.live: Liveness = live or liveness(
            self.graph,
            outputs,
            inputs=inputs,
            feeds=feeds,
            variables=self.values,
            whole=whole,
            lowered=ops.IFS | ops.WHILES if self.lowered else (),
            budget=self.budget,
        )
        for index, tensor in enumerate(inputs):
            self.fed[tensor] = self.add(NormalNode(tensor.node, "Input", attrs={"index": index}))
        for tensor, array in feeds.items():
            if tensor not in self.fed:
                held = fed_tensor(self.graph.nodes.get(tensor.node), array)
                self.fed[tensor] = self.constant(tensor.node, held, "feed")
        for name, node in self.live.nodes.items():
            if name not in self.results:
                self.results[name] = None if self.live.is_dead_node(name) else self.result(node)
        self.close_loops()
        edges = tuple(map(self.tensor, outputs))
        graph = NormalGraph(self.nodes, edges, self.tensors, bool(self.loops))
        if self.turns is not None:
            self.holds = self.turns.hold(self.nodes, self.lives, self.tensor)
            if self.holds:
                self.turns.settle(self.nodes, self.lives)
                graph.turns = self.turns.first
        doubts = [*self.live.refusals, *self.changes(graph)]
        doubts += mixed_frames(self.live.nodes)
        if not self.depth:
            doubts += self.graph.demands
            doubts += flaws_of_functions(self.graph, self.live.nodes.values())
        graph.joined = self.joined
        graph.refusals = tuple(dict.fromkeys(doubts))
        return graph

    def changes(self, graph: NormalGraph) -> list[str]:
        """A clause for each variable and array that the run changes."""
        if not self.live.writers and not any(node.op.startswith("TensorArray") for node in graph.nodes):
            return []
        from .changes import changed_arrays, changed_variables, unordered_arrays

        changed = changed_variables(graph, self.restored, self.live.writers)
        return [*changed, *changed_arrays(graph), *unordered_arrays(graph)]

    @cached_property
    def budget(self) -> Budget | None:
        """How much may be written out; None of a graph without functions."""
        if self._budget is None and self.graph.functions:
            from ..inline import Budget

            return Budget(self.graph.functions)
        return self._budget

    def close_loops(self) -> None:
        """Give the Merge of each loop its back edges, now that what is before the loop is known."""
        for index, node in self.loops:
            alive = [source for source in node.inputs if not self.live.is_dead(source)]
            if len(alive) != len(node.inputs):
                self.nodes[index].refusal = f"loop {node.name} has an end that is never reached"
            self.nodes[index].inputs = tuple(map(self.tensor, alive))

    def tensor(self, name: TensorName) -> Edge:
        """The normal tensor of an original one; one that no proof can rest on where there is none."""
        if name in self.fed:
            return self.fed[name]
        if self.live.is_dead(name):
            return self.opaque(str(name), "Dead", f"{name} is never computed")
        if name.node not in self.results:
            self.results[name.node] = self.missing(name.node)
        result = self.results[name.node]
        if isinstance(result, int):
            return Edge(result, name.port)
        edge = result[name.port] if result is not None and name.port < len(result) else None
        return edge or self.opaque(str(name), "Missing", f"{name} does not exist")

    def missing(self, name: str) -> int:
        if name in self.live.nodes:
            return self.opaque(name, "Cycle", f"{name} depends on itself").node
        return self.opaque(name, "Missing", f"node {name} does not exist").node

    # --- making nodes

    def add(self, node: NormalNode, life: Life = ()) -> Edge:
        self.nodes.append(node)
        self.lives.append(life)
        return Edge(len(self.nodes) - 1, 0)

    def opaque(self, name: str, op: str, refusal: str) -> Edge:
        return self.add(NormalNode(name, op, spelling=op, refusal=refusal))

    def constant(self, name: str, value: Tensor, spelling: str, guards: Life = ()) -> Edge:
        return self.add(NormalNode(name, "Const", guards=guards, value=value, spelling=spelling), guards)

    def number(self, name: str, value: int, spelling: str, guards: Life = ()) -> Edge:
        held = np.array(value, np.int32)
        return self.constant(name, Tensor(_INT, (), lambda: held), spelling, guards)

    def life(self, edge: Edge) -> Life:
        """The conditions under which a tensor lives; empty if it always does."""
        life = self.lives[edge.node]
        node = self.nodes[edge.node]
        if node.op == "Switch":
            predicate = node.inputs[1]
            return union(life, (Guard(predicate.node, predicate.port, edge.port),))
        return life

    def life_of(self, edges: Iterable[Edge], life: Life = ()) -> Life:
        """The conditions under which all of ``edges`` live, with those of ``life``."""
        for edge in edges:
            life = union(life, self.life(edge))
        return life

    def controls_life(self, controls: Iterable[str]) -> Life:
        life: Life = ()
        for control in controls:
            if control not in self.results:
                self.results[control] = self.missing(control)
            result = self.results[control]
            if control in self.running:
                life = union(life, self.running[control])
            elif isinstance(result, int):
                life = union(life, self.lives[result])
            else:
                life = self.life_of((edge for edge in result or () if edge is not None), life)
        return life

    def passed(self, name: str, edge: Edge, life: Life) -> Edge:
        """``edge`` itself, or, where it lives only under further conditions, an Identity that says so."""
        guards = less(life, self.life(edge))
        if not guards:
            return edge
        life = union(self.life(edge), guards)
        return self.add(NormalNode(name, "Identity", (edge,), guards=guards, spelling="Identity"), life)

    # --- the rules

    def result(self, node: Node) -> Result:
        """What ``node``, which runs, becomes."""
        if node.op in ops.MERGES:
            return self.merge(node)
        edges = tuple(map(self.tensor, node.inputs))
        guards = self.controls_life(node.controls) if node.controls else ()
        if node.op in ops.SWITCHES:
            return self.switch(node, edges, guards)
        if node.name in self.live.calls:
            # What a loop gives lives when it is left: what enters it has the conditions of the node.
            life = () if node.op in ops.WHILES else self.life_of(edges, guards)
            return tuple(self.returned(node.name, life))
        if edges and (node.op in ops.PASS_THROUGH or node.op == "PlaceholderWithDefault"):
            return (self.passed(node.name, edges[0], guards),)
        if node.op == "IdentityN":
            life = self.life_of(edges, guards)
            return tuple([self.passed(node.name, edge, life) for edge in edges])
        if not edges or node.op in ops.VARIABLES:
            return self.source(node, edges, guards)
        return self.plain(node, edges, guards)

    def switch(self, node: Node, edges: tuple[Edge, ...], guards: Life) -> Result:
        """What a Switch becomes: what it passes on, where it is known which way it goes."""
        if len(edges) != 2:
            return self.opaque(
                node.name, "Malformed", f"{node.op} ({node.name}) has {len(edges)} inputs"
            ).node
        if self.turns is not None and edges[0].node in self.turns.kept:
            life = self.running[node.name] = union(guards, self.life_of(edges))
            sides = [union(life, (Guard(*edges[1], side),)) for side in (0, 1)]
            return tuple([self.passed(node.name, edges[0], side) for side in sides])
        if node.name not in self.live.taken:
            return self.plain(node, edges, guards)
        taken = self.passed(node.name, edges[0], union(guards, self.life(edges[1])))
        return (None, taken) if self.live.taken[node.name] else (taken, None)

    def source(self, node: Node, edges: tuple[Edge, ...], guards: Life) -> Result:
        """What a node without inputs becomes."""
        value = node.attrs.get("value")
        if node.op == "Const" and isinstance(value, Tensor):
            if node.attrs.get("dtype", value.dtype) != value.dtype:
                return self.opaque(
                    node.name, "Const", f"constant {node.name} is of another type than its value"
                ).node
            return self.constant(node.name, value, "Const", guards).node
        if node.op in ops.VARIABLES:
            return self.variable(node, guards)
        if node.op in ops.PLACEHOLDERS:
            return self.opaque(node.name, node.op, f"placeholder {node.name} is not fed").node
        return self.plain(node, edges, guards)

    def plain(self, node: Node, edges: tuple[Edge, ...], guards: Life) -> Result:
        life = self.life_of(edges, guards)
        guards = less(guards, self.life_of(edges))
        if self.turns is not None and len(edges) > 1:
            edges = self.beside_others(edges)
        name, op, attrs = self.spelt(node)
        if name in ("Gather", "ResourceGather"):
            return self.gather(node, edges, guards, life)
        made = NormalNode(node.name, op, edges, attrs, guards, spelling=node.op)
        if self.joined and not life and is_partitioned(made, self.nodes):
            value = whole([self.nodes[edge.node].value for edge in edges])
            if value is not None:
                return self.constant(node.name, value, op).node
        index = self.add(made, life).node
        made.refusal = doubt(node)
        if node.op in ops.FUNCTIONAL:
            self.keep_functions(made, node)
        if name in ("Enter", "Exit"):
            self.lives[index] = self.beyond_turns(index, made, node)
        self.settle(index, made, node)
        if op != name and node.op in ops.FUSED_BATCH_NORMS:
            return self.fused(node, index, made, life)
        return index

    def beside_others(self, edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
        """``edges`` of one node, without what only says that one lives when another does: the node needs them all."""
        kept = list(edges)
        for place, edge in enumerate(edges):
            passed = self.nodes[edge.node]
            if passed.op == "Identity" and passed.guards:
                others = self.life_of(other for number, other in enumerate(kept) if number != place)
                if set(others).issuperset(passed.guards):
                    kept[place] = passed.inputs[0]
        return tuple(kept)

    def beyond_turns(self, index: int, made: NormalNode, node: Node) -> Life:
        """When what an ``Enter`` or ``Exit`` gives lives."""
        if made.op == "Enter":
            is_same = self.together and made.attrs.get("is_constant")
            frame, entered = node.attrs.get("frame_name"), self.lives[index]
            return self.turning().constant(frame, entered) if is_same else entered
        left = self.nodes[made.inputs[0].node] if made.inputs else made
        source = left.inputs[0].node if left.op in ("Switch", "Identity") and left.inputs else index
        life = None if self.turns is None else self.turns.left(source)
        return (Guard(index, 0, -1),) if life is None else life

    def spelt(self, node: Node) -> tuple[str, str, Mapping[str, Attr]]:
        """The op without regard to references, its one spelling, and the attributes that matter."""
        key = (node.op, id(node.attrs))
        spelt = self.spellings.get(key)
        if spelt is None:
            name = plain_op(node.op)
            spelt = self.spellings[key] = (name, *respelled(name, meaningful(name, node.attrs)))
        return spelt

    def fused(self, node: Node, index: int, made: NormalNode, life: Life) -> Result:
        """A fused batch norm, of which output 0 alone is the same in every spelling."""
        name = plain_op(node.op)
        attrs = meaningful(name, node.attrs)
        rest = NormalNode(node.name, name, made.inputs, attrs, made.guards, spelling=node.op)
        rest.refusal = made.refusal
        other = self.add(rest, life).node
        return (Edge(index, 0), *(Edge(other, port) for port in range(1, _FUSED_OUTPUTS)))

    def settle(self, index: int, made: NormalNode, node: Node) -> None:
        """Note where random numbers lead to one result throughout."""
        if self.random is None:
            if node.op != "RandomUniform":
                return
            from .bounds import RandomNumbers  # late: a graph that is not in training draws none

            self.random = RandomNumbers()
        bounds = self.random.follow(index, made, node.inputs, self.live.value)
        if bounds is not None and not self.lives[index]:
            made.settled = tuple(source.node for source in self.nodes[bounds.origin].inputs)

    def variable(self, node: Node, guards: Life) -> Result:
        if node.controls and not guards:
            reason = f"variable {node.name} waits for {node.controls[0]}, and so does its restore"
            return self.opaque(node.name, node.op, reason).node
        storage = storage_of(node)
        if not guards and storage in self.stored:
            return self.stored[storage]
        value = self.variables.value(node)
        if value is None:
            return self.opaque(node.name, node.op, f"variable {node.name} has no value").node
        index = self.constant(node.name, value, node.op, guards).node
        self.restored[index] = storage
        if not guards:
            self.stored[storage] = index
        return index

    def gather(self, node: Node, edges: tuple[Edge, ...], guards: Life, life: Life) -> Result:
        """``Gather`` and ``ResourceGather`` as the ``GatherV2`` along axis 0 that freezing makes of them."""
        axis = self.number(node.name, 0, "axis")
        attrs: dict[str, Attr] = {
            "Tparams": node.attrs.get("Tparams", node.attrs.get("dtype")),
            "Tindices": node.attrs.get("Tindices"),
            "Taxis": _INT,
        }
        made = NormalNode(node.name, "GatherV2", (*edges, axis), attrs, guards, spelling=node.op)
        if node.attrs.get("batch_dims", 0) != 0:
            made.refusal = f"{node.op} ({node.name}) has batch dimensions"
        return self.add(made, life).node

    # --- control flow

    def merge(self, node: Node) -> Result:
        """A ``Merge``: it waits for its control inputs, dead or not, so they say nothing of its life (executor.cc)."""
        if any(is_back_edge(self.live.node, source) for source in node.inputs):
            return self.head(node)
        slots = [slot for slot, source in enumerate(node.inputs) if not self.live.is_dead(source)]
        edges = tuple(self.tensor(node.inputs[slot]) for slot in slots)
        if len(slots) == 1:
            return (edges[0], self.number(node.name, slots[0], "value_index", self.life(edges[0])))
        made = NormalNode(node.name, "Merge", edges, {"slots": tuple(slots)}, spelling=node.op)
        lives = [frozenset(self.life(edge)) for edge in edges]
        if not exclusive(lives):
            made.refusal = f"which input of {node.name} arrives is not known"
        index = self.add(made).node
        common = common_life(lives)
        self.lives[index] = (Guard(index, 0, -1),) if common is None else tuple(sorted(common))
        return index

    def head(self, node: Node) -> int:
        """The head of a variable of a loop; one that each turn hands on as it came is the same in all of them."""
        entering = [source for source in node.inputs if not is_back_edge(self.live.node, source)]
        back = [source for source in node.inputs if source not in entering]
        enter = self.nodes[self.tensor(entering[0]).node] if len(entering) == len(back) == 1 else None
        made = NormalNode(node.name, "Merge", spelling=node.op)
        if node.controls:
            made.refusal = f"the head {node.name} of a loop waits for {node.controls[0]} in each turn"
        if not self.together or enter is None or enter.op != "Enter":
            index = self.add(made).node
            self.lives[index] = (Guard(index, 0, -1),)
            self.loops.append((index, node))
            return index
        kept = hands_on(self.live.node, node) and made.refusal is None
        if kept:
            made = replace(enter, attrs={**enter.attrs, "is_constant": True})
        index = self.add(made).node
        life = self.life_of(enter.inputs, enter.guards)
        self.lives[index] = self.turning().head(index, self.frame(entering[0]), life, back[0], kept=kept)
        if not kept:
            self.loops.append((index, node))
        return index

    def frame(self, entering: TensorName) -> Attr:
        """The name of the loop that a tensor enters."""
        node = self.live.node(entering.node)
        return None if node is None else node.attrs.get("frame_name")

    def turning(self) -> Turns:
        """The loops of the graph, which most have none of."""
        if self.turns is None:
            from .turns import Turns

            self.turns = Turns()
        return self.turns

    def returned(self, call: str, life: Life) -> Iterator[Edge | None]:
        for source in self.live.calls[call]:
            yield None if self.live.is_dead(source) else self.passed(call, self.tensor(source), life)

    def keep_functions(self, made: NormalNode, node: Node) -> None:
        """Give a conditional or loop that stays whole the normal forms of its functions."""
        attrs = self.types_read(made, node)
        made.attrs = {name: value for name, value in attrs.items() if name not in _named(node)}
        forms: dict[str, NormalGraph] = {}
        for name, function in _functions(node):
            found = self.form_of(function)
            if found is None:
                made.refusal = f"function {function.name} of {made.name} is missing or too deep"
                continue
            forms[name], doubts = found
            if doubts and made.refusal is None:
                made.refusal = f"in {made.name}: {doubts[0]}"
        if not forms and made.refusal is None:
            made.refusal = f"{made.spelling} ({made.name}) names no function"
        made.functions = forms

    def types_read(self, made: NormalNode, node: Node) -> Mapping[str, Attr]:
        """The attributes of a conditional or loop, with the type of the value for a variable that it is given.

        Nothing that runs changes such a variable, or it were none with a known value: a function that reads it gets
        that value, as it would if it were given the value (freezing writes that).
        """
        key, first = ("T", 0) if node.op in ops.WHILES else ("Tin", 1)
        types = listed(made.attrs.get(key))
        edges = made.inputs[first:]
        if types is None or len(types) != len(edges):
            return made.attrs
        values = [self.nodes[edge.node].value if edge.node in self.restored else None for edge in edges]
        read = [
            value.dtype if value is not None and given == _RESOURCE else given
            for given, value in zip(types, values, strict=True)
        ]
        return {**made.attrs, key: tuple(read)}

    def form_of(self, function: Function) -> tuple[NormalGraph, list[str]] | None:
        """The normal form of a function on any arguments, with its doubts; None if it is missing or too deep."""
        called = self.graph.functions.get(function.name)
        if called is None or self.depth >= _DEEPEST or self.budget is None:
            return None
        if self.budget.refusal(called.name) is not None:
            return None
        from ..function_body import body_of

        body = body_of(self.graph.functions, called, function.attrs)
        walk = _Walk(
            Graph(body.nodes, self.graph.functions),
            {},
            budget=self.budget,
            depth=self.depth + 1,
            together=False,
        )
        form = walk.run(body.returns, body.arguments, {}, whole=True)
        written = [f"{each.node.op} ({each.node.name}) changes a variable" for each in walk.live.writers]
        return form, [*body.unknown, *form.doubts(), *written]

    def tensors(self) -> dict[TensorName, Edge]:
        """Which normal tensor each resolved tensor of the graph became."""
        tensors: dict[TensorName, Edge] = {}
        for name, result in self.results.items():
            if name not in self.graph.nodes:
                continue
            if isinstance(result, int):
                tensors[TensorName(name, 0)] = Edge(result, 0)
            for port, edge in enumerate(result if isinstance(result, tuple) else ()):
                if edge is not None:
                    tensors[TensorName(name, port)] = edge
        tensors.update(self.fed)
        return tensors


def doubt(node: Node) -> str | None:
    """Why no proof can rest on a node of this op; None if one can."""
    if node.op in ops.FUNCTIONAL:
        return None
    known = ops.registered(node.op)
    if known is None:
        return f"unknown op {node.op} ({node.name})"
    if known.pure or plain_op(node.op) != node.op or node.op in ops.ARRAYS:
        return None
    kind = "random" if ops.is_random(node.op) else "stateful"
    return f"{kind} op {node.op} ({node.name})"


def _named(node: Node) -> Collection[str]:
    return {name.partition(" ")[0] for name, _ in _functions(node)}


def _functions(node: Node) -> Iterator[tuple[str, Function]]:
    """The functions that a conditional or loop runs, each with the attribute that names it."""
    for attr in ops.function_attributes(node.op):
        value = node.attrs.get(attr)
        if isinstance(value, Function):
            yield attr, value
        for number, each in enumerate(listed(value) or ()):
            if isinstance(each, Function):
                yield f"{attr} {number}", each
