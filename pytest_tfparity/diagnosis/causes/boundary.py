"""Inputs and outputs that stand in the wrong place: asked first, since everything else would seem to differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import ClassVar

from ...graph.align.divergence import Kind
from ...graph.edit.graft import Graft, Repair, Wire
from ...graph.graph import TensorName
from ...graph.proof.proof import Side
from ..alignment import divergences, proof
from ..cause import Cause, Suspicion
from ..computed_tensors import ComputedTensors, export_tensors, reference_tensors
from ..evidence import Evidence
from ..flow import export_flow, reference_flow, taken_reference
from ..places.batch_norms import reference_norms
from ..scopes import common_scope, scope_of
from ..wording import listed

_MOST_PAIRS = 6


class InputsSwapped(Cause):
    """Two inputs exchanged."""

    id: ClassVar[str] = "inputs-swapped"

    def find(self, evidence: Evidence) -> Iterator[Suspicion]:
        """Exchange each pair of inputs and see whether less differs."""
        export = evidence.export
        pairs = list(combinations(range(len(export.inputs)), 2))[:_MOST_PAIRS]
        for first, second in pairs if evidence[divergences] else ():
            if not _alike(export, export.inputs[first], export.inputs[second]):
                continue
            if not _moved(evidence, first, second):
                continue
            repair = _exchanged(export, export.inputs[first], export.inputs[second])
            after = evidence.after(repair)
            if not after[proof].proven and len(after[divergences]) >= len(evidence[divergences]):
                continue
            names = export.inputs[first].node, export.inputs[second].node
            yield Suspicion(
                cause=self.id,
                nodes=names,
                scopes=names,
                message=f"{names[0]} and {names[1]} are exchanged in {evidence.case.export_name}.",
                fix=f"Exchange {names[0]} and {names[1]} where the export graph is built; pass them by name.",
                evidence=(
                    f"with both exchanged {'nothing' if not after[divergences] else 'less'} differs from the"
                    " checkpoint's graph",
                ),
                repair=repair,
            )
            return


class WrongInputNode(Cause):
    """An input behind the preprocessing."""

    id: ClassVar[str] = "wrong-input-node"

    def find(self, evidence: Evidence) -> Iterator[Suspicion]:
        """Look for inputs of the export that are computed in the reference."""
        reference, export = evidence.reference, evidence.export
        for index, (ours, theirs) in enumerate(zip(reference.inputs, export.inputs, strict=True)):
            node = reference.graph.nodes.get(theirs.node)
            if node is None or theirs in reference.inputs or node.op.startswith("Placeholder"):
                continue
            between = _between(evidence, ours, theirs)
            if not between:
                continue
            name = evidence.case.export_name
            yield Suspicion(
                cause=self.id,
                nodes=(theirs.node,),
                scopes=common_scope((theirs.node, *between)),
                message=(
                    f"{theirs.node} is an input of {name}; the checkpoint's graph computes it from {ours.node}"
                    f" ({listed(between, 2)})."
                ),
                fix=f"Export from {ours.node} (input_node_names), or feed {theirs} with preprocessed data.",
                evidence=(
                    f"{theirs.node} is a placeholder in {name} and {node.op} in the checkpoint's graph",
                ),
                repair=(
                    Graft(
                        export=export.inputs[index],
                        reference=evidence[reference_flow].source(theirs),
                        at=lambda tensor: None,
                        graph=evidence[taken_reference],
                    ),
                ),
            )


class WrongOutputNode(Cause):
    """Another tensor exported."""

    id: ClassVar[str] = "wrong-output-node"

    def find(self, evidence: Evidence) -> Iterator[Suspicion]:
        """Look for each output of the export among all tensors of the reference."""
        wrong = [
            index
            for index, print_ in enumerate(evidence[proof].reference)
            if print_ != evidence[proof].export[index]
        ]
        if not wrong or not _misplaced(evidence):
            return
        ours, theirs = evidence[reference_tensors], evidence[export_tensors]
        for index in wrong:
            expected, got = evidence.reference.outputs[index], evidence.export.outputs[index]
            found = ours.named(theirs.print_of(got), got)
            if found is None or not _elsewhere(evidence, ours, expected, got, found):
                continue
            name = evidence.case.export_name
            yield Suspicion(
                cause=self.id,
                nodes=(got.node,),
                scopes=(scope_of(got.node),),
                message=f"{got} of {name} is {found} of the checkpoint's graph, not {expected}.",
                fix=f"Export {expected.node} (output_node_names).",
                evidence=(f"{name} computes {found} op for op and weight for weight",),
                repair=(
                    Graft(
                        export=got,
                        reference=evidence[reference_flow].source(expected),
                        at=lambda tensor: theirs.like(ours, tensor),
                        graph=evidence[taken_reference],
                        into=index,
                    ),
                ),
            )


def _misplaced(evidence: Evidence) -> bool:
    """Whether outputs may stand in the wrong place at all: more differs than settings and values."""
    reference, export = evidence.reference, evidence.export
    if len(reference.outputs) > 1 or reference.outputs != export.outputs:
        return True
    for each in evidence[divergences]:
        if each.kind not in (Kind.CONSTANT, Kind.ATTRIBUTE):
            return True
        moved = each.export[0] != each.reference[0] and each.export[0] in reference.variables
        if each.kind is Kind.CONSTANT and moved:
            return True
    return False


def _elsewhere(
    evidence: Evidence, tensors: ComputedTensors, expected: TensorName, got: TensorName, found: TensorName
) -> bool:
    """Whether ``found`` is another tensor, not the expected one with an op missing or in another mode."""
    here, there = (tensors.ancestors(each) for each in (expected, found))
    statistics = {name for norm in evidence[reference_norms] for name in (norm.mean, norm.variance) if name}
    variables = set(evidence.reference.variables) - statistics
    if here & variables != there & variables:
        return True
    inputs = {name.node for name in evidence.reference.inputs}
    if here & inputs != there & inputs:
        return True
    related = evidence[reference_flow].source(found).node in here
    return related and got.node != expected.node and got.node in evidence.reference.graph.nodes


def _alike(side: Side, first: TensorName, second: TensorName) -> bool:
    nodes = side.graph.nodes.get(first.node), side.graph.nodes.get(second.node)
    return nodes[0] is None or nodes[1] is None or nodes[0].attrs.get("dtype") == nodes[1].attrs.get("dtype")


def _moved(evidence: Evidence, first: int, second: int) -> bool:
    """Whether no node of the same name tells that each input still goes where it should."""
    kept = moved = 0
    for one, other in ((first, second), (second, first)):
        ours = evidence.reference.inputs[one]
        for name in evidence[reference_flow].readers.get(ours.node, ()):
            node = evidence[export_flow].nodes.get(name)
            if node is not None:
                kept += evidence.export.inputs[one] in node.inputs
                moved += evidence.export.inputs[other] in node.inputs
    return moved >= kept


def _exchanged(side: Side, first: TensorName, second: TensorName) -> Repair:
    other = {first: second, second: first}
    return tuple(
        Wire(node=name, position=position, source=other[source])
        for name, node in side.graph.nodes.items()
        for position, source in enumerate(node.inputs)
        if source in other
    )


def _between(evidence: Evidence, start: TensorName, end: TensorName) -> list[str]:
    """The nodes of the reference that ``end`` needs and that depend on ``start``, ``end`` first."""
    nodes = evidence.reference.graph.live([str(end)], [str(start)])
    found: set[str] = set()
    for name, node in nodes.items():
        if any(source == start or source.node in found for source in node.inputs):
            found.add(name)
    return [name for name in reversed(list(nodes)) if name in found] if end.node in found else []


CAUSES: tuple[Cause, ...] = (WrongInputNode(), WrongOutputNode(), InputsSwapped())
