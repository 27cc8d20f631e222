"""GraphDef and MetaGraphDef files as TensorFlow's own messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from ..errors import ModelError
from ..graph.graph import Graph
from ..graph.read.graphdef import parse_meta
from .tensorflow import tensorflow


def parse_graph_def(path: Path) -> Any:
    """The ``tf.compat.v1.GraphDef`` in a file, binary or text. Raises ModelError if it is none."""
    return _parse(path, tensorflow().compat.v1.GraphDef)


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
