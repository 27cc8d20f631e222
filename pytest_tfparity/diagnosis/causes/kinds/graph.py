"""Causes that are differences of the graphs themselves, and which of them each difference speaks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ....graph.edit.repair import Repair
from ....graph.layer import common_layer
from ....graph.ops import is_foreign
from ...alignment import reference_of
from ...cause import Cause, Suspicion, Way
from ...evidence import Evidence
from ...places.divergences import Difference, differences, unexplained
from ...places.repairs import as_reference_at
from ...query import Query, query
from .group import Group, Sentence, suspicion
from .sentences import MOST_NAMED, fact_told, nodes_to_name, op_of

_TOLD = 2
"""How many places a message tells, each in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCause:
    """A cause seen in the differences ``where`` holds for, unless one that comes before it speaks for them.

    ``says`` is what is wrong at one place, a sentence, ``fix`` what to change, ``nodes`` which nodes to name for one
    place. ``ways`` are further ways to find the cause, asked about what is left of the export then. ``certain`` is
    False where the story is one of several that leave the same difference. ``inferred`` is set where ``says`` tells
    what follows from the differences, so that these are told beside it.
    """

    id: str
    where: Callable[[Difference], bool]
    says: Callable[[Difference], str]
    fix: Sentence[Differences]
    nodes: Callable[[Difference], tuple[str, ...]] = nodes_to_name
    ways: tuple[Way, ...] = ()
    certain: bool = True
    inferred: bool = False


@dataclass(frozen=True, kw_only=True)
class Differences(Group):
    """Differences that speak for one cause."""

    cause: GraphCause
    found: Sequence[Difference]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes to name of each, each once."""
        return tuple(dict.fromkeys(node for each in self.found for node in self.cause.nodes(each)))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of all places, none inside another."""
        scopes = [scope for each in self.found for scope in common_layer(self._nearby(each))]
        outer = [each for each in scopes if not any(each.startswith(f"{other}/") for other in scopes)]
        return tuple(dict.fromkeys(outer))

    def _nearby(self, difference: Difference) -> tuple[str, ...]:
        """The nodes to take the scope from: the reference's where the export's names have none.

        Where the reference has no such node, the weights of what reads the export's.
        """
        nodes = self.cause.nodes(difference) or (difference.divergence.node,)
        partners = difference.divergence.reference[:MOST_NAMED] or self._weights_behind(difference)
        bare = not any("/" in name for name in nodes)
        return partners if bare and any("/" in name for name in partners) else nodes

    def _weights_behind(self, difference: Difference) -> tuple[str, ...]:
        """The weights of the reference that the readers of a difference multiply with."""
        nodes, reference = self.evidence.export.graph.nodes, self.evidence[reference_of]
        sources = [
            source.node
            for name in difference.divergence.readers
            if name in nodes
            for source in nodes[name].inputs
        ]
        found = (reference.get(name) for name in sources)
        return tuple(
            name for name in found if name is not None and self.evidence.reference.value(name) is not None
        )

    @property
    def repair(self) -> Repair:
        """The edits that put all places right."""
        return tuple(edit for each in self.found for edit in as_reference_at(self.evidence, each.divergence))

    @property
    def message(self) -> str:
        """The first few places, and how many more there are."""
        told = self._sentences
        more = f" And {len(told) - _TOLD} more." if len(told) > _TOLD else ""
        return " ".join(told[:_TOLD]) + more

    @property
    def _sentences(self) -> list[str]:
        return list(dict.fromkeys(map(self.cause.says, self.found)))

    @property
    def facts(self) -> tuple[str, ...]:
        """The differences themselves, as far as the message does not tell them."""
        told = () if self.cause.inferred else self._sentences[:_TOLD]
        left = [each for each in self.found if self.cause.says(each) not in told]
        return tuple(f"{fact_told(each)}." for each in left[:MOST_NAMED])

    @property
    def change(self) -> str:
        """What differs, without the places: ``op Relu6 Relu``."""
        return ", ".join(sorted(set(map(_change, self.found))))


def _change(difference: Difference) -> str:
    divergence = difference.divergence
    right = " ".join(op_of(difference.reference, name) for name in divergence.reference[:MOST_NAMED])
    held = " ".join(op_of(difference.export, name) for name in divergence.export[:MOST_NAMED])
    values = "" if divergence.values is None else f" {divergence.attribute} {divergence.values}"
    if difference.constants is not None:
        values = "".join(
            f" {each.dtype} {each.shape} {hash(each.tobytes())}" for each in difference.constants
        )
    return f"{divergence.kind.value} {right} {held}{values}"


def is_legible(difference: Difference) -> bool:
    """Whether the ops in the export's place are ops of TensorFlow: what others compute may well be the same."""
    return not any(is_foreign(node.op) for node in difference.export_nodes)


def classified(
    entries: Sequence[GraphCause], among: Callable[[Difference], bool] = lambda difference: True
) -> tuple[Cause, ...]:
    """The causes of ``entries``, which are in the order of their priority; the last takes whatever is left.

    Only differences ``among`` holds for are asked.

    A difference speaks for the first entry that its own predicate holds for. One inside a function's body is asked the
    same, with the body's graphs around it; where a body holds several that do not agree, it is the last entry's.
    What random numbers do is told elsewhere (``causes/random_numbers.py``).
    """

    @query
    def spoken_for(evidence: Evidence) -> Mapping[str, list[Difference]]:
        found: dict[str, list[Difference]] = {}
        for each in evidence[differences]:
            if each.chance is None and among(each):
                found.setdefault(_spoken_for(entries, each).id, []).append(each)
        return found

    return tuple(
        Cause(id=entry.id, ways=(_seen_in_differences(entry, spoken_for), *entry.ways)) for entry in entries
    )


def _spoken_for(entries: Sequence[GraphCause], difference: Difference) -> GraphCause:
    if difference.inside:
        found = [_spoken_for(entries, each) for each in difference.inside]
        return found[0] if all(each is found[0] for each in found) else entries[-1]
    return next((entry for entry in entries if entry.where(difference)), entries[-1])


def _seen_in_differences(entry: GraphCause, spoken_for: Query[Mapping[str, list[Difference]]]) -> Way:
    """One suspicion for all differences that are certain, one for each that may be harmless."""

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        found = unexplained(evidence, evidence[spoken_for].get(entry.id, ()))
        certain = [each for each in found if not each.harmless]
        if certain:
            yield _suspicion(entry, evidence, certain, certain=True)
        for each in found:
            if each.harmless:
                yield _suspicion(entry, evidence, [each], certain=False)

    return find


def _suspicion(
    entry: GraphCause, evidence: Evidence, found: Sequence[Difference], *, certain: bool
) -> Suspicion:
    group = Differences(evidence=evidence, cause=entry, found=found)
    seen = suspicion(
        entry.id,
        group,
        group.message,
        entry.fix,
        facts=lambda found: found.facts,
        certain=certain and entry.certain,
    )
    rewrite = not all(each.is_setting for each in found)
    return replace(seen, change=group.change, rewrite=rewrite, provable=entry.certain)
