"""How a failure in words of our own comes through to everything that shows failures."""

import pickle
from xml.etree import ElementTree

import pytest

from conftest import MANIFEST, WORKERS, Project
from pytest_tfparity import ParityFailure, ParityResult
from pytest_tfparity.errors import TensorFlowMissing

SUMMARY = "bn-training-mode (proven) in block/bn, max abs * (atol 1e-05)*"
"""The first line where the name of the test stands before it."""
HEADLINE = f"net: {SUMMARY}"
MISTAKE = "def test_net(frozen_graph):\n    frozen_graph.run({'imagee:0': 0})\n"
NO_VALUES = "No values for input image:0; given are imagee:0. Name them 'image:0', not 'imagee:0'."


def run(project: Project, workers: list[str], *arguments: str) -> pytest.RunResult:
    return (project.run_apart if workers else project.run)(*workers, *arguments)


@pytest.mark.parametrize("workers", WORKERS)
def test_the_short_summary_has_the_first_line(broken_project: Project, workers: list[str]) -> None:
    broken_project.write("test_net.py", MISTAKE)
    result = run(broken_project, workers)
    result.stdout.fnmatch_lines_random(
        [
            "FAILED tfparity.yaml::net - bn-training-mode (proven) in block/bn, max abs*",
            "FAILED test_net.py::test_net?net? - No values for*",
        ]
    )


@pytest.mark.parametrize("workers", WORKERS)
def test_one_line_a_failure_names_the_line_of_the_manifest_and_of_the_test(
    broken_project: Project, workers: list[str]
) -> None:
    broken_project.write("test_net.py", MISTAKE)
    result = run(broken_project, workers, "--tb=line")
    result.stdout.fnmatch_lines_random([f"*tfparity.yaml:2: {SUMMARY}", f"*test_net.py:2: {NO_VALUES}"])
    result.stdout.no_fnmatch_line("*More: tfparity explain*")


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("style", ["long", "short", "native"])
def test_every_style_of_traceback_shows_the_same(
    broken_project: Project, workers: list[str], style: str
) -> None:
    broken_project.write("test_net.py", MISTAKE)
    result = run(broken_project, workers, f"--tb={style}")
    result.stdout.fnmatch_lines_random([HEADLINE, "  block/bn   bn-training-mode   proven", NO_VALUES])
    result.stdout.no_fnmatch_line("*pytest_tfparity/*")


@pytest.mark.parametrize("workers", WORKERS)
def test_junit_has_cause_place_and_fix_as_message_and_the_whole_as_text(
    broken_project: Project, workers: list[str]
) -> None:
    run(broken_project, workers, "--junitxml=junit.xml")
    (failure,) = ElementTree.parse(broken_project.path / "junit.xml").iter("failure")
    lines = (failure.text or "").splitlines()
    assert lines[0].startswith("net: bn-training-mode (proven) in block/bn, max abs ")
    fix = "Fix: Build the export graph with training=False, restore model.ckpt-7, freeze again."
    assert lines[0].endswith(f". {fix}")
    assert failure.get("message") == lines[0].removeprefix("net: ")
    assert "  block/bn   bn-training-mode   proven" in lines


def test_junit_is_the_same_without_a_terminal(broken_project: Project) -> None:
    broken_project.write("test_net.py", MISTAKE)
    texts = []
    for options in ([], ["-p", "no:terminal"]):
        assert broken_project.run("--junitxml=junit.xml", *options).ret == 1
        tree = ElementTree.parse(broken_project.path / "junit.xml")
        texts.append([each.text for each in tree.iter("failure")])
    assert texts[0] == texts[1]
    assert NO_VALUES in texts[0]


def test_plugins_get_the_text_of_the_report_and_it_can_be_sent_on(broken_project: Project) -> None:
    broken_project.write(
        "conftest.py",
        "import json\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.failed:\n"
        "        print('text:', report.longreprtext.splitlines()[0])\n"
        "def pytest_report_to_serializable(config, report):\n"
        "    pass\n"
        "import pytest\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_terminal_summary(terminalreporter, config):\n"
        "    for report in terminalreporter.stats['failed']:\n"
        "        sent = config.hook.pytest_report_to_serializable(config=config, report=report)\n"
        "        json.dumps(sent)\n"
        "        back = config.hook.pytest_report_from_serializable(config=config, data=sent)\n"
        "        terminalreporter.line('back: ' + back.longreprtext.splitlines()[0])\n",
    )
    result = broken_project.run("-s", "--color=yes")
    result.stdout.fnmatch_lines([f"*text: {HEADLINE}", f"*back: {HEADLINE}"])


