"""Random numbers that belong to training: dropout, noise and augmentation left in an export."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ...graph.align.divergence import Divergence, Kind
from ...graph.edit.graft import Repair, Ungraftable, Wire
from ...graph.graph import TensorName
from ..behaviour import export_repeats
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow
from ..places.divergences import differences, unexplained
from ..places.effects import factor_of
from ..places.repairs import as_reference_at
from ..random_numbers import RandomPlace, export_random_ops
from ..scopes import common_scope
from ..wording import counted, listed
from .structural import Structural, named, number, shown

_SCALES = frozenset({"Mul", "RealDiv", "Div"})


class _Random(Cause):
    """Random ops that reach the outputs of the export and not those of the reference."""

    fix: ClassVar[str]

    def find(self, evidence: Evidence) -> Iterator[Suspicion]:
        """One suspicion for all places of this cause."""
        found = [
            chance
            for chance in evidence[differences].chances
            if chance.cause == self.id and chance.join not in evidence.explained
        ]
        if not found:
            return
        switches = list(_switches(evidence, unexplained(evidence, self.id)))
        joins = [chance.join for chance in found]
        scopes = [_layer(scope) for chance in found for scope in common_scope((chance.join, *chance.drawn))]
        yield Suspicion(
            cause=self.id,
            nodes=tuple(dict.fromkeys([*(name for name, _ in switches), *joins])),
            scopes=tuple(dict.fromkeys(scopes)),
            message=self.told(evidence, found),
            fix=f"Feed {switches[0][0]}={switches[0][1]}, or export with that as its default."
            if switches
            else self.fix,
            evidence=(*_facts(evidence, found), *_reruns(evidence)),
            repair=_repair(evidence, found, unexplained(evidence, self.id)),
        )

    def told(self, evidence: Evidence, found: Sequence[RandomPlace]) -> str:
        """What is wrong, a sentence or two."""
        raise NotImplementedError


class DropoutActive(_Random):
    """A dropout that drops."""

    id: ClassVar[str] = "dropout-active"
    fix: ClassVar[str] = (
        "Build the export graph with training=False (slim.dropout: is_training=False; tf.nn.dropout: rate 0), restore"
        " and freeze again."
    )

    def told(self, evidence: Evidence, found: Sequence[RandomPlace]) -> str:
        names = listed([chance.join for chance in found])
        live = "is a live dropout" if len(found) == 1 else "are live dropouts"
        switches = list(_switches(evidence, unexplained(evidence, self.id)))
        why = f" {shown(evidence, unexplained(evidence, self.id)[0])}." if switches else ""
        return f"{names} {live} in {evidence.case.export_name}: values are dropped at random.{why}"


class RandomAugmentation(_Random):
    """Augmentation in the input path."""

    id: ClassVar[str] = "random-augmentation"
    fix: ClassVar[str] = "Export the input path of evaluation, without augmentation."

    def told(self, evidence: Evidence, found: Sequence[RandomPlace]) -> str:
        names = listed([chance.join for chance in found])
        return f"{evidence.case.export_name} changes its input at random before the first layer: {names}."


class RandomNoise(_Random):
    """A noise layer."""

    id: ClassVar[str] = "random-noise"
    fix: ClassVar[str] = "Remove the noise layer from the export graph, or give it a phase that is off there."

    def told(self, evidence: Evidence, found: Sequence[RandomPlace]) -> str:
        names = listed([chance.join for chance in found])
        return f"{evidence.case.export_name} has random noise at {names}: its answers are random."


class DropoutScaling(Structural):
    """A factor that a dropout left behind."""

    id: ClassVar[str] = "dropout-scaling"
    fix: ClassVar[str] = "Remove it: since tf.nn.dropout scales in training, inference needs no factor."

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        factor = factor_of(evidence[export_flow], evidence[differences].theirs(divergence))
        by = "" if factor is None else f" by {number(factor)}"
        return (
            f"{named(divergence)[0]} multiplies{by} in {evidence.case.export_name} alone: a keep_prob of a dropout,"
            " by its place."
        )


def _layer(scope: str) -> str:
    """The layer around the scope that the dropout function makes for itself."""
    outer, _, last = scope.rpartition("/")
    own = re.fullmatch(r"(stateless_)?dropout(_\d+)?", last)
    inside = last.startswith("stateless") or outer.rpartition("/")[2].lower().startswith("drop")
    return outer if outer and own and inside else scope


def _switches(evidence: Evidence, found: Sequence[Divergence]) -> Iterator[tuple[str, str]]:
    """Placeholders of the export whose default leaves a dropout on, with the reference's value."""
    for divergence in found:
        values = evidence[differences].constants(divergence)
        for reader in (
            evidence[export_flow].readers.get(divergence.export[0], ()) if divergence.export else ()
        ):
            node = evidence[export_flow].nodes[reader]
            if node.op == "PlaceholderWithDefault" and values is not None and values[0].size == 1:
                yield reader, number(float(values[0].reshape(())))


def _reruns(evidence: Evidence) -> Iterator[str]:
    """What a second run in the same session shows, if the export can be run."""
    if evidence[export_repeats] is False:
        yield "Two runs in one session on the same inputs differ."


def _facts(evidence: Evidence, found: Sequence[RandomPlace]) -> Iterator[str]:
    for chance in found[:3]:
        ops = listed([f"{evidence[export_flow].nodes[name].op} {name}" for name in chance.drawn], 1)
        yield f"{ops} reaches the outputs through {chance.join}"
    if len(found) > 3:
        yield f"and {counted(len(found) - 3, 'more place')}"


def _repair(evidence: Evidence, found: Sequence[RandomPlace], divergences: Sequence[Divergence]) -> Repair:
    """The places as in the reference; where that leaves random numbers, the masks cut out."""
    repair = tuple(edit for each in divergences for edit in as_reference_at(evidence, each))
    cut = tuple(edit for chance in found for edit in _cut(evidence, chance))
    # What stands beside a dropout in the same place may be a fault of its own: leave it to be found.
    wide = any(each.kind is Kind.OP for each in divergences)
    drawn = {name for chance in found for name in chance.drawn}
    for tried in (cut, repair) if wide else (repair, cut):
        if tried and not drawn & set(_left(evidence, tried)):
            return tried
    return repair


def _left(evidence: Evidence, repair: Repair) -> Mapping[str, str]:
    try:
        return evidence.after(repair)[export_random_ops]
    except Ungraftable:
        return evidence[export_random_ops]


def _cut(evidence: Evidence, chance: RandomPlace) -> Iterator[Wire]:
    """Let what reads the dropout read what it drops from."""
    if chance.cause == "random-augmentation":
        return
    flow = evidence[export_flow]
    node = flow.nodes[chance.join]
    kept = [source for source in node.inputs if flow.source(source).node not in chance.path]
    if len(kept) != 1:
        return
    data = kept[0]
    scaled = flow.node(flow.source(data))
    if chance.cause == "dropout-active" and scaled is not None and scaled.op in _SCALES:
        single = [flow.constant(source) is not None for source in scaled.inputs]
        data = scaled.inputs[single.index(False)] if sum(single) == 1 else data
    for name, reader in evidence.export.graph.nodes.items():
        for position, source in enumerate(reader.inputs):
            if source == TensorName(chance.join, 0) and name not in chance.path:
                yield Wire(node=name, position=position, source=data)


CAUSES: tuple[Cause, ...] = (DropoutActive(), RandomAugmentation(), RandomNoise(), DropoutScaling())
