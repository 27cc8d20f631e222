"""The weights that a restore may have put into a layer before it was folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import numpy as np

from ...graph.batch_norm.find import BatchNorm
from ...graph.edit.repair import tensor_of_array
from ...graph.graph import Tensor
from ...graph.read.tensors import values
from ..evidence import Evidence
from ..tensor_names import averaged_by, shadow_of
from .batch_norms import reference_norms
from .fold_formula import HALVES, LayerWeights, as_low


def origins(evidence: Evidence, norm: BatchNorm) -> Iterator[LayerWeights]:
    """Sets of weights that a restore may have put into the layer, the reference's first, each once.

    The reference's, all raw, all averaged, one of both for the statistics, the statistics at their start,
    those of other checkpoints, all of them and the statistics alone, each in half precision, and the kernels of other
    layers.
    """
    seen: set[tuple[bytes, ...]] = set()
    digest = evidence.case.contents.digest
    for weights in _all_origins(evidence, norm):
        key = tuple(digest(weights[name]) for name in sorted(weights))
        if key not in seen:
            seen.add(key)
            yield weights


def _all_origins(evidence: Evidence, norm: BatchNorm) -> Iterator[LayerWeights]:
    names = [name for name in (norm.kernel, norm.bias, *norm.weights) if name is not None]
    statistics = [name for name in (norm.mean, norm.variance) if name is not None]
    expected = _held(evidence, names)
    raw_keys = _raw_keys(evidence, names)
    raw, averaged = _restored(evidence, expected, raw_keys)
    yield from (expected, raw, averaged)
    for one, other in ((averaged, raw), (raw, averaged)):
        yield {name: (other if name in statistics else one)[name] for name in one}
    start = _start(norm, expected)
    yield from ({**trained, **start} for trained in (expected, raw, averaged))
    known = {name: raw_keys[name] for name in statistics if name in raw_keys}
    for elsewhere in evidence.case.others.values():
        yield from _of(elsewhere, expected, raw_keys)
        yield from _of(elsewhere, expected, known)
    for kind in HALVES:
        for trained in (expected, raw, averaged):
            yield {name: _lowered(value, kind) for name, value in trained.items()}
    yield from _mistaken(evidence, norm, expected)


def _held(evidence: Evidence, names: Iterable[str]) -> LayerWeights:
    """What the reference has for each of ``names``, where it has anything."""
    held = ((name, evidence.reference.value(name)) for name in names)
    return {name: value for name, value in held if value is not None}


def _raw_keys(evidence: Evidence, names: Iterable[str]) -> Mapping[str, str]:
    """The checkpoint's variable, not its average, that each of ``names`` is restored from or averages."""
    tensors, keys = evidence.case.checkpoint, evidence.case.keys
    return {name: averaged_by(key, tensors) or key for name in names if (key := keys.get(name))}


def _restored(
    evidence: Evidence, expected: LayerWeights, raw_keys: Mapping[str, str]
) -> tuple[LayerWeights, LayerWeights]:
    """The layer as restored without averages, and with all of them."""
    tensors = evidence.case.checkpoint
    raw = {**expected, **{name: tensors[key] for name, key in raw_keys.items() if key in tensors}}
    averages = {name: shadow_of(key, tensors) for name, key in raw_keys.items()}
    return raw, {**raw, **{name: tensors[key] for name, key in averages.items() if key is not None}}


def _start(norm: BatchNorm, expected: LayerWeights) -> LayerWeights:
    """The statistics at their initial values."""
    start = {norm.mean: np.float32(0), norm.variance: np.float32(1)}
    return {
        name: tensor_of_array(np.full(value.shape, start[name], values(value).dtype))
        for name, value in expected.items()
        if name in start
    }


def _lowered(value: Tensor, kind: str) -> Tensor:
    return tensor_of_array(as_low(values(value), kind)) if values(value).dtype == np.float32 else value


def _mistaken(evidence: Evidence, norm: BatchNorm, expected: LayerWeights) -> Iterator[LayerWeights]:
    """The layer with the kernel, and with all weights, of each other layer where they fit."""
    for other in evidence[reference_norms]:
        if other is norm:
            continue
        found = _in_the_roles_of(evidence, norm, other)
        if found and all(
            name in found and found[name].shape == value.shape for name, value in expected.items()
        ):
            if norm.kernel is not None:
                yield {**expected, norm.kernel: found[norm.kernel]}
            yield found


def _in_the_roles_of(evidence: Evidence, norm: BatchNorm, other: BatchNorm) -> LayerWeights:
    """The weights of ``other`` by the names that those of ``norm`` have; empty where either has one more."""
    roles = (norm.kernel, norm.bias, *norm.weights)
    sources = (other.kernel, other.bias, *other.weights)
    if [each is None for each in sources] != [each is None for each in roles]:
        return {}
    return {
        name: value
        for name, source in zip(roles, sources, strict=True)
        if name is not None and (value := evidence.reference.value(source)) is not None
    }


def _of(other: LayerWeights, expected: LayerWeights, raw_keys: Mapping[str, str]) -> Iterable[LayerWeights]:
    """The weights of another checkpoint, raw and averaged, as far as it has them in the same shapes."""
    averages = {name: shadow_of(key, other) or key for name, key in raw_keys.items()}
    for keys in (raw_keys, averages):
        fits = [key in other and other[key].shape == expected[name].shape for name, key in keys.items()]
        if all(fits):
            yield dict(chain(expected.items(), ((name, other[key]) for name, key in keys.items())))
