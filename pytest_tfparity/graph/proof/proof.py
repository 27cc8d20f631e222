"""Proof that two models are the same function, without running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from .. import ops
from ..graph import Array, DType, Graph, Shape, Tensor, TensorName
from ..normal.form import NormalGraph, partitions
from ..read.tensors import base_dtype, dtype_name
from ..signatures import ANY, types_of
from .fingerprint import Contents, Fingerprint, combined, edge_fingerprint, fingerprints
from .lockstep import in_lockstep

if TYPE_CHECKING:
    from ..live import Liveness
    from ..live_graph import LiveGraph


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

    def value(self, name: str | None) -> Tensor | None:
        """The constant or variable ``name``, or None if it has no value."""
        if name is None:
            return None
        if name in self.variables:
            return self.variables[name]
        node = self.graph.nodes.get(name)
        held = node.attrs.get("value") if node is not None and node.op == "Const" else None
        return held if isinstance(held, Tensor) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether both sides are the same function of their inputs, and if not, why that is not known.

    ``reason`` is one clause; None if proven. ``notes`` are sentences about what a proof leaves open.
    """

    proven: bool
    reason: str | None
    notes: tuple[str, ...] = ()
    side: NormalSide | None = field(default=None, repr=False)

    @property
    def reference_fingerprint(self) -> str | None:
        """One fingerprint of all outputs of the reference, the same in every process.

        None where it would not identify what the reference computes (random or stateful ops). All weights are hashed
        for it, so it is made when it is first asked for.
        """
        return None if self.side is None else self.side.fingerprint

    @classmethod
    def none(cls, reason: str, *, side: NormalSide | None = None) -> Proof:
        """No proof, for a reason that keeps both sides from being compared; ``side`` is the reference if it is read."""
        return cls(proven=False, reason=reason, side=side)


@dataclass(frozen=True, kw_only=True)
class NormalSide:
    """A side in normal form, with fingerprints: made once, for a proof and an alignment alike.

    ``contents`` remembers what was hashed, of this side and others; ``joined`` says that partitioned
    variables are put together, ``lowered`` that functional conditionals and loops are written out.
    """

    side: Side
    contents: Contents
    joined: bool = False
    lowered: bool = False

    @cached_property
    def form(self) -> NormalGraph:
        """What the outputs compute."""
        return form_of(self.side, joined=self.joined, lowered=self.lowered, live=self._live)

    @cached_property
    def taken(self) -> LiveGraph:
        """The part of the graph that the outputs need, without the dead sides of its conditionals."""
        from ..live_graph import live_graph

        side = self.side
        return live_graph(side.graph, side.outputs, side.inputs, side.feeds, side.variables, found=self._live)

    @cached_property
    def _live(self) -> Liveness | None:
        """What runs; None where functions are kept or written out as the one who asks wants it."""
        from ..live import (
            liveness,
        )  # late, with all that a pair that is the same node by node needs nothing of

        side = self.side
        if side.graph.functions and not self.lowered:
            return None
        return liveness(
            side.graph,
            side.outputs,
            inputs=side.inputs,
            feeds=side.feeds,
            variables=side.variables,
            lowered=ops.IFS | ops.WHILES,
        )

    @cached_property
    def fingerprints(self) -> Mapping[int, Fingerprint]:
        """The fingerprint of every live node of the form, by index."""
        return fingerprints(self.form, self.contents)

    @cached_property
    def outputs(self) -> tuple[Fingerprint, ...]:
        """The fingerprint of each output."""
        return _of_outputs(self.form, self.fingerprints)

    @cached_property
    def simpler_outputs(self) -> tuple[Fingerprint, ...]:
        """The fingerprint of each output where the form is made as simple as it can be without another bit."""
        from ..normal.simpler import simpler  # late: a pair that is written alike needs none of it

        form = simpler(self.form)
        return _of_outputs(form, fingerprints(form, self.contents))

    @cached_property
    def doubts(self) -> Sequence[str]:
        """Why no proof can rest on this side, a clause each."""
        return self.form.doubts()

    @cached_property
    def fingerprint(self) -> str | None:
        """One hash of all that the side computes, the same in every process.

        None where random or stateful ops leave that open.
        """
        if self.doubts:
            return None
        return combined(_of_outputs(self.form, fingerprints(self.form, Contents(lasting=True)))).hex()

    @cached_property
    def partitions(self) -> int:
        """How many variables are put together of parts."""
        return partitions(self.form)

    @cached_property
    def functional(self) -> int:
        """How many conditionals and loops are functional."""
        nodes = self.form.nodes
        return (
            sum(nodes[index].op in _FUNCTIONAL for index in self.form.live())
            if self.side.graph.functions
            else 0
        )

    @cached_property
    def _otherwise(self) -> dict[tuple[bool, bool], NormalSide]:
        return {}

    def written(self, *, joined: bool = False, lowered: bool = False) -> NormalSide:
        """This side with partitioned variables put together, or functional conditionals and loops written out, too."""
        key = (joined or self.joined, lowered or self.lowered)
        if key == (self.joined, self.lowered):
            return self
        if key not in self._otherwise:
            self._otherwise[key] = replace(self, joined=key[0], lowered=key[1])
        return self._otherwise[key]


