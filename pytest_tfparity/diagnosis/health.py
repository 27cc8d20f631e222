"""What is wrong with a checkpoint itself, although parity may hold. Warnings, so only on clear evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

import numpy as np

from ..graph.batch_norm.find import BatchNorm
from ..graph.graph import Array, Graph, Tensor, TensorName
from ..graph.layer import base_name, layer_of, layers_of, scope_of
from ..graph.read.tensors import values
from ..result import Health
from ..wording import enumerated
from .arrays import not_finite
from .tensor_names import averaged_by, is_model_variable, is_statistic, plain_name, shadow_of

_VARIANCES = {"moving_mean": ("moving_variance", "moving_var"), "running_mean": ("running_var",)}
_UNCONVERGED = 0.1
"""Share of the initial value that a moving average may still hold without a warning: a tenth of a bias is less
than training moves it in its last steps. A decay of 0.999 gets there in 2,300 steps."""
_NEAR_START = 0.5
"""Below this share of its variable's norm an average that started at 0 has gone less than half the way."""


def checkpoint_health(
    tensors: Mapping[str, Tensor],
    *,
    batch_norms: Sequence[BatchNorm] = (),
    named: Collection[str] = (),
    graph: Graph | None = None,
    averages_used: bool = True,
    noun: str = "checkpoint",
) -> tuple[Health, ...]:
    """Everything that the checkpoint's tensors themselves show to be wrong.

    ``batch_norms`` are those of the reference, ``named`` the variables that its ``.meta`` names,
    ``graph`` the whole graph of the ``.meta``, ``averages_used`` whether the reference restores
    moving averages, ``noun`` what the reference is.
    """
    steps = global_step(tensors)
    found = [
        *_never_updated(tensors, batch_norms, steps, graph),
        *not_saved(tensors, batch_norms, named),
        *_not_finite(tensors, noun),
        *_zero_epsilon(tensors, batch_norms),
    ]
    if averages_used:
        found += unconverged(tensors, steps, graph)
    return tuple(found)


def global_step(tensors: Mapping[str, Tensor]) -> int | None:
    """The step that the checkpoint was written at, or None where it does not say."""
    for name, tensor in tensors.items():
        if base_name(plain_name(name)) in ("global_step", "iter") and tensor.shape == ():
            value = tensor.array
            if value.dtype.kind in "iu":
                return int(value)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statistics:
    """Moving mean and variance of one layer, by their names; ``start`` is the variance's initial value."""

    scope: str
    mean: str
    variance: str
    start: float = 1.0


def _statistics(tensors: Mapping[str, Tensor], batch_norms: Sequence[BatchNorm]) -> Iterator[_Statistics]:
    """The statistics of every batch norm of the checkpoint: by their names, then as the graph reads them."""
    seen: set[str] = set()
    for name in tensors:
        plain = plain_name(name)
        scope, slash, last = plain.rpartition("/")
        for ending in _VARIANCES.get(last, ()):
            variance = f"{scope}{slash}{ending}{name[len(plain) :]}"
            if variance in tensors:
                seen.add(name)
                yield _Statistics(scope=scope, mean=name, variance=variance)
    for norm in batch_norms:
        mean, variance = norm.mean or "", norm.variance or ""
        if mean in tensors and variance in tensors and mean not in seen:
            seen.add(mean)
            averages = mean.endswith("/ExponentialMovingAverage")  # of the batch's moments, from zero on
            yield _Statistics(scope=norm.scope, mean=mean, variance=variance, start=0.0 if averages else 1.0)


def _never_updated(
    tensors: Mapping[str, Tensor],
    batch_norms: Sequence[BatchNorm],
    steps: int | None,
    graph: Graph | None,
) -> Iterator[Health]:
    if not steps:
        return
    untouched, moved = _by_movement(tensors, batch_norms)
    found = [each for each in untouched if not _deliberate(graph, each.mean, moved)]
    if not found:
        return
    first = found[0]
    others = f" (as in {len(found) - 1} more of its layers)" if len(found) > 1 else ""
    yield Health(
        cause="bn-stats-never-updated",
        scopes=tuple(dict.fromkeys(each.scope for each in found)),
        message=(
            f"{plain_name(first.mean)} is still 0 and {plain_name(first.variance)} still {first.start:g} after"
            f" {steps} steps{others}: the update ops were never run. Wrap minimize in"
            " tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS))."
        ),
    )


