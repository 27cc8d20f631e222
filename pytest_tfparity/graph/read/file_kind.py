"""What a file of serialized messages holds, judged by its content and not by its name."""

from __future__ import annotations

from enum import Enum

from .wire import BYTES, FIXED32, VARINT, Field, Malformed, fields

TABLE_MAGIC = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The last eight bytes of a sorted-string table: the index of a checkpoint, or one of the old format."""

_GRAPH_FIELDS = {1: BYTES, 2: BYTES, 3: VARINT, 4: BYTES, 5: BYTES}


class FileKind(Enum):
    """Kinds of files that are mistaken for one another."""

    GRAPH = "a GraphDef"
    META_GRAPH = "a MetaGraphDef (a .meta file: a graph with its saver and collections)"
    SAVED_MODEL = "a SavedModel (saved_model.pb)"
    ONNX = "an ONNX model"
    TABLE = "the .index of a checkpoint, or a checkpoint of the old V1 format"


def kind_of(view: memoryview) -> FileKind | None:
    """What these bytes are; None if they are none of the known kinds."""
    if _is_graph(
        view, 0, len(view)
    ):  # before a table, which begins with a zero and so with no field of a message
        return FileKind.GRAPH
    if bytes(view[-8:]) == TABLE_MAGIC:
        return FileKind.TABLE
    if _is_meta_graph(view, 0, len(view)):
        return FileKind.META_GRAPH
    try:
        first = next(fields(view, 0, len(view)))
        if first.number != 1 or first.wire != VARINT:
            return None
        parts = list(fields(view, 0, len(view)))
    except Malformed:
        return None
    inner = [part for part in parts if part.number == 2 and part.wire == BYTES]
    if any(_is_meta_graph(view, part.start, part.end) for part in inner):
        return FileKind.SAVED_MODEL
    if any(part.number == 7 and part.wire == BYTES for part in parts):
        return FileKind.ONNX
    return None


def _is_graph(view: memoryview, start: int, end: int) -> bool:
    """Whether this begins as a GraphDef does: decided by its first node, if it has any."""
    known = False
    try:
        for field in fields(view, start, end):
            if _GRAPH_FIELDS.get(field.number) != field.wire:
                return False
            if field.number == 1:
                return _is_node(view, field)
            known = True
    except Malformed:
        return False
    return known


def _is_node(view: memoryview, node: Field) -> bool:
    texts: dict[int, bytes] = {}
    for field in fields(view, node.start, node.end):
        if field.wire not in (BYTES, VARINT, FIXED32):
            return False
        if field.number in (1, 2) and field.wire == BYTES:
            texts[field.number] = bytes(view[field.start : min(field.end, field.start + 1024)])
        if len(texts) == 2:
            break
    return len(texts) == 2 and all(map(_is_name, texts.values()))


def _is_name(text: bytes) -> bool:
    return bool(text) and min(text) > 32


def _is_meta_graph(view: memoryview, start: int, end: int) -> bool:
    try:
        parts = list(fields(view, start, end))
    except Malformed:
        return False
    if any(part.wire != BYTES for part in parts) or sum(part.number == 1 for part in parts) > 1:
        return False
    return any(part.number == 2 and _is_graph(view, part.start, part.end) for part in parts)
