"""What each cause is, how it comes about, how it is proven and how to fix it: a page of Markdown for each id."""

from __future__ import annotations

from importlib import resources


def page_of(cause: str) -> str:
    """The page of the cause with the id ``cause``, as ``explain`` prints it. Raises FileNotFoundError."""
    return resources.files(__name__).joinpath(f"{cause}.md").read_text(encoding="utf-8")


def title_of(cause: str) -> str:
    """What a cause is, in a few words: the heading of its page without its id."""
    heading = page_of(cause).partition("\n")[0]
    return heading.removeprefix(f"# {cause}: ")
