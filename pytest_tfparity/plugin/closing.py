"""The end of a session: what the reports of all workers add up to, for the terminal, JUnit, GitHub and the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..result import ParityResult
    from .attachment import Attachment

_NARROWING = ("keyword", "markexpr", "deselect", "lf", "failedfirst", "collectonly", "maxfail")
"""Options of pytest under which a run may leave out tests of the project."""


class Closing:
    """A plugin of its own in the process that shows reports: it collects them and speaks at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reports: list[tuple[pytest.TestReport, Attachment]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what the report carries, and put our representation of the failure on it before others show it."""
        if not hasattr(report, "tfparity"):
            return
        from .attachment import attachment_of

        attachment = attachment_of(report)
        if str(report.outcome) == "rerun":  # of pytest-rerunfailures: the test is one check, its last run
            self.reports = [each for each in self.reports if each[0].nodeid != report.nodeid]
        else:
            self.reports.append((report, attachment))
        failure = attachment.failure
        if failure is not None:
            from .representation import Representation

            failed = next((each for each in attachment.results if not each.passed), None)
            report.longrepr = Representation(  # type: ignore[assignment]  # pytest does not export TerminalRepr
                str(report.longrepr),
                failure=failure,
                config=self.config,
                result=failed if failure.of_check else None,
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Put the properties of all tests into JUnit's test suite, where a test case may not have them."""
        if not self.reports:
            return
        from ..reports.junit import properties
        from .attachment import properties_in_cases

        if properties_in_cases(self.config):
            return
        # record_testsuite_property is a fixture, and those run in pytest-xdist's workers, which write no file
        for plugin in self.config.pluginmanager.get_plugins():
            if hasattr(plugin, "add_global_property"):
                for test, attachment in self.reports:
                    for name, value in properties(attachment.results):
                        plugin.add_global_property(f"{test.nodeid}::{name}", str(value))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The closing lines: verdicts, goldens written and unused, where the report is; GitHub's annotations."""
        if not self.reports and not self.config.getoption("--tfparity-report"):
            return
        results = [result for _, attachment in self.reports for result in attachment.results]
        complete = self._is_full() and not {"error", "skipped"} & terminalreporter.stats.keys()
        lines = self._lines(results, complete)
        for line in self._github(results):
            terminalreporter.line(line)
        if lines:
            terminalreporter.section("tfparity", sep="-")
            for line in lines:
                terminalreporter.line(line)

    def _lines(self, results: Sequence[ParityResult], complete: bool) -> list[str]:
        """The closing lines; ``complete``: every test has run, so a golden that none has used is unused."""
        from ..reports.summary import closing_lines, golden_lines, margin_lines
        from .options import verbosity

        lines = closing_lines(results)
        if verbosity(self.config) > 0:
            lines += margin_lines(results)
        if self.config.getoption("--tfparity-update"):
            written = [result for _, attachment in self.reports for result in attachment.written]
            lines += golden_lines([*results, *written])
        if complete:
            lines += self._unused_goldens()
        folder = self.config.getoption("--tfparity-report")
        if folder:
            lines.append(f"report: {self._write_report(folder, results)}")
        return lines

    def _is_full(self) -> bool:
        """Whether every test of the project was asked for: nothing deselected, no paths on the command line."""
        everything = self.config.args_source is not pytest.Config.ArgsSource.ARGS
        return everything and not any(getattr(self.config.option, name, None) for name in _NARROWING)

    def _unused_goldens(self) -> list[str]:
        """Goldens that lie beside used ones and that no check uses; ``--tfparity-prune`` removes them."""
        from ..errors import relative_to
        from ..goldens.store import prune_goldens, stale_goldens

        stale = stale_goldens({Path(path) for _, attachment in self.reports for path in attachment.goldens})
        if not stale:
            return []
        names = [str(relative_to(path, self.config.invocation_params.dir)) for path in stale]
        if self.config.getoption("--tfparity-prune"):
            prune_goldens(stale)
            return [f"removed {name}" for name in names]
        return [f"goldens that no check uses (remove them with --tfparity-prune): {', '.join(names)}"]

    def _write_report(self, folder: str, results: Sequence[ParityResult]) -> str:
        """Write the report into ``folder``, which counts from where pytest was started.

        A line about where it is, or why there is none: the verdicts of the tests stand, whatever becomes of it.
        """
        from ..check.environment import environment
        from ..diagnosis.causes.pages import page_of
        from ..errors import SettingsError
        from ..reports.folder import write_reports

        try:
            return write_reports(
                Path(self.config.invocation_params.dir, folder), results, environment(), page_of
            )
        except SettingsError as error:
            return str(error)

    def _github(self, results: Sequence[ParityResult]) -> Iterator[str]:
        """On GitHub: write the summary of the step, and yield commands that mark the lines of failed checks."""
        page = os.environ.get("GITHUB_STEP_SUMMARY")
        if not page and os.environ.get("GITHUB_ACTIONS") != "true":
            return
        from ..reports.github import annotation, summary

        if page and results:
            with open(page, "a", encoding="utf-8") as file:
                file.write(summary(results))
        others = self.config.pluginmanager.hasplugin("pytest_github_actions_annotate_failures")
        if os.environ.get("GITHUB_ACTIONS") != "true" or others:
            return
        for test, attachment in self.reports:
            path, line, _ = test.location
            for result in attachment.results:
                if not result.passed:
                    yield annotation(result, path, (line or 0) + 1)
