"""Weights of another time, place or run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from ..arrays import same, values
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..layers import layers
from ..places.folded import unfolded
from ..places.folds import folded_over
from ..places.weights import WrongConstant, weight_nodes, weight_scopes, weights_as_reference, wrong_constants
from ..unrestored import Unrestored, unrestored
from ..wording import counted, listed
from .transposed import KernelTransposed, ShapesDiffer

_LOST = ("unknown", "initial")


def _suspicion(
    cause: str,
    evidence: Evidence,
    group: Sequence[WrongConstant],
    message: str,
    fix: str,
    *facts: str,
    certain: bool = True,
    whole: bool = False,
) -> Suspicion:
    """``whole`` says that no weight at all is the checkpoint's, those of folded batch norms included."""
    folds = list(folded_over(evidence, {each.node for each in group if each.kind in _LOST}))
    norms = (
        [evidence[layers].scope(name) for each in folds for name in each.norm.weights if name]
        if whole
        else []
    )
    unfolds = [edit for each in folds for edit in unfolded(evidence, each)]
    return Suspicion(
        cause=cause,
        nodes=tuple(dict.fromkeys((*weight_nodes(evidence, group), *(each.output.node for each in folds)))),
        scopes=tuple(dict.fromkeys((*weight_scopes(evidence, group), *norms))),
        message=message,
        fix=fix,
        evidence=tuple(facts),
        certainty="decisive" if certain else "suggestive",
        repair=(*weights_as_reference(group), *unfolds),
    )


def _angle(found: Unrestored) -> str:
    return "" if found.cosine is None else f" (cosine {found.cosine:.2f})"


class Mapped(Cause):
    """The content of one tensor of the checkpoint in the place of another."""

    id: ClassVar[str] = "ckpt-tensor-mapped-to-wrong-variable"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        group = [
            each
            for each in evidence[wrong_constants]
            if each.kind in ("other variable", "other shadow", "slot")
            and not self._under_own_name(evidence, each)
        ]
        if not group:
            return
        group += self._too_plain_to_tell(evidence, group)
        facts = [
            f"{each.constant} holds {each.origin.source}, not {each.key}."
            for each in group
            if each.origin is not None and each.origin.source is not None
        ]
        more = f" ({len(facts) - 3} more)" if len(facts) > 3 else ""
        noun = "constant holds" if len(group) == 1 else "constants hold"
        yield _suspicion(
            self.id,
            evidence,
            group,
            f"{len(group)} {noun} another tensor of {evidence.case.reference_name} than the one that belongs"
            f" there: {' '.join(facts[:3])}{more}",
            "Restore by exact name: mend the map of names (or the order) that the restore goes by.",
        )

    @staticmethod
    def _under_own_name(evidence: Evidence, wrong: WrongConstant) -> bool:
        """Whether the constant is what its name says, and the layer that reads it reads another's."""
        assert wrong.origin is not None
        source = wrong.origin.source
        names = [name for name, key in evidence.case.keys.items() if key == source]
        return wrong.constant == source or wrong.constant in names

    @staticmethod
    def _too_plain_to_tell(evidence: Evidence, group: Sequence[WrongConstant]) -> list[WrongConstant]:
        """Constants of one number throughout, in layers that were mapped wrongly, that the checkpoint holds."""
        around = set(weight_scopes(evidence, group))
        known = {each.constant for each in group}
        tensors = evidence.case.checkpoint.values()
        return [
            each
            for each in evidence[wrong_constants]
            if each.constant not in known
            and each.origin is not None
            and not each.origin.informative
            and each.kind in ("initial", "unknown")
            and evidence[layers].scope(each.name) in around
            and any(
                tensor.dtype == each.held.dtype
                and tensor.shape == each.held.shape
                and same(values(tensor), values(each.held))
                for tensor in tensors
            )
        ]


