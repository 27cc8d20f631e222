"""Batch norm spelt as arithmetic, recognised by what it computes.

Let ``r = 1 / sqrt(variance + epsilon)``. Every spelling multiplies out to
``gamma * r * x - gamma * r * mean + beta``. So each node that ``r`` reaches through products, sums and
differences is written as a polynomial over the tensors around it; where that polynomial has this
form, the node is a batch norm.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .. import ops
from ..graph import Array, Node, TensorName
from ..live_graph import LiveGraph
from .statistics import statistic

Monomial: TypeAlias = tuple[TensorName, ...]
Polynomial: TypeAlias = Mapping[Monomial, float]

_ROOT = TensorName("1/sqrt(variance + epsilon)", 0)
_MOST_TERMS = 6
"""Twice the terms of a batch norm; the longest that is met on the way to one has 5."""
_MOST_NODES = 64
"""Nodes that a root is followed through. All spellings that are tested end within 7, two towers included."""


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


@dataclass(frozen=True, slots=True)
class _Root:
    """``1 / sqrt(variance + epsilon)``, or the square root itself where ``inverse`` is False."""

    node: Node
    variance: TensorName
    epsilon: float
    inverse: bool


@dataclass(frozen=True, slots=True)
class _Match:
    """A polynomial that is a batch norm's: its parts, and whether it is spelt ``(x - mean) * s``."""

    input: TensorName
    mean: TensorName
    gamma: TensorName | None
    beta: TensorName | None
    centred: bool


def arithmetic(live: LiveGraph, variables: frozenset[str] = frozenset()) -> Iterable[Normalisation]:
    """Every batch norm of ``live`` that is spelt as arithmetic."""
    for root in _roots(live):
        if statistic(live, root.variance, variables).kind == "other":
            continue
        matches = _matches(live, root, variables)
        for name in _chosen(live, matches):
            match = matches[name]
            yield Normalisation(
                node=live.nodes[name],
                input=match.input,
                gamma=match.gamma,
                beta=match.beta,
                mean=match.mean,
                variance=root.variance,
                epsilon=root.epsilon,
            )


ROOTS = frozenset({"Rsqrt", "Sqrt", "Pow"})
"""Ops that a batch norm's arithmetic divides by the deviation with."""


def _roots(live: LiveGraph) -> Iterable[_Root]:
    for node in live.nodes.values():
        inverse = node.op == "Rsqrt"
        if node.op == "Pow" and len(node.inputs) == 2:
            exponent = live.constant(node.inputs[1])
            if exponent is None or exponent.size != 1 or float(exponent.reshape(-1)[0]) not in (0.5, -0.5):
                continue
            inverse = float(exponent.reshape(-1)[0]) < 0
        elif node.op not in ROOTS:
            continue
        variance, epsilon = _without_epsilon(live, node.inputs[0])
        yield _Root(node, variance, epsilon, inverse)


def _without_epsilon(live: LiveGraph, tensor: TensorName) -> tuple[TensorName, float]:
    node = live.node(live.source(tensor))
    if node is not None and node.op in ops.ADDITIONS and len(node.inputs) == 2:
        for this, other in (node.inputs, node.inputs[::-1]):
            value = live.constant(other)
            if value is not None and value.size == 1 and value.dtype.kind == "f":
                return this, float(value.reshape(-1)[0])
    return tensor, 0.0


