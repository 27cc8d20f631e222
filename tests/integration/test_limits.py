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
import re
import time
import numpy as np

def crash():
    os.abort()

def hang():
    with open("worker.pid", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

def hold():
    # lets no other thread of Python run meanwhile
    with open("worker.pid", "w") as file:
        file.write(str(os.getpid()))
    re.match("(a+)+$", "a" * 60 + "b")

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
        ("crash", "    isolate: true\n", "the process that checked it ended (signal 6, SIGABRT)"),
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
    text = " ".join(line.strip() for line in result.outlines)
    assert said in text
    assert "It compared model.pb with model.ckpt-7 (model.ckpt-7.index and model.ckpt-7.meta);" in text
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


SEEN = """\
import json
import os
import sys
import numpy as np

def see():
    with open("seen.jsonl", "a") as file:
        seen = [os.getpid(), os.getcwd(), os.environ["COLOUR"], sys.path, "helpers" in sys.modules]
        print(json.dumps(seen), file=file)
    return np.load("images.npz")["image"]

def crash():
    see()
    os.abort()

def leave():
    see()
    sys.exit("not today")

def skip():
    import pytest
    pytest.skip("not here")
"""
CONFTEST = """\
import os
import sys
import helpers

os.environ["COLOUR"] = "green"
sys.path.append("/somewhere/else")

def pytest_unconfigure():
    print("the tests have", os.getpid(), sorted({"tensorflow", "multiprocessing"} & {*sys.modules}))
"""


def observed(project: Project, *functions: str) -> None:
    """A check for each function that gives its input, after one that is proven; nothing is stated of isolation."""
    model = MANIFEST.split("models:\n")[1]
    models = [model]
    for number, function in enumerate(functions):
        called = model.replace("{npz: images.npz, key: image}", f"{{call: seen:{function}}}")
        models.append(called.replace("net:", f"{function}{number}:") + "    run: always\n")
    project.write("seen.py", SEEN)
    project.write("conftest.py", CONFTEST)
    project.write("helpers.py", "")
    project.write("tfparity.yaml", "models:\n" + "".join(models))


def run_by_default(project: Project, *arguments: str) -> pytest.RunResult:
    """Run pytest as a user does: nothing is stated of isolation."""
    return project.pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_what_is_proven_needs_no_other_process_and_no_tensorflow(project: Project) -> None:
    observed(project)
    result = run_by_default(project)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["the tests have * [[]]"])


@posix
def test_what_must_be_run_is_run_in_one_other_process_until_it_ends(project: Project) -> None:
    observed(project, "see", "see", "crash", "leave")
    result = run_by_default(project)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["the tests have * [[]'multiprocessing'[]]"])
    tests = int(result.stdout.str().partition("the tests have ")[2].split()[0])
    seen = [json.loads(line) for line in (project.path / "seen.jsonl").read_text().splitlines()]
    first, second, third, fourth = (pid for pid, *_ in seen)
    assert first == second == third
    assert len({tests, first, fourth}) == 3
    for _, folder, colour, path, helped in seen:
        assert (folder, colour, helped) == (str(project.path), "green", True)
        assert {str(project.path), "/somewhere/else"} <= set(path)


def test_a_check_that_need_not_be_isolated_is_run_in_the_process_of_the_tests(project: Project) -> None:
    observed(project, "leave")
    result = run_by_default(project, "--tfparity-isolate=false")
    result.assert_outcomes(passed=1, failed=1)
    pid = json.loads((project.path / "seen.jsonl").read_text())[0]
    result.stdout.fnmatch_lines([f"the tests have {pid} [[][]]"])


def test_a_function_of_the_project_that_skips_or_leaves_in_the_other_process_is_named(
    project: Project,
) -> None:
    observed(project, "skip", "leave")
    result = run_by_default(project)
    result.assert_outcomes(passed=1, failed=2)
    skipped = (
        "skip0: a function of the project raised Skipped: not here, which pytest does not see in the process*"
    )
    result.stdout.fnmatch_lines([skipped])
    result.stdout.fnmatch_lines(
        ["leave1: Input image:0: seen:leave raised SystemExit: not today, in seen.py*"]
    )


def test_a_conftest_that_only_pytest_can_import_is_named_where_a_check_does_not_pass(
    project: Project,
) -> None:
    observed(project, "see", "leave")
    project.write("conftest.py", f'{CONFTEST}\nassert "_pytest.main" in sys.modules, "not without pytest"\n')
    result = run_by_default(project, "-v")
    result.assert_outcomes(passed=2, failed=1)
    said = result.stdout.str()
    assert said.count("conftest.py could not be imported in the process of the check") == 1
    assert "(AssertionError: not without pytest)" in said


def test_a_script_that_runs_pytest_is_not_run_again(project: Project) -> None:
    observed(project, "leave")
    script = "import pytest\nprint('the script runs')\npytest.main(['-q', '-p', 'no:cacheprovider'])\n"
    result = project.pytester.runpython(project.write("script.py", script))
    result.stdout.fnmatch_lines(["*1 failed, 1 passed*"])
    assert result.stdout.str().count("the script runs") == 1


@posix
def test_a_command_outlives_what_it_runs(project: Project) -> None:
    """The files of a crash in TensorFlow: a library of theirs that ends the process in which it is loaded."""
    project.write("tensorflow/__init__.py", "import os\nos.abort()\n")
    files = ["model.ckpt-7", "model.pb", "--run", "always"]
    result = project.pytester.run(sys.executable, "-m", "pytest_tfparity", "check", *files)
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["model: *the process that checked it ended while it ran them (signal 6, SIGABRT)*"]
    )


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked for is none."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("sent", "function"),
    [(signal.SIGINT, "hang"), (signal.SIGTERM, "hang"), (signal.SIGKILL, "hang"), (signal.SIGKILL, "hold")],
    ids=lambda each: getattr(each, "name", each),
)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc for what runs")
def test_a_session_that_is_ended_takes_its_worker_along(
    project: Project, sent: signal.Signals, function: str
) -> None:
    hostile(project, function, "    isolate: true\n")
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
