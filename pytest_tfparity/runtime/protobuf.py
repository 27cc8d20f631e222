"""GraphDef and MetaGraphDef files as TensorFlow's own messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from ..errors import ModelError
from ..graph.graph import Graph
from ..graph.read.graphdef import parse_meta
from ..graph.read.mapped import looked_through, mapped
from ..graph.read.wire import BYTES, Malformed, bytes_field, fields
from .tensorflow import tensorflow

_OUTLINED = 32 << 20
"""Bytes from which a file is walked for its large constants: below, what they take is not worth the walk."""
_LARGE = 1 << 16
"""Bytes of a constant that are left out; whatever is larger stays a view of the file in the plain graph."""
_CONTENT = (1, 5, 2, 8, 4)
"""``GraphDef.node``, ``NodeDef.attr``, the value of that map's entry, ``AttrValue.tensor``, its ``tensor_content``."""


def parse_graph_def(path: Path) -> Any:
    """The ``tf.compat.v1.GraphDef`` in a file, binary or text. Raises ModelError if it is none."""
    return _parse(path, tensorflow().compat.v1.GraphDef)


def parse_outline(path: Path) -> Any:
    """The same, in a large binary file without what its large constants hold: the plain graph has that.

    TensorFlow's messages copy every byte twice. Raises ModelError.
    """
    view = mapped(path, "frozen graph")
    if len(view) >= _OUTLINED:
        try:
            return tensorflow().compat.v1.GraphDef.FromString(_without(view, 0, len(view), _CONTENT))
        except (Malformed, DecodeError):
            pass
        finally:
            looked_through(view)
    return parse_graph_def(path)


def _without(view: memoryview, start: int, end: int, place: tuple[int, ...]) -> bytes:
    """The message in ``view[start:end]`` without large fields at ``place``, numbers of one field in the other.

    Raises Malformed.
    """
    number, *inner = place
    rest = bytearray()
    kept = start
    for field in fields(view, start, end):
        if field.number != number or field.wire != BYTES or field.end - field.start <= _LARGE:
            continue
        rest += view[kept : field.begin]
        kept = field.end
        if inner:
            message = _without(view, field.start, field.end, tuple(inner))
            rest += bytes_field(number, message)
    return bytes(rest + view[kept:end])


def parse_meta_graph_def(path: Path) -> Any:
    """The ``MetaGraphDef`` in a ``.meta`` file, binary or text. Raises ModelError if it is none."""
    return _parse(path, tensorflow().compat.v1.MetaGraphDef)


def plain_graph(graph_def: Any, label: str) -> Graph:
    """A ``GraphDef`` that TensorFlow read as a plain graph. Raises ModelError."""
    meta = tensorflow().compat.v1.MetaGraphDef()
    meta.meta_info_def.SetInParent()  # by which a MetaGraphDef is told from a GraphDef
    meta.graph_def.CopyFrom(graph_def)
    return parse_meta(meta.SerializeToString(), label).graph


def _parse(path: Path, message: Any) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        return message.FromString(data)
    except DecodeError:
        pass
    try:
        return text_format.Parse(data.decode(), message())
    except (UnicodeDecodeError, text_format.ParseError) as error:
        raise ModelError(
            f"{path} is neither a binary nor a text {message.DESCRIPTOR.name} that TensorFlow"
            f" {tensorflow().__version__} can read: {str(error).splitlines()[0].rstrip('.')}."
        ) from None