def test_a_mistake_is_told_without_the_exception_that_gave_it_away(project: Project) -> None:
    project.write("makers.py", "def image():\n    raise KeyError('no such image')\n")
    project.write(
        "tfparity.yaml", MANIFEST.replace("{npz: images.npz, key: image}", "{call: 'makers:image'}")
    )
    project.write("test_net.py", "def test_net(golden_inputs):\n    dict(golden_inputs)\n")
    result = project.run("test_net.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["_* test_net?net? _*", "Input image:0: makers:image raised KeyError*makers.py:2*"]
    )
    result.stdout.no_fnmatch_line("*direct cause*")


def test_a_marker_without_a_name_is_a_mistake_and_not_the_end_of_the_run(project: Project) -> None:
    project.write(
        "test_net.py",
        "from pytest_tfparity import parity\n"
        "@parity(3)\n"
        "def test_three(frozen_graph): pass\n"
        "def test_after(): pass\n",
    )
    result = project.run("test_net.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*test_net.py:2: @parity takes names of models and keyword arguments, not 3."]
    )


def test_a_check_that_fails_in_a_fixture_is_counted(broken_project: Project) -> None:
    broken_project.write(
        "test_net.py",
        "import pytest\n"
        "from pytest_tfparity import assert_parity\n"
        "@pytest.fixture\n"
        "def checked(frozen_graph, checkpoint_session):\n"
        "    assert_parity(frozen_graph, checkpoint_session)\n"
        "def test_net(checked): pass\n",
    )
    result = broken_project.run("test_net.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["parity: 1 different"])


def test_what_a_fixture_compared_is_shown_by_the_test_that_fails_on_it(broken_project: Project) -> None:
    broken_project.write(
        "test_net.py",
        "import pytest\n"
        "@pytest.fixture\n"
        "def equal(frozen_graph, checkpoint_session, golden_inputs):\n"
        "    return frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)\n"
        "def test_net(equal):\n"
        "    assert equal\n",
    )
    result = broken_project.run("test_net.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- tfparity -*", HEADLINE, "  block/bn   bn-training-mode   proven"])
    result.stdout.fnmatch_lines(["parity: 1 different"])


def test_a_mistake_after_a_check_leaves_what_the_check_found(project: Project) -> None:
    project.write(
        "test_net.py",
        "import pytest\n"
        "from pytest_tfparity import UsageError, assert_parity\n"
        "@pytest.fixture\n"
        "def after():\n"
        "    yield\n"
        "    raise UsageError('Not so.')\n"
        "def test_net(after, frozen_graph, checkpoint_session):\n"
        "    assert_parity(frozen_graph, checkpoint_session)\n",
    )
    result = project.run("test_net.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["Not so.", "parity: 1 proven equal, 1 not comparable"])


@pytest.mark.parametrize("workers", WORKERS)
def test_an_expected_failure_is_one(broken_project: Project, workers: list[str]) -> None:
    broken_project.write(
        "conftest.py",
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n"
        "        item.add_marker(pytest.mark.xfail(strict=True, reason='known'))\n",
    )
    result = run(broken_project, workers, "-rx")
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["parity: 1 different", "XFAIL tfparity.yaml::net - known"])


def test_a_failure_can_be_sent_to_another_process() -> None:
    failure = ParityFailure(ParityResult(nodeid="a", model="net", verdict="error", error="No such file."))
    copy = pickle.loads(pickle.dumps(failure))
    assert (str(copy), copy.result) == ("net: No such file.", failure.result)


def test_without_tensorflow_the_files_alone_tell_what_is_wrong(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> object:
        raise TensorFlowMissing("Running a model needs TensorFlow, which is not installed.")

    monkeypatch.setattr("pytest_tfparity.runtime.session.tensorflow", missing)
    result = broken_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "net: bn-training-mode (proven) in block/bn*. Fix: Build *",
            "*Running a model needs TensorFlow*",
        ]
    )
    result.stdout.fnmatch_lines(["parity: 1 not comparable"])
