"""Tests out of ``tfparity.yaml``, and what becomes of the results of any parity test."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..check.check import ParityFailure
from ..check.outputs import Outputs
from ..errors import SettingsError, TfparityError
from ..reports.junit import properties
from ..reports.terminal import Role, headline, report
from ..result import ParityResult
from ..settings.spec import ParitySpec
from .hooks import parity_session

RESULTS: pytest.StashKey[list[ParityResult]] = pytest.StashKey()
GOLDENS: pytest.StashKey[list[str]] = pytest.StashKey()
WRITTEN: pytest.StashKey[list[ParityResult]] = pytest.StashKey()
WIDTH = 100
"""Columns where the terminal does not say how many it has: in files, pipes and CI."""
_WIDEST = 120
_LOOKS: dict[Role, dict[str, bool]] = {
    "failure": {"red": True, "bold": True},
    "cause": {"cyan": True, "bold": True},
    "proven": {"green": True},
    "decisive": {"green": True},
    "suggestive": {"yellow": True},
    "culprit": {"red": True},
}


class HealthWarning(UserWarning):
    """The checkpoint itself is unsound although parity holds."""

    __module__ = "pytest_tfparity"


class ManifestFile(pytest.File):
    """A ``tfparity.yaml``: one test a model."""

    def collect(self) -> Iterator[ParityItem]:
        """The models of the manifest, in file order; all its problems at once if it has any."""
        try:
            manifest = parity_session(self.config).manifest(self.path)
            for name in manifest.models:
                spec = parity_session(self.config).manifest_spec(self.path, name)
                yield ParityItem.from_parent(self, name=name, spec=spec)
        except TfparityError as error:
            raise self.CollectError(str(error)) from error


class ParityItem(pytest.Item):
    """The check of one model of a manifest."""

    def __init__(self, *, spec: ParitySpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.add_marker(pytest.mark.parity(self.name))
        use_golden(self, spec)

    def runtest(self) -> None:
        """Make the check; raise ``ParityFailure`` with the report."""
        with _progress(self.config, self.name):
            result = parity_session(self.config).check(self.spec, self.nodeid)
        record(self, result)
        if not result.passed:
            raise ParityFailure("\n".join(report(result, width=WIDTH)), result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:
        """The report alone: a traceback through our own code would tell the user nothing."""
        if isinstance(excinfo.value, ParityFailure | HealthWarning):
            return as_sentence(excinfo, str(excinfo.value), str(self.path), self.spec.line or 1)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The model's line in the manifest."""
        return self.path, (self.spec.line or 1) - 1, self.name


def use_golden(item: pytest.Item, spec: ParitySpec) -> None:
    """Remember that ``item`` uses the goldens of ``spec``."""
    if spec.golden is not None:
        item.stash.setdefault(GOLDENS, []).append(str(spec.golden))


def record(item: pytest.Item, result: ParityResult) -> None:
    """Keep ``result`` with its test, and warn of an unsound checkpoint."""
    item.stash.setdefault(RESULTS, []).append(result)
    for health in result.health:
        item.warn(HealthWarning(f"{result.model}: {health.message}"))


def keywords(item: pytest.Item) -> Mapping[str, Any]:
    """The settings of the test's ``parity`` markers; the nearest marker wins."""
    merged: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("parity"))):
        merged.update(marker.kwargs)
    return merged


def marked_names(item: pytest.Item) -> tuple[str, ...]:
    """The models that the nearest marker names."""
    marker = item.get_closest_marker("parity")
    names = marker.args if marker else ()
    for name in names:
        if not isinstance(name, str):
            raise SettingsError(
                f"{item.path}:{line_of(item)}: @parity takes names of models and keyword arguments, not {name!r}."
            )
    return names


def single_name(item: pytest.Item) -> str | None:
    """The one model that a test names, or None."""
    names = marked_names(item)
    return names[0] if names else None


def names_of(config: pytest.Config, definition: pytest.Item) -> Sequence[str]:
    """The models that a test is to be run for, where it must be run for each of several.

    A manifest with problems gives none here: the fixture reports them.
    """
    try:
        names = marked_names(definition)
        if len(names) > 1:
            return names
        if names or "frozen_graph" in keywords(definition):
            return ()
        return parity_session(config).model_names(definition.path.parent)
    except TfparityError:
        return ()


def line_of(item: pytest.Item) -> int:
    """The line of the test, counted from 1."""
    return (item.location[1] or 0) + 1


