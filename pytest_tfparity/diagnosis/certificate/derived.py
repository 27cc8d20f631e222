"""What the constants of the reference come to before anything is fed: what a converter may have computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.graph import Node
from ...graph.read.tensors import values
from ..evidence import ReferenceEvidence
from ..needed import live_reference
from ..places.batch_norms import reference_norms
from ..query import reference_query

Numbers: TypeAlias = npt.NDArray[Any]

_MOST = 1 << 16
"""Values of a tensor that is computed: scales and offsets, no kernels."""
_UNARY: Mapping[str, Callable[[Numbers], Numbers]] = {
    "Neg": np.negative, "Sqrt": np.sqrt, "Rsqrt": lambda value: 1 / np.sqrt(value), "Square": np.square,
    "Reciprocal": lambda value: 1 / value, "Inv": lambda value: 1 / value, "Exp": np.exp, "Log": np.log,
}  # fmt: skip
_BINARY: Mapping[str, Callable[[Numbers, Numbers], Numbers]] = {
    "Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide, "Div": np.divide,
    "Maximum": np.maximum, "Minimum": np.minimum, "Pow": np.power,
}  # fmt: skip
_SAME = frozenset({"Identity", "ReadVariableOp", "Cast", "Reshape", "Squeeze", "ExpandDims", "StopGradient"})
"""What changes no value: shapes do not count, since a constant is looked up flat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A constant of the reference or what constants come to, flat, in float64.

    ``size`` is that of the terms that it was computed from; None where nothing was computed.
    """

    name: str
    value: Numbers
    size: Numbers | None


@reference_query
def derived(evidence: ReferenceEvidence) -> tuple[Derived, ...]:
    """Every constant and weight of the reference, with what is computed of constants alone, in the order of a run.

    Batch norms count by what they come to: a scale, its inverse and an offset.
    """
    found = {each.name: each for each in _batch_norms(evidence)}
    shaped: dict[str, tuple[Numbers, Numbers | None]] = {}
    for name, node in evidence[live_reference].items():
        made = _value(evidence, node, shaped)
        if made is not None:
            shaped[name] = made
            value, size = made
            found[name] = Derived(
                name=name, value=value.reshape(-1), size=None if size is None else size.reshape(-1)
            )
    return tuple(found.values())


def _value(
    evidence: ReferenceEvidence, node: Node, known: Mapping[str, tuple[Numbers, Numbers | None]]
) -> tuple[Numbers, Numbers | None] | None:
    held = evidence.reference.value(node.name)
    if held is not None:
        array = values(held)
        return (array, None) if array.dtype.kind in "fiu" and array.size else None
    inputs = [known.get(source.node) for source in node.inputs]
    if node.op in _SAME:
        return inputs[0] if inputs else None
    given = [each for each in inputs if each is not None and each[0].size <= _MOST]
    return _computed(node.op, given) if given and len(given) == len(inputs) else None


def _computed(op: str, given: Sequence[tuple[Numbers, Numbers | None]]) -> tuple[Numbers, Numbers] | None:
    arrays = [value.astype(np.float64) for value, _ in given]
    with np.errstate(all="ignore"):
        if op in _UNARY and len(arrays) == 1:
            value = _UNARY[op](arrays[0])
            return value, np.abs(value)
        if op in _BINARY and len(arrays) == 2:
            sizes = [np.abs(value) if size is None else size for value, size in given]
            return _combined(op, arrays, sizes)
    return None


def _combined(op: str, arrays: list[Numbers], sizes: list[Numbers]) -> tuple[Numbers, Numbers] | None:
    try:
        value = _BINARY[op](*arrays)
    except ValueError:  # reshapes were left out
        return None
    adds = op in ("Add", "AddV2", "Sub")
    size = sizes[0] + sizes[1] if adds else np.abs(value)
    return value, np.broadcast_to(size, value.shape)


def _batch_norms(evidence: ReferenceEvidence) -> Iterator[Derived]:
    side = evidence.reference
    for norm in evidence[reference_norms]:
        held = {name: side.value(name) for name in norm.weights if name is not None}
        vectors = {
            name: values(value).astype(np.float64).reshape(-1)
            for name, value in held.items()
            if value is not None
        }
        if norm.mean not in vectors or norm.variance not in vectors:
            continue
        mean, variance = vectors[norm.mean], vectors[norm.variance]
        gamma = vectors.get(norm.gamma or "", np.ones_like(mean))
        beta = vectors.get(norm.beta or "", np.zeros_like(mean))
        with np.errstate(all="ignore"):
            scale = gamma / np.sqrt(variance + norm.epsilon)
            inverse = 1 / scale
        offset, terms = beta - mean * scale, np.abs(beta) + np.abs(mean * scale)
        yield Derived(name=f"{norm.scope}/scale", value=scale, size=np.abs(scale))
        yield Derived(name=f"{norm.scope}/divisor", value=inverse, size=np.abs(inverse))
        yield Derived(name=f"{norm.scope}/offset", value=offset, size=terms)
