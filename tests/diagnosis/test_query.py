"""How long the answer to a query holds."""

from __future__ import annotations

from graphs.weights import Weights, trained
from graphs.weights import evidence as evidence_of
from pytest_tfparity.diagnosis.alignment import divergences
from pytest_tfparity.diagnosis.evidence import CaseEvidence, Evidence, ReferenceEvidence
from pytest_tfparity.diagnosis.query import case_query, query, reference_query

ASKED: list[str] = []


@query
def of_both(evidence: Evidence) -> int:
    ASKED.append("both")
    return len(evidence[divergences])


@case_query
def of_the_case(evidence: CaseEvidence) -> str:
    ASKED.append("case")
    return evidence.case.export_name


@reference_query
def of_the_reference(evidence: ReferenceEvidence) -> int:
    ASKED.append("reference")
    return len(evidence.reference.variables)


def asked(evidence: Evidence) -> list[str]:
    """What had to be found to answer all three."""
    ASKED.clear()
    assert (evidence[of_the_case], evidence[of_the_reference]) == ("model.pb", 17)
    assert evidence[of_both] >= 0
    return list(ASKED)


def test_an_answer_is_found_once_and_a_repair_costs_only_what_saw_the_export() -> None:
    network = Weights()
    wrong = evidence_of(network, network.values | {"a/conv/kernel": trained(5)["a/conv/kernel"]})
    assert asked(wrong) == ["case", "reference", "both"]
    assert asked(wrong) == []
    repaired = wrong.after(())
    assert asked(repaired) == ["both"]
    assert asked(wrong) == []


def test_naming_nodes_leaves_every_answer_as_it_is() -> None:
    network = Weights()
    found = evidence_of(network, network.values)
    assert asked(found) == ["case", "reference", "both"]
    named = found.explaining(["a/conv/Conv2D"])
    assert (asked(named), named.explained, found.explained) == ([], {"a/conv/Conv2D"}, frozenset())
