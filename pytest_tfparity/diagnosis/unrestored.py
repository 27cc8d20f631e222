"""Weights of unknown origin: left at their initial values, of another step, or of another run.

Told by what they are together: zeros and ones where training moved things are marks of a start, weights
of another step point in the checkpoint's direction, those of another run in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeAlias, get_args

import numpy as np

from ..graph.read.tensors import values
from .alignment import reference_of
from .arrays import cosine
from .evidence import Evidence
from .initial_values import starts
from .layers import layers
from .places.batch_norms import reference_norms, statistics
from .places.weights import WrongConstant, provenances, wrong_constants
from .query import query

Fate: TypeAlias = Literal["initial", "drawn", "older", "foreign", "unknown"]

_LOST = ("unknown", "initial", "other shape", "other checkpoint")

NEAR = 0.5
"""From this cosine on two kernels are of one run: of 20,000 independent pairs of 30 weights 0.2% are above it, of
100 weights none (0.40 at most). In the fault cases other runs reach 0.24, other steps of the same run 0.94."""
_NEAR_ALONE = 0.9
"""What a layer must reach that is of another step by itself: between this and ``NEAR`` much may have become of it.
In the fault cases such layers reach 0.94 at least."""
_FEWEST = 30
"""Weights below which a cosine may be chance, see ``NEAR``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrestored:
    """The weights of the export that are nothing that the checkpoint holds.

    ``groups`` are layers (a kernel with the batch norm behind it) by what became of them; ``whole`` says
    that no weight at all is the checkpoint's. ``drawn`` may be at their start, but something else may leave them too:
    kernels that an initialiser may have drawn, in layers that hold nothing else to tell, and layers of which moving
    statistics are at no start. ``marks`` counts initial values. ``cosine`` is the median over kernels.
    """

    whole: bool
    initial: tuple[WrongConstant, ...] = ()
    drawn: tuple[WrongConstant, ...] = ()
    older: tuple[WrongConstant, ...] = ()
    foreign: tuple[WrongConstant, ...] = ()
    unknown: tuple[WrongConstant, ...] = ()
    marks: int = 0
    cosine: float | None = None


@query
def unrestored(evidence: Evidence) -> Unrestored:
    """The weights of unknown origin, and what the evidence says became of them."""
    wrong = _strange(evidence)
    if all(each.statistic or _is_plain(each) for each in wrong):
        return Unrestored(whole=False)
    if not right_weights(evidence):
        return _told(evidence, {_fate(evidence, wrong): wrong}, whole=True)
    return _told(evidence, _by_fate(evidence, wrong), whole=False)


def _strange(evidence: Evidence) -> list[WrongConstant]:
    """The constants of unknown origin that could have been restored: of the right shape, and finite."""
    return [
        each
        for each in evidence[wrong_constants]
        if each.kind in ("unknown", "initial")
        and each.has_right_shape
        and bool(np.isfinite(values(each.held)).all())
    ]


def _by_fate(evidence: Evidence, wrong: Sequence[WrongConstant]) -> Mapping[Fate, list[WrongConstant]]:
    """What became of each layer that holds nothing of the checkpoint beside others that do."""
    found: dict[Fate, list[WrongConstant]] = {fate: [] for fate in get_args(Fate)}
    for group in _layers(evidence, wrong):
        if not all(each.statistic for each in group):
            found[_fate_alone(evidence, group)] += group
    if found["older"]:  # what moves with every step belongs to the same fate
        found["older"] += _left_statistics(wrong, found.values())
    return found


def _left_statistics(
    wrong: Iterable[WrongConstant], found: Iterable[Sequence[WrongConstant]]
) -> list[WrongConstant]:
    """Statistics of unknown origin that are in none of the groups that were found."""
    known = {each.constant for group in found for each in group}
    return [
        each for each in wrong if each.statistic and each.constant not in known and each.kind == "unknown"
    ]


def _told(evidence: Evidence, fates: Mapping[Fate, Sequence[WrongConstant]], *, whole: bool) -> Unrestored:
    initial, drawn = tuple(fates.get("initial", ())), tuple(fates.get("drawn", ()))
    return Unrestored(
        whole=whole,
        initial=initial,
        drawn=drawn,
        older=tuple(fates.get("older", ())),
        foreign=tuple(fates.get("foreign", ())),
        unknown=tuple(fates.get("unknown", ())),
        marks=sum(_is_mark(evidence, each) for each in initial or drawn),
        cosine=_cosine([each for group in fates.values() for each in group]),
    )


def _is_plain(wrong: WrongConstant) -> bool:
    """Whether this is one number of unknown origin: by itself it tells no story."""
    return wrong.kind == "unknown" and wrong.origin is not None and not wrong.origin.informative


