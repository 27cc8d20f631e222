"""GraphDef and MetaGraphDef files as plain graphs, read without TensorFlow.

Large constants are views of the mapped file. The attributes ``_output_shapes`` and ``_class``
are left out: the first is a remark of shape inference, the second a wish for a device; what a
graph computes never depends on them. Formats: ``graph.proto``, ``node_def.proto``,
``attr_value.proto``, ``function.proto`` of tensorflow/core/framework and ``meta_graph.proto`` of
tensorflow/core/protobuf.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from ...errors import ModelError, UnreadableFile
from ..graph import FunctionBody, Graph
from ..signatures import REFERENCE, signature, types_of
from . import messages
from .file_kind import FileKind, kind_of
from .mapped import foreign_format, is_lfs_pointer, is_text, looked_through, mapped
from .nodes import LARGE, NodeReader, read_function
from .tensors import STRING
from .wire import BYTES, Malformed, fields, run_end

_Read = TypeVar("_Read")
_CHUNK = 1 << 20
"""Bytes of small nodes that protobuf parses at once. Measured on 100,000 nodes: the time is the same from 16 KiB to
64 MiB, and all in one piece takes 27 MiB more memory."""
_NODE = 0x0A
"""How a node begins: field 1 of a GraphDef, of bytes."""
_KNOWN_TO_ALL = 1000
"""Every TensorFlow that is supported is of a later version of the format (2.12 is of 2023, 1087 of 2022)."""
_COLLECTIONS = (
    "variables",
    "local_variables",
    "model_variables",
    "trainable_variables",
    "moving_average_variables",
)
_ADVICE = {
    FileKind.GRAPH: "it is a .meta file that is needed, as `tf.compat.v1.train.Saver.save` writes it",
    FileKind.META_GRAPH: "a frozen graph is needed: freeze it, or give it as `meta` of the reference",
    FileKind.SAVED_MODEL: "freeze it first, or convert it to a frozen graph",
    FileKind.ONNX: "give the TensorFlow graph that it was made from",
    FileKind.TABLE: "give it as the checkpoint",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saver:
    """How a graph restores its variables: by the op ``restore_op``. ``source`` names the file that says so."""

    restore_op: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of the collections. ``name`` is its node; a part of a partitioned variable also has the
    ``full_name`` of the whole and its place in it, ``slice``, spelt as ``RestoreV2`` spells it
    (``"10 4 0,5:0,4"``: the whole's shape, then start and length in each dimension).
    """

    name: str
    full_name: str = ""
    slice: str = ""
    resource: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaGraph:
    """A graph with what ``.meta`` says of it.

    ``variables`` are those of all collections of variables, ``trainable`` and ``averaged`` (those
    with a moving average) the node names of two of them.
    """

    graph: Graph
    saver: Saver | None
    variables: tuple[Variable, ...]
    trainable: frozenset[str]
    averaged: frozenset[str]


def read_graph(path: Path) -> Graph:
    """The graph in a ``.pb`` or ``.pbtxt`` file, told apart by content.

    Raises ModelError if the file is missing, empty, truncated or something else than a GraphDef, and
    if a node's name or op is empty or a name occurs twice; UnreadableFile if only TensorFlow may know it.
    Inputs that name no node are kept.
    """
    source = str(path)
    view = _message(mapped(path, "frozen graph"), source, FileKind.GRAPH)
    return guarded(view, source, lambda: _graph(view, 0, len(view), source))


def read_meta(path: Path) -> MetaGraph:
    """The graph, saver and variables in a ``.meta`` file. Raises as ``read_graph`` does."""
    return _meta(mapped(path, "meta graph"), str(path))


def parse_meta(data: bytes, source: str) -> MetaGraph:
    """A serialized MetaGraphDef; ``source`` names it in messages. Raises as ``read_graph`` does."""
    view = memoryview(data)
    if not view or is_lfs_pointer(view):
        raise ModelError(f"{source} is {'a Git LFS pointer' if view else 'empty'}, not a meta graph.")
    return _meta(view, source)


def _message(view: memoryview, source: str, wanted: FileKind) -> memoryview:
    """The bytes of the wanted message, made of text if the file is text. Raises ModelError for all else."""
    foreign = foreign_format(view)
    found = None if foreign else kind_of(view)
    if found is wanted:
        return view
    if found is not None:
        raise ModelError(f"{source} is {found.value}, not {_short(wanted)}; {_ADVICE[found]}.")
    if foreign:
        raise ModelError(f"{source} is {foreign}, not {_short(wanted)}.")
    if is_text(view):
        return _from_text(view, source, wanted)
    raise ModelError(
        f"{source} is not {_short(wanted)}: it is damaged, truncated or of another format."
        " Write or copy it again."
    )


def _short(kind: FileKind) -> str:
    return kind.value.partition(" (")[0]


