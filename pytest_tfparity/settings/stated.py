"""Settings as they were stated: the value, the place, and what messages call it.

A :class:`Layer` holds settings side by side, whatever they were nested in: ``reference.checkpoint``,
``export.feeds``, ``atol``. Manifest, marker, ini and options each become one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ..errors import Problem
from ..formats.section import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A value with the line it stands on (None outside files) and, for a scalar, its text as written.

    ``value`` is a bool, int, float, str or None, a list of ``Written``, a dict of str to ``Written``
    (whose line is that of the key), or anything else that a marker was given.
    """

    value: Any
    line: int | None = None
    written: str | None = None


class Wrong(Exception):
    """A value is not what its key needs; ``line`` where it stands if not on the line of the key."""

    def __init__(self, clause: str, line: int | None = None) -> None:
        super().__init__(clause)
        self.line = line


def marked(value: Any, line: int | None) -> Written:
    """A plain Python value, such as a marker's argument, in the form that a manifest is read into."""
    if isinstance(value, Mapping):
        return Written(value={str(key): marked(item, line) for key, item in value.items()}, line=line)
    if isinstance(value, (list, tuple)):
        return Written(value=[marked(item, line) for item in value], line=line)
    if isinstance(value, os.PathLike):
        return Written(value=os.fsdecode(value), line=line)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return marked(value.tolist(), line)
    return Written(value=value, line=line)


def described(value: Written) -> str:
    """A value in the words of a message: "the text 'x'", "a list"."""
    plain = value.value
    match plain:
        case None:
            return "nothing"
        case bool():
            plain_text = "true" if plain else "false"
            as_written = f", which is how YAML reads '{value.written}'"
            return plain_text + (as_written if value.written not in (None, plain_text) else "")
        case int() | float():
            return f"the number {value.written or plain}"
        case str():
            return f"the text {shortened(plain)!r}"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return f"{'an' if type(plain).__name__[0] in 'aeiou' else 'a'} {type(plain).__name__}"


def must_be(expected: str, value: Written) -> Wrong:
    """The error that says what was expected and what was given."""
    return Wrong(f"must be {expected}, not {described(value)}", value.line)


def shortened(text: str) -> str:
    """A text for a message, cut off where it is long."""
    return text if len(text) <= 60 else text[:57] + "..."


class Place(NamedTuple):
    """Where something is stated: a file and a line, if it has one."""

    file: Path
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A setting as it was stated: its value (None if it was wrong), the place, and how messages call it."""

    value: Any
    place: Place
    label: str


Layer: TypeAlias = Mapping[str, Stated]


@dataclass(slots=True, kw_only=True)
class Reading:
    """One file being read: paths are relative to ``root``, problems gather in ``problems``.

    ``readers`` has what reads the kinds that need more than the value: a folder, sections of their own.
    """

    file: Path
    root: Path
    readers: Mapping[str, SectionReader]
    problems: list[Problem] = field(default_factory=list)

    def problem(self, line: int | None, message: str) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(file=self.file, line=line, message=message))

    def path(self, text: str) -> Path:
        """A path of the file as an absolute one; a URL as the path that stands for it."""
        if "://" in text:
            from ..url import is_url, path_of

            if is_url(text):
                return path_of(text)
        return Path(os.path.normpath(self.root / text))


SectionReader: TypeAlias = Callable[[Reading, Written, Key, str], Any]
"""Reads a value of a key of the owner that is named by the last argument. Raises :class:`Wrong`."""
