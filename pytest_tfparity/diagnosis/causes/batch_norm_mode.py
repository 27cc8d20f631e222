"""Batch norm in training mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...graph import ops
from ...graph.batch_norm.pairs import BatchNormPair
from ...graph.edit.repair import Repair, Ungraftable
from ...graph.layer import base_name, layer_around_conditional
from ...graph.live_graph import LiveGraph
from ...wording import enumerated
from ..cause import Cause, Suspicion, Way
from ..evidence import Evidence
from ..needed import export_flow, reference_flow
from ..places.batch_norms import Switched, export_norms, norm_pairs, norm_scopes, norms_as_reference, switched
from ..run_mode import RunMode, mode_in_this_run
from .kinds.batch_norms import BatchNorms, batch_norm_cause
from .kinds.group import suspicion

TRAINING_MODE = "bn-training-mode"
KERAS = "keras-learning-phase"

_KERAS_PLACEHOLDER = "keras_learning_phase"


@dataclass(frozen=True, kw_only=True)
class _Training(BatchNorms):
    """Batch norms of the export in training mode, by what decides that.

    ``switches`` are the placeholders and constants with another value of which they run in inference mode, ``rest``
    the layers that no such value puts right. ``random`` are layers whose random numbers the same values turn off.
    """

    switches: tuple[Switched, ...]
    rest: tuple[BatchNormPair, ...]

    @property
    def repair(self) -> Repair:
        """The values, and the rest computed as the reference does.

        So are layers that an input of the comparison decides: what a run feeds it stands on both sides.
        """
        inputs = {tensor.node for tensor in self.evidence.export.inputs}
        held = [switch for switch in self.switches if switch.node not in inputs]
        nodes = {switch.node for switch in held}
        grafted = [pair for pair in self.pairs if pair in self.rest or pair.export.decided_by not in nodes]
        return _held(held) + norms_as_reference(self.evidence, grafted)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The layers, with those of the dropout that the same values turn on."""
        return tuple(dict.fromkeys([*norm_scopes(self.pairs), *self.random]))

    @property
    def random(self) -> tuple[str, ...]:
        """The layers whose random numbers are drawn no more once the values are others."""
        return _drawn_no_more(self.evidence, _held(self.switches)) if self.switches else ()


def _export_trains(cause: str) -> Way:
    """The batch norms that use the current batch in the export and stored statistics in the reference."""

    def find(evidence: Evidence) -> Iterator[Suspicion]:
        pairs = [
            pair
            for pair in evidence[norm_pairs]
            if pair.reference.mode == "inference"
            and _trains(evidence, pair)
            and _is_keras(pair.export.decided_by) is (cause == KERAS)
        ]
        if pairs:
            yield suspicion(
                cause, _grouped(evidence, pairs), _said, lambda found: _fix(cause, found), facts=_facts
            )

    return find


def _trains(evidence: Evidence, pair: BatchNormPair) -> bool:
    """Whether the export's layer uses the current batch: always, or with what this run feeds."""
    if pair.export.mode != "unknown":
        return pair.export.mode == "training"
    return mode_in_this_run(evidence, pair.export).mode == "training"


def _is_keras(name: str | None) -> bool:
    return name is not None and _KERAS_PLACEHOLDER in base_name(name)


def _grouped(evidence: Evidence, pairs: Sequence[BatchNormPair]) -> _Training:
    """The pairs by what decides their mode, where another value of that is enough to put them right."""
    by_decider: dict[str | None, list[BatchNormPair]] = {}
    for pair in pairs:
        by_decider.setdefault(pair.export.decided_by, []).append(pair)
    switches: list[Switched] = []
    rest: list[BatchNormPair] = []
    for decider, group in by_decider.items():
        norms = [pair.export for pair in group]
        switch = None if decider is None else switched(evidence, decider, norms)
        if switch is None:
            rest += group
        else:
            switches.append(switch)
    return _Training(evidence=evidence, pairs=tuple(pairs), switches=tuple(switches), rest=tuple(rest))


def _held(switches: Sequence[Switched]) -> Repair:
    return tuple(edit for switch in switches for edit in switch.repair)


def _drawn_no_more(evidence: Evidence, repair: Repair) -> tuple[str, ...]:
    """The layers whose random numbers are drawn no more once ``repair`` is made: dropout in the same mode."""
    try:
        after = evidence.after(repair)[export_flow].nodes
    except Ungraftable:
        return ()
    nodes = evidence[export_flow].nodes.values()
    drawn = [node.name for node in nodes if ops.draws(node.op) and node.name not in after]
    return tuple(dict.fromkeys(map(layer_around_conditional, drawn)))


