"""What a failing check of a manifest looks like in a terminal: ``-v``, ``-q``, colours, width."""

import re
import subprocess
import sys

import pytest

from conftest import QUIET, WORKERS, Project

ESCAPE = "\x1b["
TABLE = "*node * op * accumulated * own"


@pytest.mark.parametrize("workers", WORKERS)
def test_verbose_adds_the_nodes_that_differ_in_order_with_culprits_marked(
    broken_project: Project, workers: list[str]
) -> None:
    run = broken_project.run_apart if workers else broken_project.run
    result = run("-v", *workers)
    result.stdout.fnmatch_lines(
        [
            TABLE,
            "  > block/bn/FusedBatchNormV3 *FusedBatchNormV3 *[1-9] *[1-9]*",
            "    * MatMul *",
        ]
    )


def test_without_verbose_there_is_no_table_and_no_details_are_made(broken_project: Project) -> None:
    result = broken_project.run()
    result.stdout.fnmatch_lines(
        ["net: bn-training-mode (proven) in block/bn, max abs *", "  block/bn   bn-training-mode   proven"]
    )
    result.stdout.no_fnmatch_line(TABLE)


@pytest.mark.parametrize("workers", WORKERS)
def test_quiet_shows_cause_place_and_fix(broken_project: Project, workers: list[str]) -> None:
    run = broken_project.run_apart if workers else broken_project.run
    result = run("-q", "--junitxml=junit.xml", *workers)
    lines = [line for line in result.stdout.lines if not line.startswith("[gw")]
    start = next(index for index, line in enumerate(lines) if "FAILURES" in line)
    assert lines[start + 2].startswith("net: bn-training-mode (proven) in block/bn, max abs ")
    assert ". Fix: Build the export graph with training=False, " in lines[start + 2]
    assert re.match(r"-+ \S", lines[start + 3])  # the next section begins
    # what CI gets is whole
    assert "bn-training-mode" in (broken_project.path / "junit.xml").read_text()


@pytest.mark.parametrize("workers", WORKERS)
def test_verdict_cause_and_certainty_have_colours_where_pytest_has(
    broken_project: Project, workers: list[str]
) -> None:
    run = broken_project.run_apart if workers else broken_project.run
    result = run("--color=yes", "--junitxml=junit.xml", *workers)
    text = result.stdout.str()
    (headline,) = [line for line in text.splitlines() if re.match(r"\S*net: bn-training-mode", line)]
    assert headline.startswith(ESCAPE)
    assert re.search(r"block/bn   \x1b\[\S*mbn-training-mode\x1b\[0m   \x1b\[32mproven\x1b\[0m", text)
    assert ESCAPE not in (broken_project.path / "junit.xml").read_text()
    assert "#x1B" not in (broken_project.path / "junit.xml").read_text()


def test_output_into_a_pipe_is_plain(broken_project: Project) -> None:
    assert ESCAPE not in broken_project.run_apart("-v").stdout.str()


def test_a_test_in_python_gets_the_table_in_its_own_section(broken_project: Project) -> None:
    broken_project.write(
        "test_net.py",
        "def test_net(frozen_graph, checkpoint_session, golden_inputs):\n"
        "    assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)\n",
    )
    broken_project.run("-v", "test_net.py").stdout.fnmatch_lines([TABLE, "  > block/bn/FusedBatchNormV3 *"])


@pytest.mark.parametrize("workers", WORKERS)
def test_long_work_has_a_progress_line_on_a_terminal(
    broken_project: Project, workers: tuple[str, ...]
) -> None:
    pytest.importorskip("pty")
    broken_project.write(
        "conftest.py", "import pytest_tfparity.plugin.progress as progress\nprogress.AFTER = 0.05\n"
    )
    command = [sys.executable, "-m", "pytest", *QUIET, "--junitxml=junit.xml", *workers]
    terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    done = subprocess.run(
        [sys.executable, "-c", terminal, *command], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 1
    lines = re.findall(rb"\x1b7\x1b\[K( net: \w+, \d+ s)?\x1b8", done.stdout)
    if workers:
        assert lines == []  # they would write over each other
    else:
        assert len(lines) > 1
        assert lines[-1] == b""
    assert " s\x1b" not in (broken_project.path / "junit.xml").read_text()


def test_into_a_pipe_there_is_no_progress_line(broken_project: Project) -> None:
    broken_project.write(
        "conftest.py", "import pytest_tfparity.plugin.progress as progress\nprogress.AFTER = 0.0\n"
    )
    result = broken_project.run_apart("-s")
    assert "\x1b7" not in result.stdout.str() + result.stderr.str()
