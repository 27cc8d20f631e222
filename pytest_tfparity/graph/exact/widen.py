"""A graph with its exact answer in it: beside every float tensor the same one, computed in float64.

Nothing of the graph is changed; nodes are added. Each reads what stands for its inputs in float64, and integers,
strings and predicates where they were: what a network decides (a shape, an index, a branch, how often a loop turns) it decides as
in float32, so that rounding is all that can differ. Where TensorFlow has no float64 kernel the op is written out
(:mod:`.spelt`), or runs as it is on rounded inputs, which makes the answer an approximation: an :class:`Island`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeAlias

from .. import ops
from ..function_body import ARGUMENT, body_of
from ..graph import (
    Attr,
    DType,
    Function,
    FunctionBody,
    FunctionInput,
    FunctionNode,
    Graph,
    Node,
    TensorName,
    listed,
)
from ..loops import is_back_edge
from ..signatures import REFERENCE, Argument, Signature, signature, types_of
from .emit import PREFIX, Emitter, Spelling
from .spelt import REMAINDERS, SPELT, remainder
from .types import DOUBLE, FLOAT, HANDLES, STRING, VARIANT, WIDE, decides

Kernels: TypeAlias = Callable[[str, Mapping[str, int]], bool]
"""Whether a CPU has a kernel for an op with these types (numbers of ``tensorflow.DataType``) of its attributes."""
_Twin: TypeAlias = "tuple[TensorName, int]"


_MAKERS = frozenset(
    {"TensorArrayV3", "EmptyTensorList", "TensorListReserve", "TensorListFromTensor", "TensorListSplit"}
)
"""Ops that make an array or a list of tensors."""


class Unwidened(Exception):
    """A graph cannot be computed in float64; the message is a clause that says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Island:
    """A node that runs in float32 on rounded inputs; ``function`` is the function of the library it stands in."""

    node: str
    op: str
    function: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WidenedFunction:
    """A function with the types of its results, in order; its arguments' types stand in ``body.types``."""

    body: FunctionBody
    results: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """``graph`` with the nodes ``added`` and ``functions`` beside its own.

    ``exact`` maps each float output to the tensor that holds it in float64 (complex128).
    """

    graph: Graph
    added: Mapping[str, Node]
    functions: tuple[WidenedFunction, ...]
    exact: Mapping[TensorName, TensorName]
    islands: tuple[Island, ...]


def widened(
    graph: Graph,
    outputs: Sequence[TensorName],
    feeds: Set[TensorName],
    kernels: Kernels,
    refused: Collection[str] = (),
) -> Widened:
    """``graph`` with the exact answer for ``outputs`` in it, where the tensors ``feeds`` are given.

    ``refused`` are nodes that could not be run in float64. Raises :class:`Unwidened`.
    """
    work = _Work(functions=dict(graph.functions), kernels=kernels, refused=frozenset(refused))
    live = _inputs_first(graph.live([str(output) for output in outputs], [str(feed) for feed in feeds]))
    scope = _Scope(work=work, nodes=live, whole=graph.nodes, fed=feeds)
    scope.add_all()
    exact = {}
    for output in outputs:
        found = scope.exact(output)
        if found is not None:
            exact[output] = found[0]
    added = scope.emitter.nodes
    return Widened(
        graph=Graph(
            nodes={**graph.nodes, **added},
            functions={**graph.functions, **{each.body.name: each.body for each in work.made.values()}},
            producer=graph.producer,
            colocated=graph.colocated,
        ),
        added=added,
        functions=tuple(work.made.values()),
        exact=exact,
        islands=tuple(dict.fromkeys(work.islands)),
    )


