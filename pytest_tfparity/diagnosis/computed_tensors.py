"""The tensors of a side that follow from its inputs, by what they compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from ..graph.graph import TensorName
from ..graph.normal.form import NormalGraph
from ..graph.proof.fingerprint import Contents, edge_fingerprint, fingerprints
from ..graph.proof.proof import Side, form_of
from .evidence import Evidence, ReferenceEvidence
from .query import query, reference_query

_MOST_NODES = 60_000
"""Up to how many nodes of a side are hashed to find a misplaced output: a chain of 30,000 takes 5 s on a busy
machine, and this is asked only where a failing check may have its outputs in the wrong place."""


@reference_query
def reference_tensors(evidence: ReferenceEvidence) -> ComputedTensors:
    """What the tensors of the reference compute."""
    return ComputedTensors.of(evidence.reference, evidence.normal.contents)


@query
def export_tensors(evidence: Evidence) -> ComputedTensors:
    """What the tensors of the export compute."""
    return ComputedTensors.of(evidence.export, evidence.case.contents)


@dataclass(frozen=True, kw_only=True)
class ComputedTensors:
    """The tensors of a side that depend on its inputs, with their fingerprints."""

    side: Side
    form: NormalGraph
    contents: Contents

    @classmethod
    def of(cls, side: Side, contents: Contents) -> ComputedTensors:
        """All tensors of ``side`` that follow from its inputs, first output of each node."""
        names = _following(side)
        whole = replace(side, outputs=(*side.outputs, *names))
        return cls(side=side, form=form_of(whole), contents=contents)

    @cached_property
    def prints(self) -> dict[TensorName, bytes]:
        """Tensor to fingerprint."""
        found = fingerprints(self.form, self.contents)
        return {
            name: edge_fingerprint(edge, found)
            for name, edge in self.form.tensors().items()
            if edge.node in found
        }

    @cached_property
    def by_print(self) -> dict[bytes, list[TensorName]]:
        """Fingerprint to tensors."""
        found: dict[bytes, list[TensorName]] = {}
        for name, each in self.prints.items():
            found.setdefault(each, []).append(name)
        return found

    def print_of(self, tensor: TensorName) -> bytes | None:
        """The fingerprint of a tensor."""
        return self.prints.get(tensor)

    def named(self, wanted: bytes | None, like: TensorName) -> TensorName | None:
        """A tensor with this fingerprint, that of the name ``like`` before others; None if there is none."""
        found = self.by_print.get(wanted, []) if wanted is not None else []
        return like if like in found else next(iter(found), None)

    def like(self, other: ComputedTensors, tensor: TensorName) -> TensorName | None:
        """The tensor of this side that computes what ``tensor`` of the other does."""
        wanted = other.print_of(tensor)
        return self.named(wanted, tensor)

    def ancestors(self, tensor: TensorName) -> set[str]:
        """The nodes that ``tensor`` needs."""
        feeds = [*self.side.inputs, *self.side.feeds]
        return set(self.side.graph.live([str(tensor)], map(str, feeds)))


def _following(side: Side) -> list[TensorName]:
    """The tensors that depend on the inputs, without those that need an input that is not fed."""
    readers = side.graph.consumers()
    reading: dict[str, list[str]] = {}
    for source, nodes in readers.items():
        reading.setdefault(source.node, []).extend(name for name, _ in nodes)
    found = dict.fromkeys(name.node for name in side.inputs)
    stack = list(found)
    while stack and len(found) < _MOST_NODES:
        for reader in reading.get(stack.pop(), ()):
            if reader not in found:
                found[reader] = None
                stack.append(reader)
    return [TensorName(name, 0) for name in found]
