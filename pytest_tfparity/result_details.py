"""What the pictures of a report need, as plain data: the optional ``details`` of a check in ``report.json``.

A number that does not exist (not finite, not comparable, not measured) is None.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

NodeRole: TypeAlias = Literal["culprit", "differs", "same"]
Holds: TypeAlias = Literal["raw", "average", "other"]
Quantiles: TypeAlias = tuple[float, ...]
"""Smallest value, lower quartile, median, upper quartile, largest value; or all values where they are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDifference:
    """By how much a node of the export differs. ``index`` is its place among all that were measured.

    ``accumulated`` is the largest absolute difference of both sides run on their own, ``own`` that of the
    node given the reference's inputs, ``scale`` the reference's largest absolute value. ``culprit`` says
    that a finding names it, ``position`` is the node's place in the file of the export.
    """

    index: int
    name: str
    op: str
    accumulated: float | None
    own: float | None
    scale: float
    culprit: bool = False
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifferences:
    """How the values of one output differ.

    ``counts[i]`` values differ by at least ``edges[i]`` and less than ``edges[i + 1]``, ``equal`` not at all,
    ``beyond`` by what is no number. ``points`` are (reference, export) of a sample, the worst first. ``step`` is the
    distance of two values that a quantised output can hold: then the edges lie half way between its multiples.
    """

    reference: str
    export: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    equal: int
    beyond: int
    total: int
    points: tuple[tuple[float, float], ...]
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSummary:
    """One weight of a batch norm on both sides; None where a side lacks it."""

    name: Literal["gamma", "beta", "mean", "variance"]
    reference: Quantiles | None
    export: Quantiles | None
    max_abs: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormRow:
    """A batch norm layer: its mode (training, inference, unknown; None where it is missing) and its weights."""

    scope: str
    reference_mode: str | None
    export_mode: str | None
    weights: tuple[WeightSummary, ...]
    divergent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRow:
    """A constant of the export that stands for a variable: which of its values it holds.

    ``holds`` and ``expected`` say whether that is the variable as it was trained or its moving average;
    ``origin`` is where the value comes from, as the diagnosis calls it, and ``source`` the checkpoint's tensor.
    ``distance`` is the largest absolute difference from the expected value, ``spread`` that between variable
    and average.
    """

    variable: str
    constant: str
    expected: Holds
    holds: Holds
    origin: str
    source: str | None
    distance: float | None
    spread: float | None
    wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """How exactly the runtime of an export computes a layer. ``index`` is its place among all that were measured.

    ``own`` is the ratio of signal to noise in dB where the reference's layer was given what the runtime computed before
    it, ``accumulated`` where each side ran on its own; None where all values are equal. ``used`` are the least and the
    greatest value of the reference, ``given`` the ends of the range that the file gives, if it gives one. ``type`` is
    that of the values in the file; ``culprit`` says that the layer stands out or that a finding names it.
    """

    index: int
    name: str
    type: str
    own: float | None
    accumulated: float | None
    used: tuple[float, float]
    given: tuple[float, float] | None = None
    culprit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnNode:
    """A node of a small drawing."""

    name: str
    op: str
    role: NodeRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A small part of a graph; ``edges`` are (from, to) by index of ``nodes``."""

    nodes: tuple[DrawnNode, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """What lies around a culprit of finding number ``finding``, on both sides."""

    finding: int
    node: str
    reference: Drawing | None
    export: Drawing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Where one side looks in an image: rows of values from 0 up, and its likeliest classes (index, value)."""

    rows: tuple[tuple[float, ...], ...]
    classes: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GradCam:
    """Grad-CAM of both sides over one input image, which is a ``data:`` address."""

    image: str
    width: int
    height: int
    reference: HeatMap
    export: HeatMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What the pictures of one check need. Each ``..._total`` counts what there was before some was left out.

    ``problems`` are sentences about parts that could not be made.
    """

    nodes: tuple[NodeDifference, ...] = ()
    nodes_total: int = 0
    outputs: tuple[OutputDifferences, ...] = ()
    batch_norms: tuple[BatchNormRow, ...] = ()
    batch_norms_total: int = 0
    weights: tuple[WeightRow, ...] = ()
    weights_total: int = 0
    layers: tuple[LayerRow, ...] = ()
    layers_total: int = 0
    neighbourhoods: tuple[Neighbourhood, ...] = ()
    grad_cam: tuple[GradCam, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Details:
        """The details out of ``report.json``; keys that a later version has added are passed over."""
        made: Details = _made(cls, entry)
        return made


@cache
def _types(cls: type) -> Mapping[str, Any]:
    return typing.get_type_hints(cls)


def _made(kind: Any, value: Any) -> Any:
    """``value``, read from JSON, as ``kind``: a dataclass, a tuple of something, or what it is."""
    if value is None:
        return None
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        known = _types(kind)
        return kind(**{name: _made(known[name], item) for name, item in value.items() if name in known})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _made(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple:
        if arguments[-1] is ...:
            return tuple([_made(arguments[0], item) for item in value])
        return tuple([_made(each, item) for each, item in zip(arguments, value, strict=True)])
    return value
