"""What a report carries along from the process that ran a test to the one that shows it.

It travels as plain JSON in an attribute of the report: pytest-xdist drops a report that holds anything else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..errors import HealthWarning, TfparityError
from ..result import ParityResult
from .failure import ParityFailure
from .groups import plain_nodeid
from .marker import line_of
from .options import verbosity
from .record import record_of, take


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure that is told in words of our own, without a traceback, and the user's line that led to it.

    ``of_check`` says that the words are the report of the one result that the report carries.
    """

    path: str
    line: int
    of_check: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """The part of a test's record that is new in this report, and its failure if that is our own."""

    results: tuple[ParityResult, ...] = ()
    written: tuple[ParityResult, ...] = ()
    goldens: tuple[str, ...] = ()
    failure: Failure | None = None

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Attachment:
        """The inverse of ``dataclasses.asdict``."""
        return cls(
            results=tuple(ParityResult.from_json(each) for each in entry["results"]),
            written=tuple(ParityResult.from_json(each) for each in entry["written"]),
            goldens=tuple(entry["goldens"]),
            failure=Failure(**entry["failure"]) if entry["failure"] else None,
        )


def attach(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put on ``report`` what the checks of ``item`` found since the last one, and show a mistake as a sentence."""
    excinfo, record = call.excinfo, take(item)
    if report.when == "setup" and report.passed:
        # what a fixture has compared belongs to the test, which may yet fail on it and has to show it then
        record_of(item).results, record.results = record.results, []
    if excinfo is not None and isinstance(excinfo.value, TfparityError):
        report.longrepr = str(excinfo.value)
        if not record.results:
            record.results.append(_not_made(item, str(excinfo.value)))
    elif report.failed:
        report.sections += _unshown(record.results, excinfo, max(verbosity(item.config), 0))
    if properties_in_cases(item.config):
        from ..reports.junit import properties

        item.user_properties.extend(properties(record.results))
    attachment = Attachment(
        results=tuple(record.results),
        written=tuple(record.written),
        goldens=tuple(record.goldens),
        failure=_failure(item, excinfo, report),
    )
    report.tfparity = dataclasses.asdict(attachment)  # type: ignore[attr-defined]  # reports take any attribute


def attachment_of(report: pytest.TestReport) -> Attachment:
    """What ``report``, of a test that has to do with parity, carries."""
    return Attachment.from_json(report.tfparity)


def properties_in_cases(config: pytest.Config) -> bool:
    """Whether the JUnit file may have properties in a test case: only the older family may.

    The schema that Jenkins' xUnit plugin validates against (junit-10.xsd) allows them in a test suite
    alone, and the plugin skips a file that breaks it.
    """
    return config.getini("junit_family") in ("xunit1", "legacy")


def _failure(
    item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException] | None, report: pytest.TestReport
) -> Failure | None:
    """The failure of ``report`` if it is told in words of our own: pytest represents no exception as mere text."""
    if excinfo is None or not isinstance(report.longrepr, str):
        return None
    if not isinstance(excinfo.value, TfparityError | ParityFailure | HealthWarning):
        return None
    path, line = str(item.path), line_of(item)
    for entry in reversed(excinfo.traceback):
        if Path(entry.path) == item.path:
            path, line = str(entry.path), entry.lineno + 1
            break
    return Failure(path=path, line=line, of_check=isinstance(excinfo.value, ParityFailure))


def _unshown(
    results: Sequence[ParityResult], excinfo: pytest.ExceptionInfo[BaseException] | None, level: int
) -> list[tuple[str, str]]:
    """The reports that the failure does not show: an assertion has their first line, a bare ``==`` nothing."""
    from ..reports.terminal import report as report_of

    shown = excinfo.value.result if excinfo is not None and isinstance(excinfo.value, ParityFailure) else None
    return [
        ("tfparity", "\n".join(report_of(result, verbosity=level)))
        for result in results
        if not result.passed and result is not shown
    ]


def _not_made(item: pytest.Item, message: str) -> ParityResult:
    """The result of a check that could not even be set up."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    marker = item.get_closest_marker("parity")
    named = [name for name in marker.args if isinstance(name, str)] if marker and not parameters else []
    model = parameters.get("_tfparity_model_name") or next(iter(named), item.name)
    return ParityResult(nodeid=plain_nodeid(item), model=model, verdict="error", error=message)
