"""Batch norms of the reference that the export has in another form: in a kernel, or as a scale and an offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..graph.batchnorm import BatchNorm
from ..graph.batchnorm_fold import ROUNDING, Fold, Linear, solve_fold
from ..graph.batchnorm_live import LiveGraph
from ..graph.batchnorm_statistics import weight
from ..graph.graft import Constant, Graft, Repair, tensor_of
from ..graph.graph import Array, Node, Tensor, TensorName
from .evidence import Evidence
from .images import values
from .names import averaged_by, shadow_of
from .norms import free_name, graft

Weights = Mapping[str, Tensor]
_Matrix = npt.NDArray[np.generic]
_ROWS = 24
"""Numbers of each channel by which a fold is solved; the others are then held against it."""

_SUMS = frozenset({"Add", "AddV2", "BiasAdd", "Sub"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """The batch norm ``norm`` of the reference and what stands in its place in the export.

    ``linear`` is the export's convolution or product that holds it, None where a multiplication and
    a sum do (``scale`` is the node of the former). ``output`` is the export's tensor in the place of the norm's
    output, None where the norm is still there (``kept``, that of the export). ``weights`` are the values
    that it was made of, by node of the reference; ``expected`` says that these are the reference's own. ``shared``
    are other nodes of the export that read the same raw output or the same kernel.
    """

    norm: BatchNorm
    fold: Fold
    weights: Weights
    expected: bool
    output: TensorName
    linear: Linear | None = None
    scale: str | None = None
    kept: BatchNorm | None = None
    output_shared: tuple[str, ...] = ()
    kernel_shared: tuple[str, ...] = ()

    @property
    def neutral(self) -> bool:
        """Whether this is another spelling of the same function."""
        return (
            self.fold.correct and self.kept is None and not self.output_shared and not self.kernel_shared
        )

    @property
    def node(self) -> str:
        """The node of the export to name."""
        return self.linear.node if self.linear is not None else (self.scale or self.output.node)


def unfolded(evidence: Evidence, folded: Folded) -> Repair:
    """Put kernel and batch norm back as in the reference, made of the weights that the export was made of."""
    norm, linear = folded.norm, folded.linear
    edges: dict[TensorName, TensorName] = {}
    edits: list[Constant | Graft] = []
    if linear is None:
        scale = evidence.export_flow.nodes[folded.scale or ""]
        varying = [source for source in scale.inputs if weight(evidence.export_flow, source) is None]
        edges[norm.input] = varying[0]
    else:
        assert norm.linear is not None and norm.kernel is not None
        edges[TensorName(norm.linear, 0)] = TensorName(linear.node, 0)
        edits.append(Constant(node=linear.kernel, value=_shaped(evidence, linear, folded)))
    taken: list[str] = []
    if not folded.expected:
        for name, value in folded.weights.items():
            if name != norm.kernel:
                taken.append(free_name(evidence, name, taken))
                edits.append(Constant(node=taken[-1], value=value))
                edges[TensorName(name, 0)] = TensorName(taken[-1], 0)
    if folded.kept is not None:
        # The norm stays: only what the fold changed before it is put back.
        edges |= {
            TensorName(mine, 0): TensorName(other, 0)
            for mine, other in zip(norm.weights, folded.kept.weights, strict=True)
            if mine is not None and other is not None
        }
    edits.append(graft(evidence, folded.output, norm, edges))
    return tuple(edits)


def _shaped(evidence: Evidence, linear: Linear, folded: Folded) -> Tensor:
    """The unfolded kernel in the shape that the export's constant has."""
    kernel = folded.weights[folded.norm.kernel or ""]
    held = evidence.value(evidence.export, linear.kernel)
    if held is None or held.shape == kernel.shape:
        return kernel
    return tensor_of(values(kernel).reshape(held.shape), kernel.dtype)


def find_folded(evidence: Evidence) -> Iterator[Folded]:
    """Every batch norm of the reference that the export holds in another form."""
    kept = {
        pair.reference.node: pair.export for pair in evidence.norm_pairs if pair.reference and pair.export
    }
    matched = _matched(evidence)
    found: set[str] = set()
    for norm, linear in matched:
        folded = _in_kernel(evidence, norm, linear, kept.get(norm.node))
        if folded is not None:
            found.add(norm.node)
            yield folded
    used = {linear.kernel for _, linear in matched}
    rest = [norm for norm in evidence.reference_norms if norm.node not in found and norm.node not in kept]
    for norm in [each for each in rest if each.mode == "inference"]:
        strangers = [linear for linear in evidence.linears if linear.kernel not in used]
        folded = _by_content(evidence, norm, strangers) or _as_scale(evidence, norm)
        if folded is not None:
            if folded.linear is not None:
                used.add(folded.linear.kernel)
            yield folded


