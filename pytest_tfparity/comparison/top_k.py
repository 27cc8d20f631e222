"""Which rows of two arrays have the same largest entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .deviation import CHUNK


def agreeing_rows(reference: npt.NDArray[Any], export: npt.NDArray[Any], k: int) -> int:
    """How many rows (last axis) have the same set of ``k`` largest entries on both sides.

    Both arrays have one shape ``[..., n]`` with ``k <= n`` and real values. Of equal entries the
    first count as larger, NaN counts as larger than anything.
    """
    width = reference.shape[-1]
    first, second = reference.reshape(-1, width), export.reshape(-1, width)
    step = max(CHUNK // width, 1)
    agreeing = 0
    for start in range(0, first.shape[0], step):
        left, right = (_largest(side[start : start + step], k) for side in (first, second))
        agreeing += int(np.count_nonzero((left == right).all(axis=1)))
    return agreeing


def _largest(rows: npt.NDArray[Any], k: int) -> npt.NDArray[np.bool_]:
    """A mask of the ``k`` largest entries of each row of ``rows`` [m, n]."""
    if rows.dtype.kind not in "biuf":
        rows = rows.astype(np.float64)
    if rows.dtype.kind == "f":
        rows = np.where(np.isnan(rows), np.inf, rows)
    width = rows.shape[1]
    least = np.partition(rows, width - k, axis=1)[:, width - k, None]
    larger, equal = rows > least, rows == least
    room = k - np.count_nonzero(larger, axis=1)
    mask: npt.NDArray[np.bool_] = larger | (equal & (np.cumsum(equal, axis=1) <= room[:, None]))
    return mask