def _said(found: _Training) -> str:
    total, one = len(found.evidence[export_norms]), len(found.pairs) == 1
    share = "its only batch norm" if total == 1 else f"{len(found.pairs)} of its {total} batch norms"
    message = (
        f"{found.export_name} runs {enumerated(norm_scopes(found.pairs))} ({share}) in training mode{_decided(found)}:"
        f" {'it normalises' if one else 'they normalise'} with the current batch and"
        f" {'ignores' if one else 'ignore'} moving_mean and moving_variance."
    )
    random = found.random
    return f"{message} It also keeps the random numbers of {enumerated(random)} on." if random else message


def _decided(found: _Training) -> str:
    fed = {run.decider: run for pair in found.pairs if (run := _fed_mode(found.evidence, pair)) is not None}
    said = []
    for switch in found.switches:
        kind = "placeholder" if switch.placeholder else "constant"
        value = f", which this run feeds {fed[switch.node].value}" if switch.node in fed else ""
        said.append(f"{kind} {switch.node} decides that{value}")
    return f" ({enumerated(said)})" if said else ""


def _fed_mode(evidence: Evidence, pair: BatchNormPair) -> RunMode | None:
    """What this run makes of a layer whose mode a feed decides; None for one whose mode is in the file."""
    return mode_in_this_run(evidence, pair.export) if pair.export.mode == "unknown" else None


def _fix(cause: str, found: _Training) -> str:
    feeds = [f"{switch.node}:0={switch.value}" for switch in found.switches if switch.placeholder]
    fed = f"Feed {enumerated(feeds)} wherever the export runs, or export it with that value as a constant."
    built = ""
    if cause == KERAS:
        built = "When exporting, call K.clear_session() and K.set_learning_phase(0) before the model is built again."
    elif found.rest or not feeds:
        built = _built(found)
    return " ".join(filter(None, [fed if feeds else "", built]))


def _built(found: _Training) -> str:
    """How to build the graph where no feed is enough."""
    constants = [f"{switch.node}={switch.value}" for switch in found.switches if not switch.placeholder]
    flag = f"with {enumerated(constants)}" if constants and not found.rest else "with training=False"
    graph = f"Build the export graph {flag}, {found.case.restored}, {found.case.remake}."
    flows = found.evidence[reference_flow], found.evidence[export_flow]
    if not found.rest or not _draws(flows[1]) or _draws(flows[0]):
        return graph
    both = "if Keras built the graph, K.set_learning_phase(1) did both; set 0 first."
    return f"{graph} Random numbers are drawn as well: {both}"


def _draws(flow: LiveGraph) -> bool:
    return any(ops.draws(node.op) for node in flow.nodes.values())


def _facts(found: _Training) -> tuple[str, ...]:
    nodes = [found.evidence[export_flow].nodes.get(pair.export.node) for pair in found.pairs]
    fused = sum(node is not None and node.op in ops.FUSED_BATCH_NORMS for node in nodes)
    plain = len(nodes) - fused
    facts = []
    if fused:
        many = f" in {fused} of them" if plain else ""
        facts.append(f"is_training=true{many} in the export, false in the {found.reference_graph}.")
    if plain:
        many = f" in {plain} of them" if fused else ""
        facts.append(f"Moments over the batch axis of the input feed the normalisation{many}.")
    return tuple(facts)


def _reference_fix(found: BatchNorms) -> str:
    phases = [pair.reference.decided_by for pair in found.pairs if pair.reference.decided_by is not None]
    feed = f"state `feeds: {{{phases[0]}:0: ...}}` for the reference, or " if phases else ""
    return f"As the reference, {feed}give a `meta` (or `builder`) that was built with training=False."


_REFERENCE_TRAINS = batch_norm_cause(
    id=TRAINING_MODE,
    where=lambda evidence, pair: pair.reference.mode == "training" and pair.export.mode == "inference",
    says=lambda found: (
        f"The graph of {found.reference_name} runs {found.layers} in training mode, while {found.export_name}"
        " uses the moving statistics: here the reference is a training graph."
    ),
    fix=_reference_fix,
)

CAUSES: tuple[Cause, ...] = (
    Cause(id=KERAS, ways=(_export_trains(KERAS),)),
    Cause(id=TRAINING_MODE, ways=(_export_trains(TRAINING_MODE), *_REFERENCE_TRAINS.ways)),
)
