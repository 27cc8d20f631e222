"""Every case of the fault corpus gets its verdict, its causes, its layers and its certainty."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("tensorflow")

from faults.cases import CASES
from faults.corpus import Case, examined, problems


def parameters() -> list[object]:
    return [
        pytest.param(case, id=re.sub(r"\W+", "_", case.name), marks=[pytest.mark.slow] if case.slow else [])
        for case in CASES
    ]


@pytest.mark.parametrize("case", parameters())
def test_a_fault_is_found_and_a_right_export_passes(case: Case) -> None:
    result = examined(case)
    assert problems(case, result) == [], [finding.message for finding in result.findings]


def test_names_of_cases_are_told_apart() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