def explanation(outputs: Outputs) -> list[str] | None:
    """The first line of the report, for an assertion; pytest would cut the rest of it off.

    The whole report follows in a section of its own.
    """
    return [headline(outputs.comparison)] if outputs.comparison is not None else None


def attach(item: pytest.Item, call: pytest.CallInfo[None], test: pytest.TestReport) -> None:
    """Put the results of ``item`` on its report, which travels from workers, and say mistakes in a sentence."""
    error = call.excinfo.value if call.excinfo is not None else None
    written = item.stash.get(WRITTEN, [])
    test.tfparity_goldens = item.stash.get(GOLDENS, [])  # type: ignore[attr-defined]
    test.tfparity_written = [result.to_json() for result in written]  # type: ignore[attr-defined]
    written.clear()
    results = item.stash.get(RESULTS, [])
    if test.when == "call" and _properties_in_cases(item.config):
        item.user_properties.extend(properties(results))  # JUnit reads those of the teardown's report
    if isinstance(error, TfparityError):
        assert call.excinfo is not None
        path, line = _place(call.excinfo, item)
        test.longrepr = as_sentence(call.excinfo, str(error), path, line)
        if not results:
            results = [_broken(item, str(error))]
        test.tfparity = [result.to_json() for result in results]  # type: ignore[attr-defined]
    elif test.when == "call":
        test.tfparity = [result.to_json() for result in results]  # type: ignore[attr-defined]
        if test.failed:
            _append_unshown(test, results, item.config.get_verbosity())


def _properties_in_cases(config: pytest.Config) -> bool:
    """Whether the JUnit file may have properties in a test case: only the older family may.

    The schema that Jenkins' xUnit plugin validates against (junit-10.xsd) allows them in a test suite
    alone, and the plugin skips a file that breaks it.
    """
    return config.getini("junit_family") in ("xunit1", "legacy")


def tell_junit(config: pytest.Config, reports: Sequence[pytest.TestReport]) -> None:
    """Put the properties of all tests into the test suite, where a test case may not have them."""
    for plugin in config.pluginmanager.get_plugins():
        if hasattr(plugin, "add_global_property") and not _properties_in_cases(config):
            for test in reports:
                for name, value in properties(_carried([test], "tfparity")):
                    plugin.add_global_property(f"{test.nodeid}::{name}", str(value))


def as_sentence(excinfo: pytest.ExceptionInfo[BaseException], message: str, path: str, line: int) -> Any:
    """``message`` as what a failed test shows: no traceback, its first line in the short summary."""
    shown = excinfo.getrepr(style="value")
    vars(shown.reprtraceback.reprentries[0])["lines"][:] = message.splitlines()
    if shown.reprcrash is not None:
        shown.reprcrash.message = message.splitlines()[0]
        shown.reprcrash.path, shown.reprcrash.lineno = path, line
    return shown


def dress(config: pytest.Config, test: pytest.TestReport) -> None:
    """Show the failed check of a manifest in the terminal's colours and width, as short or long as asked for.

    Other readers of the report (JUnit) get the text as it is.
    """
    failed = [result for result in _carried([test], "tfparity") if not result.passed]
    traceback = getattr(test.longrepr, "reprtraceback", None)
    if len(failed) != 1 or traceback is None:
        return
    entry = traceback.reprentries[0]
    if list(entry.lines) != report(failed[0], width=WIDTH):
        return  # a test in Python: pytest shows where it failed
    own = config.get_terminal_writer()

    def toterminal(writer: Any) -> None:
        lines = entry.lines
        if writer is own:
            lines = report(
                failed[0],
                width=_width(config),
                verbosity=config.get_verbosity(),
                paint=lambda text, role: writer.markup(text, **_LOOKS[role]),
            )
        for line in lines:
            writer.line(line)

    vars(entry)["toterminal"] = toterminal


def _width(config: pytest.Config) -> int:
    """The columns that a report may take."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty:
        return WIDTH
    return min(config.get_terminal_writer().fullwidth, _WIDEST)


@contextmanager
def _progress(config: pytest.Config, model: str) -> Iterator[None]:
    """Show on the terminal, which is not captured, what a long check is doing; nothing in pipes and workers."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or hasattr(config, "workerinput"):
        yield
        return
    try:
        terminal = open("/dev/tty", "w", encoding="utf-8", errors="replace")  # noqa: SIM115
    except OSError:
        yield
        return
    from .progress import progress

    writer = config.get_terminal_writer()
    with terminal, progress(model, terminal, writer.fullwidth - writer.width_of_current_line - 1):
        yield


