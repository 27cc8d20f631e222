"""URLs where the settings have paths.

Everything that reads settings deals in paths. A URL is therefore a path too, below a root that no disk has, and
becomes a file of this machine when a check needs it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S")
"""How a URL begins. A drive of Windows is one letter."""
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>)\]}]+")
_ROOT = Path(os.sep, "\0tfparity-remote")
"""No file system has a name with NUL in it, so nothing is ever found or written below it."""
_QUERY = re.compile("[?#]")
_WEB = ("http", "https")
"""Schemes with a query. In the names of a bucket, ``?`` and ``#`` are characters like any other."""


def is_url(text: str) -> bool:
    """Whether a text of the settings is a URL and no path."""
    return _URL.match(text) is not None


def path_of(url: str) -> Path:
    """The path that stands for a URL; :func:`url_of` is the inverse. Its name ends as the URL's does."""
    plain, query = _divided(url)
    scheme, _, rest = plain.partition("://")
    return _ROOT / quote(f"{scheme}?{query}", safe="") / quote(rest, safe="")


def url_of(path: Path) -> str | None:
    """The URL that a path stands for; None if it is a path of this machine."""
    if len(path.parts) != len(_ROOT.parts) + 2 or path.parent.parent != _ROOT:
        return None
    scheme, _, query = unquote(path.parent.name).partition("?")
    return f"{scheme}://{unquote(path.name)}{query}"


def shown(url: str) -> str:
    """A URL for messages: without what may be a secret (user, password, query)."""
    plain, _ = _divided(url)
    scheme, _, rest = plain.partition("://")
    place, slash, name = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{name}"


def shown_for(path: Path) -> str:
    """How messages show the URL that a path stands for."""
    return shown(url_of(path) or str(path))


def without_secrets(text: str) -> str:
    """A text of somebody else's with the URLs in it as :func:`shown` shows them."""
    return _ANY_URL.sub(lambda found: shown(found[0]), text)


def beside(url: str, name: str) -> str:
    """The URL of ``name`` in the folder that ``url`` lies in."""
    plain, query = _divided(url.rstrip("/"))
    return f"{plain.rpartition('/')[0]}/{name}{query}"


def within(url: str, name: str) -> str:
    """The URL of ``name`` in the folder ``url``."""
    plain, query = _divided(url)
    return f"{plain.rstrip('/')}/{name}{query}"


def name_of(url: str) -> str:
    """The last part of a URL, which names the file."""
    return _divided(url)[0].rstrip("/").rpartition("/")[2]


def _divided(url: str) -> tuple[str, str]:
    """A URL without its query and fragment, and these, with their marks."""
    if url.partition("://")[0].lower() not in _WEB:
        return url, ""
    found = _QUERY.search(url)
    return (url[: found.start()], url[found.start() :]) if found else (url, "")
