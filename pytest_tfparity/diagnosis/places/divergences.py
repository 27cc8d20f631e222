"""The divergences with what surrounds them: what the causes that are differences of graphs are told from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from ...graph.align.divergence import Divergence, Kind
from ...graph.graph import Array, Attr, DType, Node, TensorName, listed
from ...graph.live_graph import LiveGraph
from ..alignment import alignment, divergences, reference_of
from ..evidence import Evidence
from ..input_path import after_inputs, before_weights, export_after_inputs
from ..needed import export_flow, known_nodes, reference_flow
from ..query import query
from ..random_ops import RandomPlace, random_places
from .surroundings import Surroundings
from .transformations import ACTIVATIONS, ARRANGES, ARRANGING_ATTRIBUTES, changes_nothing, takes_numbers
from .weights import provenances

_ONE_SIDED = (Kind.ONLY_IN_REFERENCE, Kind.ONLY_IN_EXPORT)

Nodes: TypeAlias = "list[Node]"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A divergence with both graphs around it.

    ``first`` says that it lies between a fed input and the first layer that reads restored weights, ``chance`` what
    random numbers do in its place, None where there are none. ``inside`` are the differences of a function's body,
    where one is all that differs, ``fed`` the nodes of the export's graph around it that depend on its inputs.
    """

    evidence: Evidence
    divergence: Divergence
    reference: Surroundings
    export: Surroundings
    first: bool
    chance: str | None = None
    fed: frozenset[str] = frozenset()

    @property
    def kind(self) -> Kind:
        """In what the graphs differ here."""
        return self.divergence.kind

    @cached_property
    def inside(self) -> tuple[Difference, ...]:
        """The differences inside the function that differs."""
        if not self.divergence.inside or self.divergence.attribute is None:
            return ()
        reference = self.reference.within(self.divergence.reference[0], self.divergence.attribute)
        export = self.export.within(self.divergence.export[0], self.divergence.attribute)
        given = export.given_by(self.divergence.export[0], self.export.flow, self.fed)
        return tuple(
            Difference(
                evidence=self.evidence,
                divergence=each,
                reference=reference,
                export=export,
                first=self.first,
                fed=after_inputs(export.flow, given),
            )
            for each in self.divergence.inside
        )

    @property
    def spot(self) -> Difference:
        """The difference itself, in whatever function: the one nearest to the inputs, of several."""
        return self.inside[0].spot if self.inside else self

    # --- what it consists of

    @cached_property
    def reference_nodes(self) -> Nodes:
        """Its nodes in the reference, the one nearest to the outputs first."""
        return known_nodes(self.reference.flow.nodes, self.divergence.reference)

    @cached_property
    def export_nodes(self) -> Nodes:
        """Its nodes in the export, the one nearest to the outputs first."""
        return known_nodes(self.export.flow.nodes, self.divergence.export)

    @property
    def nodes(self) -> Nodes:
        """Its nodes on both sides."""
        return [*self.reference_nodes, *self.export_nodes]

    @property
    def sides(self) -> tuple[tuple[LiveGraph, Nodes], tuple[LiveGraph, Nodes]]:
        """Each graph with the nodes in it, the reference first."""
        return (self.reference.flow, self.reference_nodes), (self.export.flow, self.export_nodes)

    @cached_property
    def readers(self) -> Nodes:
        """The nodes of the export that read it."""
        return known_nodes(self.export.flow.nodes, self.divergence.readers)

    def readers_of(self, node: Node) -> Nodes:
        """The nodes of the export that read ``node``."""
        return known_nodes(self.export.flow.nodes, self.export.flow.readers.get(node.name, ()))

    @cached_property
    def constants(self) -> tuple[Array, Array] | None:
        """Both values of a constant that differs (reference, export); None if it is none, or a text."""
        if self.kind is not Kind.CONSTANT:
            return None
        right = self.reference.value(self.divergence.reference[0])
        held = self.export.value(self.divergence.export[0])
        if right is None or held is None or right.array.dtype == object:
            return None
        return right.array, held.array

    # --- where it stands

    @property
    def acts_on_input(self) -> bool:
        """Whether what reads it in the export depends on values of an input, not only on how large it is."""
        return any(name in self.fed for name in self.divergence.readers)

    @property
    def at_output(self) -> bool:
        """Whether a node of the reference in it gives an output of the model."""
        return bool(self.reference.ends & set(self.divergence.reference))

    @property
    def elsewhere(self) -> bool:
        """Whether all its nodes have partners: they are on both sides, but other nodes read them."""
        if self.kind not in (*_ONE_SIDED, Kind.OP) or not self.divergence.readers:
            return False
        return all(name in self.reference.partners for name in self.divergence.reference) and all(
            name in self.export.partners for name in self.divergence.export
        )

    @cached_property
    def foreign_weights(self) -> tuple[str, ...]:
        """What the export reads here and that holds a tensor of the checkpoint, where the reference reads none."""
        if self.kind is not Kind.OP or any(map(self._reads_variable, self.reference_nodes)):
            return ()
        flow, known = self.export.flow, self.evidence[provenances]
        read = dict.fromkeys(flow.source(source).node for node in self.export_nodes for source in node.inputs)
        whose = ((name, known[name]) for name in read if name in known)
        return tuple(
            name for name, each in whose if each.informative and each.kind in ("own", "shadow", "variable")
        )

    @property
    def bypasses_layers(self) -> bool:
        """Whether the export reads past whole layers with weights of their own, which no pass removes."""
        if self.kind is not Kind.ONLY_IN_REFERENCE or not self.divergence.readers or self._skips_one_op:
            return False
        return any(self._reads_variable(node) for node in self.reference_nodes)

    @property
    def _skips_one_op(self) -> bool:
        """Whether one op is left out and no layer: what read its output reads one of its inputs instead."""
        last = self.reference_nodes[:1]
        if any(map(self._reads_variable, last)):
            return False
        flow = self.export.flow
        read = {flow.source(source) for node in self.readers for source in node.inputs}
        sources = (self.reference.flow.source(source) for node in last for source in node.inputs)
        partners = ((self.reference.partners.get(source.node), source.port) for source in sources)
        return any(
            name is not None and flow.source(TensorName(name, port)) in read for name, port in partners
        )

    def _reads_variable(self, node: Node) -> bool:
        flow = self.reference.flow
        return any(flow.source(source).node in self.reference.values for source in node.inputs)

    @property
    def is_setting(self) -> bool:
        """Whether both sides have the same nodes here, and a constant or an attribute of them differs."""
        if self.inside:
            return all(each.is_setting for each in self.inside)
        if self.kind is Kind.ATTRIBUTE:
            return self.divergence.values is not None and not any(map(_types, self.divergence.values))
        return self.kind is Kind.CONSTANT

    @property
    def spelling(self) -> bool:
        """Whether it may only say the same in another way: an attribute that arranges, a shape, an axis.

        An integer is more than that where it is a number, an amount or an order, by what reads it.
        """
        if self.inside:
            return any(each.spelling for each in self.inside)
        return self.harmless and not self._counts

    @property
    def _counts(self) -> bool:
        """Whether it is an integer that all its readers take for a number, no shape and no axis."""
        source, flow = self.divergence.export[0], self.export.flow
        places = [
            (node, position)
            for node in self.readers
            for position, read in enumerate(node.inputs)
            if flow.source(read).node == source
        ]
        return self.kind is Kind.CONSTANT and bool(places) and all(takes_numbers(*place) for place in places)

    @property
    def neutral(self) -> bool:
        """Whether its nodes add 0 or multiply by 1."""
        return all(changes_nothing(flow, node) for flow, nodes in self.sides for node in nodes)

    @property
    def activates(self) -> bool:
        """Whether another activation or another pooling stands in one place."""
        ops = [{node.op for node in nodes} for _, nodes in self.sides]
        return self.kind is Kind.OP and all(len(each) == 1 and each <= ACTIVATIONS for each in ops)

    @property
    def harmless(self) -> bool:
        """Whether it could change no number: another spelling, another arrangement."""
        if self.kind is Kind.ATTRIBUTE:
            return self.divergence.attribute in ARRANGING_ATTRIBUTES
        if self.kind is Kind.CONSTANT:  # a shape, or an axis
            return self.constants is not None and self.constants[0].dtype.kind in "iu"
        if self.kind is Kind.WIRING or self.elsewhere:
            return False
        return self.kind is Kind.OP or all(node.op in ARRANGES for node in self.nodes)


