"""Batch norms that the export has in the kernel of the convolution before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from ...graph import ops
from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import Fold, Linear
from ...graph.batch_norm.statistics import weight
from ...graph.edit.repair import tensor_of_array
from ...graph.graph import Array, Node, Tensor, TensorName
from ...graph.read.tensors import values
from ..alignment import reference_of
from ..arrays import informative
from ..evidence import Evidence
from ..needed import export_flow, reference_flow
from ..query import query
from ..relations.relation import doubles
from .batch_norms import linears, reference_norms
from .fold_formula import LayerWeights, Matrix, as_low, matrix, rounded, solved
from .fold_origins import origins
from .rearranged import rearranged_before
from .unfold import Folded, right_fold

_SUMS = frozenset({"Add", "AddV2", "AddN"})
_MOST_TERMS = 4
"""Sums one after the other behind a convolution that are looked through for its offset. Measured: 2 in what the graph
optimiser of TensorFlow makes of residual blocks."""
_OWN = 3
"""How many of the sets of weights are the checkpoint's: as expected, raw, averaged."""


@query
def matched_linears(evidence: Evidence) -> tuple[tuple[BatchNorm, Linear], ...]:
    """The reference's norms with the export's convolution in the place of the one before them.

    That is the aligned one, else the only one with the aligned kernel, else the one of the same name and op.
    """
    by_node = {evidence[reference_of].get(linear.node): linear for linear in evidence[linears]}
    by_kernel: dict[str | None, list[Linear]] = {}
    for each in evidence[linears]:
        by_kernel.setdefault(evidence[reference_of].get(each.kernel), []).append(each)
    found = []
    for norm in evidence[reference_norms]:
        if norm.linear is None or norm.kernel is None or norm.mode != "inference":
            continue
        sharing = by_kernel.get(norm.kernel, [])
        alone = sharing[0] if len(sharing) == 1 else None
        linear = by_node.get(norm.linear) or alone or _namesake(evidence, norm)
        if linear is not None:
            found.append((norm, linear))
    return tuple(found)


def _namesake(evidence: Evidence, norm: BatchNorm) -> Linear | None:
    node = _linear_node(evidence, norm)
    return next(
        (each for each in evidence[linears] if node and each.node == node.name and _may_be(each, node)), None
    )


def _linear_node(evidence: Evidence, norm: BatchNorm) -> Node | None:
    """The convolution or product of the reference before ``norm``."""
    return evidence[reference_flow].nodes.get(norm.linear or "")


def _may_be(linear: Linear, node: Node) -> bool:
    """Whether an op of the export can compute what a node of the reference does."""
    return linear.op == node.op or linear.op in ops.FUSED_PADS


def kernel_fold_by_content(
    evidence: Evidence, norm: BatchNorm, candidates: Sequence[Linear]
) -> Folded | None:
    """A convolution of the export whose kernel and bias are a right fold of ``norm``, wherever it stands."""
    node = _linear_node(evidence, norm) if norm.kernel is not None else None
    for linear in candidates:
        if node is not None and _may_be(linear, node):
            folded = kernel_fold(evidence, norm, linear, None)
            if folded is not None and folded.fold.correct:
                return folded
    return None


def kernel_fold(evidence: Evidence, norm: BatchNorm, linear: Linear, kept: BatchNorm | None) -> Folded | None:
    """How the kernel of ``linear`` follows from ``norm``; ``kept`` is the norm if the export still has it, too.

    A right fold of any of the sets of weights is looked for before any other fold of the checkpoint's own.
    """
    kernel = other_kernel(evidence, norm, linear)
    if kernel is None:
        return None
    for weights, expected, fold, added in _solutions(evidence, norm, linear, kernel, kept):
        later = _added_later(evidence, linear) if kept is None and not added else None
        if later is not None and not fold.correct:
            return None  # what is added there may be of several layers
        folded = Folded(
            norm=norm,
            fold=fold.of(linear.kernel, norm),
            weights=weights,
            expected=expected,
            output=kept.output if kept is not None else _output(linear, added),
            linear=linear,
            kept=kept,
            added=0 if kept is not None else added,
            later=later,
        )
        return _shared(evidence, linear, folded)
    if kept is not None:
        return None
    return _rounded(evidence, norm, linear, kernel) or _rearranged(evidence, norm, linear, kernel)


def _added_later(evidence: Evidence, linear: Linear) -> str | None:
    """The constant that is added only after something else was added to the output of ``linear``.

    A pass that sorts the terms of a sum moves the offset of a fold behind the shortcut of a residual block.
    """
    flow, name = evidence[export_flow], linear.output.node
    for _ in range(_MOST_TERMS):
        readers = [flow.nodes[each] for each in flow.readers.get(name, ())]
        if len(readers) != 1 or readers[0].op not in _SUMS:
            return None
        terms = [weight(flow, source) for source in readers[0].inputs]
        constants = [term for term in terms if term is not None]
        if constants:
            return constants[0] if len(constants) == 1 else None
        name = readers[0].name
    return None


def other_kernel(evidence: Evidence, norm: BatchNorm, linear: Linear) -> Matrix | None:
    """The kernel of ``linear`` as ``[numbers, channels]`` where it is not that before ``norm``."""
    right, held = evidence.reference.value(norm.kernel), evidence.export.value(linear.kernel)
    variance = evidence.reference.value(norm.variance)
    if right is None or held is None or variance is None:
        return None
    if np.prod(right.shape) != np.prod(held.shape) or _same(evidence, right, held):
        return None
    return matrix(values(held), linear, int(np.prod(variance.shape)))


