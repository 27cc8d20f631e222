"""A graph with its exact answer in it: beside every float tensor the same one, computed in float64.

Nothing of the graph is changed; nodes are added. Each reads what stands for its inputs in float64, and integers,
strings and predicates where they were: what a network decides (a shape, an index, a branch, how often a loop turns) it
decides as in float32, so that rounding is all that can differ. Where TensorFlow has no float64 kernel the op is
written out (:mod:`.spelt`), or runs as it is on rounded inputs, which makes the answer an approximation: an
:class:`.scope.Island`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

from ..graph import Graph, Node, TensorName
from .library import Library, WidenedFunction
from .order import inputs_first
from .scope import Island, Kernels, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """``graph`` with the nodes ``added`` and ``functions`` beside its own.

    ``exact`` maps each float output to the tensor that holds it in float64 (complex128).
    """

    graph: Graph
    added: Mapping[str, Node]
    functions: tuple[WidenedFunction, ...]
    exact: Mapping[TensorName, TensorName]
    islands: tuple[Island, ...]


def widened(
    graph: Graph,
    outputs: Sequence[TensorName],
    feeds: Set[TensorName],
    kernels: Kernels,
    refused: Collection[str] = (),
) -> Widened:
    """``graph`` with the exact answer for ``outputs`` in it, where the tensors ``feeds`` are given.

    ``refused`` are nodes that could not be run in float64. Raises :class:`.scope.Unwidened`.
    """
    islands: list[Island] = []
    library = Library(functions=graph.functions, kernels=kernels, refused=frozenset(refused), islands=islands)
    scope = Scope(
        nodes=inputs_first(graph.live([str(output) for output in outputs], [str(feed) for feed in feeds])),
        whole=graph.nodes,
        kernels=kernels,
        islands=islands,
        fed=feeds,
        refused=library.refused,
    )
    library.widen(scope)
    twins = {output: scope.exact(output) for output in outputs}
    made = tuple(library.made.values())
    return Widened(
        graph=Graph(
            nodes={**graph.nodes, **scope.emitter.nodes},
            functions={**graph.functions, **{each.body.name: each.body for each in made}},
            producer=graph.producer,
            colocated=graph.colocated,
        ),
        added=scope.emitter.nodes,
        functions=made,
        exact={output: twin[0] for output, twin in twins.items() if twin is not None},
        islands=tuple(dict.fromkeys(islands)),
    )
