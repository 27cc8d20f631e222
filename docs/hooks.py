"""Pages that are made when the site is built: the keys of the manifest, and a page for each cause.

They come out of the program itself, so they say what the program does. ``mkdocs.yml`` names this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_tfparity.diagnosis.causes import CATALOGUE
from pytest_tfparity.diagnosis.causes.pages import page_of, title_of
from pytest_tfparity.formats.registry import FORMATS
from pytest_tfparity.formats.section import KINDS, Key, Section
from pytest_tfparity.settings import schema
from pytest_tfparity.settings.roles import marker_section, sections, side_section

NOTE = re.compile(r"^<!--(?!-).*?-->\n", re.MULTILINE | re.DOTALL)
"""What the source of a page says to the tests and not to the reader."""

ENTRIES = {"inputs": "input", "outputs": "output", "models": "model"}
"""Keys whose value holds several of a section."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the causes and the colours of the code."""
    from mkdocs.structure.files import File

    made = {"causes/index.md": causes(), "highlight.css": colours()}
    made |= {f"causes/{name}.md": text for name, text in cause_pages().items()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what is generated, and take out what only the tests read."""
    for mark, generate in {"keys": keys, "marker": marker, "options": options}.items():
        markdown = markdown.replace(f"<!-- generated: {mark} -->\n", generate())
    return NOTE.sub("", markdown)


def cause_pages() -> dict[str, str]:
    """The page of each cause by its id, as ``tfparity explain`` prints it."""
    return {name: page_of(name) for name in CATALOGUE}


def causes() -> str:
    """The page that lists the causes."""
    rows = [f"| [{name}]({name}.md) | {_sentence(title_of(name))} |" for name in sorted(CATALOGUE)]
    return "\n".join([*CAUSES_INTRODUCTION, "| cause | what went wrong |", "|---|---|", *rows, ""])


CAUSES_INTRODUCTION = (
    "# Causes",
    "",
    "A finding of a report names its cause. Here is what each cause means, how it comes about, how it is",
    "proven and how to fix it. A terminal shows the same: `tfparity explain CAUSE`.",
    "",
)


def keys() -> str:
    """Every key of the manifest, section by section."""
    return "\n".join(line for section in sections() for line in _section(section)) + "\n"


def marker() -> str:
    """The keyword arguments of the marker."""
    homes = _homes()
    rows = [
        f"| `{key.name}` | {_link(homes[_written(_original(key))], _original(key), page='manifest.md')} |"
        for key in marker_section().keys
    ]
    return "\n".join(["| argument | key of the manifest |", "|---|---|", *rows, ""])


def options() -> str:
    """The settings that options and ini values can set."""
    homes = _homes()
    rows = [
        f"| {_link(homes[_written(key)], key)} | `{key.flag}` | `{key.ini}` | `{key.default}` |"
        for key in schema.CONFIGURABLE
    ]
    return "\n".join(["| key | option | ini value | default |", "|---|---|---|---|", *rows, ""])


def colours() -> str:
    """The colours of code blocks, light and dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".codehilite")
    dark = HtmlFormatter(style="github-dark").get_style_defs('[data-bs-theme="dark"] .codehilite')
    return f"{light}\n{dark}\n"


def _section(section: Section) -> Iterator[str]:
    homes = _homes()
    yield f"### {_title(section)} {{: #{section.name} }}"
    yield ""
    yield _sentence(section.description.rstrip(".")) + "."
    yield ""
    shared: dict[str, list[str]] = {}
    for key in section.keys:
        home = homes[_written(key)]
        if home == section.name:
            yield from _key(section, key)
        else:
            shared.setdefault(home, []).append(_link(home, key))
    titles = {each.name: _title(each).lower() for each in sections()}
    for home, links in shared.items():
        yield f"The same keys as in {titles[home]}: {', '.join(links)}."
        yield ""


def _key(section: Section, key: Key) -> Iterator[str]:
    yield f"`{key.name}` {{: #{section.name}-{key.name} }}"
    yield f":   {key.description}"
    yield f"    *{_value(key)}*"
    yield ""


def _value(key: Key) -> str:
    """What may stand there, what holds where nothing does, and where to read on."""
    value = _code(re.sub(r"^(a|text)\b", lambda word: word[0].capitalize(), KINDS[key.kind]))
    if key.kind == "choice":
        value = " or ".join(f"`{choice}`" for choice in key.choices)
    elif key.choices:
        value += f" ({', '.join(key.choices)})"
    default = f" Default: {_default(key.default)}." if key.default else ""
    target = ENTRIES.get(key.kind, key.kind)
    see = "".join(f" See [{_title(section)}](#{target})." for section in sections() if section.name == target)
    return f"{value}.{default}{see}"


def _title(section: Section) -> str:
    if section is schema.MANIFEST:
        return "The top level"
    several = [key for key, name in ENTRIES.items() if name == section.name]
    return f"An entry of `{several[0]}`" if several else f"`{section.name}`"


def _homes() -> Mapping[Key, str]:
    """Where each key is described: a model's own and a format's, before what others share with them."""
    formats = {each.section.name for each in FORMATS}
    order = sorted(sections(), key=lambda section: section.name not in {schema.MODEL.name, *formats})
    homes: dict[Key, str] = {}
    for section in order:
        for key in section.keys:
            homes.setdefault(_written(key), section.name)
    return homes


def _written(key: Key) -> Key:
    """A key as it is written, whatever setting it states."""
    return key._replace(sets="")


def _original(key: Key) -> Key:
    """The key of the manifest that an argument of the marker stands for."""
    nested = (
        each
        for section in (side_section("reference"), side_section("export"), schema.MODEL)
        for each in section.keys
    )
    return next(each for each in nested if each.setting == key.setting)


def _link(home: str, key: Key, *, page: str = "") -> str:
    inside = "" if home == "model" else f"{home}: "
    return f"[`{inside}{key.name}`]({page}#{home}-{key.name})"


def _code(text: str) -> str:
    """``text`` with its examples set as code."""
    return re.sub(r"(\{.*\}|\[.*\]|'[^']*')", r"`\1`", text)


def _default(text: str) -> str:
    return text if " " in text else f"`{text}`"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
