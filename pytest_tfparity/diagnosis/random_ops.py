"""Random numbers in an export: which reach the outputs, and where they meet the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..graph import ops
from ..graph.graph import Node, TensorName
from ..graph.live_graph import LiveGraph
from ..graph.phase import random_ops
from .alignment import reference_of
from .evidence import Evidence, ReferenceEvidence
from .input_path import export_after_weights
from .needed import export_flow, normal_export, normal_reference
from .query import query, reference_query

_SHAPES = ops.OF_SHAPE | {"TensorArraySizeV3"}
_THRESHOLDS = ops.INEQUALITIES | {"Floor", "Ceil"}
_FEW = 4
"""Up to so many random numbers are a property of a whole picture, not noise in it: a brightness is one, the place
of a crop two or three, a factor for each channel up to four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomPlace:
    """A place of the export where random numbers meet the data.

    ``join`` is the node that combines them, ``drawn`` the random ops behind it, ``cause`` what they do
    there, ``path`` everything that only makes the random numbers ready, its constants included.
    """

    join: str
    drawn: tuple[str, ...]
    cause: str
    path: frozenset[str]


@reference_query
def reference_random_ops(evidence: ReferenceEvidence) -> Mapping[str, str]:
    """The random ops that the reference's outputs depend on, name to op."""
    return random_ops(evidence[normal_reference].form)


@query
def export_random_ops(evidence: Evidence) -> Mapping[str, str]:
    """The random ops that the export's outputs depend on, name to op."""
    return random_ops(evidence[normal_export].form)


@query
def random_places(evidence: Evidence) -> tuple[RandomPlace, ...]:
    """Where random numbers meet the data in the export and not in the reference, inputs first."""
    drawn = {
        name: op
        for name, op in evidence[export_random_ops].items()
        if evidence[reference_of].get(name) not in evidence[reference_random_ops]
    }
    if not drawn:
        return ()
    return tuple(_joins(evidence, evidence[export_flow], drawn))


def _joins(evidence: Evidence, flow: LiveGraph, drawn: Mapping[str, str]) -> Iterable[RandomPlace]:
    data = _data(flow, evidence.export.inputs)
    noisy = _noisy(flow, drawn)
    after_weights = evidence[export_after_weights]
    for name, node in flow.nodes.items():
        pure = {source.node for source in node.inputs if source.node in noisy - data}
        if name in data and (pure or name in drawn):
            behind = _before(flow, pure, data)
            names = tuple(each for each in drawn if each in behind or each == name)
            cause = _cause(
                flow, node, behind, [drawn[each] for each in names], names, name not in after_weights
            )
            yield RandomPlace(join=name, drawn=names, cause=cause, path=frozenset({name, *behind}))


def _cause(
    flow: LiveGraph, join: Node, behind: set[str], drawn: list[str], names: tuple[str, ...], first: bool
) -> str:
    """What random numbers do: drop, shift or augment. ``first``: before all weights."""
    inside = join.name in names and not first  # in a loop's or a conditional's function
    if _masks(flow, join, behind, drawn) or (inside and any("RandomUniform" in op for op in drawn)):
        return "dropout-active"
    jitter = first and any(_few(flow, name) for name in names)
    if jitter or (first and join.op not in ops.SUMS | ops.PRODUCTS):
        return "random-augmentation"
    return "random-noise"


def _masks(flow: LiveGraph, join: Node, behind: set[str], drawn: list[str]) -> bool:
    """Whether ``join`` drops what uniform random numbers, compared with a rate, say."""
    found = {flow.nodes[name].op for name in behind if name in flow.nodes} | {join.op}
    if not found & _THRESHOLDS or any("Normal" in op for op in drawn):
        return False
    return join.op in ops.PRODUCTS or (join.op in ops.SELECTS and _else_constant(flow, join))


def _else_constant(flow: LiveGraph, select: Node) -> bool:
    """Whether one of both branches of a Select is the same for all data: what is dropped is 0 there."""
    return any(flow.constant(source) is not None for source in select.inputs[1:]) or any(
        (node := flow.node(flow.source(source))) is not None and node.op in ("ZerosLike", "Fill")
        for source in select.inputs[1:]
    )


def _few(flow: LiveGraph, name: str) -> bool:
    """Whether a random op draws only a few numbers, whatever the size of the data."""
    node = flow.nodes.get(name)
    shape = flow.constant(node.inputs[0]) if node is not None and node.inputs else None
    return shape is not None and int(np.prod(shape.astype(np.int64))) <= _FEW


def _data(flow: LiveGraph, inputs: Iterable[TensorName]) -> set[str]:
    """The nodes that depend on values of the inputs, not only on their shapes."""
    found: set[str] = set()
    fed = {name.node for name in inputs}
    stack = list(fed)
    while stack:
        name = stack.pop()
        for reader in flow.readers.get(name, ()):
            node = flow.nodes[reader]
            shaped = node.op.startswith(("RandomUniform", "RandomStandard", "Truncated", "StatelessRandom"))
            if reader not in found and node.op not in _SHAPES and not shaped:
                found.add(reader)
                stack.append(reader)
    return found | fed


def _noisy(flow: LiveGraph, drawn: Iterable[str]) -> set[str]:
    """The nodes that depend on random numbers, not only on how many there are."""
    found = {name for name in drawn if name in flow.nodes}
    stack = list(found)
    while stack:
        for reader in flow.readers.get(stack.pop(), ()):
            if reader not in found and flow.nodes[reader].op not in _SHAPES:
                found.add(reader)
                stack.append(reader)
    return found


def _before(flow: LiveGraph, first: Iterable[str], data: set[str]) -> set[str]:
    """``first`` and the nodes before them, those of the data left out."""
    found = set(first)
    stack = list(found)
    while stack:
        node = flow.nodes.get(stack.pop())
        for source in node.inputs if node is not None else ():
            if source.node not in found and source.node not in data:
                found.add(source.node)
                stack.append(source.node)
    return found
