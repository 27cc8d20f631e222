"""What a graph starts its variables with: the values themselves where they are constant, else their bounds."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..graph import ops
from ..graph.graph import Array, Graph, Node, Tensor
from ..graph.read.tensors import values
from .evidence import ReferenceEvidence
from .places.batch_norms import reference_linears, reference_norms
from .query import reference_query
from .relations.relation import Doubles
from .tensor_names import averaged_by

Spread: TypeAlias = Literal["uniform", "truncated normal"]

_PASSED = frozenset({"Identity", "Reshape", "Cast", "Snapshot"})
_NEUTRAL = (1.0, 0.0, 0.0, 1.0)
"""What gamma, beta, mean and variance of a batch norm begin with: they change nothing."""
_DEEPEST = 12
"""Bound of a recursion: the initialisers of TensorFlow are four ops deep (random, times, plus, an identity)."""
_FEWEST = 16
"""Values below which bounds are filled by chance, see ``_FILLED``."""
_FILLED = 0.6
"""Share of the bounds that initial values must span. Of 20,000 draws of 16 uniform values 0.4% span less, of 32
none; of as many draws of truncated normal ones 11% and 0.5%, of 64 none. Trained weights seldom stay within."""
_ENOUGH_TO_TELL: Mapping[Spread, int] = {"uniform": 128, "truncated normal": 512}
"""From so many values on the spread tells: of 2,000 arrays of normal values that were scaled to fill the bounds 0.3% of
128 look uniform (23% of 64) and 0.2% of 512 truncated normal (9% of 256)."""
_ONE_IN_A_HUNDRED = 1.63
"""Over the root of their number, how far the shares of drawn values may lie from those that are expected: one draw in
a hundred is farther off (Smirnov's table; of 2,000 draws 0.7% to 1.2%)."""
_SLACK = 1e-6
"""Rounding of a bound in float32, in shares of the distance between both: eight units in the last place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The initial value of a variable: one number throughout if ``low == high``, else random between them.

    ``spread`` is how the random numbers are spread between the bounds, None where that is not known.
    """

    low: float
    high: float
    spread: Spread | None = None

    def may_be(self, array: Array) -> bool:
        """Whether ``array`` may have been drawn from this: within the bounds, and filling them."""
        if not self.low < self.high or array.size < _FEWEST or not math.isfinite(self.high - self.low):
            return False
        low, high = float(array.min()), float(array.max())
        slack = _SLACK * (self.high - self.low)
        filled = high - low > _FILLED * (self.high - self.low)
        return self.low - slack <= low and high <= self.high + slack and filled

    def excludes(self, array: Array) -> bool:
        """Whether random numbers are drawn here, and some value of ``array`` is none of them.

        One number throughout excludes nothing: a graph for inference alone may fill its variables with zeros.
        """
        if self.low == self.high:
            return False
        slack = _SLACK * (self.high - self.low)
        return bool(array.size and (array.min() < self.low - slack or array.max() > self.high + slack))

    def is_spread_so(self, array: Array) -> bool:
        """Whether the values are spread between the bounds as those that are drawn: the Kolmogorov-Smirnov test."""
        if self.spread is None or array.size < _ENOUGH_TO_TELL[self.spread] or not self.may_be(array):
            return False
        places = (np.sort(array.astype(np.float64).reshape(-1)) - self.low) / (self.high - self.low)
        drawn = places if self.spread == "uniform" else _truncated_normal(places)
        ranks = np.arange(array.size + 1) / array.size
        farthest = max(float(np.abs(drawn - ranks[1:]).max()), float(np.abs(drawn - ranks[:-1]).max()))
        return farthest <= _ONE_IN_A_HUNDRED / math.sqrt(array.size)


def _truncated_normal(places: Doubles) -> Doubles:
    """The share of truncated normal numbers that lie below ``places`` of their bounds, two deviations on both sides."""
    normal = np.array([0.5 * (1 + math.erf((4 * place - 2) / math.sqrt(2))) for place in (0.0, 1.0, *places)])
    shares: Doubles = (normal[2:] - normal[0]) / (normal[1] - normal[0])
    return shares


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
            spread = _spread(graph, node.inputs[1].node, _DEEPEST)
            found[variable.name] = Start(low=bounds[0], high=bounds[1], spread=spread)
    return found


@reference_query
def single_starts(evidence: ReferenceEvidence) -> Mapping[str, Collection[float]]:
    """The numbers that the whole of a variable of the checkpoint may begin with, none for one that is drawn.

    What the graph says plainly, and what the weights of batch norms and biases begin with wherever they are built. Of
    other variables nothing is known.
    """
    found: dict[str, set[float]] = {}
    for norm in evidence[reference_norms]:
        for name, number in zip((norm.gamma, norm.beta, norm.mean, norm.variance), _NEUTRAL, strict=True):
            found.setdefault(name or "", set()).add(number)
    for linear in evidence[reference_linears]:
        for each in linear.added:
            found.setdefault(each.bias, set()).add(0.0)
    for name, start in evidence[starts].items():
        found.setdefault(name, set()).update({start.low} if start.low == start.high else ())
    keys = {name: evidence.keys.get(name, name) for name in found}
    return {averaged_by(key, evidence.checkpoint) or key: found[name] for name, key in keys.items()}


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


def _spread(graph: Graph, name: str, depth: int) -> Spread | None:
    """How the random numbers are spread that an initialiser scales and shifts; None if there are none, or several."""
    node = graph.nodes.get(name)
    if node is None or depth == 0:
        return None
    if node.op in ops.DRAWN_BETWEEN:
        uniform = "Uniform" in node.op
        return "uniform" if uniform else "truncated normal" if "Truncated" in node.op else None
    if node.op not in _PASSED | ops.SUMS | {"Mul"}:
        return None
    found = [each for source in node.inputs if (each := _spread(graph, source.node, depth - 1)) is not None]
    return found[0] if len(found) == 1 else None


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
