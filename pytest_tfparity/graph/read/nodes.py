"""NodeDef and FunctionDef as nodes: attributes decoded once for all nodes that share them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from sys import intern
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError

from ...errors import ModelError
from ..graph import (
    Attr,
    AttrReference,
    DType,
    Function,
    FunctionBody,
    FunctionInput,
    FunctionNode,
    Node,
    SharedAttrs,
    Tensor,
    TensorName,
    listed,
    tensor_name,
)
from . import messages
from .stated_shapes import StatedShapes
from .tensors import large_tensor, shape_of, small_tensor
from .wire import BYTES, Malformed, fields

LARGE = 4096
"""Bytes from which a node or attribute is walked, so that its tensor stays a view of the file."""

_DROPPED = ("_output_shapes", "_class")
# How the map entry of a dropped attribute begins: field 1 (the key), its length, its text.
_DROPPED_ENTRIES = tuple(b"\n%c%b" % (len(key), key.encode()) for key in _DROPPED)
_CLASS = _DROPPED[1]
_CLASS_ENTRY = _DROPPED_ENTRIES[1]
_SHAPES_ENTRY = _DROPPED_ENTRIES[0]
_VALUE_ENTRY = b"\n\x05value\x12"
_TENSOR = 0x42
"""How an ``AttrValue`` begins that is a tensor: its field 8, of bytes."""
_COLOCATED = "loc:@"
"""How an element of ``_class`` begins that names the node beside which to place one (kColocationGroupPrefix)."""
_HOLD_VALUES = frozenset({"Const", "HostConst"})
_MOST_LEVELS = 93
"""Messages in one another that an attribute may be: protobuf reads 100, of which a node in a function takes 5."""
_LAST_PORT = (1 << 31) - 1
"""The number of an output is an ``int`` (tensorflow/core/graph/tensor_id.h)."""
_MOST_SHARED = 1 << 14
"""Kinds of attributes that are remembered; a large model has some hundreds."""
_Whole: TypeAlias = tuple[Mapping[str, Attr], bytes | None]
"""The attributes of a node, and what stands there as its ``_output_shapes``."""
_LISTED = ("s", "i", "f", "b", "type", "shape", "tensor", "func")


class NodeReader:
    """Makes nodes of serialized NodeDefs; equal inputs and attributes become the same objects.

    The attribute mappings of nodes are shared too: they must not be changed.
    """

    def __init__(self, source: str) -> None:
        self.nodes: dict[str, Node] = {}
        self.devices: dict[str, str] = {}
        self._source = source
        self._inputs: dict[str, TensorName | str] = {}
        self._entries: dict[bytes, tuple[str, Attr]] = {}
        self._attrs: dict[tuple[bytes, ...], Mapping[str, Attr]] = {}
        self._whole: dict[tuple[bytes, ...], _Whole] = {}
        self._dropped: set[bytes] = set()
        self._shapes = StatedShapes()
        self.colocated = partial(_colocated, self._dropped, source)
        """The names of nodes beside which nodes that were added want to be placed. Raises ModelError."""

    def add(self, raw: Any, large: Mapping[str, Attr] | None = None) -> None:
        """Take in a ``RawNodeDef``, with the attributes ``large`` beside its own.

        Raises ModelError if its name or op is empty or its name was there before.
        """
        # A slice of what protobuf repeats is made in half the time of a loop over it.
        name, op, given = raw.name, raw.op, raw.attr[:]
        if not name or not op or name in self.nodes:
            raise self._refusal(name, op)
        if raw.device:
            self._place(name, raw.device, given)
        texts = raw.input[:]
        inputs, controls = self._edges(texts) if texts else ((), ())
        if op in _HOLD_VALUES:
            attrs: Mapping[str, Attr] = self._held(name, given)
        else:
            whole = tuple(given)
            attrs, shapes = self._whole.get(whole) or self._first_met(whole)
            if shapes is not None:
                self._shapes.note(name, shapes)
        if large:
            attrs = {**attrs, **large}
        self.nodes[name] = Node(name, intern(op), inputs, controls, attrs)
        if ":" not in name and name[0] != "^":  # later nodes read it by its name, most of them
            self._inputs[name] = TensorName(name, 0)

    def _place(self, name: str, device: str, given: Iterable[bytes]) -> None:
        """Note where a node wants to run; of one that is placed beside another nobody reads it."""
        if device not in self.devices and not any(entry.startswith(_CLASS_ENTRY) for entry in given):
            self.devices[device] = name

    def _refusal(self, name: str, op: str) -> ModelError:
        """What is wrong with the name or op of the next node."""
        if name and op:
            return ModelError(
                f"{self._source} holds two nodes named {name!r}; TensorFlow refuses such a graph."
                " Export it again."
            )
        return ModelError(
            f"{self._source} is no TensorFlow graph, or it is damaged: node {len(self.nodes) + 1}"
            f" ({name or op or 'nameless'!r}) has no {'op' if name else 'name'}."
        )

    def _first_met(self, given: tuple[bytes, ...]) -> _Whole:
        """What serialized map entries are, remembered as they stand in the file."""
        shapes = next((entry for entry in reversed(given) if entry.startswith(_SHAPES_ENTRY)), None)
        found = self._whole[given] = self.attrs(given, self._dropped), shapes
        return found

    def _held(self, name: str, given: Iterable[bytes]) -> dict[str, Attr]:
        """The attributes of the constant ``name``, which are hardly those of another one."""
        attrs: dict[str, Attr] = {}
        for entry in given:
            known = self._entries.get(entry)
            if known is None:
                # The third byte is the first of the key.
                if entry[2:3] == b"_" and entry.startswith(_DROPPED_ENTRIES):
                    self._dropped.add(entry)
                    if entry.startswith(_SHAPES_ENTRY):
                        self._shapes.note(name, entry)
                    continue
                known = self._entry(entry)
            attrs[known[0]] = known[1]
        for key in _DROPPED:
            attrs.pop(key, None)
        return attrs

    def add_large(self, view: memoryview, start: int, end: int) -> None:
        """Take in the NodeDef in ``view[start:end]`` without copying its tensors. Raises Malformed."""
        rest = bytearray()
        large: dict[str, Attr] = {}
        for field in fields(view, start, end):
            if field.number == 5 and field.wire == BYTES and field.end - field.start > LARGE:
                key, value = self._large_attr(view, field.start, field.end)
                if key not in _DROPPED:
                    large[key] = value
            else:
                rest += view[field.begin : field.end]
        self.add(messages.RawNodeDef.FromString(bytes(rest)), large)

    def attrs(self, raw: Iterable[bytes], dropped: set[bytes] | None = None) -> Mapping[str, Attr]:
        """Serialized map entries as attributes by name; those that never matter are put into ``dropped`` instead."""
        given = tuple(raw)
        entries = tuple([entry for entry in given if not entry.startswith(_DROPPED_ENTRIES)])
        if dropped is not None and len(entries) < len(given):
            dropped.update(set(given).difference(entries))
        attrs = self._attrs.get(entries)
        if attrs is None:
            shared = _shared(entries)
            attrs = self._attrs[entries] = self._decoded(entries) if shared is None else shared
        return attrs

    def _decoded(self, entries: Iterable[bytes]) -> dict[str, Attr]:
        attrs = dict(map(self._entry, entries))
        for key in _DROPPED:
            attrs.pop(key, None)
        return attrs

    def wrong_shapes(self) -> Iterator[str]:
        """A clause for each node that TensorFlow refuses because shapes do not fit, as far as shapes are stated."""
        return self._shapes.misfits(self.nodes)

    def default(self, raw: Any) -> Attr:
        """The default of a function's attribute, an ``AttrValue``."""
        entry = messages.RawAttrEntry()
        entry.value.ParseFromString(raw.SerializeToString())
        return self._value(entry.value)

    def _edges(self, raw: Iterable[str]) -> tuple[tuple[TensorName, ...], tuple[str, ...]]:
        edges = [self._inputs.get(text) or self._edge(text) for text in raw]
        inputs = tuple([edge for edge in edges if isinstance(edge, TensorName)])
        if len(inputs) == len(edges):
            return inputs, ()
        return inputs, tuple([edge for edge in edges if not isinstance(edge, TensorName)])

    def _edge(self, text: str) -> TensorName | str:
        if text.startswith("^"):
            edge: TensorName | str = intern(text[1:])
        else:
            source = tensor_name(text)
            if source.port > _LAST_PORT:  # a crash of TensorFlow's importer
                raise ModelError(f"{self._source} is damaged: a node reads {text!r}. Write or copy it again.")
            node = self._inputs.get(source.node)
            edge = TensorName(node.node if isinstance(node, TensorName) else source.node, source.port)
        self._inputs[text] = edge
        return edge

    def _entry(self, entry: bytes) -> tuple[str, Attr]:
        known = self._entries.get(entry)
        if known is None:
            known = self._tensor(entry) or self._any(messages.RawAttrEntry.FromString(entry))
            self._entries[entry] = known
        return known

    def _tensor(self, entry: bytes) -> tuple[str, Tensor] | None:
        """The attribute ``value`` as most constants have it: lengths of one byte, and a tensor in field 8."""
        size = len(entry)
        if (
            11 < size < 137
            and entry.startswith(_VALUE_ENTRY)
            and entry[8] == size - 9
            and entry[9] == _TENSOR
            and entry[10] == size - 11
        ):
            return "value", small_tensor(entry[11:], self._source)
        return None

    def _any(self, raw: Any) -> tuple[str, Attr]:
        value = self._value(raw.value)
        if _levels(value) > _MOST_LEVELS:
            raise Malformed(f"attribute {raw.key!r} is nested deeper than TensorFlow reads")
        return intern(raw.key), value

    def _value(self, raw: Any) -> Attr:
        kind = raw.WhichOneof("value")
        if kind == "list":
            values = (self._single(name, value) for name in _LISTED for value in getattr(raw.list, name))
            return tuple(values)
        return None if kind is None else self._single(kind, getattr(raw, kind))

    def _single(self, kind: str, value: Any) -> Attr:
        if kind == "type":
            return DType(value)
        if kind == "shape":
            return shape_of(value)
        if kind == "tensor":
            return small_tensor(value, self._source)
        if kind == "func":
            return Function(value.name, self.attrs(value.attr))
        if kind == "placeholder":
            return AttrReference(value)
        plain: bool | int | float | bytes = value
        return plain

    def _large_attr(self, view: memoryview, start: int, end: int) -> tuple[str, Attr]:
        rest = bytearray()
        for entry in fields(view, start, end):
            if entry.number != 2 or entry.wire != BYTES:
                rest += view[entry.begin : entry.end]
                continue
            parts = list(fields(view, entry.start, entry.end))
            if len(parts) != 1 or parts[0].number != 8 or parts[0].wire != BYTES:
                raw = messages.RawAttrEntry.FromString(bytes(view[start:end]))
                return raw.key, self._value(raw.value)
            tensor = large_tensor(view, parts[0].start, parts[0].end, self._source)
        return messages.RawAttrEntry.FromString(bytes(rest)).key, tensor


