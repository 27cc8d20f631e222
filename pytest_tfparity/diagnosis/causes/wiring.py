"""Another graph: ops, attributes and edges that differ, and whatever no other cause explains."""

from __future__ import annotations

from ...graph.align.divergence import Kind
from ..places.divergences import Difference
from ..places.effects import SOFTMAX
from .kinds.graph import Differences, GraphCause
from .kinds.sentences import export_ops, named, names_of, reference_ops, shown, spelt
from .measured import answers_otherwise
from .undecided import undecided_norms

_SAME_CODE = "Build the export graph with the code that the checkpoint was trained with, then export again."


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
        return f"{shown(difference)}."
    (reference, export), reader = names_of(difference), difference.divergence.readers[0]
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{reader} reads {export_ops(difference)} in {export}, and what comes before in {reference}."
    if difference.kind is Kind.OP:
        return f"{reader} reads {reference_ops(difference)} in {reference} and {export_ops(difference)} in {export}."
    return f"{reader} reads past {reference_ops(difference)} in {export}."


def _rewired(difference: Difference) -> tuple[str, ...]:
    readers = difference.divergence.readers
    if difference.elsewhere:
        return readers
    bypassed = difference.kind is Kind.ONLY_IN_REFERENCE
    return (*readers, *named(difference)) if bypassed else named(difference)


WIRING_DIFFERS = GraphCause(
    id="graph-wiring-differs",
    where=lambda difference: (
        difference.kind is Kind.WIRING or difference.bypasses_layers or difference.elsewhere
    ),
    says=_wiring_said,
    fix=_SAME_CODE,
    nodes=_rewired,
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


def _op_said(difference: Difference) -> str:
    norms = undecided_norms(difference)
    if norms is not None:
        return norms.message
    reference, export = names_of(difference)
    if difference.kind is Kind.ONLY_IN_EXPORT:
        return f"{export} has {export_ops(difference)}, which {reference} has not."
    if difference.kind is Kind.OP:
        return f"{reference_ops(difference)} in {reference} is {export_ops(difference)} in {export}."
    if difference.constants is not None:
        right, held = map(spelt, difference.constants)
        return f"{difference.divergence.node} is {right} in {reference} and {held} in {export}."
    return f"{shown(difference)}."


def _op_fix(found: Differences) -> str:
    norms = [undecided_norms(each) for each in found.found]
    return _SAME_CODE if norms[0] is None or None in norms else norms[0].fix


OP_DIFFERS = GraphCause(
    id="graph-op-differs",
    where=lambda difference: True,
    says=_op_said,
    fix=_op_fix,
    ways=(answers_otherwise,),
)