# --- which kernel is which


def _matched(evidence: Evidence) -> list[tuple[BatchNorm, Linear]]:
    """The reference's norms with the export's convolution in the place of the one before them."""
    norms = [
        norm
        for norm in evidence.reference_norms
        if norm.linear is not None and norm.kernel is not None and norm.mode == "inference"
    ]
    by_node = {evidence.reference_of.get(linear.node): linear for linear in evidence.linears}
    by_name = {(linear.node, linear.op): linear for linear in evidence.linears}
    by_kernel: dict[str | None, list[Linear]] = {}
    for linear in evidence.linears:
        by_kernel.setdefault(evidence.reference_of.get(linear.kernel), []).append(linear)
    found = []
    for norm in norms:
        node = evidence.reference_flow.nodes.get(norm.linear or "")
        linear = by_node.get(norm.linear)
        sharing = by_kernel.get(norm.kernel, [])
        if linear is None and len(sharing) == 1:
            linear = sharing[0]
        if linear is None and node is not None:
            linear = by_name.get((node.name, node.op))
        if linear is not None:
            found.append((norm, linear))
    return found


def _by_content(evidence: Evidence, norm: BatchNorm, linears: Sequence[Linear]) -> Folded | None:
    """A convolution of the export whose kernel and bias are a right fold of ``norm``, wherever it stands."""
    if norm.kernel is None or norm.linear is None:
        return None
    node = evidence.reference_flow.nodes.get(norm.linear)
    for linear in linears:
        if node is not None and linear.op == node.op:
            folded = _in_kernel(evidence, norm, linear, None)
            if folded is not None and folded.fold.correct:
                return folded
    return None


# --- in a kernel


def _in_kernel(
    evidence: Evidence, norm: BatchNorm, linear: Linear, kept: BatchNorm | None
) -> Folded | None:
    ours, theirs = evidence.value(evidence.reference, norm.kernel), _held(evidence, linear.kernel)
    if ours is None or theirs is None or _size(ours) != _size(theirs):
        return None
    if _same(evidence, ours, theirs):
        return None
    own = kept is not None and kept.linear == linear.node
    bias = _held(evidence, linear.bias)
    tries = list(_origins(evidence, norm))
    kernel = _matrix(values(theirs), linear, norm, evidence)
    for right in (True, False):
        for index, weights in enumerate(tries):
            if kernel is None or (not right and index > 2):
                continue
            fold = _solved(evidence, norm, linear, weights, kernel, bias, right=right)
            if fold is None or (right and kept is None and not fold.correct):
                continue
            folded = Folded(
                norm=norm,
                fold=fold.of(linear.kernel, norm),
                weights=weights,
                expected=index == 0,
                output=kept.output if kept is not None and own else linear.output,
                linear=linear,
                kept=kept if own else None,
            )
            return replace(folded, **_sharing(evidence, folded))
    return None


def _sharing(evidence: Evidence, folded: Folded) -> dict[str, tuple[str, ...]]:
    """Who else reads the raw output of the convolution, and which other convolutions its kernel."""
    linear = folded.linear
    assert linear is not None
    flow = evidence.export_flow
    outside: tuple[str, ...] = ()
    if linear.readers > 1 and folded.kept is None:
        behind = _raw(flow, linear)
        outside = tuple(name for name in flow.readers.get(behind, ()) if name != linear.output.node)
    others = [other.node for other in evidence.linears if other.kernel == linear.kernel]
    twins = tuple(name for name in others if name != linear.node)
    return {"output_shared": outside, "kernel_shared": twins}


def _raw(flow: LiveGraph, linear: Linear) -> str:
    """The node whose output is read by the bias: the convolution itself, or what puts it in shape."""
    node = flow.nodes[linear.node]
    while linear.output.node not in (readers := flow.readers.get(node.name, [])) and len(readers) == 1:
        node = flow.nodes[readers[0]]
    return node.name


