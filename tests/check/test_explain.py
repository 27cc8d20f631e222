"""What is said beside a verdict, which stands whatever becomes of that."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Project
from pytest_tfparity.errors import UnreadableFile
from pytest_tfparity.graph.proof import proof
from pytest_tfparity.graph.proof.proof import Side


def test_a_defect_of_the_diagnosis_costs_the_explanation_and_not_the_verdict(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*arguments: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pytest_tfparity.check.explain.diagnose", defect)
    result = broken_project.run()
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert "The diagnosis broke off (ZeroDivisionError: division by zero)" in text
    assert "The verdict stands." in text


def test_what_the_files_do_not_allow_is_noted(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object) -> None:
        raise UnreadableFile("only TensorFlow may know this file")

    monkeypatch.setattr("pytest_tfparity.check.explain.diagnose", refused)
    result = broken_project.run()
    result.assert_outcomes(failed=1)
    assert "No diagnosis: only TensorFlow may know this file" in " ".join(result.stdout.str().split())


def test_proof_and_diagnosis_share_one_normal_form_of_each_side(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Side] = []
    real = proof.form_of

    def counted(side: Side, **options: Any) -> object:
        made.append(side)
        return real(side, **options)

    monkeypatch.setattr(proof, "form_of", counted)
    broken_project.run().assert_outcomes(failed=1)
    assert len(made) > 2, "the repaired export has a form of its own"
    assert len({id(side.graph) for side in made}) == len(made)
