"""Batch norm with another epsilon, axis or scale, or with another layer's statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from ...graph.edit.graft import Repair
from ...graph.graph import Array
from ..alignment import counterpart
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..flow import export_flow
from ..places.batch_norms import Pair, as_reference, nodes_of, pairs_of, repairs_of, scopes_of, some
from ..relations import values
from ..tensor_names import averaged_by
from ..wording import listed


class Epsilon(Cause):
    """A batch norm with another epsilon than in training."""

    id: ClassVar[str] = "bn-epsilon-mismatch"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [
            pair
            for pair in pairs_of(evidence)
            if pair.ours.mode == pair.theirs.mode and _differ(pair.ours.epsilon, pair.theirs.epsilon)
        ]
        if not pairs:
            return
        theirs = listed([f"{pair.theirs.epsilon:.3g}" for pair in pairs])
        ours = listed([f"{pair.ours.epsilon:.3g}" for pair in pairs])
        yield Suspicion(
            cause=self.id,
            nodes=nodes_of(evidence, pairs),
            scopes=scopes_of(pairs),
            message=(
                f"{some(pairs)}: epsilon is {theirs} in {evidence.case.export_name}, {ours} in the"
                " checkpoint's graph."
            ),
            fix=f"Build the batch norms of the export graph with epsilon={ours}, as in training.",
            repair=repairs_of(evidence, pairs),
        )


def _differ(one: float, other: float) -> bool:
    """Whether two epsilons are not the same number: fused ops raise 1e-5 to 1.001e-5."""
    return abs(one - other) > 2e-3 * max(abs(one), abs(other))


class ZeroEpsilon(Cause):
    """Epsilon 0 and a channel of variance 0."""

    id: ClassVar[str] = "nan-zero-epsilon"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs: list[Pair] = []
        channels: list[int] = []
        for pair in pairs_of(evidence):
            if pair.theirs.epsilon != 0 or pair.ours.epsilon == 0:
                continue
            variance = evidence.export.value(pair.theirs.variance)
            dead = [] if variance is None else np.flatnonzero(values(variance) == 0).tolist()
            if dead:
                pairs.append(pair)
                channels.append(dead[0])
        if not pairs:
            return
        ours = listed([f"{pair.ours.epsilon:.3g}" for pair in pairs])
        first = f"{pairs[0].node(evidence)}: epsilon is 0 and channel {channels[0]} has variance 0"
        more = f" (likewise {listed(scopes_of(pairs[1:]))})" if len(pairs) > 1 else ""
        yield Suspicion(
            cause=self.id,
            nodes=nodes_of(evidence, pairs),
            scopes=scopes_of(pairs),
            message=f"{first}{more}, so it answers NaN. The checkpoint's graph has epsilon {ours}.",
            fix=f"Export with epsilon={ours}; a converter has dropped it.",
            repair=repairs_of(evidence, pairs),
        )


class Axis(Cause):
    """A batch norm over another axis."""

    id: ClassVar[str] = "bn-axis"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [
            pair
            for pair in pairs_of(evidence)
            if pair.ours.axis != pair.theirs.axis
            and pair.ours.mode == pair.theirs.mode
            and counterpart(evidence, pair.ours.input) == pair.theirs.input
        ]
        if not pairs:
            return
        axes = f"axis {pairs[0].theirs.axis} in {evidence.case.export_name}"
        yield Suspicion(
            cause=self.id,
            nodes=nodes_of(evidence, pairs),
            scopes=scopes_of(pairs),
            message=f"{some(pairs)}: {axes}, {pairs[0].ours.axis} in the checkpoint's graph.",
            fix=f"Build the layer with axis={pairs[0].ours.axis}, as in training.",
            repair=repairs_of(evidence, pairs),
        )


class GammaMissing(Cause):
    """A trained gamma or beta that the export does not use."""

    id: ClassVar[str] = "bn-gamma-missing"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        lacking = [(pair, _lacks(evidence, pair)) for pair in pairs_of(evidence)]
        pairs = [pair for pair, names in lacking if names]
        if not pairs:
            return
        missing = listed(list(dict.fromkeys(name for _, names in lacking for name in names)))
        keys = [pair.ours.gamma if "gamma" in names else pair.ours.beta for pair, names in lacking if names]
        named = listed([evidence.case.keys.get(key, key) for key in keys if key is not None])
        options = {"gamma": "scale=True", "beta": "center=True"}
        flags = [options[name] for name in ("gamma", "beta") if name in missing]
        yield Suspicion(
            cause=self.id,
            nodes=nodes_of(evidence, pairs),
            scopes=scopes_of(pairs),
            message=(
                f"{some(pairs)}: the checkpoint has a trained {missing} ({named}), and"
                f" {evidence.case.export_name} normalises without it."
            ),
            fix=f"Build the batch norms of the export graph with {' and '.join(flags)}, restore, freeze again.",
            repair=tuple(edit for pair in pairs for edit in _with_weights(evidence, pair)),
        )


def _with_weights(evidence: Evidence, pair: Pair) -> Repair:
    lacks = _lacks(evidence, pair)
    bare = replace(
        pair.theirs,
        gamma=None if "gamma" in lacks else pair.theirs.gamma,
        beta=None if "beta" in lacks else pair.theirs.beta,
    )
    return as_reference(evidence, pair.ours, bare)


def _lacks(evidence: Evidence, pair: Pair) -> tuple[str, ...]:
    """Which of gamma and beta the reference has trained and the export's layer does without."""
    found = []
    for name, neutral in (("gamma", 1.0), ("beta", 0.0)):
        ours, theirs = getattr(pair.ours, name), getattr(pair.theirs, name)
        trained = evidence.reference.value(ours)
        if trained is None or _throughout(values(trained), neutral):
            continue
        if theirs is None:
            if not getattr(pair.theirs, f"has_{name}"):
                found.append(name)
        elif not _was_variable(evidence, pair, theirs):
            held = evidence.export.value(theirs)
            if held is not None and _throughout(values(held), neutral):
                found.append(name)
    return tuple(found)


