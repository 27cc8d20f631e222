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
from .marked import Marked


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
        """A path of the file as an absolute one."""
        return Path(os.path.normpath(self.root / text))


SectionReader: TypeAlias = Callable[[Reading, Marked, Key, str], Any]
"""Reads a value of a key of the owner that is named by the last argument. Raises :class:`Wrong`."""
