"""Edits that make the place of a divergence compute what the reference computes there, and nothing else.

Each edit is as small as it can be: a copied node would also mend what else is wrong with it, and that
would then go unnamed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph import ops
from ...graph.align.divergence import Divergence, Kind
from ...graph.edit.repair import Attribute, Constant, Graft, Repair, tensor_of_array
from ...graph.graph import Node, Tensor, TensorName
from ...graph.normal.attributes import commutes, plain_op, respelled
from ..alignment import alignment, counterpart, node_as_reference, reference_of
from ..evidence import Evidence
from ..needed import export_flow, export_readings, reference_flow, reference_readings, taken_reference


def as_reference_at(evidence: Evidence, divergence: Divergence) -> Repair:
    """The edits that make the place of ``divergence`` compute what the reference computes there.

    A constant gets the reference's value, an attribute likewise; otherwise what reads the place is
    given what the reference computes there, from aligned tensors on. Empty where no such edit is known.
    """
    if divergence.kind is Kind.CONSTANT:
        return _constant(evidence, divergence)
    if divergence.kind is Kind.ATTRIBUTE:
        return _attribute(evidence, divergence)
    if divergence.kind is Kind.WIRING:
        return _wiring(evidence, divergence)
    edits: list[Graft] = []
    for reader in _readers(evidence, divergence):
        found = tuple(_read_from(evidence, divergence, reader))
        whole = None if found else node_as_reference(evidence, reader, own=divergence.reference)
        edits += found or ((whole,) if whole is not None else ())
    return (*edits, *_outputs(evidence, divergence))


def _readers(evidence: Evidence, divergence: Divergence) -> list[str]:
    """Every node of the export that reads what diverges, or whose partner does."""
    found = dict.fromkeys(divergence.readers)
    for name in divergence.export:
        found.update(dict.fromkeys(evidence[export_readings].get(name, ())))
    for name in divergence.reference:
        partners = (
            evidence[alignment].nodes.get(each) for each in evidence[reference_readings].get(name, ())
        )
        found.update(dict.fromkeys(each for each in partners if each is not None))
    if divergence.export:
        aligned = evidence[reference_of]
        found = {name: None for name in found if name not in divergence.export and name in aligned}
    return [name for name in found if evidence[reference_of].get(name) not in divergence.reference]


def _constant(evidence: Evidence, divergence: Divergence) -> Repair:
    name = divergence.export[0]
    node = evidence.export.graph.nodes.get(name)
    value = _held(evidence, divergence.reference[0]) or _fed(evidence, divergence)
    if value is None or node is None or node.op != "Const":
        return ()
    return (Constant(node=name, value=value),)


def _held(evidence: Evidence, name: str) -> Tensor | None:
    """The value of a constant or variable of the reference, one that was written out of a function included."""
    node = evidence[reference_flow].nodes.get(name)
    held = node.attrs.get("value") if node is not None and node.op == "Const" else None
    return held if isinstance(held, Tensor) else evidence.reference.value(name)


def _fed(evidence: Evidence, divergence: Divergence) -> Tensor | None:
    """What the reference is fed in the place of a constant of the export."""
    fed = evidence.reference.feeds.get(TensorName(divergence.reference[0], 0))
    held = evidence.export.value(divergence.export[0])
    if fed is None or held is None:
        return None
    return tensor_of_array(np.asarray(fed).astype(held.array.dtype), held.dtype)


def _attribute(evidence: Evidence, divergence: Divergence) -> Repair:
    name = divergence.export[0]
    node = evidence.export.graph.nodes.get(name)
    if divergence.attribute is None or node is None:
        return ()
    if divergence.values is None:  # a function differs
        partner = evidence.reference.graph.nodes.get(divergence.reference[0])
        attribute = divergence.attribute.partition(" ")[0]
        if partner is not None and len(partner.inputs) == len(node.inputs) and attribute in partner.attrs:
            return (Attribute(node=name, name=attribute, value=partner.attrs[attribute]),)
        whole = node_as_reference(evidence, name)
        return () if whole is None else (whole,)
    return (Attribute(node=name, name=divergence.attribute, value=divergence.values[0]),)


def _wiring(evidence: Evidence, divergence: Divergence) -> Repair:
    reference = evidence[reference_flow].nodes.get(divergence.reference[0])
    export = evidence.export.graph.nodes.get(divergence.export[0])
    if reference is None or export is None or len(reference.inputs) != len(export.inputs):
        whole = node_as_reference(evidence, divergence.export[0])
        return () if whole is None else (whole,)
    edits = []
    for position, other in _positions(evidence, reference, export):
        if _partner(evidence, reference.inputs[position]) != evidence[export_flow].source(
            export.inputs[other]
        ):
            edits.append(_into(evidence, reference.inputs[position], export, other, ()))
    return tuple(edits)


def _read_from(evidence: Evidence, divergence: Divergence, reader: str) -> Iterator[Graft]:
    """Edits of those inputs of ``reader`` that come from what diverges."""
    export = evidence.export.graph.nodes.get(reader)
    reference = evidence[reference_flow].nodes.get(evidence[reference_of].get(reader, ""))
    if reference is None or export is None or len(reference.inputs) != len(export.inputs):
        return
    for position, other in _positions(evidence, reference, export):
        here = evidence[reference_flow].source(reference.inputs[position])
        there = evidence[export_flow].source(export.inputs[other])
        if here.node in divergence.reference or there.node in divergence.export:
            yield _into(evidence, reference.inputs[position], export, other, divergence.reference)


def _into(evidence: Evidence, source: TensorName, node: Node, position: int, own: tuple[str, ...]) -> Graft:
    """Give an input of ``node`` what the reference computes as ``source``, at the entry of a loop if it has one."""
    name, position = _entry(evidence, node, position)
    node = evidence.export.graph.nodes.get(name, node)
    return Graft(
        export=node.inputs[position],
        reference=evidence[reference_flow].source(source),
        at=lambda tensor: None if tensor.node in own else counterpart(evidence, tensor),
        graph=evidence[taken_reference],
        into=(node.name, position),
    )


def _entry(evidence: Evidence, node: Node, position: int) -> tuple[str, int]:
    """The input of the ``Enter`` through which ``node`` reads its input, or that input itself."""
    flow, tensor = evidence[export_flow], node.inputs[position]
    for _ in range(len(flow.nodes)):
        source = flow.node(tensor)
        if source is None:
            break
        if source.op in ops.ENTERS:
            return source.name, 0
        onward = flow.step(source, tensor)
        if onward is None:
            break
        tensor = onward
    return node.name, position


def _outputs(evidence: Evidence, divergence: Divergence) -> Iterator[Graft]:
    """Where outputs themselves differ: compute them as in the reference."""
    flows = evidence[reference_flow], evidence[export_flow]
    for index, (reference, export) in enumerate(
        zip(evidence.reference.outputs, evidence.export.outputs, strict=True)
    ):
        here, there = flows[0].source(reference).node, flows[1].source(export).node
        if here in divergence.reference or there in divergence.export:
            yield Graft(
                export=export,
                reference=flows[0].source(reference),
                at=lambda tensor: (
                    None if tensor.node in divergence.reference else counterpart(evidence, tensor)
                ),
                graph=evidence[taken_reference],
                into=index,
            )


def _positions(evidence: Evidence, reference: Node, export: Node) -> list[tuple[int, int]]:
    """The inputs of two aligned nodes that correspond: in order, or exchanged where that changes nothing."""
    op, attrs = respelled(plain_op(reference.op), dict(reference.attrs))
    if len(reference.inputs) == 2 and commutes(op, attrs):
        partners = [_partner(evidence, source) for source in reference.inputs]
        sources = [evidence[export_flow].source(source) for source in export.inputs]
        if partners[0] == sources[1] or partners[1] == sources[0]:
            return [(0, 1), (1, 0)]
    return [(position, position) for position in range(len(reference.inputs))]


def _partner(evidence: Evidence, tensor: TensorName) -> TensorName | None:
    """The export's tensor for what a node of the reference reads, behind all that only passes it on."""
    found = counterpart(evidence, evidence[reference_flow].source(tensor))
    return evidence[export_flow].source(found) if found is not None else None
