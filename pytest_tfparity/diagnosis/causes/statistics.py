"""Moving statistics of batch norm that are not the checkpoint's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from ...graph.graph import Tensor
from ..arrays import values
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..health import not_saved
from ..places.batch_norms import by_key, reference_norms
from ..places.weights import WrongConstant, weight_nodes, weight_scopes, weights_as_reference, wrong_constants
from ..wording import counted, listed


def _wrong(evidence: Evidence, *kinds: str) -> list[WrongConstant]:
    wrong = [each for each in evidence[wrong_constants] if each.statistic]
    return [each for each in wrong if not kinds or each.kind in kinds]


class NotFinite(Cause):
    """NaN or infinity in a statistic of the export that is finite in the checkpoint."""

    id: ClassVar[str] = "bn-variance-nonfinite"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        spoilt = [
            each for each in evidence[wrong_constants] if not _finite(each.held) and _finite(each.right)
        ]
        for cause, group in (
            (self.id, [each for each in spoilt if each.statistic]),
            ("non-finite", [each for each in spoilt if not each.statistic]),
        ):
            if group:
                yield self._suspicion(cause, evidence, group)

    @staticmethod
    def _suspicion(cause: str, evidence: Evidence, group: list[WrongConstant]) -> Suspicion:
        bad = [
            f"{each.constant} ({int((~np.isfinite(values(each.held))).sum())} of {values(each.held).size})"
            for each in group
        ]
        verb = "holds" if len(group) == 1 else "hold"
        return Suspicion(
            cause=cause,
            nodes=weight_nodes(evidence, group),
            scopes=weight_scopes(evidence, group),
            message=f"{listed(bad)} of {evidence.case.export_name} {verb} NaN or infinity; in"
            f" {evidence.case.reference_name} all values there are finite.",
            fix="Export again from the checkpoint, in float32 throughout.",
            repair=weights_as_reference(group),
        )


def _finite(tensor: Tensor) -> bool:
    array = values(tensor)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


class NotSaved(Cause):
    """Statistics that the reference needs and the checkpoint lacks."""

    id: ClassVar[str] = "bn-stats-not-saved"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        case = evidence.case
        norms = [by_key(evidence, norm) for norm in evidence[reference_norms]]
        for found in not_saved(case.checkpoint, norms, ()):
            yield Suspicion(
                cause=self.id,
                nodes=tuple(norm.node for norm in norms if norm.scope in found.scopes),
                scopes=found.scopes,
                message=found.message,
                fix="Save tf.global_variables().",
            )


class InitialValues(Cause):
    """Statistics that the export left at their initial values."""

    id: ClassVar[str] = "bn-stats-initial-values"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = _wrong(evidence, "initial")
        if not group:
            return
        layers = weight_scopes(evidence, group)
        held = sorted({float(values(each.held).reshape(-1)[0]) for each in group})
        yield Suspicion(
            cause=self.id,
            nodes=weight_nodes(evidence, group),
            scopes=layers,
            message=f"{listed(layers)}: {evidence.case.export_name} holds initial statistics"
            f" ({' / '.join(f'{value:g}' for value in held)}) although {evidence.case.reference_name} has"
            " trained ones.",
            fix=_restore(len(layers), evidence),
            evidence=(
                f"{counted(len(group), 'statistic')} of {counted(len(layers), 'layer')};"
                " the other weights of these layers are the checkpoint's.",
            ),
            repair=weights_as_reference(group),
        )


def _restore(layers: int, evidence: Evidence) -> str:
    """What to change: all layers point to the list that was restored, single ones to a gap in it."""
    if layers == len(evidence[reference_norms]):
        return "Restore tf.global_variables(), not tf.trainable_variables()."
    return (
        "Restore these statistics as well: the list or map that the restore goes by leaves them out. Let it fail"
        " on a missing name."
    )


class Differ(Cause):
    """Statistics of another step beside weights of this one."""

    id: ClassVar[str] = "bn-stats-differ-from-ckpt"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = _wrong(evidence, "unknown", "other checkpoint", "scaled", "permuted", "negated", "rounded")
        if not group:
            return
        layers = weight_scopes(evidence, group)
        labels = {label for each in group if each.origin is not None for label in each.origin.checkpoints}
        whole = [
            label
            for label in sorted(labels)
            if all(each.origin is not None and label in each.origin.checkpoints for each in group)
        ]
        whose = f" They are those of {whole[0]}." if whole else ""
        yield Suspicion(
            cause=self.id,
            nodes=weight_nodes(evidence, group),
            scopes=layers,
            message=f"The moving statistics of {listed(layers)} in {evidence.case.export_name} are not those of"
            f" {evidence.case.reference_name}; the weights of these layers are.{whose}",
            fix="Restore one checkpoint, once, and run no update op before freezing.",
            evidence=(f"{counted(len(group), 'statistic')} of {counted(len(layers), 'layer')}.",),
            repair=weights_as_reference(group),
        )


CAUSES: tuple[Cause, ...] = (NotFinite(), NotSaved(), InitialValues(), Differ())
