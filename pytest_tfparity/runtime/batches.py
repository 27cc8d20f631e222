"""Several rows for graphs that take a pinned number of them, or one string: fed in pieces, outputs put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..errors import FeedError, ModelError
from ..graph.graph import Array, Graph, TensorName
from .feeds import is_list_of_one, tensor_spec

_Feeds: TypeAlias = Mapping[TensorName, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Inputs in pieces of ``size`` rows; one piece and None where nothing needed cutting.

    ``stacked``: each piece is one string, and what a graph answers to each is one row of the whole answer.
    """

    size: int | None
    pieces: Sequence[_Feeds]
    stacked: bool = False


def cut_inputs(graph: Graph, label: str, inputs: _Feeds) -> Cut:
    """``inputs`` cut to the batch size that placeholders pin; left whole where none does.

    Every input that has the batch as its leading dimension is cut. Several strings for a placeholder of one, encoded
    images say, are given one at a time. Raises FeedError if the pinned sizes disagree, if the batch is no multiple of
    them, or if another input has another number of rows.
    """
    dims = {tensor: tensor_spec(graph, tensor).dims for tensor in inputs}
    lists = [tensor for tensor, value in inputs.items() if is_list_of_one(value, dims[tensor])]
    if lists:
        return Cut(size=1, pieces=list(_one_by_one(inputs, lists, label)), stacked=True)
    first = next((tensor for tensor in inputs if _misfits(inputs[tensor], dims[tensor])), None)
    pinned = dims[first] if first is not None else None
    if first is None or not pinned:
        return Cut(size=None, pieces=[inputs])
    return _cut_to(pinned[0], first, label, inputs, dims)


def _cut_to(
    size: int,
    first: TensorName,
    label: str,
    inputs: _Feeds,
    dims: Mapping[TensorName, tuple[int, ...] | None],
) -> Cut:
    """``inputs`` in pieces of ``size`` rows, as ``first`` pins them. Raises FeedError."""
    rows = inputs[first].shape[0]
    if size == 0 or rows == 0 or rows % size:
        raise FeedError(
            f"{first} of {label} takes a batch of exactly {size}; {rows} rows are given for it,"
            " which is no multiple of that."
        )
    cut = {tensor for tensor, value in inputs.items() if _can_be_cut(value, dims[tensor], rows, size)}
    uneven = _uneven(inputs, cut, dims)
    if uneven is not None:
        raise FeedError(
            f"{first} of {label} takes a batch of exactly {size}, so that its {rows} rows must be fed in"
            f" slices, but {uneven} has {inputs[uneven].shape[0]} rows."
        )
    return Cut(size=size, pieces=list(_pieces(inputs, cut, rows, size)))


def first_of_lists(graph: Graph, inputs: Mapping[TensorName, Array]) -> dict[TensorName, Array]:
    """``inputs`` with the first string of each list that a placeholder takes one at a time."""
    return {
        tensor: np.asarray(value[0], dtype=object)
        if tensor.node in graph.nodes and is_list_of_one(value, tensor_spec(graph, tensor).dims)
        else value
        for tensor, value in inputs.items()
    }


def _one_by_one(inputs: _Feeds, lists: Sequence[TensorName], label: str) -> Iterator[_Feeds]:
    counts = {len(inputs[tensor]) for tensor in lists}
    if len(counts) > 1:
        raise FeedError(
            f"{label} takes one string at a time for {', '.join(map(str, lists))}, of which different numbers are"
            f" given: {', '.join(str(len(inputs[tensor])) for tensor in lists)}. Give as many of each."
        )
    for index in range(counts.pop()):
        yield {
            tensor: np.asarray(value[index], dtype=object) if tensor in lists else value
            for tensor, value in inputs.items()
        }


def _pieces(inputs: _Feeds, cut: set[TensorName], rows: int, size: int) -> Iterator[_Feeds]:
    for start in range(0, rows, size):
        rows_of = slice(start, start + size)
        yield {tensor: value[rows_of] if tensor in cut else value for tensor, value in inputs.items()}


def _uneven(
    inputs: _Feeds, cut: set[TensorName], dims: Mapping[TensorName, tuple[int, ...] | None]
) -> TensorName | None:
    """The first input that is not cut and does not have the rows that its placeholder pins."""
    for tensor, value in inputs.items():
        if tensor not in cut and value.ndim and _leading(dims[tensor]) != value.shape[0]:
            return tensor
    return None


def _leading(dims: tuple[int, ...] | None) -> int:
    """The leading dimension that a placeholder pins; -1 if it is open."""
    return dims[0] if dims else -1


def _misfits(value: Array, dims: tuple[int, ...] | None) -> bool:
    return _leading(dims) >= 0 and value.shape[0] != _leading(dims)


def _can_be_cut(value: Array, dims: tuple[int, ...] | None, rows: int, size: int) -> bool:
    return bool(value.ndim) and value.shape[0] == rows and _leading(dims) in (-1, size)


def joined(label: str, cut: Cut, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The outputs of all pieces, by name: those to one string each are stacked.

    Of pieces of several rows, outputs with as many are put together; others must be the same for every piece
    (ModelError).
    """
    size = cut.size
    if size is None:
        return dict(parts[0])
    if cut.stacked:
        return {name: _stacked(label, name, [part[name] for part in parts]) for name in parts[0]}
    outputs = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        if all(value.ndim and value.shape[0] == size for value in values):
            outputs[name] = np.concatenate(values)
        elif all(_same(value, first) for value in values):
            outputs[name] = first
        else:
            raise ModelError(
                f"{label} takes a batch of exactly {size}, so the inputs were fed in {len(parts)} slices, but"
                f" {name} (shape {list(first.shape)}) is one value for each slice, not one for each row: it"
                " cannot be put together. Compare another output, or give inputs of one slice."
            )
    return outputs


def _stacked(label: str, name: str, values: Sequence[Array]) -> Array:
    """What was answered to each string, behind a new axis for the strings."""
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1:
        raise ModelError(
            f"{label} takes one string at a time, and {name} has another shape for another string"
            f" ({', '.join(str(list(shape)) for shape in sorted(shapes))}): it cannot be put together. Compare another"
            " output, or give one string."
        )
    return np.stack([np.asarray(value) for value in values])


def _same(value: Array, other: Array) -> bool:
    equal_nan = value.dtype.kind in "fc"
    return value.dtype == other.dtype and bool(np.array_equal(value, other, equal_nan=equal_nan))