def _by_movement(
    tensors: Mapping[str, Tensor], batch_norms: Sequence[BatchNorm]
) -> tuple[list[_Statistics], list[str]]:
    """The statistics of trained layers that are still at their start, and the means of those that are not."""
    by_mean = {norm.mean: norm for norm in batch_norms}
    untouched: list[_Statistics] = []
    moved: list[str] = []
    for each in _statistics(tensors, batch_norms):
        norm = by_mean.get(each.mean)
        if not _all(tensors[each.mean], 0.0) or not _all(tensors[each.variance], each.start):
            moved.append(each.mean)
        elif norm is None:
            if _trained(tensors, f"{each.scope}/gamma", f"{each.scope}/beta"):
                untouched.append(each)
        elif _trained(tensors, norm.gamma, norm.beta):
            untouched.append(replace(each, scope=norm.scope or each.scope))
    return untouched, moved


def _trained(tensors: Mapping[str, Tensor], gamma: str | None, beta: str | None) -> bool:
    """Whether the layer was trained: its scale or shift has moved; without either, any other layer's."""
    own = [
        (name, value) for name, value in ((gamma, 1.0), (beta, 0.0)) if name is not None and name in tensors
    ]
    if own:
        return any(not _all(tensors[name], value) for name, value in own)
    starts = {"gamma": 1.0, "beta": 0.0, "bias": 0.0, "biases": 0.0}
    return any(
        not _all(tensor, starts[last])
        for name, tensor in tensors.items()
        if (last := base_name(plain_name(name))) in starts and is_model_variable(name, tensors)
    )


def _deliberate(graph: Graph | None, mean: str, moved: Collection[str]) -> bool:
    """Whether the training graph itself never updates the statistic: a frozen layer.

    Where it updates none of those in ``moved`` either, it is not the graph that trained them.
    """
    if graph is None or not any(
        node.op.startswith(("Apply", "ResourceApply")) for node in graph.nodes.values()
    ):
        return False
    updated = _updated(graph)
    return mean not in updated and all(other in updated for other in moved)


def _updated(graph: Graph) -> set[str]:
    """The moving statistics that some op of the graph changes."""
    written = {"AssignSub", "Assign", "AssignSubVariableOp", "AssignVariableOp", "AssignAdd"}
    return {
        _target(graph, node.inputs[0])
        for node in graph.nodes.values()
        if node.op in written and "AssignMovingAvg" in node.name
    }


def _target(graph: Graph, tensor: TensorName) -> str:
    node = graph.nodes.get(tensor.node)
    while (
        node is not None
        and node.op in ("Identity", "Switch", "RefSwitch", "Enter", "RefEnter")
        and node.inputs
    ):
        node = graph.nodes.get(node.inputs[0].node)
    return "" if node is None else node.name


def not_saved(
    tensors: Mapping[str, Tensor], batch_norms: Sequence[BatchNorm], named: Collection[str]
) -> Iterator[Health]:
    """Statistics that the network has and the checkpoint lacks, although it has the layer's other weights.

    ``batch_norms`` name their weights as the checkpoint does; ``named`` are further variables of the graph.
    """
    found = list(_lost_of_layers(tensors, batch_norms))
    known = {name for _, _, name in found}
    found += _lost_by_name(tensors, [name for name in named if name not in known])
    if not found:
        return
    scopes = tuple(dict.fromkeys(scope for scope, _, _ in found))
    saved = next(saved for _, saved, _ in found)
    lost = sorted(name for scope, _, name in found if scope == scopes[0])
    others = f" ({len(scopes)} layers in all)" if len(scopes) > 1 else ""
    yield Health(
        cause="bn-stats-not-saved",
        scopes=scopes,
        message=(
            f"The checkpoint has {enumerated(saved[:2])} but no {', '.join(lost)}{others}:"
            " Saver(tf.trainable_variables()), for one, leaves them out. Save tf.global_variables(); if the run is"
            " gone, re-estimate the statistics with forward passes in training mode."
        ),
    )


_Lost: TypeAlias = "tuple[str, tuple[str, ...], str]"
"""A layer's scope, those of its weights that were saved, and a statistic that was not."""


def _lost_of_layers(tensors: Mapping[str, Tensor], batch_norms: Sequence[BatchNorm]) -> Iterator[_Lost]:
    """The lost statistics that the graph reads."""
    for norm in batch_norms:
        weights = filter(None, (norm.gamma, norm.beta, norm.kernel, norm.bias))
        saved = tuple(name for name in weights if name in tensors)
        for name in filter(None, (norm.mean, norm.variance)):
            if saved and _is_lost(name, tensors):
                yield norm.scope or layer_of(name), saved, name


