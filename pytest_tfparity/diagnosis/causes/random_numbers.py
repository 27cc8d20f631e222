"""Random numbers that belong to training: dropout, noise and augmentation left in an export."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...graph import ops
from ...graph.align.divergence import Kind
from ...graph.edit.repair import Repair, Ungraftable, Wire
from ...graph.graph import TensorName
from ...graph.layer import base_name, common_layer
from ...wording import counted, enumerated, verb
from ..behaviour import export_repeats
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..needed import export_flow
from ..places.divergences import Difference, differences, unexplained
from ..places.repairs import as_reference_at
from ..places.transformations import factor_of
from ..random_ops import RandomPlace, export_random_ops, random_places
from .kinds.graph import GraphCause
from .kinds.group import Group, Sentence, said, suspicion
from .kinds.sentences import fact_told, names_of, nodes_to_name, short_number

_SHOWN = 3
"""Places that are told one by one."""


@dataclass(frozen=True, kw_only=True)
class Chances(Group):
    """Places where random numbers meet the data in the export and not in the reference, all for one purpose.

    ``differences`` are what of the graphs differs there.
    """

    met: Sequence[RandomPlace]
    differences: Sequence[Difference]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The placeholders that turn the random numbers on, and the nodes that combine them with the data."""
        return tuple(dict.fromkeys([*(name for name, _ in self.switches), *self.joins]))

    @property
    def joins(self) -> list[str]:
        """The nodes that combine random numbers with the data."""
        return [chance.join for chance in self.met]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers of what draws and what combines."""
        scopes = (scope for each in self.met for scope in common_layer((each.join, *each.drawn)))
        return tuple(dict.fromkeys(map(_around_dropout, scopes)))

    @property
    def repair(self) -> Repair:
        """The places as in the reference; where that leaves random numbers, the masks cut out."""
        repair = tuple(
            edit for each in self.differences for edit in as_reference_at(self.evidence, each.divergence)
        )
        cut = tuple(edit for chance in self.met for edit in _cut(self.evidence, chance))
        # What stands beside a dropout in the same place may be a fault of its own: leave it to be found.
        wide = any(each.kind is Kind.OP for each in self.differences)
        drawn = {name for chance in self.met for name in chance.drawn}
        for tried in (cut, repair) if wide else (repair, cut):
            if tried and not drawn & set(_left(self.evidence, tried)):
                return tried
        return repair

    @property
    def switches(self) -> list[tuple[str, str]]:
        """Placeholders of the export whose default leaves a dropout on, with the reference's value."""
        flow = self.evidence[export_flow]
        return [
            (reader, short_number(float(values[0].reshape(()))))
            for each in self.differences
            if (values := each.constants) is not None and values[0].size == 1
            for reader in flow.readers.get(each.divergence.export[0], ())
            if flow.nodes[reader].op == "PlaceholderWithDefault"
        ]


def _random_cause(*, id: str, says: Sentence[Chances], fix: Sentence[Chances]) -> Cause:
    """A cause seen where random numbers do what ``id`` names (``random_numbers.random_places``)."""

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        met = [
            chance
            for chance in evidence[random_places]
            if chance.cause == id and chance.join not in evidence.explained
        ]
        if not met:
            return
        among = [each for each in evidence[differences] if each.chance == id]
        group = Chances(evidence=evidence, met=met, differences=unexplained(evidence, among))
        yield suspicion(id, group, says, lambda found: _switched(found) or said(fix, found), facts=_facts)

    return Cause(id=id, ways=(find,))


def _switched(found: Chances) -> str:
    return "".join(
        f"Feed {name}={value}, or export with that as its default." for name, value in found.switches[:1]
    )


def _dropout_said(found: Chances) -> str:
    live = verb(found.met, "is a dropout that is still on", "are dropouts that are still on")
    why = f" {fact_told(found.differences[0])}." if found.switches else ""
    return f"{enumerated(found.joins)} {live} in {found.export_name}: values are dropped at random.{why}"


DROPOUT_ACTIVE = _random_cause(
    id="dropout-active",
    says=_dropout_said,
    fix=lambda found: (
        "Build the export graph with training=False (slim.dropout: is_training=False; tf.nn.dropout: rate 0),"
        f" {found.case.restored}, {found.case.remake}."
    ),
)

