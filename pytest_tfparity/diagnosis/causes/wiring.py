"""Another graph: ops, attributes and edges that differ, and whatever no other cause explains."""

from __future__ import annotations

from typing import ClassVar

from ...graph.align.divergence import Divergence, Kind
from ..cause import Cause
from ..evidence import Evidence
from ..places.divergences import differences
from .structural import Structural, named, ops_of, shown, spelt

_SAME_CODE = "Build the export graph with the code that the checkpoint was trained with, then export again."


class MissingSoftmax(Structural):
    """Logits under the name of probabilities."""

    id: ClassVar[str] = "missing-softmax"
    fix: ClassVar[str] = "Export the softmax, not its input."

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return (
            f"{divergence.node} is a softmax in the checkpoint's graph; {evidence.case.export_name}"
            " answers with the logits that it reads."
        )


class OpMissing(Structural):
    """A computing op that the export lacks."""

    id: ClassVar[str] = "graph-op-missing"
    fix: ClassVar[str] = (
        "Export the graph with it: look for a pass that removes nodes (remove_nodes of transform_graph), or for a"
        " line that the export's model function lacks."
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{evidence.case.export_name} lacks {ops_of(evidence, divergence)[0]}."


class OpDiffers(Structural):
    """Another op, attribute or constant in the same place."""

    id: ClassVar[str] = "graph-op-differs"
    fix: ClassVar[str] = _SAME_CODE

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        name = evidence.case.export_name
        ours, theirs = ops_of(evidence, divergence)
        if divergence.kind is Kind.ONLY_IN_EXPORT:
            return f"{name} has {theirs}, which the checkpoint's graph has not."
        if divergence.kind is Kind.OP:
            return f"{ours} in the checkpoint's graph is {theirs} in {name}."
        values = evidence[differences].constants(divergence)
        if values is not None:
            ours, theirs = map(spelt, values)
            return f"{divergence.node} is {ours} in the checkpoint's graph and {theirs} in {name}."
        return f"{shown(evidence, divergence)}."


class WiringDiffers(Structural):
    """A node that reads something else."""

    id: ClassVar[str] = "graph-wiring-differs"
    fix: ClassVar[str] = _SAME_CODE

    def nodes(self, evidence: Evidence, divergence: Divergence) -> tuple[str, ...]:
        if evidence[differences].elsewhere(divergence):
            return divergence.readers
        bypassed = divergence.kind is Kind.ONLY_IN_REFERENCE
        return (*divergence.readers, *named(divergence)) if bypassed else named(divergence)

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        ours, theirs = ops_of(evidence, divergence)
        name = evidence.case.export_name
        if divergence.kind is Kind.ONLY_IN_EXPORT:
            return f"{divergence.readers[0]} reads {theirs} in {name}, and what comes before in the checkpoint's graph."
        if divergence.kind is Kind.OP:
            return f"{divergence.readers[0]} reads {ours} in the checkpoint's graph and {theirs} in {name}."
        if divergence.kind is Kind.ONLY_IN_REFERENCE:
            return (
                f"{divergence.readers[0]} reads past {ops_of(evidence, divergence)[0]} in"
                f" {evidence.case.export_name}."
            )
        return f"{shown(evidence, divergence)}."


CAUSES: tuple[Cause, ...] = (MissingSoftmax(), WiringDiffers(), OpMissing(), OpDiffers())
