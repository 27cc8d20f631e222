"""Batch norm with another epsilon, axis or scale, or with another layer's statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...graph.batch_norm.pairs import BatchNormPair
from ...graph.edit.repair import Repair
from ...graph.graph import Array
from ...graph.layer import scope_of
from ...graph.read.tensors import values
from ...wording import enumerated
from ..alignment import counterpart
from ..cause import Cause
from ..evidence import Evidence
from ..needed import export_flow
from ..places.batch_norms import norm_as_reference, norm_node, norm_scopes
from ..tensor_names import averaged_by
from .kinds.batch_norms import BatchNorms, batch_norm_cause

_SAME_EPSILON = 2e-3
"""Share by which two spellings of one epsilon may differ: for cuDNN, fused ops of TensorFlow 1.x raise every epsilon
to at least 1.001e-5 (``CUDNN_BN_MIN_EPSILON``), so 1e-5 is read back 1e-3 of it too large. Twice that; the nearest
epsilons that people choose lie a factor of 2 apart."""


def _same_mode(pair: BatchNormPair) -> bool:
    return pair.reference.mode == pair.export.mode


# --- another epsilon


def _other_epsilon(evidence: Evidence, pair: BatchNormPair) -> bool:
    reference, export = pair.reference.epsilon, pair.export.epsilon
    return _same_mode(pair) and not same_epsilon(reference, export)


def same_epsilon(one: float, other: float) -> bool:
    """Whether two epsilons are one that is spelt in two ways."""
    return abs(one - other) <= _SAME_EPSILON * max(abs(one), abs(other))


def _epsilon(found: BatchNorms) -> str:
    """That of the reference."""
    return found.each(lambda pair: f"{pair.reference.epsilon:.3g}")


def _dead_channel(evidence: Evidence, pair: BatchNormPair) -> int | None:
    """The first channel of the export's layer whose variance is 0."""
    variance = evidence.export.value(pair.export.variance)
    dead = [] if variance is None else np.flatnonzero(values(variance) == 0).tolist()
    return dead[0] if dead else None


def _zero_epsilon_said(found: BatchNorms) -> str:
    first, *others = found.pairs
    more = f" (likewise {enumerated(norm_scopes(others))})" if others else ""
    return (
        f"{norm_node(found.evidence, first)}: epsilon is 0 and channel {_dead_channel(found.evidence, first)} has"
        f" variance 0{more}, so it answers NaN. The {found.reference_graph} has epsilon {_epsilon(found)}."
    )


ZERO_EPSILON = batch_norm_cause(
    id="nan-zero-epsilon",
    where=lambda evidence, pair: (
        pair.export.epsilon == 0 and pair.reference.epsilon != 0 and _dead_channel(evidence, pair) is not None
    ),
    says=_zero_epsilon_said,
    fix=lambda found: (
        f"Build the batch norms of the export graph with epsilon={_epsilon(found)}, as in training."
    ),
)

EPSILON = batch_norm_cause(
    id="bn-epsilon-mismatch",
    where=_other_epsilon,
    says=lambda found: (
        f"{found.layers}: epsilon is {found.each(lambda pair: f'{pair.export.epsilon:.3g}')} in"
        f" {found.export_name}, {_epsilon(found)} in the {found.reference_graph}."
    ),
    fix=lambda found: (
        f"Build the batch norms of the export graph with epsilon={_epsilon(found)}, as in training."
    ),
)

AXIS = batch_norm_cause(
    id="bn-axis",
    where=lambda evidence, pair: (
        _same_mode(pair)
        and pair.reference.axis != pair.export.axis
        and counterpart(evidence, pair.reference.input) == pair.export.input
    ),
    says=lambda found: (
        f"{found.layers}: axis {found.pairs[0].export.axis} in {found.export_name},"
        f" {found.pairs[0].reference.axis} in the {found.reference_graph}."
    ),
    fix=lambda found: f"Build the layer with axis={found.pairs[0].reference.axis}, as in training.",
)


# --- a scale or offset that is not used

_NEUTRAL = {"gamma": 1.0, "beta": 0.0}
_OPTIONS = {"gamma": "scale=True", "beta": "center=True"}


def _unused(evidence: Evidence, pair: BatchNormPair) -> tuple[str, ...]:
    """Which of gamma and beta the reference has trained and the export's layer does without."""
    return tuple(
        name for name in _NEUTRAL if _is_trained(evidence, pair, name) and _lacks(evidence, pair, name)
    )


def _is_trained(evidence: Evidence, pair: BatchNormPair, name: str) -> bool:
    value = evidence.reference.value(getattr(pair.reference, name))
    return value is not None and not _throughout(values(value), _NEUTRAL[name])