RANDOM_AUGMENTATION = _random_cause(
    id="random-augmentation",
    says=lambda found: (
        f"{found.export_name} changes its input at random before the first layer: {enumerated(found.joins)}."
    ),
    fix="Export the input path of evaluation, without augmentation.",
)

RANDOM_NOISE = _random_cause(
    id="random-noise",
    says=lambda found: (
        f"{found.export_name} has random noise at {enumerated(found.joins)}: its answers are random."
    ),
    fix="Remove the noise layer from the export graph, or build it with training=False.",
)


# --- what a dropout of another time left behind


def _factor(difference: Difference) -> float | None:
    """What the export alone multiplies by, where it multiplies or divides by one number that may be a keep_prob."""
    nodes = difference.export_nodes
    if difference.kind is not Kind.ONLY_IN_EXPORT or len(nodes) != 1:
        return None
    factor = factor_of(difference.export.flow, nodes)
    keep_prob = factor if nodes[0].op == "Mul" or not factor else 1 / factor
    return factor if keep_prob is not None and 0 < keep_prob < 1 else None


def _factor_said(difference: Difference) -> str:
    factor = _factor(difference.spot)
    by = "" if factor is None else f" by {short_number(factor)}"
    node, (_, export) = nodes_to_name(difference.spot)[0], names_of(difference)
    return f"{node} multiplies{by} in {export} alone; such a factor may be left of a dropout."


DROPOUT_SCALING = GraphCause(
    id="dropout-scaling",
    where=lambda difference: _factor(difference) is not None,
    says=_factor_said,
    fix=lambda found: (
        "Remove it if it is a dropout's keep_prob (since tf.nn.dropout scales in training, inference needs no factor);"
        f" else build the export graph with the code that the {found.reference_noun} was trained with."
    ),
    certain=False,
)


def _around_dropout(scope: str) -> str:
    """The layer around the scope that the dropout function makes for itself."""
    outer, _, last = scope.rpartition("/")
    own = re.fullmatch(r"(stateless_)?dropout(_\d+)?", last)
    inside = last.startswith("stateless") or base_name(outer).lower().startswith("drop")
    return outer if outer and own and inside else scope


def _facts(found: Chances) -> Sequence[str]:
    flow = found.evidence[export_flow]
    facts = []
    for chance in found.met[:_SHOWN]:
        drawn = enumerated([f"{flow.nodes[name].op} {name}" for name in chance.drawn], 1)
        facts.append(f"{drawn} {verb(chance.drawn, 'reaches', 'reach')} the outputs through {chance.join}.")
    if len(found.met) > _SHOWN:
        facts.append(f"So in {counted(len(found.met) - _SHOWN, 'more place')}.")
    if found.evidence[export_repeats] is False:
        facts.append("Two runs in one session on the same inputs differ.")
    return facts


def _left(evidence: Evidence, repair: Repair) -> Mapping[str, str]:
    try:
        return evidence.after(repair)[export_random_ops]
    except Ungraftable:
        return evidence[export_random_ops]


def _cut(evidence: Evidence, chance: RandomPlace) -> Iterator[Wire]:
    """Let what reads the dropout read what it drops from."""
    if chance.cause == "random-augmentation":
        return
    flow = evidence[export_flow]
    node = flow.nodes[chance.join]
    kept = [source for source in node.inputs if flow.source(source).node not in chance.path]
    if len(kept) != 1:
        return
    data = kept[0]
    scaled = flow.node(flow.source(data))
    if chance.cause == "dropout-active" and scaled is not None and scaled.op in ops.PRODUCTS:
        single = [flow.constant(source) is not None for source in scaled.inputs]
        data = scaled.inputs[single.index(False)] if sum(single) == 1 else data
    for name, reader in evidence.export.graph.nodes.items():
        for position, source in enumerate(reader.inputs):
            if source == TensorName(chance.join, 0) and name not in chance.path:
                yield Wire(node=name, position=position, source=data)


CAUSES: tuple[Cause, ...] = (DROPOUT_ACTIVE, RANDOM_AUGMENTATION, RANDOM_NOISE)
