"""How the numbers of a folded kernel follow from a batch norm's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import FOLD_ROUNDING, Fold, Linear, solve_fold
from ...graph.graph import Array, Tensor
from ...graph.read.tensors import values

LayerWeights: TypeAlias = Mapping[str, Tensor]
Matrix: TypeAlias = npt.NDArray[Any]

_ROWS = 24
"""Numbers of each channel by which a fold is solved; the others are then held against it. A channel has one
unknown factor, so a formula that fits 24 of them to rounding does not by chance."""

HALVES = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Relative rounding of half precision, doubled."""

_FEWEST_CHANNELS = 2
"""Channels whose factors a formula has to explain: it has no free number, so each fits to 1 in 100,000 by chance."""

_TINY = 1e-7
"""What float16 cannot tell from 0: its smallest number is 6e-8."""


def solved(
    norm: BatchNorm,
    linear: Linear,
    weights: LayerWeights,
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


def vectors(norm: BatchNorm, weights: LayerWeights) -> list[Array | None]:
    """Gamma, beta, mean and variance, flat."""
    return [
        values(weights[name]).reshape(-1) if name is not None and name in weights else None
        for name in norm.weights
    ]


def rounded(norm: BatchNorm, linear: Linear, weights: LayerWeights, kernel: Matrix) -> str | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfold:
    """A formula that a fold followed in place of the right one, and what is wrong with it, in words.

    ``formula`` is what the kernel or the offset was made as, ``fault`` the term that is missing or foreign.
    """

    formula: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a fold is made of, in float64: vectors of channels, and the epsilon."""

    gamma: Matrix | None
    beta: Matrix
    mean: Matrix
    variance: Matrix
    epsilon: float
    bias: Matrix | None

    @property
    def scale(self) -> Matrix:
        """What the kernel is multiplied by."""
        return _scale(self.gamma, self.variance, self.epsilon)


def terms(norm: BatchNorm, weights: LayerWeights) -> Terms | None:
    """The terms of the fold of ``norm``; None where it has no statistics."""
    gamma, beta, mean, variance = (
        None if each is None else each.astype(np.float64) for each in vectors(norm, weights)
    )
    if mean is None or variance is None or norm.kernel not in weights:
        return None
    own = weights.get(norm.bias or "")
    return Terms(
        gamma=gamma,
        beta=np.zeros_like(mean) if beta is None else beta,
        mean=mean,
        variance=variance,
        epsilon=norm.epsilon,
        bias=None if own is None else values(own).astype(np.float64).reshape(-1),
    )


def channel_factors(before: Matrix, after: Matrix) -> Matrix | None:
    """The one factor of each channel that makes ``after`` of ``before``; None if some channel has none.

    It is NaN for a channel of zeros.
    """
    if before.shape != after.shape:
        return None
    one, other = before.astype(np.float64), after.astype(np.float64)
    squares = (one * one).sum(axis=0)
    with np.errstate(all="ignore"):
        factors: Matrix = np.where(squares > 0, (one * other).sum(axis=0) / squares, np.nan)
    exact = one * np.nan_to_num(factors)
    close = np.abs(other - exact) <= FOLD_ROUNDING * np.abs(exact).max(axis=0)
    return factors if close.all() and np.isfinite(factors).sum() >= _FEWEST_CHANNELS else None


def misfolded(
    given: Terms, factors: Matrix, strangers: Mapping[str, Terms], multiplier: int = 1
) -> Misfold | None:
    """The formula behind the factors of a fold that is wrong; None if none fits, or if the right one does.

    ``strangers`` are the terms of other layers by their scopes; ``multiplier`` is the last axis of a depthwise kernel.
    """
    if _fits(factors, given.scale):
        return None
    formulas = (*_own_formulas(given), *_reordered(given, multiplier), *_foreign(given, strangers))
    return next(
        (
            Misfold(formula=f"kernel * {formula}", fault=fault)
            for scale, formula, fault in formulas
            if _fits(factors, scale)
        ),
        None,
    )


def misplaced_offset(given: Terms, offset: Matrix) -> Misfold | None:
    """The formula behind the offset of a fold whose kernel is right; None if none fits."""
    scale, mean, beta = given.scale, given.mean, given.beta
    bias = np.zeros_like(mean) if given.bias is None else given.bias
    found: list[tuple[Matrix, str, str]] = [
        ((bias - mean) * scale, "(bias - mean) * scale", "beta is missing"),
        (beta + (bias + mean) * scale, "beta + (bias + mean) * scale", "the mean is added, not subtracted"),
        (beta + bias - mean, "beta + bias - mean", "the mean is not scaled"),
        (bias + (beta - mean) * scale, "bias + (beta - mean) * scale", "beta is scaled"),
    ]
    if given.bias is not None:
        own = "the convolution's own bias"
        found = [
            (beta + bias - mean * scale, "beta + bias - mean * scale", f"{own} is not scaled"),
            (beta - mean * scale, "beta - mean * scale", f"{own} is missing"),
            *found,
        ]
    size = np.abs(beta) + (np.abs(bias) + np.abs(mean)) * np.maximum(np.abs(scale), 1.0)
    for exact, formula, fault in found:
        if exact.shape == offset.shape and (np.abs(offset - exact) <= FOLD_ROUNDING * size).all():
            return Misfold(formula=formula, fault=fault)
    return None


_Formula: TypeAlias = "tuple[Matrix, str, str]"
"""What the kernel is multiplied by, that in words, and what is wrong with it."""


def _fits(factors: Matrix, scale: Matrix) -> bool:
    known = np.isfinite(factors)
    if scale.shape != factors.shape or not np.isfinite(scale[known]).all():
        return False
    return bool((np.abs(factors - scale)[known] <= 2 * FOLD_ROUNDING * np.abs(scale)[known]).all())


def _own_formulas(given: Terms) -> Iterator[_Formula]:
    gamma = np.ones_like(given.variance) if given.gamma is None else given.gamma
    name = "1" if given.gamma is None else "gamma"
    inside = given.variance + given.epsilon
    with np.errstate(all="ignore"):
        if given.gamma is not None:
            yield 1 / np.sqrt(inside), "1 / sqrt(variance + epsilon)", "gamma is missing"
        yield gamma / inside, f"{name} / (variance + epsilon)", "the square root is missing"
        outside = np.sqrt(given.variance) + given.epsilon
        yield gamma / outside, f"{name} / (sqrt(variance) + epsilon)", "epsilon stands outside of the root"
        yield (
            gamma * np.sqrt(inside),
            f"{name} * sqrt(variance + epsilon)",
            "it multiplies where it must divide",
        )
        if given.gamma is not None:
            yield gamma, "gamma", "the variance is missing"
            yield 1 / inside, "1 / (variance + epsilon)", "gamma and the square root are missing"


def _reordered(given: Terms, multiplier: int) -> Iterator[_Formula]:
    """The right scale along a depthwise kernel's last two axes in the wrong order."""
    scale = given.scale
    if multiplier > 1 and scale.size % multiplier == 0:
        turned = scale.reshape(multiplier, -1).T.reshape(-1)
        back = scale.reshape(-1, multiplier).T.reshape(-1)
        for each in (turned, back):
            yield (
                each,
                "scale, reshaped to [multiplier, channels]",
                "the scale of a depthwise kernel runs over channels first, then over the multiplier",
            )


def _foreign(given: Terms, strangers: Mapping[str, Terms]) -> Iterator[_Formula]:
    """Formulas with one term of another layer."""
    for scope, other in strangers.items():
        if other.variance.shape != given.variance.shape:
            continue
        spread = _scale(given.gamma, other.variance, given.epsilon)
        yield spread, f"gamma / sqrt(variance of {scope} + epsilon)", f"the variance is that of {scope}"
        scale = _scale(other.gamma, given.variance, given.epsilon)
        yield scale, f"gamma of {scope} / sqrt(variance + epsilon)", f"gamma is that of {scope}"
        yield other.scale, f"the scale of {scope}", f"gamma and variance are those of {scope}"


def _holds(before: Matrix, after: Matrix, gamma: Array | None, variance: Array, fold: Fold) -> bool:
    """Whether all of a kernel is what ``fold`` says, in float32."""
    scale = _scale(gamma, variance, fold.epsilon)
    exact = before.astype(np.float32) * (scale**fold.power).astype(np.float32)
    limit = np.abs(exact).max(axis=0)
    error = np.abs(after.astype(np.float32) - exact).max(axis=0)
    return bool((error <= 2 * FOLD_ROUNDING * limit).all())


def matrix(kernel: Array, linear: Linear, channels: int) -> Matrix | None:
    """A kernel as ``[numbers, output channels]``; None if it has not as many channels."""
    if kernel.ndim < 2 or kernel.dtype.kind != "f" or not channels:
        return None
    last: Matrix = np.swapaxes(kernel, -1, -2) if linear.transposed else kernel
    width = kernel.shape[-1] * kernel.shape[-2] if linear.op == "DepthwiseConv2dNative" else last.shape[-1]
    return last.reshape(-1, width) if width == channels else None


def scaled(kernel: Matrix, scale: Matrix, linear: Linear) -> Matrix | None:
    """``kernel`` with each output channel multiplied by its ``scale`` (float64); None where it has others."""
    if linear.op == "DepthwiseConv2dNative":
        if kernel.ndim != 4 or kernel.shape[2] * kernel.shape[3] != scale.size:
            return None
        return kernel * scale.reshape(kernel.shape[2:])
    axis = -2 if linear.transposed else -1
    if kernel.ndim < 2 or kernel.shape[axis] != scale.size:
        return None
    return kernel * (scale[:, None] if linear.transposed else scale)


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
