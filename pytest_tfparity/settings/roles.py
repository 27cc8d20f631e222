"""The reference and the export as they are stated: their keys follow from the list of formats.

Where all settings stand side by side, those of a side have its name in front: ``reference.checkpoint``,
``export.feeds``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..comparison.tolerance import METRICS
from ..formats.format import ROLES, Format, Role, SideSpec
from ..formats.registry import FORMATS, format_of, formats_for
from ..formats.section import Key, Section
from . import schema
from .stated import Layer, Reading, Stated

_CLAUSES: Mapping[Role, str] = {"reference": "The side that is right", "export": "The side under test"}
_FEEDS: Mapping[Role, Key] = {
    "reference": Key("feeds", "feeds", "Constants that are fed to the reference alone, such as is_training."),
    "export": Key("feeds", "feeds", "Constants that are fed to the export alone."),
}
_OPTIONAL = Key(
    "optional",
    "boolean",
    "Whether the golden stands in for the reference where that is not at hand.",
    default="false",
)


def setting(role: Role, name: str) -> str:
    """The name of a side's setting among all settings."""
    return f"{role}.{name}"


def side_description(role: Role, formats: list[Format]) -> str:
    """A side in one of ``formats``, as pages and written manifests say it."""
    return f"{_CLAUSES[role]}: {', or '.join(each.section.description for each in formats)}."


def side_section(role: Role) -> Section:
    """The keys of one side: those of every format, those that usually stand there first, and its own."""
    return _side_section(role, tuple(formats_for(role)))


@lru_cache(maxsize=16)
def _side_section(role: Role, formats: tuple[Format, ...]) -> Section:
    own = [_FEEDS[role], *([_OPTIONAL] if role == "reference" else [])]
    keys: dict[str, Key] = {}
    for key in (*(key for each in formats for key in each.section.keys), *own):
        keys.setdefault(key.name, key)
    return Section(
        name=role,
        home=f"'{role}'",
        description=side_description(role, list(formats)),
        keys=tuple(key._replace(sets=setting(role, name)) for name, key in keys.items()),
    )


def marker_section() -> Section:
    """The keyword arguments of the marker: the keys of a model without nesting.

    The keys of a format are about the side that it usually stands on; for another, there are ``reference`` and
    ``export`` as in the manifest.
    """
    plain: dict[str, Key] = {}
    for role in ROLES:
        for each in FORMATS:
            for key in each.section.keys if each.usually == role else ():
                plain.setdefault(key.name, key._replace(sets=setting(role, key.name)))
    feeds = [
        _FEEDS["reference"]._replace(sets=setting("reference", "feeds")),
        _FEEDS["export"]._replace(name="export_feeds", sets=setting("export", "feeds")),
    ]
    return Section(
        name="marker",
        home="the marker",
        description="The keyword arguments of the marker: the keys of a model, those of its sides without nesting.",
        keys=(
            *plain.values(),
            *feeds,
            *(key for key in schema.MODEL.keys if key not in (schema.EACH, *schema.TEST)),
        ),
    )


def sections() -> tuple[Section, ...]:
    """Every section, from the top level down: the order of the reference page."""
    return (
        *schema.OUTER,
        side_section("reference"),
        side_section("export"),
        *(each.section for each in FORMATS),
        *schema.INNER,
    )


def flattened(reading: Reading, layer: Layer, owner: str) -> dict[str, Stated]:
    """``layer`` with the settings of its ``reference`` and ``export`` among the others.

    A side that names no file becomes a problem, and so does one that names two.
    """
    found = dict(layer)
    for role in ROLES:
        nested = found.pop(role, None)
        if nested is None:
            continue
        side: dict[str, Stated] = nested.value if nested.value is not None else {}
        words = [each.word for each in formats_for(role)]
        if not any(setting(role, word) in side for word in words):
            if nested.value is not None:
                *others, last = map(repr, words)
                needed = f"{', '.join(others)} or {last}" if others else last
                reading.problem(nested.place.line, f"the {role} of {owner} needs {needed}.")
            lost = Stated(value=None, place=nested.place, label=nested.label)
            side = {**side, setting(role, words[0]): lost}
        found.update(side)
    for role in ROLES:
        stated = [found[name] for name in _words_stated(found, role)]
        if len(stated) > 1:
            first, second = stated[:2]
            reading.problem(
                second.place.line,
                f"{first.label} and {second.label} are two files for one side; keep one of them.",
            )
    return found


