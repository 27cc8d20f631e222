"""Rows of an output that depend on the other rows of the batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...graph import ops
from ...graph.edit.repair import Repair
from ...graph.graph import Node, TensorName
from ...graph.layer import layers_of
from ...graph.read.tensors import values
from ...runtime.matching import Half
from ...wording import enumerated, verb
from ..alignment import divergences, reference_of
from ..behaviour import rows_coupled
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..needed import live_export, live_reference
from ..places.batch_norms import export_norms, nodes_inside
from ..places.repairs import as_reference_at


def _coupled(evidence: Evidence) -> Iterator[Suspicion]:
    """A reduction over axis 0 that the reference does not have, and outputs whose rows depend on each other by it."""
    found = list(dict.fromkeys(_reductions_of_batch(evidence)))
    if not found:
        return
    behind, moved = _behind(evidence, set(found)), _moved(evidence)
    coupled = [
        output for output in evidence.export.outputs if output.node in behind and moved.get(output) != 0.0
    ]
    if not coupled:
        return
    case, first = evidence.case, evidence[live_export][found[0]]
    measured = [by for output in coupled if (by := moved.get(output))]
    yield Suspicion(
        cause="output-couples-batch",
        nodes=tuple(found),
        scopes=_scopes(found, coupled),
        message=f"{enumerated([str(output) for output in coupled])} of {case.export_name}"
        f" {verb(coupled, 'depends', 'depend')} on the other rows of the batch: {first.op} {first.name} reduces"
        f" over axis 0, which the {case.reference_graph} does not.",
        fix="Reduce over the axes within a row (1 and up), not over axis 0, the batch.",
        evidence=_measured(measured),
        repair=_uncoupled(evidence, coupled),
    )


def _reductions_of_batch(evidence: Evidence) -> Iterator[str]:
    """The nodes of the export at a divergence that reduce over axis 0 while their partner does not."""
    # The moments of a batch norm are its own affair.
    norms = {name for norm in evidence[export_norms] for name in nodes_inside(evidence, norm)}
    for divergence in evidence[divergences]:
        for name in (*divergence.export, *divergence.readers):
            node = evidence[live_export].get(name)
            if node is None or name in norms or not _over_batch(evidence, node):
                continue
            partner = evidence[live_reference].get(evidence[reference_of].get(name, ""))
            if partner is None or not _over_batch(evidence, partner, reference=True):
                yield name


def _measured(by: list[float]) -> tuple[str, ...]:
    return (f"A row alone differs from the same row in its batch by up to {max(by):.3g}.",) if by else ()


def _uncoupled(evidence: Evidence, coupled: list[TensorName]) -> Repair:
    """What only the coupled outputs need, as in the reference."""
    apart = [output for output in evidence.export.outputs if output not in coupled]
    alone = _behind_only(evidence, coupled, apart)
    return tuple(
        edit
        for divergence in evidence[divergences]
        if {*divergence.export, *divergence.readers} <= alone
        for edit in as_reference_at(evidence, divergence)
    )


def _scopes(names: Iterable[str], coupled: Iterable[TensorName]) -> tuple[str, ...]:
    """The layers of nodes; where these stand outside of all scopes, those of the outputs that need them."""
    found = [name for name in names if "/" in name] or [output.node for output in coupled]
    return layers_of(found)


def _moved(evidence: Evidence) -> Mapping[TensorName, float | None]:
    """By how much row 0 of each output moves when it is alone, where that can be tried."""
    return dict(zip(evidence.case.export.side.outputs, evidence[rows_coupled], strict=False))


def _over_batch(evidence: Evidence, node: Node, *, reference: bool = False) -> bool:
    """Whether a node reduces over axis 0 of something that depends on the inputs."""
    if node.op not in ops.REDUCTIONS or len(node.inputs) < 2:
        return False
    side = evidence.reference if reference else evidence.export
    reduced = side.graph.nodes.get(node.inputs[0].node)
    if reduced is not None and reduced.op in ("Shape", "ShapeN"):  # a size, as gradients ask for
        return False
    told = side.graph.nodes.get(node.inputs[1].node)
    if told is not None and told.op == "Range":  # all axes of a tensor whose rank is not known
        told = side.graph.nodes.get(told.inputs[0].node)
    axes = side.value(told.name if told is not None else None)
    if axes is None or 0 not in values(axes):
        return False
    return reference or node.name in Half.of(side).varying


def _behind(evidence: Evidence, names: set[str]) -> set[str]:
    """``names`` and every live node of the export that needs one of them."""
    found = set(names)
    for name, node in evidence[live_export].items():
        if any(source.node in found for source in node.inputs):
            found.add(name)
    return found


def _behind_only(evidence: Evidence, coupled: list[TensorName], apart: list[TensorName]) -> set[str]:
    """The nodes of the export that ``coupled`` need and ``apart`` do not."""
    graph = evidence.export.graph
    needed = graph.live(map(str, coupled), map(str, evidence.export.feeds))
    others = graph.live(map(str, apart), map(str, evidence.export.feeds))
    return set(needed) - set(others)


CAUSES: tuple[Cause, ...] = (Cause(id="output-couples-batch", ways=(_coupled,)),)
