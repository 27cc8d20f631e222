"""``index.html``: one self-contained page made from results, with what the extra ``report`` installs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...result import ParityResult

if TYPE_CHECKING:
    from .explanation import Explain

_NEEDED = {"jinja2": "Jinja2", "pygal": "pygal", "grandalf": "grandalf", "PIL": "Pillow"}
"""What the page is made with: the page, its charts, the layout of small graphs, the heat maps over images."""


def missing_packages() -> list[str]:
    """The packages that are missing for a page."""
    return [package for module, package in _NEEDED.items() if find_spec(module) is None]


def write_page(
    folder: Path,
    results: Sequence[ParityResult],
    environment: Mapping[str, str],
    explain: Explain | None = None,
) -> Path:
    """Write ``folder/index.html``, replacing an older one in one step; return its path.

    ``explain`` gives what the page says of a cause, in Markdown.
    """
    from .page import report_page

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    draft = folder / f".index.html.{os.getpid()}"
    draft.write_text(report_page(results, environment, explain), "utf-8")
    os.replace(draft, path)
    return path