def _from_text(view: memoryview, source: str, wanted: FileKind) -> memoryview:
    message = messages.GraphDef() if wanted is FileKind.GRAPH else messages.MetaGraphDef()
    try:
        text_format.Parse(bytes(view).decode("utf-8"), message)
    except UnicodeDecodeError:
        raise ModelError(f"{source} is text that is not UTF-8, not {_short(wanted)}.") from None
    except text_format.ParseError as error:
        found = _text_kind(view)
        if found is not None and found is not wanted:
            raise ModelError(f"{source} is {found.value}, not {_short(wanted)}; {_ADVICE[found]}.") from None
        reason = str(error).replace(f"{message.DESCRIPTOR.file.package}.", "").rstrip(".")
        sentence = f"{source} is text, but not {_short(wanted)} in text format: {reason}."
        if "no field named" in str(error) and found is not None:
            raise UnreadableFile(sentence) from None
        raise ModelError(f"{sentence} Give a file that TensorFlow wrote, in text or binary.") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source} is text, but not {_short(wanted)} in text format: {error}") from None
    return memoryview(message.SerializeToString())


def _text_kind(view: memoryview) -> FileKind | None:
    """What a text file is, by the first name in it."""
    names = re.search(rb"^\s*(\w+)\s*[:{<]", bytes(view[: 1 << 16]), re.MULTILINE)
    first = names.group(1) if names else b""
    if first in (b"meta_info_def", b"graph_def", b"saver_def", b"collection_def", b"signature_def"):
        return FileKind.META_GRAPH
    if first in (b"saved_model_schema_version", b"meta_graphs"):
        return FileKind.SAVED_MODEL
    return FileKind.GRAPH if first in (b"node", b"library", b"versions", b"version") else None


