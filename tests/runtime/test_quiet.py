"""What native code writes to stderr by itself: kept out of a test's failure, unless somebody wants to see it."""

from __future__ import annotations

import os

import pytest

from conftest import Project
from pytest_tfparity.runtime.quiet import LEVEL, show_all, stderr_held_back


def write() -> None:
    os.write(2, b"a processor was found\n")


def test_it_is_held_back(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    with stderr_held_back():
        write()
    assert capfd.readouterr().err == ""
    write()
    assert "a processor" in capfd.readouterr().err


@stderr_held_back()
def fail() -> None:
    write()
    raise ValueError("no")


def test_it_is_shown_where_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"):
        fail()
    assert "a processor" in capfd.readouterr().err


def test_it_is_shown_to_who_asks_for_all(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    show_all()
    with stderr_held_back():
        write()
    assert "a processor" in capfd.readouterr().err
    monkeypatch.setenv(LEVEL, "2")
    show_all()
    assert os.environ[LEVEL] == "2"  # what is stated stays


@pytest.mark.parametrize(("option", "shown"), [("-v", False), ("-vv", True)])
def test_the_first_failure_is_without_it_but_for_vv(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch, option: str, shown: bool
) -> None:
    monkeypatch.setenv(LEVEL, "3")
    monkeypatch.delenv(LEVEL)  # so that it is put back
    result = broken_project.run(option)
    result.assert_outcomes(failed=1)
    assert (os.environ.get(LEVEL) == "0") is shown
