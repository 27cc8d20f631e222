"""Names out of files are text wherever they are shown: no escape codes, no commands of a CI, no marks of HTML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from graphs.onnx_files import Op, write_onnx
from pytest_tfparity.__main__ import main
from pytest_tfparity.errors import ModelError, printable
from pytest_tfparity.reports.github import summary
from pytest_tfparity.reports.terminal import report
from pytest_tfparity.result import Finding, ParityResult, quotable

v1 = tf.compat.v1


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


_NAME = "x\x1b]0;title\x07\n::error::y\u202e"


def _frozen(path: Path, factor: float) -> None:
    definition = v1.GraphDef()
    constant = definition.node.add(name="c", op="Const")
    constant.attr["dtype"].type = 1
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.float32(factor)))
    placeholder = definition.node.add(name=_NAME, op="Placeholder")
    placeholder.attr["dtype"].type = 1
    placeholder.attr["shape"].shape.dim.add(size=3)
    definition.node.add(name=f"y{_NAME}", op="Mul", input=[_NAME, "c"]).attr["T"].type = 1
    path.write_bytes(definition.SerializeToString())


def _onnx(path: Path, factor: float) -> None:
    write_onnx(
        path,
        [Op("Mul", [_NAME, "c"], [f"y{_NAME}"])],
        inputs={_NAME: (3,)},
        outputs=[f"y{_NAME}"],
        constants={"c": np.float32(factor)},
    )


@pytest.mark.parametrize(
    "command", [["check"], ["init", "--manifest", "new.yaml"]], ids=lambda words: words[0]
)
@pytest.mark.parametrize(
    ("write", "ending"), [(_frozen, "pb"), (_onnx, "onnx")], ids=["frozen graph", "ONNX"]
)
def test_what_the_program_says_of_names_in_files_can_be_printed(
    write: Callable[[Path, float], None],
    ending: str,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    _frozen(tmp_path / "right.pb", 2.0)
    write(tmp_path / f"wrong.{ending}", 3.0)
    main([*command, "right.pb", f"wrong.{ending}"])
    lines = "".join(capsys.readouterr()).splitlines()
    assert any("x\\x1b]0;title" in line for line in lines), lines
    assert all(line.isprintable() and not line.lstrip().startswith("::") for line in lines)
