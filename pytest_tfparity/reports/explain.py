"""The page of a cause, for a terminal and for the documentation."""

from __future__ import annotations

from typing import Protocol


class Explained(Protocol):
    """What a page is made of: plain text, each part a paragraph of Markdown."""

    @property
    def what(self) -> str:
        """What happens."""

    @property
    def how(self) -> str:
        """How it comes about."""

    @property
    def proof(self) -> str:
        """How it is proven."""

    @property
    def fix(self) -> str:
        """How to fix it."""

    @property
    def links(self) -> tuple[str, ...]:
        """Where others met it."""


class Entry(Protocol):
    """An entry of the catalogue."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""

    @property
    def page(self) -> Explained:
        """The whole story."""


def page(cause: Entry) -> str:
    """The page of ``cause`` in Markdown."""
    parts = [
        f"# {cause.id}: {cause.title}",
        cause.page.what,
        f"## How it comes about\n\n{cause.page.how}",
        f"## How it is proven\n\n{cause.page.proof}",
        f"## How to fix it\n\n{cause.page.fix}",
    ]
    if cause.page.links:
        parts.append("## See also\n\n" + "\n".join(f"- <{link}>" for link in cause.page.links))
    return "\n\n".join(parts)
