"""What CI systems get: JUnit properties, annotations, a summary."""

from xml.etree import ElementTree

import pytest

from conftest import MANIFEST, Project
from reports.junit_schema import violations


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_junit_properties_name_verdict_cause_and_culprits(
    broken_project: Project, workers: list[str]
) -> None:
    run = broken_project.run_apart if workers else broken_project.run
    assert run("--junitxml=junit.xml", *workers).ret == 1
    tree = ElementTree.parse(broken_project.path / "junit.xml")
    found = {each.get("name"): each.get("value") for each in tree.iter("property")}
    test = "tfparity.yaml::net::"
    assert found[f"{test}tfparity.verdict"] == "fail"
    assert float(found[f"{test}tfparity.max_abs"] or "") > 0
    assert found[f"{test}tfparity.cause"] == "bn-training-mode (proven)"
    assert found[f"{test}tfparity.culprits"] == "block/bn"
    assert list(violations(tree.getroot())) == []  # the same that Jenkins asks


def test_the_older_junit_family_has_the_properties_in_the_test_case(broken_project: Project) -> None:
    broken_project.run("--junitxml=junit.xml", "-o", "junit_family=xunit1")
    tree = ElementTree.parse(broken_project.path / "junit.xml")
    (case,) = tree.iter("testcase")
    assert {"name": "tfparity.verdict", "value": "fail"} in [each.attrib for each in case.iter("property")]
    assert len(list(tree.iter("properties"))) == 1
    assert "testcase may not hold properties" in list(violations(tree.getroot()))


def test_a_junit_file_of_every_verdict_is_one_that_jenkins_reads(broken_project: Project) -> None:
    model = MANIFEST.partition("\n")[2]
    missing = model.replace("net:", "missing:").replace("logits:0", "logit:0")
    broken_project.write("tfparity.yaml", MANIFEST + missing)
    broken_project.write(
        "test_net.py",
        "def test_net(frozen_graph, checkpoint_session, golden_inputs):\n"
        "    assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)\n",
    )
    broken_project.run("--junitxml=junit.xml")
    tree = ElementTree.parse(broken_project.path / "junit.xml")
    found = {each.get("name"): each.get("value") for each in tree.iter("property")}
    assert found["tfparity.yaml::missing::tfparity.verdict"] == "error"
    assert found["test_net.py::test_net[net]::tfparity.verdict"] == "fail"
    assert list(violations(tree.getroot())) == []


def test_github_gets_annotations_on_the_manifests_line_and_a_summary(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = broken_project.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    result = broken_project.run()
    result.stdout.fnmatch_lines(
        [
            "::error file=tfparity.yaml,line=2,title=parity%3A net::bn-training-mode (proven) in block/bn*. Fix: *%0A*"
        ]
    )
    text = page.read_text()
    assert (
        "| net | **different** | `bn-training-mode` (proven) in `block/bn` | Build the export graph with"
        in text
    )
    assert "- **bn-training-mode** (proven): `block/bn`" in text


def test_elsewhere_nothing_is_annotated(broken_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    broken_project.run().stdout.no_fnmatch_line("::error*")