def right_weights(evidence: Evidence) -> list[str]:
    """The reference's weights that the export took from the checkpoint, those that could be constant apart."""
    lost = {each.constant for each in evidence[wrong_constants] if each.kind in _LOST}
    return [
        node
        for name, each in evidence[provenances].items()
        if each.informative and each.variable is not None and each.kind not in _LOST and name not in lost
        for node in (evidence[reference_of].get(name),)
        if node is not None and node not in evidence[statistics]
    ]


def _layers(evidence: Evidence, wrong: Iterable[WrongConstant]) -> Iterable[list[WrongConstant]]:
    """``wrong`` by layer, the batch norm behind a kernel counted with the kernel."""
    before = {
        name: norm.kernel
        for norm in evidence[reference_norms]
        if norm.kernel is not None
        for name in filter(None, (*norm.weights, norm.bias))
    }
    scope = evidence[layers].scope
    named = {each.node: scope(each.name) for each in wrong}
    groups: dict[str, list[WrongConstant]] = {}
    for each in wrong:
        kernel = before.get(each.node)
        layer = scope(kernel) if kernel is not None and kernel in named else named[each.node]
        groups.setdefault(layer, []).append(each)
    return groups.values()


def _fate(evidence: Evidence, wrong: Sequence[WrongConstant]) -> Fate:
    moved = [each for each in wrong if _is_moved(evidence, each)]
    # Beside trained values a kernel that an initialiser may have drawn is one that training left within its bounds.
    marks = sum(each.kind == "initial" or (not moved and _is_mark(evidence, each)) for each in wrong)
    if marks and marks >= len(moved):
        odd = [*moved, *(each for each in wrong if _is_no_start(evidence, each))]
        if all(each.statistic for each in odd):  # a forward pass in training mode moves these too
            return "drawn" if odd else "initial"
    near = _cosine(wrong)
    return "older" if near is not None and near > NEAR else "foreign"


def _fate_alone(evidence: Evidence, wrong: Sequence[WrongConstant]) -> Fate:
    """What became of one layer where others are right: said only with evidence that no other fate leaves."""
    fate = _fate(evidence, wrong)
    kernels = [each for each in wrong if len(each.held.shape) > 1]
    near = _cosine(kernels)
    if fate in ("initial", "drawn"):
        return _fate_of_drawn(evidence, wrong, kernels, near) if fate == "initial" else fate
    if near is None or max(values(each.held).size for each in kernels) < _FEWEST:
        return "unknown"
    if fate == "older":
        return "older" if near > _NEAR_ALONE else "unknown"
    return "foreign" if any(_is_moved(evidence, each) for each in wrong) else "unknown"


def _fate_of_drawn(
    evidence: Evidence, wrong: Sequence[WrongConstant], kernels: Sequence[WrongConstant], near: float | None
) -> Fate:
    """The same of a layer that may hold initial values; ``near`` is the cosine of its kernels, where there is one."""
    if all(_is_spread_so(evidence, each) for each in kernels):
        return "initial"
    # A trained kernel may lie within the bounds of an initialiser too, and beside a bias that was set to 0.
    few = all(values(each.held).size < _FEWEST for each in kernels)
    if near is not None and kernels and abs(near) > (_NEAR_ALONE if few else NEAR):
        return "unknown"
    return "initial" if any(each.kind == "initial" for each in wrong) else "drawn"


def _is_no_start(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether the initialiser, as far as it is known, cannot have given this."""
    start = evidence[starts].get(wrong.node) if wrong.kind != "initial" else None
    return start is not None and start.excludes(values(wrong.held))


def _is_mark(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether this is an initial value where the checkpoint has something else."""
    if wrong.kind == "initial":
        return True
    start = evidence[starts].get(wrong.node)
    return start is not None and start.may_be(values(wrong.held)) and not start.may_be(values(wrong.right))


def _is_spread_so(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether a kernel looks drawn by its initialiser, and the checkpoint's does not."""
    start = evidence[starts].get(wrong.node)
    return (
        start is not None
        and start.is_spread_so(values(wrong.held))
        and not start.is_spread_so(values(wrong.right))
    )


def _is_moved(evidence: Evidence, wrong: WrongConstant) -> bool:
    """Whether training moved this, in whatever run: a bias, scale or statistic of many values."""
    return len(wrong.held.shape) < 2 and wrong.kind == "unknown" and not _is_mark(evidence, wrong)


def _cosine(wrong: Sequence[WrongConstant]) -> float | None:
    kernels = [each for each in wrong if len(each.held.shape) > 1] or list(wrong)
    angles = [cosine(values(each.held), values(each.right)) for each in kernels]
    known = [angle for angle in angles if angle is not None]
    return median(known) if known else None