@lru_cache(maxsize=_MOST_SHARED)
def _shared(entries: tuple[bytes, ...]) -> SharedAttrs | None:
    """The attributes that serialized map entries are; None if they hold what is only of this file."""
    attrs = NodeReader("")._decoded(entries)
    of_file = (
        isinstance(each, Tensor | Function) for value in attrs.values() for each in listed(value) or (value,)
    )
    return None if any(of_file) else SharedAttrs(attrs)


def _levels(value: Attr) -> int:
    """How many messages an attribute's value is, one in the other, as far as it names functions."""
    if isinstance(value, Function):  # itself, an entry of its attributes, the value of that
        return 3 + max(map(_levels, value.attrs.values()), default=0)
    return 1 + max(map(_levels, elements), default=0) if (elements := listed(value)) else 0


def _colocated(dropped: Iterable[bytes], source: str) -> frozenset[str]:
    """The nodes that attributes ``_class`` among those ``dropped`` name as those beside which to place a node."""
    try:
        entries = [messages.RawAttrEntry.FromString(entry) for entry in dropped]
        values = [entry.value for entry in entries if entry.key == _CLASS]
        if not all(map(_is_texts, values)):  # which Python's importer walks over
            raise DecodeError
        texts = [text.decode() for value in values for text in value.list.s]
    except (DecodeError, UnicodeDecodeError):
        raise ModelError(
            f"{source} is damaged: what a node has as {' or '.join(_DROPPED)} is none. Copy it again."
        ) from None
    return frozenset(text.removeprefix(_COLOCATED) for text in texts if text.startswith(_COLOCATED))