def _lost_by_name(tensors: Mapping[str, Tensor], named: Iterable[str]) -> Iterator[_Lost]:
    """The lost statistics among the graph's variables, by their names."""
    for name in named:
        scope = scope_of(name)
        saved = tuple(each for part in ("gamma", "beta") if (each := f"{scope}/{part}") in tensors)
        if saved and is_statistic(name) and _is_lost(name, tensors):
            yield scope, saved, name


def _is_lost(name: str, tensors: Mapping[str, Tensor]) -> bool:
    return name not in tensors and shadow_of(name, tensors) is None


def _not_finite(tensors: Mapping[str, Tensor], noun: str) -> Iterator[Health]:
    for name, tensor in tensors.items():
        if not _floats(tensor) or not (is_model_variable(name, tensors) or averaged_by(name, tensors)):
            continue
        bad = not_finite(tensor)
        if bad:
            statistic = is_statistic(averaged_by(name, tensors) or name)
            yield Health(
                cause="bn-variance-nonfinite" if statistic else "non-finite",
                scopes=(layer_of(plain_name(name)),),
                message=(
                    f"{plain_name(name)} of the {noun} holds NaN or infinity in {bad} of {prod(tensor.shape)}"
                    " values: the training diverged, or a value overflowed, before it was saved. Go back to"
                    " an earlier checkpoint."
                ),
            )


def _zero_epsilon(tensors: Mapping[str, Tensor], batch_norms: Sequence[BatchNorm]) -> Iterator[Health]:
    for norm in batch_norms:
        if norm.epsilon != 0.0 or norm.variance is None or norm.variance not in tensors:
            continue
        zero = np.flatnonzero(values(tensors[norm.variance]).reshape(-1) == 0)
        if zero.size:
            yield Health(
                cause="nan-zero-epsilon",
                scopes=(norm.scope,),
                message=(
                    f"{norm.node}: epsilon is 0 and channel {int(zero[0])} of {norm.variance} is 0,"
                    " so that channel becomes NaN. Give the layer an epsilon, such as 1e-3."
                ),
            )


def unconverged(tensors: Mapping[str, Tensor], steps: int | None, graph: Graph | None) -> list[Health]:
    """Averages of variables that started at zero and are still near it, though the variable is not."""
    if not steps:
        return []
    decay = _decay(graph)
    left = None if decay is None else decay**steps
    if left is not None and left < _UNCONVERGED:
        return []
    near: list[str] = []
    away: list[str] = []
    for name, shadow, tensor in _zero_started(tensors):
        ratio = _norm(values(tensors[shadow])) / tensor
        (near if ratio < _NEAR_START else away).append(name)
    if not near or away:
        return []
    known = f"After {steps} steps "
    if left is None:
        known += f"the moving averages of {len(near)} variables that started at 0 are still near 0"
    else:
        known += f"a decay of {decay:g} leaves {100 * left:.0f}% of the initial value in the shadow"
    return [
        Health(
            cause="ema-unconverged",
            scopes=layers_of(map(plain_name, near)),
            message=(
                f"{known}: the averaged model is not the trained one. Pass num_updates=global_step to"
                " tf.train.ExponentialMovingAverage, or export the variables themselves."
            ),
        )
    ]


def _zero_started(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str, float]]:
    for name, tensor in tensors.items():
        last = base_name(plain_name(name))
        shadow = shadow_of(name, tensors) if last in ("bias", "biases", "beta", "b") else None
        if shadow is not None and _floats(tensor):
            size = _norm(values(tensor))
            if np.isfinite(size) and size > 0:
                yield name, shadow, size


def _decay(graph: Graph | None) -> float | None:
    """The decay of the weights' moving average, where it is a constant (no ``num_updates``)."""
    decays: set[float] = set()
    for node in graph.nodes.values() if graph is not None else ():
        if node.op == "Const" and node.name.endswith("ExponentialMovingAverage/decay"):
            value = node.attrs.get("value")
            if isinstance(value, Tensor) and value.shape == ():
                decays.add(float(value.array))
    return decays.pop() if len(decays) == 1 else None


def _floats(tensor: Tensor) -> bool:
    return tensor.dtype.number in (1, 2, 14, 19)


def _all(tensor: Tensor, value: float) -> bool:
    array: Array = values(tensor)
    return array.size > 0 and bool((array == value).all())


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))
