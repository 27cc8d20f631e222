"""The folder of ``--tfparity-report``: report.json for programs, index.html for people, overlays for Model Explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..result import ParityResult
from .html import missing_packages, write_page
from .json import write_report
from .model_explorer import write_overlays
from .thinning import fitted

if TYPE_CHECKING:
    from .html.explanation import Explain


def write_reports(
    folder: Path,
    results: Sequence[ParityResult],
    environment: Mapping[str, str],
    explain: Explain | None = None,
) -> str:
    """Write the report in every form that can be made; a line about where it is.

    ``explain`` gives what the page says of a cause, in Markdown.
    Raises SettingsError where ``folder`` cannot be written.
    """
    try:
        write_overlays(folder, results)
        results = fitted(results)
        path = write_report(folder, results, environment)
    except OSError as error:
        raise SettingsError(
            f"The report cannot be written into {folder}: {error.strerror}. Name another folder."
        ) from None
    if missing_packages():
        return f"{path} (for a page to look at: pip install 'pytest-tfparity[report]')"
    try:
        return f"{write_page(folder, results, environment, explain)}, {path}"
    except Exception as error:  # a page that cannot be drawn must not cost the report, nor the session
        return f"{path} (the page could not be made: {type(error).__name__}: {error})"