def _lacks(evidence: Evidence, pair: BatchNormPair, name: str) -> bool:
    """Whether the export's layer reads no such weight, or a neutral one that never was a variable."""
    constant = getattr(pair.export, name)
    if constant is None:
        return not getattr(pair.export, f"has_{name}")
    held = evidence.export.value(constant)
    neutral = held is not None and _throughout(values(held), _NEUTRAL[name])
    return neutral and not _was_variable(evidence, pair, constant)


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
    held = [evidence.export.value(other) for other in pair.export.weights if other not in (None, constant)]
    arrays = [values(each) for each in held if each is not None]
    return bool(arrays) and all(_throughout(array, float(array.reshape(-1)[0])) for array in arrays)


def _unused_said(found: BatchNorms) -> str:
    evidence = found.evidence
    lacking = [(pair, _unused(evidence, pair)) for pair in found.pairs]
    missing = enumerated([name for _, names in lacking for name in names])
    keys = [pair.reference.gamma if "gamma" in names else pair.reference.beta for pair, names in lacking]
    weights = enumerated([found.case.keys.get(key, key) for key in keys if key is not None])
    return (
        f"{found.layers}: the {found.reference_noun} has a trained {missing} ({weights}), and {found.export_name}"
        " normalises without it."
    )


def _unused_fix(found: BatchNorms) -> str:
    missing = {name for pair in found.pairs for name in _unused(found.evidence, pair)}
    flags = " and ".join(option for name, option in _OPTIONS.items() if name in missing)
    return (
        f"Build the batch norms of the export graph with {flags}, {found.case.restored}, {found.case.remake}."
    )


def _with_weights(evidence: Evidence, pair: BatchNormPair) -> Repair:
    unused, export = _unused(evidence, pair), pair.export
    export = replace(export, gamma=None) if "gamma" in unused else export
    export = replace(export, beta=None) if "beta" in unused else export
    return norm_as_reference(evidence, pair.reference, export)


GAMMA_MISSING = batch_norm_cause(
    id="bn-gamma-missing",
    where=lambda evidence, pair: bool(_unused(evidence, pair)),
    says=_unused_said,
    fix=_unused_fix,
    repair=_with_weights,
)


# --- statistics of another layer


def _shifted(evidence: Evidence, pair: BatchNormPair) -> bool:
    """Whether a layer reads, under the names of the checkpoint, statistics that are another layer's."""
    if _is_another_layer(evidence, pair):
        return False
    mean = _named_otherwise(evidence, pair.reference.mean, pair.export.mean)
    variance = _named_otherwise(evidence, pair.reference.variance, pair.export.variance)
    return mean is not None and variance is not None and (mean or variance)


def _is_another_layer(evidence: Evidence, pair: BatchNormPair) -> bool:
    """Whether gamma, beta or the kernel before are another layer's too, so that all of it stands here."""
    names = ("gamma", "beta", "kernel")
    return any(
        _named_otherwise(evidence, getattr(pair.reference, name), getattr(pair.export, name))
        for name in names
    )


def _named_otherwise(evidence: Evidence, reference: str | None, export: str | None) -> bool | None:
    """Whether a statistic of the export is another one of the checkpoint by its name and by its values.

    False where the values are alike; None where the name is the right one, or not what the constant holds.
    """
    checkpoint = evidence.case.checkpoint
    if reference is None or export is None:
        return None
    key = evidence.case.keys.get(reference, reference)
    if (averaged_by(key, checkpoint) or key) == (averaged_by(export, checkpoint) or export):
        return None
    right, named, held = checkpoint.get(key), checkpoint.get(export), evidence.export.value(export)
    if right is None or named is None or held is None:
        return None
    digest = evidence.case.contents.digest
    return None if digest(held) != digest(named) else digest(right) != digest(named)


def _layer(pair: BatchNormPair) -> str:
    weight = pair.export.gamma or pair.export.beta
    return scope_of(weight or "") or pair.scope


NAMES_SHIFTED = batch_norm_cause(
    id="bn-stats-names-shifted",
    where=_shifted,
    says=lambda found: (
        f"The batch norms of {found.each(_layer)} use the moving statistics of other layers:"
        f" {_layer(found.pairs[0])} reads {found.pairs[0].export.mean} in {found.export_name} and"
        f" {found.pairs[0].reference.mean} in the {found.reference_graph}."
    ),
    fix=(
        "Averages of tf.nn.moments are named in the order in which layers are built: build the layers in the order of"
        " training, or give each a variable scope of its own."
    ),
    repair=lambda evidence, pair: norm_as_reference(
        evidence, pair.reference, replace(pair.export, mean=None, variance=None)
    ),
)

CAUSES: tuple[Cause, ...] = (ZERO_EPSILON, EPSILON, AXIS, GAMMA_MISSING, NAMES_SHIFTED)
