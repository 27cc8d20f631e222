"""What CI systems get: JUnit properties, annotations, a summary."""

from xml.etree import ElementTree

import pytest

from conftest import Project


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_junit_properties_name_verdict_cause_and_culprits(
    broken_project: Project, workers: list[str]
) -> None:
    run = broken_project.run_apart if workers else broken_project.run
    assert run("--junitxml=junit.xml", *workers).ret == 1
    tree = ElementTree.parse(broken_project.path / "junit.xml")
    found = {each.get("name"): each.get("value") for each in tree.iter("property")}
    assert found["tfparity.verdict"] == "fail"
    assert float(found["tfparity.max_abs"] or "") > 0
    assert found["tfparity.cause"] == "bn-training-mode (proven)"
    assert found["tfparity.culprits"] == "block/bn"


def test_github_gets_annotations_on_the_manifests_line_and_a_summary(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = broken_project.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    result = broken_project.run()
    result.stdout.fnmatch_lines(
        ["::error file=tfparity.yaml,line=2,title=parity%3A net::net: export differs*%0Abn-training-mode: *"]
    )
    text = page.read_text()
    assert "| net | **different** | " in text
    assert "- **bn-training-mode** (proven): `block/bn`" in text


def test_elsewhere_nothing_is_annotated(broken_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    broken_project.run().stdout.no_fnmatch_line("::error*")
