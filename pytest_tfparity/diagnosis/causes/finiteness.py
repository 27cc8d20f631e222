"""NaN and infinity: on both sides, or where the export makes them of finite values."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..activations import activations
from ..alignment import alignment, nearest_divergences
from ..arrays import is_float, values
from ..behaviour import export_answers, reference_answers
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import live_export, live_reference
from ..places.repairs import as_reference_at
from ..runner import Answers
from ..scopes import scope_of
from ..wording import listed


class NanInBoth(Cause):
    """Outputs are NaN on both sides."""

    id = "nan-in-both"
    apart = True

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        if not any(output.problem for output in evidence.case.outputs):
            return
        answers = _answers(evidence)
        if answers is None:
            return
        shared = [
            np.isnan(ours) & np.isnan(theirs)
            for ours, theirs in zip(*answers, strict=True)
            if ours.shape == theirs.shape and ours.dtype.kind in "fc" and theirs.dtype.kind in "fc"
        ]
        count, total = sum(int(both.sum()) for both in shared), sum(both.size for both in shared)
        if not count:
            return
        weights = _spoilt_weights(evidence)
        known = dict(evidence[alignment].nodes)
        nodes = tuple(known.get(name, name) for name in weights) or tuple(
            _first_not_finite(evidence, both=True)
        )
        where = (
            f"{listed([evidence.case.keys.get(name, name) for name in weights])} in the checkpoint"
            f" {'is' if len(weights) == 1 else 'are'} NaN already."
            if weights
            else f"Both turn finite values into NaN at {nodes[0]}."
            if nodes
            else "The weights are finite: look at the inputs."
        )
        yield Suspicion(
            cause=self.id,
            nodes=nodes,
            scopes=tuple(dict.fromkeys(scope_of(name) for name in nodes)),
            message=f"{count} of {total} values are NaN on both sides: that is no parity. {where}",
            fix="Go back to a checkpoint from before the training diverged, or give inputs that the model can"
            " take; if NaN is right, state equal_nan: true.",
        )


class NonFinite(Cause):
    """The export makes NaN or infinity where the reference does not."""

    id = "non-finite"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        if not any(output.problem or output.max_abs is None for output in evidence.case.outputs):
            return
        answers = _answers(evidence)
        if answers is None or not any(map(_export_alone, *answers)):
            return
        node = next(iter(_first_not_finite(evidence)), None)
        if node is None:
            return
        op = evidence[live_export][node].op
        places = nearest_divergences(evidence, node)
        details = "; ".join(dict.fromkeys(f"{each.node}: {each.detail}" for each in places[:2]))
        yield Suspicion(
            cause=self.id,
            nodes=(node,),
            scopes=(scope_of(node),),
            message=f"{op} {node} of {evidence.case.export_name} turns finite values into NaN or infinity; in"
            f" the checkpoint's graph they stay finite{f' ({details})' if details else ''}.",
            fix="Put back what keeps its input in range (a small constant, a maximum, a clip), as in the training"
            " code, and export again.",
            repair=tuple(edit for each in places for edit in as_reference_at(evidence, each)),
        )


def _answers(evidence: Evidence) -> tuple[Answers, Answers] | None:
    """What the reference and the export (as it was given) answer, if both can be run."""
    reference, export = evidence[reference_answers], evidence[export_answers]
    return None if reference is None or export is None else (reference, export)


def _export_alone(reference: np.ndarray, export: np.ndarray) -> bool:
    """Whether the export has NaN or infinity where the reference is finite."""
    if reference.shape != export.shape or reference.dtype.kind not in "fc" or export.dtype.kind not in "fc":
        return False
    return bool((np.isfinite(reference) & ~np.isfinite(export)).any())


def _spoilt_weights(evidence: Evidence) -> list[str]:
    """The variables of the reference that the outputs need and that hold NaN."""
    found = []
    for name in evidence[live_reference]:
        tensor = evidence.reference.variables.get(name)
        array = values(tensor) if tensor is not None else None
        if array is not None and is_float(array) and bool(np.isnan(array).any()):
            found.append(name)
    return found


def _first_not_finite(evidence: Evidence, *, both: bool = False) -> list[str]:
    """The first node of the export whose values are not finite, the reference's being finite (or not)."""
    for each in evidence[activations].values():
        if not each.finite[1] and each.finite[0] is not both:
            return [each.export]
    return []


EARLY: tuple[Cause, ...] = (NanInBoth(),)
CAUSES: tuple[Cause, ...] = (NonFinite(),)