def _types(value: Attr) -> bool:
    """Whether an attribute says of what types, so how many, the inputs of its node are."""
    several = listed(value)
    return any(isinstance(each, DType) for each in (several if several is not None else (value,)))


@query
def differences(evidence: Evidence) -> tuple[Difference, ...]:
    """The divergences that are left with the whole graphs around them, those nearest to the inputs first."""
    reference = Surroundings(
        nodes=evidence.reference.graph.nodes,
        flow=evidence[reference_flow],
        functions=evidence.reference.graph.functions,
        values=evidence.reference.variables,
        partners=evidence[alignment].nodes,
        ends=frozenset(evidence[reference_flow].source(output).node for output in evidence.reference.outputs),
    )
    export = Surroundings(
        nodes=evidence.export.graph.nodes,
        flow=evidence[export_flow],
        functions=evidence.export.graph.functions,
        values=evidence.export.variables,
        partners=evidence[reference_of],
    )
    return tuple(
        Difference(
            evidence=evidence,
            divergence=each,
            reference=reference,
            export=export,
            first=before_weights(evidence, each),
            chance=_chance(evidence[random_places], each),
            fed=evidence[export_after_inputs],
        )
        for each in evidence[divergences]
        if not _is_of_a_repair(evidence, each)
    )


def _is_of_a_repair(evidence: Evidence, divergence: Divergence) -> bool:
    """Whether it tells of a node that a repair brought into the graph: nothing of the file."""
    made = evidence.export.graph.nodes.keys() - evidence.case.export.side.graph.nodes.keys()
    return divergence.kind is not Kind.CONSTANT and not made.isdisjoint(divergence.export)


def _chance(met: Iterable[RandomPlace], divergence: Divergence) -> str | None:
    """What the random numbers do that a divergence lies among, or that what reads it makes ready."""
    near = {*divergence.export, *divergence.readers}
    return next((each.cause for each in met if near & (each.path | set(each.drawn))), None)


def unexplained(evidence: Evidence, found: Iterable[Difference]) -> list[Difference]:
    """Those of ``found`` that no finding has named."""
    named = evidence.explained
    return [each for each in found if not named & {*each.divergence.reference, *each.divergence.export}]
