"""Batch norms of the reference that the export has in another form: in a kernel, or as a scale and an offset."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import FUSED_PAD, OF_SHAPE, Fold, Linear, solve_fold
from ...graph.batch_norm.statistics import weight
from ...graph.edit.graft import Constant, Edit, Repair, Rewrite, constant_node, tensor_of
from ...graph.graph import Array, Node, Tensor, TensorName
from ...graph.live import LiveGraph
from ..alignment import counterpart, reference_of
from ..arrays import values
from ..evidence import Evidence
from ..flow import export_flow, reference_flow
from ..query import query
from .batch_norms import free_name, linears, norm_graft, norm_pairs, reference_norms
from .fold_formula import Matrix, Weights, as_low, matrix, rounded, solved, vectors
from .fold_origins import origins

_OWN = 3
"""How many of the sets of weights are the checkpoint's: as expected, raw, averaged."""

_SUMS = frozenset({"Add", "AddV2", "BiasAdd", "Sub"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """The batch norm ``norm`` of the reference and what stands in its place in the export.

    ``linear`` is the export's convolution or product that holds it, None where a multiplication and
    a sum do (``scale`` is the node of the former). ``output`` is the export's tensor in the place of the norm's
    output, None where the norm is still there (``kept``, that of the export). ``weights`` are the values
    that it was made of, by node of the reference; ``expected`` says that these are the reference's own.
    ``added`` is how many constants the offset is the sum of. ``output_shared`` are other nodes of the export
    that read the raw output, ``kernel_shared`` other convolutions that read the kernel.
    """

    norm: BatchNorm
    fold: Fold
    weights: Weights
    expected: bool
    output: TensorName
    linear: Linear | None = None
    scale: str | None = None
    kept: BatchNorm | None = None
    added: int = 0
    output_shared: tuple[str, ...] = ()
    kernel_shared: tuple[str, ...] = ()

    @property
    def neutral(self) -> bool:
        """Whether this is another spelling of the same function."""
        return self.fold.correct and self.kept is None and not self.output_shared and not self.kernel_shared

    @property
    def node(self) -> str:
        """The node of the export to name."""
        return self.linear.node if self.linear is not None else (self.scale or self.output.node)


def unfolded(evidence: Evidence, folded: Folded) -> Repair:
    """Put kernel and batch norm back as in the reference, made of the weights that the export was made of."""
    norm, linear = folded.norm, folded.linear
    edges: dict[TensorName, TensorName] = {}
    edits: list[Edit] = []
    if linear is None:
        scale = evidence[export_flow].nodes[folded.scale or ""]
        varying = [source for source in scale.inputs if weight(evidence[export_flow], source) is None]
        edges[norm.input] = varying[0]
    else:
        edges[TensorName(norm.linear or "", 0)] = TensorName(linear.node, 0)
        edits.append(Constant(node=linear.kernel, value=_shaped(evidence, linear, folded)))
        if norm.bias is not None and norm.bias in folded.weights and folded.added > 1:
            # The first sum is that of the convolution's own bias, which was scaled with the kernel.
            own = linear.added[0].bias
            edits.append(Constant(node=own, value=folded.weights[norm.bias]))
            edges[TensorName(norm.bias, 0)] = TensorName(own, 0)
    taken: list[str] = []
    if not folded.expected:
        for name, value in folded.weights.items():
            if name != norm.kernel and TensorName(name, 0) not in edges:
                taken.append(free_name(evidence, name, taken))
                edits.append(Rewrite(node=constant_node(taken[-1], value)))
                edges[TensorName(name, 0)] = TensorName(taken[-1], 0)
    if folded.kept is not None:
        # The norm stays: only what the fold changed before it is put back.
        edges |= {
            TensorName(right, 0): TensorName(held, 0)
            for right, held in zip(norm.weights, folded.kept.weights, strict=True)
            if right is not None and held is not None
        }
    edits.append(norm_graft(evidence, folded.output, norm, edges))
    return tuple(edits)


def _shaped(evidence: Evidence, linear: Linear, folded: Folded) -> Tensor:
    """The unfolded kernel in the shape that the export's constant has."""
    kernel = folded.weights[folded.norm.kernel or ""]
    held = evidence.export.value(linear.kernel)
    if held is None or held.shape == kernel.shape:
        return kernel
    return tensor_of(values(kernel).reshape(held.shape), kernel.dtype)


@query
def folds(evidence: Evidence) -> tuple[Folded, ...]:
    """The batch norms of the reference that stand in the export in another form."""
    return tuple(_find_folded(evidence))


def _find_folded(evidence: Evidence) -> Iterator[Folded]:
    """Every batch norm of the reference that the export holds in another form."""
    kept = {pair.reference.node: pair.export for pair in evidence[norm_pairs]}
    matched = _matched(evidence)
    found: set[str] = set()
    for norm, linear in matched:
        here = _in_kernel(evidence, norm, linear, kept.get(norm.node))
        if here is not None:
            found.add(norm.node)
            yield here
    used = {linear.kernel for _, linear in matched}
    rest = [norm for norm in evidence[reference_norms] if norm.node not in found and norm.node not in kept]
    for norm in [each for each in rest if each.mode == "inference"]:
        strangers = [linear for linear in evidence[linears] if linear.kernel not in used]
        folded = _by_content(evidence, norm, strangers) or _as_scale(evidence, norm)
        if folded is not None:
            if folded.linear is not None:
                used.add(folded.linear.kernel)
            yield folded


def folded_over(evidence: Evidence, kernels: Collection[str]) -> Iterator[Folded]:
    """The batch norms behind ``kernels`` (of the reference) that the export has only as an offset.

    For kernels of unknown origin: the fold itself cannot be checked then, and is taken to be of the same weights.
    """
    kept = {pair.reference.node for pair in evidence[norm_pairs]}
    for norm, linear in _matched(evidence):
        if norm.kernel in kernels and norm.node not in kept and linear.added:
            names = (norm.kernel, norm.bias, *norm.weights)
            held = {name: evidence.reference.value(name) for name in names if name is not None}
            added = len(linear.added) if norm.bias is not None else 1
            yield Folded(
                norm=norm,
                fold=_right_fold(norm),
                weights={name: value for name, value in held.items() if value is not None},
                expected=True,
                output=linear.added[added - 1].output,
                linear=linear,
                added=added,
            )


def _right_fold(norm: BatchNorm) -> Fold:
    return Fold(epsilon=norm.epsilon, own_epsilon=True, axis="output", power=1, bias="correct", residual=0.0)


# --- which kernel is which


def _matched(evidence: Evidence) -> list[tuple[BatchNorm, Linear]]:
    """The reference's norms with the export's convolution in the place of the one before them."""
    norms = [
        norm
        for norm in evidence[reference_norms]
        if norm.linear is not None and norm.kernel is not None and norm.mode == "inference"
    ]
    by_node = {evidence[reference_of].get(linear.node): linear for linear in evidence[linears]}
    by_name = {linear.node: linear for linear in evidence[linears]}
    by_kernel: dict[str | None, list[Linear]] = {}
    for each in evidence[linears]:
        by_kernel.setdefault(evidence[reference_of].get(each.kernel), []).append(each)
    found = []
    for norm in norms:
        node = evidence[reference_flow].nodes.get(norm.linear or "")
        linear: Linear | None = by_node.get(norm.linear)
        sharing = by_kernel.get(norm.kernel, [])
        if linear is None and len(sharing) == 1:
            linear = sharing[0]
        if linear is None and node is not None:
            named = by_name.get(node.name)
            linear = named if named is not None and (named.op == node.op or named.op in FUSED_PAD) else None
        if linear is not None:
            found.append((norm, linear))
    return found


def _by_content(evidence: Evidence, norm: BatchNorm, linears: Sequence[Linear]) -> Folded | None:
    """A convolution of the export whose kernel and bias are a right fold of ``norm``, wherever it stands."""
    if norm.kernel is None or norm.linear is None:
        return None
    node = evidence[reference_flow].nodes.get(norm.linear)
    for linear in linears:
        if node is not None and (linear.op == node.op or linear.op in FUSED_PAD):
            folded = _in_kernel(evidence, norm, linear, None)
            if folded is not None and folded.fold.correct:
                return folded
    return None


# --- in a kernel


def _in_kernel(evidence: Evidence, norm: BatchNorm, linear: Linear, kept: BatchNorm | None) -> Folded | None:
    right_kernel, held = evidence.reference.value(norm.kernel), _held(evidence, linear.kernel)
    if right_kernel is None or held is None or _size(right_kernel) != _size(held):
        return None
    if _same(evidence, right_kernel, held):
        return None
    kernel = matrix(values(held), linear, _channels(evidence, norm))
    if kernel is None:
        return None
    for right in (True, False):
        tries = origins(evidence, norm)
        for index, weights in enumerate(tries if right else islice(tries, _OWN)):
            for added in _ways(norm, linear, kept, right=right):
                offset = _offset_of(evidence, linear, added)
                fold = solved(norm, linear, weights, kernel, offset, right=right)
                if fold is not None and (kept is not None or not right or fold.correct):
                    place = linear.added[added - 1].output if added else linear.output
                    folded = Folded(
                        norm=norm,
                        fold=fold.of(linear.kernel, norm),
                        weights=weights,
                        expected=index == 0,
                        output=kept.output if kept is not None else place,
                        linear=linear,
                        kept=kept,
                        added=0 if kept is not None else added,
                    )
                    return _shared(evidence, folded)
    return None if kept is not None else _rounded(evidence, norm, linear, kernel)


def _ways(norm: BatchNorm, linear: Linear, kept: BatchNorm | None, *, right: bool) -> Sequence[int]:
    """How many of the constants behind ``linear`` may be the offset of the fold, the likeliest first."""
    if kept is not None or not linear.added:
        return (0,)
    if right:
        return range(1, len(linear.added) + 1)
    return (2 if norm.bias is not None and len(linear.added) > 1 else 1,)


def _offset_of(evidence: Evidence, linear: Linear, added: int) -> Array | None:
    """The sum of the first ``added`` constants behind ``linear``, in float64; None if there is none."""
    held = [_held(evidence, each.bias) for each in linear.added[:added]]
    arrays = [values(each).astype(np.float64).reshape(-1) for each in held if each is not None]
    if not arrays or any(array.shape != arrays[0].shape for array in arrays):
        return None
    total: Array = np.sum(arrays, axis=0)
    return total


def _shared(evidence: Evidence, folded: Folded) -> Folded:
    """With who else reads the raw output of the convolution, and which other convolutions its kernel."""
    linear, flow = folded.linear, evidence[export_flow]
    assert linear is not None
    outside: list[str] = []
    here = flow.nodes.get(folded.output.node)
    while folded.kept is None and here is not None and here.name != linear.node:
        varying = [each.node for each in here.inputs if weight(flow, each) is None]
        if not varying:
            break
        outside += [
            name
            for name in flow.readers.get(varying[0], ())
            if name != here.name and flow.nodes[name].op not in OF_SHAPE
        ]
        outside += [output.node for output in evidence.export.outputs if output.node == varying[0]]
        here = flow.nodes.get(varying[0])
    twins = [other.node for other in evidence[linears] if other.kernel == linear.kernel]
    return replace(
        folded,
        output_shared=tuple(dict.fromkeys(outside)),
        kernel_shared=tuple(name for name in twins if name != linear.node),
    )


def _rounded(evidence: Evidence, norm: BatchNorm, linear: Linear, kernel: Matrix) -> Folded | None:
    """A right fold that went through half precision: a batch norm whose weights did."""
    expected = next(iter(origins(evidence, norm)))
    kind = rounded(norm, linear, expected, kernel)
    if kind is None or not linear.added:
        return None
    weights = {
        name: tensor_of(as_low(values(value), kind)) if values(value).dtype == np.float32 else value
        for name, value in expected.items()
    }
    added = len(linear.added) if norm.bias is not None else 1
    place = linear.added[added - 1].output
    return _shared(
        evidence,
        Folded(
            norm=norm,
            fold=_right_fold(norm),
            weights=weights,
            expected=False,
            output=place,
            linear=linear,
            added=added,
        ),
    )


# --- as a scale and an offset


def _as_scale(evidence: Evidence, norm: BatchNorm) -> Folded | None:
    """``x * scale + offset`` with constants that are those of ``norm``."""
    flow = evidence[export_flow]
    input_here = counterpart(evidence, norm.input)
    candidates = sorted(_scales(evidence, norm), key=lambda each: each[1] != input_here)
    for node, _, scale in candidates:
        ones = np.ones((1, scale.size), scale.dtype)
        sum_node, offset = _offset(flow, node)
        output = TensorName(sum_node.name if sum_node is not None else node.name, 0)
        for index, weights in enumerate(origins(evidence, norm)):
            gamma, beta, mean, variance = vectors(norm, weights)
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
    flow = evidence[export_flow]
    variance = evidence.reference.value(norm.variance)
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
        sign = -1.0 if readers[0].op == "Sub" else 1.0
        return readers[0], np.asarray(added, np.float64).reshape(-1) * sign
    added = flow.constant(first)
    if added is None or readers[0].op == "Sub":
        return None, None
    return readers[0], added.reshape(-1)


def _held(evidence: Evidence, name: str | None) -> Tensor | None:
    return evidence.export.value(name)


def _same(evidence: Evidence, one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return bool(np.array_equal(values(one).reshape(-1), values(other).reshape(-1)))
    return evidence.case.contents.digest(one) == evidence.case.contents.digest(other)


def _channels(evidence: Evidence, norm: BatchNorm) -> int:
    variance = evidence.reference.value(norm.variance)
    return 0 if variance is None else _size(variance)


def _size(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64))
