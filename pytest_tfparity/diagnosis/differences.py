"""What kind of difference each divergence is, told from ops, constants and its place in the network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..graph.align import Divergence, Kind
from ..graph.batchnorm_live import LiveGraph
from ..graph.graph import Array, Node, TensorName
from .chance import Chance, chances
from .evidence import Evidence
from .place import before_weights, nodes_of

_RESIZES = ("Resize", "ScaleAndTranslate", "CropAndResize", "QuantizedResize")
_DECODERS = ("Decode", "ExtractJpeg")
_PADS = frozenset({"Pad", "PadV2", "MirrorPad", "SpaceToBatchND"})
_PADDED = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "Dilation2D", "Erosion2D", "ExtractImagePatches")
_AFFINE = frozenset({"Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "Neg", "Cast"})
_SCALES = frozenset({"Mul", "Div", "RealDiv"})
_JOINS = frozenset({"Concat", "ConcatV2", "Pack"})
_PARTS = frozenset({"Split", "SplitV", "Unpack"})
_FLATTENERS = frozenset({"Reshape"})
_GATHERS = frozenset({"Gather", "GatherV2"})
_SOFTMAX = frozenset(
    {
        "Softmax", "Exp", "Sum", "Max", "Sub", "Div", "RealDiv", "Reshape", "Shape", "Slice", "ConcatV2",
        "StridedSlice", "Pack", "Rank", "Identity", "Transpose",
    }
)  # fmt: skip
# What only changes how numbers are arranged or stored may change none of them.
_HARMLESS = frozenset(
    {
        "Reshape", "ExpandDims", "Squeeze", "Cast", "Identity", "Shape", "Pack", "StridedSlice", "Fill",
        "BroadcastTo", "Tile", "ConcatV2", "Transpose", "Const", "BatchToSpaceND", "SpaceToBatchND",
    }
)  # fmt: skip
_HARMLESS_ATTRS = frozenset({"data_format", "shrink_axis_mask", "begin_mask", "end_mask", "new_axis_mask"})


class Differences:
    """The divergences that are left, each under the cause that it speaks for."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.chances: tuple[Chance, ...] = chances(evidence)
        self.by_cause: dict[str, list[Divergence]] = {}
        for divergence in evidence.divergences:
            self.by_cause.setdefault(self._cause(divergence), []).append(divergence)

    def __getitem__(self, cause: str) -> list[Divergence]:
        """What speaks for ``cause`` and was not named before."""
        return [
            each
            for each in self.by_cause.get(cause, [])
            if not self.evidence.named & {*each.reference, *each.export}
        ]

    def _cause(self, divergence: Divergence) -> str:
        if divergence.inside and self._random(divergence) is None:
            first = before_weights(self.evidence, divergence)
            causes = {_inner(each, first) for each in divergence.inside}
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
        return _general(divergence)

    def elsewhere(self, divergence: Divergence) -> bool:
        """Whether all nodes of a divergence have partners: they are there, but read by other nodes."""
        if (
            divergence.kind not in (Kind.ONLY_IN_REFERENCE, Kind.ONLY_IN_EXPORT, Kind.OP)
            or not divergence.readers
        ):
            return False
        ours, theirs = self.evidence.alignment.nodes, self.evidence.reference_of
        return all(name in ours for name in divergence.reference) and all(
            name in theirs for name in divergence.export
        )

    def _layers(self, divergence: Divergence) -> bool:
        """Whether whole layers with weights of their own are bypassed: no pass removes these."""
        variables = self.evidence.reference.variables
        flow = self.evidence.reference_flow
        return bool(divergence.readers) and any(
            flow.source(source).node in variables for node in self.ours(divergence) for source in node.inputs
        )

    # --- what a divergence consists of

    def ours(self, divergence: Divergence) -> list[Node]:
        """Its nodes in the reference."""
        return nodes_of(self.evidence.reference_flow.nodes, divergence.reference)

    def theirs(self, divergence: Divergence) -> list[Node]:
        """Its nodes in the export."""
        return nodes_of(self.evidence.export_flow.nodes, divergence.export)

    def readers(self, divergence: Divergence) -> list[Node]:
        """The nodes of the export that read it."""
        return nodes_of(self.evidence.export_flow.nodes, divergence.readers)

    def constants(self, divergence: Divergence) -> tuple[Array, Array] | None:
        """Both values of a constant that differs; None if it is none or they have no common shape."""
        if divergence.kind is not Kind.CONSTANT:
            return None
        held = (
            self.evidence.value(self.evidence.reference, divergence.reference[0]),
            self.evidence.value(self.evidence.export, divergence.export[0]),
        )
        if held[0] is None or held[1] is None or held[0].array.dtype == object:
            return None
        return held[0].array, held[1].array

    def is_weight(self, divergence: Divergence) -> bool:
        """Whether a constant stands in the place of a restored variable."""
        return (
            divergence.kind is Kind.CONSTANT and divergence.reference[0] in self.evidence.reference.variables
        )

    # --- the kinds

    def _random(self, divergence: Divergence) -> str | None:
        for chance in self.chances:
            near = {*divergence.export, *divergence.readers}
            if near & (chance.path | set(chance.drawn)):
                return chance.cause
        return None

    def _softmax(self, divergence: Divergence) -> str | None:
        ops = {node.op for node in self.ours(divergence)}
        flow = self.evidence.reference_flow
        last = {flow.source(output).node for output in self.evidence.reference.outputs}
        spelt_out = "Exp" in ops and "Sum" in ops and ops <= _SOFTMAX
        if not ("Softmax" in ops and ops <= _SOFTMAX) and not spelt_out:
            return None
        at_end = divergence.kind is Kind.ONLY_IN_REFERENCE and bool(last & set(divergence.reference))
        return "missing-softmax" if at_end else None

    def _channels(self, divergence: Divergence) -> str | None:
        flows = self.evidence.reference_flow, self.evidence.export_flow
        if divergence.kind is Kind.CONSTANT:
            values = self.constants(divergence)
            gathers = any(node.op in _GATHERS for node in self.readers(divergence))
            permuted = values is not None and gathers and _permutation(values[0]) and _permutation(values[1])
            return "channel-order" if permuted else None
        if not before_weights(self.evidence, divergence):
            return None
        if divergence.kind is Kind.WIRING:
            nodes = self.ours(divergence)
            parts = [
                part.op in _PARTS or part.op == "StridedSlice"
                for node in nodes
                for source in node.inputs
                if (part := _origin(flows[0], source)) is not None
            ]
            joins = any(node.op in _JOINS for node in nodes)
            return "channel-order" if joins and any(parts) else None
        sides = [(flows[0], self.ours(divergence)), (flows[1], self.theirs(divergence))]
        if any(node for _, nodes in sides for node in nodes) and all(
            _reorders(flow, nodes) for flow, nodes in sides if nodes
        ):
            return "channel-order"
        return None

    def _resize(self, divergence: Divergence) -> str | None:
        ours, theirs = self.ours(divergence), self.theirs(divergence)
        if divergence.kind is Kind.ATTRIBUTE and ours:
            if ours[0].op.startswith(_DECODERS):
                return "decode-attr"
            return "resize-attr" if ours[0].op.startswith(_RESIZES) else None
        both = [next((n for n in nodes if n.op.startswith(_RESIZES)), None) for nodes in (ours, theirs)]
        if divergence.kind is Kind.OP and both[0] is not None and both[1] is not None:
            return "resize-op" if both[0].op != both[1].op else None
        return None

    def _padding(self, divergence: Divergence) -> str | None:
        if divergence.kind is Kind.ATTRIBUTE:
            return "padding" if divergence.attribute in ("padding", "explicit_paddings") else None
        if divergence.kind is Kind.CONSTANT:
            return "padding" if any(node.op in _PADS for node in self.readers(divergence)) else None
        nodes = [*self.ours(divergence), *self.theirs(divergence)]
        convolved = any(node.op.startswith(_PADDED) for node in self.readers(divergence))
        padding = bool(nodes) and all(node.op in _PADS for node in nodes)
        return "padding" if padding and (convolved or divergence.kind is Kind.OP) else None

    def _transposed(self, divergence: Divergence) -> str | None:
        readers = self.readers(divergence)
        if divergence.kind is Kind.CONSTANT:
            turned = [node for node in readers if node.op == "Transpose"]
            if not turned:
                return None
            names = set(self.evidence.export_flow.readers.get(turned[0].name, ()))
            readers = nodes_of(self.evidence.export_flow.nodes, names)
        else:
            nodes = [*self.ours(divergence), *self.theirs(divergence)]
            if not nodes or not any(node.op == "Transpose" for node in nodes):
                return None
            if any(node.op not in ("Transpose", "Reshape", "Identity", "Shape") for node in nodes):
                return None
            if any(node.op in _FLATTENERS for node in nodes):
                return "flatten-order"
        return "flatten-order" if any(node.op in _FLATTENERS for node in readers) else "axis-transposed"

    def _preprocessing(self, divergence: Divergence) -> str | None:
        flows = self.evidence.reference_flow, self.evidence.export_flow
        if divergence.kind is Kind.CONSTANT:
            values = self.constants(divergence)
            affine = any(node.op in _AFFINE for node in self.readers(divergence))
            single = values is not None and values[0].size == values[1].size == 1
            return "input-scaling" if affine and single else "preprocess-const"
        nodes = [*self.ours(divergence), *self.theirs(divergence)]
        sides = [(flows[0], self.ours(divergence)), (flows[1], self.theirs(divergence))]
        if nodes and all(_scales(flow, side) for flow, side in sides):
            return "input-scaling"
        if divergence.kind is Kind.OP and all(_scales(flow, side, single=False) for flow, side in sides):
            return "input-scaling"
        return "preprocess-missing" if divergence.kind is Kind.ONLY_IN_REFERENCE else None

    def _factor(self, divergence: Divergence) -> float | None:
        return factor_of(self.evidence.export_flow, self.theirs(divergence))

    # --- what may be no fault at all

    def harmless(self, divergence: Divergence) -> bool:
        """Whether a divergence could change no number: another spelling, another arrangement."""
        if divergence.kind is Kind.ATTRIBUTE:
            return divergence.attribute in _HARMLESS_ATTRS
        if divergence.kind is Kind.OP:
            return not self.elsewhere(divergence)
        if divergence.kind is Kind.CONSTANT:
            values = self.constants(divergence)
            return values is not None and values[0].dtype.kind in "iu"
        nodes = [*self.ours(divergence), *self.theirs(divergence)]
        return (
            divergence.kind is not Kind.WIRING
            and not self.elsewhere(divergence)
            and all(node.op in _HARMLESS for node in nodes)
        )


