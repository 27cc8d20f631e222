"""``--tfparity-report``: the result for other programs."""

import json

import pytest

from conftest import MANIFEST, Project
from pytest_tfparity.graph.read.graphdef import read_graph

CHECK_KEYS = {
    "nodeid", "model", "verdict", "error", "outputs", "findings", "first_divergence", "downstream", "health", "seconds"
}  # fmt: skip
OUTPUT_KEYS = {
    "reference", "export", "max_abs", "max_rel", "worst_index", "failing", "total", "atol", "rtol",
    "required_atol", "required_rtol",
}  # fmt: skip


def read(project: Project) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((project.path / "out" / "report.json").read_text(), parse_constant=refuse)


def test_the_report_follows_its_schema(broken_project: Project) -> None:
    broken_project.run("--tfparity-report=out").assert_outcomes(failed=1)
    report = read(broken_project)
    assert report["schema"] == 1
    assert set(report["environment"]) >= {"tensorflow", "numpy", "python"}
    (check,) = report["checks"]
    assert set(check) >= CHECK_KEYS
    assert (check["nodeid"], check["model"], check["verdict"]) == ("tfparity.yaml::net", "net", "fail")
    assert check["error"] is None
    for output in check["outputs"]:
        assert set(output) >= OUTPUT_KEYS
        assert 0 < output["failing"] <= output["total"] == 16
        assert output["required_atol"] <= output["max_abs"]
    assert set(check["seconds"]) == {"load", "proof", "run", "diagnosis"}
    assert check["seconds"]["run"] > 0


def test_a_proven_check_ran_nothing(project: Project) -> None:
    project.run("--tfparity-report=out")
    (check,) = read(project)["checks"]
    assert check["verdict"] == "proven"
    assert check["seconds"]["run"] == 0
    assert check["outputs"] == []


def test_run_always_adds_numbers_to_a_proof(project: Project) -> None:
    project.run("--tfparity-report=out", "--tfparity-run=always").assert_outcomes(passed=1)
    (check,) = read(project)["checks"]
    assert check["verdict"] == "proven"
    assert [output["max_abs"] for output in check["outputs"]] == [0.0, 0.0]


def test_a_check_that_could_not_be_made_is_in_the_report(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST.replace('"logits:0"', '"logit:0"'))
    project.run("--tfparity-report=out").assert_outcomes(failed=1)
    (check,) = read(project)["checks"]
    assert check["verdict"] == "error"
    assert "'logit:0'" in check["error"]


def test_python_tests_and_their_mistakes_are_in_the_report(project: Project) -> None:
    project.write(
        "test_it.py",
        """
from pytest_tfparity import parity

@parity("net")
def test_right(frozen_graph, checkpoint_session, golden_inputs):
    assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)

@parity("nett")
def test_mistake(frozen_graph):
    pass
""",
    )
    project.run("test_it.py", "--tfparity-report=out").assert_outcomes(passed=1, errors=1)
    checks = {check["nodeid"]: check for check in read(project)["checks"]}
    assert checks["test_it.py::test_right"]["verdict"] == "proven"
    assert checks["test_it.py::test_mistake"]["verdict"] == "error"


def test_the_results_of_all_workers_are_merged(project: Project) -> None:
    more = MANIFEST.split("models:\n")[1]
    project.write("tfparity.yaml", MANIFEST + more.replace("net:", "b:") + more.replace("net:", "c:"))
    result = project.run_apart("-n", "2", "--tfparity-report=out")
    result.assert_outcomes(passed=3)
    assert [check["model"] for check in read(project)["checks"]] == ["b", "c", "net"]
    result.stdout.fnmatch_lines(["parity: 3 proven equal", "report: *out*report.json*"])


def test_a_failing_check_under_xdist_fails_the_run(broken_project: Project) -> None:
    result = broken_project.run_apart("-n", "2", "--tfparity-report=out", "--junitxml=junit.xml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FAILED tfparity.yaml::net - bn-training-mode (proven) in block/bn, max abs*"]
    )


@pytest.mark.parametrize("option", [[], ["--tfparity-report=out"]])
def test_a_session_without_parity_tests_says_nothing(empty_project: Project, option: list[str]) -> None:
    empty_project.write("test_it.py", "def test_it(): pass\n")
    result = empty_project.run(*option)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("parity:*")
    assert (empty_project.path / "out").exists() == bool(option)


def test_a_report_that_cannot_be_written_costs_no_verdict(project: Project) -> None:
    project.write("out", "a file")
    result = project.run("--tfparity-report=out")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "parity: 1 proven equal",
            "report: The report cannot be written into out: File exists. Name another folder.",
        ]
    )


def test_an_overlay_for_model_explorer_colours_the_culprit_in_the_frozen_graph(
    broken_project: Project,
) -> None:
    broken_project.run("--tfparity-report=out")
    content = json.loads((broken_project.path / "out" / "model_explorer" / "net.json").read_text())
    names = list(read_graph(broken_project.path / "model.pb").nodes)
    results = {names[int(place)]: result for place, result in content["main"]["results"].items()}
    assert [name for name, result in results.items() if "bgColor" in result] == ["block/bn/FusedBatchNormV3"]
    assert results["block/bn/FusedBatchNormV3"]["value"] > 0
    assert {"Relu", "probabilities"} <= {name for name, result in results.items() if result["value"] > 0}


def test_a_check_that_passes_has_no_overlay(project: Project) -> None:
    project.run("--tfparity-report=out")
    assert not (project.path / "out" / "model_explorer").exists()
