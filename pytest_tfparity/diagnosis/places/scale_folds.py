"""Batch norms that stand in the export as a multiplication and a sum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...graph import ops
from ...graph.batch_norm.find import BatchNorm
from ...graph.batch_norm.fold import solve_fold
from ...graph.graph import Array, Node, TensorName
from ...graph.live_graph import LiveGraph
from ..alignment import counterpart
from ..evidence import Evidence
from ..needed import export_flow
from .fold_formula import vectors
from .fold_origins import origins
from .unfold import Folded

_SUMS = ops.SUMS | {"BiasAdd"}


def scale_fold(evidence: Evidence, norm: BatchNorm) -> Folded | None:
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
            if value is not None and value.size == int(np.prod(variance.shape)) and value.dtype.kind == "f":
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