def guarded(view: memoryview, source: str, read: Callable[[], _Read]) -> _Read:
    """``read()``, with what the parsers raise said in a sentence. Raises ModelError."""
    try:
        return read()
    except (Malformed, DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        reason = f": {error}" if isinstance(error, Malformed) else ""
        raise ModelError(
            f"{source} ({len(view):,} bytes) is truncated or damaged{reason}. Write or copy it again."
        ) from None


def _graph(view: memoryview, start: int, end: int, source: str) -> Graph:
    reader = NodeReader(source)
    bodies: list[FunctionBody] = []
    versions = bytearray()
    position = start
    while position < end:
        # Neighbouring small nodes are themselves a serialized GraphDef: parsed by the megabyte.
        stop = run_end(view, position, min(end, position + _CHUNK), _NODE, LARGE)
        if stop > position:
            _add_nodes(reader, view, position, stop)
            position = stop
            continue
        field = next(fields(view, position, end))
        position = field.end
        if field.number == 1:
            if field.wire != BYTES:
                raise Malformed(f"byte {field.begin} begins no node")
            if field.end - field.start > LARGE:
                reader.add_large(view, field.start, field.end)
            else:
                _add_nodes(reader, view, field.begin, field.end)
        elif field.number == 2 and field.wire == BYTES:
            bodies += _functions(bytes(view[field.start : field.end]), reader)
        elif field.number in (3, 4):
            versions += view[field.begin : field.end]
    looked_through(view)
    if not reader.nodes:
        raise ModelError(f"{source} holds a graph without any node.")
    return _assembled(reader, bodies, messages.GraphDef.FromString(bytes(versions)))


def _assembled(reader: NodeReader, bodies: Sequence[FunctionBody], raw: Any) -> Graph:
    """The graph of what was read; ``raw`` is the message without nodes and functions."""
    count = Counter(body.name for body in bodies)
    twice = sorted(name for name, number in count.items() if number > 1)
    return Graph(
        nodes=reader.nodes,
        functions={body.name: body for body in bodies},
        producer=int(raw.versions.producer or raw.version),
        colocated=reader.colocated,
        devices=reader.devices,
        refusals=(
            *(("it has a negative version",) if raw.versions.producer < 0 else ()),
            *reader.wrong_shapes(),
        ),
        demands=(*_demands(raw.versions), *(f"function {name} is there twice" for name in twice)),
    )


def _add_nodes(reader: NodeReader, view: memoryview, start: int, end: int) -> None:
    for raw in messages.RawGraphDef.FromString(bytes(view[start:end])).node:
        reader.add(raw)


def _functions(data: bytes, reader: NodeReader) -> Iterator[FunctionBody]:
    for raw in messages.RawFunctionDefLibrary.FromString(data).function:
        yield read_function(raw, reader)


def _demands(versions: Any) -> Iterator[str]:
    """What a graph asks of the TensorFlow that reads it, where it is not known that each does it."""
    if versions.min_consumer > _KNOWN_TO_ALL:
        yield f"the graph is for readers of version {versions.min_consumer} of the format and later"
    if versions.bad_consumers:
        yield "the graph excludes readers of some versions of the format"


def _meta(view: memoryview, source: str) -> MetaGraph:
    view = _message(view, source, FileKind.META_GRAPH)
    return guarded(view, source, lambda: meta_graph(view, source))


def meta_graph(view: memoryview, source: str) -> MetaGraph:
    """The message in ``view``. Raises ModelError, and what the parsers raise (see :func:`guarded`)."""
    graph: Graph | None = None
    rest = bytearray()
    for field in fields(view, 0, len(view)):
        if field.number == 2:
            graph = _graph(view, field.start, field.end, source)
        else:
            rest += view[field.begin : field.end]
    if graph is None:
        raise ModelError(f"{source} holds no graph.")
    raw = messages.MetaGraphDef.FromString(bytes(rest))
    collections = _collections(raw.collection_def)
    named = [_variable(variable) for found in collections.values() for variable in found]
    refusals = [
        *_lacking_variables(graph, collections),
        *_lacking_saver(graph, raw),
        *_unheard_of(graph, raw),
    ]
    # Who loads a meta graph on another machine than it was trained on clears its devices.
    graph = replace(graph, devices={}, refusals=(*graph.refusals, *refusals))
    return MetaGraph(
        graph=graph,
        saver=_saver(raw.saver_def, source),
        variables=tuple({variable.name: variable for variable in named}.values()),
        trainable=_names(collections.get("trainable_variables", ())),
        averaged=_names(collections.get("moving_average_variables", ())),
    )


def _saver(raw: Any, source: str) -> Saver | None:
    if not raw.restore_op_name:
        return None
    return Saver(restore_op=raw.restore_op_name, source=source)


def _lacking_variables(graph: Graph, collections: Mapping[str, Iterable[Any]]) -> Iterator[str]:
    """What the variables of the collections name and the graph lacks: they cannot be made of it."""
    for collection, variables in collections.items():
        for variable in variables:
            needed = (variable.variable_name, variable.initializer_name, variable.snapshot_name)
            for name in (*needed, *filter(None, (variable.initial_value_name,))):
                if not _is_there(graph, name):
                    yield f"its collection {collection} speaks of {name!r}, which is not in the graph"


def _lacking_saver(graph: Graph, raw: Any) -> Iterator[str]:
    """What the saver names and the graph lacks."""
    saver = raw.saver_def
    if not raw.HasField("saver_def"):
        return
    if not saver.save_tensor_name or not saver.restore_op_name:
        yield "its saver names no op to save or restore with"
    elif saver.restore_op_name not in graph.nodes:
        yield f"its saver restores with {saver.restore_op_name!r}, which is not in the graph"
    name = saver.filename_tensor_name
    if ":" not in name or not _is_there(graph, name):
        yield f"its saver takes the file's name from {name!r}, which is no tensor of the graph"
    elif _type_of(graph, name) not in (STRING, STRING + REFERENCE, None):
        yield f"its saver takes the file's name from {name!r}, which is no text"


def _is_there(graph: Graph, name: str) -> bool:
    """Whether a node (``x``) or tensor (``x:0``) is in the graph, as far as it is known how many outputs its op has."""
    node, colon, port = name.partition(":")
    if node not in graph.nodes or not colon:
        return node in graph.nodes
    types = types_of(graph.nodes[node].op, graph.nodes[node].attrs)
    try:
        return types is None or -len(types[1]) <= int(port) < len(types[1])  # as an index of Python
    except ValueError:
        return False


def _type_of(graph: Graph, name: str) -> int | None:
    """The number of the type of a tensor that is there; None where the op does not say it."""
    node, _, port = name.partition(":")
    types = types_of(graph.nodes[node].op, graph.nodes[node].attrs)
    return types[1][int(port)] or None if types is not None else None


def _unheard_of(graph: Graph, raw: Any) -> Iterator[str]:
    """Nodes of ops that nobody knows: neither TensorFlow nor who wrote the meta graph, and lists what ops it has."""
    known = {op.name for op in raw.meta_info_def.stripped_op_list.op}
    if not known:
        return
    found: dict[str, str] = {}
    for name, node in graph.nodes.items():
        found.setdefault(node.op, name)
    for op, name in found.items():
        if op not in known and op not in graph.functions and signature(op) is None:
            yield f"{op} ({name}) is of no op that TensorFlow or the file's own list of ops has"


def _collections(raw: Any) -> dict[str, list[Any]]:
    """The VariableDefs of each collection that holds variables."""
    return {
        name: [messages.VariableDef.FromString(value) for value in raw[name].bytes_list.value]
        for name in _COLLECTIONS
        if name in raw
    }


def _variable(raw: Any) -> Variable:
    place = raw.save_slice_info_def
    return Variable(
        name=raw.variable_name.partition(":")[0],
        full_name=place.full_name,
        slice=_slice_text(place) if place.full_name else "",
        resource=raw.is_resource,
    )


def _slice_text(place: Any) -> str:
    extents = (f"{start},{length}" for start, length in zip(place.var_offset, place.var_shape, strict=False))
    return f"{' '.join(map(str, place.full_shape))} {':'.join(extents)}"


def _names(variables: Iterable[Any]) -> frozenset[str]:
    return frozenset(_variable(variable).name for variable in variables)
