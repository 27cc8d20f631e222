"""What only running both graphs side by side shows: nodes that compute something else, whatever the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..activations import activations
from ..alignment import node_as_reference
from ..cause import Suspicion
from ..evidence import Evidence
from ..random_numbers import export_random_ops
from ..remaining import remaining
from ..scopes import scopes_of
from ..wording import listed


def answers_otherwise(evidence: Evidence) -> Iterator[Suspicion]:
    """Nodes that answer differently to the same inputs: the last way to find anything, where all others found nothing.

    The story is that of ``graph-op-differs``, another computation in the same place; here it is measured, not read.
    """
    if not _differs_still(evidence):
        return
    faulty = [
        each
        for each in evidence[activations].values()
        if each.at_fault
        and each.export not in evidence.explained
        and each.export not in evidence[export_random_ops]
    ]
    if not faulty:
        return
    case = evidence.case
    worst = max(faulty, key=lambda each: (each.own or 0.0) / each.scale if each.scale else math.inf)
    names = [each.export for each in faulty]
    grafts = [node_as_reference(evidence, name) for name in names]
    yield Suspicion(
        cause="graph-op-differs",
        nodes=tuple(names),
        scopes=scopes_of(names),
        message=f"{listed(names)} of {case.export_name} answer differently to the same inputs than the"
        f" {case.reference_graph}: {worst.export} by {worst.own:.3g} (its largest value is {worst.scale:.3g}).",
        fix="Compare these nodes with the code that the checkpoint was trained with.",
        certainty="suggestive",
        repair=tuple(graft for graft in grafts if graft is not None),
    )


def _differs_still(evidence: Evidence) -> bool:
    """Whether the export, with what was found so far put right, still fails."""
    runner = evidence.case.runner
    if runner is None or not runner.comparable or not runner.inputs:
        return False
    left = evidence[remaining]
    return left is None or not left.passed
