"""Answers that random numbers decide: what agrees in one run may do so by chance."""

from __future__ import annotations

from ..errors import ModelError
from ..formats.format import ROLES
from ..formats.model import HasGraph
from ..graph.graph import Graph
from ..graph.phase import random_ops
from .pair import Pair

_MORE = 7
"""Runs beside the first. A shuffle of three rows leaves them as they are once in 6 times, 8 times running once in
1.7 million."""
_SEEDS = ("seed", "seed2")


def more_runs(pair: Pair) -> int:
    """How often both sides are to be run again before they agree: 0 unless one of them draws other numbers in each run.

    A graph that cannot be read says nothing of it.
    """
    for role, model in zip(ROLES, (pair.reference, pair.export), strict=True):
        if not isinstance(model, HasGraph):
            continue
        try:
            drawn = random_ops(pair.normal(role).form)
            if any(_differs(model.graph, name, op) for name, op in drawn.items()):
                return _MORE
        except ModelError:
            continue
    return 0


def _differs(graph: Graph, name: str, op: str) -> bool:
    """Whether a random op gives other numbers to each session: it has no seed, or it is not known whether it has."""
    if op.startswith("Stateless"):
        return False
    node = graph.nodes.get(name)
    return node is None or node.op != op or not any(node.attrs.get(seed) for seed in _SEEDS)
