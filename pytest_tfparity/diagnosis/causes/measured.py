"""What only running both graphs side by side shows: nodes that compute something else, whatever the reason."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..activations import activations
from ..alignment import node_as_reference
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..remaining import remaining
from ..scopes import scope_of
from ..wording import listed


class Measured(Cause):
    """Nodes that answer differently to the same inputs; asked last, for what nothing else explains."""

    id = "graph-op-differs"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        if not _differs_still(evidence):
            return
        faulty = [
            each
            for each in evidence[activations].values()
            if each.at_fault and each.export not in evidence.explained
        ]
        if not faulty:
            return
        worst = max(faulty, key=lambda each: (each.own or 0.0) / each.scale if each.scale else math.inf)
        names = [each.export for each in faulty]
        grafts = [node_as_reference(evidence, name) for name in names]
        yield Suspicion(
            cause=self.id,
            nodes=tuple(names),
            scopes=tuple(dict.fromkeys(map(scope_of, names))),
            message=f"{listed(names)} of {evidence.case.export_name} answer differently to the same inputs than"
            f" the checkpoint's graph: {worst.export} by {worst.own:.3g} (its largest value is"
            f" {worst.scale:.3g}).",
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


CAUSES: tuple[Cause, ...] = (Measured(),)
