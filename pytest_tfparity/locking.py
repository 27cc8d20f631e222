"""The lock of a file that several processes write, one at a time."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``: at most one process of this machine is inside at a time.

    The lock is a file in the folder for temporary files, so that nothing is left beside the
    goldens; the system releases it when its holder ends, however that happens.
    """
    key = hashlib.sha256(os.path.normcase(os.path.realpath(path)).encode()).hexdigest()[:32]
    folder = Path(tempfile.gettempdir(), f"tfparity-{_user()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with open(folder / f"{key}.lock", "a+b") as file:
        _acquire(file)
        try:
            yield
        finally:
            _release(file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return str(os.getuid()) if hasattr(os, "getuid") else "anyone"


if sys.platform == "win32":
    import msvcrt

    def _acquire(file: IO[bytes]) -> None:
        while not _acquired(file):
            time.sleep(0.05)

    def _acquired(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)

    def _release(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
