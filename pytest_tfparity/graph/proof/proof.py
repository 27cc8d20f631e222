"""Proof that two models are the same function, without running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..graph import Array, DType, Graph, Shape, Tensor, TensorName
from ..normal.form import NormalGraph
from ..normal.partitions import partitions
from ..normal.walk import normal_form
from ..read.tensors import base_dtype, dtype_name
from .fingerprint import Contents, combined, edge_fingerprint, fingerprints


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two models that are compared.

    ``outputs`` and ``inputs`` correspond to those of the other side by position; an input may be
    any tensor. ``feeds`` are tensors held at a constant, ``variables`` the values of variable nodes.
    """

    graph: Graph
    outputs: tuple[TensorName, ...]
    inputs: tuple[TensorName, ...] = ()
    feeds: Mapping[TensorName, Array] = field(default_factory=dict)
    variables: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether both sides are the same function of their inputs, and if not, why that is not known.

    ``reason`` is one clause; None if proven. Fingerprints are in hexadecimal, one an output;
    ``reference_fingerprint`` is one for all outputs of the reference, None where it would not
    identify what the reference computes (random or stateful ops). ``notes`` are sentences about what
    a proof leaves open.
    """

    proven: bool
    reason: str | None
    reference: tuple[str, ...]
    export: tuple[str, ...]
    reference_fingerprint: str | None
    notes: tuple[str, ...] = ()

    @classmethod
    def none(cls, reason: str) -> Proof:
        """No proof, for a reason that keeps both sides from being read at all."""
        return cls(proven=False, reason=reason, reference=(), export=(), reference_fingerprint=None)


def prove(reference: Side, export: Side, contents: Contents | None = None) -> Proof:
    """Compare what both sides compute, for every input.

    ``proven`` claims that every output is the same function of the inputs: the same ops with the
    same attributes on constants with the same bits. No claim is made about inputs that one side
    refuses (another static shape, say), nor where a random, stateful or unknown op matters.
    """
    contents = contents or Contents()
    forms = forms_of(reference, export)
    ours, theirs = (output_fingerprints(form, contents) for form in forms)
    doubts = [form.doubts() for form in forms]
    reason = _first_doubt(doubts) or _unlike(reference, export) or _differing(reference, ours, theirs)
    # Of the reference alone: it must not depend on how the export stores its variables.
    identity = None if doubts[0] else combined(ours).hex()
    if forms[0].joined:
        identity = reference_fingerprint(reference, contents)
    return Proof(
        proven=reason is None,
        reason=reason,
        reference=tuple(each.hex() for each in ours),
        export=tuple(each.hex() for each in theirs),
        reference_fingerprint=identity,
        notes=tuple(_notes(reference, export)),
    )


def reference_fingerprint(reference: Side, contents: Contents | None = None) -> str | None:
    """One hash of all that the reference computes; None where random or stateful ops leave that open."""
    form = form_of(reference)
    return None if form.doubts() else combined(output_fingerprints(form, contents or Contents())).hex()


def form_of(side: Side, *, joined: bool = False) -> NormalGraph:
    """The normal form of one side; ``joined`` puts the parts of partitioned variables together."""
    return normal_form(
        side.graph,
        side.outputs,
        inputs=side.inputs,
        feeds=side.feeds,
        variables=side.variables,
        joined=joined,
    )


def forms_of(reference: Side, export: Side) -> tuple[NormalGraph, NormalGraph]:
    """The normal forms of both sides, partitioned variables put together where one side has them whole."""
    ours, theirs = form_of(reference), form_of(export)
    if partitions(ours) != partitions(theirs):
        ours, theirs = form_of(reference, joined=True), form_of(export, joined=True)
    return ours, theirs


def output_fingerprints(form: NormalGraph, contents: Contents) -> list[bytes]:
    """The fingerprint of each output."""
    found = fingerprints(form, contents)
    return [combined([edge_fingerprint(edge, found)]) for edge in form.outputs]


def _first_doubt(doubts: Sequence[Sequence[str]]) -> str | None:
    for side, reasons in zip(("reference", "export"), doubts, strict=True):
        if reasons:
            return f"{reasons[0]} in the {side}"
    return None


def _unlike(reference: Side, export: Side) -> str | None:
    if not reference.outputs:
        return "there is no output to compare"
    if len(reference.outputs) != len(export.outputs):
        return f"the reference has {len(reference.outputs)} outputs and the export {len(export.outputs)}"
    if len(reference.inputs) != len(export.inputs):
        return f"the reference has {len(reference.inputs)} inputs and the export {len(export.inputs)}"
    for ours, theirs in zip(reference.inputs, export.inputs, strict=True):
        kinds = [_dtype(side.graph, name) for side, name in ((reference, ours), (export, theirs))]
        if None not in kinds and kinds[0] != kinds[1]:
            names = [dtype_name(kind) for kind in kinds if kind is not None]
            return f"input {ours} is {names[0]} in the reference and {names[1]} ({theirs}) in the export"
    return None


def _differing(reference: Side, ours: Sequence[bytes], theirs: Sequence[bytes]) -> str | None:
    names = [str(n) for n, a, b in zip(reference.outputs, ours, theirs, strict=True) if a != b]
    return f"{', '.join(names)}: the graphs differ" if names else None


def _dtype(graph: Graph, name: TensorName) -> DType | None:
    node = graph.nodes.get(name.node)
    if node is None or not node.op.startswith("Placeholder"):
        return None
    dtype = node.attrs.get("dtype")
    return base_dtype(dtype) if isinstance(dtype, DType) else None


def _shape(graph: Graph, name: TensorName) -> Shape | None:
    """The static shape of a placeholder; None if it is unknown.

    Graphs older than producer version 24 wrote an unknown shape as an empty one.
    """
    node = graph.nodes.get(name.node)
    shape = node.attrs.get("shape") if node is not None and node.op.startswith("Placeholder") else None
    if not isinstance(shape, Shape) or shape.dims is None or (not shape.dims and graph.producer < 24):
        return None
    return shape


def _notes(reference: Side, export: Side) -> list[str]:
    notes = []
    for ours, theirs in zip(reference.inputs, export.inputs, strict=False):
        shapes = [_shape(reference.graph, ours), _shape(export.graph, theirs)]
        if shapes[0] != shapes[1]:
            known = ["any shape" if s is None or s.dims is None else str(list(s.dims)) for s in shapes]
            notes.append(
                f"Input {ours} takes {known[0]} in the reference, {theirs} {known[1]} in the export."
            )
    return notes
