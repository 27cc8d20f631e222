"""A word on a terminal about work that takes long: which model, what is being done, for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from ..check.run import under_way

AFTER = 2.0
"""Seconds of silence: proofs of all networks of ``benchmarks`` end within them, but for the one of 100,000 nodes."""
_EVERY = 0.5
"""Seconds from one word to the next: whole seconds are shown, and none is left out."""
_WORDS = {
    "fetch": "fetching",
    "load": "loading",
    "proof": "proving",
    "run": "running",
    "diagnosis": "diagnosing",
}
_SAVE, _RESTORE, _CLEAR = "\x1b7", "\x1b8", "\x1b[K"  # cursor; the line from the cursor on


@contextmanager
def progress_on_terminal(
    config: pytest.Config, model: str, fetched: Callable[[], str] = str
) -> Iterator[None]:
    """Show on the terminal, which is not captured, what a long check is doing; nothing in pipes and workers.

    ``fetched`` says how much has come from elsewhere.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or hasattr(config, "workerinput"):
        yield
        return
    try:
        terminal = open("/dev/tty", "w", encoding="utf-8", errors="replace")  # noqa: SIM115
    except OSError:
        yield
        return
    writer = config.get_terminal_writer()
    columns = writer.fullwidth - writer.width_of_current_line - 1
    with terminal, progress(model, terminal, columns, fetched=fetched):
        yield


@contextmanager
def progress(
    model: str,
    stream: TextIO,
    columns: int,
    after: float | None = None,
    fetched: Callable[[], str] = str,
) -> Iterator[None]:
    """Say on the rest of the terminal's line what is done about ``model``; clear it at the end.

    ``columns`` are free there, ``after`` the seconds of silence (default: ``AFTER``).
    """
    silence = AFTER if after is None else after
    ended = threading.Event()
    started = time.monotonic()

    def speak() -> None:
        wait, spoken = silence, False
        while not ended.wait(wait):
            seconds = time.monotonic() - started
            part = under_way()
            amount = f" {fetched()}".rstrip() if part == "fetch" else ""
            text = f" {model}: {_WORDS.get(part, 'checking')}{amount}, {seconds:.0f} s"
            _write(stream, text[: max(columns, 0)])
            wait, spoken = _EVERY, True
        if spoken:
            _write(stream, "")

    thread = threading.Thread(target=speak, name="tfparity-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(f"{_SAVE}{_CLEAR}{text}{_RESTORE}")
        stream.flush()
    except (OSError, ValueError):  # the terminal has gone: nobody looks
        pass
