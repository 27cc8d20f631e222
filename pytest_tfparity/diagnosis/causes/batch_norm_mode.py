"""Batch norm in training mode."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from ...graph import ops
from ...graph.batch_norm.pairs import BatchNormPair
from ...graph.edit.graft import Repair, Ungraftable
from ...graph.live_graph import LiveGraph
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow, reference_flow
from ..places.batch_norms import (
    Switched,
    export_norms,
    listed_norms,
    norm_nodes,
    norm_pairs,
    norm_scopes,
    norms_as_reference,
    switched,
)
from ..wording import listed

_KERAS = "keras_learning_phase"
_RANDOM = frozenset(
    {"RandomUniform", "RandomStandardNormal", "TruncatedNormal", "Multinomial", "StatelessRandomUniform"}
)
_CONDITIONAL = re.compile(r"(smart_)?cond(_\d+)?")


def _moded(evidence: Evidence) -> list[BatchNormPair]:
    """The batch norms that use the current batch in the export and stored statistics in the reference."""
    return [
        pair
        for pair in evidence[norm_pairs]
        if pair.reference.mode == "inference" and pair.export.mode in ("training", "unknown")
    ]


def _by_decider(
    evidence: Evidence, pairs: Sequence[BatchNormPair]
) -> list[tuple[Switched | None, list[BatchNormPair]]]:
    """The pairs by what decides their mode, where another value of that is enough to put it right."""
    groups: dict[str | None, list[BatchNormPair]] = {}
    for pair in pairs:
        groups.setdefault(pair.export.decided_by, []).append(pair)
    found: list[tuple[Switched | None, list[BatchNormPair]]] = []
    for decider, group in groups.items():
        switch = None
        if decider is not None:
            switch = switched(evidence, decider, [pair.export for pair in group])
        found.append((switch, group))
    return found


def _is_keras(name: str | None) -> bool:
    return name is not None and _KERAS in name.rpartition("/")[2]


class TrainingMode(Cause):
    """A batch norm that normalises with the current batch."""

    id: ClassVar[str] = "bn-training-mode"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in _moded(evidence) if not _is_keras(pair.export.decided_by)]
        if pairs:
            yield _training(self.id, evidence, pairs)
        yield from self._reference_trains(evidence)

    def _reference_trains(self, evidence: Evidence) -> Iterator[Suspicion]:
        """The other way round: the graph that stands for the checkpoint is a training graph."""
        pairs = [
            pair
            for pair in evidence[norm_pairs]
            if pair.reference.mode == "training" and pair.export.mode == "inference"
        ]
        if not pairs:
            return
        case = evidence.case
        phases = [pair.reference.decided_by for pair in pairs if pair.reference.decided_by is not None]
        feed = f"state `feeds: {{{phases[0]}:0: ...}}` for the reference, or " if phases else ""
        yield Suspicion(
            cause=self.id,
            nodes=norm_nodes(evidence, pairs),
            scopes=norm_scopes(pairs),
            message=(
                f"The graph of {case.reference_name} runs {listed_norms(pairs)} in training mode, while"
                f" {case.export_name} uses the moving statistics: here the reference is a training graph."
            ),
            fix=f"As the reference, {feed}give a `meta` (or `builder`) that was built with training=False.",
            repair=norms_as_reference(evidence, pairs),
        )


class KerasLearningPhase(Cause):
    """The learning phase of Keras is 1 in the export."""

    id: ClassVar[str] = "keras-learning-phase"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in _moded(evidence) if _is_keras(pair.export.decided_by)]
        if pairs:
            yield _training(self.id, evidence, pairs)


def _training(cause: str, evidence: Evidence, pairs: list[BatchNormPair]) -> Suspicion:
    case = evidence.case
    groups = _by_decider(evidence, pairs)
    switches = [switch for switch, _ in groups if switch is not None]
    rest = [pair for switch, group in groups if switch is None for pair in group]
    repair: Repair = tuple(edit for switch in switches for edit in switch.repair)
    repair += norms_as_reference(evidence, rest)
    random = _randomised(evidence, repair) if switches else ()
    total = len(evidence[export_norms])
    share = "its only batch norm" if total == 1 else f"{len(pairs)} of its {total} batch norms"
    message = (
        f"{case.export_name} runs {listed_norms(pairs)} ({share}) in training mode{_decided(switches)}:"
        f" {'it normalises' if len(pairs) == 1 else 'they normalise'} with the current batch and"
        f" {'ignores' if len(pairs) == 1 else 'ignore'} moving_mean and moving_variance."
    )
    if random:
        message += f" It also keeps the random numbers of {listed(random)} on."
    return Suspicion(
        cause=cause,
        nodes=norm_nodes(evidence, pairs),
        scopes=tuple(dict.fromkeys([*norm_scopes(pairs), *random])),
        message=message,
        fix=_fix(cause, evidence, switches, rest),
        evidence=_signs(evidence, pairs),
        repair=repair,
    )


def _randomised(evidence: Evidence, repair: Repair) -> tuple[str, ...]:
    """The layers whose random numbers are drawn no more once ``repair`` is made: dropout in the same mode."""
    try:
        after = evidence.after(repair)[export_flow].nodes
    except Ungraftable:
        return ()
    drawn = [
        node.name
        for node in evidence[export_flow].nodes.values()
        if node.op in _RANDOM and node.name not in after
    ]
    return tuple(dict.fromkeys(_before_conditional(name) for name in drawn))


def _draws(flow: LiveGraph) -> bool:
    return any(node.op in _RANDOM for node in flow.nodes.values())


def _before_conditional(name: str) -> str:
    """The layer around the conditional that ``name`` stands in: ``drop`` for ``drop/cond/dropout/random``."""
    parts = name.split("/")[:-1]
    for index, part in enumerate(parts):
        if index and _CONDITIONAL.fullmatch(part):
            return "/".join(parts[:index])
    return "/".join(parts[:1])


def _decided(switches: Sequence[Switched]) -> str:
    if not switches:
        return ""
    said = [
        f"{'placeholder' if switch.placeholder else 'constant'} {switch.node} decides that"
        for switch in switches
    ]
    return f" ({listed(said)})"


def _fix(cause: str, evidence: Evidence, switches: Sequence[Switched], rest: Sequence[BatchNormPair]) -> str:
    feeds = [f"{switch.node}:0={switch.value}" for switch in switches if switch.placeholder]
    again = f"restore {evidence.case.reference_name}, freeze again"
    parts = []
    if feeds:
        parts.append(f"Feed {listed(feeds)} wherever the export runs, or freeze it with that value pinned.")
    if cause == KerasLearningPhase.id:
        parts.append(
            "K.clear_session() and K.set_learning_phase(0) before the model is rebuilt settle it at export."
        )
    elif rest or not feeds:
        constants = [f"{switch.node}={switch.value}" for switch in switches if not switch.placeholder]
        flag = f"with {listed(constants)}" if constants and not rest else "with training=False"
        parts.append(f"Build the export graph {flag}, {again}.")
        if rest and _draws(evidence[export_flow]) and not _draws(evidence[reference_flow]):
            parts.append(
                "Dropout is on as well: if Keras built the graph, K.set_learning_phase(1) did both; set 0 first."
            )
    return " ".join(parts)


def _signs(evidence: Evidence, pairs: Sequence[BatchNormPair]) -> tuple[str, ...]:
    nodes = [evidence[export_flow].nodes.get(pair.export.node) for pair in pairs]
    fused = sum(node is not None and node.op in ops.FUSED_BATCH_NORMS for node in nodes)
    signs = []
    if fused:
        many = "" if len(pairs) == fused else f" in {fused} of them"
        signs.append(f"is_training=true{many} in the export, false in the checkpoint's graph")
    if fused < len(pairs):
        many = f" in {len(pairs) - fused} of them" if fused else ""
        signs.append(f"moments over the batch axis of the input feed the normalisation{many}")
    return ("; ".join(signs) + ".",)


CAUSES: tuple[Cause, ...] = (KerasLearningPhase(), TrainingMode())
