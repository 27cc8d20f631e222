"""Batch norm in another mode, with another epsilon, axis or scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...graph.batchnorm import FUSED, BatchNorm
from ...graph.graft import Repair
from ...graph.graph import Array
from ..cause import Cause, Page, Suspicion
from ..evidence import Evidence
from ..images import values
from ..norms import Switched, as_reference, switched
from ..wording import listed

_KERAS = "keras_learning_phase"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A batch norm of the reference and the one in its place in the export."""

    ours: BatchNorm
    theirs: BatchNorm

    @property
    def scope(self) -> str:
        return self.theirs.scope or self.ours.scope

    def node(self, evidence: Evidence) -> str:
        """The node to name: one of the file, whatever function the layer stands in."""
        inside = self.theirs.node in evidence.export.graph.nodes
        return self.theirs.node if inside else self.theirs.output.node


def _pairs(evidence: Evidence) -> Iterator[_Pair]:
    for pair in evidence.norm_pairs:
        if pair.reference is not None and pair.export is not None:
            yield _Pair(ours=pair.reference, theirs=pair.export)


def _scopes(pairs: Sequence[_Pair]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(pair.scope for pair in pairs))


def _nodes(evidence: Evidence, pairs: Sequence[_Pair]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(pair.node(evidence) for pair in pairs))


def _repairs(evidence: Evidence, pairs: Sequence[_Pair]) -> Repair:
    return tuple(edit for pair in pairs for edit in as_reference(evidence, pair.ours, pair.theirs))


def _moded(evidence: Evidence) -> list[_Pair]:
    """The batch norms that use the current batch in the export and stored statistics in the reference."""
    return [
        pair
        for pair in _pairs(evidence)
        if pair.ours.mode == "inference" and pair.theirs.mode in ("training", "unknown")
    ]


def _by_decider(evidence: Evidence, pairs: Sequence[_Pair]) -> list[tuple[Switched | None, list[_Pair]]]:
    """The pairs by what decides their mode, where another value of that is enough to put it right."""
    groups: dict[str | None, list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.theirs.decided_by, []).append(pair)
    found: list[tuple[Switched | None, list[_Pair]]] = []
    for decider, group in groups.items():
        switch = None
        if decider is not None:
            switch = switched(evidence, decider, [pair.theirs for pair in group])
        found.append((switch, group))
    return found


def _is_keras(name: str | None) -> bool:
    return name is not None and _KERAS in name.rpartition("/")[2]


