"""Where a mean or a variance comes from: stored, the current batch's, or neither; and with which momentum it moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .. import ops
from ..graph import Array, Graph, Node, Shape, Tensor, TensorName
from ..live_graph import LiveGraph
from ..variables import written_variable

StatisticKind: TypeAlias = Literal["stored", "batch", "undecided", "other"]

_CONSTANTS = ops.VARIABLES | {"Const", "Fill", "Range"}
"""What a statistic that is stored may be."""

_FARTHEST = 64
"""Tensors between a statistic and the reductions that made it; ``tf.nn.weighted_moments`` and ``E[x^2] - mean^2``
written by hand have 3 and 4."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """Where a mean or a variance comes from.

    ``stored`` is the constant or variable behind it, if there is one; ``predicate`` the node that
    chose, or would choose, between stored and batch; ``axis`` that of the channels, where it shows.
    """

    kind: StatisticKind
    stored: str | None
    predicate: str | None
    axis: int | None


def weight(live: LiveGraph, tensor: TensorName | None, variables: frozenset[str] = frozenset()) -> str | None:
    """The constant or variable that ``tensor`` reads, through identities and changes of layout, or None."""
    if tensor is None:
        return None
    tensor = live.source(tensor)
    node = live.node(tensor)
    while node is not None and node.name not in variables and node.op in ops.LAYOUTS and node.inputs:
        tensor = live.source(node.inputs[0])
        node = live.node(tensor)
    if node is None:
        return None
    return node.name if node.op in ops.VARIABLES or node.op == "Const" or node.name in variables else None


def statistic(live: LiveGraph, tensor: TensorName, variables: frozenset[str] = frozenset()) -> Statistic:
    """Classify ``tensor``, a mean or a variance that something is normalised with."""
    tensor, predicate = live.trace(tensor)
    axis = _layout_axis(live, tensor)
    stored = weight(live, tensor, variables)
    if stored is not None:
        return Statistic("stored", stored, predicate, axis)
    node = live.node(tensor)
    while node is not None and node.op in ops.LAYOUTS and node.inputs:
        tensor, by = live.trace(node.inputs[0])
        predicate = predicate or by
        node = live.node(tensor)
    if node is not None and node.op in ops.MERGES and node.name in live.choices:
        return _chosen(live, node, axis, variables)
    kind, reduced = _origin(live, tensor, variables)
    return Statistic(kind, None, predicate, axis or reduced)


def _chosen(live: LiveGraph, merge: Node, axis: int | None, variables: frozenset[str]) -> Statistic:
    """A statistic that a conditional hands on, which a feed decides."""
    by = live.choices[merge.name].predicate
    sides = [statistic(live, side, variables) for side in merge.inputs]
    kinds = {side.kind for side in sides}
    if "other" in kinds:
        return Statistic("other", None, by, axis)
    kind: StatisticKind = "undecided" if len(kinds) > 1 else sides[0].kind
    stored = next((side.stored for side in sides if side.stored), None)
    return Statistic(kind, stored, by, axis or sides[0].axis)


def _origin(
    live: LiveGraph, tensor: TensorName, variables: frozenset[str]
) -> tuple[StatisticKind, int | None]:
    """Walk back from a computed statistic to the reductions that made it.

    Every way back must end in a constant or in a reduction over the batch; a way that reaches
    data otherwise, or a reduction that leaves the batch axis standing, is no batch statistic.
    """
    waiting, seen = [tensor], {tensor}
    axis: int | None = None
    batch = False
    while waiting:
        node = live.node(live.source(waiting.pop()))
        if node is None or (node.op in ops.MOMENTS and not _over_batch(live, node)):
            return "other", None
        if node.op in _CONSTANTS or node.name in variables:
            continue
        if node.op in ops.MOMENTS:
            batch, axis = True, _kept(reduced_axes(live, node) or ())
            continue
        if not node.inputs or node.op.startswith(("Conv", "MatMul", "Placeholder")) or len(seen) > _FARTHEST:
            return "other", None
        waiting.extend(dict.fromkeys(source for source in node.inputs if source not in seen))
        seen.update(node.inputs)
    return ("batch" if batch else "stored"), axis


def _over_batch(live: LiveGraph, reduction: Node) -> bool:
    """Whether a reduction takes the batch together and leaves some axis."""
    axes = reduced_axes(live, reduction)
    return axes is not None and 0 in axes and not _whole(live, reduction, axes)


def reduced_axes(live: LiveGraph, node: Node) -> tuple[int, ...] | None:
    """The constant axes of a reduction, in order, or None where they are not known."""
    value: Array | None = live.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if value is None else tuple(sorted(int(axis) for axis in value.reshape(-1)))


def _kept(axes: tuple[int, ...]) -> int:
    """The one axis that a reduction over ``axes`` leaves: -1 where it is the last."""
    missing = [axis for axis in range(len(axes)) if axis not in axes]
    return missing[0] if missing else -1


def _whole(live: LiveGraph, node: Node, axes: tuple[int, ...]) -> bool:
    """Whether the reduction leaves no axis at all: that normalises a batch as a whole, not its channels."""
    rank = rank_of(live, node.inputs[0])
    return rank is not None and len(axes) >= rank


def rank_of(live: LiveGraph, tensor: TensorName) -> int | None:
    """The rank of ``tensor`` where it shows within a few steps, else None."""
    for _ in range(_FARTHEST):
        node = live.nodes.get(live.source(tensor).node)
        if node is None:
            return None
        if node.op not in ops.KEEP_RANK:
            return _own_rank(live, node)
        tensor = node.inputs[0]
    return None


def _own_rank(live: LiveGraph, node: Node) -> int | None:
    """The rank that a node's op or attributes tell, whatever it reads."""
    if node.op in ops.RANKS:
        return ops.RANKS[node.op]
    if node.op in ops.INPUTS:
        shape = node.attrs.get("shape")
        return len(shape.dims) if isinstance(shape, Shape) and shape.dims else None
    target = live.constant(node.inputs[1]) if node.op == "Reshape" else None
    return None if target is None else int(target.size)


