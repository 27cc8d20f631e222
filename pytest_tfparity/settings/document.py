"""YAML into values that know their lines.

Built from the parser's events by hand: safe (no tags but the plain ones), duplicate keys and
self-references are refused, depth and size are bounded. Scalars without quotes are read as YAML 1.1
does where people rely on it (``yes`` is true) and as YAML 1.2 where 1.1 surprises them: ``1e-5`` is a
number, ``12:30`` and ``0o17`` are text. Keys are always text. See https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .stated import Written, Wrong, described

DEEPEST = 60
"""Lists and mappings inside one another: eight times what a manifest needs (7, for the shape of a random input), and
below what Python's recursion allows to those who read the values."""
MOST_VALUES = 1_000_000
"""Values that a document may unfold to, aliases included: a hundred for each of 10,000 models."""


def read_document(path: Path) -> Written:
    """The one document of a YAML file. Raises :class:`Wrong` with a whole sentence and the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Wrong(f"the file is not UTF-8 text (byte {error.start}).") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Wrong(f"the file cannot be read: {reason}.") from None
    return parse_document(text)


def parse_document(text: str) -> Written:
    """The one document of YAML text. Raises :class:`Wrong` with a whole sentence and the line."""
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _build(yaml.parse(text, Loader=fast))
    except yaml.YAMLError as error:
        failure = error
    try:  # for its words and lines, which are better
        return _build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        failure = error
    raise _syntax_error(failure)


_HINTS = (
    ("'\\t'", "a tab cannot indent YAML; use spaces"),
    ("mapping values are not allowed here", "is a line indented too far, or text with ': ' not in quotes?"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("could not find expected ':'", "a key without ':'"),
)


def _syntax_error(error: yaml.YAMLError) -> Wrong:
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    hint = next((hint for words, hint in _HINTS if words in problem), None)
    place = f" (column {mark.column + 1})" if mark else ""
    return Wrong(
        f"this is not YAML: {problem}{place}{f'; {hint}' if hint else ''}.", mark.line + 1 if mark else None
    )


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being filled."""

    event: yaml.CollectionStartEvent
    line: int
    items: list[Written] = field(default_factory=list)
    entries: dict[str, Written] = field(default_factory=dict)
    merged: list[Written] = field(default_factory=list)
    key: Written | None = None
    size: int = 1

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.event, yaml.MappingStartEvent)


class _Builder:
    """Puts a document together, one event at a time."""

    def __init__(self) -> None:
        self.documents: list[Written] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Written, int] | None] = {}

    def event(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.ScalarEvent):
            self._add(_scalar(event, line), 1, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._add(*self._alias(event, line), None)
        elif isinstance(event, yaml.CollectionStartEvent):
            _plain_tag(event, line)
            if len(self.stack) >= DEEPEST:
                raise Wrong(f"nested more than {DEEPEST} levels deep.", line)
            if event.anchor:
                self.anchors[event.anchor] = None
            self.stack.append(_Open(event, line))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self.stack.pop()
            value = _merged(closed) if closed.is_mapping else closed.items
            self._add(Written(value=value, line=closed.line), closed.size, closed.event.anchor)
        elif isinstance(event, yaml.DocumentStartEvent) and self.documents:
            raise Wrong("a second YAML document begins here ('---'); a manifest is one document.", line)

    def _alias(self, event: yaml.AliasEvent, line: int) -> tuple[Written, int]:
        if event.anchor not in self.anchors:
            raise Wrong(f"the alias *{event.anchor} has no anchor &{event.anchor} above it.", line)
        target = self.anchors[event.anchor]
        if target is None:
            raise Wrong(f"the alias *{event.anchor} stands inside what it refers to.", line)
        return target

    def _add(self, value: Written, size: int, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = (value, size)
        if not self.stack:
            self.documents.append(value)
            return
        parent = self.stack[-1]
        parent.size += size
        if parent.size > MOST_VALUES:
            raise Wrong("too large: its aliases unfold to more than a million values.", parent.line)
        if not parent.is_mapping:
            parent.items.append(value)
        elif parent.key is None:
            parent.key = value
        else:
            _enter(parent, parent.key, value)
            parent.key = None


def _build(events: Iterator[yaml.Event]) -> Written:
    builder = _Builder()
    for event in events:
        builder.event(event)
    return builder.documents[0] if builder.documents else Written(value=None)


def _enter(parent: _Open, key: Written, value: Written) -> None:
    if key.written is None:
        raise Wrong(f"a key must be text, not {described(key)}.", key.line)
    if key.written == "<<":
        parent.merged.extend(_mergeable(value))
        return
    if key.written in parent.entries:
        first = parent.entries[key.written].line
        raise Wrong(f"the key {key.written!r} stands here twice; the first is on line {first}.", key.line)
    parent.entries[key.written] = Written(value=value.value, line=key.line, written=value.written)


def _mergeable(value: Written) -> list[Written]:
    sources = value.value if isinstance(value.value, list) else [value]
    for source in sources:
        if not isinstance(source.value, dict):
            raise Wrong(
                f"'<<' must name a mapping or a list of mappings, not {described(source)}.", value.line
            )
    return list(sources)


def _merged(closed: _Open) -> Mapping[str, Written]:
    """The entries of a mapping; what ``<<`` brings in gives way to its own, later ones to earlier ones."""
    entries = dict(closed.entries)
    for source in closed.merged:
        for name, value in source.value.items():
            entries.setdefault(name, value)
    return entries


_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}


def _plain_tag(event: yaml.NodeEvent, line: int) -> str | None:
    tag: str | None = getattr(event, "tag", None)
    if tag is None or tag == "!" or tag in _TAGS:
        return tag
    shown = tag.replace("tag:yaml.org,2002:", "!!")
    raise Wrong(f"the tag {shown} means nothing here; leave it out.", line)


def _scalar(event: yaml.ScalarEvent, line: int) -> Written:
    tag = _plain_tag(event, line)
    plain = not event.style and tag is None
    is_text = not plain and (tag is None or tag in ("!", "tag:yaml.org,2002:str"))
    value = event.value if is_text else plain_value(event.value)
    return Written(value=value, line=line, written=event.value)


_TRUE = re.compile(r"yes|Yes|YES|true|True|TRUE|on|On|ON")
_FALSE = re.compile(r"no|No|NO|false|False|FALSE|off|Off|OFF")
_NULL = re.compile(r"~|null|Null|NULL|")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,99}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")


def plain_value(text: str) -> Any:
    """What a scalar without quotes stands for."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?0[0-9]+", text):
        return float(text)
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return -math.inf if infinity[1] == "-" else math.inf
    return math.nan if _NAN.fullmatch(text) else text