@dataclass(slots=True)
class _Work:
    """What the graph and all its functions share."""

    functions: dict[str, FunctionBody]
    kernels: Kernels
    refused: frozenset[str]
    islands: list[Island] = field(default_factory=list)
    made: dict[object, WidenedFunction] = field(default_factory=dict)
    given: dict[object, tuple[int | None, ...]] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)

    def function(
        self, called: Function, plain: Sequence[DType], arguments: tuple[int | None, ...], *, results: str
    ) -> tuple[Function, tuple[int | None, ...]]:
        """``called`` with its arguments in float64 behind its own.

        ``plain`` are the types of its own, ``arguments`` those of the exact ones, None for one that has none.
        ``results`` says what it gives: ``"exact"`` its results in float64, ``"both"`` its own before these,
        ``"plain"`` its own alone. Second the types of the exact results, None for one that has none.
        """
        key = (called.name, repr(sorted(called.attrs.items())), tuple(plain), arguments, results)
        if key not in self.made:
            function = self.functions.get(called.name)
            if function is None or called.name in self.under_way:
                raise Unwidened(f"function {called.name} is missing or calls itself")
            self.under_way.add(called.name)
            name = f"tfparity_exact_{called.name}_{len(self.made) + len(self.under_way)}"
            body = body_of(self.functions, function, called.attrs)
            if body.unknown:
                raise Unwidened(f"of function {called.name} {body.unknown[0]}")
            scope = _Scope(
                work=self, nodes=_ordered(body.nodes, body.returns), whole=body.nodes, function=called.name
            )
            self.made[key], self.given[key] = scope.as_function(
                name, dict(zip(body.arguments, plain, strict=True)), body.returns, arguments, results
            )
            self.under_way.discard(called.name)
        return Function(self.made[key].body.name, {}), self.given[key]


def _ordered(nodes: Mapping[str, Node], returns: Sequence[TensorName]) -> Mapping[str, Node]:
    """What the results of a function need, inputs first, with what constants wait for."""
    live = Graph(nodes=nodes).live([str(each) for each in returns])
    while True:
        waited = [
            control
            for node in live.values()
            if not node.inputs
            for control in node.controls
            if control not in live and control in nodes
        ]
        if not waited:
            return _inputs_first(live)
        live = Graph(nodes=nodes).live([*waited, *live])


