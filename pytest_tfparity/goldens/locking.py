"""Files that several processes write: whole or not at all, one process at a time."""

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


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: other processes see the old file or the new one, and nothing else."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _mode(path: Path) -> int:
    """The permissions that ``path`` has, or that a new file would have."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a crash of the machine, where the system can."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