def _words_stated(settings: Layer, role: Role) -> Iterator[str]:
    return (name for name in _words(role, tuple(formats_for(role))) if name in settings)


@lru_cache(maxsize=16)
def _words(role: Role, formats: tuple[Format, ...]) -> tuple[str, ...]:
    return tuple(setting(role, each.word) for each in formats)


def stated_format(settings: Layer, role: Role) -> Format | None:
    """The format of one side; None if it names no file."""
    for name in _words_stated(settings, role):
        return format_of(name.partition(".")[2])
    return None


PLAIN = ("atol", "rtol")
"""What a ``rounding`` stands in place of."""
_REPLACES = ((("rounding",), PLAIN), (PLAIN, ("rounding",)), (METRICS, (*PLAIN, "rounding")))
"""Settings, and those of weaker places that do not hold any more where one of them is stated."""


def merged(layers: tuple[Layer, ...]) -> dict[str, Stated]:
    """All layers in one, the strongest last.

    What a layer states of a side's format takes the place of what was stated of another format, and a key that
    excludes another takes that one's place: so do ``rounding`` and the plain tolerance, and metrics that of either.
    """
    found: dict[str, Stated] = {}
    for layer in filter(None, layers):
        for role in ROLES:
            for name in _replaced(found, layer, role):
                found.pop(name, None)
        for names, others in _REPLACES:
            if any(name in layer for name in names):
                for name in others:
                    found.pop(name, None)
        found.update(layer)
    return found


def _replaced(weaker: Layer, layer: Layer, role: Role) -> Iterator[str]:
    """The settings of a side in ``weaker`` that do not hold any more where ``layer`` does."""
    after = stated_format(layer, role)
    before = stated_format(weaker, role) if after is not None else None
    if before is not None and before is not after:
        yield from (setting(role, key.name) for key in before.section.keys)
    for each in FORMATS:
        for exclusive in each.exclusive:
            for name, other in ((exclusive.first, exclusive.second), (exclusive.second, exclusive.first)):
                if setting(role, name) in layer:
                    yield setting(role, other)


def side_spec(settings: Layer, role: Role) -> SideSpec | None:
    """One side as it is stated, without what is wrong; None where it names no file, or a wrong one."""
    form = stated_format(settings, role)
    if form is None or settings[setting(role, form.word)].value is None:
        return None
    stated = {
        name: settings[full].value
        for name, full in ((key.name, key.setting) for key in side_section(role).keys)
        if full in settings and settings[full].value is not None
    }
    own = {key.name for key in form.section.keys} - {form.word}
    return SideSpec(
        format=form.word,
        path=stated[form.word],
        options={name: value for name, value in stated.items() if name in own},
        feeds=stated.get("feeds", {}),
        optional=stated.get("optional", False),
    )


def keywords(role: Role, form: Format, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The marker's keywords for a side: plain where the format usually stands there, else nested."""
    return dict(stated) if form.usually == role else {role: dict(stated)}


def stated_file(given: Mapping[str, Any], role: Role) -> str | None:
    """The file of a side that a marker's keywords name; None if they name none."""
    nested = given.get(role)
    for each in formats_for(role):
        if isinstance(nested, Mapping) and nested.get(each.word) is not None:
            return str(nested[each.word])
        if each.usually == role and given.get(each.word) is not None:
            return str(given[each.word])
    return None