def _matches(live: LiveGraph, root: _Root, variables: frozenset[str]) -> dict[str, _Match]:
    """The nodes that ``root`` reaches, as polynomials, and which of them are a batch norm's."""
    reached: dict[str, Polynomial] = {root.node.name: {(_ROOT,): 1.0}} if root.inverse else {}
    divisors = set() if root.inverse else {root.node.name}
    matches: dict[str, _Match] = {}
    waiting: list[tuple[int, str]] = []
    queued: set[str] = set()

    def onward(name: str) -> None:
        for reader in live.readers.get(name, ()):
            if reader not in queued:
                queued.add(reader)
                heapq.heappush(waiting, (live.order[reader], reader))

    onward(root.node.name)
    while waiting and len(queued) < _MOST_NODES:
        node = live.nodes[heapq.heappop(waiting)[1]]
        if node.name in divisors or node.name in reached:
            continue
        if divisors and node.op in ops.RECIPROCALS and live.source(node.inputs[0]).node in divisors:
            reached[node.name] = {(_ROOT,): 1.0}
        elif _passed_on(live, node) and live.source(node.inputs[0]).node in divisors:
            divisors.add(node.name)
        else:
            polynomial = _polynomial(live, node, reached, divisors)
            if polynomial is None or len(polynomial) > _MOST_TERMS:
                continue
            reached[node.name] = polynomial
            match = _match(live, polynomial, variables)
            if match is not None:
                matches[node.name] = match
        onward(node.name)
    return matches


def _passed_on(live: LiveGraph, node: Node) -> bool:
    return bool(node.inputs) and (
        node.op in ops.LAYOUTS or live.source(TensorName(node.name, 0)).node != node.name
    )


def _polynomial(
    live: LiveGraph, node: Node, reached: Mapping[str, Polynomial], divisors: set[str]
) -> Polynomial | None:
    def operand(tensor: TensorName) -> Polynomial:
        source = live.source(tensor)
        if source.node in reached:
            return reached[source.node]
        outside = live.node(source)
        if outside is not None and outside.op == "Neg":
            return {(live.source(outside.inputs[0]),): -1.0}
        return {(source,): 1.0}

    if not node.inputs:
        return None
    if _passed_on(live, node):
        return operand(node.inputs[0])
    if node.op == "Neg":
        return {key: -factor for key, factor in operand(node.inputs[0]).items()}
    if len(node.inputs) != 2:
        return None
    left, right = node.inputs
    if node.op == "Mul":
        return _product(operand(left), operand(right))
    if node.op in ops.DIVISIONS and live.source(right).node in divisors:
        return _product(operand(left), {(_ROOT,): 1.0})
    if node.op in ops.ADDITIONS:
        return _sum(operand(left), operand(right), 1.0)
    return _sum(operand(left), operand(right), -1.0) if node.op == "Sub" else None


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    product: dict[Monomial, float] = {}
    for one, first in left.items():
        for two, second in right.items():
            key = tuple(sorted(one + two))
            product[key] = product.get(key, 0.0) + first * second
    return product


def _sum(left: Polynomial, right: Polynomial, sign: float) -> Polynomial:
    total = dict(left)
    for key, factor in right.items():
        total[key] = total.get(key, 0.0) + sign * factor
    return {key: factor for key, factor in total.items() if factor}


def _match(live: LiveGraph, polynomial: Polynomial, variables: frozenset[str]) -> _Match | None:
    scaled = [(key, factor) for key, factor in polynomial.items() if _ROOT in key]
    offsets = [(key, factor) for key, factor in polynomial.items() if _ROOT not in key]
    if any(key.count(_ROOT) != 1 for key, _ in scaled) or not _is_offset(live, offsets, variables):
        return None
    found = _centred(live, scaled, variables)
    if found is None:
        return None
    value, mean, common = found
    wide = _wide(live, common)
    if len(wide) > 1 or not all(_per_channel(live, each, variables) for each in wide):
        return None
    beta = offsets[0][0][0] if offsets else None
    return _Match(value, mean, wide[0] if wide else None, beta, len(scaled) == 1)


def _wide(live: LiveGraph, factors: Monomial) -> list[TensorName]:
    """The factors beside the root that are no plain numbers."""
    return [each for each in factors if each != _ROOT and not _scalar(live.constant(each))]


def _centred(
    live: LiveGraph, scaled: list[tuple[Monomial, float]], variables: frozenset[str]
) -> tuple[TensorName, TensorName, Monomial] | None:
    """What is normalised, the mean that is taken off it, and the factors that both have."""
    if len(scaled) == 2:
        return _two_terms(live, scaled, variables)
    if len(scaled) == 1 and scaled[0][1] == 1.0:
        return _one_term(live, scaled[0][0], variables)
    return None


