"""Names out of files are text wherever they are shown: no escape codes, no commands of a CI, no marks of HTML."""

from __future__ import annotations

import pytest

from pytest_tfparity.errors import ModelError, printable
from pytest_tfparity.reports.github import summary
from pytest_tfparity.reports.terminal import report
from pytest_tfparity.result import Finding, ParityResult, quotable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("block1/conv: 3 of 4 values, naïve, 画像", None),
        ("two\nlines", None),
        ("std::vector", None),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("\u202egnp\u2028", r"\u202egnp\u2028"),
        ("a\x00b\rc", r"a\x00b\rc"),
        ("said\n::error::x", "said\n\\::error::x"),
        ("  ::set-output name=a::b", "  \\::set-output name=a::b"),
        ("##[error]x", "\\##[error]x"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_control_characters_and_commands_are_spelt_out_and_all_else_stays(
    text: str, shown: str | None
) -> None:
    assert printable(text) == (text if shown is None else shown)
    assert printable(printable(text)) == printable(text)


def test_a_message_quotes_any_name() -> None:
    assert str(ModelError("m.pb has no node \x1b]0;title\x07.")) == r"m.pb has no node \x1b]0;title\x07."


def hostile() -> ParityResult:
    name = "a\x1b[2J\n::error file=x::y`<img onerror=alert(1)>|"
    finding = Finding(
        cause="weights-differ", certainty="proven", nodes=(name,), scopes=(name,), message=name, fix=name
    )
    return ParityResult(nodeid=name, model=name, verdict="fail", findings=(finding,), notes=(name,))


def test_a_result_is_printable_before_any_reader_sees_it() -> None:
    told = quotable(hostile())
    lines = "\n".join(report(told)).splitlines()
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert all(line.isprintable() for line in lines)
    page = summary([told])
    assert "<img" not in page
    assert "`<" not in page


def test_a_result_that_is_printable_stays_the_same_object() -> None:
    plain = ParityResult(nodeid="t::m", model="m", verdict="pass", notes=("a", "b"))
    assert quotable(plain) is plain
