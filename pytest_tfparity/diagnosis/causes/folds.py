"""Batch norm folded wrongly into the kernel before it."""

from __future__ import annotations

from collections.abc import Iterator

from ...wording import enumerated, verb
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..places.fold_formula import Misfold
from ..places.unfold import Folded
from ..places.wrong_folds import wrong_folds
from .kinds.folds import Folds, fold_cause
from .kinds.group import suspicion


def _once(folded: Folded) -> bool:
    """Whether the scale was multiplied in once, and the norm is gone."""
    return folded.kept is None and folded.fold.power == 1


def _twice_said(found: Folds) -> str:
    kept = any(folded.kept is not None for folded in found.folds)
    still = f"the scale of {found.norms}, which still runs" if kept else f"the scale of {found.norms} twice"
    kernels = {folded.linear.kernel for folded in found.folds if folded.linear is not None}
    return f"{found.kernels} in {found.export_name} already {verb(kernels, 'contains', 'contain')} {still}."


FOLDED_TWICE = fold_cause(
    id="bn-folded-twice",
    where=lambda folded: folded.kept is not None or folded.fold.power == 2,
    says=_twice_said,
    fix=lambda found: (
        f"Fold {found.norms} once and remove it from the export, or leave the kernel as it was trained."
    ),
    by_norm=False,
)


def _own_epsilon(found: Folds) -> str:
    return found.each(lambda folded: f"{folded.norm.epsilon:.3g}")


WRONG_EPSILON = fold_cause(
    id="bn-folded-wrong-epsilon",
    where=lambda folded: _once(folded) and folded.fold.axis == "output" and not folded.fold.own_epsilon,
    says=lambda found: (
        f"{found.layers}: folded with epsilon {found.each(lambda folded: f'{folded.fold.epsilon:.3g}')} in"
        f" {found.export_name}, {_own_epsilon(found)} in the {found.reference_graph}."
    ),
    fix=lambda found: f"Fold with epsilon={_own_epsilon(found)}, that of the {found.reference_graph}.",
    by_norm=True,
)

WRONG_AXIS = fold_cause(
    id="bn-folded-wrong-axis",
    where=lambda folded: _once(folded) and folded.fold.axis == "input",
    says=lambda found: (
        f"{found.kernels}: the scale of {enumerated(found.norm_scopes)} is multiplied along the input channels."
    ),
    fix="Multiply the scale along the kernel's output channels, its last axis.",
    by_norm=False,
)


def _offset(found: Folds) -> str:
    """What stands behind a right fold."""
    own_bias = any(folded.norm.bias is not None for folded in found.folds)
    return "beta + (bias - mean) * scale" if own_bias else "beta - mean * scale"


_OFFSETS = {"beta only": "is beta alone", "absent": "is missing"}


def _offset_said(found: Folds) -> str:
    kinds = {_OFFSETS.get(folded.fold.bias, "is wrong") for folded in found.folds}
    what = kinds.pop() if len(kinds) == 1 else "is wrong"
    return (
        f"{found.layers}: folded in {found.export_name}, but the offset behind"
        f" {found.each(lambda folded: folded.node)} {what}; it must be {_offset(found)}."
    )


def _offset_fix(found: Folds) -> str:
    return f"Add {_offset(found)} behind the folded kernel, with scale = gamma / sqrt(variance + epsilon)."


WITHOUT_MEAN = fold_cause(
    id="bn-folded-without-mean",
    where=lambda folded: (
        _once(folded)
        and folded.fold.axis == "output"
        and folded.fold.own_epsilon
        and folded.fold.bias in _OFFSETS
    ),
    says=_offset_said,
    fix=_offset_fix,
    by_norm=True,
)


# --- another formula


def _misfolded(evidence: Evidence) -> Iterator[Suspicion]:
    """Folds by a formula that lacks a term or has a foreign one, those of one formula in one finding."""
    groups: dict[tuple[Misfold, bool], list[Folded]] = {}
    for wrong in evidence[wrong_folds]:
        groups.setdefault((wrong.misfold, wrong.offset), []).append(wrong.folded)
    for (misfold, offset), folded in groups.items():
        group = Folds(evidence=evidence, folds=tuple(folded), by_norm=True)
        yield suspicion(
            "bn-folded-wrong-formula", group, _formula_said(group, misfold, offset), _formula_fix(group)
        )


def _formula_said(found: Folds, misfold: Misfold, offset: bool) -> str:
    what = "an offset of " if offset else ""
    return (
        f"{found.layers} {verb(found.folds, 'was', 'were')} folded in {found.export_name} with"
        f" {what}{misfold.formula}: {misfold.fault}."
    )


def _formula_fix(found: Folds) -> str:
    return (
        f"Fold with scale = gamma / sqrt(variance + epsilon): multiply the kernel by it along its output channels, and"
        f" add {_offset(found)}."
    )


_ANOTHER_OFFSET = fold_cause(
    id="bn-folded-wrong-formula",
    where=lambda folded: (
        _once(folded)
        and folded.fold.axis == "output"
        and folded.fold.own_epsilon
        and folded.fold.bias == "other"
    ),
    says=_offset_said,
    fix=_offset_fix,
    by_norm=True,
)
WRONG_FORMULA = Cause(id="bn-folded-wrong-formula", ways=(_misfolded, *_ANOTHER_OFFSET.ways))

CAUSES: tuple[Cause, ...] = (FOLDED_TWICE, WRONG_EPSILON, WRONG_AXIS, WRONG_FORMULA, WITHOUT_MEAN)
