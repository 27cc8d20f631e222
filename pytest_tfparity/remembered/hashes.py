"""The hash of a file's content, which is known without reading it again while its size and times stay as they were."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from .record_file import RecordFile

_PIECE = 1 << 20
FREE = 16 << 20
"""Bytes that are hashed before anything is known of them: 13 ms. The proof of a pair that large takes longer."""
_TICK = 100_000_000
"""Nanoseconds after its last change from which on a file is settled: a later change then shows in its times, where
the system counts them in milliseconds (Linux: a jiffy, at most 10 ms)."""
_COARSE_TICK = 3_000_000_000
"""The same where the system counts in seconds: FAT in two of them, older network file systems in one."""


class Stamp(NamedTuple):
    """What tells without reading that a file was not written to: size, times in nanoseconds, number on its disk."""

    size: int
    modified: int
    changed: int
    inode: int
    device: int

    @property
    def settled(self) -> bool:
        """Whether a change from now on cannot leave the times as they are."""
        last = max(self.modified, self.changed)
        coarse = self.modified % 1_000_000 == 0
        return time.time_ns() - last > (_COARSE_TICK if coarse else _TICK)


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None where there is none, or something that is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


class FileHashes:
    """sha256 of files by their stamps, kept in ``file`` from one run to the next."""

    def __init__(self, file: Path | None) -> None:
        self._file = RecordFile(file, "hashes") if file is not None else None
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._new: dict[str, list[object]] = {}

    def known(self, path: Path, stamp: Stamp) -> str | None:
        """The hash of a file that still has the stamp under which it was hashed."""
        if str(path) not in self._known:
            self._known.update(self._read(str(path)))
        before, found = self._known.get(str(path), (None, None))
        return found if before == stamp else None

    def hash(self, path: Path, stamp: Stamp) -> str | None:
        """The hash of a file; None where it changes meanwhile, or has changed a moment ago. Raises OSError."""
        found = self.known(path, stamp)
        if found is not None:
            return found
        if not stamp.settled:
            return None
        found = sha256_of(path)
        if stamp_of(path) != stamp:
            return None
        self._known[str(path)] = (stamp, found)
        self._new[str(path)] = [*stamp, found]
        return found

    def learn(self, path: Path, found: str) -> None:
        """Take over the hash of a file that nobody writes to: a copy of what was fetched."""
        stamp = stamp_of(path)
        if stamp is not None:
            self._known[str(path)] = (stamp, found)

    @cached_property
    def rate(self) -> float:
        """Bytes that this machine hashes in a second, measured on a few of them."""
        piece = bytes(_PIECE)
        started = time.perf_counter()
        hashlib.sha256(piece).digest()
        return _PIECE / max(time.perf_counter() - started, 1e-6)

    def save(self) -> None:
        """Add what is new to the file."""
        if self._file is not None and self._new:
            self._file.add(self._new)
            self._new = {}

    def _read(self, path: str) -> Mapping[str, tuple[Stamp, str]]:
        record = self._file.records.get(path) if self._file is not None else None
        match record:
            case [int(size), int(modified), int(changed), int(inode), int(device), str(found)]:
                return {path: (Stamp(size, modified, changed, inode, device), found)}
        return {}


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read piece by piece. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
