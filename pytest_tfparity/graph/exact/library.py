"""Ops that run functions, in float64: each function takes and gives the exact tensors behind its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .. import ops
from ..function_body import Body, body_of
from ..graph import Attr, DType, Function, FunctionBody, FunctionInput, FunctionNode, Node, TensorName, listed
from .emit import PREFIX
from .order import needed_by
from .scope import Island, Kernels, Scope, Twin, Unwidened

Types: TypeAlias = "tuple[int | None, ...]"
"""The types of exact tensors, None for one that there is none of."""
Results: TypeAlias = Literal["exact", "both", "plain"]
"""What a function gives: its results in float64, its own before these, or its own alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidenedFunction:
    """A function with the types of its results, in order; those of its arguments stand in ``body.types``.

    ``exact`` are the types of its exact results, by the place of the plain ones.
    """

    body: FunctionBody
    results: tuple[int, ...]
    exact: Types


@dataclass(slots=True, kw_only=True)
class Library:
    """The functions of a graph, those in float64 made as they are called. ``islands`` are added to."""

    functions: Mapping[str, FunctionBody]
    kernels: Kernels
    refused: frozenset[str]
    islands: list[Island]
    made: dict[object, WidenedFunction] = field(default_factory=dict)
    _under_way: set[str] = field(default_factory=set)

    def widen(self, scope: Scope) -> None:
        """Every node of ``scope`` in float64 that has something to compute in it. Raises :class:`.scope.Unwidened`."""
        for node in scope.nodes.values():
            if node.op in ops.WHILES:
                self._loop(scope, node)
            elif node.op in ops.CALLS | ops.FUNCTIONAL:
                self._call(scope, node)
            else:
                scope.add(node)
            scope.done.add(node.name)
        scope.check_loops()

    def _loop(self, scope: Scope, node: Node) -> None:
        """A functional loop with the exact tensors behind its own: both are counted by the plain ones."""
        plain, twins = _arguments(scope, node.inputs)
        exact = _types(twins)
        turn = self._function(node, node.attrs.get("body"), plain, exact, "both")
        if turn.exact != exact:
            raise Unwidened(f"the loop {node.name} hands on other types than it was given")
        test = self._function(node, node.attrs.get("cond"), plain, exact, "plain")
        attrs = _stated(node)
        shapes = listed(attrs.get("output_shapes"))
        if shapes:
            attrs["output_shapes"] = (*shapes, *_kept(shapes, exact))
        attrs |= {
            "body": Function(turn.body.name, {}),
            "cond": Function(test.body.name, {}),
            "T": (*plain, *_kept(map(_dtype, exact), exact)),
        }
        scope.emitter.add(f"{PREFIX}{node.name}", node.op, [*node.inputs, *_tensors(twins)], attrs)
        _answer(scope, node, exact, len(plain))

    def _call(self, scope: Scope, node: Node) -> None:
        """A call or a functional conditional, which gives the exact results alone."""
        sources = node.inputs if node.op in ops.CALLS else node.inputs[1:]
        plain, twins = _arguments(scope, sources)
        functions: dict[str, Attr] = {}
        given: set[Types] = set()
        for name in ops.function_attributes(node.op):
            value = node.attrs.get(name)
            made = [
                self._function(node, each, plain, _types(twins), "exact")
                for each in listed(value) or (value,)
            ]
            given |= {each.exact for each in made}
            named = tuple(Function(each.body.name, {}) for each in made)
            functions[name] = named[0] if listed(value) is None else named
        if len(given) != 1:
            raise Unwidened(f"the branches of {node.name} give different types in float64")
        exact = given.pop()
        if not any(exact):
            return
        attrs = {**_stated(node), **functions}
        shapes = listed(attrs.get("output_shapes"))
        if shapes:
            attrs["output_shapes"] = _kept(shapes, exact)
        attrs["Tin"] = (*plain, *_kept(map(_dtype, _types(twins)), _types(twins)))
        attrs["Tout"] = _kept(map(_dtype, exact), exact)
        scope.emitter.add(f"{PREFIX}{node.name}", node.op, [*node.inputs, *_tensors(twins)], attrs)
        _answer(scope, node, exact, 0)

    def _function(
        self, node: Node, called: Attr, plain: Sequence[DType], exact: Types, results: Results
    ) -> WidenedFunction:
        """The function ``called`` by ``node`` with arguments of type ``plain`` and, behind them, ``exact``."""
        if not isinstance(called, Function):
            raise Unwidened(f"{node.op} ({node.name}) names no function")
        key = (called.name, repr(sorted(called.attrs.items())), tuple(plain), exact, results)
        if key not in self.made:
            function = self.functions.get(called.name)
            if function is None or called.name in self._under_way:
                raise Unwidened(f"function {called.name} is missing or calls itself")
            self._under_way.add(called.name)
            body = body_of(self.functions, function, called.attrs)
            if body.unknown:
                raise Unwidened(f"of function {called.name} {body.unknown[0]}")
            name = f"tfparity_exact_{called.name}_{len(self.made)}_{len(self._under_way)}"
            self.made[key] = self._widened(body, name, plain, exact, results)
            self._under_way.discard(called.name)
        return self.made[key]

    def _widened(
        self, body: Body, name: str, plain: Sequence[DType], exact: Types, results: Results
    ) -> WidenedFunction:
        if len(plain) != len(body.arguments) or any(each.port for each in body.arguments):
            raise Unwidened(f"function {body.name} takes a list")
        scope = Scope(
            nodes=needed_by(body.returns, body.nodes),
            whole=body.nodes,
            kernels=self.kernels,
            islands=self.islands,
            refused=self.refused,
            function=body.name,
        )
        taken = {argument.node: kind for argument, kind in zip(body.arguments, plain, strict=True)}
        for argument, number in zip(body.arguments, exact, strict=True):
            if number is not None:
                behind = f"{argument.node}_exact"
                taken[behind] = DType(number)
                scope.twins[argument] = TensorName(behind, 0), number
        self.widen(scope)
        twins = [] if results == "plain" else [scope.exact(each) for each in body.returns]
        wanted = [] if results == "exact" else [(each, scope.type_of(each)) for each in body.returns]
        wanted += [twin for twin in twins if twin is not None]
        return WidenedFunction(
            body=_written(scope, name, taken, [tensor for tensor, _ in wanted]),
            results=tuple(number for _, number in wanted),
            exact=_types(twins),
        )