def _throughout(array: Array, value: float) -> bool:
    return bool((array == value).all())


def _was_variable(evidence: Evidence, pair: Pair, constant: str) -> bool:
    """Whether a constant of the export was a variable before it was frozen: by its name or its read."""
    if constant in evidence.case.keys or constant in evidence.case.checkpoint:
        return True
    readers = [evidence[export_flow].nodes[name] for name in evidence[export_flow].readers.get(constant, ())]
    if any(node.op == "Identity" for node in readers):
        return True
    # Of a layer whose weights are all at their start, none is known to be missing.
    others = [getattr(pair.theirs, name) for name in ("gamma", "beta", "mean", "variance")]
    held = [evidence.export.value(other) for other in others if other not in (None, constant)]
    arrays = [values(each) for each in held if each is not None]
    return bool(arrays) and all(_throughout(array, float(array.reshape(-1)[0])) for array in arrays)


class NamesShifted(Cause):
    """Statistics of one layer that another layer reads under their own name."""

    id: ClassVar[str] = "bn-stats-names-shifted"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        pairs = [pair for pair in pairs_of(evidence) if _shifted(evidence, pair)]
        if not pairs:
            return
        first = pairs[0]
        scopes = [_layer(pair) for pair in pairs]
        yield Suspicion(
            cause=self.id,
            nodes=nodes_of(evidence, pairs),
            scopes=scopes_of(pairs),
            message=(
                f"The batch norms of {listed(scopes)} use statistics of other layers, each under its own"
                f" name: {_layer(first)} reads {first.theirs.mean} in {evidence.case.export_name} and"
                f" {first.ours.mean} in the checkpoint's graph."
            ),
            fix=(
                "Names of EMA-of-moments statistics follow the order of construction: build the layers in"
                " training's order, or give each its own variable scope, and restore by consumer."
            ),
            repair=tuple(edit for pair in pairs for edit in _own_statistics(evidence, pair)),
        )


def _layer(pair: Pair) -> str:
    weight = pair.theirs.gamma or pair.theirs.beta
    return weight.rpartition("/")[0] if weight is not None and "/" in weight else pair.scope


def _own_statistics(evidence: Evidence, pair: Pair) -> Repair:
    return as_reference(evidence, pair.ours, replace(pair.theirs, mean=None, variance=None))


def _shifted(evidence: Evidence, pair: Pair) -> bool:
    """Whether a layer reads, under the names of the checkpoint, statistics that are another layer's."""
    checkpoint = evidence.case.checkpoint
    other = False
    for ours, theirs in ((pair.ours.mean, pair.theirs.mean), (pair.ours.variance, pair.theirs.variance)):
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
