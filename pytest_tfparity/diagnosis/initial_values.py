"""What a graph starts its variables with: the values themselves where they are constant, else their bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..graph import ops
from ..graph.graph import Array, Graph, Node, Tensor
from .arrays import values
from .evidence import ReferenceEvidence
from .query import reference_query
from .tensor_names import averaged_by

_PASSED = frozenset({"Identity", "Reshape", "Cast", "Snapshot"})
_DEEPEST = 12
"""Bound of a recursion: the initialisers of TensorFlow are four ops deep (random, times, plus, an identity)."""
_FEWEST = 16
"""Values below which bounds are filled by chance, see ``_FILLED``."""
_FILLED = 0.6
"""Share of the bounds that initial values must span. Of 20,000 draws of 16 uniform values 0.4% span less, of 32
none; of as many draws of truncated normal ones 11% and 0.5%, of 64 none. Trained weights seldom stay within."""
_SLACK = 1e-6
"""Rounding of a bound in float32, in shares of the distance between both: eight units in the last place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The initial value of a variable: one number throughout if ``low == high``, else random between them."""

    low: float
    high: float

    def may_be(self, array: Array) -> bool:
        """Whether ``array`` may have been drawn from this: within the bounds, and filling them."""
        if not self.low < self.high or array.size < _FEWEST or not math.isfinite(self.high - self.low):
            return False
        low, high = float(array.min()), float(array.max())
        slack = _SLACK * (self.high - self.low)
        filled = high - low > _FILLED * (self.high - self.low)
        return self.low - slack <= low and high <= self.high + slack and filled


@reference_query
def starts(evidence: ReferenceEvidence) -> Mapping[str, Start]:
    """The reference's variable nodes to their initial values, as far as its graph says it plainly."""
    graph, names = evidence.reference.graph, evidence.keys
    found: dict[str, Start] = {}
    for node in graph.nodes.values():
        if node.op not in ops.ASSIGNS or len(node.inputs) < 2 or node.inputs[0].node in found:
            continue
        variable = graph.nodes.get(node.inputs[0].node)
        if variable is None or variable.op not in ops.VARIABLES or variable.name not in names:
            continue
        bounds = _bounds(graph, node.inputs[1].node, _DEEPEST)
        if bounds is not None:
            found[variable.name] = Start(low=bounds[0], high=bounds[1])
    return found


@reference_query
def uniform_starts(evidence: ReferenceEvidence) -> Mapping[str, Tensor]:
    """Initial values of one number throughout, by the checkpoint's variable."""
    found = {}
    for name, start in evidence[starts].items():
        key, value = evidence.keys.get(name), evidence.reference.variables.get(name)
        if key is None or value is None or start.low != start.high or not np.isfinite(start.low):
            continue
        if value.dtype.number in (1, 2, 19):
            filled = partial(np.full, value.shape, start.low, value.array.dtype)
            found[averaged_by(key, evidence.checkpoint) or key] = Tensor(value.dtype, value.shape, filled)
    return found


def _bounds(graph: Graph, name: str, depth: int) -> tuple[float, float] | None:
    """The smallest and largest value that an initialiser can give."""
    node = graph.nodes.get(name)
    if node is None or depth == 0:
        return None
    if node.op == "Const":
        return _constant(node)
    if node.op in ops.DRAWN_BETWEEN:
        return ops.DRAWN_BETWEEN[node.op]
    if node.op == "Fill" and len(node.inputs) == 2:
        return _bounds(graph, node.inputs[1].node, depth - 1)
    if node.op in _PASSED and node.inputs:
        return _bounds(graph, node.inputs[0].node, depth - 1)
    if node.op in ops.SUMS | {"Mul"} and len(node.inputs) == 2:
        one, other = (_bounds(graph, source.node, depth - 1) for source in node.inputs)
        return None if one is None or other is None else _computed(node.op, one, other)
    return None


def _computed(op: str, one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    if op == "Sub":
        return one[0] - other[1], one[1] - other[0]
    if op != "Mul":
        return one[0] + other[0], one[1] + other[1]
    ends = [a * b for a in one for b in other if not (0.0 in (a, b) and math.inf in (abs(a), abs(b)))]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _constant(node: Node) -> tuple[float, float] | None:
    held = node.attrs.get("value")
    if not isinstance(held, Tensor):
        return None
    array = values(held)
    if array.size == 0 or array.dtype.kind not in "fiu":
        return None
    low, high = float(array.min()), float(array.max())
    return (low, high) if low == high else None