def _layout_axis(live: LiveGraph, tensor: TensorName) -> int | None:
    """The axis of the channels where a vector is reshaped to, say, ``[1, C, 1, 1]``; None where it is not."""
    node = live.node(tensor)
    while node is not None and node.op in ops.LAYOUTS and node.inputs:
        target = live.constant(node.inputs[1]) if node.op == "Reshape" and len(node.inputs) > 1 else None
        if target is not None and target.size > 1:
            wide = [axis for axis, size in enumerate(target.tolist()) if size != 1]
            return wide[0] if len(wide) == 1 and wide[0] != target.size - 1 else -1
        node = live.node(live.source(node.inputs[0]))
    return None


def batch_axis_reshaped(live: LiveGraph, node: Node) -> bool:
    """Whether a fused op in training mode is in truth a layer or instance norm.

    Both are spelt as a reshape to ``[1, batch * groups, ..., 1]`` in front of the op: the batch lies on the
    channels' axis, so every sample keeps its own statistics, and the scale is no weight but a fill.
    """
    before = live.node(live.source(node.inputs[0]))
    if before is None or before.op != "Reshape" or _leading(live, before) != 1:
        return False
    return all(_filled(live, tensor) for tensor in node.inputs[1:3])


def _leading(live: LiveGraph, reshape: Node) -> int | None:
    target = live.constant(reshape.inputs[1])
    if target is not None:
        return int(target.reshape(-1)[0]) if target.size else None
    pack = live.node(live.source(reshape.inputs[1]))
    first = live.constant(pack.inputs[0]) if pack is not None and pack.op in ("Pack", "ConcatV2") else None
    return None if first is None or not first.size else int(first.reshape(-1)[0])


def _filled(live: LiveGraph, tensor: TensorName) -> bool:
    node = live.node(live.source(tensor))
    if node is None:
        return False
    if node.op == "Const":
        value = live.constant(tensor)
        return value is not None and (value.size == 0 or bool((value == value.reshape(-1)[0]).all()))
    return node.op not in ops.VARIABLES


def momenta(graph: Graph) -> dict[str, float]:
    """Variable to momentum, from the update ``AssignSub(v, (v - batch) * (1 - momentum))``."""
    found: dict[str, float] = {}
    for node in graph.nodes.values():
        if node.op not in ops.SUBTRACTING_ASSIGNS or len(node.inputs) != 2:
            continue
        for decay in _factors(graph, node.inputs[1].node):
            target = written_variable(graph, node.name)
            if target is not None:
                found[target] = round(1.0 - decay, 6)
    return found


def _factors(graph: Graph, product: str) -> Iterator[float]:
    """The numbers that a product is made with."""
    node = graph.nodes.get(product)
    if node is None or node.op != "Mul":
        return
    for factor in (graph.nodes.get(source.node) for source in node.inputs):
        value = _constant(factor)
        if value is not None and value.shape == ():
            yield float(value.array)


def _constant(node: Node | None) -> Tensor | None:
    value = node.attrs.get("value") if node is not None and node.op == "Const" else None
    return value if isinstance(value, Tensor) else None