def summarise(
    config: pytest.Config, terminal: pytest.TerminalReporter, reports: Sequence[pytest.TestReport]
) -> None:
    """The closing lines of a session: goldens written, goldens unused, where the report is."""
    from ..check.environment import environment
    from ..reports.folder import write_reports
    from ..reports.summary import closing_lines, golden_lines

    results = _carried(reports, "tfparity")
    lines = closing_lines(results)
    if config.getoption("--tfparity-update"):
        lines += golden_lines([*results, *_carried(reports, "tfparity_written")])
    if is_full(config) and not {"error", "skipped"} & terminal.stats.keys():
        used = {path for test in reports for path in getattr(test, "tfparity_goldens", ())}
        lines += _stale(config, {Path(path) for path in used})
    folder = config.getoption("--tfparity-report")
    if folder and not hasattr(config, "workerinput"):
        written = write_reports(Path(config.invocation_params.dir, folder), results, environment())
        lines.append(f"report: {written}")
    _tell_github(config, terminal, reports)
    if lines:
        terminal.section("tfparity", sep="-")
        for line in lines:
            terminal.line(line)


def _tell_github(
    config: pytest.Config, terminal: pytest.TerminalReporter, reports: Sequence[pytest.TestReport]
) -> None:
    """On GitHub: mark the lines of failed checks, and write the summary of the step."""
    from ..reports.github import annotation, summary

    page = os.environ.get("GITHUB_STEP_SUMMARY")
    results = _carried(reports, "tfparity")
    if page and results:
        with open(page, "a", encoding="utf-8") as file:
            file.write(summary(results))
    others = config.pluginmanager.hasplugin("pytest_github_actions_annotate_failures")
    if os.environ.get("GITHUB_ACTIONS") != "true" or others:
        return
    for test in reports:
        path, line, _ = test.location
        for result in _carried([test], "tfparity"):
            if not result.passed:
                terminal.line(annotation(result, path, (line or 0) + 1))


def is_full(config: pytest.Config) -> bool:
    """Whether every test of the project was asked for: nothing deselected, no paths on the command line."""
    narrowing = ("keyword", "markexpr", "deselect", "lf", "failedfirst", "collectonly", "maxfail")
    everything = config.args_source is not pytest.Config.ArgsSource.ARGS
    return everything and not any(getattr(config.option, name, None) for name in narrowing)


def _stale(config: pytest.Config, used: set[Path]) -> list[str]:
    """Goldens that lie beside used ones and that no check uses; ``--tfparity-prune`` removes them."""
    from ..goldens.store import prune, stale_goldens

    stale = stale_goldens(used)
    names = [os.path.relpath(path, config.invocation_params.dir) for path in stale]
    if not stale:
        return []
    if config.getoption("--tfparity-prune"):
        prune(stale)
        return [f"removed {name}" for name in names]
    return [f"goldens that no check uses (remove them with --tfparity-prune): {', '.join(names)}"]


def _carried(reports: Iterable[pytest.TestReport], what: str) -> list[ParityResult]:
    """The results that travelled on ``reports``."""
    return [ParityResult.from_json(entry) for test in reports for entry in getattr(test, what, ())]


def _append_unshown(test: pytest.TestReport, results: Sequence[ParityResult], verbosity: int) -> None:
    """Add the reports that the assertion did not show (``-p no:assertion``, a bare ``==``)."""
    shown = str(test.longrepr)
    for result in results:
        if not result.passed and report(result, width=WIDTH)[-1].strip() not in shown:
            lines = report(result, width=WIDTH, verbosity=max(verbosity, 0))
            test.sections.append(("tfparity", "\n".join(lines)))


def _place(excinfo: pytest.ExceptionInfo[BaseException], item: pytest.Item) -> tuple[str, int]:
    """The user's line that led to the mistake, or the test itself."""
    for entry in reversed(excinfo.traceback):
        if Path(entry.path) == item.path:
            return str(entry.path), entry.lineno + 1
    return str(item.path), line_of(item)


def _broken(item: pytest.Item, message: str) -> ParityResult:
    """The result of a test that could not even be set up."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    names = marked_names(item) if not params else ()
    model = params.get("_tfparity_model_name") or (names[0] if names else item.name)
    return ParityResult(nodeid=item.nodeid, model=model, verdict="error", error=message)
