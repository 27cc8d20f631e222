"""The range that an export gives to a tensor, held against the values that the tensor takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.graph import TensorName
from ...graph.lift.lifted import Grid, Stored

RangeFault: TypeAlias = Literal["clipped", "inflated", "shifted"]

_DOMINATES = 4.0
"""Times the noise of rounding from which what is cut off at the ends counts. Measured at 335 tensors of 13 right int8
exports, with other inputs than the representative ones: 1.1 times at most."""
_INFLATED = 4.0
"""Times the values' own range: two of eight bits are never used. Of the same 335 tensors one has 7.7, the next 3.6: so
this is told only where parity returns with narrower ranges."""
_WIDE_ENOUGH = 0.95
"""Share of the values' range from which a range that cuts them off is not too narrow, but in the wrong place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeUse:
    """A quantised tensor of the export and the values of it that the network takes in float.

    ``given`` are the ends of the grid, ``used`` the least and the greatest value, ``outside`` the share of values
    beyond the ends; ``sqnr`` is the ratio of signal to quantisation noise at this tensor alone, in dB; ``fault`` is
    what is wrong with the range, if anything is.
    """

    tensor: TensorName
    stored: Stored
    given: tuple[float, float]
    used: tuple[float, float]
    outside: float
    sqnr: float
    fault: RangeFault | None

    @property
    def fitting(self) -> Stored:
        """How the file would hold the tensor with the range that its values have."""
        grid = self.stored.grid
        if grid is None:
            return self.stored
        low, high = min(self.used[0], 0.0), max(self.used[1], 0.0)
        steps = grid.highest - grid.lowest
        scale = max((high - low) / steps, float(np.finfo(np.float32).tiny))
        if int(grid.zero_point.flat[0]) == 0 and grid.lowest == -grid.highest - 1 and steps > 255:
            scale, zero_point = max(-low, high, 0.0) / grid.highest, 0  # 16 bits are symmetric
        else:
            zero_point = round(grid.lowest - low / scale)
        made = Grid(
            scale=np.asarray([scale], np.float64),
            zero_point=np.asarray([zero_point], np.int64),
            lowest=grid.lowest,
            highest=grid.highest,
        )
        return replace(self.stored, grid=made)


def range_use(tensor: TensorName, stored: Stored, grid: Grid, values: npt.NDArray[Any]) -> RangeUse | None:
    """How the values of a tensor use the range that ``grid`` gives; None where there are none."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return None
    low, high = grid.range
    used = float(finite.min()), float(finite.max())
    step = float(grid.scale.flat[0])
    cut = np.clip(finite, low, high)
    clipping = float(np.mean((finite - cut) ** 2))
    rounding = step * step / 12
    signal = float(np.mean(finite**2))
    noise = clipping + rounding
    return RangeUse(
        tensor=tensor,
        stored=stored,
        given=(low, high),
        used=used,
        outside=float(np.mean((finite < low - step) | (finite > high + step))),
        sqnr=10 * math.log10(signal / noise) if signal > 0 and noise > 0 else math.inf,
        fault=_fault((low, high), used, clipping, rounding),
    )


def _fault(
    given: tuple[float, float], used: tuple[float, float], clipping: float, rounding: float
) -> RangeFault | None:
    width, needed = given[1] - given[0], max(used[1], 0.0) - min(used[0], 0.0)
    if clipping > _DOMINATES * rounding:
        return "shifted" if width >= _WIDE_ENOUGH * needed else "clipped"
    return "inflated" if needed > 0 and width > _INFLATED * needed else None