class Stale(Cause):
    """Weights of another step of the same run."""

    id: ClassVar[str] = "stale-export"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        case = evidence.case
        group = [each for each in evidence[wrong_constants] if each.kind == "other checkpoint"]
        if group and not all(each.statistic for each in group):
            yield self._of_a_checkpoint(evidence, group)
            return
        found = evidence[unrestored]
        if not found.older:
            return
        where = "The weights" if found.whole else listed(weight_scopes(evidence, found.older))
        verb = "are" if found.whole or len(weight_scopes(evidence, found.older)) > 1 else "is"
        yield _suspicion(
            self.id,
            evidence,
            found.older,
            f"{where} of {case.export_name} {verb} near those of {case.reference_name}{_angle(found)} but"
            " not the same: another step of the run, most likely an older one. (Another run from the same"
            " start, or with the same first weights, could look like it.)",
            f"Export {case.reference_name} again.",
            f"{counted(len(found.older), 'constant')} differ, none is an initial value.",
            certain=False,
            whole=found.whole,
        )

    def _of_a_checkpoint(self, evidence: Evidence, group: list[WrongConstant]) -> Suspicion:
        case = evidence.case
        labels = [each.origin.checkpoints for each in group if each.origin is not None]
        common = [label for label in labels[0] if all(label in others for others in labels)]
        label = common[0] if common else labels[0][0]
        tensors = case.others.get(label, {})
        known = {each.constant for each in group}
        for each in evidence[wrong_constants]:
            there = tensors.get(each.key or "")
            plain = each.constant not in known and each.kind in ("unknown", "initial")
            if plain and there is not None and same(values(there), values(each.held)):
                group.append(each)
        rest = "" if common else " or of others"
        return _suspicion(
            self.id,
            evidence,
            group,
            f"{counted(len(group), 'constant')} of {case.export_name} equal {label}{rest} bit for bit, not"
            f" {case.reference_name}: it was exported from another step.",
            f"Export again from {case.reference_name}.",
        )


class InitialValues(Cause):
    """A network that was initialised and never restored, or initialised after it."""

    id: ClassVar[str] = "initial-values"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = evidence[unrestored]
        if not found.whole or not found.initial:
            return
        case = evidence.case
        yield _suspicion(
            self.id,
            evidence,
            found.initial,
            f"{case.export_name} holds initial values: none of its weights is that of"
            f" {case.reference_name}, and {found.marks} of {len(found.initial)} hold what their initialiser"
            " gives.",
            "Restore after initialising, freeze the session that restored, and do not mix a rebuilt network with"
            " import_meta_graph.",
            whole=True,
        )


class OtherRun(Cause):
    """Weights that have nothing to do with the checkpoint."""

    id: ClassVar[str] = "other-run"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = evidence[unrestored]
        if not found.whole or not found.foreign:
            return
        case = evidence.case
        moved = any(len(each.held.shape) < 2 for each in found.foreign)
        doubt = "" if moved else " (Kernels alone do not tell another run from initial values.)"
        yield _suspicion(
            self.id,
            evidence,
            found.foreign,
            f"The weights of {case.export_name} are unrelated to {case.reference_name}{_angle(found)}: it"
            f" comes from another training run.{doubt}",
            f"Export {case.reference_name}, or name the checkpoint that this export was made from.",
            certain=False,
            whole=True,
        )


class PartialRestore(Cause):
    """Layers that the restore left out."""

    id: ClassVar[str] = "partial-restore"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        found = evidence[unrestored]
        group = [*found.initial, *found.foreign]
        if found.whole or not group:
            return
        layers = weight_scopes(evidence, group)
        case = evidence.case
        verb = "was" if len(layers) == 1 else "were"
        whose = "initial values" if found.marks else "initial values, or another run's"
        yield _suspicion(
            self.id,
            evidence,
            group,
            f"{listed(layers)} {verb} not restored: {counted(len(group), 'constant')} of {case.export_name} are"
            f" no tensor of {case.reference_name} but {whose}; all other weights are the checkpoint's.",
            "Restore all variables (no exclude, no ignore_missing_vars), under the names that the checkpoint has.",
        )


CAUSES: tuple[Cause, ...] = (
    ShapesDiffer(),
    KernelTransposed(),
    Mapped(),
    Stale(),
    InitialValues(),
    OtherRun(),
    PartialRestore(),
)
