"""How the numbers of a folded kernel follow from a batch norm's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import ROUNDING, Fold, Linear, solve_fold
from ...graph.graph import Array, Tensor
from ..arrays import values

Weights: TypeAlias = Mapping[str, Tensor]
Matrix: TypeAlias = npt.NDArray[Any]

_ROWS = 24
"""Numbers of each channel by which a fold is solved; the others are then held against it. A channel has one
unknown factor, so a formula that fits 24 of them to rounding does not by chance."""

HALVES = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Relative rounding of half precision, doubled."""

_TINY = 1e-7
"""What float16 cannot tell from 0: its smallest number is 6e-8."""


def solved(
    norm: BatchNorm,
    linear: Linear,
    weights: Weights,
    kernel: Matrix,
    offset: Array | None,
    *,
    right: bool,
) -> Fold | None:
    """How ``kernel`` follows from ``weights``: as a right fold, or in any other way."""
    gamma, beta, mean, variance = vectors(norm, weights)
    if norm.kernel is None or mean is None or variance is None:
        return None
    before = matrix(values(weights[norm.kernel]), linear, variance.size)
    if before is None:
        return None
    own = weights.get(norm.bias or "")

    def solve(one: Matrix, other: Matrix) -> Fold | None:
        rows = np.unique(np.linspace(0, len(one) - 1, min(_ROWS, len(one))).astype(int))
        found = solve_fold(
            one[rows],
            other[rows],
            gamma,
            beta,
            mean,
            variance,
            offset,
            epsilon=norm.epsilon,
            own_bias=None if own is None else values(own).reshape(-1),
        )
        if found is None or found.axis != "output" or not _holds(one, other, gamma, variance, found):
            return None
        return found

    found = solve(before, kernel)
    if found is not None or right:
        return found
    one, other = (_turned(each, values(weights[norm.kernel]), linear) for each in (before, kernel))
    if one is None or other is None or one.shape[-1] != variance.size:
        return None
    found = solve(one, other)
    return None if found is None else replace(found, axis="input")


def vectors(norm: BatchNorm, weights: Weights) -> list[Array | None]:
    """Gamma, beta, mean and variance, flat."""
    return [
        values(weights[name]).reshape(-1) if name is not None and name in weights else None
        for name in norm.weights
    ]


def rounded(norm: BatchNorm, linear: Linear, weights: Weights, kernel: Matrix) -> str | None:
    """The half precision that a right fold of ``weights`` went through to become ``kernel``, or None."""
    kind = next((each for each in HALVES if np.array_equal(kernel, as_low(kernel, each))), None)
    gamma, _, _, variance = vectors(norm, weights)
    if kind is None or variance is None or norm.kernel is None:
        return None
    before = matrix(values(weights[norm.kernel]), linear, variance.size)
    if before is None or before.shape != kernel.shape:
        return None
    exact = before * (
        np.asarray(1.0 if gamma is None else gamma) / np.sqrt(np.asarray(variance, np.float64) + norm.epsilon)
    )
    close = np.abs(kernel - exact) <= HALVES[kind] * np.abs(exact) + _TINY
    return kind if close.all() else None


def as_low(array: Array, kind: str) -> Matrix:
    """float32 values through half precision and back."""
    if kind == "float16":
        with np.errstate(over="ignore"):
            return array.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    short: Matrix = (bits & np.uint32(0xFFFF0000)).view(np.float32).reshape(array.shape)
    return short


def _holds(before: Matrix, after: Matrix, gamma: Array | None, variance: Array, fold: Fold) -> bool:
    """Whether all of a kernel is what ``fold`` says, in float32."""
    scale = _scale(gamma, variance, fold.epsilon)
    exact = before.astype(np.float32) * (scale**fold.power).astype(np.float32)
    limit = np.abs(exact).max(axis=0)
    error = np.abs(after.astype(np.float32) - exact).max(axis=0)
    return bool((error <= 2 * ROUNDING * limit).all())


def matrix(kernel: Array, linear: Linear, channels: int) -> Matrix | None:
    """A kernel as ``[numbers, output channels]``; None if it has not as many channels."""
    if kernel.ndim < 2 or kernel.dtype.kind != "f" or not channels:
        return None
    last: Matrix = np.swapaxes(kernel, -1, -2) if linear.transposed else kernel
    width = kernel.shape[-1] * kernel.shape[-2] if linear.op == "DepthwiseConv2dNative" else last.shape[-1]
    return last.reshape(-1, width) if width == channels else None


def _scale(gamma: Array | None, variance: Array, epsilon: float) -> Matrix:
    factor = np.asarray(1.0 if gamma is None else gamma, np.float64)
    scale: Matrix = factor / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    return scale


def _turned(matrix: Matrix, kernel: Array, linear: Linear) -> Matrix | None:
    """``[numbers, output channels]`` as ``[numbers, input channels]``."""
    if linear.op == "DepthwiseConv2dNative":
        return None
    inputs = kernel.shape[-1] if linear.transposed else kernel.shape[-2]
    outputs = matrix.shape[-1]
    return np.moveaxis(matrix.reshape(-1, inputs, outputs), 1, -1).reshape(-1, inputs)
