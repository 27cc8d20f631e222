"""The progress line: silent at first, on the rest of the line, and gone afterwards."""

import io
import time

import pytest

from pytest_tfparity.check.run import Clock
from pytest_tfparity.plugin.progress import progress


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("the terminal has gone")


def test_short_work_says_nothing() -> None:
    stream = io.StringIO()
    with progress("net", stream, 60):
        pass
    assert stream.getvalue() == ""


def test_long_work_says_what_it_does_and_clears_it_at_the_end() -> None:
    stream = io.StringIO()
    with progress("net", stream, 60, after=0.01), Clock()("diagnosis"):
        time.sleep(0.1)
    assert stream.getvalue() == "\x1b7\x1b[K net: diagnosing, 0 s\x1b8" + "\x1b7\x1b[K\x1b8"


def test_it_keeps_to_the_columns_that_are_left() -> None:
    stream = io.StringIO()
    with progress("a_long_name", stream, 6, after=0.01):
        time.sleep(0.1)
    assert "\x1b[K a_lon\x1b8" in stream.getvalue()


def test_a_terminal_that_goes_away_costs_nothing() -> None:
    with progress("net", Closed(), 60, after=0.01):
        time.sleep(0.05)


def test_an_exception_passes_through_and_the_line_is_cleared() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), progress("net", stream, 60, after=0.01):
        time.sleep(0.05 / (time.sleep(0.05) or 0))
    assert stream.getvalue().endswith("\x1b7\x1b[K\x1b8")
