"""The plugin beside pytest's own options, and in suites that have nothing to do with it."""

from conftest import Project

TEST = """
from pytest_tfparity import parity

@parity("net")
def test_export(frozen_graph, checkpoint_session, golden_inputs):
    assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)
"""


def test_warnings_as_errors_and_strict_markers_pass(project: Project) -> None:
    project.write("test_it.py", TEST)
    project.run_apart("-W", "error", "--strict-markers", "--strict-config").assert_outcomes(passed=2)


def test_without_assertion_rewriting_the_report_is_still_printed(broken_project: Project) -> None:
    broken_project.write("test_it.py", TEST)
    result = broken_project.run_apart("-p", "no:assertion", "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- tfparity -*", "net: bn-training-mode (proven) in block/bn, max abs *"])


def test_without_the_plugin_its_tests_fail_for_want_of_fixtures(project: Project) -> None:
    project.write("test_it.py", TEST)
    result = project.run_apart("-p", "no:tfparity", "test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'frozen_graph' not found*"])


def test_a_suite_without_parity_tests_imports_nothing_heavy(empty_project: Project) -> None:
    empty_project.write(
        "test_it.py",
        """
import sys

def test_light():
    assert not {"numpy", "yaml", "tensorflow", "google.protobuf"} & set(sys.modules)
""",
    )
    empty_project.run_apart().assert_outcomes(passed=1)


def test_a_proven_session_never_imports_tensorflow(project: Project) -> None:
    project.write(
        "test_zz.py",
        """
import sys
from pytest_tfparity import assert_parity, parity

@parity("net")
def test_explicit(frozen_graph, checkpoint_session, golden_inputs):
    assert_parity(frozen_graph, checkpoint_session, golden_inputs)

def test_light():
    assert "tensorflow" not in sys.modules
""",
    )
    project.run_apart("tfparity.yaml", "test_zz.py").assert_outcomes(passed=3)


def test_the_fixtures_read_like_a_manual(empty_project: Project) -> None:
    result = empty_project.run("--fixtures")
    for name in ("frozen_graph", "checkpoint_session", "golden_inputs", "golden_outputs", "parity_model"):
        result.stdout.fnmatch_lines([f"{name} *"])
    result.stdout.no_fnmatch_line("*tfparity_bench*")