def _is_offset(live: LiveGraph, terms: list[tuple[Monomial, float]], variables: frozenset[str]) -> bool:
    """Whether the terms without the root are nothing or one beta."""
    if not terms:
        return True
    (key, factor), *more = terms
    return not more and len(key) == 1 and factor == 1.0 and _per_channel(live, key[0], variables)


def _two_terms(
    live: LiveGraph, scaled: list[tuple[Monomial, float]], variables: frozenset[str]
) -> tuple[TensorName, TensorName, Monomial] | None:
    """``x * s - mean * s``: exactly one factor differs, and only the mean is a statistic."""
    (first, plus), (second, minus) = sorted(scaled, key=lambda term: -term[1])
    if (plus, minus) != (1.0, -1.0):
        return None
    value, mean = list(first), list(second)
    common = []
    for factor in first:
        if factor in mean:
            value.remove(factor)
            mean.remove(factor)
            common.append(factor)
    if len(value) != 1 or len(mean) != 1:
        return None
    if not _normalised(live, value[0], mean[0], variables):
        return None
    return value[0], mean[0], tuple(common)


def _one_term(
    live: LiveGraph, key: Monomial, variables: frozenset[str]
) -> tuple[TensorName, TensorName, Monomial] | None:
    """``(x - mean) * s``: one factor is a difference."""
    for index, factor in enumerate(key):
        node = live.node(factor)
        if node is None or node.op != "Sub":
            continue
        value, mean = (live.source(source) for source in node.inputs)
        if _normalised(live, value, mean, variables):
            return value, mean, key[:index] + key[index + 1 :]
    return None


def _normalised(live: LiveGraph, value: TensorName, mean: TensorName, variables: frozenset[str]) -> bool:
    return (
        statistic(live, mean, variables).kind != "other" and statistic(live, value, variables).kind == "other"
    )


def _per_channel(live: LiveGraph, tensor: TensorName, variables: frozenset[str]) -> bool:
    """Whether ``tensor`` may scale or shift channels: made of weights and batch statistics alone."""
    return statistic(live, tensor, variables).kind != "other"


def _scalar(value: Array | None) -> bool:
    return value is not None and value.size == 1


def _chosen(live: LiveGraph, matches: Mapping[str, _Match]) -> list[str]:
    """Of the matching nodes the ones that end a layer.

    From the first node of a match the layer goes on only to take up a gamma or a beta that it lacks:
    what comes after is another layer's. A match of the form ``(x - mean) * s`` that another form
    contains is that one's beginning (its input merely happens to be a difference).
    """
    parents = {name: _parents(live, name, matches) for name in matches}
    contained = {
        parent
        for name, match in matches.items()
        for parent in parents[name]
        if not match.centred and matches[parent].centred
    }
    kept = {name: match for name, match in matches.items() if name not in contained}
    first = [name for name in kept if not any(parent in kept for parent in parents[name])]
    return list(dict.fromkeys(_end(name, kept, parents) for name in first))


def _end(name: str, kept: Mapping[str, _Match], parents: Mapping[str, set[str]]) -> str:
    """The node that ends the layer which begins with the match ``name``."""
    mean = kept[name].mean
    for later, other in kept.items():
        if name in parents[later] and other.mean == mean and _takes_up(kept[name], other):
            name = later
    return name


def _takes_up(match: _Match, later: _Match) -> bool:
    if later.beta != match.beta:
        return match.beta is None and later.gamma == match.gamma
    if later.gamma != match.gamma:
        return match.gamma is None and match.beta is None
    return False


def _parents(live: LiveGraph, name: str, matches: Mapping[str, _Match]) -> set[str]:
    parents: set[str] = set()
    waiting = [name]
    while waiting:
        for tensor in live.nodes[waiting.pop()].inputs:
            source = live.source(tensor).node
            if source in matches and source not in parents:
                parents.add(source)
                waiting.append(source)
    return parents
