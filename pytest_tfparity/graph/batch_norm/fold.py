"""Batch norm folded into the kernel before it: is it, with which epsilon, along which axis, with which bias?

A fold multiplies each output channel of a kernel by ``s = gamma / sqrt(variance + epsilon)`` and adds
``beta + (bias - mean) * s`` behind it. Correct folds differ from one another by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import ops
from ..deadness import FOLLOWED
from ..graph import Array, Graph, Node, TensorName
from ..live_graph import LiveGraph, live_graph
from .find import BatchNorm
from .statistics import weight

Axis: TypeAlias = Literal["output", "input"]
Bias: TypeAlias = Literal["correct", "beta only", "absent", "other"]

FOLD_ROUNDING = 4e-6
"""Relative difference between two float32 folds done in another order, with a fast ``rsqrt``: 30 ulp."""

_USUAL_EPSILONS = (0.0, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-2, 2e-5, 1e-12)
"""Epsilons that people write: the defaults of Keras and TF-Slim (1e-3), PyTorch (1e-5) and the fused op (1e-4), other
powers of ten, Chainer's 2e-5, BERT's 1e-12. One of them is told in place of a number that fits as well."""
_ONE_FACTOR = 1e-3
"""Channels whose factors differ by no greater share have one factor, which some epsilon always fits: 250 times
``FOLD_ROUNDING``, so that what tells an epsilon from a factor is not rounding."""

_MOST_ADDED = 2
"""What a fold leaves behind a convolution: the bias that was there, and that of the batch norm."""

_OF_THE_CONVOLUTION = frozenset({"Squeeze", "BatchToSpaceND"})
"""What ends a convolution in one dimension, or a dilated one."""

_ONWARD = (ops.LAYOUTS | FOLLOWED | _OF_THE_CONVOLUTION) - {
    "Cast",
    "Switch",
    "RefSwitch",
    "Enter",
    "RefEnter",
}
"""What may stand between a convolution and its bias."""

_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """How a kernel holds the scale of a batch norm.

    ``epsilon`` is the one that fits all channels, and ``own_epsilon`` says whether that of the layer
    itself fits within rounding. ``axis`` is the side of the kernel that was scaled; only
    ``"output"`` is right. ``power`` is 2 where the scale was multiplied in twice. ``residual`` is the largest
    difference from the exact fold, relative to the largest element of the channel. ``bias`` is
    ``"absent"`` where none was given. ``kernel_node`` and ``batch_norm`` say which, where that is known.
    """

    epsilon: float
    own_epsilon: bool
    axis: Axis
    power: int
    bias: Bias
    residual: float
    kernel_node: str | None = None
    batch_norm: BatchNorm | None = None

    @property
    def correct(self) -> bool:
        """Whether this is a fold that changes nothing, if the batch norm itself is gone."""
        return self.own_epsilon and self.axis == "output" and self.power == 1 and self.bias == "correct"

    def of(self, kernel_node: str, batch_norm: BatchNorm) -> Fold:
        """This fold with its place."""
        return replace(self, kernel_node=kernel_node, batch_norm=batch_norm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A constant that is added behind a convolution: its node, and the sum. ``readers`` read what is before it."""

    bias: str
    output: TensorName
    readers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A convolution or product with a constant kernel: a place that a batch norm may be folded into.

    ``bias`` is the constant that is added right behind it, if one is; ``output`` the tensor behind that.
    ``added`` are all constants that are added one after another, the first being ``bias``.
    ``readers`` are how many nodes read the raw output. ``transposed`` says that the kernel's last axis but one
    is that of the outputs.
    """

    node: str
    op: str
    kernel: str
    bias: str | None
    output: TensorName
    readers: int
    added: tuple[Added, ...] = ()
    transposed: bool = False


def fold_candidates(
    graph: Graph,
    outputs: Iterable[TensorName],
    inputs: Iterable[TensorName] = (),
    feeds: Mapping[TensorName, Array] | None = None,
    *,
    live: LiveGraph | None = None,
) -> tuple[Linear, ...]:
    """Every live convolution or product with a constant kernel, with the bias behind it, in live order.

    ``live`` is what of the graph is taken, if that is known already.
    """
    live = live or live_graph(graph, tuple(outputs), inputs, feeds)
    linear = (node for node in live.nodes.values() if node.op in ops.LINEAR | ops.FUSED_PADS)
    found = ((node, _kernel(live, node)) for node in linear if len(node.inputs) > 1)
    return tuple(_linear(live, node, kernel) for node, kernel in found if kernel is not None)


def _kernel(live: LiveGraph, node: Node) -> str | None:
    return weight(live, node.inputs[-1 if node.op in ops.FUSED_PADS else 1])


def _linear(live: LiveGraph, node: Node, kernel: str) -> Linear:
    added, output, readers = _sums(live, node)
    return Linear(
        node=node.name,
        op=node.op,
        kernel=kernel,
        bias=added[0].bias if added else None,
        output=added[0].output if added else output,
        readers=added[0].readers if added else readers,
        added=added,
        transposed=node.op == "Conv2DBackpropInput" or bool(node.attrs.get("transpose_b", False)),
    )


def _sums(live: LiveGraph, node: Node) -> tuple[tuple[Added, ...], TensorName, int]:
    """The constants added behind ``node``, where nothing is added the place for it, and how many read that."""
    place = TensorName(node.name, 0)
    found: list[Added] = []
    while True:
        readers = [live.nodes[name] for name in live.readers.get(node.name, ())]
        readers = [each for each in readers if each.op not in ops.OF_SHAPE]
        sums = [(each, bias) for each in readers if (bias := _addend(live, each)) is not None]
        if sums and len(found) < _MOST_ADDED:
            node, bias = sums[0]
            found.append(Added(bias=bias, output=TensorName(node.name, 0), readers=len(readers)))
            continue
        if len(readers) != 1 or readers[0].op not in _ONWARD:
            return tuple(found), place, len(readers)
        node = readers[0]
        if node.op in _OF_THE_CONVOLUTION:
            place = TensorName(node.name, 0)


def _addend(live: LiveGraph, node: Node) -> str | None:
    """The constant that ``node`` adds to something else."""
    if node.op not in ops.ADDITIONS or len(node.inputs) != 2:
        return None
    return weight(live, node.inputs[1]) or weight(live, node.inputs[0])


def solve_fold(
    kernel: Array,
    folded_kernel: Array,
    gamma: Array | None,
    beta: Array | None,
    mean: Array,
    variance: Array,
    bias: Array | None = None,
    *,
    epsilon: float,
    own_bias: Array | None = None,
) -> Fold | None:
    """The fold that makes ``folded_kernel`` of ``kernel``, or None where it is no fold of this batch norm.

    ``kernel`` and ``folded_kernel`` have one shape: ``[..., in, out]``, or ``[h, w, in, multiplier]``
    of a depthwise convolution. The others are vectors of channels; None stands for ones (gamma)
    and zeros (beta). ``bias`` is what the export adds behind the kernel, ``own_bias`` what the
    reference adds between kernel and batch norm, ``epsilon`` the layer's own. A fold that no
    number can show (a scale that is the same for all channels and another epsilon) is not claimed.
    """
    if kernel.shape != folded_kernel.shape or kernel.ndim < 2 or not np.isfinite(folded_kernel).all():
        return None
    spread = np.asarray(variance, np.float64).reshape(-1)
    scale = np.ones_like(spread) if gamma is None else np.asarray(gamma, np.float64).reshape(-1)
    if scale.shape != spread.shape or np.array_equal(kernel, folded_kernel):
        return None
    for axis, before, after in _orientations(kernel, folded_kernel, len(spread)):
        for power in (1, 2):
            solved = _solve(before, after, scale, spread, epsilon, power)
            if solved is not None:
                found, own, residual = solved
                shift = None if axis == "input" else found
                kind = _bias_kind(bias, own_bias, beta, mean, scale, spread, shift)
                return Fold(
                    epsilon=found, own_epsilon=own, axis=axis, power=power, bias=kind, residual=residual
                )
    return None


def _orientations(kernel: Array, folded: Array, channels: int) -> Iterable[tuple[Axis, _Floats, _Floats]]:
    """Both kernels as ``[elements, channels]`` for each axis that has as many channels as the batch norm."""

    def flat(value: Array, axis: int) -> _Floats:
        return np.moveaxis(value.astype(np.float64), axis, -1).reshape(-1, value.shape[axis])

    if kernel.shape[-1] == channels:
        yield "output", flat(kernel, -1), flat(folded, -1)
    if kernel.ndim == 4 and kernel.shape[2] * kernel.shape[3] == channels:
        depthwise = (-1, channels)
        yield (
            "output",
            kernel.astype(np.float64).reshape(depthwise),
            folded.astype(np.float64).reshape(depthwise),
        )
    if kernel.shape[-2] == channels:
        yield "input", flat(kernel, -2), flat(folded, -2)


def _solve(
    before: _Floats, after: _Floats, gamma: _Floats, variance: _Floats, epsilon: float, power: int
) -> tuple[float, bool, float] | None:
    """The epsilon that makes ``after`` of ``before``, whether the layer's own does, and the residual."""
    size = np.abs(before).max(axis=0)

    def residual(value: float) -> float:
        with np.errstate(all="ignore"):
            exact = before * (gamma / np.sqrt(variance + value)) ** power
            limit = np.abs(exact).max(axis=0)
            error = np.abs(after - exact).max(axis=0)
            worst = np.where(
                limit > 0, error / np.where(limit > 0, limit, 1.0), np.where(error > 0, np.inf, 0.0)
            )
        return float(np.max(worst)) if np.isfinite(worst).all() else np.inf

    own = residual(epsilon)
    if own <= FOLD_ROUNDING:
        return epsilon, True, own
    used = (size > 0) & (gamma != 0)
    if used.sum() < 2:
        return None
    with np.errstate(all="ignore"):
        ratio = (before * after).sum(axis=0)[used] / (before * before).sum(axis=0)[used]
        inverse = np.abs(gamma[used]) / np.abs(ratio) ** (1.0 / power)
        each = inverse**2 - variance[used]
    # The channel with the smallest variance shows epsilon best.
    guess = float(each[np.argmin(variance[used])]) if np.isfinite(each).all() else -1.0
    candidates = [*_USUAL_EPSILONS, guess, float(f"{guess:.2g}")]
    fits = sorted((residual(value), value) for value in candidates if 0 <= value <= 1.0)
    if not fits or fits[0][0] > FOLD_ROUNDING:
        return None
    scales = np.abs(gamma[used] / np.sqrt(variance[used] + epsilon))
    if np.ptp(scales) <= _ONE_FACTOR * scales.max():
        return None
    round_values = [value for error, value in fits if error <= FOLD_ROUNDING and value in _USUAL_EPSILONS]
    best = round_values[0] if round_values else fits[0][1]
    return best, False, residual(best)


