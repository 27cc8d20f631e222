"""Copies of files elsewhere, in the user's cache folder: each content once, whole or not at all.

``contents/SHA256`` are the files; ``known/KEY.json`` says which content a URL had under which mark of its server;
``folders/DIGEST/`` hold files that belong together, under their names, as links to contents. Everything
comes into being under another name and is renamed, so a kill leaves nothing half; several processes may share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..locking import locked
from .server import Version

DEFAULT_LIMIT = 20 * 10**9
"""Bytes that the cache may hold where nobody says: a dozen of large checkpoints."""
_IN_USE = 3600.0
"""Seconds after its last use in which a copy is not removed: another run may be about to open it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What is known of a URL: the content that it had under a mark, in this cache."""

    sha256: str
    size: int
    mark: str
    certain: bool
    fetched: float

    def is_of(self, version: Version) -> bool:
        """Whether the server's version is surely this content."""
        sized = version.size in (None, self.size)
        return sized and bool(self.mark) and self.mark == version.mark and self.certain and version.certain


class Cache:
    """The cache in ``folder``, of at most ``limit`` bytes where what is in use allows it."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit = limit

    @contextlib.contextmanager
    def locked(self, url: str) -> Iterator[None]:
        """Hold the lock of a URL: one process at a time fetches it."""
        with locked(self._known(url)):
            yield

    def copy_of(self, url: str) -> Copy | None:
        """The copy of a URL that is whole; None where there is none."""
        try:
            copy = Copy(**json.loads(self._known(url).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if _size(self.content(copy.sha256)) != copy.size:
            return None
        with contextlib.suppress(OSError):
            os.utime(self._known(url))  # the last use: what was not used for longest makes room first
        return copy

    def keep_names(self, url: str, names: Sequence[str]) -> None:
        """Note the names of the files in the folder ``url``."""
        self._write(self._known(f"names of {url}").with_suffix(".names"), json.dumps(list(names)))

    def names_of(self, url: str) -> list[str]:
        """The names of the files that the folder ``url`` had when it was last looked at; none where that is unknown."""
        try:
            names = json.loads(self._known(f"names of {url}").with_suffix(".names").read_text("utf-8"))
        except (OSError, ValueError):
            return []
        return [name for name in names if isinstance(name, str)]

    def content(self, sha256: str) -> Path:
        """The file of a content."""
        return self.folder / "contents" / sha256

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """A path to write to, gone at the end unless :meth:`keep` has taken it."""
        path = self.folder / "drafts" / f"{os.getpid()}-{uuid.uuid4().hex}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)

    def keep(self, url: str, draft: Path, version: Version) -> Copy:
        """Take in a file that was fetched whole from ``url``."""
        digest = hashlib.sha256()
        with open(draft, "rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        found = digest.hexdigest()
        copy = Copy(
            sha256=found,
            size=draft.stat().st_size,
            mark=version.mark,
            certain=version.certain,
            fetched=time.time(),
        )
        target = self.content(found)
        target.parent.mkdir(parents=True, exist_ok=True)
        if _size(target) != copy.size:
            draft.chmod(0o444)
            os.replace(draft, target)
        self._write(self._known(url), json.dumps(asdict(copy)))
        return copy

    def together(self, copies: Mapping[str, Copy]) -> Path:
        """A folder that holds copies under these names, which may have folders in them."""
        contents = sorted((name, copy.sha256) for name, copy in copies.items())
        digest = hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:32]
        target = self.folder / "folders" / digest
        if target.is_dir():
            if all(_size(target / name) == copy.size for name, copy in copies.items()):
                return target
            shutil.rmtree(target, ignore_errors=True)  # somebody has been at it
        with self.draft() as draft:
            for name, copy in copies.items():
                path = draft / name
                path.parent.mkdir(parents=True, exist_ok=True)
                _link(self.content(copy.sha256), path)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(draft, target)
            except OSError:  # another process was first: what it made is the same
                if not target.is_dir():
                    raise
        return target

    def make_room(self) -> None:
        """Remove the copies that were not used for longest until the rest is within the limit."""
        with locked(self.folder), contextlib.suppress(OSError):
            self._clear_drafts()
            uses = sorted((path.stat().st_mtime, path) for path in (self.folder / "known").glob("*.json"))
            sizes = {path.name: path.stat().st_size for path in (self.folder / "contents").iterdir()}
            total, gone = sum(sizes.values()), set()
            last = {_content_named(path): used for used, path in uses}
            for used, path in uses:
                if total <= self._limit or time.time() - used < _IN_USE:
                    break
                name = _content_named(path)
                path.unlink(missing_ok=True)
                if name in sizes and last[name] == used:
                    total -= sizes.pop(name)
                    gone.add(name)
            self._remove(gone)

    def _remove(self, contents: set[str]) -> None:
        """Remove contents, and the folders that they are linked into: a link keeps the bytes."""
        numbers = set()
        for name in contents:
            path = self.content(name)
            numbers.add(path.stat().st_ino)
            path.unlink()
        for folder in (self.folder / "folders").glob("*") if numbers else ():
            if any(path.stat().st_ino in numbers for path in folder.rglob("*") if path.is_file()):
                shutil.rmtree(folder, ignore_errors=True)

    def _clear_drafts(self) -> None:
        """Remove what killed processes have left."""
        for path in (self.folder / "drafts").glob("*"):
            if time.time() - path.stat().st_mtime > 24 * _IN_USE:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def _known(self, url: str) -> Path:
        return self.folder / "known" / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"

    def _write(self, path: Path, text: str) -> None:
        with self.draft() as draft:
            draft.write_text(text, "utf-8")
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft, path)


def _content_named(path: Path) -> str:
    try:
        return str(json.loads(path.read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def default_folder() -> Path:
    """Where this system keeps the caches of a user's programs."""
    stated = os.environ.get("XDG_CACHE_HOME")
    if stated:
        return Path(stated, "pytest-tfparity")
    if sys.platform == "win32":
        return Path(
            os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "pytest-tfparity", "Cache"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pytest-tfparity"
    return Path.home() / ".cache" / "pytest-tfparity"
