"""A graph as plain data: nodes, their inputs and attributes, light enough for 100,000 nodes.

Words as in TensorFlow's ``graph.proto`` and ``attr_value.proto``
(https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/framework).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.generic]
_Found = TypeVar("_Found")
_UNKNOWN = object()
_NO_ATTRS: Mapping[str, Attr] = MappingProxyType({})


class TensorName(NamedTuple):
    """Output ``port`` of node ``node``; printed as ``node:port``."""

    node: str
    port: int

    def __str__(self) -> str:
        return f"{self.node}:{self.port}"


def tensor_name(text: str) -> TensorName:
    """``"a/b:1"`` as ``TensorName("a/b", 1)``; ``"a/b"`` is output 0, as everywhere in TensorFlow."""
    node, colon, port = text.rpartition(":")
    if colon and port.isdigit():
        return TensorName(node, int(port))
    return TensorName(text, 0)


class DType(NamedTuple):
    """A value of ``tensorflow.DataType``, kept apart from plain integers."""

    number: int


class Shape(NamedTuple):
    """A partly known shape: -1 for an unknown dimension, ``dims=None`` for an unknown rank."""

    dims: tuple[int, ...] | None


class Function(NamedTuple):
    """An attribute that names a function of the library, with its own attributes."""

    name: str
    attrs: Mapping[str, Attr]


class AttrReference(NamedTuple):
    """In a function's body: the value that the caller gives to the function's attribute ``name``."""

    name: str


class Tensor(NamedTuple):
    """A constant. Large contents are read-only views of the mapped file, decoded when asked for.

    ``load`` returns the value: shape ``shape``, numpy dtype of ``dtype``, an object array of
    ``bytes`` for strings. ``written`` is a small one as it stands in its file, a TensorProto: where that is the
    same, so is the constant.
    """

    dtype: DType
    shape: tuple[int, ...]
    load: Callable[[], Array]
    written: bytes | None = None

    @property
    def array(self) -> Array:
        """The value, read-only."""
        return self.load()


Attr: TypeAlias = (
    bool | int | float | bytes | DType | Shape | Tensor | Function | AttrReference | tuple["Attr", ...] | None
)


def listed(value: Attr) -> tuple[Attr, ...] | None:
    """The elements of an attribute that is a list; None for any other."""
    if isinstance(value, tuple) and not isinstance(value, (DType, Shape, Tensor, Function, AttrReference)):
        return value
    return None


class SharedAttrs(dict[str, Attr]):
    """Attributes that hold no constant and name no function; they must not be changed.

    Equal ones, which a reader makes one object, are those of hundreds of nodes in each of hundreds of models.
    ``known`` is what :func:`once` remembers.
    """

    __slots__ = ("known",)

    def __init__(self, attrs: Mapping[str, Attr]) -> None:
        super().__init__(attrs)
        self.known: dict[tuple[object, str], Any] = {}


def once(
    find: Callable[[str, Mapping[str, Attr]], _Found],
) -> Callable[[str, Mapping[str, Attr]], _Found]:
    """``find(op, attrs)``, which nothing else decides, found once for each op with the same shared attributes."""

    def found(op: str, attrs: Mapping[str, Attr]) -> _Found:
        if not isinstance(attrs, SharedAttrs):
            return find(op, attrs)
        known = attrs.known.get((find, op), _UNKNOWN)
        if known is _UNKNOWN:
            known = attrs.known[find, op] = find(op, attrs)
        answer: _Found = known
        return answer

    found.__doc__ = find.__doc__
    return found


class Node(NamedTuple):
    """One op of a graph. ``inputs`` are data edges in order, ``controls`` names of control inputs.

    Nodes and tensors are made by the 100,000, and a frozen dataclass takes five times as long to make.
    """

    name: str
    op: str
    inputs: tuple[TensorName, ...] = ()
    controls: tuple[str, ...] = ()
    attrs: Mapping[str, Attr] = _NO_ATTRS


@dataclass(frozen=True, slots=True)
class FunctionBody:
    """A function of the library.

    ``nodes`` name their inputs as FunctionDef does, already taken apart: an argument as
    ``(argument, "", 0)``, an output of a node as ``(node, output argument's name, port)``.
    ``returns`` maps each result, in signature order, to such a triple. ``listed_arguments`` and
    ``listed_results`` are those that are several tensors, with the attribute that says how many (a number, or a
    list of types). ``defaults`` are the values of attributes that a call need not give.
    """

    name: str
    arguments: tuple[str, ...]
    results: tuple[str, ...]
    nodes: tuple[FunctionNode, ...]
    returns: Mapping[str, FunctionInput]
    stateful: bool = False
    listed_arguments: Mapping[str, str] = field(default_factory=dict)
    listed_results: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, DType | AttrReference] = field(default_factory=dict)
    defaults: Mapping[str, Attr] = field(default_factory=dict)


class FunctionInput(NamedTuple):
    """What a node of a function body reads; ``output`` is empty for an argument of the function.

    ``indexed`` is false where no port was written: of a list, all tensors are meant.
    """

    node: str
    output: str
    port: int
    indexed: bool = True


@dataclass(frozen=True, slots=True)
class FunctionNode:
    """One op of a function body."""

    name: str
    op: str
    inputs: tuple[FunctionInput, ...]
    controls: tuple[str, ...]
    attrs: Mapping[str, Attr]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name in file order, and the function library.

    ``colocated()`` are the names of nodes beside which others want to be placed, ``devices`` where nodes want
    to run that are placed by themselves, each with the first node that does. ``refusals`` are clauses about the
    rest of the file, why TensorFlow does not import it; ``demands`` such as the TensorFlow decides that is to
    import it.
    """

    nodes: Mapping[str, Node]
    functions: Mapping[str, FunctionBody] = field(default_factory=dict)
    producer: int = 0
    colocated: Callable[[], frozenset[str]] = frozenset
    devices: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()

    def live(self, outputs: Iterable[str], feeds: Iterable[str] = ()) -> dict[str, Node]:
        """The nodes that ``outputs`` (node or tensor names) need, in topological order, inputs first.

        Control inputs are not followed. A node all of whose needed outputs are in ``feeds``
        (tensor names) is kept but its inputs are not followed. Names that are not in the graph
        are skipped. The back edges of while loops (into a Merge from a NextIteration) are
        followed and broken when ordering.
        """
        fed = {tensor_name(feed) for feed in feeds}
        done: dict[str, Node] = {}
        started: set[str] = set()
        for output in outputs:
            stack = [tensor_name(output).node]
            while stack:
                name = stack[-1]
                node = self.nodes.get(name)
                if node is None or name in started:
                    stack.pop()
                    if node is not None and name not in done:
                        done[name] = node
                    continue
                started.add(name)
                stack += [
                    source.node
                    for source in reversed(node.inputs)
                    if source.node not in started and not (fed and source in fed)
                ]
        return done

    def leaves(self, outputs: Iterable[str], feeds: Iterable[str] = ()) -> list[Node]:
        """The nodes without inputs among those that :meth:`live` gives, in its order."""
        fed = {tensor_name(feed) for feed in feeds}
        nodes = self.nodes
        found: list[Node] = []
        seen: set[str] = set()
        stack = [tensor_name(output).node for output in outputs][::-1]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            node = nodes.get(name)
            if node is None:
                continue
            if not node.inputs:
                found.append(node)
            elif fed:
                stack += [source.node for source in reversed(node.inputs) if source not in fed]
            else:
                stack += [source.node for source in reversed(node.inputs)]
        return found

    def consumers(self) -> dict[TensorName, list[tuple[str, int]]]:
        """For each tensor that is read: the nodes that read it and at which input."""
        readers: dict[TensorName, list[tuple[str, int]]] = {}
        for node in self.nodes.values():
            for position, source in enumerate(node.inputs):
                readers.setdefault(source, []).append((node.name, position))
        return readers
