"""Weights in another arrangement or of another size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ...graph.edit.graft import Constant
from ..arrays import same, values
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..places.weights import WrongConstant, weight_nodes, weight_scopes, weights_as_reference, wrong_constants
from ..wording import listed


class ShapesDiffer(Cause):
    """Weights of another architecture under the same names."""

    id: ClassVar[str] = "shapes-differ"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = [each for each in evidence[wrong_constants] if each.key is not None and self._reshaped(each)]
        if not group:
            return
        first = next((each for each in group if len(each.held.shape) > 1), group[0])
        layers = weight_scopes(evidence, group)
        yield Suspicion(
            cause=self.id,
            nodes=weight_nodes(evidence, group),
            scopes=layers,
            message=f"{listed(layers)}: {first.constant} is {list(first.held.shape)} in"
            f" {evidence.case.export_name} and {list(first.right.shape)} in"
            f" {evidence.case.reference_name}: another architecture.",
            fix="Build the export with the sizes that the checkpoint was trained with.",
            repair=weights_as_reference(group),
        )

    @staticmethod
    def _reshaped(wrong: WrongConstant) -> bool:
        shapes_differ = tuple(wrong.held.shape) != tuple(wrong.right.shape)
        return shapes_differ and wrong.kind not in ("transposed", "reshaped")


class KernelTransposed(Cause):
    """A kernel with two axes exchanged."""

    id: ClassVar[str] = "kernel-transposed"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = [each for each in evidence[wrong_constants] if each.kind == "transposed"]
        if not group:
            return
        facts = [
            f"{each.constant} equals {each.origin.source} with axes {list(each.origin.permutation or ())}"
            for each in group
            if each.origin is not None
        ]
        more = f" and {len(facts) - 3} more" if len(facts) > 3 else ""
        yield Suspicion(
            cause=self.id,
            nodes=weight_nodes(evidence, group),
            scopes=weight_scopes(evidence, group),
            message=f"{'; '.join(facts[:3])}{more}: transposed.",
            fix="Exchange the axes back where the weights are written into the export.",
            repair=tuple(self._straight(evidence, each) for each in group),
        )

    @staticmethod
    def _straight(evidence: Evidence, wrong: WrongConstant) -> Constant:
        """The source as the checkpoint holds it, so that a second fault of the same weight stays to be seen."""
        source = evidence.case.checkpoint.get(wrong.origin.source or "") if wrong.origin else None
        if source is None or tuple(source.shape) != tuple(wrong.right.shape):
            return wrong.edit
        if wrong.node in evidence.case.parts or same(values(source), values(wrong.held)):
            return wrong.edit
        return Constant(node=wrong.constant, value=source)
