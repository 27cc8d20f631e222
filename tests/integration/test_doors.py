"""The ways in that a user may try: names of manifests, folders to start from, settings with and without quotes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import MANIFEST, Project
from pytest_tfparity.__main__ import main

TEST = """\
from pytest_tfparity import assert_parity, parity

@parity
def test_export(frozen_graph, checkpoint_session):
    assert_parity(frozen_graph, checkpoint_session)
"""


def test_a_manifest_may_end_in_yml(project: Project) -> None:
    (project.path / "tfparity.yaml").rename(project.path / "tfparity.yml")
    project.write("test_it.py", TEST)
    project.run("-v").assert_outcomes(passed=2)


def test_two_manifests_in_one_folder_are_an_error(project: Project) -> None:
    project.write("tfparity.yml", MANIFEST)
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["tfparity.yaml and tfparity.yml are two manifests for one folder, and only one*"]
    )
    project.run("tfparity.yml", "--tfparity-manifest=tfparity.yml").assert_outcomes(passed=1)


def test_a_manifest_above_the_tests_is_found_without_an_ini_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("tests/test_it.py", TEST)
    monkeypatch.chdir(project.path / "tests")
    project.run("--rootdir", str(project.path / "tests")).assert_outcomes(passed=1)


def test_the_search_ends_where_a_repository_does(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("tests/test_it.py", TEST)
    (project.path / "tests" / ".git").mkdir()
    monkeypatch.chdir(project.path / "tests")
    result = project.run("--rootdir", str(project.path / "tests"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*this test names no model, and no tfparity.yaml was found in*"])


@pytest.mark.skipif(not hasattr(pytest, "version_tuple") or pytest.version_tuple < (9,), reason="of pytest 9")
@pytest.mark.parametrize("content", ["[tool.pytest]\n", "[tool.pytest.ini_options]\n"])
def test_settings_of_a_toml_file_may_be_numbers(broken_project: Project, content: str) -> None:
    broken_project.write("pyproject.toml", f"{content}tfparity_atol = 100\ntfparity_isolate = false\n")
    broken_project.run().assert_outcomes(passed=1)


def test_inputs_that_a_marker_does_not_state_are_random_numbers(project: Project) -> None:
    project.write(
        "test_it.py",
        TEST.replace("@parity", "@parity(checkpoint='model.ckpt-7', frozen_graph='model.pb', run='always')"),
    )
    project.run("test_it.py").assert_outcomes(passed=1)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("pytest-tfparity ")


def test_without_a_command_all_of_them_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "init" in printed.err
    assert "write a first tfparity.yaml for a reference and its export" in printed.err


def test_a_check_prints_its_result_for_programs(
    broken_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(broken_project.path)
    assert main(["check", "model.ckpt-7", "model.pb", "--json"]) == 1
    (check,) = json.loads(capsys.readouterr().out)["checks"]
    assert (check["verdict"], check["findings"][0]["cause"]) == ("fail", "bn-training-mode")


def test_the_program_is_on_the_path_of_who_installs_it() -> None:
    script = Path(sys.executable).parent / "tfparity"
    if not script.exists():
        pytest.skip("the package is not installed")
    assert subprocess.run(
        [script, "--version"], capture_output=True, text=True, check=True
    ).stdout.startswith("pytest-tfparity ")


def test_an_update_may_be_followed_by_the_test_that_it_is_for(project: Project) -> None:
    model = MANIFEST.split("models:\n")[1] + "    golden: NAME.npz\n"
    text = "models:\n" + model.replace("NAME", "a") + model.replace("net:", "other:").replace("NAME", "b")
    project.write("tfparity.yaml", text)
    project.run("--tfparity-update", "tfparity.yaml::net").assert_outcomes(passed=1)
    assert [path.name for path in project.path.glob("?.npz")] == ["a.npz"]
    project.run("--tfparity-update", "new").assert_outcomes(passed=2)
    result = project.run("--tfparity-update=most")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --tfparity-update takes all, new or force, not 'most'."])


def test_a_model_may_be_skipped_expected_to_fail_or_marked(broken_project: Project) -> None:
    one = MANIFEST.split("models:\n")[1]
    stated = {"skip": "skip: not trained yet", "xfail": "xfail: known since May", "marks": "marks: [nightly]"}
    models = (f"{one.replace('net:', f'{name}:')}    {line}\n" for name, line in stated.items())
    broken_project.write("tfparity.yaml", "models:\n" + "".join(models))
    broken_project.write("pytest.ini", "[pytest]\nmarkers = nightly\n")
    result = broken_project.run("-rsx")
    result.assert_outcomes(skipped=1, xfailed=1, failed=1)
    result.stdout.fnmatch_lines_random(["SKIPPED*not trained yet", "XFAIL*known since May*"])
    broken_project.run("-m", "not nightly").assert_outcomes(skipped=1, xfailed=1, deselected=1)


def test_a_test_that_is_run_again_is_one_check(broken_project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    result = broken_project.run("--reruns=2", "--tfparity-report=report")
    assert result.parseoutcomes() == {"failed": 1, "rerun": 2}
    result.stdout.fnmatch_lines(["parity: 1 different"])
    assert len(json.loads((broken_project.path / "report/report.json").read_text())["checks"]) == 1
