"""A check that crashes, hangs or grows costs itself and nothing else, and nothing of it survives the session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import MANIFEST, QUIET, Project

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

HOSTILE = """\
import os
import time
import numpy as np

def crash():
    os.abort()

def hang():
    with open("worker.pid", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

def grow():
    kept = []
    for _ in range(600):
        kept.append(np.ones(1_000_000))
        time.sleep(0.01)
    return np.ones(1)

def wrong():
    raise KeyError("a mistake of the project")
"""


def hostile(project: Project, function: str, settings: str = "") -> None:
    """Two checks: one whose input comes from ``function``, and one that is right."""
    project.write("hostile.py", HOSTILE)
    model = MANIFEST.split("models:\n")[1]
    bad = model.replace("net:", "bad:").replace(
        "{npz: images.npz, key: image}", f"{{call: hostile:{function}}}"
    )
    project.write("tfparity.yaml", f"models:\n{bad}    run: always\n{settings}{model}")


@pytest.mark.parametrize(
    ("function", "settings", "said"),
    [
        ("crash", "    isolate: true\n", "TensorFlow ended the process that checked it (signal 6, SIGABRT)"),
        ("hang", "    timeout: 8\n", "the check did not end within 8 seconds (`timeout`) and was ended"),
        ("grow", "    memory: 2\n", "GB of memory, 2 are allowed (`memory`), and was ended"),
    ],
)
@posix
def test_a_check_that_misbehaves_is_named_and_the_others_are_made_and_reported(
    project: Project, function: str, settings: str, said: str
) -> None:
    hostile(project, function, settings)
    result = project.run_apart("--tfparity-isolate=true", "--tfparity-report=out", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["bad: *", "parity: 1 proven equal, 1 not comparable"])
    assert said in result.stdout.str().replace("\n", " ")
    checks = json.loads((project.path / "out" / "report.json").read_text())["checks"]
    assert {check["model"]: check["verdict"] for check in checks} == {"bad": "error", "net": "proven"}
    cases = ElementTree.parse(project.path / "junit.xml").getroot().iter("testcase")
    assert {case.get("name"): len(case) for case in cases} == {"bad": 1, "net": 0}


@posix
def test_a_crash_is_counted_under_xdist(project: Project) -> None:
    hostile(project, "crash", "    isolate: true\n")
    result = project.run_apart("-n", "1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["parity: 1 proven equal, 1 not comparable"])


def test_what_a_function_of_the_project_raises_is_told_as_without_a_worker(project: Project) -> None:
    hostile(project, "wrong", "    isolate: true\n")
    result = project.run_apart()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["bad: Input image:0: hostile:wrong *KeyError*a mistake of the project*"])


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked for is none."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc for what runs")
def test_a_session_that_is_ended_takes_its_worker_along(project: Project, sent: signal.Signals) -> None:
    hostile(project, "hang", "    isolate: true\n")
    # a shell in the background, as CI may be, ignores Ctrl-C, and hands that on to what it starts
    default = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = f"{default}; import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    session = subprocess.Popen(
        [sys.executable, "-c", start, *QUIET], cwd=project.path, stdout=subprocess.PIPE, text=True
    )
    pid_file = project.path / "worker.pid"
    waited = time.monotonic() + 120
    while not (pid_file.exists() and pid_file.read_text()):
        assert session.poll() is None
        assert time.monotonic() < waited
        time.sleep(0.05)
    worker = int(pid_file.read_text())
    assert alive(worker)
    session.send_signal(sent)
    printed, _ = session.communicate(timeout=60)
    ended = time.monotonic() + 20
    while alive(worker):
        assert time.monotonic() < ended
        time.sleep(0.05)
    assert ("KeyboardInterrupt" in printed) == (sent == signal.SIGINT)
