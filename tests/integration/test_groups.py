"""Many models: tests from a pattern, shared out over the workers of pytest-xdist or over machines."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import Project
from pytest_tfparity.__main__ import main

GROUP = """\
models:
  zoo:
    each: exports/*/model.pb
    reference:
      checkpoint: checkpoints/{name}.ckpt
    export:
      frozen_graph: exports/{name}/model.pb
    inputs:
      "image:0": {npz: images.npz, key: image}
    outputs: ["logits:0", "probabilities:0"]
"""


TWINS = GROUP + "".join(
    f"  {name}:\n    reference: {{checkpoint: checkpoints/{checkpoint}.ckpt}}\n"
    "    export: {frozen_graph: exports/gamma/model.pb}\n"
    '    inputs: {"image:0": {npz: images.npz, key: image}}\n    outputs: ["logits:0"]\n'
    for name, checkpoint in {"twin": "alpha", "other": "gamma"}.items()
)
"""``twin`` has a checkpoint in common with ``alpha``, and an export with ``other`` and ``gamma``."""
TWIN_TEST = """\
from pytest_tfparity import assert_parity, parity

@parity("twin")
def test_twin(export_model, reference_model, golden_inputs):
    assert_parity(export_model, reference_model, golden_inputs)
"""


@pytest.fixture
def zoo(empty_project: Project) -> Project:
    """Two right exports and one that is not, each with a checkpoint of its own."""
    for name, options in {"alpha": {}, "beta": {"training_bn": True}, "gamma": {}}.items():
        network = empty_project.add(**options)
        folder = empty_project.path / "exports" / name
        folder.mkdir(parents=True)
        shutil.copy(network.frozen_graph, folder / "model.pb")
        for file in network.folder.glob("model.ckpt-7.*"):
            target = empty_project.path / "checkpoints" / file.name.replace("model.ckpt-7", f"{name}.ckpt")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)
    empty_project.write("tfparity.yaml", GROUP)
    return empty_project


def test_each_match_is_a_test_with_a_name_of_its_own(zoo: Project) -> None:
    result = zoo.run("-v")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["tfparity.yaml::alpha PASSED*", "tfparity.yaml::beta FAILED*", "tfparity.yaml::gamma PASSED*"]
    )
    zoo.run("tfparity.yaml::gamma").assert_outcomes(passed=1)
    zoo.run("-k", "alpha or beta").assert_outcomes(passed=1, failed=1, deselected=1)
    zoo.run("-k", "zoo and not beta").assert_outcomes(passed=2, deselected=1)


def test_a_file_that_is_missing_fails_the_one_test_that_needs_it(zoo: Project) -> None:
    for file in (zoo.path / "checkpoints").glob("gamma.*"):
        file.unlink()
    result = zoo.run("-k", "alpha or gamma")
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["*tfparity.yaml:5: 'checkpoint' of *'gamma' names 'checkpoints/gamma.ckpt'*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_pattern_without_a_match_is_an_error(zoo: Project) -> None:
    zoo.write("tfparity.yaml", GROUP.replace("model.pb\n    reference", "none.pb\n    reference"))
    result = zoo.run()
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["*tfparity.yaml:3: 'each' of model 'zoo' is 'exports/[*]/none.pb', which nothing*"]
    )


def test_goldens_of_a_group_are_written_under_the_names_of_its_models(zoo: Project) -> None:
    zoo.write("tfparity.yaml", GROUP + "    golden: goldens/{name}.npz\n")
    zoo.run("--tfparity-update", "-k", "alpha or gamma").assert_outcomes(passed=2, deselected=1)
    written = sorted(path.name for path in (zoo.path / "goldens").iterdir())
    assert written == ["alpha.npz", "alpha.yaml", "gamma.npz", "gamma.yaml"]
    result = zoo.run("tfparity.yaml::alpha")
    result.assert_outcomes(passed=1)


def test_a_marked_test_runs_for_every_model_of_a_group(zoo: Project) -> None:
    zoo.write(
        "test_zoo.py",
        "from pytest_tfparity import assert_parity, parity\n"
        "@parity()\n"
        "def test_export(export_model, reference_model, golden_inputs):\n"
        "    assert_parity(export_model, reference_model, golden_inputs)\n",
    )
    result = zoo.run("test_zoo.py", "-v")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["test_zoo.py::test_export[[]alpha] PASSED*"])


TOGETHER = [
    "test_twin.py::test_twin",
    *(f"tfparity.yaml::{name}" for name in ("alpha", "gamma", "other", "twin")),
]


def test_tests_that_share_a_file_are_marked_as_one_group(zoo: Project) -> None:
    pytest.importorskip("xdist")
    zoo.write("tfparity.yaml", TWINS)
    zoo.write("test_twin.py", TWIN_TEST)
    zoo.write(
        "conftest.py",
        "import pytest\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n"
        "        print('MARK', item.nodeid, *(mark.args[0] for mark in item.iter_markers('xdist_group')))\n",
    )
    result = zoo.run("--collect-only", "--dist", "loadgroup", "-s")
    marks = dict(
        line.split(" ")[1:] for line in result.outlines if line.startswith("MARK") and line.count(" ") > 1
    )
    assert marks.keys() == set(TOGETHER)
    assert len(set(marks.values())) == 1
    assert "MARK tfparity.yaml::beta" in result.outlines
    assert "MARK tfparity.yaml::alpha" in zoo.run("--collect-only", "-s").outlines


def test_tests_that_share_a_file_go_to_one_worker(zoo: Project) -> None:
    pytest.importorskip("xdist")
    zoo.write("tfparity.yaml", TWINS)
    zoo.write("test_twin.py", TWIN_TEST)
    zoo.write("test_own.py", "import pytest\n@pytest.mark.xdist_group('own')\ndef test_own(): pass\n")
    result = zoo.run_apart("-n", "2", "--dist", "loadgroup", "-v", "--tfparity-report=report")
    result.assert_outcomes(passed=6, failed=1)
    report = json.loads((zoo.path / "report" / "report.json").read_text("utf-8"))
    assert [each["nodeid"] for each in report["checks"]] == sorted([*TOGETHER, "tfparity.yaml::beta"])
    ran = [re.fullmatch(r"\[(gw\d)\] .* (\S+::[^@ ]+)@?(\S*) *", line) for line in result.outlines]
    groups = {found[2]: (found[1], found[3]) for found in ran if found}
    if groups["test_own.py::test_own"][1] != "own":
        pytest.skip("this pytest-xdist does not know this pytest's node ids: it hands out no groups")
    assert len({groups[name] for name in TOGETHER}) == 1


def without_times(report: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(report.read_text("utf-8"))
    for check in content["checks"]:
        check["seconds"] = {}
    return content


def test_two_machines_write_what_one_would(
    zoo: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pytest_split")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(zoo.path / "one.md"))
    zoo.write("tfparity.yaml", GROUP + "    run: always\n")
    zoo.run("--tfparity-report=one").assert_outcomes(passed=2, failed=1)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    split = ("--splits", "2", "--splitting-algorithm", "least_duration")
    ran = [zoo.run(*split, "--group", str(group), f"--tfparity-report=machine-{group}") for group in (1, 2)]
    assert sorted(
        sum(result.parseoutcomes().get(word, 0) for word in ("passed", "failed")) for result in ran
    ) == [1, 2]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(zoo.path / "merged.md"))
    capsys.readouterr()
    assert main(["merge", "machine-2", "machine-1", "--output", "both"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "parity: 2 proven equal, 1 different"
    assert printed[-1].startswith("report: both")
    assert without_times(zoo.path / "both" / "report.json") == without_times(zoo.path / "one" / "report.json")
    assert (zoo.path / "merged.md").read_text("utf-8") == (zoo.path / "one.md").read_text("utf-8")
