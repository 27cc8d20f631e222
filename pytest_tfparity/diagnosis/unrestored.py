"""Weights of unknown origin: left at their initial values, of another step, or of another run.

Told by what they are together: zeros and ones where training moved things are marks of a start, weights
of another step point in the checkpoint's direction, those of another run in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeAlias

import numpy as np

from .alignment import reference_of
from .arrays import cosine, values
from .evidence import Evidence
from .initial_values import starts, trained_variables
from .layers import layers
from .places.batch_norms import reference_norms, statistics
from .places.weights import WrongConstant, provenances, wrong_constants
from .query import query

Fate: TypeAlias = Literal["initial", "older", "foreign"]

_LOST = ("unknown", "initial", "other shape", "other checkpoint")

NEAR = 0.5
"""From this cosine on two kernels are of one run: independent ones of 30 weights stay below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrestored:
    """The weights of the export that are nothing that the checkpoint holds.

    ``groups`` are layers (a kernel with the batch norm behind it) by what became of them; ``whole`` says
    that no weight at all is the checkpoint's. ``marks`` counts initial values. ``cosine`` is the median
    over kernels.
    """

    whole: bool
    initial: tuple[WrongConstant, ...] = ()
    older: tuple[WrongConstant, ...] = ()
    foreign: tuple[WrongConstant, ...] = ()
    marks: int = 0
    cosine: float | None = None


@dataclass(slots=True)
class _Group:
    wrong: list[WrongConstant] = field(default_factory=list)


@query
def unrestored(evidence: Evidence) -> Unrestored:
    """The weights of unknown origin, and what the evidence says became of them."""
    wrong = [each for each in evidence[wrong_constants] if each.kind in ("unknown", "initial")]
    wrong = [each for each in wrong if _same_shape(each) and bool(np.isfinite(values(each.held)).all())]
    right = _right(evidence)
    if all(each.statistic or _is_plain(each) for each in wrong):
        return Unrestored(whole=False)
    if not right:
        fate = _fate(evidence, wrong)
        return _as(fate, wrong, evidence, whole=True)
    found: dict[Fate, list[WrongConstant]] = {"initial": [], "older": [], "foreign": []}
    groups = _layers(evidence, wrong)
    trained = (
        [name for name in right if name in evidence[trained_variables]]
        if evidence[trained_variables]
        else right
    )
    for group in groups:
        if all(each.statistic for each in group):
            continue
        fate = _fate(evidence, group)
        # A layer that alone is of another step, beside others that training changed too, was not restored.
        found["initial" if fate == "older" and trained else fate] += group
    if found["older"]:  # what moves with every step belongs to the same story
        known = {each.constant for group in found.values() for each in group}
        found["older"] += [
            each for each in wrong if each.statistic and each.constant not in known and each.kind == "unknown"
        ]
    return Unrestored(
        whole=False,
        initial=tuple(found["initial"]),
        older=tuple(found["older"]),
        foreign=tuple(found["foreign"]),
        marks=sum(_is_mark(evidence, each) for each in found["initial"]),
        cosine=_cosine([each for group in found.values() for each in group]),
    )


def _as(fate: Fate, wrong: Sequence[WrongConstant], evidence: Evidence, *, whole: bool) -> Unrestored:
    marks, angle = sum(_is_mark(evidence, each) for each in wrong), _cosine(wrong)
    if fate == "initial":
        return Unrestored(whole=whole, initial=tuple(wrong), marks=marks, cosine=angle)
    if fate == "older":
        return Unrestored(whole=whole, older=tuple(wrong), cosine=angle)
    return Unrestored(whole=whole, foreign=tuple(wrong), cosine=angle)


def _is_plain(wrong: WrongConstant) -> bool:
    """Whether this is one number of unknown origin: by itself it tells no story."""
    return wrong.kind == "unknown" and wrong.origin is not None and not wrong.origin.informative


def _same_shape(wrong: WrongConstant) -> bool:
    return tuple(wrong.held.shape) == tuple(wrong.right.shape)


def _right(evidence: Evidence) -> list[str]:
    """The reference's weights that the export took from the checkpoint, those that could be constant apart."""
    lost = {each.constant for each in evidence[wrong_constants] if each.kind in _LOST}
    return [
        node
        for name, each in evidence[provenances].items()
        if each.informative and each.variable is not None and each.kind not in _LOST and name not in lost
        for node in (evidence[reference_of].get(name),)
        if node is not None and node not in evidence[statistics]
    ]


def _layers(evidence: Evidence, wrong: Iterable[WrongConstant]) -> list[list[WrongConstant]]:
    """``wrong`` by layer, the batch norm behind a kernel counted with the kernel."""
    before = {
        name: norm.kernel
        for norm in evidence[reference_norms]
        if norm.kernel is not None
        for name in filter(None, (*norm.weights, norm.bias))
    }
    scope = evidence[layers].scope
    named = {each.node: scope(each.name) for each in wrong}
    groups: dict[str, _Group] = {}
    for each in wrong:
        kernel = before.get(each.node)
        layer = scope(kernel) if kernel is not None and kernel in named else named[each.node]
        groups.setdefault(layer, _Group()).wrong.append(each)
    return [group.wrong for group in groups.values()]


def _fate(evidence: Evidence, wrong: Sequence[WrongConstant]) -> Fate:
    marks = sum(_is_mark(evidence, each) for each in wrong)
    moved = sum(_is_moved(evidence, each) for each in wrong)
    if marks and marks >= moved:
        return "initial"
    near = _cosine(wrong)
    return "older" if near is not None and near > NEAR else "foreign"


def _is_mark(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether this is an initial value where the checkpoint has something else."""
    if wrong.kind == "initial":
        return True
    start = evidence[starts].get(wrong.node)
    return start is not None and start.may_be(values(wrong.held)) and not start.may_be(values(wrong.right))


def _is_moved(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether training moved this, in whatever run: a bias, scale or statistic of many values."""
    return len(wrong.held.shape) < 2 and wrong.kind == "unknown" and not _is_mark(evidence, wrong)


def _cosine(wrong: Sequence[WrongConstant]) -> float | None:
    kernels = [each for each in wrong if len(each.held.shape) > 1] or list(wrong)
    angles = [cosine(values(each.held), values(each.right)) for each in kernels]
    known = [angle for angle in angles if angle is not None]
    return median(known) if known else None
