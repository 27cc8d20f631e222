"""Which variables a node may change: what its references can refer to, however they were handed on.

A reference is followed through any op: TensorFlow's registry says which tensors can hold one (a reference type,
a resource, a variant that wraps one, a type that is not known), and an op can only hand on what it was given.
What is kept somewhere in between, in a stack, a staging area or an iterator, is not followed: then it may be any.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from . import ops
from .graph import Attr, FunctionBody, FunctionNode, Node, TensorName
from .loops import Lookup
from .signatures import ANY, REFERENCE, signature, types_of
from .variables import Storage, storage_of

_HOLDERS = frozenset({ANY, 20, 21})
"""Types of tensors that can hold a resource: one that is not known, DT_RESOURCE, DT_VARIANT (types.proto)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A node that may change variables: ``storages``, or, where ``anything`` is true, any there is.

    ``in_place``: it may change the memory of a tensor.
    """

    node: Node
    storages: frozenset[Storage]
    anything: bool = False
    in_place: bool = False

    def changes(self, storage: Storage) -> bool:
        """Whether it may change the variable ``storage``."""
        return self.anything or storage in self.storages


class _Effects(NamedTuple):
    """What the functions that a node runs do: ``writes`` anything, change a tensor ``in_place``.

    ``storages`` are the variables that they name themselves.
    """

    writes: bool
    in_place: bool
    storages: frozenset[Storage]


_NO_EFFECTS = _Effects(False, False, frozenset())


class References:
    """The references of one graph. ``calls`` are tensors that stand for those of a call, ``fed`` what is fed."""

    def __init__(
        self,
        node: Lookup,
        functions: Mapping[str, FunctionBody],
        calls: Mapping[str, Sequence[TensorName]] | None = None,
        fed: Container[TensorName] = frozenset(),
    ) -> None:
        self._node = node
        self._functions = functions
        self._calls = calls if calls is not None else {}
        self._fed = fed
        self._known: dict[tuple[str, ...], _Effects] = {}

    def may_write(self, node: Node | FunctionNode) -> bool:
        """Whether running ``node`` may change a variable, by itself or in a function that it runs."""
        if may_change(node.op) and node.op not in self._functions:
            return True
        return bool(self._functions) and (self._effects(node).writes or self._pulls(node))

    def writer(self, node: Node) -> Writer | None:
        """What ``node`` may change; None if that is nothing."""
        if not self.may_write(node):
            return None
        effects = self._effects(node)
        sources = node.inputs[:1] if ops.writes_first_input(node.op) else node.inputs
        found = self._roots(sources)
        anything = found is None or ops.calls_python(node.op) or self._pulls(node)
        return Writer(
            node=node,
            storages=(found or frozenset()) | effects.storages,
            anything=anything,
            in_place=effects.in_place or node.op in ops.IN_PLACE,
        )

    def storages(self, sources: Iterable[TensorName]) -> frozenset[Storage]:
        """The variables that tensors are known to refer to."""
        return self._roots(sources) or frozenset()

    def _pulls(self, node: Node | FunctionNode) -> bool:
        """Whether ``node`` runs a data pipeline, whose functions write."""
        return ops.reads_data(node.op) and self._reached(tuple(self._functions)).writes

    def _effects(self, node: Node | FunctionNode) -> _Effects:
        if not self._functions:
            return _NO_EFFECTS
        named = tuple(dict.fromkeys(_named(node.op, node.attrs, self._functions)))
        return self._reached(named) if named else _NO_EFFECTS

    def _reached(self, names: tuple[str, ...]) -> _Effects:
        """What the functions ``names`` and all that they call do."""
        if names not in self._known:
            inner: list[FunctionNode] = []
            seen, stack = set(names), list(names)
            while stack:
                nodes = self._functions[stack.pop()].nodes
                inner += nodes
                called = {
                    name for node in nodes for name in _named(node.op, node.attrs, self._functions)
                } - seen
                seen |= called
                stack += called
            self._known[names] = _Effects(
                writes=any(node.op not in self._functions and may_change(node.op) for node in inner),
                in_place=any(node.op in ops.IN_PLACE for node in inner),
                storages=frozenset(storage_of(node) for node in inner if node.op in ops.VARIABLES),
            )
        return self._known[names]

    def _roots(self, sources: Iterable[TensorName]) -> frozenset[Storage] | None:
        """The variables that ``sources`` can refer to; None if that may be any."""
        found: set[Storage] = set()
        stack = list(sources)
        seen = set(stack)
        while stack:
            tensor = stack.pop()
            node = self._node(tensor.node)
            if node is not None and node.op in ops.VARIABLES and tensor not in self._fed:
                found.add(storage_of(node))
                continue
            if node is None or not self._may_refer(node, tensor):
                continue
            if tensor in self._fed:
                return None
            onward: Sequence[TensorName] = self._calls.get(node.name, ())[tensor.port : tensor.port + 1]
            if not onward:
                if _keeps(node.op):
                    return None
                found |= self._effects(node).storages
                onward = node.inputs
            stack.extend(source for source in onward if source not in seen)
            seen.update(onward)
        return frozenset(found)

    def _may_refer(self, node: Node, tensor: TensorName) -> bool:
        types = None if node.op in self._functions else types_of(node.op, node.attrs)
        if types is None or tensor.port >= len(types[1]):
            return True
        given = types[1][tensor.port]
        return given in _HOLDERS or given > REFERENCE


@cache
def may_change(op: str) -> bool:
    """Whether an op by itself may change what it is given a reference to; so may one that is not known."""
    is_unknown = ops.registered(op) is None and op != ops.ARGUMENT
    return is_unknown or ops.may_write(op) or ops.calls_python(op) or op in ops.IN_PLACE


_HANDS_ON = ops.CARRIERS | ops.CALLS | ops.FUNCTIONAL | ops.VARIABLES | {"For", "RemoteCall", "Assign"}
"""Ops with state of which nothing but their inputs, or what their functions name, comes out."""


def _keeps(op: str) -> bool:
    """Whether ``op`` may give a reference that it was not given now: one kept in a stack, a queue, a feed."""
    if op in ops.PLACEHOLDERS or op == ops.ARGUMENT:
        return True
    told, known = signature(op), ops.registered(op)
    if told is None or known is None:
        return False
    if not known.stateful or op in _HANDS_ON:
        return False
    return any(each.types_attr or (each.type_attr and not each.reference) for each in told.outputs)


def _named(op: str, attrs: Mapping[str, Attr], functions: Container[str]) -> Iterator[str]:
    """The functions of the library that a node of ``op`` names, and those that attributes of these name."""
    from .function_body import named_functions  # late: most graphs have none

    for function in named_functions(op, attrs, functions):
        if function.name in functions:
            yield function.name
        if function.attrs is not attrs:
            yield from _named("", function.attrs, functions)
