"""Both files of a golden replaced by one rename, which whoever comes next completes where a writer died.

Both files are written beside their places first, the summary under a name that says which archive it is of. The rename
of the archive is the commit: from then on the golden is the new one, because :func:`settle` puts the summary of an
archive in its place wherever a writer did not live to do so. Until then the golden is the old one, and what lies beside
it is nobody's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .summary import SummaryProblem, read_summary

_DIGITS = 16
"""How much of an archive's sha256 stands in the name of its summary while that waits."""


def commit(archive: Path, data: bytes, summary: Path, text: bytes) -> None:
    """Replace both files; links are followed, so what they point to is replaced.

    One process at a time may do so (:func:`~pytest_tfparity.locking.locked`). Raises OSError, and then the
    old golden is untouched or the new one is complete.
    """
    archive, summary = _targets(archive, summary)
    settle(archive, summary)
    waiting, other = _waiting(summary, data), _waiting(archive, data)
    try:
        _write(waiting, text, like=summary)
        is_new = not archive.exists() or archive.read_bytes() != data
        if is_new:
            _write(other, data, like=archive)
        with _held_open(archive, summary):
            if is_new:
                os.replace(other, archive)
            os.replace(waiting, summary)
    finally:
        settle(archive, summary)
    for folder in {archive.parent, summary.parent}:
        _sync(folder)


def settle(archive: Path, summary: Path) -> None:
    """Finish the commit that a writer of this golden did not live to finish, and remove what else it left.

    Only for who holds the lock of the golden: all that lies beside it is then of writers that are gone.
    """
    archive, summary = _targets(archive, summary)
    left = [*_left_beside(archive), *_left_beside(summary)]
    if not left:
        return
    with contextlib.suppress(FileNotFoundError):
        data = archive.read_bytes()
        waiting = _waiting(summary, data)
        if waiting in left and _speaks_of(waiting, data) and not _speaks_of(summary, data):
            os.replace(waiting, summary)
    for file in left:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _held_open(*files: Path) -> Iterator[None]:
    """Keep the room of ``files`` from being freed while the block replaces them.

    A file is freed when its last name goes. That takes milliseconds, which the second rename would wait for the first.
    """
    with contextlib.ExitStack() as held:
        if sys.platform != "win32":  # which replaces no file that is open
            for file in files:
                with contextlib.suppress(OSError):
                    held.enter_context(file.open("rb"))
        yield


def _targets(archive: Path, summary: Path) -> tuple[Path, Path]:
    return Path(os.path.realpath(archive)), Path(os.path.realpath(summary))


def _waiting(target: Path, data: bytes) -> Path:
    """Where what is to become ``target`` waits; ``data`` is the archive that it is, or is of."""
    return target.with_name(f".{target.name}.{hashlib.sha256(data).hexdigest()[:_DIGITS]}.tmp")


def _left_beside(target: Path) -> list[Path]:
    """What writers of ``target`` left in its folder, those of earlier versions included."""
    name = re.compile(rf"\.{re.escape(target.name)}\.\w+\.tmp")
    with contextlib.suppress(FileNotFoundError), os.scandir(target.parent) as entries:
        return [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    return []


def _speaks_of(summary: Path, archive: bytes) -> bool:
    """Whether a file is a whole summary of ``archive``."""
    try:
        return read_summary(summary.read_text("utf-8")).archive == hashlib.sha256(archive).hexdigest()
    except (FileNotFoundError, UnicodeDecodeError, SummaryProblem):
        return False


def _write(path: Path, data: bytes, *, like: Path) -> None:
    """Write a new file, down to the disk, with the permissions of ``like`` if that exists."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # of a full disk it does not say where
        error.filename = error.filename or os.fspath(like)
        raise
    with contextlib.suppress(FileNotFoundError):
        path.chmod(like.stat().st_mode & 0o777)


def _sync(folder: Path) -> None:
    """Make a rename last through a crash of the machine, where the system can."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
