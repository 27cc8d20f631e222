"""Sorted-string tables: the format of a checkpoint's ``.index``.

Blocks of prefix-compressed keys, an index block that says where they lie, a footer of 48 bytes; every
block followed by its compression type and a masked CRC-32C
(https://github.com/google/leveldb/blob/main/doc/table_format.md, and tensorflow/core/lib/io/table.h).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import cache
from struct import unpack_from
from sys import byteorder

import numpy as np

from ...errors import ModelError, UnreadableFile
from .file_kind import TABLE_MAGIC
from .wire import Malformed, varint

_FOOTER = 48
_TRAILER = 5
_MASK_DELTA = 0xA282EAD8


def read_table(view: memoryview, source: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the table, in order; ``source`` names it in messages.

    Raises ModelError if it is damaged (every block's checksum is verified), UnreadableFile if it is
    compressed.
    """
    if len(view) < _FOOTER or bytes(view[-8:]) != TABLE_MAGIC:
        raise ModelError(
            f"{source} is not the index of a checkpoint, or it is truncated: it does not end as one does."
            " Copy it again."
        )
    try:
        footer = len(view) - _FOOTER
        _, position = _handle(view, footer, len(view))
        index, _ = _handle(view, position, len(view))
        for _, handle in _entries(_block(view, index, source)):
            place, _ = _handle(handle, 0, len(handle))
            yield from _entries(_block(view, place, source))
    except Malformed as error:
        raise ModelError(f"{source} is damaged: {error}. Copy it again.") from None


def _handle(data: memoryview | bytes, position: int, end: int) -> tuple[tuple[int, int], int]:
    """A block's offset and size, and the position after them."""
    offset, position = varint(data, position, end)
    size, position = varint(data, position, end)
    return (offset, size), position


def _block(view: memoryview, place: tuple[int, int], source: str) -> bytes:
    offset, size = place
    end = offset + size
    if end + _TRAILER > len(view):
        raise Malformed(f"the block at byte {offset} does not end within the file")
    (stored,) = unpack_from("<I", view, end + 1)
    if masked_crc32c(bytes(view[offset : end + 1])) != stored:
        raise Malformed(f"the checksum of the block at byte {offset} is wrong")
    if view[end]:
        raise UnreadableFile(f"{source} is compressed; only TensorFlow's own reader knows that.")
    return bytes(view[offset:end])


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise Malformed("a block is too small")
    (restarts,) = unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise Malformed("a block is too small for its restart points")
    position, key = 0, b""
    while position < end:
        shared, position = varint(block, position, end)
        fresh, position = varint(block, position, end)
        length, position = varint(block, position, end)
        if shared > len(key) or position + fresh + length > end:
            raise Malformed("an entry does not end within its block")
        key = key[:shared] + block[position : position + fresh]
        position += fresh + length
        yield key, block[position - length : position]


def masked_crc32c(data: bytes) -> int:
    """The CRC-32C of ``data``, rotated and shifted as tables store it (``crc32c::Mask``)."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli, RFC 3720) of ``data``; some 50 MB/s: for the index, not for weights."""
    bytewise, pairwise = _crc_tables()
    crc = 0xFFFFFFFF
    pairs = array("H", data[: len(data) & ~1])
    if byteorder == "big":
        pairs.byteswap()
    for pair in pairs:
        crc = pairwise[(crc ^ pair) & 0xFFFF] ^ (crc >> 16)
    if len(data) & 1:
        crc = bytewise[(crc ^ data[-1]) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _crc_tables() -> tuple[list[int], list[int]]:
    """The remainders of all single bytes and of all pairs of bytes (little-endian)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    pairs = np.arange(65536, dtype=np.uint32)
    low = table[pairs & 0xFF] ^ (pairs >> 8)
    return table.tolist(), (table[low & 0xFF] ^ (low >> 8)).tolist()
