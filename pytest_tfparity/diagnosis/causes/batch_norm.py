"""Batch norm with another epsilon, axis or scale, or with another layer's statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from ...graph.batch_norm.pairs import BatchNormPair
from ...graph.edit.graft import Repair
from ...graph.graph import Array
from ..alignment import counterpart
from ..arrays import values
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow
from ..places.batch_norms import (
    listed_norms,
    norm_as_reference,
    norm_node,
    norm_nodes,
    norm_pairs,
    norm_scopes,
    norms_as_reference,
)
from ..tensor_names import averaged_by
from ..wording import listed


class Epsilon(Cause):
    """A batch norm with another epsilon than in training."""

    id: ClassVar[str] = "bn-epsilon-mismatch"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [
            pair
            for pair in evidence[norm_pairs]
            if pair.reference.mode == pair.export.mode
            and _differ(pair.reference.epsilon, pair.export.epsilon)
        ]
        if not pairs:
            return
        theirs = listed([f"{pair.export.epsilon:.3g}" for pair in pairs])
        ours = listed([f"{pair.reference.epsilon:.3g}" for pair in pairs])
        yield Suspicion(
            cause=self.id,
            nodes=norm_nodes(evidence, pairs),
            scopes=norm_scopes(pairs),
            message=(
                f"{listed_norms(pairs)}: epsilon is {theirs} in {evidence.case.export_name}, {ours} in the"
                " checkpoint's graph."
            ),
            fix=f"Build the batch norms of the export graph with epsilon={ours}, as in training.",
            repair=norms_as_reference(evidence, pairs),
        )


def _differ(one: float, other: float) -> bool:
    """Whether two epsilons are not the same number: fused ops raise 1e-5 to 1.001e-5."""
    return abs(one - other) > 2e-3 * max(abs(one), abs(other))


class ZeroEpsilon(Cause):
    """Epsilon 0 and a channel of variance 0."""

    id: ClassVar[str] = "nan-zero-epsilon"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs: list[BatchNormPair] = []
        channels: list[int] = []
        for pair in evidence[norm_pairs]:
            if pair.export.epsilon != 0 or pair.reference.epsilon == 0:
                continue
            variance = evidence.export.value(pair.export.variance)
            dead = [] if variance is None else np.flatnonzero(values(variance) == 0).tolist()
            if dead:
                pairs.append(pair)
                channels.append(dead[0])
        if not pairs:
            return
        ours = listed([f"{pair.reference.epsilon:.3g}" for pair in pairs])
        first = f"{norm_node(evidence, pairs[0])}: epsilon is 0 and channel {channels[0]} has variance 0"
        more = f" (likewise {listed(norm_scopes(pairs[1:]))})" if len(pairs) > 1 else ""
        yield Suspicion(
            cause=self.id,
            nodes=norm_nodes(evidence, pairs),
            scopes=norm_scopes(pairs),
            message=f"{first}{more}, so it answers NaN. The checkpoint's graph has epsilon {ours}.",
            fix=f"Export with epsilon={ours}; a converter has dropped it.",
            repair=norms_as_reference(evidence, pairs),
        )


class Axis(Cause):
    """A batch norm over another axis."""

    id: ClassVar[str] = "bn-axis"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [
            pair
            for pair in evidence[norm_pairs]
            if pair.reference.axis != pair.export.axis
            and pair.reference.mode == pair.export.mode
            and counterpart(evidence, pair.reference.input) == pair.export.input
        ]
        if not pairs:
            return
        axes = f"axis {pairs[0].export.axis} in {evidence.case.export_name}"
        yield Suspicion(
            cause=self.id,
            nodes=norm_nodes(evidence, pairs),
            scopes=norm_scopes(pairs),
            message=f"{listed_norms(pairs)}: {axes}, {pairs[0].reference.axis} in the checkpoint's graph.",
            fix=f"Build the layer with axis={pairs[0].reference.axis}, as in training.",
            repair=norms_as_reference(evidence, pairs),
        )


class GammaMissing(Cause):
    """A trained gamma or beta that the export does not use."""

    id: ClassVar[str] = "bn-gamma-missing"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        lacking = [(pair, _lacks(evidence, pair)) for pair in evidence[norm_pairs]]
        pairs = [pair for pair, names in lacking if names]
        if not pairs:
            return
        missing = listed(list(dict.fromkeys(name for _, names in lacking for name in names)))
        keys = [
            pair.reference.gamma if "gamma" in names else pair.reference.beta
            for pair, names in lacking
            if names
        ]
        named = listed([evidence.case.keys.get(key, key) for key in keys if key is not None])
        options = {"gamma": "scale=True", "beta": "center=True"}
        flags = [options[name] for name in ("gamma", "beta") if name in missing]
        yield Suspicion(
            cause=self.id,
            nodes=norm_nodes(evidence, pairs),
            scopes=norm_scopes(pairs),
            message=(
                f"{listed_norms(pairs)}: the checkpoint has a trained {missing} ({named}), and"
                f" {evidence.case.export_name} normalises without it."
            ),
            fix=f"Build the batch norms of the export graph with {' and '.join(flags)}, restore, freeze again.",
            repair=tuple(edit for pair in pairs for edit in _with_weights(evidence, pair)),
        )


def _with_weights(evidence: Evidence, pair: BatchNormPair) -> Repair:
    lacks = _lacks(evidence, pair)
    bare = replace(
        pair.export,
        gamma=None if "gamma" in lacks else pair.export.gamma,
        beta=None if "beta" in lacks else pair.export.beta,
    )
    return norm_as_reference(evidence, pair.reference, bare)


def _lacks(evidence: Evidence, pair: BatchNormPair) -> tuple[str, ...]:
    """Which of gamma and beta the reference has trained and the export's layer does without."""
    found = []
    for name, neutral in (("gamma", 1.0), ("beta", 0.0)):
        ours, theirs = getattr(pair.reference, name), getattr(pair.export, name)
        trained = evidence.reference.value(ours)
        if trained is None or _throughout(values(trained), neutral):
            continue
        if theirs is None:
            if not getattr(pair.export, f"has_{name}"):
                found.append(name)
        elif not _was_variable(evidence, pair, theirs):
            held = evidence.export.value(theirs)
            if held is not None and _throughout(values(held), neutral):
                found.append(name)
    return tuple(found)


