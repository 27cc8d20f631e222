"""The page of a cause, in Markdown, as a part of the page: headings, paragraphs, lists, code, links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from markupsafe import Markup, escape

Explain: TypeAlias = Callable[[str], str]
"""A cause's id to its page of Markdown, whose first line is its title."""
_BLANK = re.compile(r"\n\s*\n")
_INLINE = re.compile(r"`([^`]+)`|<(https?://[^>\s]+)>")
_ITEM = re.compile(r"^- ", re.MULTILINE)


def explanation(markdown: str) -> Markup:
    """The HTML of a page of Markdown without its title. What it does not know stands there as text."""
    return Markup("\n").join(_blocks(markdown.partition("\n")[2]))


def _blocks(text: str) -> Iterator[Markup]:
    for index, part in enumerate(re.split(r"^```\w*\n", text, flags=re.MULTILINE)):
        if index % 2:
            yield Markup("<pre tabindex='0'>{}</pre>").format(part.rstrip("\n"))
            continue
        for block in filter(None, map(str.strip, _BLANK.split(part))):
            if block.startswith("#"):
                yield Markup("<h3>{}</h3>").format(block.lstrip("# "))
            elif block.startswith("- "):
                items = (Markup("<li>{}</li>").format(_line(item.strip())) for item in _ITEM.split(block)[1:])
                yield Markup("<ul>{}</ul>").format(Markup("").join(items))
            else:
                yield Markup("<p>{}</p>").format(_line(block))


def _line(text: str) -> Markup:
    """Text with its code and links."""
    made, last = Markup(), 0
    for found in _INLINE.finditer(text):
        made += escape(text[last : found.start()])
        if found[1] is not None:
            made += Markup("<code>{}</code>").format(found[1])
        else:
            made += Markup('<a href="{0}">{0}</a>').format(found[2])
        last = found.end()
    return made + escape(text[last:])
