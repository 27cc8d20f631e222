"""A section of a settings file, read by its schema into settings that know where they were stated."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from ..formats.section import Key, Section
from .roles import sections
from .stated import Layer, Place, Reading, Stated, Written, Wrong, described
from .values import VALUE_READERS


def possessive(owner: str) -> Callable[[str], str]:
    """How messages call the keys of ``owner``: ``'atol' of model 'digits'``."""
    return lambda name: f"'{name}' of {owner}"


def read_section(
    reading: Reading, section: Section, value: Written, owner: str, label: Callable[[str], str] | None = None
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
            reading.problem(item.line, _unknown(name, item, section, owner, others))
            for meant in difflib.get_close_matches(name, others, 1):
                settings.setdefault(known[meant].setting, Stated(value=None, place=place, label=label(meant)))
            continue
        key = known[name]
        before = settings.get(key.setting)
        if before is not None and before.value is not None:
            reading.problem(item.line, f"{label(name)} states what {before.label} does; keep one of them.")
        settings[key.setting] = Stated(
            value=_read(reading, key, item, label(name), owner), place=place, label=label(name)
        )
    return settings


def _keys(section: Section) -> str:
    return ", ".join(key.name for key in section.keys)


def _unknown(name: str, item: Written, section: Section, owner: str, others: list[str]) -> str:
    homes = [
        other.home
        for other in sections()
        if other.home and other.name != section.name and name in other.by_name
    ]
    start = f"unknown key {name!r} in {owner}."
    if homes and section.name != "marker":
        return f"{start} It is a key of {' or '.join(dict.fromkeys(homes))}."
    for meant in difflib.get_close_matches(name, others, 1):
        return f"{start} Did you mean {meant!r}?"
    if "feeds" in section.by_name and isinstance(item.value, bool | int | float):
        feed = f'{{"{name}{"" if ":" in name else ":0"}": {item.written or item.value}}}'
        return f"{start} A constant for a placeholder stands under 'feeds': feeds: {feed}."
    return f"{start} Its keys are {_keys(section)}."


def _read(reading: Reading, key: Key, item: Written, label: str, owner: str) -> Any:
    try:
        if key.kind in VALUE_READERS:
            return VALUE_READERS[key.kind](item, key)
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