def _inner(divergence: Divergence, first: bool) -> str:
    """The cause that a divergence inside a function speaks for; ``first``: before all weights."""
    ours, theirs = divergence.ops
    if divergence.kind is Kind.ATTRIBUTE and ours[0].startswith(_DECODERS):
        return "decode-attr"
    if divergence.kind is Kind.ATTRIBUTE and ours[0].startswith(_RESIZES):
        return "resize-attr"
    if divergence.kind is Kind.ATTRIBUTE and divergence.attribute in ("padding", "explicit_paddings"):
        return "padding"
    both = [any(op.startswith(_RESIZES) for op in ops) for ops in divergence.ops]
    if divergence.kind is Kind.OP and all(both):
        return "resize-op"
    ops = {*ours, *theirs}
    if first and ops and ops <= {"ReverseV2", "Reverse"}:
        return "channel-order"
    if first and ops and ops <= _AFFINE:
        return "input-scaling"
    if first and divergence.kind is Kind.CONSTANT:
        return "preprocess-const"
    if first and divergence.kind is Kind.ONLY_IN_REFERENCE:
        return "preprocess-missing"
    return _general(divergence)


def factor_of(flow: LiveGraph, nodes: list[Node]) -> float | None:
    """The one number that ``nodes`` multiply the data by; None if they do anything else."""
    if not nodes or any(node.op not in _SCALES for node in nodes):
        return None
    factor = 1.0
    for node in nodes:
        values = [flow.constant(source) for source in node.inputs]
        single = [value for value in values if value is not None and value.size == 1]
        if len(single) != 1 or (node.op != "Mul" and values[1] is None):
            return None
        number = float(single[0].reshape(()))
        factor *= number if node.op == "Mul" else 1 / number if number else 0.0
    return factor


