"""Where in a network something stands: the layer of a variable, and divergences near a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..graph.align.divergence import Divergence
from .evidence import Evidence


def layer_of(name: str) -> str:
    """``block/conv`` for ``block/conv/kernel``; a name without a scope is its own layer."""
    return name.rpartition("/")[0] or name


def layers_of(names: Iterable[str]) -> tuple[str, ...]:
    """The layer of each name, each once."""
    return tuple(dict.fromkeys(map(layer_of, names)))


def nearest_divergences(evidence: Evidence, node: str) -> list[Divergence]:
    """The divergences at ``node`` of the export, or at the nearest nodes before it that have any."""
    places: dict[str, list[Divergence]] = {}
    for divergence in evidence.divergences:
        for place in {*divergence.export, *divergence.readers}:
            places.setdefault(place, []).append(divergence)
    for level in _levels(evidence, node):
        found = [divergence for name in level for divergence in places.get(name, ())]
        if found:
            return [each for index, each in enumerate(found) if each not in found[:index]]
    return []


def _levels(evidence: Evidence, node: str) -> Iterator[list[str]]:
    """A node, what it reads, what that reads, and so on."""
    live = evidence.live_export
    level, seen = [node], {node}
    while level:
        yield level
        sources = [source.node for name in level if name in live for source in live[name].inputs]
        level = [name for name in dict.fromkeys(sources) if name not in seen]
        seen.update(level)
