"""A file of another runtime as a graph of TensorFlow ops, and how the file holds what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..graph import DType, Graph, TensorName
from ..read.tensors import dtype_name

_SPELT = {"float": "float32", "half": "float16", "double": "float64"}

Floats: TypeAlias = npt.NDArray[np.floating[Any]]


def type_name(dtype: DType) -> str:
    """A type as people call it: ``float16`` for what TensorFlow calls ``half``."""
    name = dtype_name(dtype)
    return _SPELT.get(name, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What the integers of a quantised tensor mean: ``scale * (integer - zero_point)``.

    ``scale`` (float64) and ``zero_point`` (int64) have shapes that broadcast to the tensor's in the lifted
    graph, [1] for one of the whole tensor. The integers lie between ``lowest`` and ``highest``.
    """

    scale: Floats
    zero_point: npt.NDArray[np.int64]
    lowest: int
    highest: int

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return self.scale.size > 1

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest number that a tensor of one scale can hold."""
        scale, zero_point = float(self.scale.flat[0]), int(self.zero_point.flat[0])
        return scale * (self.lowest - zero_point), scale * (self.highest - zero_point)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How a file holds a tensor: its name there, its type ("float32", "float16", "int8") and the grid of integers."""

    name: str
    type: str
    grid: Grid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A graph of TensorFlow ops in float32 that computes what a file of another runtime does, but for its kernels.

    Constants are dequantised and in TensorFlow's layouts. ``inputs`` and ``outputs`` are names that a user states,
    each a node of ``graph``; ``stored`` says how the file holds the constants (by node), ``activations`` how it
    holds what is computed. ``opaque`` are the nodes of no known TensorFlow op: they can be compared with nothing and
    not be run; each with what the file calls the op.
    """

    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stored: Mapping[str, Stored] = field(default_factory=dict)
    activations: Mapping[TensorName, Stored] = field(default_factory=dict)
    opaque: Mapping[str, str] = field(default_factory=dict)

    @property
    def types(self) -> frozenset[str]:
        """The types that the file holds weights in."""
        return frozenset(each.type for each in self.stored.values())

    @property
    def is_narrow(self) -> bool:
        """Whether the file holds numbers in fewer bits than float32 has: then that rounds more than arithmetic does."""
        held = (*self.stored.values(), *self.activations.values())
        return any(each.grid is not None or each.type in _HALVES for each in held)


_HALVES = frozenset({"float16", "bfloat16"})
