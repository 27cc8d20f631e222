"""Another graph: ops, attributes and edges that differ, and whatever no other cause explains."""

from __future__ import annotations

from typing import ClassVar

from ...graph.align.divergence import Divergence, Kind
from ..cause import Cause, Page
from ..evidence import Evidence
from ..places.divergences import differences
from .structural import Structural, named, ops_of, shown, spelt

_SAME_CODE = "Build the export graph with the code that the checkpoint was trained with, then export again."


class MissingSoftmax(Structural):
    """Logits under the name of probabilities."""

    id: ClassVar[str] = "missing-softmax"
    title: ClassVar[str] = "logits exported under the name of probabilities"
    fix: ClassVar[str] = "Export the softmax, not its input."
    page: ClassVar[Page] = Page(
        what=(
            "The export answers with logits where the checkpoint's graph answers with probabilities: the softmax at"
            " the end is not there. The order of the classes is the same, the numbers do not sum to 1."
        ),
        how=(
            "`tf.identity(logits, name='prob')` in the export script, or an inference function that returns logits"
            " because the loss wants them."
        ),
        proof=(
            "The output is a softmax in the checkpoint's graph, and in the export what that softmax reads. The"
            " softmax is put behind it in memory and the export compared again."
        ),
        fix="Export the softmax's node under that name, or compare logits with logits.",
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return (
            f"{divergence.node} is a softmax in the checkpoint's graph; {evidence.case.export_name}"
            " answers with the logits that it reads."
        )


class OpMissing(Structural):
    """A computing op that the export lacks."""

    id: ClassVar[str] = "graph-op-missing"
    title: ClassVar[str] = "an op of the checkpoint's graph is missing"
    fix: ClassVar[str] = (
        "Export the graph with it: look for a pass that removes nodes (remove_nodes of transform_graph), or for a"
        " line that the export's model function lacks."
    )
    page: ClassVar[Page] = Page(
        what=(
            "An op between inputs and outputs of the checkpoint's graph, such as an activation, is not in the export:"
            " what it would read goes straight to the node behind it."
        ),
        how=(
            "A graph transformation took it for a node without effect (`remove_nodes(op=Relu)`), or the model code"
            " of the export was written anew and lacks it."
        ),
        proof=(
            "Both graphs agree before the op and behind it. The op is put back in memory and the export compared"
            " again."
        ),
        fix="Export a graph that has it; leave the transformation out.",
    )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        return f"{evidence.case.export_name} lacks {ops_of(evidence, divergence)[0]}."


class OpDiffers(Structural):
    """Another op, attribute or constant in the same place."""

    id: ClassVar[str] = "graph-op-differs"
    title: ClassVar[str] = "another op or attribute in the same place"
    fix: ClassVar[str] = _SAME_CODE
    page: ClassVar[Page] = Page(
        what=(
            "One node of the export computes something else than the node in its place in the checkpoint's graph:"
            " another activation, another pooling, another slope, an op too many."
        ),
        how="The model code was changed after the checkpoint was trained, and the export was built with it.",
        proof=(
            "Both graphs are aligned by what they compute, not by names; here op, attribute or constant differ. The"
            " place is computed in memory as the checkpoint's graph does and the export compared again."
        ),
        fix="Build the export with the code of the training run.",
    )

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
    title: ClassVar[str] = "a node reads other tensors"
    fix: ClassVar[str] = _SAME_CODE
    page: ClassVar[Page] = Page(
        what=(
            "All ops and weights are there, but a node reads another tensor than in the checkpoint's graph: a skip"
            " connection from another block, the parts of a concatenation in another order."
        ),
        how="The model code was changed after the checkpoint was trained; names and shapes still fit.",
        proof=(
            "The inputs of two aligned nodes are different tensors, each of which stands elsewhere in the other"
            " graph. The edges are put right in memory and the export compared again."
        ),
        fix="Build the export with the code of the training run.",
    )

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
