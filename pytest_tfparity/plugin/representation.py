"""A failure in words of our own, in the form in which pytest shows a failure.

pytest asks of a long representation that it has ``toterminal(writer)`` and ``str()``; that of an exception also
has a ``reprcrash``, from which come the line of the short summary, that of ``--tb=line`` and JUnit's message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

from ..reports.terminal import WIDTH, Emphasis, report, summary_line
from ..result import ParityResult
from .options import verbosity

if TYPE_CHECKING:
    from .attachment import Failure

_WIDEST = 120
"""Columns beyond which prose is hard to read, however wide the terminal is."""
_LOOKS: dict[Emphasis, dict[str, bool]] = {
    "failure": {"red": True, "bold": True},
    "cause": {"cyan": True, "bold": True},
    "proven": {"green": True},
    "decisive": {"green": True},
    "suggestive": {"yellow": True},
    "culprit": {"red": True},
}


class TerminalWriter(Protocol):
    """What is used of pytest's ``TerminalWriter``, a class that it does not export."""

    @property
    def fullwidth(self) -> int:
        """Columns of the terminal."""

    def line(self, s: str = "") -> None:
        """Write one line."""

    def markup(self, text: str, **markup: bool) -> str:
        """``text`` with the escape codes of these looks, where the terminal has colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Where the failure is, and its first line."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"


class Representation:
    """``text``; on pytest's own terminal the report of ``result``, in its colours, its width and its verbosity.

    Other readers (JUnit, a plugin that writes files) get the text as it is, and so they do without a ``result``.
    """

    def __init__(
        self, text: str, *, failure: Failure, config: pytest.Config, result: ParityResult | None
    ) -> None:
        message = text.partition("\n")[0] if result is None else summary_line(result)
        self.reprcrash = Crash(path=failure.path, lineno=failure.line, message=message)
        self._text = text
        self._config = config
        self._result = result

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the failure to ``tw``, line by line; under ``--tb=line`` the line of the crash says it all."""
        if self._config.getoption("tbstyle") == "line":
            return
        for line in self._lines(tw):
            tw.line(line)

    def _lines(self, writer: TerminalWriter) -> list[str]:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if self._result is None or reporter is None or writer is not self._config.get_terminal_writer():
            return self._text.splitlines()
        return report(
            self._result,
            width=min(writer.fullwidth, _WIDEST) if reporter.isatty else WIDTH,
            verbosity=verbosity(self._config),
            paint=lambda text, emphasis: writer.markup(text, **_LOOKS[emphasis]),
        )
