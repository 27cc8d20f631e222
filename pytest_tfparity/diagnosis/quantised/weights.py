"""Weights that a file holds in fewer bits: which types, and which of them have one scale where they need several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...result import Finding
from ...wording import enumerated
from ..case import Case
from ..certificate.certificate import Certificate
from ..certificate.weight import Weight

_LEVELS = 127
_STANDS_OUT = 0.8
"""Quanta of its own channel from which an error is more than rounding: half a quantum is what one scale a channel
leaves; with one for all channels the nearest wrong kernel that was measured has 0.8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneScale:
    """A kernel of integers with one scale for all channels. ``worst`` is its error in quanta of its own channel."""

    weight: Weight
    worst: float


def one_scale(certificate: Certificate) -> list[OneScale]:
    """The kernels whose channels are too different for the one scale that they have."""
    found = []
    for weight in certificate.standing("certified"):
        grid, meant = weight.stored.grid, weight.meant
        if (
            grid is None
            or grid.per_channel
            or meant is None
            or meant.ndim < 2
            or weight.stored.type != "int8"
        ):
            continue
        channels = np.abs(meant.reshape(-1, meant.shape[-1])).max(axis=0)
        smallest = float(channels[channels > 0].min(initial=np.inf)) / _LEVELS
        worst = 0.5 * float(grid.scale.flat[0]) / smallest
        if np.isfinite(worst) and worst >= _STANDS_OUT:
            found.append(OneScale(weight=weight, worst=worst))
    return sorted(found, key=lambda each: -each.worst)


def overflowed(wrong: Sequence[Weight], case: Case) -> Finding | None:
    """That weights are beyond the ends of float16; None unless that is all that is wrong with all of them."""
    largest, count, total = 0.0, 0, 0
    for weight in wrong:
        held, right = case.export.side.value(weight.constant), weight.right
        if held is None or right is None or weight.stored.type != "float16" or weight.distance is None:
            return None
        beyond = np.abs(right) > _LARGEST_HALF
        if np.count_nonzero(beyond) != weight.distance.outside:
            return None
        largest, count = max(largest, float(np.abs(right).max())), count + weight.distance.outside
        total += right.size
    if not count:
        return None
    layers = tuple(dict.fromkeys(each.layer for each in wrong))
    return Finding(
        cause="weights-fp16",
        certainty="decisive",
        nodes=tuple(each.constant for each in wrong),
        scopes=layers,
        message=(
            f"{count:,} of {total:,} weights of {enumerated(layers)} are larger than float16 can hold"
            f" ({_LARGEST_HALF:,.0f}) in {case.export_name}: {largest:.6g} in {case.reference_name}."
        ),
        fix="Convert to float32, or train with weights of a usual size (a batch norm can hold the scale).",
        evidence=(
            "All other values of these weights are the reference's, as near as float16 can hold them.",
        ),
    )


_LARGEST_HALF = float(np.finfo(np.float16).max)


def of_type(certificate: Certificate, kind: str) -> Sequence[Weight]:
    """The weights that the file holds in a type, those of one number left out."""
    return [each for each in certificate.weights if each.stored.type == kind and each.meant is not None]