def _solved(
    evidence: Evidence,
    norm: BatchNorm,
    linear: Linear,
    weights: Weights,
    kernel: _Matrix,
    bias: Tensor | None,
    *,
    right: bool,
) -> Fold | None:
    """How ``kernel`` follows from ``weights``: as a right fold, or in any other way."""
    before = _matrix(values(weights[norm.kernel or ""]), linear, norm, evidence)
    parts = {name: weights.get(name) for name in norm.weights if name is not None}
    gamma, beta, mean, variance = (
        None if (part := parts.get(name or "")) is None else values(part).reshape(-1)
        for name in norm.weights
    )
    if before is None or mean is None or variance is None:
        return None
    own = weights.get(norm.bias or "")

    def solve(one: _Matrix, other: _Matrix) -> Fold | None:
        rows = np.unique(np.linspace(0, len(one) - 1, min(_ROWS, len(one))).astype(int))
        found = solve_fold(
            one[rows],
            other[rows],
            gamma,
            beta,
            mean,
            variance,
            None if bias is None else values(bias).reshape(-1),
            epsilon=norm.epsilon,
            own_bias=None if own is None else values(own).reshape(-1),
        )
        if found is None or found.axis != "output" or not _holds(one, other, gamma, variance, found):
            return None
        return found

    found = solve(before, kernel)
    if found is not None or right or norm.kernel is None:
        return found
    turned = [_turned(each, values(weights[norm.kernel]), linear) for each in (before, kernel)]
    if turned[0] is None or turned[1] is None or turned[0].shape[-1] != variance.size:
        return None
    found = solve(turned[0], turned[1])
    return None if found is None else replace(found, axis="input")


def _holds(
    before: _Matrix, after: _Matrix, gamma: Array | None, variance: Array, fold: Fold
) -> bool:
    """Whether all of a kernel is what ``fold`` says, in float32."""
    scale = np.asarray(1.0 if gamma is None else gamma, np.float64) / np.sqrt(
        variance.astype(np.float64) + fold.epsilon
    )
    exact = before.astype(np.float32) * (scale**fold.power).astype(np.float32)
    limit = np.abs(exact).max(axis=0)
    error = np.abs(after.astype(np.float32) - exact).max(axis=0)
    return bool((error <= 2 * ROUNDING * limit).all())


def _matrix(
    kernel: Array, linear: Linear, norm: BatchNorm, evidence: Evidence
) -> _Matrix | None:
    """A kernel as ``[numbers, output channels]``; None if it has no such axis."""
    variance = evidence.value(evidence.reference, norm.variance)
    channels = 0 if variance is None else _size(variance)
    if kernel.ndim < 2 or kernel.dtype.kind != "f" or not channels:
        return None
    if linear.op == "DepthwiseConv2dNative":
        flat: Array = kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1])
    else:
        last = np.swapaxes(kernel, -1, -2) if linear.transposed else kernel
        flat = last.reshape(-1, last.shape[-1])
    return flat if flat.shape[-1] == channels else None


def _turned(matrix: _Matrix, kernel: Array, linear: Linear) -> _Matrix | None:
    """``[numbers, output channels]`` as ``[numbers, input channels]``."""
    if linear.op == "DepthwiseConv2dNative":
        return None
    inputs = kernel.shape[-1] if linear.transposed else kernel.shape[-2]
    outputs = matrix.shape[-1]
    return np.moveaxis(matrix.reshape(-1, inputs, outputs), 1, -1).reshape(-1, inputs)


# --- as a scale and an offset


def _as_scale(evidence: Evidence, norm: BatchNorm) -> Folded | None:
    """``x * scale + offset`` with constants that are those of ``norm``."""
    flow = evidence.export_flow
    input_here = evidence.counterpart(norm.input)
    candidates = sorted(_scales(evidence, norm), key=lambda each: each[1] != input_here)
    for node, _, scale in candidates:
        ones = np.ones((1, scale.size), scale.dtype)
        sum_node, offset = _offset(flow, node)
        output = TensorName(sum_node.name if sum_node is not None else node.name, 0)
        for index, weights in enumerate(_origins(evidence, norm)):
            parts = [values(weights[each]).reshape(-1) if each in weights else None for each in norm.weights]
            gamma, beta, mean, variance = parts
            if mean is None or variance is None:
                continue
            fold = solve_fold(
                ones, scale.reshape(1, -1), gamma, beta, mean, variance, offset, epsilon=norm.epsilon
            )
            if fold is not None and fold.correct:
                return Folded(
                    norm=norm,
                    fold=fold,
                    weights={key: value for key, value in weights.items() if key in norm.weights},
                    expected=index == 0,
                    output=output,
                    scale=node.name,
                )
    return None


