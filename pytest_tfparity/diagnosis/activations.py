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
        found = runner.measure(evidence.export, evidence[alignment].nodes)
    except TfparityError:
        return {}
    return {each.export: each for each in found}
