"""Every case of the fault corpus gets its verdict, its causes, its layers and its certainty."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("tensorflow")

from faults.cases import CASES
from faults.corpus import Case, examined, problems


def parameters() -> list[object]:
    """All cases; those with findings that another has shown before, on another network, are slow ones."""
    found, shown = [], set()
    for case in CASES:
        told = tuple(sorted((each.cause, each.certainty) for each in case.findings))
        marks = [pytest.mark.slow] if case.slow or (told and told in shown) else []
        shown.add(told)
        found.append(pytest.param(case, id=re.sub(r"\W+", "_", case.name), marks=marks))
    return found


@pytest.mark.parametrize("case", parameters())
def test_a_fault_is_found_and_a_right_export_passes(case: Case) -> None:
    result = examined(case)
    assert problems(case, result) == [], [finding.message for finding in result.findings]


def test_names_of_cases_are_told_apart() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
