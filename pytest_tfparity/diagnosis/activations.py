"""How each node of the export differs when it is run, as evidence."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import TfparityError
from ..runtime.activations import Activation
from .alignment import alignment
from .evidence import Evidence
from .query import query


@query
def activations(evidence: Evidence) -> Mapping[str, Activation]:
    """How each node of the export differs when run, by its name, inputs first; empty where it cannot be."""
    runner = evidence.case.runner
    if runner is None or not runner.inputs or not runner.comparable:
        return {}
    try:
        nodes = evidence.reference.graph.nodes
        partners = {name: other for name, other in evidence[alignment].nodes.items() if name in nodes}
        found = runner.measure(evidence.export, partners)
    except TfparityError:
        return {}
    return {each.export: each for each in found}