def _scales(evidence: Evidence, norm: BatchNorm) -> Iterator[tuple[Node, TensorName, Array]]:
    """Multiplications of the export by a constant of as many numbers as ``norm`` has channels."""
    flow = evidence.export_flow
    variance = evidence.value(evidence.reference, norm.variance)
    for node in flow.nodes.values():
        if variance is None or node.op != "Mul" or len(node.inputs) != 2:
            continue
        for varying, fixed in (node.inputs, node.inputs[::-1]):
            value = flow.constant(fixed)
            if value is not None and value.size == _size(variance) and value.dtype.kind == "f":
                yield node, flow.source(varying), value


def _offset(flow: LiveGraph, node: Node) -> tuple[Node | None, Array | None]:
    """The sum behind a scale, and the constant that it adds."""
    readers = [flow.nodes[name] for name in flow.readers.get(node.name, ())]
    if len(readers) != 1 or readers[0].op not in _SUMS or len(readers[0].inputs) != 2:
        return None, None
    first, second = readers[0].inputs
    added = flow.constant(second)
    if added is not None:
        return readers[0], -added.reshape(-1) if readers[0].op == "Sub" else added.reshape(-1)
    added = flow.constant(first)
    if added is None or readers[0].op == "Sub":
        return None, None
    return readers[0], added.reshape(-1)


# --- what it may have been made of


def _origins(evidence: Evidence, norm: BatchNorm) -> Iterator[Weights]:
    """Sets of weights that a restore may have put into the layer, the reference's first, each once.

    The reference's, all raw, all averaged, one of both for the statistics, the statistics at their start, and
    those of other checkpoints.
    """
    seen: set[tuple[bytes, ...]] = set()
    digest = evidence.setting.contents.digest
    for weights in _all_origins(evidence, norm):
        key = tuple(digest(weights[name]) for name in sorted(weights))
        if key not in seen:
            seen.add(key)
            yield weights


def _all_origins(evidence: Evidence, norm: BatchNorm) -> Iterator[Weights]:
    names = [name for name in (norm.kernel, norm.bias, *norm.weights) if name is not None]
    statistics = [name for name in (norm.mean, norm.variance) if name is not None]
    held = ((name, evidence.value(evidence.reference, name)) for name in names)
    expected = {name: value for name, value in held if value is not None}
    yield expected
    tensors, keys = evidence.setting.checkpoint, evidence.setting.keys
    raw_keys = {name: averaged_by(key, tensors) or key for name in names if (key := keys.get(name))}
    raw = expected | {name: tensors[key] for name, key in raw_keys.items() if key in tensors}
    averages = {name: shadow_of(key, tensors) for name, key in raw_keys.items()}
    averaged = raw | {name: tensors[key] for name, key in averages.items() if key is not None}
    yield raw
    yield averaged
    for one, other in ((averaged, raw), (raw, averaged)):
        yield {name: (other if name in statistics else one)[name] for name in one}
    start = {norm.mean: np.float32(0), norm.variance: np.float32(1)}
    fresh = {
        name: tensor_of(np.full(value.shape, start[name], values(value).dtype))
        for name, value in expected.items()
        if name in statistics
    }
    for weights in (expected, raw, averaged):
        yield {**weights, **fresh}
    for other in evidence.setting.others().values():
        yield from _of(other, expected, raw_keys)


def _of(other: Weights, expected: Weights, raw_keys: Mapping[str, str]) -> Iterable[Weights]:
    """The weights of another checkpoint, raw and averaged, as far as it has them in the same shapes."""
    averages = {name: shadow_of(key, other) or key for name, key in raw_keys.items()}
    for keys in (raw_keys, averages):
        fits = [key in other and other[key].shape == expected[name].shape for name, key in keys.items()]
        if all(fits):
            yield dict(chain(expected.items(), ((name, other[key]) for name, key in keys.items())))


def _held(evidence: Evidence, name: str | None) -> Tensor | None:
    return evidence.value(evidence.export, name)


def _same(evidence: Evidence, ours: Tensor, theirs: Tensor) -> bool:
    if ours.shape != theirs.shape:
        return bool(np.array_equal(values(ours).reshape(-1), values(theirs).reshape(-1)))
    return evidence.setting.contents.digest(ours) == evidence.setting.contents.digest(theirs)


def _size(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64))