def _inputs_first(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """``nodes`` with the inputs of each before it, but for the ends of loops that a ``Merge`` reads."""
    found: dict[str, Node] = {}
    stack = [(name, False) for name in reversed(nodes)]
    started: set[str] = set()
    while stack:
        name, finished = stack.pop()
        node = nodes.get(name)
        if node is None or (not finished and name in started):
            continue
        if finished:
            found[name] = node
            continue
        started.add(name)
        stack.append((name, True))
        stack.extend(
            (source.node, False)
            for source in reversed(node.inputs)
            if source.node not in started and not (node.op in ops.MERGES and is_back_edge(nodes.get, source))
        )
    return found


@dataclass(slots=True)
class _Scope:
    """The nodes of a graph or of a function, inputs first, and what stands for them in float64."""

    work: _Work
    nodes: Mapping[str, Node]
    whole: Mapping[str, Node]
    fed: Set[TensorName] = frozenset()
    function: str | None = None
    emitter: Emitter = field(default_factory=Emitter)
    twins: dict[TensorName, _Twin] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    promised: dict[str, int] = field(default_factory=dict)
    types: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add_all(self) -> None:
        """Every node in float64 that has something to compute in it."""
        for node in self.nodes.values():
            self.add(node)
            self.done.add(node.name)
        for name in self.promised:
            if name not in self.emitter.nodes:
                raise Unwidened(f"the loop behind {name.removeprefix(PREFIX)} is not closed in float64")

    def exact(self, tensor: TensorName) -> _Twin | None:
        """What holds ``tensor`` in float64, with its type; None for what has no float in it."""
        if tensor not in self.fed and tensor in self.twins:
            return self.twins[tensor]
        given = self.type_of(tensor)
        if given not in WIDE:
            return None
        if tensor.node in self.nodes and tensor.node not in self.done and tensor not in self.fed:
            raise Unwidened(f"{tensor} is needed before it is computed")
        return self.emitter.cast(tensor, given, WIDE[given]), WIDE[given]

    def type_of(self, tensor: TensorName) -> int:
        """The type of a tensor of the graph as it is."""
        node = self.whole.get(tensor.node)
        if node is None:
            raise Unwidened(f"{tensor} is not there")
        if tensor.node not in self.types:
            if node.op == ARGUMENT:
                kind = node.attrs.get("T")
                known: tuple[int, ...] = (kind.number,) if isinstance(kind, DType) else ()
            else:
                found = types_of(node.op, node.attrs)
                if found is None:
                    raise Unwidened(f"what {node.op} ({node.name}) computes is not known")
                known = tuple(number % REFERENCE for number in found[1])
            self.types[tensor.node] = known
        types = self.types[tensor.node]
        if tensor.port >= len(types):
            raise Unwidened(f"the type of {tensor} is not known")
        return types[tensor.port]

    # --- one node

    def add(self, node: Node) -> None:
        """What computes ``node`` in float64, if there is anything to it."""
        if node.op == ARGUMENT or decides(node.op) or all(TensorName(node.name, p) in self.fed for p in (0,)):
            return
        if node.op in ops.CALLS | ops.FUNCTIONAL:
            self.call(node)
            return
        told, types = signature(node.op), types_of(node.op, node.attrs)
        if told is None or types is None:
            if node.op in self.work.functions or any(self.exact(source) for source in node.inputs):
                raise Unwidened(f"what {node.op} ({node.name}) computes is not known")
            return
        takes, gives = types
        inputs = tuple(self.input(node, source) for source in node.inputs)
        if node.op.startswith("TensorList") and VARIANT in takes and inputs[takes.index(VARIANT)] is None:
            self.cut_off(node, gives)
            return
        if len(takes) != len(inputs):
            raise Unwidened(f"{node.op} ({node.name}) has {len(inputs)} inputs where it takes {len(takes)}")
        held = any(twin is not None and twin[1] in HANDLES for twin in inputs)
        holder = self.holds_floats(node)
        if STRING in takes or not (holder or held or any(number % REFERENCE in WIDE for number in gives)):
            return
        if node.op in ops.ARRAYS and not holder and not held:
            return  # of integers: its flow is a float that counts nothing
        if not holder and not any(inputs):
            self.source(node, takes, gives)
            return
        self.compute(node, told, inputs)

    def input(self, node: Node, source: TensorName) -> _Twin | None:
        """What an input is in float64; the end of a loop, which comes later, as its beginning is."""
        if node.op not in ops.MERGES or source.node in self.done or source in self.fed:
            return self.exact(source)
        first = next((self.exact(each) for each in node.inputs if each.node in self.done), None)
        if first is None:
            return None
        name = f"{PREFIX}{source.node}"
        self.promised[name] = first[1]
        return TensorName(name, source.port), first[1]

    def holds_floats(self, node: Node) -> bool:
        """Whether ``node`` makes an array or a list of float tensors."""
        dtype = node.attrs.get("element_dtype", node.attrs.get("dtype"))
        return node.op in _MAKERS and isinstance(dtype, DType) and dtype.number in WIDE

    def source(self, node: Node, takes: Sequence[int], gives: Sequence[int]) -> None:
        """A node without float inputs: what it gives is exact, but for integers that float32 cannot hold."""
        if node.op == "Cast" and takes[0] not in (0, *HANDLES) and gives[0] in WIDE:
            exact = self.emitter.cast(node.inputs[0], takes[0], WIDE[gives[0]])
            self.twins[TensorName(node.name, 0)] = exact, WIDE[gives[0]]

    def cut_off(self, node: Node, gives: Sequence[int]) -> None:
        """A node that reads a list of which there is none in float64: what floats it gives are as in float32."""
        if any(number in WIDE for number in gives):
            self.work.islands.append(Island(node=node.name, op=node.op, function=self.function))

    def compute(self, node: Node, told: Signature, inputs: Sequence[_Twin | None]) -> None:
        """``node`` on inputs in float64: as it is, written out, or in its own types."""
        known = ops.registered(node.op)
        attrs = {**(known.defaults if known is not None else {}), **node.attrs}
        attrs = {name: value for name, value in attrs.items() if not name.startswith("_")}
        if node.op in REMAINDERS:
            self.spell(node, self.remainder(node, inputs))
            return
        wide = _wide_attrs(told, attrs, inputs)
        runs = (
            node.name not in self.work.refused
            and _allowed(told, wide)
            and self.work.kernels(node.op, _types(wide))
        )
        if node.op in SPELT and not (runs and _all_wide(node.op, wide)):
            given = [
                source if twin is None else twin[0] for source, twin in zip(node.inputs, inputs, strict=True)
            ]
            spelling = Spelling(emitter=self.emitter, node=node, beside=node.inputs[0].node)
            spelt = SPELT[node.op](spelling, attrs, given)
            if spelt is not None:
                self.spell(node, spelt)
                return
        self.place(node, wide if runs else attrs, inputs)

    def spell(self, node: Node, outputs: Mapping[int, TensorName]) -> None:
        self.twins.update({TensorName(node.name, port): (found, DOUBLE) for port, found in outputs.items()})

    def remainder(self, node: Node, inputs: Sequence[_Twin | None]) -> Mapping[int, TensorName]:
        write = Spelling(emitter=self.emitter, node=node, beside=node.inputs[0].node)
        exact = [twin[0] for twin in inputs if twin is not None]
        plain = (*node.inputs, TensorName(node.name, 0))
        return remainder(write, [*exact, *(write.cast(each, self.type_of(each)) for each in plain)])

    def place(self, node: Node, attrs: Mapping[str, Attr], inputs: Sequence[_Twin | None]) -> None:
        """``node`` with ``attrs``, its inputs cast to what it then takes, its outputs to float64."""
        op, attrs = _value_op(node.op, attrs)
        found = types_of(op, attrs)
        if found is None:
            raise Unwidened(f"what {op} ({node.name}) computes is not known")
        takes, gives = found
        given, rounds = [], False
        for source, twin, wanted in zip(node.inputs, inputs, takes, strict=True):
            if twin is None:
                given.append(source)
                continue
            rounds = rounds or twin[1] != wanted
            given.append(twin[0] if twin[1] in HANDLES else self.emitter.cast(*twin, wanted))
        name = f"{PREFIX}{node.name}"
        controls = tuple(each for each in node.controls if not node.inputs)
        self.emitter.add(name, op, given, attrs, controls)
        for port, number in enumerate(gives):
            here = TensorName(name, port)
            flow = number == FLOAT and (
                op in ops.ARRAYS or (op in ops.CARRIERS | {"Identity"} and not rounds)
            )
            if flow or number in HANDLES:
                self.twins[TensorName(node.name, port)] = here, number
            elif number in WIDE:
                rounds = rounds or number != WIDE[number]
                self.twins[TensorName(node.name, port)] = (
                    self.emitter.cast(here, number, WIDE[number]),
                    WIDE[number],
                )
        if rounds:
            self.work.islands.append(Island(node=node.name, op=node.op, function=self.function))

    # --- functions

    def call(self, node: Node) -> None:
        """An op that runs functions: each with the exact tensors behind its own."""
        first = 0 if node.op in ops.CALLS | ops.WHILES else 1
        sources = node.inputs[first:]
        twins = [self.exact(source) for source in sources]
        arguments = tuple(None if twin is None else twin[1] for twin in twins)
        both = [*node.inputs, *(twin[0] for twin in twins if twin is not None)]
        types = [DType(self.type_of(source)) for source in sources]
        behind = [DType(number) for number in arguments if number is not None]
        attrs = {name: value for name, value in node.attrs.items() if not name.startswith("_")}
        name = f"{PREFIX}{node.name}"
        if node.op in ops.WHILES:
            attrs |= self.loop(node, types, arguments)
            shapes = listed(attrs.get("output_shapes"))
            if shapes:
                extra = [shape for shape, number in zip(shapes, arguments, strict=True) if number is not None]
                attrs["output_shapes"] = (*shapes, *extra)
            self.emitter.add(name, node.op, both, {**attrs, "T": (*types, *behind)})
            self.results(node, arguments, len(sources))
            return
        functions, results = self.branches(node, types, arguments)
        if not any(results):
            return
        shapes = listed(attrs.get("output_shapes"))
        if shapes:
            attrs["output_shapes"] = tuple(
                shape for shape, number in zip(shapes, results, strict=True) if number is not None
            )
        gives = tuple(DType(number) for number in results if number is not None)
        self.emitter.add(name, node.op, both, {**attrs, **functions, "Tin": (*types, *behind), "Tout": gives})
        self.results(node, results, 0)

    def loop(self, node: Node, plain: Sequence[DType], arguments: tuple[int | None, ...]) -> dict[str, Attr]:
        """The functions of a loop, which hands on what it was given."""
        body, test = node.attrs.get("body"), node.attrs.get("cond")
        if not isinstance(body, Function) or not isinstance(test, Function):
            raise Unwidened(f"{node.op} ({node.name}) names no functions")
        turn, results = self.work.function(body, plain, arguments, results="both")
        if results != arguments:
            raise Unwidened(f"the loop {node.name} hands on other types than it was given")
        asked, _ = self.work.function(test, plain, arguments, results="plain")
        return {"body": turn, "cond": asked}

    def branches(
        self, node: Node, plain: Sequence[DType], arguments: tuple[int | None, ...]
    ) -> tuple[dict[str, Attr], tuple[int | None, ...]]:
        """The functions of a call or a conditional, and the types of what they give in float64."""
        found: dict[str, Attr] = {}
        given: set[tuple[int | None, ...]] = set()
        for name in ops.function_attributes(node.op):
            value = node.attrs.get(name)
            made = []
            for each in listed(value) or (value,):
                if not isinstance(each, Function):
                    raise Unwidened(f"{node.op} ({node.name}) names no function")
                function, results = self.work.function(each, plain, arguments, results="exact")
                made.append(function)
                given.add(results)
            found[name] = made[0] if listed(value) is None else tuple(made)
        if len(given) != 1:
            raise Unwidened(f"the branches of {node.name} give different types in float64")
        return found, given.pop()

    def results(self, node: Node, types: Iterable[int | None], first: int) -> None:
        port = first
        for place, number in enumerate(types):
            if number is not None:
                self.twins[TensorName(node.name, place)] = TensorName(f"{PREFIX}{node.name}", port), number
                port += 1

    def as_function(
        self,
        name: str,
        arguments: Mapping[TensorName, DType],
        returns: Sequence[TensorName],
        given: tuple[int | None, ...],
        results: str,
    ) -> tuple[WidenedFunction, tuple[int | None, ...]]:
        """These nodes as a function that takes ``given`` behind its arguments; see :meth:`_Work.function`."""
        if len(given) != len(arguments) or any(each.port for each in arguments):
            raise Unwidened(f"function {self.function} takes a list")
        taken = {argument.node: kind for argument, kind in arguments.items()}
        for argument, number in zip(arguments, given, strict=True):
            if number is not None:
                behind = f"{argument.node}_exact"
                taken[behind] = DType(number)
                self.twins[argument] = TensorName(behind, 0), number
        self.add_all()
        twins = [] if results == "plain" else [self.exact(each) for each in returns]
        wanted = [] if results == "exact" else [(each, self.type_of(each)) for each in returns]
        wanted += [twin for twin in twins if twin is not None]
        nodes = {**self.whole, **self.emitter.nodes}
        body = FunctionBody(
            name=name,
            arguments=tuple(taken),
            results=tuple(f"result_{place}" for place in range(len(wanted))),
            nodes=tuple(self.function_nodes(nodes, [each for each, _ in wanted], taken)),
            returns={
                f"result_{place}": self.read(nodes, each, taken) for place, (each, _) in enumerate(wanted)
            },
            stateful=any(
                (known := ops.registered(node.op)) is not None and known.stateful for node in nodes.values()
            ),
            types=taken,
        )
        made = WidenedFunction(body=body, results=tuple(number for _, number in wanted))
        return made, tuple(None if twin is None else twin[1] for twin in twins)

    def function_nodes(
        self, nodes: Mapping[str, Node], wanted: Sequence[TensorName], taken: Collection[str]
    ) -> Iterable[FunctionNode]:
        live = _ordered(nodes, wanted)
        for node in live.values():
            if node.op != ARGUMENT and node.name not in taken:
                yield FunctionNode(
                    name=node.name,
                    op=node.op,
                    inputs=tuple(self.read(nodes, source, taken) for source in node.inputs),
                    controls=tuple(
                        each for each in node.controls if each in live and live[each].op != ARGUMENT
                    ),
                    attrs=node.attrs,
                )

    def read(self, nodes: Mapping[str, Node], source: TensorName, taken: Collection[str]) -> FunctionInput:
        """How a node of a function names a tensor."""
        if source.node in taken:
            return FunctionInput(source.node, "", 0, indexed=False)
        node = nodes.get(source.node)
        if node is not None and (known := ops.registered(node.op)) is not None:
            for output, _ in known.outputs:
                found = ops.ports(node.op, output, node.attrs)
                if found is not None and source.port in found:
                    return FunctionInput(source.node, output, source.port - found.start)
        raise Unwidened(f"{source} of function {self.function} is not known")


def _value_op(op: str, attrs: Mapping[str, Attr]) -> tuple[str, Mapping[str, Attr]]:
    """The op that does to a value what ``op`` does to a reference; nothing is printed or checked twice."""
    if op in ops.PASS_THROUGH:
        kind = attrs.get("T", attrs.get("dtype"))
        return "Identity", {"T": kind}
    return (op.removeprefix("Ref"), attrs) if op in ops.CARRIERS else (op, attrs)


def _wide_attrs(
    told: Signature, attrs: Mapping[str, Attr], inputs: Sequence[_Twin | None]
) -> dict[str, Attr]:
    """The attributes with the types of what the node is given, and float64 for the floats that it gives."""
    wide = dict(attrs)
    place = 0
    for argument in told.inputs:
        count = _count(argument, attrs)
        here = inputs[place : place + count]
        place += count
        if argument.types_attr:
            before = listed(attrs.get(argument.types_attr)) or ()
            wide[argument.types_attr] = tuple(
                kind if twin is None else DType(twin[1]) for kind, twin in zip(before, here, strict=True)
            )
        elif argument.type_attr and here and here[0] is not None:
            wide[argument.type_attr] = DType(here[0][1])
    of_inputs = {argument.type_attr or argument.types_attr for argument in told.inputs}
    for name, definition in told.attrs.items():
        if name not in of_inputs and definition.kind in ("type", "list(type)"):
            wide[name] = _wide(attrs.get(name))
    return wide


def _count(argument: Argument, attrs: Mapping[str, Attr]) -> int:
    if argument.types_attr:
        return len(listed(attrs.get(argument.types_attr)) or ())
    count = attrs.get(argument.number_attr) if argument.number_attr else 1
    return count if isinstance(count, int) else 0


def _wide(value: Attr) -> Attr:
    several = listed(value)
    if several is not None:
        return tuple(map(_wide, several))
    return DType(WIDE.get(value.number, value.number)) if isinstance(value, DType) else value


def _all_wide(op: str, attrs: Mapping[str, Attr]) -> bool:
    """Whether ``op`` neither takes nor gives a float32 with these types."""
    found = types_of(op, attrs)
    return found is not None and FLOAT not in {number for numbers in found for number in numbers}


def _types(attrs: Mapping[str, Attr]) -> dict[str, int]:
    return {name: value.number for name, value in attrs.items() if isinstance(value, DType)}


def _allowed(told: Signature, attrs: Mapping[str, Attr]) -> bool:
    """Whether the op may have these types at all."""
    for name, value in attrs.items():
        definition = told.attrs.get(name)
        if definition is None or definition.allowed is None:
            continue
        for each in listed(value) or (value,):
            if isinstance(each, DType) and each.number not in definition.allowed:
                return False
    return True
