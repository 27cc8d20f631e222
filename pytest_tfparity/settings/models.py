"""The models of a manifest: each stated by itself, or one for each match of a pattern.

A model of a pattern is read when it is asked for: a thousand of them cost a look into their folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from ..errors import Problem
from ..formats.registry import formats_for
from .pattern import NAME, Match, filled, filled_text, matches, pattern_of
from .readers import read_model, reading_of
from .resolve import ModelEntry, raise_if
from .roles import merged, setting
from .rules import problems_of
from .sections import possessive, sentence
from .stated import Layer, Place, Reading, Stated, Written, Wrong


class Origin(NamedTuple):
    """An entry under ``models``: its key, where it begins, how messages call it."""

    key: str
    place: Place
    owner: str


class Models(Mapping[str, ModelEntry]):
    """The models of a manifest by name, in file order, those of a pattern in the order of their names.

    To look one up raises SettingsError where the pattern's settings do not make sense for its match.
    """

    def __init__(self) -> None:
        self._made: dict[str, Callable[[], ModelEntry]] = {}
        self._origins: dict[str, Origin] = {}

    def add(self, expanded: Expanded) -> list[Problem]:
        """Take in what an entry stands for; a name that another entry has given already is a problem."""
        found = []
        for name, make in expanded.makers.items():
            origin = expanded.origin
            first = self._origins.setdefault(name, origin)
            if first is origin:
                self._made[name] = make
                continue
            message = (
                f"{origin.owner} makes a model {name!r}, and so does {first.owner} (line {first.place.line}); call a"
                f" group by a name with {NAME} in it, such as '{NAME}-b', for other names."
            )
            found.append(Problem(file=origin.place.file, line=origin.place.line, message=message))
        return found

    def origin(self, name: str) -> Origin:
        """The entry of the manifest that a model comes from."""
        return self._origins[name]

    def __getitem__(self, name: str) -> ModelEntry:
        return self._made[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


@dataclass(slots=True, kw_only=True)
class Expanded:
    """What the entry ``origin`` under ``models`` stands for.

    ``makers`` gives each model by name. ``read`` has those that were read to look for mistakes, and of the others
    what they would write.
    """

    origin: Origin
    makers: dict[str, Callable[[], ModelEntry]] = field(default_factory=dict)
    read: list[ModelEntry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def expanded(path: Path, key: str, value: Written, defaults: Layer) -> Expanded:
    """The models that the entry ``key`` of the manifest ``path`` stands for, and what is wrong with it.

    Of a pattern the first match is read in full; files are looked for when a model is checked, so that one that
    is missing fails one test.
    """
    reading = reading_of(path, path.parent)
    place = Place(path, value.line)
    line = value.line
    try:
        pattern, line = pattern_of(reading, value)
        if pattern is None:
            entry, problems = model_entry(place, key, value, defaults)
            origin = Origin(key, place, entry.owner)
            return Expanded(origin=origin, makers={key: lambda: entry}, read=[entry], problems=problems)
        group = _Group(place=place, key=key, value=_without_each(value), defaults=defaults)
        return group.expanded(reading, matches(path.parent, pattern))
    except Wrong as wrong:
        reading.problem(wrong.line or line, sentence(f"{possessive(f'model {key!r}')('each')} {wrong}"))
        return Expanded(origin=Origin(key, place, f"model {key!r}"), problems=reading.problems)


def model_entry(
    place: Place, name: str, value: Written, defaults: Layer, *, files: bool = True
) -> tuple[ModelEntry, list[Problem]]:
    """A model, and what is wrong with it; without ``files`` none is looked for."""
    reading = reading_of(place.file, place.file.parent)
    entry = ModelEntry(name=name, place=place, own={}, defaults=defaults)
    try:
        own = read_model(reading, value, entry.owner)
    except Wrong as wrong:
        reading.problem(value.line, sentence(f"{entry.owner} {wrong}"))
        lost = Stated(value=None, place=place, label=entry.owner)
        own = {setting("export", formats_for("export")[0].word): lost}
    else:
        reading.problems += problems_of(
            merged((defaults, own)), owner=entry.owner, place=place, root=entry.root, files=files
        )
    return ModelEntry(name=name, place=place, own=own, defaults=defaults), reading.problems


def misnamed(name: str) -> str | None:
    """Why a model cannot have a name, if so."""
    if not name.strip() or not name.isprintable() or "::" in name:
        return f"a model cannot be named {name!r}: it becomes part of a test's name."
    return None


def _without_each(value: Written) -> Written:
    entries = {name: each for name, each in value.value.items() if name != "each"}
    return Written(value=entries, line=value.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """An entry with a pattern. ``key`` is how its models are called where it holds ``{name}``, else the group."""

    place: Place
    key: str
    value: Written
    defaults: Layer

    def expanded(self, reading: Reading, found: list[Match]) -> Expanded:
        """A model for each match. The problems are those of the first match, and of names."""
        origin = Origin(self.key, self.place, f"group {self.key!r}")
        result = Expanded(origin=origin, problems=reading.problems)
        for match in found:
            name = self._name(match)
            if clause := misnamed(name):
                reading.problem(self.place.line, clause)
            elif name in result.makers:
                reading.problem(
                    self.place.line,
                    f"two matches of {origin.owner} are called {name!r}; write the pattern so that its wildcards tell"
                    " them apart.",
                )
            else:
                result.makers[name] = cache(partial(self._entry, match))
        first, problems = model_entry(
            self.place, self._name(found[0]), filled(self.value, found[0]), self.defaults, files=False
        )
        result.read.append(first)
        reading.problems += problems
        if not problems and "golden" in first.own:
            self._goldens(reading, result, first.own["golden"], found)
        return result

    def _name(self, match: Match) -> str:
        return filled_text(self.key, match) if NAME in self.key else match.name

    def _entry(self, match: Match) -> ModelEntry:
        """The model of a match. Raises SettingsError."""
        entry, problems = model_entry(
            self.place, self._name(match), filled(self.value, match), self.defaults, files=False
        )
        raise_if(problems)
        return entry

    def _goldens(self, reading: Reading, result: Expanded, stated: Stated, found: list[Match]) -> None:
        """The goldens of all matches but the first, which must not be one and the same file."""
        text = self.value.value["golden"].value
        for match in found[1:]:
            golden = reading.path(filled_text(text, match))
            if golden == stated.value:
                reading.problem(
                    stated.place.line,
                    f"the golden of {result.origin.owner} is one file for {len(found)} models; write {NAME} in its"
                    " name.",
                )
                return
            own = {"golden": Stated(value=golden, place=stated.place, label=stated.label)}
            result.read.append(
                ModelEntry(name=self._name(match), place=self.place, own=own, defaults=self.defaults)
            )
