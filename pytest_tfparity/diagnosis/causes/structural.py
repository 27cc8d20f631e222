"""Causes that are differences of the graphs themselves: what such causes share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from ...graph.align.divergence import Divergence, Kind
from ...graph.edit.graft import Repair
from ...graph.graph import Array
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow, reference_flow
from ..places.divergences import differences, unexplained
from ..places.repairs import as_reference_at
from ..scopes import common_scope
from ..wording import listed

_SHOWN = 6
"""Nodes of one place that are named, the nearest to the output first."""


class Structural(Cause):
    """A cause that is seen in the divergences that speak for it, all of them together."""

    fix: ClassVar[str]

    def find(self, evidence: Evidence) -> Iterator[Suspicion]:
        """One suspicion for all that is certain, one for each difference that may be harmless."""
        found = unexplained(evidence, self.id)
        harmless = evidence[differences].harmless
        certain = [each for each in found if not harmless(each)]
        if certain:
            yield self.suspicion(evidence, certain)
        for each in found:
            if harmless(each):
                yield self.suspicion(evidence, [each], doubtful=True)

    def suspicion(
        self, evidence: Evidence, found: Sequence[Divergence], *, doubtful: bool = False
    ) -> Suspicion:
        """What ``found`` says, with the repair of all of it."""
        told = list(dict.fromkeys(self.told(evidence, each) for each in found))
        more = f" And {len(told) - 2} more." if len(told) > 2 else ""
        return Suspicion(
            cause=self.id,
            nodes=tuple(dict.fromkeys(node for each in found for node in self.nodes(evidence, each))),
            scopes=self.scopes(evidence, found),
            message=" ".join(told[:2]) + more,
            fix=self.fixed(evidence, found),
            evidence=tuple(shown(evidence, each) for each in found[:_SHOWN]),
            certainty="suggestive" if doubtful else "decisive",
            repair=self.repair(evidence, found),
            change=", ".join(sorted({_change(evidence, each) for each in found})),
        )

    def told(self, evidence: Evidence, divergence: Divergence) -> str:
        """What is wrong at one place, a sentence."""
        raise NotImplementedError

    def fixed(self, evidence: Evidence, found: Sequence[Divergence]) -> str:
        """What to change."""
        return self.fix

    def nodes(self, evidence: Evidence, divergence: Divergence) -> tuple[str, ...]:
        """The nodes to name for one place."""
        return named(divergence)

    def scopes(self, evidence: Evidence, found: Sequence[Divergence]) -> tuple[str, ...]:
        """The scopes of all places, none inside another."""
        scopes = [
            scope for each in found for scope in common_scope(_spoken(each, self.nodes(evidence, each)))
        ]
        return tuple(
            dict.fromkeys(
                each for each in scopes if not any(each.startswith(f"{other}/") for other in scopes)
            )
        )

    def repair(self, evidence: Evidence, found: Sequence[Divergence]) -> Repair:
        """The edits that put all places right."""
        return tuple(edit for each in found for edit in as_reference_at(evidence, each))


def _spoken(divergence: Divergence, nodes: tuple[str, ...]) -> tuple[str, ...]:
    """The nodes to take the scope from: the reference's where the export's names have none."""
    nodes = nodes or (divergence.node,)
    partners = divergence.reference[:_SHOWN]
    bare = not any("/" in name for name in nodes)
    return partners if bare and any("/" in name for name in partners) else nodes


def _change(evidence: Evidence, divergence: Divergence) -> str:
    """What differs, without the place: ``op Relu6 Relu``."""
    ours, theirs = (
        " ".join(op_of(evidence, name, reference=reference) for name in names[:_SHOWN])
        for names, reference in ((divergence.reference, True), (divergence.export, False))
    )
    values = "" if divergence.values is None else f" {divergence.attribute} {divergence.values}"
    return f"{divergence.kind.value} {ours} {theirs}{values}"


def named(divergence: Divergence) -> tuple[str, ...]:
    """The nodes of a divergence as the export has them; those of the reference where it lacks them."""
    return (divergence.export or divergence.reference)[:_SHOWN]


def shown(evidence: Evidence, divergence: Divergence) -> str:
    """The fact that a divergence is, in the words of the user's files."""
    name = evidence.case.export_name
    if divergence.kind is Kind.ONLY_IN_REFERENCE:
        return f"{_ops(evidence, divergence.reference, reference=True)} is in the checkpoint's graph alone"
    if divergence.kind is Kind.ONLY_IN_EXPORT:
        return f"{_ops(evidence, divergence.export, reference=False)} is in {name} alone"
    if divergence.kind is Kind.OP:
        ours = _ops(evidence, divergence.reference, reference=True)
        return f"{ours} in the checkpoint's graph, {_ops(evidence, divergence.export, reference=False)} in {name}"
    if divergence.inside:
        inner = divergence.inside[0]
        within = _worded(f"{inner.node}: {inner.detail}", name)
        return f"{divergence.node}: in its {divergence.attribute}, {within}"
    return f"{divergence.node}: {_worded(divergence.detail, name)}"


def _worded(detail: str, name: str) -> str:
    return detail.replace("the reference", "the checkpoint's graph").replace("the export", name)


def op_of(evidence: Evidence, node: str, *, reference: bool) -> str:
    """The op of a node of one side, "node" where that is not known."""
    flow = evidence[reference_flow] if reference else evidence[export_flow]
    found = flow.nodes.get(node)
    return found.op if found is not None else "node"


def _ops(evidence: Evidence, names: Sequence[str], *, reference: bool) -> str:
    return listed([f"{op_of(evidence, name, reference=reference)} {name}" for name in names], 2)


def ops_of(evidence: Evidence, divergence: Divergence) -> tuple[str, str]:
    """What stands in the reference and in the export, as ``Mul a/mul and Sub a/sub``."""
    return (
        _ops(evidence, divergence.reference, reference=True),
        _ops(evidence, divergence.export, reference=False),
    )


def number(value: float) -> str:
    """A number as short as it can be said."""
    return f"{value:.6g}"


def spelt(array: Array) -> str:
    """A small constant as it would be written, a large one by its shape."""
    if array.size == 1 and array.dtype.kind in "fiub":
        return number(float(array.reshape(-1)[0]))
    if array.size <= 6 and array.dtype.kind in "fiub":
        return "[" + ", ".join(number(float(each)) for each in np.asarray(array).reshape(-1)) + "]"
    return f"{array.dtype} of shape {list(array.shape)}"
