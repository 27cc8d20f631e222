"""Inputs and outputs that stand in the wrong place: asked first, since everything else would seem to differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, permutations

from ...errors import TfparityError
from ...graph import ops
from ...graph.align.divergence import Kind
from ...graph.edit.repair import Graft, Repair, Wire
from ...graph.graph import TensorName
from ...graph.layer import common_layer, layer_of
from ...graph.proof.proof import Side, differing_outputs, prove
from ...wording import enumerated
from ..alignment import divergences, proof
from ..cause import Cause, Suspicion
from ..computed_tensors import ComputedTensors, export_tensors, reference_tensors
from ..evidence import Evidence
from ..needed import export_flow, normal_export, normal_reference, reference_flow, taken_reference
from ..places.batch_norms import reference_norms
from ..runner import OutputArrays, Runner

_MOST_EXCHANGED = 4
"""Outputs of which every order is tried: 24 comparisons."""
_MOST_PAIRS = 6
"""How many pairs of inputs are exchanged to see what happens, all of four inputs: each costs an alignment."""


def _inputs_swapped(evidence: Evidence) -> Iterator[Suspicion]:
    """Two inputs exchanged."""
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
            cause="inputs-swapped",
            nodes=names,
            scopes=names,
            message=f"{names[0]} and {names[1]} are exchanged in {evidence.case.export_name}.",
            fix=f"Exchange {names[0]} and {names[1]} where the export graph is built; pass them by name.",
            evidence=(
                f"with both exchanged {'nothing' if not after[divergences] else 'less'} differs from the"
                f" {evidence.case.reference_graph}",
            ),
            repair=repair,
        )
        return


def _wrong_input(evidence: Evidence) -> Iterator[Suspicion]:
    """An input of the export that the reference computes: behind the preprocessing."""
    reference, case = evidence.reference, evidence.case
    for right, got in zip(reference.inputs, evidence.export.inputs, strict=True):
        node = reference.graph.nodes.get(got.node)
        if node is None or got in reference.inputs or node.op in ops.INPUTS:
            continue
        between = _between(evidence, right, got)
        if not between:
            continue
        yield Suspicion(
            cause="wrong-input-node",
            nodes=(got.node,),
            scopes=common_layer((got.node, *between)),
            message=(
                f"{got.node} is an input of {case.export_name}; the {case.reference_graph} computes it from"
                f" {right.node} ({enumerated(between, 2)})."
            ),
            fix=f"Export from {right.node} (input_node_names), or feed {got} with preprocessed data.",
            evidence=(
                f"{got.node} is a placeholder in {case.export_name} and {node.op} in the {case.reference_graph}",
            ),
            repair=(
                Graft(
                    export=got,
                    reference=evidence[reference_flow].source(got),
                    at=lambda tensor: None,
                    graph=evidence[taken_reference],
                ),
            ),
        )


def _wrong_output(evidence: Evidence) -> Iterator[Suspicion]:
    """Outputs of the export that are another tensor of the reference."""
    wrong = differing_outputs(evidence[normal_reference], evidence[normal_export])
    if not wrong or not _misplaced(evidence):
        return
    case = evidence.case
    reference, export = evidence[reference_tensors], evidence[export_tensors]
    for index in wrong:
        expected, got = evidence.reference.outputs[index], evidence.export.outputs[index]
        found = reference.named(export.print_of(got), got)
        if found is None or not _elsewhere(evidence, reference, expected, got, found):
            continue
        yield Suspicion(
            cause="wrong-output-node",
            nodes=(got.node,),
            scopes=(layer_of(got.node),),
            message=f"{got} of {case.export_name} is {found} of the {case.reference_graph}, not {expected}.",
            fix=f"Export {expected.node} (output_node_names).",
            evidence=(f"{case.export_name} computes {found} op for op and weight for weight",),
            repair=(
                Graft(
                    export=got,
                    reference=evidence[reference_flow].source(expected),
                    at=lambda tensor: export.like(reference, tensor),
                    graph=evidence[taken_reference],
                    into=index,
                ),
            ),
        )


def _outputs_exchanged(evidence: Evidence) -> Iterator[Suspicion]:
    """Outputs of the export that answer, within tolerance, what others of the reference answer."""
    case, given = evidence.case, _exchange(evidence)
    if not given:
        return
    outputs = evidence.export.outputs
    told = [f"{outputs[got]} what {case.outputs[index].reference} is" for index, got in given.items()]
    names = tuple(outputs[index].node for index in given)
    yield Suspicion(
        cause="wrong-output-node",
        nodes=names,
        scopes=tuple(dict.fromkeys(layer_of(evidence.reference.outputs[index].node) for index in given)),
        message=f"Outputs are exchanged in {case.export_name}: it answers as {enumerated(told)}.",
        fix=f"Name the outputs of the export in the order of the reference: {enumerated(names)}.",
        evidence=("Each so compared, they agree within tolerance on these inputs.",),
        repair=_outputs_in(evidence, given),
    )


def _exchange(evidence: Evidence) -> Mapping[int, int]:
    """Which output of the export is each that fails, where one order alone agrees with the reference; else nothing."""
    case, runner = evidence.case, evidence.case.runner
    failing = [index for index, output in enumerate(case.outputs) if not output.passed]
    known = runner is not None and runner.answered and len(case.outputs) == len(evidence.export.outputs)
    if runner is None or not known or not 1 < len(failing) <= _MOST_EXCHANGED:
        return {}
    try:
        answers = runner.answers("export", runner.inputs)
    except TfparityError:
        return {}
    orders = [dict(zip(failing, order, strict=True)) for order in permutations(failing)]
    right = [order for order in orders[1:] if _answers_in(runner, answers, order)]
    return right[0] if len(right) == 1 else {}


def _answers_in(runner: Runner, answers: OutputArrays, given: Mapping[int, int]) -> bool:
    """Whether all outputs agree once output ``i`` is what the export gives as output ``given[i]``."""
    judged = runner.judged(tuple(answers[given.get(index, index)] for index in range(len(answers))))
    return all(each.passed for each in judged)


def _outputs_in(evidence: Evidence, given: Mapping[int, int]) -> Repair:
    """The export with its outputs exchanged, where each is a node that hands on what another computes."""
    side = evidence.export
    nodes = [side.graph.nodes.get(output.node) for output in side.outputs]
    wires = []
    for index, got in given.items():
        here, there = nodes[index], nodes[got]
        if here is None or there is None or {here.op, there.op} != {"Identity"}:
            return ()
        wires.append(Wire(node=here.name, position=0, source=there.inputs[0]))
    return tuple(wires)


def _wrong_signature(evidence: Evidence) -> Iterator[Suspicion]:
    """Another signature of the export computes what the reference computes."""
    case, reference = evidence.case, evidence.reference
    for name, other in case.signatures.items():
        if not prove(case.reference, other).proven:
            continue
        outputs = [output.node for output in evidence.export.outputs]
        yield Suspicion(
            cause="wrong-signature",
            nodes=tuple(outputs),
            scopes=(),
            message=f"The signature of {case.export_name} that is compared is another function; signature {name} of the"
            " same file computes what the reference computes.",
            fix=f"State `signature: {name}` for the export; or, if servers ask for the other one, export the right"
            " function under that name.",
            evidence=(f"under signature {name} the export is proven to compute what the reference computes",),
            repair=tuple(
                Graft(
                    export=got,
                    reference=evidence[reference_flow].source(right),
                    at=lambda tensor: None,
                    graph=evidence[taken_reference],
                    into=index,
                )
                for index, (right, got) in enumerate(
                    zip(reference.outputs, evidence.export.outputs, strict=True)
                )
            ),
        )
        return


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
        read = evidence.reference.inputs[one].node
        for name in evidence[reference_flow].readers.get(read, ()):
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


CAUSES: tuple[Cause, ...] = (
    Cause(id="wrong-signature", ways=(_wrong_signature,)),
    Cause(id="wrong-input-node", ways=(_wrong_input,)),
    Cause(id="wrong-output-node", ways=(_wrong_output, _outputs_exchanged)),
    Cause(id="inputs-swapped", ways=(_inputs_swapped,)),
)