def _throughout(array: Array, value: float) -> bool:
    return bool((array == value).all())


def _was_variable(evidence: Evidence, pair: BatchNormPair, constant: str) -> bool:
    """Whether a constant of the export was a variable before it was frozen: by its name or its read."""
    if constant in evidence.case.keys or constant in evidence.case.checkpoint:
        return True
    readers = [evidence[export_flow].nodes[name] for name in evidence[export_flow].readers.get(constant, ())]
    if any(node.op == "Identity" for node in readers):
        return True
    # Of a layer whose weights are all at their start, none is known to be missing.
    others = [getattr(pair.export, name) for name in ("gamma", "beta", "mean", "variance")]
    held = [evidence.export.value(other) for other in others if other not in (None, constant)]
    arrays = [values(each) for each in held if each is not None]
    return bool(arrays) and all(_throughout(array, float(array.reshape(-1)[0])) for array in arrays)


class NamesShifted(Cause):
    """Statistics of one layer that another layer reads under their own name."""

    id: ClassVar[str] = "bn-stats-names-shifted"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in evidence[norm_pairs] if _shifted(evidence, pair)]
        if not pairs:
            return
        first = pairs[0]
        scopes = [_layer(pair) for pair in pairs]
        yield Suspicion(
            cause=self.id,
            nodes=norm_nodes(evidence, pairs),
            scopes=norm_scopes(pairs),
            message=(
                f"The batch norms of {listed(scopes)} use statistics of other layers, each under its own"
                f" name: {_layer(first)} reads {first.export.mean} in {evidence.case.export_name} and"
                f" {first.reference.mean} in the checkpoint's graph."
            ),
            fix=(
                "Names of EMA-of-moments statistics follow the order of construction: build the layers in"
                " training's order, or give each its own variable scope, and restore by consumer."
            ),
            repair=tuple(edit for pair in pairs for edit in _own_statistics(evidence, pair)),
        )


def _layer(pair: BatchNormPair) -> str:
    weight = pair.export.gamma or pair.export.beta
    return weight.rpartition("/")[0] if weight is not None and "/" in weight else pair.scope


def _own_statistics(evidence: Evidence, pair: BatchNormPair) -> Repair:
    return norm_as_reference(evidence, pair.reference, replace(pair.export, mean=None, variance=None))


def _shifted(evidence: Evidence, pair: BatchNormPair) -> bool:
    """Whether a layer reads, under the names of the checkpoint, statistics that are another layer's."""
    checkpoint = evidence.case.checkpoint
    other = False
    for ours, theirs in (
        (pair.reference.mean, pair.export.mean),
        (pair.reference.variance, pair.export.variance),
    ):
        if ours is None or theirs is None:
            return False
        key = evidence.case.keys.get(ours, ours)
        if (averaged_by(key, checkpoint) or key) == (averaged_by(theirs, checkpoint) or theirs):
            return False
        mine, its = checkpoint.get(key), checkpoint.get(theirs)
        held = evidence.export.value(theirs)
        if mine is None or its is None or held is None:
            return False
        digest = evidence.case.contents.digest
        if digest(held) != digest(its):
            return False
        other = other or digest(mine) != digest(its)
    return other


CAUSES: tuple[Cause, ...] = (ZeroEpsilon(), Epsilon(), Axis(), GammaMissing(), NamesShifted())
