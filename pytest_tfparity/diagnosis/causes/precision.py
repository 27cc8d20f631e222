"""Other precision of weights or arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...graph import ops
from ...graph.edit.repair import Graft, Repair
from ...graph.graph import DType, Node, TensorName
from ...graph.layer import layer_of, scope_of
from ...wording import counted, enumerated, verb
from ..alignment import counterpart, reference_of
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..layers import layers
from ..lowered import (
    BFLOAT16,
    BYTES,
    HALF,
    LoweredConstant,
    Precision,
    half_precision_nodes,
    lost_fake_quants,
    lowered_constants,
)
from ..needed import live_export
from ..places.divergences import Difference
from ..places.repairs import as_reference_at
from ..places.weights import provenances, wrong_constants
from .kinds.graph import GraphCause
from .kinds.group import Group, Sentence, suspicion
from .kinds.sentences import names_of, reference_ops

_READS = ops.IDENTITIES | ops.ENTERS | ops.RESHAPES | {"Cast", "ReadVariableOp"}
"""What may stand between a weight and the op that computes with it."""


# --- weights


@dataclass(frozen=True, kw_only=True)
class LoweredWeights(Group):
    """Constants of the export that are the reference's in one lower precision."""

    lowered: tuple[LoweredConstant, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """What reads the weights in their layers, and the weights."""
        scope = self._scope_of()
        inside = [
            reader
            for each in self._named
            for reader in each.readers
            if reader.startswith(f"{scope[each.name]}/")
        ]
        return tuple(dict.fromkeys((*inside, *(each.node for each in self._named))))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers of the weights."""
        return tuple(dict.fromkeys(self._scope_of().values()))

    @property
    def repair(self) -> Repair:
        """The reference's values."""
        return tuple(each.edit for each in self.lowered)

    @property
    def share(self) -> str:
        """``All 20 constants``, or ``3 constants``: scalars and other single values aside."""
        lowered = {each.node for each in self.lowered}
        wrong = {each.constant for each in self.evidence[wrong_constants]} | lowered
        origins = self.evidence[provenances].items()
        whole = {name for name, each in origins if each.variable and each.informative}
        everything = "All " if wrong <= lowered and whole <= wrong else ""
        return f"{everything}{counted(len(self.lowered), 'constant')}"

    @property
    def _named(self) -> Sequence[LoweredConstant]:
        """The weights; where there are none, the constants of the graph."""
        return [each for each in self.lowered if each.weight] or self.lowered

    def _scope_of(self) -> dict[str, str]:
        return dict(self.evidence[layers].scopes([each.name for each in self._named]))


def _lowered_cause(*, id: str, precision: Precision, says: Sentence[LoweredWeights], fix: str) -> Cause:
    """A cause seen in the constants that are the reference's in ``precision``."""

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        found = tuple(each for each in evidence[lowered_constants] if each.precision == precision)
        if found:
            yield suspicion(id, LoweredWeights(evidence=evidence, lowered=found), says, fix)

    return Cause(id=id, ways=(find,))


FLOAT16 = _lowered_cause(
    id="weights-fp16",
    precision="float16",
    says=lambda found: (
        f"{found.share} of {found.export_name} went through float16: each equals float32(float16(value)) of the"
        f" {found.reference_noun} bit for bit."
    ),
    fix="Keep float32, or loosen the tolerance.",
)

BF16 = _lowered_cause(
    id="weights-bf16",
    precision="bfloat16",
    says=lambda found: (
        f"{found.share} of {found.export_name} went through bfloat16: the low 16 bits are 0, the others the"
        f" {found.reference_noun}'s."
    ),
    fix="Keep float32, or loosen the tolerance.",
)

QUANTISED = _lowered_cause(
    id="weights-quantised-8bit",
    precision="8 bit",
    says=lambda found: (
        f"{counted(len(found.lowered), 'weight')} of {found.export_name}"
        f" {verb(found.lowered, 'holds', 'hold')} no more than 8 bits: each value is one of at most 256 equally"
        " spaced ones, of its tensor or of its channel."
    ),
    fix="Do not quantise, or loosen the tolerance.",
)


def _rounded_said(found: LoweredWeights) -> str:
    steps = min(each.steps for each in found.lowered if each.steps is not None)
    return (
        f"{found.share} of {found.export_name} {verb(found.lowered, 'is', 'are')} rounded to about {steps:.0f} equal"
        " steps between smallest and largest value."
    )


ROUNDED = _lowered_cause(
    id="weights-rounded",
    precision="rounded",
    says=_rounded_said,
    fix="Use more steps, export without round_weights, or loosen the tolerance.",
)


# --- arithmetic


def _half(evidence: Evidence) -> Iterator[Suspicion]:
    """Arithmetic in half precision where the reference uses full floats."""
    nodes = evidence[half_precision_nodes]
    if not nodes:
        return
    scopes = dict.fromkeys(scope for name in nodes for scope in _layers_of(evidence, name))
    if not scopes:
        scopes = dict.fromkeys(layer_of(name) for name in nodes)
    case = evidence.case
    yield Suspicion(
        cause="compute-fp16",
        nodes=tuple(nodes),
        scopes=tuple(scopes),
        message=f"{counted(len(nodes), 'node')} of {case.export_name} ({enumerated(scopes)})"
        f" {verb(nodes, 'computes', 'compute')} in half"
        f" precision; the {case.reference_graph} computes them in full precision.",
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


_INTEGER_PRODUCT = re.compile(r"MatMul|Conv|Dot|Einsum")


def _multiplies_bytes(node: Node) -> bool:
    """Whether a node is a product or convolution of 8-bit integers, TensorFlow's own or XLA's."""
    types = (value for value in node.attrs.values() if isinstance(value, DType))
    return _INTEGER_PRODUCT.search(node.op) is not None and any(each.number in BYTES for each in types)


def _integers_said(difference: Difference) -> str:
    reference, export = names_of(difference)
    products = [node.name for node in difference.export_nodes if _multiplies_bytes(node)]
    return (
        f"{enumerated(products)} of {export} {verb(products, 'multiplies', 'multiply')} 8-bit integers, in the place of"
        f" {reference_ops(difference)} of {reference}: it is quantised."
    )


INTEGERS = GraphCause(
    id="compute-int8",
    where=lambda difference: (
        any(map(_multiplies_bytes, difference.export_nodes))
        and not any(map(_multiplies_bytes, difference.reference_nodes))
    ),
    says=_integers_said,
    fix=lambda found: (
        "Compare it as the approximation that it is: state `sqnr`, `cosine` or a looser tolerance for its outputs; or"
        " export the float network."
    ),
    certain=False,
)
"""The difference is seen; that the integers are the reference's weights is not, so the story is not proven."""


# --- quantisation of training


def _without_fake_quant(evidence: Evidence) -> Iterator[Suspicion]:
    """Quantisation-aware training exported without its quantisation."""
    places = evidence[lost_fake_quants]
    if not places:
        return
    case = evidence.case
    scopes = list(dict.fromkeys(_quantised_layer(evidence, place.reference[0]) for place in places))
    readers = [reader for place in places for reader in place.readers]
    yield Suspicion(
        cause="fake-quant-missing",
        nodes=tuple(name for place in places for name in place.reference),
        scopes=tuple(scopes),
        message=f"The {case.reference_graph} quantises at {counted(len(places), 'place')} ({enumerated(scopes)}),"
        f" {case.export_name} does not (at {enumerated(readers)}).",
        fix=f"Call tf.contrib.quantize.create_eval_graph() on the export graph, {case.restored}, {case.remake}.",
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
    scope = layer_of(name)
    return scope_of(scope) if scope.endswith("_quant") else scope


CAUSES: tuple[Cause, ...] = (
    Cause(id="compute-fp16", ways=(_half,)),
    FLOAT16,
    BF16,
    QUANTISED,
    ROUNDED,
    Cause(id="fake-quant-missing", ways=(_without_fake_quant,)),
)
