"""What fsspec says of files elsewhere, with tries where a network stumbles, and errors as sentences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

from ..errors import NotThere, RemoteError, Unreachable
from ..url import shown, without_secrets

T = TypeVar("T")

WAITS = (0.2, 1.0, 3.0)
"""Seconds before each further try: what a server restarts in, or a rate limit forgets."""
_UNASKED = 30.0
"""Seconds for which a server that gave no answer at all is not asked again: each of a thousand models would wait."""
_SETTLED = 60.0
"""Seconds after which a time that counts in seconds tells two contents apart (RFC 9110, 8.8.2.2)."""
_HASHES = (
    "ETag",
    "etag",
    "e_tag",
    "md5Hash",
    "content_md5",
    "Content-MD5",
    "Digest",
    "generation",
    "checksum",
)
"""What file systems of fsspec call a mark of the content: http, s3fs, gcsfs, adlfs, ocifs."""
_TIMES = ("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "timeModified", "created")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a server says of a file: bytes (None: unknown) and a mark of the content.

    ``certain`` says that another content would have another mark.
    """

    size: int | None
    mark: str
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Down:
    """A server that could not be reached: why, and until when (``time.monotonic``) it is not asked again."""

    why: str
    until: float


class Servers:
    """The file systems behind URLs, each opened once. Safe to use from several threads."""

    def __init__(self, waits: tuple[float, ...] = WAITS) -> None:
        self._waits = waits
        self._open: dict[str, Any] = {}
        self._down: dict[str, _Down] = {}
        self._lock = threading.Lock()

    def version(self, url: str) -> Version:
        """The version of a file that lies there now. Raises RemoteError."""
        info = self._asked(url, lambda system, path: system.info(path))
        if info.get("type") == "directory":
            raise NotThere(f"{shown(url)} is a folder; name a file in it.")
        return _version(info)

    def fetch(self, url: str, target: Path, progress: Callable[[int], None]) -> None:
        """Write what lies at ``url`` to ``target``. Raises RemoteError.

        ``progress`` is called with the number of bytes that have come since it was last called.
        """
        from fsspec.callbacks import Callback

        class Told(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                progress(inc)

        self._asked(url, lambda system, path: system.get_file(path, str(target), callback=Told()))

    def names(self, url: str) -> list[str]:
        """The files in the folder ``url`` and below, relative to it. Raises RemoteError."""

        def find(system: Any, path: str) -> list[str]:
            base = path.rstrip("/") + "/"
            return [str(each)[len(base) :] for each in system.find(path) if str(each).startswith(base)]

        return self._asked(url, find)

    def _asked(self, url: str, ask: Callable[[Any, str], T]) -> T:
        place, (system, path) = _place(url), self._system(url)
        down = self._down.get(place)
        if down is not None and time.monotonic() < down.until:
            raise _unreachable(url, down.why)
        waits = () if down is not None else self._waits
        for wait in (*waits, None):
            try:
                answer = ask(system, path)
            except Exception as error:  # those of a hundred libraries, which nothing here can name
                told = _told(url, error)
                if isinstance(told, Unreachable) and wait is not None:
                    time.sleep(wait)
                    continue
                if isinstance(told, Unreachable):
                    status, why = _seen(error)
                    until = time.monotonic() + (_UNASKED if status is None else 0.0)
                    self._down[place] = _Down(why=why, until=until)
                raise told from None
            self._down.pop(place, None)
            return answer
        raise AssertionError("the last try returns or raises")

    def _system(self, url: str) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError:
            raise RemoteError(
                f"{shown(url)} is a URL. Install what opens it: pip install 'pytest-tfparity[remote]', and the package"
                " for its scheme (s3fs, gcsfs, aiohttp)."
            ) from None
        scheme, place = url.partition("://")[0], _place(url)
        try:
            with self._lock:
                if place not in self._open:
                    # a listing that an earlier look has left must not answer for the server
                    self._open[place] = fsspec.filesystem(
                        scheme.lower(),
                        skip_instance_cache=True,
                        use_listings_cache=False,
                        **fsspec.core.get_filesystem_class(scheme.lower())._get_kwargs_from_urls(url),
                        **_options(scheme.lower()),
                    )
                system = self._open[place]
            return system, str(system._strip_protocol(url))
        except Exception as error:
            what = without_secrets(" ".join(str(error).split()))
            raise RemoteError(f"{shown(url)} cannot be opened: {what}.") from None


def _place(url: str) -> str:
    """Scheme and server, or bucket."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _options(scheme: str) -> Mapping[str, Any]:
    """What a file system is opened with: no limit on how long a large file may take, but on each wait for bytes."""
    if scheme not in ("http", "https"):
        return {}
    import aiohttp

    return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=None, connect=20, sock_read=60)}}


def _version(info: Mapping[str, Any]) -> Version:
    size = info.get("size", info.get("Size"))
    size = int(size) if size is not None else None
    for name in _HASHES:
        if info.get(name):
            mark = str(info[name])
            return Version(size=size, mark=f"{name} {mark}", certain=not mark.startswith("W/"))
    for name in _TIMES:
        if info.get(name):
            seconds = _seconds(info[name])
            old = seconds is not None and time.time() - seconds > _SETTLED
            return Version(size=size, mark=f"{name} {info[name]}", certain=old)
    return Version(size=size, mark="", certain=False)


def _seconds(stated: Any) -> float | None:
    """A time as seconds since 1970; None where it is written in another way."""
    if isinstance(stated, int | float):
        return float(stated)
    if isinstance(stated, str):
        try:
            stated = datetime.fromisoformat(stated)
        except ValueError:
            try:
                stated = parsedate_to_datetime(str(stated))
            except ValueError:
                return None
    if not isinstance(stated, datetime):
        return None
    return (stated if stated.tzinfo else stated.replace(tzinfo=timezone.utc)).timestamp()


def _told(url: str, error: Exception) -> RemoteError:
    """An error of a file system as ours. The chain is asked: some hide an unreachable server in a missing file."""
    chain = list(_chain(error))
    status, what = _seen(error)
    if status in (401, 403) or any(isinstance(each, PermissionError) for each in chain):
        return RemoteError(
            f"{shown(url)} is refused ({what}). Its credentials are those of this machine (environment, profile, role),"
            " never the manifest's: check them."
        )
    missing = isinstance(error, FileNotFoundError) and (len(chain) == 1 or status in (404, 410))
    if missing or status in (404, 410):
        return NotThere(f"There is no {shown(url)}.")
    if isinstance(error, ImportError | TypeError | AttributeError):
        return RemoteError(f"{shown(url)} cannot be opened: {what}.")
    return _unreachable(url, what)


def _unreachable(url: str, why: str) -> Unreachable:
    return Unreachable(f"{shown(url)} cannot be reached: {why}")


def _seen(error: Exception) -> tuple[int | None, str]:
    """The HTTP status that a server has answered, if it has, and an error in words."""
    chain = list(_chain(error))
    status = next((code for each in chain if isinstance(code := getattr(each, "status", None), int)), None)
    return status, f"HTTP status {status}" if status else without_secrets(_words(chain[-1]))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _words(error: BaseException) -> str:
    words = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__