def normalised(side: Side, contents: Contents | None = None) -> NormalSide:
    """The normal form of ``side``, made when it is first asked for."""
    return NormalSide(side=side, contents=contents or Contents())


def written_alike(reference: NormalSide, export: NormalSide) -> tuple[NormalSide, NormalSide]:
    """Both sides, functional conditionals and loops written out where only one side has them so."""
    lowered = reference.functional != export.functional
    return reference.written(lowered=lowered), export.written(lowered=lowered)


def comparable(reference: NormalSide, export: NormalSide) -> tuple[NormalSide, NormalSide]:
    """Both sides :func:`written_alike`, variables put together where one side alone has them in parts.

    Their constants are named in one table.
    """
    if reference.contents is not export.contents:
        export = replace(export, contents=reference.contents)
    joined = reference.partitions != export.partitions
    reference, export = written_alike(reference, export)
    return reference.written(joined=joined), export.written(joined=joined)


def prove(reference: NormalSide, export: NormalSide) -> Proof:
    """Compare what both sides compute, for every input.

    ``proven`` claims that every output is the same function of the inputs: the same ops with the
    same attributes on constants with the same bits. No claim is made about inputs that one side
    refuses (another static shape, say), nor where a random, stateful or unknown op matters.
    """
    reason = _unlike(reference.side, export.side)
    if reason is not None or not in_lockstep(reference.side, export.side, reference.contents):
        reason = _first_doubt(*comparable(reference, export)) or reason or _differing(reference, export)
    return Proof(
        proven=reason is None,
        reason=reason,
        notes=tuple(_notes(reference.side, export.side)),
        # Of the reference alone: its fingerprint must not depend on how the export stores its variables.
        side=reference,
    )


def _of_outputs(form: NormalGraph, found: Mapping[int, Fingerprint]) -> tuple[Fingerprint, ...]:
    return tuple(combined([edge_fingerprint(edge, found)]) for edge in form.outputs)


_FUNCTIONAL = frozenset({"If", "While"})


def form_of(
    side: Side, *, joined: bool = False, lowered: bool = False, live: Liveness | None = None
) -> NormalGraph:
    """The normal form of one side; the rest is as :func:`~..normal.walk.normal_form` takes it."""
    from ..normal.walk import normal_form

    return normal_form(
        side.graph,
        side.outputs,
        inputs=side.inputs,
        feeds=side.feeds,
        variables=side.variables,
        joined=joined,
        lowered=lowered,
        live=live,
    )


def _first_doubt(reference: NormalSide, export: NormalSide) -> str | None:
    for role, side in (("reference", reference), ("export", export)):
        if side.doubts:
            return f"{side.doubts[0]} in the {role}"
    return None


def _unlike(reference: Side, export: Side) -> str | None:
    if not reference.outputs:
        return "there is no output to compare"
    if len(reference.outputs) != len(export.outputs):
        return f"the reference has {len(reference.outputs)} outputs and the export {len(export.outputs)}"
    if len(reference.inputs) != len(export.inputs):
        return f"the reference has {len(reference.inputs)} inputs and the export {len(export.inputs)}"
    for name, other in zip(reference.inputs, export.inputs, strict=True):
        kinds = [_dtype(reference.graph, name), _dtype(export.graph, other)]
        if None not in kinds and kinds[0] != kinds[1]:
            names = [dtype_name(kind) for kind in kinds if kind is not None]
            return f"input {name} is {names[0]} in the reference and {names[1]} ({other}) in the export"
    return None


def differing_outputs(reference: NormalSide, export: NormalSide) -> tuple[int, ...]:
    """Which outputs, by their number, are not the same function, as far as the normal forms tell."""
    one, other = comparable(reference, export)
    if one.outputs == other.outputs or one.simpler_outputs == other.simpler_outputs:
        return ()
    prints = zip(one.outputs, other.outputs, strict=False)
    return tuple(index for index, (expected, given) in enumerate(prints) if expected != given)


def _differing(reference: NormalSide, export: NormalSide) -> str | None:
    names = [str(reference.side.outputs[index]) for index in differing_outputs(reference, export)]
    return f"{', '.join(names)}: the graphs differ" if names else None


def _dtype(graph: Graph, name: TensorName) -> DType | None:
    """The type of a tensor, what it refers to included; None if that is not known."""
    node = graph.nodes.get(name.node)
    types = None if node is None else types_of(node.op, node.attrs)
    if types is None or name.port >= len(types[1]) or types[1][name.port] == ANY:
        return None
    return base_dtype(DType(types[1][name.port]))


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
    for name, other in zip(reference.inputs, export.inputs, strict=False):
        shapes = [_shape(reference.graph, name), _shape(export.graph, other)]
        if shapes[0] != shapes[1]:
            known = ["any shape" if s is None or s.dims is None else str(list(s.dims)) for s in shapes]
            notes.append(f"Input {name} takes {known[0]} in the reference, {other} {known[1]} in the export.")
    return notes
