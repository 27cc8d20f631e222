"""A batch norm as it stands in the graph, whether that is one fused op or arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, TensorName


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """The parts of a batch norm as they stand in the graph, before they are traced to their weights."""

    node: Node
    input: TensorName
    gamma: TensorName | None
    beta: TensorName | None
    mean: TensorName
    variance: TensorName
    epsilon: float
    axis: int | None = None
    training: bool | None = None
