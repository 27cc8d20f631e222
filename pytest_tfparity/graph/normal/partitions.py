"""Partitioned variables: constants that are only put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Tensor
from .form import NormalGraph, NormalNode


def is_partitioned(node: NormalNode, nodes: Sequence[NormalNode]) -> bool:
    """Whether a node puts constants together, as reading a partitioned variable does."""
    return node.op == "ConcatV2" and all(nodes[edge.node].op == "Const" for edge in node.inputs)


def whole(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The constant that ``ConcatV2`` of constants is; the last part is the axis. None if they do not fit."""
    *found, axis = parts
    tensors = [tensor for tensor in found if tensor is not None]
    if axis is None or axis.shape != () or not tensors or len(tensors) != len(found):
        return None
    first, along = tensors[0], int(axis.array.item())
    along += len(first.shape) if along < 0 else 0
    if not 0 <= along < len(first.shape) or not all(_fits(tensor, first, along) for tensor in tensors):
        return None
    length = sum(tensor.shape[along] for tensor in tensors)
    shape = (*first.shape[:along], length, *first.shape[along + 1 :])
    return Tensor(first.dtype, shape, lambda: np.concatenate([tensor.array for tensor in tensors], along))


def _fits(tensor: Tensor, first: Tensor, along: int) -> bool:
    def rest(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return shape[:along], shape[along + 1 :]

    return (
        tensor.dtype == first.dtype
        and len(tensor.shape) == len(first.shape)
        and rest(tensor.shape) == rest(first.shape)
    )


def partitions(graph: NormalGraph) -> int:
    """How many live nodes only put constants together."""
    return sum(is_partitioned(graph.nodes[index], graph.nodes) for index in graph.live())
