"""Files elsewhere brought to this machine: in parallel, once a run, and only where their content is not known."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ..errors import NotThere, RemoteError, Unreachable
from ..url import beside, name_of, shown, within
from .cache import Cache, Copy
from .server import Servers, Version

_AT_ONCE = 8
"""Files that are fetched at a time: more do not make a line faster."""
_CHANGES = 2
"""How often a file may change while it is fetched before that is an error."""


class Fetch:
    """What a run fetches. Each URL is looked at once: a run sees one version of it.

    ``allow_offline`` says that a copy may stand in where its server cannot be reached. Of each folder with fetched
    files ``origins`` has the URL and ``notes`` where a copy did stand in; ``hashes`` has the sha256 of each file.
    """

    def __init__(self, cache: Cache, servers: Servers | None = None) -> None:
        self._cache = cache
        self._servers = servers or Servers()
        self._found: dict[str, Copy] = {}
        self._lock = threading.Lock()
        self._bytes = 0
        self.hashes: dict[Path, str] = {}
        self.origins: dict[Path, str] = {}
        self.notes: dict[Path, tuple[str, ...]] = {}
        self._notes: dict[str, str] = {}
        self.fetched = 0

    def progress(self) -> str:
        """How much has come so far."""
        return f"{self._bytes / 1e6:,.0f} MB" if self._bytes else ""

    def file(self, url: str, *, allow_offline: bool = False) -> Path:
        """A file that holds what lies at ``url``, under its name. Raises RemoteError."""
        return self.beside(url, [name_of(url)], allow_offline=allow_offline) / name_of(url)

    def beside(
        self, url: str, names: Sequence[str], *, optional: Collection[str] = (), allow_offline: bool = False
    ) -> Path:
        """A folder with the files ``names`` of the folder that ``url`` lies in. Raises RemoteError.

        Those that are ``optional`` are left out where there are none.
        """
        return self._folder(
            {name: beside(url, name) for name in names}, optional, beside(url, ""), allow_offline
        )

    def within(
        self, url: str, names: Sequence[str], *, optional: Collection[str] = (), allow_offline: bool = False
    ) -> Path:
        """A folder with the files ``names`` of the folder ``url``. Raises RemoteError."""
        return self._folder(
            {name: within(url, name) for name in names}, optional, within(url, ""), allow_offline
        )

    def names(self, url: str, *, allow_offline: bool = False) -> list[str]:
        """The names of all files below the folder ``url``; none where its server does not list them.

        Raises RemoteError.
        """
        try:
            found = self._servers.names(url)
        except NotThere:
            return []
        except Unreachable:
            if not allow_offline:
                raise
            return self._cache.names_of(url)
        self._cache.keep_names(url, found)
        return found

    def _folder(
        self, urls: Mapping[str, str], optional: Collection[str], origin: str, allow_offline: bool
    ) -> Path:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = {name: pool.submit(self._copy, url, allow_offline) for name, url in urls.items()}
            copies: dict[str, Copy] = {}
            for name, each in waiting.items():
                if not (isinstance(each.exception(), NotThere) and name in optional):
                    copies[name] = each.result()
        with self._writing(origin):
            folder = self._cache.together(copies)
        self.origins[folder] = shown(origin).rstrip("/")
        self.notes[folder] = tuple(self._notes[url] for url in urls.values() if url in self._notes)
        for name, copy in copies.items():
            self.hashes[folder / name] = copy.sha256
        return folder

    def _copy(self, url: str, allow_offline: bool) -> Copy:
        """A copy of what lies at ``url`` now."""
        with self._lock:
            known = self._found.get(url)
        if known is not None:
            return known
        try:
            copy = self._current(url)
        except Unreachable as error:
            copy = self._offline(url, error, allow_offline)
        with self._lock:
            self._found[url] = copy
        return copy

    def _current(self, url: str) -> Copy:
        version = self._servers.version(url)
        with (
            self._writing(url),
            self._cache.locked(url),
        ):  # what another process is fetching is there when it is done
            copy = self._cache.copy_of(url)
            if copy is not None and copy.is_of(version):
                return copy
            for _ in range(_CHANGES):
                copy = self._fetched(url, version)
                now = self._servers.version(url)
                if copy is not None and (now.mark, now.size) == (version.mark, version.size):
                    self._cache.make_room()
                    return copy
                version = now
        raise RemoteError(
            f"{shown(url)} changes while it is fetched. Run again when whoever writes it is done."
        )

    def _fetched(self, url: str, version: Version) -> Copy | None:
        """The content of a version; None where what came has another size."""
        with self._cache.draft() as draft:
            self._servers.fetch(url, draft, self._count)
            self.fetched += 1
            if version.size is not None and draft.stat().st_size != version.size:
                return None
            return self._cache.keep(url, draft, version)

    @contextmanager
    def _writing(self, url: str) -> Iterator[None]:
        """Tell in a sentence that the cache cannot be written."""
        try:
            yield
        except OSError as error:
            raise RemoteError(
                f"The copy of {shown(url)} cannot be written into {self._cache.folder}: {error.strerror or error}. Make"
                " room there, or name another folder (tfparity_downloads)."
            ) from None

    def _offline(self, url: str, error: Unreachable, allow_offline: bool) -> Copy:
        copy = self._cache.copy_of(url)
        if copy is None:
            raise Unreachable(
                f"{error}, and no copy of it was fetched before. Check the network and the URL."
            )
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.fetched))
        if not allow_offline:
            raise Unreachable(
                f"{error}. The copy of {when} may no longer be what lies there; where it is good enough, state"
                " `offline: allow`."
            )
        self._notes[url] = f"{error}: the copy of {when} was taken (offline: allow)."
        return copy

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size
