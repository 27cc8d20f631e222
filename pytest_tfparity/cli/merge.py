"""``merge``: the reports of several machines as one, as if one machine had run all the tests."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from ..diagnosis.causes.pages import page_of
from ..errors import SettingsError, printable
from ..reports.folder import write_reports
from ..reports.github import summary
from ..reports.merging import Merged, merged_reports
from ..reports.summary import closing_lines
from ..result import quotable


def merge(options: argparse.Namespace) -> int:
    """Write the merged report, and GitHub's summary of the step where there is one; say what it adds up to."""
    merged = read_reports(options.folder)
    for remark in merged.remarks:
        print(remark)
    print("\n".join(closing_lines(merged.results)))
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        with open(page, "a", encoding="utf-8") as file:
            file.write(summary(merged.results))
    print(f"report: {write_reports(options.output, merged.results, merged.environment, page_of)}")
    return 0


def read_reports(folders: list[Path]) -> Merged:
    """The reports in ``folders`` (or the files themselves) as one. Raises SettingsError."""
    files = [path if path.suffix == ".json" else path / "report.json" for path in folders]
    try:
        merged = merged_reports(files)
    except OSError as error:
        raise SettingsError(
            f"{error.filename} cannot be read: {error.strerror}. Name folders that --tfparity-report wrote."
        ) from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    # Another machine wrote them, or whoever could.
    remarks = tuple(map(printable, merged.remarks))
    return replace(merged, results=tuple(map(quotable, merged.results)), remarks=remarks)
