"""Which layer a weight belongs to, by the name scopes of all weights and of the batch norms that read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..graph.batch_norm.find import BatchNorm
from ..graph.layer import entered_once, scope_of
from .alignment import reference_of
from .evidence import Evidence
from .needed import live_reference, reference_flow
from .places.batch_norms import norm_pairs, reference_norms
from .query import query

_PART = re.compile(r"/part_\d+$")


class Traced(NamedTuple):
    """How layers are called in a scope that a function traced them in: ``conv_1`` for ``parent/conv``."""

    suffix: str
    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The layers of a network. ``ranks`` are its weights with their ranks, ``norms`` the scope of the batch
    norm that reads a weight.

    The layer of ``block1/conv/kernel`` is ``block1/conv``. Where the scope around a weight holds unpartitioned
    layers beside it, the weight is a layer of its own. ``traced`` are the scopes that layers were traced in again.
    """

    ranks: Mapping[str, int]
    norms: Mapping[str, str] = field(default_factory=dict)
    traced: Mapping[str, Traced] = field(default_factory=dict)
    _containers: set[str] = field(default_factory=set)
    _direct: dict[str, set[str]] = field(default_factory=dict)
    _around: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, rank in self.ranks.items():
            scope = scope_of(unpartitioned(name))
            self._direct.setdefault(scope, set()).add(unpartitioned(name))
            parts = scope.split("/")
            self._around.update("/".join(parts[: index + 1]) for index in range(len(parts)))
            while rank > 1 and "/" in scope:
                scope = scope_of(scope)
                self._containers.add(scope)

    def scope(self, name: str) -> str:
        """The layer of weight ``name``."""
        if name in self.norms:
            return self.norms[name]
        name = unpartitioned(name)
        scope = scope_of(name)
        return name if not scope or scope in self._containers else scope

    def entered(self, scope: str) -> str:
        """``net/conv`` for ``net/conv_1``, where only the former has weights.

        Ops get a new scope each time a layer is applied or its scope is entered again; its weights do not.
        """
        found = ""
        for part in self._as_built(scope).split("/"):
            here, first = (f"{found}/{each}" if found else each for each in (part, entered_once(part)))
            found = first if here not in self._around and first in self._around else here
        return found

    def _as_built(self, scope: str) -> str:
        """``up`` for ``net_1/up_1``, which has no weights, where ``net_1/conv_1`` is the layer of ``conv/kernel``."""
        parts = scope.split("/")
        for index in range(len(parts) - 1, -1, -1):
            traced = self.traced.get("/".join(parts[:index]))
            if traced is not None and parts[index].endswith(traced.suffix):
                built = parts[index].removesuffix(traced.suffix)
                return "/".join(filter(None, (traced.parent, built, *parts[index + 1 :])))
        return scope

    def scopes(self, names: Iterable[str]) -> dict[str, str]:
        """The layer of each of ``names``. Of several kernels that stand side by side in one scope each is a
        layer, unless all weights of that scope are among ``names``."""
        given = list(names)
        among = {unpartitioned(name) for name in given}
        found = {}
        for name in given:
            scope = self.scope(name)
            beside = self._direct.get(scope, set())
            kernels = [other for other in beside if self.ranks.get(other, 0) > 1]
            if name not in self.norms and len(kernels) > 1 and not beside <= among:
                scope = unpartitioned(name)
            found[name] = scope
        return found


def unpartitioned(name: str) -> str:
    """``table`` for ``table/part_0``."""
    return _PART.sub("", name)


@query
def layers(evidence: Evidence) -> Layers:
    """The layers of the reference's live weights, those of the export in their places included."""
    live = evidence[live_reference]
    ranks = {name: len(value.shape) for name, value in evidence.reference.variables.items() if name in live}
    counterparts = {node: name for name, node in evidence[reference_of].items() if node in ranks}
    norms: dict[str, str] = {}
    exported = {pair.reference.node: pair.export for pair in evidence[norm_pairs]}
    for norm in evidence[reference_norms]:
        for name in filter(None, norm.weights):
            scope = _norm_scope(norm, exported.get(norm.node, norm), name)
            norms.setdefault(name, scope)
            if name in counterparts:
                norms.setdefault(counterparts[name], scope)
    ranks |= {counterparts[name]: rank for name, rank in ranks.items() if name in counterparts}
    return Layers(ranks=ranks, norms=norms, traced=_traced(evidence, ranks))


def _traced(evidence: Evidence, weights: Iterable[str]) -> dict[str, Traced]:
    """The scopes in which every layer with weights has the same number added to its name.

    Keras 3 builds its layers once and traces them again for an export: then all of them are ``name_1``.
    """
    votes: dict[str, set[Traced]] = {}
    for name in weights:
        scope = scope_of(unpartitioned(name))
        parent, _, last = scope.rpartition("/")
        for reader in evidence[reference_flow].readers.get(name, ()) if last else ():
            parts = reader.split("/")[:-1]
            for index, part in enumerate(parts):
                if part == last or entered_once(part) == last:
                    around = "/".join(parts[:index])
                    votes.setdefault(around, set()).add(Traced(part.removeprefix(last), parent))
    return {
        around: next(iter(found))
        for around, found in votes.items()
        if len(found) == 1 and next(iter(found)).suffix
    }


def _norm_scope(reference: BatchNorm, export: BatchNorm, name: str) -> str:
    """What a batch norm is called after its weight ``name``: the scope of its weights, else that of its ops."""
    own = scope_of(name)
    around = {scope_of(weight) for weight in (reference.gamma, reference.beta) if weight} - {""}
    if own and own in (export.scope, reference.scope):
        return own
    if len(around) == 1 and reference.scope.endswith(min(around)):
        return min(around)
    return export.scope or own or name