class TrainingMode(Cause):
    """A batch norm that normalises with the current batch."""

    id: ClassVar[str] = "bn-training-mode"
    title: ClassVar[str] = "batch norm exported in training mode"
    page: ClassVar[Page] = Page(
        what=(
            "A batch norm of the export normalises with the mean and variance of the batch that it is given,"
            " and ignores the moving statistics that training gathered. The answer for one sample then depends"
            " on the samples beside it; a batch of one is worst, and behind a dense layer it no longer"
            " depends on the input at all."
        ),
        how=(
            "The graph was built with `training=True` (or with the default of `slim.batch_norm`, which is"
            " `is_training=True`) and frozen as it is; or a phase placeholder has the default True, is bound to True"
            " by `input_map`, or is read the wrong way round; or one layer, or a second tower, was called"
            " without passing the flag on."
        ),
        proof=(
            "On the path that is really taken, a fused op has `is_training=true`, or the moments of the input over"
            " the batch axis feed the normalisation; in the checkpoint's graph the same layer reads its moving"
            " statistics. The layer is computed in memory as the checkpoint's graph does (or the placeholder"
            " is fed) and the export compared again."
        ),
        fix=(
            "Build the export graph with `training=False`, restore the checkpoint into it and freeze that graph;"
            " never freeze the training graph. Where a placeholder decides, feed it, or export with it pinned."
        ),
        links=(
            "https://github.com/tensorflow/tensorflow/pull/15599",
            "https://github.com/tensorflow/tensorflow/issues/9724",
            "https://github.com/tensorflow/tensorflow/issues/16895",
            "https://github.com/tensorflow/models/issues/3590",
            "https://github.com/davidsandberg/facenet/issues/189",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in _moded(evidence) if not _is_keras(pair.theirs.decided_by)]
        if pairs:
            yield _training(self.id, evidence, pairs)
        yield from self._reference_trains(evidence)

    def _reference_trains(self, evidence: Evidence) -> Iterator[Suspicion]:
        """The other way round: the graph that stands for the checkpoint is a training graph."""
        pairs = [
            pair
            for pair in _pairs(evidence)
            if pair.ours.mode == "training" and pair.theirs.mode == "inference"
        ]
        if not pairs:
            return
        setting = evidence.setting
        phases = [pair.ours.decided_by for pair in pairs if pair.ours.decided_by is not None]
        feed = f"state `feeds: {{{phases[0]}:0: ...}}` for the reference, or " if phases else ""
        yield Suspicion(
            cause=self.id,
            nodes=_nodes(evidence, pairs),
            scopes=_scopes(pairs),
            message=(
                f"The graph of {setting.reference_name} runs {_some(pairs)} in training mode, while"
                f" {setting.export_name} uses the moving statistics: here the reference is a training graph."
            ),
            fix=f"As the reference, {feed}give a `meta` (or `builder`) that was built with training=False.",
            repair=_repairs(evidence, pairs),
        )


class KerasLearningPhase(Cause):
    """The learning phase of Keras is 1 in the export."""

    id: ClassVar[str] = "keras-learning-phase"
    title: ClassVar[str] = "Keras learning phase 1 at export"
    page: ClassVar[Page] = Page(
        what=(
            "The export runs in Keras' training phase: batch norms normalise with the current batch, and dropout"
            " is active, so that the same feed gives different answers."
        ),
        how=(
            "`keras_learning_phase` is still a placeholder of the export and is fed, or has as its default, True."
            " After `K.set_learning_phase(1)` before the model was built, the phase is a constant instead and"
            " nothing in the file says Keras: that looks the same as `bn-training-mode`."
        ),
        proof=(
            "The placeholder decides conditionals on the path to the outputs; with False fed to it in memory"
            " the export matches."
        ),
        fix=(
            "Call `K.clear_session()` and `K.set_learning_phase(0)` before the model is rebuilt, load the weights,"
            " freeze; or feed `keras_learning_phase:0 = False` wherever the export is served."
        ),
        links=(
            "https://github.com/tensorflow/tensorflow/issues/31331",
            "https://stackoverflow.com/questions/51858203",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in _moded(evidence) if _is_keras(pair.theirs.decided_by)]
        if pairs:
            yield _training(self.id, evidence, pairs)


def _training(cause: str, evidence: Evidence, pairs: list[_Pair]) -> Suspicion:
    setting = evidence.setting
    groups = _by_decider(evidence, pairs)
    switches = [switch for switch, _ in groups if switch is not None]
    rest = [pair for switch, group in groups if switch is None for pair in group]
    repair: Repair = tuple(edit for switch in switches for edit in switch.repair)
    repair += _repairs(evidence, rest)
    total = len(evidence.export_norms)
    share = "its only batch norm" if total == 1 else f"{len(pairs)} of its {total} batch norms"
    message = (
        f"{setting.export_name} runs {_some(pairs)} ({share}) in training mode{_decided(switches)}:"
        f" {'it normalises' if len(pairs) == 1 else 'they normalise'} with the current batch and"
        f" {'ignores' if len(pairs) == 1 else 'ignore'} moving_mean and moving_variance."
    )
    return Suspicion(
        cause=cause,
        nodes=_nodes(evidence, pairs),
        scopes=_scopes(pairs),
        message=message,
        fix=_fix(cause, evidence, switches, rest),
        evidence=_signs(evidence, pairs),
        repair=repair,
    )


def _some(pairs: Sequence[_Pair]) -> str:
    return listed(_scopes(pairs))


def _decided(switches: Sequence[Switched]) -> str:
    if not switches:
        return ""
    said = [
        f"{'placeholder' if switch.placeholder else 'constant'} {switch.node} decides that"
        for switch in switches
    ]
    return f" ({listed(said)})"


def _fix(cause: str, evidence: Evidence, switches: Sequence[Switched], rest: Sequence[_Pair]) -> str:
    feeds = [f"{switch.node}:0={switch.value}" for switch in switches if switch.placeholder]
    again = f"restore {evidence.setting.reference_name}, freeze again"
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
    return " ".join(parts)


def _signs(evidence: Evidence, pairs: Sequence[_Pair]) -> tuple[str, ...]:
    nodes = [evidence.export_flow.nodes.get(pair.theirs.node) for pair in pairs]
    fused = sum(node is not None and node.op in FUSED for node in nodes)
    signs = []
    if fused:
        many = "" if len(pairs) == fused else f" in {fused} of them"
        signs.append(f"is_training=true{many} in the export, false in the checkpoint's graph")
    if fused < len(pairs):
        many = f" in {len(pairs) - fused} of them" if fused else ""
        signs.append(f"moments over the batch axis of the input feed the normalisation{many}")
    return ("; ".join(signs) + ".",)


class Epsilon(Cause):
    """A batch norm with another epsilon than in training."""

    id: ClassVar[str] = "bn-epsilon-mismatch"
    title: ClassVar[str] = "batch norm with another epsilon"
    page: ClassVar[Page] = Page(
        what=(
            "The export adds another epsilon to the variance than the checkpoint's graph. It shows where variances"
            " are not much larger than epsilon, and hardly elsewhere."
        ),
        how=(
            "`tf.layers`, slim and Keras use 1e-3, `tf.nn` examples and other frameworks 1e-5: the export graph"
            " was written anew, or with another library."
        ),
        proof=(
            "The attribute `epsilon` of the fused op, or the constant that is added before the root, differs"
            " between the layer's two sides, while its weights are the same. With the checkpoint's"
            " epsilon in memory the export is compared again."
        ),
        fix="Give the layer of the export graph the epsilon of training.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [
            pair
            for pair in _pairs(evidence)
            if pair.ours.mode == pair.theirs.mode and _differ(pair.ours.epsilon, pair.theirs.epsilon)
        ]
        if not pairs:
            return
        theirs = listed([f"{pair.theirs.epsilon:.3g}" for pair in pairs])
        ours = listed([f"{pair.ours.epsilon:.3g}" for pair in pairs])
        yield Suspicion(
            cause=self.id,
            nodes=_nodes(evidence, pairs),
            scopes=_scopes(pairs),
            message=(
                f"{_some(pairs)}: epsilon is {theirs} in {evidence.setting.export_name}, {ours} in the"
                " checkpoint's graph."
            ),
            fix=f"Build the batch norms of the export graph with epsilon={ours}, as in training.",
            repair=_repairs(evidence, pairs),
        )


def _differ(one: float, other: float) -> bool:
    """Whether two epsilons are not the same number: fused ops raise 1e-5 to 1.001e-5."""
    return abs(one - other) > 2e-3 * max(abs(one), abs(other))


class ZeroEpsilon(Cause):
    """Epsilon 0 and a channel of variance 0."""

    id: ClassVar[str] = "nan-zero-epsilon"
    title: ClassVar[str] = "NaN from a batch norm without epsilon"
    page: ClassVar[Page] = Page(
        what="The export divides by the root of a variance that is exactly 0: every value behind it is NaN.",
        how="A converter lost epsilon, and a dead channel has the moving variance 0.",
        proof=(
            "Epsilon is 0 (or missing) in the layer of the export, not in that of the checkpoint's graph, and"
            " its variance holds exact zeros. With the checkpoint's epsilon in memory the export is compared again."
        ),
        fix="Export with the epsilon of training.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs, channels = [], []
        for pair in _pairs(evidence):
            if pair.theirs.epsilon != 0 or pair.ours.epsilon == 0:
                continue
            variance = evidence.value(evidence.export, pair.theirs.variance)
            dead = () if variance is None else np.flatnonzero(values(variance) == 0)
            if len(dead):
                pairs.append(pair)
                channels.append(int(dead[0]))
        if not pairs:
            return
        ours = listed([f"{pair.ours.epsilon:.3g}" for pair in pairs])
        first = f"{pairs[0].node(evidence)}: epsilon is 0 and channel {channels[0]} has variance 0"
        more = f" (likewise {listed(_scopes(pairs[1:]))})" if len(pairs) > 1 else ""
        yield Suspicion(
            cause=self.id,
            nodes=_nodes(evidence, pairs),
            scopes=_scopes(pairs),
            message=f"{first}{more}, so it answers NaN. The checkpoint's graph has epsilon {ours}.",
            fix=f"Export with epsilon={ours}; a converter has dropped it.",
            repair=_repairs(evidence, pairs),
        )


class Axis(Cause):
    """A batch norm over another axis."""

    id: ClassVar[str] = "bn-axis"
    title: ClassVar[str] = "batch norm over the wrong axis"
    page: ClassVar[Page] = Page(
        what=(
            "The export normalises along another axis than the checkpoint's graph: rows or columns of the image"
            " in place of channels. Nothing fails where their numbers happen to be equal."
        ),
        how="`axis=1` was kept from channels-first code, or `axis=-1` in a channels-first network.",
        proof=(
            "The weights of the layer are reshaped to `[1, C, 1, 1]` (or the data format differs) on one side"
            " alone, while the input is the same tensor. With the checkpoint's layer in memory the export is"
            " compared again."
        ),
        fix="Give the layer the axis of the channels: -1 for channels last, 1 for channels first.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [
            pair
            for pair in _pairs(evidence)
            if pair.ours.axis != pair.theirs.axis
            and pair.ours.mode == pair.theirs.mode
            and evidence.counterpart(pair.ours.input) == pair.theirs.input
        ]
        if not pairs:
            return
        axes = f"axis {pairs[0].theirs.axis} in {evidence.setting.export_name}"
        yield Suspicion(
            cause=self.id,
            nodes=_nodes(evidence, pairs),
            scopes=_scopes(pairs),
            message=f"{_some(pairs)}: {axes}, {pairs[0].ours.axis} in the checkpoint's graph.",
            fix=f"Build the layer with axis={pairs[0].ours.axis}, as in training.",
            repair=_repairs(evidence, pairs),
        )


class GammaMissing(Cause):
    """A trained gamma or beta that the export does not use."""

    id: ClassVar[str] = "bn-gamma-missing"
    title: ClassVar[str] = "trained gamma or beta ignored"
    page: ClassVar[Page] = Page(
        what="The checkpoint has a trained gamma (or beta), and the export normalises without it.",
        how=(
            "`slim.batch_norm` has `scale=False` as its default: the arg_scope of the export graph is not that of"
            " training. Likewise `center=False`, or a layer rebuilt with another library's defaults."
        ),
        proof=(
            "In the checkpoint's graph the layer multiplies by a variable that is not all ones; in the export"
            " there is no such factor, or a constant of ones that never was a variable. With the"
            " checkpoint's gamma in memory the export is compared again."
        ),
        fix="Build the export graph with `scale=True` (and `center=True`).",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        lacking = [(pair, _lacks(evidence, pair)) for pair in _pairs(evidence)]
        pairs = [pair for pair, names in lacking if names]
        if not pairs:
            return
        missing = listed(list(dict.fromkeys(name for _, names in lacking for name in names)))
        keys = [pair.ours.gamma if "gamma" in names else pair.ours.beta for pair, names in lacking if names]
        named = listed([evidence.setting.keys.get(key, key) for key in keys if key is not None])
        options = {"gamma": "scale=True", "beta": "center=True"}
        flags = [options[name] for name in ("gamma", "beta") if name in missing]
        yield Suspicion(
            cause=self.id,
            nodes=_nodes(evidence, pairs),
            scopes=_scopes(pairs),
            message=(
                f"{_some(pairs)}: the checkpoint has a trained {missing} ({named}), and"
                f" {evidence.setting.export_name} normalises without it."
            ),
            fix=f"Build the batch norms of the export graph with {' and '.join(flags)}, restore, freeze again.",
            repair=tuple(edit for pair in pairs for edit in _with_weights(evidence, pair)),
        )


def _with_weights(evidence: Evidence, pair: _Pair) -> Repair:
    from dataclasses import replace

    lacks = _lacks(evidence, pair)
    bare = replace(
        pair.theirs,
        gamma=None if "gamma" in lacks else pair.theirs.gamma,
        beta=None if "beta" in lacks else pair.theirs.beta,
    )
    return as_reference(evidence, pair.ours, bare)


def _lacks(evidence: Evidence, pair: _Pair) -> tuple[str, ...]:
    """Which of gamma and beta the reference has trained and the export's layer does without."""
    found = []
    for name, neutral in (("gamma", 1.0), ("beta", 0.0)):
        ours, theirs = getattr(pair.ours, name), getattr(pair.theirs, name)
        trained = evidence.value(evidence.reference, ours)
        if trained is None or _throughout(values(trained), neutral):
            continue
        if theirs is None:
            if not getattr(pair.theirs, f"has_{name}"):
                found.append(name)
        elif not _was_variable(evidence, pair, theirs):
            held = evidence.value(evidence.export, theirs)
            if held is not None and _throughout(values(held), neutral):
                found.append(name)
    return tuple(found)


def _throughout(array: Array, value: float) -> bool:
    return bool((array == value).all())


def _was_variable(evidence: Evidence, pair: _Pair, constant: str) -> bool:
    """Whether a constant of the export was a variable before it was frozen: by its name or its read."""
    if constant in evidence.setting.keys or constant in evidence.setting.checkpoint:
        return True
    readers = [evidence.export_flow.nodes[name] for name in evidence.export_flow.readers.get(constant, ())]
    if any(node.op == "Identity" for node in readers):
        return True
    # Of a layer whose weights are all at their start, none is known to be missing.
    others = [getattr(pair.theirs, name) for name in ("gamma", "beta", "mean", "variance")]
    held = [evidence.value(evidence.export, other) for other in others if other not in (None, constant)]
    arrays = [values(each) for each in held if each is not None]
    return bool(arrays) and all(_throughout(array, float(array.reshape(-1)[0])) for array in arrays)


class NamesShifted(Cause):
    """Statistics of one layer that another layer reads under their own name."""

    id: ClassVar[str] = "bn-stats-names-shifted"
    title: ClassVar[str] = "hand-written BN statistics exchanged by auto-numbered names"
    page: ClassVar[Page] = Page(
        what=(
            "Batch norms of the export read each other's statistics, although every constant equals the checkpoint's"
            " tensor of its own name. Where shapes agree nothing fails."
        ),
        how=(
            "A hand-written batch norm keeps its statistics in `ema.average(batch_mean)`, which is named after an op"
            " (`bn/moments/Squeeze/ExponentialMovingAverage`, `bn_1/...`). TensorFlow numbers these scopes in the"
            " order of construction: building the layers in another order, twice, or on another device renames them."
        ),
        proof=(
            "Compared by consumer: the layer that multiplies by one gamma reads other statistics in the export than"
            " in the checkpoint's graph, each bit for bit those of its name in the checkpoint. With the statistics"
            " put back by consumer the export is compared again."
        ),
        fix="Give each batch norm a variable scope of its own for its statistics, and map them by consumer.",
        links=(
            "https://stackoverflow.com/questions/33949786",
            "https://github.com/tensorflow/tensorflow/issues/13461",
            "https://github.com/tensorflow/tensorflow/issues/7490",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in _pairs(evidence) if _shifted(evidence, pair)]
        if not pairs:
            return
        first = pairs[0]
        scopes = [_layer(pair) for pair in pairs]
        yield Suspicion(
            cause=self.id,
            nodes=_nodes(evidence, pairs),
            scopes=tuple(dict.fromkeys([*scopes, *_scopes(pairs)])),
            message=(
                f"{listed(scopes)} use statistics of other layers, each under its own name: {_layer(first)}"
                f" reads {first.theirs.mean} in {evidence.setting.export_name} and"
                f" {first.ours.mean} in the checkpoint's graph."
            ),
            fix=(
                "Names of EMA-of-moments statistics follow the order of construction: build the layers in"
                " training's order, or give each its own variable scope, and restore by consumer."
            ),
            repair=tuple(edit for pair in pairs for edit in _own_statistics(evidence, pair)),
        )


def _layer(pair: _Pair) -> str:
    weight = pair.theirs.gamma or pair.theirs.beta
    return weight.rpartition("/")[0] if weight is not None and "/" in weight else pair.scope


def _own_statistics(evidence: Evidence, pair: _Pair) -> Repair:
    from dataclasses import replace

    return as_reference(evidence, pair.ours, replace(pair.theirs, mean=None, variance=None))


def _shifted(evidence: Evidence, pair: _Pair) -> bool:
    """Whether a layer reads, under the names of the checkpoint, statistics that are another layer's."""
    checkpoint = evidence.setting.checkpoint
    other = False
    for ours, theirs in ((pair.ours.mean, pair.theirs.mean), (pair.ours.variance, pair.theirs.variance)):
        if ours is None or theirs is None:
            return False
        key = evidence.setting.keys.get(ours, ours)
        mine, its = checkpoint.get(key), checkpoint.get(theirs)
        held = evidence.value(evidence.export, theirs)
        if mine is None or its is None or held is None or theirs == key:
            return False
        digest = evidence.setting.contents.digest
        if digest(held) != digest(its):
            return False
        other = other or digest(mine) != digest(its)
    return other


CAUSES: tuple[Cause, ...] = (
    KerasLearningPhase(),
    TrainingMode(),
    ZeroEpsilon(),
    Epsilon(),
    Axis(),
    GammaMissing(),
    NamesShifted(),
)
