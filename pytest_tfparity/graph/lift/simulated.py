"""A lifted graph with its activations on the grids of the file, so that TensorFlow computes what integers do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..edit.repair import constant_node, tensor_of_array
from ..graph import Node, TensorName
from ..ops import PLACEHOLDERS
from ..proof.proof import Side
from .lifted import Grid, Stored

_MOST_BITS = 16


def simulated(side: Side, activations: Mapping[TensorName, Stored]) -> Side:
    """``side`` with what it computes rounded to, and cut at, the grids of ``activations``.

    ``FakeQuantWithMinMaxVars`` does so for types of up to 16 bits and one scale. Inputs are rounded where they enter.
    Whatever stands in the place of a tensor counts as that tensor. A graph without such grids is returned as it is.
    """
    nodes = dict(side.graph.nodes)
    rounded: dict[TensorName, TensorName] = {}
    for tensor, held in activations.items():
        grid = held.grid
        if grid is None or grid.per_channel or tensor.node not in nodes or not _small(grid):
            continue
        rounded[tensor] = _rounded(nodes, tensor, grid)
    if not rounded:
        return side
    for name, node in side.graph.nodes.items():
        if any(source in rounded for source in node.inputs):
            nodes[name] = node._replace(inputs=tuple(rounded.get(each, each) for each in node.inputs))
    outputs = tuple(
        tensor if side.graph.nodes[tensor.node].op in PLACEHOLDERS else rounded.get(tensor, tensor)
        for tensor in side.outputs
    )
    return replace(side, graph=replace(side.graph, nodes=nodes), outputs=outputs)


def _rounded(nodes: dict[str, Node], tensor: TensorName, grid: Grid) -> TensorName:
    name = f"{tensor.node}_on_grid_{tensor.port}"
    limits = []
    for which, value in zip(("lowest", "highest"), grid.range, strict=True):
        limit = f"{name}/{which}"
        nodes[limit] = constant_node(limit, tensor_of_array(np.asarray(value, np.float32)))
        limits.append(TensorName(limit, 0))
    bits = (grid.highest - grid.lowest + 1).bit_length() - 1
    nodes[name] = Node(
        name=name,
        op="FakeQuantWithMinMaxVars",
        inputs=(tensor, *limits),
        attrs={"num_bits": bits, "narrow_range": False},
    )
    return TensorName(name, 0)


def _small(grid: Grid) -> bool:
    return 0 < grid.highest - grid.lowest < 1 << _MOST_BITS and float(grid.scale.flat[0]) > 0