def _bias_kind(
    bias: Array | None,
    own_bias: Array | None,
    beta: Array | None,
    mean: Array,
    gamma: _Floats,
    variance: _Floats,
    epsilon: float | None,
) -> Bias:
    given = np.zeros_like(gamma) if bias is None else np.asarray(bias, np.float64).reshape(-1)
    shift = np.zeros_like(given) if beta is None else np.asarray(beta, np.float64).reshape(-1)
    middle = np.asarray(mean, np.float64).reshape(-1)
    if not given.shape == shift.shape == middle.shape == gamma.shape:
        return "other"
    if np.array_equal(given, shift) and np.array_equal(middle, np.zeros_like(middle)) and own_bias is None:
        return "correct"
    if epsilon is not None:
        scale = gamma / np.sqrt(variance + epsilon)
        added = np.zeros_like(given) if own_bias is None else np.asarray(own_bias, np.float64).reshape(-1)
        exact = shift + (added - middle) * scale
        terms = np.abs(shift) + (np.abs(added) + np.abs(middle)) * np.abs(scale)
        if (np.abs(given - exact) <= FOLD_ROUNDING * terms).all():
            return "correct"
        if bias is not None and (np.abs(given - shift - added * scale) <= FOLD_ROUNDING * terms).all():
            return "beta only"
    if bias is None:
        return "absent"
    return "beta only" if np.array_equal(given, shift) else "other"
