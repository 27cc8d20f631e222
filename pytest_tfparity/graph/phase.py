"""The inputs that switch a graph between training and inference, told by what they decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from . import ops
from .batch_norm.find import find_batch_norms
from .graph import Array, DType, Node, Shape, Tensor, TensorName
from .live import liveness
from .normal.form import NormalGraph
from .proof.proof import Side, form_of
from .read.tensors import numpy_dtype

_BOOL = 10
_FLOATS = (1, 2, 19)  # of tensorflow.DataType (types.proto): float32, float64, float16


_Working: TypeAlias = Mapping[str, int]
"""How many layers of a kind work as in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A scalar input that decides whether layers work as in training.

    ``inference`` is the value under which they do not, ``decides`` names them ("batch norm and dropout").
    ``default`` is the value where nothing is fed; None where something must be.
    """

    tensor: TensorName
    inference: bool | float
    decides: str
    default: bool | float | None


def find_phases(side: Side) -> tuple[Phase, ...]:
    """The phases of what ``side`` computes, in the order of its graph.

    Nothing is told by names: an input is a phase if under one value fewer batch norms take the statistics of the
    batch, or fewer random numbers reach the outputs, than under the others. The values are False and True, of floats
    0, 0.5 and 1: of a dropout the share that it keeps, or that it drops.
    """
    live = side.graph.live(map(str, side.outputs), map(str, side.feeds))
    found = (
        _phase(side, node)
        for node in live.values()
        if node.op in ops.INPUTS and TensorName(node.name, 0) not in side.feeds
    )
    return tuple(phase for phase in found if phase is not None)


def random_ops(form: NormalGraph) -> Mapping[str, str]:
    """The random ops that the outputs depend on, name to op.

    Those with a seed in the file too; those of a dropout that keeps everything are none.
    """
    found = {}
    fixed = [index for index in form.live() if form.nodes[index].op.startswith("StatelessRandom")]
    for index in (*form.doubtful(), *fixed):
        node = form.nodes[index]
        inner = {op for function in node.functions.values() for op in _ops(function)}
        op = next((each for each in sorted({node.op, *inner}) if ops.draws(each)), None)
        if op is not None:
            found[node.name] = op
    return found


def _ops(form: NormalGraph) -> set[str]:
    return {form.nodes[index].op for index in form.live()}


def _phase(side: Side, node: Node) -> Phase | None:
    """What ``node``, a placeholder, decides; None if it decides nothing of training."""
    dtype = node.attrs.get("dtype")
    values = _values(dtype)
    default = _default(side, node)
    if not values or not isinstance(dtype, DType) or not _may_be_scalar(node, default):
        return None
    tensor = TensorName(node.name, 0)
    tried = {value: _training(side, tensor, np.asarray(value, numpy_dtype(dtype))) for value in values}
    working = {value: found for value, found in tried.items() if found is not None}
    for value, own in working.items():
        fewer = [_fewer(own, other) for other in working.values() if other is not own]
        if fewer and all(fewer):
            return Phase(
                tensor=tensor,
                inference=value,
                decides=" and ".join(dict.fromkeys(word for words in fewer for word in words)),
                default=None if default is None else default.array.item(),
            )
    return None


def _fewer(some: _Working, others: _Working) -> list[str]:
    """The layers of which fewer work as in training; none where of others more do."""
    if any(some[word] > others[word] for word in some):
        return []
    return [word for word in some if some[word] < others[word]]


def _values(dtype: object) -> tuple[bool, ...] | tuple[float, ...]:
    number = dtype.number if isinstance(dtype, DType) else None
    if number == _BOOL:
        return False, True
    return (1.0, 0.5, 0.0) if number in _FLOATS else ()


def _may_be_scalar(node: Node, default: Tensor | None) -> bool:
    """Whether a scalar may be fed: old graphs leave the shape of one open."""
    shape = node.attrs.get("shape")
    return default.shape == () if default is not None else not isinstance(shape, Shape) or not shape.dims


def _default(side: Side, node: Node) -> Tensor | None:
    """The constant that ``node`` has where nothing is fed."""
    source = side.graph.nodes.get(node.inputs[0].node) if node.inputs else None
    while source is not None and source.op in ops.IDENTITIES and source.inputs:
        source = side.graph.nodes.get(source.inputs[0].node)
    value = source.attrs.get("value") if source is not None else None
    return value if isinstance(value, Tensor) else None


def _training(side: Side, tensor: TensorName, value: Array) -> _Working | None:
    """How many layers work as in training where ``tensor`` is fed ``value``; None where that divides by 0.

    A dropout that keeps nothing scales by 1 / 0.
    """
    fed = replace(side, feeds={**side.feeds, tensor: value})
    norms = find_batch_norms(fed.graph, fed.outputs, fed.inputs, fed.feeds, fed.variables)
    live = liveness(fed.graph, fed.outputs, inputs=fed.inputs, feeds=fed.feeds, variables=fed.variables)
    divisors = (node.inputs[1] for node in live.nodes.values() if node.op in ops.DIVISIONS)
    if any(live.value(divisor) == 0 for divisor in divisors):
        return None
    return {
        "batch norm": sum(norm.mode == "training" for norm in norms),
        "dropout": len(random_ops(form_of(fed))),
    }
