"""Other precision of weights or arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from ...graph.edit.graft import Graft, Repair
from ...graph.graph import DType, Node, TensorName
from ..alignment import counterpart, reference_of
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import live_export
from ..layers import layers
from ..places.repairs import as_reference_at
from ..places.weights import provenances, wrong_constants
from ..precision import (
    BFLOAT16,
    HALF,
    LoweredConstant,
    Precision,
    half_precision_nodes,
    lost_fake_quants,
    lowered_constants,
)
from ..wording import counted, listed

_READS = frozenset({"Identity", "Cast", "ReadVariableOp", "Enter", "RefEnter", "ExpandDims", "Reshape"})


def _weights(evidence: Evidence, *precisions: Precision) -> list[LoweredConstant]:
    return [each for each in evidence[lowered_constants] if each.precision in precisions]


def _suspicion(
    cause: str, evidence: Evidence, group: Sequence[LoweredConstant], message: str, fix: str, *facts: str
) -> Suspicion:
    named = [each for each in group if each.weight] or list(group)
    layer_of = evidence[layers].scopes([each.name for each in named])
    inside = {
        reader: None
        for each in named
        for reader in each.readers
        if reader.startswith(f"{layer_of[each.name]}/")
    }
    return Suspicion(
        cause=cause,
        nodes=tuple(dict.fromkeys((*inside, *(each.node for each in named)))),
        scopes=tuple(dict.fromkeys(layer_of.values())),
        message=message,
        fix=fix,
        evidence=facts,
        repair=tuple(each.edit for each in group),
    )


def _share(evidence: Evidence, group: Sequence[LoweredConstant]) -> str:
    """``All 20 constants``, or ``3 of 20 constants``: scalars and other single values aside."""
    wrong = {each.constant for each in evidence[wrong_constants]} | {each.node for each in group}
    same = wrong <= {each.node for each in group}
    whole = {name for name, each in evidence[provenances].items() if each.variable and each.informative}
    return f"{'All ' if same and whole <= wrong else ''}{counted(len(group), 'constant')}"


class ComputeHalf(Cause):
    """Arithmetic in half precision where the reference uses full floats."""

    id: ClassVar[str] = "compute-fp16"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        nodes = evidence[half_precision_nodes]
        if not nodes:
            return
        scopes = dict.fromkeys(scope for name in nodes for scope in _layers_of(evidence, name))
        if not scopes:
            scopes = dict.fromkeys(name.rpartition("/")[0] or name for name in nodes)
        yield Suspicion(
            cause=self.id,
            nodes=tuple(nodes),
            scopes=tuple(scopes),
            message=f"{counted(len(nodes), 'node')} of {evidence.case.export_name} ({listed(list(scopes))})"
            " compute in half precision; the checkpoint's graph computes them in float.",
            fix="Export the float graph, or loosen the tolerance.",
            repair=_in_float(evidence, nodes),
        )


def _layers_of(evidence: Evidence, name: str) -> Iterator[str]:
    """The layers of the weights that a node of the export reads, as the reference names them."""
    nodes, variables = evidence.reference.graph.nodes, evidence.reference.variables
    node = nodes.get(evidence[reference_of][name])
    for source in node.inputs if node is not None else ():
        found: Node | None = nodes.get(source.node)
        while found is not None and found.op in _READS and found.inputs:
            found = nodes.get(found.inputs[0].node)
        if found is not None and found.name in variables:
            yield evidence[layers].scope(found.name)


def _in_float(evidence: Evidence, nodes: Sequence[str]) -> Repair:
    """Compute what leaves the half part as the reference computes it, from the float tensors before it."""
    half = {evidence[reference_of][name] for name in nodes}
    live = evidence[live_export]

    def at(tensor: TensorName) -> TensorName | None:
        place = counterpart(evidence, tensor)
        if tensor.node in half or place is None or _is_half(live.get(place.node)):
            return None
        return place

    return tuple(_grafts(evidence, set(nodes), at))


def _is_half(node: Node | None) -> bool:
    if node is None:
        return False
    given = node.attrs.get("DstT", node.attrs.get("T", node.attrs.get("dtype")))
    return isinstance(given, DType) and given.number in (HALF, BFLOAT16)


def _grafts(
    evidence: Evidence, half: set[str], at: Callable[[TensorName], TensorName | None]
) -> Iterator[Graft]:
    done: set[TensorName] = set()
    for name, node in evidence[live_export].items():
        if node.op == "Cast" and node.inputs and not _is_half(node):
            source = node.inputs[0]
            if source.node in half:
                reference = TensorName(evidence[reference_of][source.node], source.port)
                yield Graft(export=TensorName(name, 0), reference=reference, at=at)
    for output in evidence.export.outputs:
        if output.node in half and output not in done:
            done.add(output)
            reference = TensorName(evidence[reference_of][output.node], output.port)
            yield Graft(export=output, reference=reference, at=at)


class Float16(Cause):
    """Weights that went through float16."""

    id: ClassVar[str] = "weights-fp16"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = _weights(evidence, "float16")
        if group:
            yield _suspicion(
                self.id,
                evidence,
                group,
                f"{_share(evidence, group)} of {evidence.case.export_name} went through float16: each equals"
                " float32(float16(value)) of the checkpoint bit for bit.",
                "Keep float32, or loosen the tolerance.",
            )


class BFloat16(Cause):
    """Weights truncated to bfloat16."""

    id: ClassVar[str] = "weights-bf16"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = _weights(evidence, "bfloat16")
        if group:
            yield _suspicion(
                self.id,
                evidence,
                group,
                f"{_share(evidence, group)} of {evidence.case.export_name} went through bfloat16: the low 16"
                " bits are 0, the others the checkpoint's.",
                "Keep float32, or loosen the tolerance.",
            )


class Quantised(Cause):
    """Weights stored in 8 bits."""

    id: ClassVar[str] = "weights-quantised-8bit"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = _weights(evidence, "8 bit")
        if group:
            yield _suspicion(
                self.id,
                evidence,
                group,
                f"{counted(len(group), 'weight')} of {evidence.case.export_name} are stored in 8 bits.",
                "Do not quantise, or loosen the tolerance.",
            )


class Rounded(Cause):
    """Weights rounded to few equal steps."""

    id: ClassVar[str] = "weights-rounded"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = _weights(evidence, "rounded")
        if group:
            steps = min(each.steps for each in group if each.steps is not None)
            yield _suspicion(
                self.id,
                evidence,
                group,
                f"{_share(evidence, group)} of {evidence.case.export_name} are rounded to about {steps:.0f}"
                " equal steps between smallest and largest value.",
                "Use more steps, export without round_weights, or loosen the tolerance.",
            )


class FakeQuantMissing(Cause):
    """Quantisation-aware training exported without its quantisation."""

    id: ClassVar[str] = "fake-quant-missing"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        places = evidence[lost_fake_quants]
        if not places:
            return
        names = [name for place in places for name in place.reference]
        scopes = dict.fromkeys(_quantised_layer(evidence, place.reference[0]) for place in places)
        readers = dict.fromkeys(reader for place in places for reader in place.readers)
        yield Suspicion(
            cause=self.id,
            nodes=tuple(names),
            scopes=tuple(scopes),
            message=f"The checkpoint's graph quantises at {counted(len(places), 'place')}"
            f" ({listed(list(scopes))}), {evidence.case.export_name} does not"
            f" (at {listed(list(readers))}).",
            fix="Call tf.contrib.quantize.create_eval_graph() on the export graph before freezing.",
            repair=tuple(edit for place in places for edit in as_reference_at(evidence, place)),
        )


def _quantised_layer(evidence: Evidence, name: str) -> str:
    """The layer whose weight or output ``name`` quantises."""
    nodes = evidence.reference.graph.nodes
    node = nodes.get(name)
    found = nodes.get(node.inputs[0].node) if node is not None and node.inputs else None
    while found is not None and found.op in _READS and found.inputs:
        found = nodes.get(found.inputs[0].node)
    if found is not None and found.name in evidence.reference.variables:
        return evidence[layers].scope(found.name)
    scope = name.rpartition("/")[0]
    return scope.rpartition("/")[0] if scope.endswith("_quant") else scope or name


CAUSES: tuple[Cause, ...] = (
    ComputeHalf(),
    Float16(),
    BFloat16(),
    Quantised(),
    Rounded(),
    FakeQuantMissing(),
)
