"""Models from a pattern: ``each: exports/*/model.pb`` is one model for every file or folder that matches.

What the wildcards stand for is the ``{name}`` of a match. It may stand in every other text of the model.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..formats.format import is_elsewhere
from .stated import Reading, Written, Wrong, shortened

NAME = "{name}"
"""Stands for what the wildcards of a pattern stand for."""
PATH = "{path}"
"""Stands for the match itself."""

_WILDCARDS = re.compile(r"(?P<folders>\*\*/)|(?P<part>(?:[*?]|\[[^]]+\])+)")


class Match(NamedTuple):
    """A file or folder that a pattern matches: what the wildcards stand for, and the path as the pattern has it."""

    name: str
    path: str


def matches(root: Path, pattern: str) -> list[Match]:
    """What ``pattern`` matches in ``root``, ordered by name. Raises :class:`Wrong` where that is nothing.

    Of several wildcards the parts are joined with ``/``; ``**/`` is any number of folders, none included.
    """
    pattern = re.sub(r"/{2,}", "/", pattern.removeprefix("./"))
    if not _WILDCARDS.search(pattern):
        raise Wrong(
            f"must be a pattern with a wildcard (exports/*/model.pb), not the text {shortened(pattern)!r}:"
            " the name of each model is what the wildcards stand for"
        )
    form = _expression(pattern)
    try:
        paths = glob.glob(pattern, root_dir=root, recursive=True)
    except (OSError, ValueError, re.error):
        paths = []
    found = sorted({Match(_name(form, path), path) for path in map(_plain, paths)})
    if not found:
        raise Wrong(f"is {shortened(pattern)!r}, which nothing in {root} matches: there would be no test")
    return found


def _plain(path: str) -> str:
    return path.replace(os.sep, "/").rstrip("/")


def _expression(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression, with a group for each run of wildcards."""
    parts, end = [], 0
    for wildcard in _WILDCARDS.finditer(pattern):
        parts.append(re.escape(pattern[end : wildcard.start()]))
        if wildcard["folders"]:
            parts.append("(?:(.+)/)?")
        else:
            parts.append("(.*)" if "**" in wildcard["part"] else "([^/]*)")
        end = wildcard.end()
    return re.compile("".join([*parts, re.escape(pattern[end:].rstrip("/"))]))


def _name(form: re.Pattern[str], path: str) -> str:
    found = form.fullmatch(path)
    return "/".join(filter(None, found.groups())) if found else path


def filled(value: Written, match: Match) -> Written:
    """``value`` with ``{name}`` and ``{path}`` in its texts, and in the keys below it, as they are for a match."""
    plain = value.value
    fill = partial(filled_text, match=match)
    if isinstance(plain, str):
        text = fill(plain)
        return value if text == plain else Written(value=text, line=value.line, written=text)
    if isinstance(plain, list):
        return Written(value=[filled(each, match) for each in plain], line=value.line)
    if isinstance(plain, Mapping):
        entries = {fill(key): filled(each, match) for key, each in plain.items()}
        return Written(value=entries, line=value.line)
    return value


def filled_text(text: str, match: Match) -> str:
    """``text`` with ``{name}`` and ``{path}`` as they are for a match."""
    return text.replace(PATH, match.path).replace(NAME, match.name) if "{" in text else text


def pattern_of(reading: Reading, value: Written) -> tuple[str | None, int | None]:
    """The ``each`` of a model and its line; None if it is one model by itself. Raises :class:`Wrong`."""
    each = value.value.get("each") if isinstance(value.value, Mapping) else None
    if each is None:
        return None, value.line
    if not isinstance(each.value, str) or not each.value.strip():
        raise Wrong("must be a pattern such as exports/*/model.pb", each.line)
    if is_elsewhere(reading.path(each.value)):
        raise Wrong("must be a pattern of files of this machine, no URL", each.line)
    if os.path.isabs(each.value):
        raise Wrong(f"must be relative to {reading.root}, not {shortened(each.value)!r}", each.line)
    return str(each.value), each.line