def _is_texts(value: Any) -> bool:
    """Whether an attribute is a list of strings and nothing else, or nothing."""
    kind = value.WhichOneof("value")
    if kind == "list":
        return not any(getattr(value.list, other) for other in _LISTED if other != "s")
    return kind is None or (kind == "s" and not value.s)


def read_function(raw: Any, reader: NodeReader) -> FunctionBody:
    """A ``RawFunctionDef`` as a function body. Raises ModelError if a node has no name or op."""
    signature = raw.signature
    return FunctionBody(
        name=signature.name,
        arguments=tuple(arg.name for arg in signature.input_arg),
        results=tuple(arg.name for arg in signature.output_arg),
        nodes=tuple(_function_node(node, reader) for node in raw.node_def),
        returns={arg.name: _function_input(raw.ret[arg.name]) for arg in signature.output_arg},
        stateful=signature.is_stateful,
        listed_arguments=_lists(signature.input_arg),
        listed_results=_lists(signature.output_arg),
        types={
            arg.name: AttrReference(arg.type_attr) if arg.type_attr else DType(arg.type)
            for arg in signature.input_arg
            if not (arg.number_attr or arg.type_list_attr)
        },
        defaults={
            attr.name: reader.default(attr.default_value)
            for attr in signature.attr
            if attr.HasField("default_value")
        },
    )


def _lists(arguments: Iterable[Any]) -> dict[str, str]:
    """Which arguments are lists of tensors, with the attribute that says how many there are."""
    return {
        arg.name: arg.number_attr or arg.type_list_attr
        for arg in arguments
        if arg.number_attr or arg.type_list_attr
    }


def _function_node(raw: Any, reader: NodeReader) -> FunctionNode:
    return FunctionNode(
        name=raw.name,
        op=intern(raw.op),
        inputs=tuple(_function_input(text) for text in raw.input if not text.startswith("^")),
        controls=tuple(text[1:] for text in raw.input if text.startswith("^")),
        attrs=reader.attrs(raw.attr),
    )


def _function_input(text: str) -> FunctionInput:
    """``"node:output:1"``, or the name of an argument, taken apart."""
    node, *parts = text.split(":")
    indexed = bool(parts) and parts[-1].isdecimal()
    port = int(parts.pop()) if indexed else 0
    return FunctionInput(node, parts[0] if parts else "", port, indexed)
