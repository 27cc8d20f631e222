"""The protobuf wire format, walked without copying
(https://protobuf.dev/programming-guides/encoding/).

Protobuf's own parsers copy every byte they read; a walk over the fields finds where the large
ones lie, so that they can stay where they are: in the mapped file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no protobuf message: a field does not end where the message does."""


class Field(NamedTuple):
    """One field: its number, wire type, where it begins (its tag) and where its value lies."""

    number: int
    wire: int
    begin: int
    start: int
    end: int


def varint(view: memoryview | bytes, position: int, end: int) -> tuple[int, int]:
    """The variable-length integer at ``position``, and the position after it."""
    value = shift = 0
    while position < end and shift < 70:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise Malformed(f"a number at byte {position} does not end")


def fields(view: memoryview, start: int, end: int) -> Iterator[Field]:
    """The fields of the message in ``view[start:end]``, in order. Raises Malformed."""
    position = start
    while position < end:
        begin = position
        tag = view[position]
        position += 1
        if tag >= 0x80:
            tag, position = varint(view, begin, end)
        number, wire = tag >> 3, tag & 7
        value = position
        if wire == BYTES:
            length = view[position] if position < end else 0x80
            if length < 0x80:
                value = position + 1
            else:
                length, value = varint(view, position, end)
            position = value + length
        elif wire == VARINT:
            _, position = varint(view, position, end)
        elif wire == FIXED64:
            position += 8
        elif wire == FIXED32:
            position += 4
        else:
            raise Malformed(f"byte {begin} begins no field")
        if not number or position > end:
            raise Malformed(f"the field at byte {begin} does not end within its message")
        yield Field(number, wire, begin, value, position)


def bytes_field(number: int, content: bytes) -> bytes:
    """A field of bytes as it is written, with a number below 16."""
    length, rest = bytearray(), len(content)
    while rest >= 0x80:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([number << 3 | BYTES, *length, rest]) + content


def run_end(view: memoryview, start: int, end: int, tag: int, most: int) -> int:
    """Where a run of fields that begins at ``start`` ends, each with the one byte ``tag`` and at most ``most`` bytes.

    It ends where something else begins, or what is no field.
    """
    position = start
    while position + 1 < end and view[position] == tag:
        length, value = view[position + 1], position + 2
        if length >= 0x80:
            length, value = varint(view, position + 1, end)
        if length > most or value + length > end:
            break
        position = value + length
    return position
