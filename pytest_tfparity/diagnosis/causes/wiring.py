"""Another graph: ops, attributes and edges that differ, and whatever no other cause explains."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...graph.align.divergence import Kind
from ...graph.layer import layers_of
from ...wording import enumerated, verb
from ..activations import activations
from ..alignment import node_as_reference
from ..cause import Suspicion
from ..evidence import Evidence
from ..places.divergences import Difference
from ..places.transformations import SOFTMAX
from ..places.undecided import undecided_norms
from ..random_ops import export_random_ops
from ..remaining import remaining
from .kinds.graph import Differences, GraphCause
from .kinds.sentences import (
    constant_told,
    export_ops,
    fact_told,
    names_of,
    nodes_to_name,
    reader,
    reference_ops,
)
from .weights import ANOTHER_LAYER

_SAME_CODE = "Build the export graph with the code of training, then export again."


# --- an output without its softmax


def _lacks_softmax(difference: Difference) -> bool:
    ops = {node.op for node in difference.reference_nodes}
    softmax = "Softmax" in ops or ops >= {"Exp", "Sum"}
    return difference.kind is Kind.ONLY_IN_REFERENCE and difference.at_output and softmax and ops <= SOFTMAX


def _softmax_said(difference: Difference) -> str:
    reference, export = names_of(difference)
    return f"{difference.divergence.node} is a softmax in {reference}; {export} answers with the logits that it reads."


MISSING_SOFTMAX = GraphCause(
    id="missing-softmax",
    where=_lacks_softmax,
    says=_softmax_said,
    fix="Export the softmax, not its input.",
)


# --- a node that reads something else


def _wiring_said(difference: Difference) -> str:
    if difference.kind is Kind.WIRING or difference.inside:
        return f"{fact_told(difference)}."
    (reference, export), place = names_of(difference), reader(difference)
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{place} reads {export_ops(difference)} in {export}, and what comes before in {reference}."
    if difference.foreign_weights:
        held = enumerated(difference.foreign_weights)
        return (
            f"{place} reads the weights {held} through {export_ops(difference)} in {export}; in {reference} it reads"
            f" {reference_ops(difference)}, which has none."
        )
    if difference.kind is Kind.OP:
        return f"{place} reads {reference_ops(difference)} in {reference} and {export_ops(difference)} in {export}."
    return f"{place} bypasses {reference_ops(difference)} in {export}."


def _rewired(difference: Difference) -> tuple[str, ...]:
    readers = difference.divergence.readers
    if difference.elsewhere:
        return readers
    if difference.foreign_weights:
        return (*nodes_to_name(difference), *difference.foreign_weights)
    bypassed = difference.kind is Kind.ONLY_IN_REFERENCE
    return (*readers, *nodes_to_name(difference)) if bypassed else nodes_to_name(difference)


WIRING_DIFFERS = GraphCause(
    id="graph-wiring-differs",
    where=lambda difference: (
        difference.kind is Kind.WIRING
        or difference.bypasses_layers
        or difference.elsewhere
        or bool(difference.foreign_weights)
    ),
    says=_wiring_said,
    fix=_SAME_CODE,
    nodes=_rewired,
    ways=ANOTHER_LAYER.ways,
)


# --- anything else

OP_MISSING = GraphCause(
    id="graph-op-missing",
    where=lambda difference: difference.kind is Kind.ONLY_IN_REFERENCE,
    says=lambda difference: f"{names_of(difference)[1]} lacks {reference_ops(difference)}.",
    fix=(
        "Export the graph with it: look for a pass that removes nodes (remove_nodes of transform_graph), or for a"
        " line that the export's model function lacks."
    ),
)


GRAPH_CONSTANT = GraphCause(
    id="graph-const-differs",
    where=lambda difference: difference.kind is Kind.CONSTANT,
    says=constant_told,
    fix=lambda found: (
        f"Build the export graph with the value of the {found.reference_graph}: it is a constant there, no variable."
    ),
)


def _op_said(difference: Difference) -> str:
    norms = undecided_norms(difference)
    if norms is not None:
        return norms.message
    reference, export = names_of(difference)
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{export} has {export_ops(difference)}, which {reference} does not have."
    if difference.kind is Kind.OP:
        return f"{reference_ops(difference)} in {reference} is {export_ops(difference)} in {export}."
    return f"{fact_told(difference)}."


def _op_fix(found: Differences) -> str:
    norms = [undecided_norms(each) for each in found.found]
    return _SAME_CODE if norms[0] is None or None in norms else norms[0].fix


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
        scopes=layers_of(names),
        message=f"{enumerated(names)} of {case.export_name} {verb(names, 'computes', 'compute')} from the same inputs"
        f" something else than the {case.reference_graph}: {worst.export} differs by {worst.own:.3g} (its largest"
        f" value is {worst.scale:.3g}).",
        fix="Compare these nodes with the code of training.",
        certainty="suggestive",
        provable=False,  # to compute a node as the reference does mends whatever happened there
        repair=tuple(graft for graft in grafts if graft is not None),
    )


def _differs_still(evidence: Evidence) -> bool:
    """Whether the export, with what was found so far put right, still fails."""
    runner = evidence.case.runner
    if runner is None or not runner.comparable or not runner.inputs:
        return False
    left = evidence[remaining]
    return left is None or not left.passed


OP_DIFFERS = GraphCause(
    id="graph-op-differs",
    where=lambda difference: True,
    says=_op_said,
    fix=_op_fix,
    ways=(answers_otherwise,),
)
