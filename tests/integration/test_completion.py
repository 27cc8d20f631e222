"""Completion in shells: what the printed scripts complete, asked of the shell itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pytest_tfparity.__main__ import main
from pytest_tfparity.diagnosis.causes import CATALOGUE

ASK = """
complete() {{ :; }}
{script}
COMP_WORDS=({words} "")
COMP_CWORD={place}
COMP_WORDS[$COMP_CWORD]="{last}"
_tfparity
echo "${{COMPREPLY[@]}}"
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("tfparity ex", "explain"),
        ("tfparity --ver", "--version"),
        ("tfparity check --em", "--ema"),
        ("tfparity init --a", "--add"),
        ("tfparity completion f", "fish"),
        ("tfparity explain ema-not-applied-", "ema-not-applied-to-bn-stats"),
        ("tfparity schema --json", ""),
    ],
)
def test_bash_completes(capsys: pytest.CaptureFixture[str], typed: str, found: str) -> None:
    *words, last = typed.split(" ")
    asked = ASK.format(script=script("bash", capsys), words=" ".join(words), place=len(words), last=last)
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (found, "")


def test_zsh_reads_the_same_and_fish_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert script("zsh", capsys) == f"autoload -U +X bashcompinit && bashcompinit\n{script('bash', capsys)}"
    lines = script("fish", capsys).splitlines()
    assert "complete -c tfparity -f -n __fish_use_subcommand -a check" in lines
    assert "complete -c tfparity -n '__fish_seen_subcommand_from check' -l ema" in lines
    told = [line for line in lines if "'__fish_seen_subcommand_from explain' -a" in line]
    assert len(told) == len(CATALOGUE)


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "tcsh"])
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