def _written(
    scope: Scope, name: str, taken: Mapping[str, DType], wanted: Sequence[TensorName]
) -> FunctionBody:
    """The nodes of a scope that ``wanted`` needs, as a function that takes ``taken``."""
    nodes = {**scope.whole, **scope.emitter.nodes}
    live = needed_by(wanted, nodes)
    reader = _Reader(scope=scope, nodes=nodes, taken=taken)
    results = {f"result_{place}": reader.read(tensor) for place, tensor in enumerate(wanted)}
    known = [ops.registered(node.op) for node in live.values()]
    return FunctionBody(
        name=name,
        arguments=tuple(taken),
        results=tuple(results),
        nodes=tuple(reader.nodes_of(live)),
        returns=results,
        stateful=any(each is not None and each.stateful for each in known),
        types=taken,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """How the nodes of a function name what they read."""

    scope: Scope
    nodes: Mapping[str, Node]
    taken: Collection[str]

    def nodes_of(self, live: Mapping[str, Node]) -> Iterator[FunctionNode]:
        """The nodes as a FunctionDef has them, without the arguments."""
        for node in live.values():
            if node.op == ops.ARGUMENT:
                continue
            waits = (each for each in node.controls if each in live and live[each].op != ops.ARGUMENT)
            yield FunctionNode(
                name=node.name,
                op=node.op,
                inputs=tuple(map(self.read, node.inputs)),
                controls=tuple(waits),
                attrs=node.attrs,
            )

    def read(self, source: TensorName) -> FunctionInput:
        """A tensor as a FunctionDef names it. Raises :class:`.scope.Unwidened`."""
        if source.node in self.taken:
            return FunctionInput(source.node, "", 0, indexed=False)
        node = self.nodes.get(source.node)
        known = None if node is None else ops.registered(node.op)
        if node is not None and known is not None:
            for output, _ in known.outputs:
                found = ops.ports(node.op, output, node.attrs)
                if found is not None and source.port in found:
                    return FunctionInput(source.node, output, source.port - found.start)
        raise Unwidened(f"{source} of function {self.scope.function} is not known")


def _arguments(scope: Scope, sources: Sequence[TensorName]) -> tuple[list[DType], list[Twin | None]]:
    return [DType(scope.type_of(source)) for source in sources], [scope.exact(source) for source in sources]


def _types(twins: Iterable[Twin | None]) -> Types:
    return tuple(None if twin is None else twin[1] for twin in twins)


def _tensors(twins: Iterable[Twin | None]) -> list[TensorName]:
    return [twin[0] for twin in twins if twin is not None]


def _dtype(number: int | None) -> Attr:
    return None if number is None else DType(number)


def _kept(values: Iterable[Attr], exact: Types) -> tuple[Attr, ...]:
    """Those of ``values`` that there is an exact tensor for."""
    return tuple(value for value, number in zip(values, exact, strict=True) if number is not None)


def _stated(node: Node) -> dict[str, Attr]:
    return {name: value for name, value in node.attrs.items() if not name.startswith("_")}


def _answer(scope: Scope, node: Node, exact: Types, first: int) -> None:
    """What stands for the outputs of ``node``: those of its copy from port ``first`` on."""
    port = first
    for place, number in enumerate(exact):
        if number is not None:
            scope.twins[TensorName(node.name, place)] = TensorName(f"{PREFIX}{node.name}", port), number
            port += 1