def _general(divergence: Divergence) -> str:
    general: Mapping[Kind, str] = {
        Kind.WIRING: "graph-wiring-differs",
        Kind.ONLY_IN_REFERENCE: "graph-op-missing",
    }
    return general.get(divergence.kind, "graph-op-differs")


def _origin(flow: LiveGraph, tensor: TensorName) -> Node | None:
    return flow.node(flow.source(tensor))


def _permutation(values: Array) -> bool:
    """Whether these are the indices of some channels, each once."""
    plain = np.sort(np.asarray(values).reshape(-1))
    return plain.dtype.kind in "iu" and 2 <= plain.size <= 16 and bool((plain == np.arange(plain.size)).all())


def _reorders(flow: LiveGraph, nodes: list[Node]) -> bool:
    """Whether nodes do nothing but put channels into another order."""
    ops = {node.op for node in nodes}
    if ops <= _JOINS | _PARTS and ops & _JOINS and ops & _PARTS:
        return True

    def test(node: Node) -> bool:
        if node.op in ("ReverseV2", "Reverse"):
            axes = flow.constant(node.inputs[1])
            return axes is not None and axes.size in (1, 4)
        if node.op in _GATHERS:
            indices = flow.constant(node.inputs[1])
            return indices is not None and _permutation(indices)
        if node.op == "StridedSlice":
            strides = flow.constant(node.inputs[3])
            return strides is not None and bool((strides.reshape(-1) == -1).any())
        return False

    return all(map(test, nodes)) and bool(nodes)


def _scales(flow: LiveGraph, nodes: list[Node], *, single: bool = True) -> bool:
    """Whether nodes do nothing but scale and shift by constants, with ``single`` by one number each."""
    for node in nodes:
        if node.op not in _AFFINE:
            return False
        values = [flow.constant(source) for source in node.inputs]
        if node.op not in ("Cast", "Neg") and not any(
            v is not None and (v.size == 1 or not single) for v in values
        ):
            return False
    return True
