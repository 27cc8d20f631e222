"""A file as read-only bytes: mapped into memory, not copied; what is no model at all is named.

A file that is mapped must not be written in place while it is in use: a file that shrinks then ends
the process. Small files, which tests like to write again and again, are therefore read.

Whoever reads much of an array in a mapped file reads it by :func:`pieces`: the pages that were read go back to the
system, so that a process holds little of a file at a time, however large that is.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import ModelError, irregular
from ..graph import Array

_SMALL = 1 << 20
"""Bytes below which a file is read. Measured: up to here reading takes no longer than mapping (0.5 ms, both with one
pass over the bytes); at 16 MiB it takes one and a half times as long."""
PIECE = 1 << 20
"""Bytes that are read at a time: two pieces, and what is made of them, stay in a processor's cache."""
_AROUND = 2 << 20
"""Bytes that may become pages of the process where one is read: Linux maps what it keeps in one piece, 2 MiB on ext4
since 6.16, else 64 KiB."""
_HELD = 32 << 20
"""Bytes of a file that may be read until its pages are given back. The time is the same from 4 to 32 MiB (1.5 GB)."""
_LFS = b"version https://git-lfs.github.com/spec/"
_FOREIGN = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras weights or a Keras model)"),
    (0, b"PK\x03\x04", "a zip archive (a .keras model, .npz arrays or packed files)"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x93NUMPY", "a .npy array"),
    (4, b"TFL3", "a TFLite model"),
    (0, b"\x80\x04", "a Python pickle"),
)


class _Mapping(mmap.mmap):
    """A mapped file that counts the bytes that were read since its pages were given back."""

    read_bytes = 0

    def count(self, size: int) -> None:
        self.read_bytes += max(size, _AROUND)
        if self.read_bytes > _HELD:
            self.give_back()

    def give_back(self) -> None:
        self.read_bytes = 0
        if hasattr(self, "madvise"):  # not on Windows
            self.madvise(mmap.MADV_DONTNEED)


def pieces(array: Array) -> Iterator[Array]:
    """A contiguous array, flat, in parts of about a megabyte; use each before the next is asked for."""
    flat = array.reshape(-1)
    step = max(1, PIECE // flat.itemsize)
    for start in range(0, flat.size, step):
        piece = flat[start : start + step]
        yield piece
        count_read(array, piece.nbytes)


def count_read(array: Array, size: int) -> None:
    """Say that ``size`` bytes of ``array`` were read, which may lie in a mapped file."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, _Mapping):
        base.obj.count(size)


def looked_through(view: memoryview) -> None:
    """Say that places all over a file were read."""
    if isinstance(view.obj, _Mapping):
        view.obj.give_back()


def mapped(path: Path, what: str) -> memoryview:
    """The bytes of ``path``, mapped unless it is small; ``what`` names it in messages ("frozen graph").

    Raises ModelError if the file is missing, a directory, a device or pipe, not readable, empty or a Git LFS pointer.
    """
    try:
        if path.is_dir():
            raise ModelError(f"The {what} {path} is a directory; name a file in it.")
        if kind := irregular(path):
            raise ModelError(f"The {what} {path} is {kind}, not a file.")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise ModelError(f"The {what} {path} is empty (0 bytes); write or copy it again.")
            if size < _SMALL:
                file.seek(0)
                view = memoryview(file.read())
            else:
                view = memoryview(_Mapping(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise ModelError(f"The {what} {path} does not exist.{_neighbours(path)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"The {what} {path} cannot be opened: {reason}.") from None
    if is_lfs_pointer(view):
        raise ModelError(
            f"The {what} {path} is a Git LFS pointer, not the file itself; run `git lfs pull` to fetch it."
        )
    return view


def is_lfs_pointer(view: memoryview) -> bool:
    """Whether these bytes are the pointer that Git LFS leaves where it did not fetch a file."""
    return len(view) < 1024 and bytes(view[: len(_LFS)]) == _LFS


def foreign_format(view: memoryview) -> str | None:
    """What the first bytes say that this is, if it is a format that is neither graph nor checkpoint."""
    for offset, magic, name in _FOREIGN:
        if bytes(view[offset : offset + len(magic)]) == magic:
            return name
    start = bytes(view[:512]).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "an HTML or XML page (a failed download?)"
    if start.startswith((b"{", b"[")) and is_text(view):
        return "a JSON file"
    return None


def is_text(view: memoryview) -> bool:
    """Whether the first bytes are UTF-8 without control characters."""
    start = bytes(view[:4096])
    if any(byte < 32 and byte not in b"\t\n\r\f" for byte in start):
        return False
    try:
        # A character may be cut off at the end of the piece that is looked at.
        start[: max(len(start) - 4, 0)].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(start) - 8
    return True


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {path.parent}."
    same = sorted(other.name for other in path.parent.glob(f"*{path.suffix}") if other != path)[:5]
    return f" In its folder there are: {', '.join(same)}." if path.suffix and same else ""
