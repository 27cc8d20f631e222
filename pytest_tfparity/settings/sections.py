"""A section of a settings file, read by its schema into settings that know where they were stated.

A :class:`Layer` holds settings side by side, whatever they were nested in: ``checkpoint``,
``frozen_graph``, ``export_feeds``, ``atol``. Manifest, marker, ini and options each become one.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ..errors import Problem
from . import schema
from .marked import Marked, Wrong, described
from .schema import Key, Section
from .values import READERS


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


def possessive(owner: str) -> Callable[[str], str]:
    """How messages call the keys of ``owner``: ``'atol' of model 'digits'``."""
    return lambda name: f"'{name}' of {owner}"


def read_section(
    reading: Reading, section: Section, value: Marked, owner: str, label: Callable[[str], str] | None = None
) -> dict[str, Stated]:
    """Every key of a section, by ``Key.setting``. Unknown keys and wrong values become problems."""
    if not isinstance(value.value, dict):
        raise Wrong(
            f"must be a mapping with some of the keys {_keys(section)}, not {described(value)}", value.line
        )
    label = label or possessive(owner)
    known = section.by_name
    settings: dict[str, Stated] = {}
    for name, item in value.value.items():
        place = Place(reading.file, item.line)
        if name not in known:
            others = [other for other in known if other not in value.value]
            reading.problem(item.line, _unknown(name, section, owner, others))
            for meant in difflib.get_close_matches(name, others, 1):
                settings.setdefault(known[meant].setting, Stated(value=None, place=place, label=label(meant)))
            continue
        key = known[name]
        settings[key.setting] = Stated(
            value=_read(reading, key, item, label(name), owner), place=place, label=label(name)
        )
    return settings


def _keys(section: Section) -> str:
    return ", ".join(key.name for key in section.keys)


def _unknown(name: str, section: Section, owner: str, others: list[str]) -> str:
    homes = [other.home for other in schema.SECTIONS if other is not section and name in other.by_name]
    start = f"unknown key {name!r} in {owner}."
    if homes and section is not schema.MARKER:
        return f"{start} It is a key of {' or '.join(dict.fromkeys(homes))}."
    for meant in difflib.get_close_matches(name, others, 1):
        return f"{start} Did you mean {meant!r}?"
    return f"{start} Its keys are {_keys(section)}."


def _read(reading: Reading, key: Key, item: Marked, label: str, owner: str) -> Any:
    try:
        if key.kind in READERS:
            return READERS[key.kind](item, key)
        return reading.readers[key.kind](reading, item, key, owner)
    except Wrong as wrong:
        reading.problem(item.line if wrong.line is None else wrong.line, sentence(f"{label} {wrong}"))
        return None


def sentence(text: str) -> str:
    """A text that ends as a sentence does."""
    return text if text.endswith((".", "?")) else f"{text}."


def values_of(settings: Layer) -> dict[str, Any]:
    """The plain values of a layer, wrong ones left out."""
    return {name: stated.value for name, stated in settings.items() if stated.value is not None}


def complete(settings: Layer) -> bool:
    """Whether nothing in a layer is wrong."""
    return all(stated.value is not None for stated in settings.values())


SectionReader: TypeAlias = Callable[[Reading, Marked, Key, str], Any]
"""Reads a value of a key of the owner that is named by the last argument. Raises :class:`Wrong`."""
