"""What kind of difference each divergence is, told from ops, constants and its place in the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...graph.align.divergence import Divergence, Kind
from ...graph.graph import Array, Node
from ..alignment import alignment, counterpart, divergences, reference_of
from ..evidence import Evidence
from ..flow import export_flow, reference_flow
from ..input_path import before_weights
from ..query import query
from ..random_numbers import RandomPlace, random_places
from .effects import (
    AFFINE,
    DECODERS,
    FLATTENERS,
    GATHERS,
    HARMLESS,
    HARMLESS_ATTRS,
    JOINS,
    PADDED,
    PADS,
    PARTS,
    RESIZES,
    SOFTMAX,
    factor_of,
    general_cause,
    inner_cause,
    origin,
    permutes,
    reorders,
    scales,
)


@query
def differences(evidence: Evidence) -> Differences:
    """The divergences, each under the cause that it speaks for."""
    return Differences(evidence)


def unexplained(evidence: Evidence, cause: str) -> list[Divergence]:
    """The divergences that speak for ``cause`` and that no finding has named."""
    found = evidence[differences].by_cause.get(cause, [])
    return [each for each in found if not evidence.explained & {*each.reference, *each.export}]


class Differences:
    """The divergences that are left, each under the cause that it speaks for."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.chances: tuple[RandomPlace, ...] = evidence[random_places]
        self.by_cause: dict[str, list[Divergence]] = {}
        for divergence in evidence[divergences]:
            self.by_cause.setdefault(self._cause(divergence), []).append(divergence)

    def _cause(self, divergence: Divergence) -> str:
        if divergence.inside and self._random(divergence) is None:
            first = before_weights(self.evidence, divergence)
            causes = {inner_cause(each, first) for each in divergence.inside}
            return causes.pop() if len(causes) == 1 else "graph-op-differs"
        for test in (
            self._random,
            self._softmax,
            self._channels,
            self._resize,
            self._padding,
            self._transposed,
        ):
            cause = test(divergence)
            if cause is not None:
                return cause
        if before_weights(self.evidence, divergence):
            cause = self._preprocessing(divergence)
            if cause is not None:
                return cause
        if divergence.kind is Kind.ONLY_IN_EXPORT and self._factor(divergence) is not None:
            return "dropout-scaling"
        if divergence.kind is Kind.ONLY_IN_REFERENCE and self._layers(divergence):
            return "graph-wiring-differs"
        if self.elsewhere(divergence):
            return "graph-wiring-differs"
        return general_cause(divergence)

    def elsewhere(self, divergence: Divergence) -> bool:
        """Whether all nodes of a divergence have partners: they are there, but read by other nodes."""
        if (
            divergence.kind not in (Kind.ONLY_IN_REFERENCE, Kind.ONLY_IN_EXPORT, Kind.OP)
            or not divergence.readers
        ):
            return False
        ours, theirs = self.evidence[alignment].nodes, self.evidence[reference_of]
        return all(name in ours for name in divergence.reference) and all(
            name in theirs for name in divergence.export
        )

    def _layers(self, divergence: Divergence) -> bool:
        """Whether whole layers with weights of their own are bypassed: no pass removes these."""
        variables = self.evidence.reference.variables
        flow = self.evidence[reference_flow]
        if not divergence.readers or self._passed_over(divergence):
            return False
        return any(
            flow.source(source).node in variables for node in self.ours(divergence) for source in node.inputs
        )

    def _passed_over(self, divergence: Divergence) -> bool:
        """Whether one op alone is bypassed: the export reads what the op reads; what else it read is unused."""
        flows = self.evidence[reference_flow], self.evidence[export_flow]
        last = self.ours(divergence)[:1]
        sources = [flows[0].source(source) for node in last for source in node.inputs]
        if any(source.node in self.evidence.reference.variables for source in sources):
            return False
        read = {flows[1].source(each) for node in self.readers(divergence) for each in node.inputs}
        partners = [counterpart(self.evidence, source) for source in sources]
        return any(partner is not None and flows[1].source(partner) in read for partner in partners)

    # --- what a divergence consists of

    def ours(self, divergence: Divergence) -> list[Node]:
        """Its nodes in the reference."""
        return _present(self.evidence[reference_flow].nodes, divergence.reference)

    def theirs(self, divergence: Divergence) -> list[Node]:
        """Its nodes in the export."""
        return _present(self.evidence[export_flow].nodes, divergence.export)

    def readers(self, divergence: Divergence) -> list[Node]:
        """The nodes of the export that read it."""
        return _present(self.evidence[export_flow].nodes, divergence.readers)

    def constants(self, divergence: Divergence) -> tuple[Array, Array] | None:
        """Both values of a constant that differs; None if it is none or they have no common shape."""
        if divergence.kind is not Kind.CONSTANT:
            return None
        held = (
            self.evidence.reference.value(divergence.reference[0]),
            self.evidence.export.value(divergence.export[0]),
        )
        if held[0] is None or held[1] is None or held[0].array.dtype == object:
            return None
        return held[0].array, held[1].array

    # --- the kinds

    def _random(self, divergence: Divergence) -> str | None:
        for chance in self.chances:
            near = {*divergence.export, *divergence.readers}
            if near & (chance.path | set(chance.drawn)):
                return chance.cause
        return None

    def _softmax(self, divergence: Divergence) -> str | None:
        ops = {node.op for node in self.ours(divergence)}
        flow = self.evidence[reference_flow]
        last = {flow.source(output).node for output in self.evidence.reference.outputs}
        spelt_out = "Exp" in ops and "Sum" in ops and ops <= SOFTMAX
        if not ("Softmax" in ops and ops <= SOFTMAX) and not spelt_out:
            return None
        at_end = divergence.kind is Kind.ONLY_IN_REFERENCE and bool(last & set(divergence.reference))
        return "missing-softmax" if at_end else None

    def _channels(self, divergence: Divergence) -> str | None:
        flows = self.evidence[reference_flow], self.evidence[export_flow]
        if divergence.kind is Kind.CONSTANT:
            values = self.constants(divergence)
            gathers = any(node.op in GATHERS for node in self.readers(divergence))
            permuted = values is not None and gathers and permutes(values[0]) and permutes(values[1])
            return "channel-order" if permuted else None
        if not before_weights(self.evidence, divergence):
            return None
        if divergence.kind is Kind.WIRING:
            nodes = self.ours(divergence)
            parts = [
                part.op in PARTS or part.op == "StridedSlice"
                for node in nodes
                for source in node.inputs
                if (part := origin(flows[0], source)) is not None
            ]
            joins = any(node.op in JOINS for node in nodes)
            return "channel-order" if joins and any(parts) else None
        sides = [(flows[0], self.ours(divergence)), (flows[1], self.theirs(divergence))]
        if any(node for _, nodes in sides for node in nodes) and all(
            reorders(flow, nodes) for flow, nodes in sides if nodes
        ):
            return "channel-order"
        return None

    def _resize(self, divergence: Divergence) -> str | None:
        ours, theirs = self.ours(divergence), self.theirs(divergence)
        if divergence.kind is Kind.ATTRIBUTE and ours:
            if ours[0].op.startswith(DECODERS):
                return "decode-attr"
            return "resize-attr" if ours[0].op.startswith(RESIZES) else None
        both = [next((n for n in nodes if n.op.startswith(RESIZES)), None) for nodes in (ours, theirs)]
        if divergence.kind is Kind.OP and both[0] is not None and both[1] is not None:
            return "resize-op" if both[0].op != both[1].op else None
        return None

    def _padding(self, divergence: Divergence) -> str | None:
        if divergence.kind is Kind.ATTRIBUTE:
            return "padding" if divergence.attribute in ("padding", "explicit_paddings") else None
        if divergence.kind is Kind.CONSTANT:
            return "padding" if any(node.op in PADS for node in self.readers(divergence)) else None
        nodes = [*self.ours(divergence), *self.theirs(divergence)]
        convolved = any(node.op.startswith(PADDED) for node in self.readers(divergence))
        padding = bool(nodes) and all(node.op in PADS for node in nodes)
        return "padding" if padding and (convolved or divergence.kind is Kind.OP) else None

    def _transposed(self, divergence: Divergence) -> str | None:
        readers = self.readers(divergence)
        if divergence.kind is Kind.CONSTANT:
            turned = [node for node in readers if node.op == "Transpose"]
            if not turned:
                return None
            names = set(self.evidence[export_flow].readers.get(turned[0].name, ()))
            readers = _present(self.evidence[export_flow].nodes, names)
        else:
            nodes = [*self.ours(divergence), *self.theirs(divergence)]
            if not nodes or not any(node.op == "Transpose" for node in nodes):
                return None
            if any(node.op not in ("Transpose", "Reshape", "Identity", "Shape") for node in nodes):
                return None
            if any(node.op in FLATTENERS for node in nodes):
                return "flatten-order"
        return "flatten-order" if any(node.op in FLATTENERS for node in readers) else "axis-transposed"

    def _preprocessing(self, divergence: Divergence) -> str | None:
        flows = self.evidence[reference_flow], self.evidence[export_flow]
        if divergence.kind is Kind.CONSTANT:
            values = self.constants(divergence)
            affine = any(node.op in AFFINE for node in self.readers(divergence))
            single = values is not None and values[0].size == values[1].size == 1
            return "input-scaling" if affine and single else "preprocess-const"
        nodes = [*self.ours(divergence), *self.theirs(divergence)]
        sides = [(flows[0], self.ours(divergence)), (flows[1], self.theirs(divergence))]
        if nodes and all(scales(flow, side) for flow, side in sides):
            return "input-scaling"
        if divergence.kind is Kind.OP and all(scales(flow, side, single=False) for flow, side in sides):
            return "input-scaling"
        return "preprocess-missing" if divergence.kind is Kind.ONLY_IN_REFERENCE else None

    def _factor(self, divergence: Divergence) -> float | None:
        return factor_of(self.evidence[export_flow], self.theirs(divergence))

    # --- what may be no fault at all

    def harmless(self, divergence: Divergence) -> bool:
        """Whether a divergence could change no number: another spelling, another arrangement."""
        if divergence.kind is Kind.ATTRIBUTE:
            return divergence.attribute in HARMLESS_ATTRS
        if divergence.kind is Kind.OP:
            return not self.elsewhere(divergence)
        if divergence.kind is Kind.CONSTANT:
            values = self.constants(divergence)
            return values is not None and values[0].dtype.kind in "iu"
        nodes = [*self.ours(divergence), *self.theirs(divergence)]
        return (
            divergence.kind is not Kind.WIRING
            and not self.elsewhere(divergence)
            and all(node.op in HARMLESS for node in nodes)
        )


def _present(graph: Mapping[str, Node], names: Iterable[str]) -> list[Node]:
    """The nodes called ``names``, those that are not in the graph left out."""
    return [graph[name] for name in names if name in graph]