def _solutions(
    evidence: Evidence, norm: BatchNorm, linear: Linear, kernel: Matrix, kept: BatchNorm | None
) -> Iterator[tuple[LayerWeights, bool, Fold, int]]:
    """Weights with the fold that makes ``kernel`` of them, whether these are the reference's own, and of how
    many sums behind ``linear`` the offset is."""
    for right in (True, False):
        tries = origins(evidence, norm)
        for index, weights in enumerate(tries if right else islice(tries, _OWN)):
            for added in _sums_tried(norm, linear, kept, right=right):
                offset = offset_of(evidence, linear, added)
                if offset is None and kept is None:
                    offset = _value_of(evidence, _added_later(evidence, linear))
                fold = solved(norm, linear, weights, kernel, offset, right=right)
                if fold is None or _is_any_epsilon(norm, weights, fold):
                    continue
                if kept is not None or not right or fold.correct:
                    yield weights, index == 0, fold, added


def _is_any_epsilon(norm: BatchNorm, weights: LayerWeights, fold: Fold) -> bool:
    """Whether an epsilon was solved for that variances of one number leave open: any factor of the kernel gives one."""
    variance = weights.get(norm.variance or "")
    return not fold.own_epsilon and variance is not None and not informative(values(variance))


def _output(linear: Linear, added: int) -> TensorName:
    """What comes out behind the first ``added`` sums."""
    return linear.added[added - 1].output if added else linear.output


def _sums_tried(norm: BatchNorm, linear: Linear, kept: BatchNorm | None, *, right: bool) -> Sequence[int]:
    """How many of the constants behind ``linear`` may be the offset of the fold, the likeliest first."""
    if kept is not None or not linear.added:
        return (0,)
    if right:
        return range(1, len(linear.added) + 1)
    return (2 if norm.bias is not None and len(linear.added) > 1 else 1,)


def offset_of(evidence: Evidence, linear: Linear, added: int) -> Array | None:
    """The sum of the first ``added`` constants behind ``linear``, in float64; None if there is none."""
    found = (_value_of(evidence, each.bias) for each in linear.added[:added])
    arrays = [each for each in found if each is not None]
    if not arrays or any(array.shape != arrays[0].shape for array in arrays):
        return None
    total: Array = np.sum(arrays, axis=0)
    return total


def _value_of(evidence: Evidence, constant: str | None) -> Array | None:
    """The values of a constant of the export, flat and in float64."""
    held = evidence.export.value(constant)
    return None if held is None else doubles(values(held))


def _shared(evidence: Evidence, linear: Linear, folded: Folded) -> Folded:
    """With who else reads the raw output of the convolution, and which other convolutions its kernel."""
    outside = _reading_between(evidence, linear, folded) if folded.kept is None else ()
    twins = [other.node for other in evidence[linears] if other.kernel == linear.kernel]
    return replace(
        folded,
        output_shared=tuple(dict.fromkeys(outside)),
        kernel_shared=tuple(name for name in twins if name != linear.node),
    )


def _reading_between(evidence: Evidence, linear: Linear, folded: Folded) -> Iterator[str]:
    """What reads a value between the convolution and the output of the fold beside what leads there."""
    flow = evidence[export_flow]
    here = flow.nodes.get(folded.output.node)
    while here is not None and here.name != linear.node:
        varying = [each.node for each in here.inputs if weight(flow, each) is None]
        if not varying:
            return
        readers = flow.readers.get(varying[0], ())
        yield from (name for name in readers if name != here.name and flow.nodes[name].op not in ops.OF_SHAPE)
        yield from (output.node for output in evidence.export.outputs if output.node == varying[0])
        here = flow.nodes.get(varying[0])


def _rounded(evidence: Evidence, norm: BatchNorm, linear: Linear, kernel: Matrix) -> Folded | None:
    """A right fold that went through half precision: a batch norm whose weights did."""
    expected = next(iter(origins(evidence, norm)))
    kind = rounded(norm, linear, expected, kernel)
    if kind is None or not linear.added:
        return None
    weights = {
        name: tensor_of_array(as_low(values(value), kind)) if values(value).dtype == np.float32 else value
        for name, value in expected.items()
    }
    added = len(linear.added) if norm.bias is not None else 1
    place = linear.added[added - 1].output
    return _shared(
        evidence,
        linear,
        Folded(
            norm=norm,
            fold=right_fold(norm),
            weights=weights,
            expected=False,
            output=place,
            linear=linear,
            added=added,
        ),
    )


def _rearranged(evidence: Evidence, norm: BatchNorm, linear: Linear, kernel: Matrix) -> Folded | None:
    """A right fold of a kernel whose values stand in other places."""
    expected = next(iter(origins(evidence, norm)))
    held = evidence.export.value(linear.kernel)
    if held is None or norm.kernel is None:
        return None
    for found in rearranged_before(norm, linear, expected, values(held)):
        weights = {**expected, norm.kernel: tensor_of_array(np.ascontiguousarray(found))}
        for added in _sums_tried(norm, linear, None, right=True):
            fold = solved(norm, linear, weights, kernel, offset_of(evidence, linear, added), right=True)
            if fold is not None and fold.correct:
                folded = Folded(
                    norm=norm,
                    fold=fold.of(linear.kernel, norm),
                    weights=weights,
                    expected=False,
                    output=_output(linear, added),
                    linear=linear,
                    added=added,
                )
                return _shared(evidence, linear, folded)
    return None


def _same(evidence: Evidence, one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return bool(np.array_equal(values(one).reshape(-1), values(other).reshape(-1)))
    return evidence.case.contents.digest(one) == evidence.case.contents.digest(other)
