"""The causes of quantisation, each proven by taking back what integers did: of weights, of one range, of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...errors import TfparityError
from ...graph.graph import Graph, TensorName
from ...graph.layer import layer_of
from ...graph.lift.lifted import Stored
from ...graph.proof.proof import Side, normalised
from ...result import Certainty, Finding
from ...wording import enumerated
from ..alignment import reference_of
from ..case import Case
from ..certificate.certificate import Certificate
from ..certificate.weight import Weight
from ..evidence import Evidence
from ..runner import Translation
from .layers import decibels, layer_noise
from .ranges import RangeFault, RangeUse, range_use
from .weights import of_type, one_scale

_TOGETHER = 24
"""Tensors whose values are held at once while their ranges are looked at."""
_CAUSES: Mapping[RangeFault, str] = {
    "clipped": "tflite-quant-range-clipped",
    "inflated": "tflite-quant-range-inflated",
    "shifted": "tflite-zero-point",
}
_MOST_NAMED = 4
_LOST = 20.0
"""dB of a tensor that is cut off, by itself, below which nothing behind it can be right. Measured: of 335 tensors of 13
right int8 exports no tensor that is cut off at all has less than 30."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """An export with its weights as meant and all other repairs made (``side``), and how to run it.

    ``evidence`` is what is known of it with these repairs.
    """

    case: Case
    given: Case
    side: Side
    certificate: Certificate
    evidence: Evidence
    run: Translation

    @property
    def grids(self) -> Mapping[TensorName, Stored]:
        """The tensors that the file computes in integers, those that still stand in ``side``."""
        activations = self.run.export.lifted.activations
        nodes = self.side.graph.nodes
        return {
            name: held
            for name, held in activations.items()
            if held.grid is not None and not held.grid.per_channel and name.node in nodes
        }

    def is_right(self, graph: Graph, activations: Mapping[TensorName, Stored]) -> bool:
        """Whether a graph on these grids answers as the reference does but for the rounding of float32."""
        try:
            return self.run.is_right(replace(self.side, graph=graph), activations)
        except TfparityError:
            return False

    def passes(self, graph: Graph, activations: Mapping[TensorName, Stored]) -> bool:
        """Whether a graph on these grids answers as the reference does, within tolerance."""
        try:
            return self.run.passes(replace(self.side, graph=graph), activations)
        except TfparityError:
            return False


def quantisation_findings(export: Quantised) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What rounding to integers or 16 bits explains of a difference that nothing else explains.

    With a note where it is rounding, and no range, zero point or scale is at fault.
    """
    side, grids = export.side, export.grids
    if export.passes(side.graph, grids):
        return tuple(_of_weights(export, proven=export.run.faithful)), ()
    if not grids and export.is_right(side.graph, {}):
        return tuple(_of_weights(export, proven=False)), ()
    if grids and export.is_right(side.graph, {}):
        uses = list(_uses(export))
        found = tuple(_of_ranges(export, uses))
        return found, () if found else (_only_rounding(export),)
    return (), ()


def _of_weights(export: Quantised, *, proven: bool) -> Iterator[Finding]:
    """With the weights as they were meant parity returns: their type is what makes the difference.

    If it is not ``proven``, that is so but for the rounding of float32, which a tolerance may be below.
    """
    name = export.case.export_name
    certainty: Certainty = "proven" if proven else "decisive"
    several = one_scale(export.certificate)
    if several and export.passes(_with_meant(export, [each.weight for each in several]), export.grids):
        layers = tuple(dict.fromkeys(each.weight.layer for each in several))
        yield Finding(
            cause="tflite-per-tensor-quantisation",
            certainty=certainty,
            nodes=tuple(each.weight.constant for each in several),
            scopes=layers,
            message=(
                f"{enumerated(layers)}: one scale for all channels in {name}, although the channels differ: weights"
                f" are off by up to {several[0].worst:.3g} quanta of their own channel."
            ),
            fix="Quantise with a scale for each channel (the converter's default; do not disable per_channel).",
            evidence=("With these weights as they were meant parity returns.",),
        )
        return
    eight, half = of_type(export.certificate, "int8"), of_type(export.certificate, "float16")
    if eight and not export.grids:
        yield _of_type(export, eight, "tflite-dynamic-range", "int8", certainty)
    elif half:
        yield _of_type(export, half, "weights-fp16", "float16", certainty)
    elif eight:
        yield _of_type(export, eight, "weights-quantised-8bit", "int8", certainty)


def _of_type(
    export: Quantised, weights: Sequence[Weight], cause: str, kind: str, certainty: Certainty
) -> Finding:
    name = export.case.export_name
    layers = tuple(dict.fromkeys(each.layer for each in weights if each.layer))
    float_too = "activations are float" if kind == "int8" and not export.grids else "all else is right"
    return Finding(
        cause=cause,
        certainty=certainty,
        nodes=tuple(each.constant for each in weights),
        scopes=layers,
        message=(
            f"{name} holds {len(weights)} weights in {kind}, {float_too}: each is the reference's as near as"
            f" {kind} can hold it, and together that is more than the tolerance allows."
        ),
        fix=(
            "State the tolerance that this type can hold, or convert to float16 or float32"
            " (target_spec.supported_types)."
            if kind == "int8"
            else "State the tolerance that float16 can hold, or convert to float32."
        ),
        evidence=(
            "With the weights as they were before they were rounded"
            f" {'parity returns' if certainty == 'proven' else 'the difference goes, but for rounding'}.",
        ),
    )


def _with_meant(export: Quantised, weights: Sequence[Weight]) -> Graph:
    """The export as it was given, with only ``weights`` as they were meant."""
    only = Certificate(weights=tuple(weights)).as_meant()
    return Evidence.of(export.given).after(only).export.graph


def _of_ranges(export: Quantised, uses: Sequence[RangeUse]) -> Iterator[Finding]:
    """Without rounding to integers parity returns: which ranges are at fault."""
    faulty = [use for use in uses if use.fault is not None]
    for faults in (("shifted",), ("clipped",), ("inflated",), ("shifted", "clipped", "inflated")):
        chosen = [use for use in faulty if use.fault in faults]
        if not chosen:
            continue
        mended = {**export.grids, **{use.tensor: use.fitting for use in chosen}}
        if export.passes(export.side.graph, mended):
            proven: Certainty = "proven" if export.run.faithful else "decisive"
            yield from _told(export, chosen, proven, mended=True)
            return
    # Something else is off as well: that a range cuts off most of what is left of the signal is a fact all the same.
    surely = [use for use in faulty if use.fault != "inflated" and use.sqnr < _LOST]
    yield from _told(export, surely, "decisive")


def _only_rounding(export: Quantised) -> str:
    """That the tolerance is below what the integers of the file can hold, and where they hold least."""
    least = sorted(export.evidence[layer_noise], key=lambda each: each.own)[:_MOST_NAMED]
    layers = ", ".join(f"{each.layer} ({decibels(each.own)})" for each in least)
    named = f"; least exact by themselves are {layers}" if least else ""
    return (
        f"Rounding to integers makes the difference: in float, with the same graph and weights,"
        f" {export.case.export_name} answers as the reference does. No range is wrong{named}. State what these integers"
        " can hold: sqnr or steps of the output, or another atol."
    )


def _uses(export: Quantised) -> Iterator[RangeUse]:
    """How the values of the network in float use the range of each tensor, in the order of a run."""
    grids = list(export.grids.items())
    for start in range(0, len(grids), _TOGETHER):
        part = dict(grids[start : start + _TOGETHER])
        values = export.run.values(export.side, list(part))
        for tensor, stored in part.items():
            if stored.grid is not None and tensor in values:
                found = range_use(tensor, stored, stored.grid, values[tensor])
                if found is not None:
                    yield found


def _told(
    export: Quantised, chosen: Sequence[RangeUse], certainty: Certainty, *, mended: bool = False
) -> Iterator[Finding]:
    evidence = Evidence.of(replace(export.case, export=normalised(export.side, export.case.contents)))
    for fault, cause in _CAUSES.items():
        found = [use for use in chosen if _told_as(use, chosen) == fault]
        if not found:
            continue
        layers = {use.tensor: _layer(evidence, use.tensor) for use in found}
        worst = min(found, key=lambda use: use.sqnr)
        yield Finding(
            cause=cause,
            certainty=certainty,
            nodes=tuple(use.tensor.node for use in found),
            scopes=tuple(dict.fromkeys(layers.values())),
            message=_message(export.case, fault, found, layers, worst),
            fix=_FIXES[fault].format(reference=export.case.reference_name, zero=_zero_point(worst.fitting)),
            evidence=(
                *(
                    f"{layers[use.tensor]}: values {_range(use.used)}, range {_range(use.given)},"
                    f" {use.outside:.1%} outside, {use.sqnr:.1f} dB"
                    for use in sorted(found, key=lambda use: use.sqnr)[:_MOST_NAMED]
                ),
                "With the ranges that the values have, parity returns."
                if mended
                else "In float, with the same graph and weights, parity returns.",
            ),
        )


def _told_as(use: RangeUse, chosen: Sequence[RangeUse]) -> RangeFault | None:
    """The fault of a range: one in the wrong place is of the same data as others that are too narrow."""
    if use.fault == "shifted" and any(each.fault == "clipped" for each in chosen):
        return "clipped"
    return use.fault


_FIXES: Mapping[RangeFault, str] = {
    "clipped": (
        "Convert again with representative data like those that the network is asked, preprocessed as in training, and"
        " more of them."
    ),
    "inflated": (
        "Convert again with representative data preprocessed as in training and without outliers: their range is many"
        " times what the network takes."
    ),
    "shifted": "Convert {reference} again: with these values the zero point is {zero}.",
}


def _message(
    case: Case,
    fault: RangeFault,
    found: Sequence[RangeUse],
    layers: Mapping[TensorName, str],
    worst: RangeUse,
) -> str:
    place = enumerated(tuple(dict.fromkeys(layers.values())))
    name = case.export_name
    at = layers[worst.tensor]
    if fault == "clipped":
        how = "is too narrow" if worst.fault == "clipped" else "lies in another place"
        return (
            f"{place}: the range in {name} {how}. At {at} it ends at {_range(worst.given)}, the reference's values go"
            f" from {worst.used[0]:.3g} to {worst.used[1]:.3g}: {worst.outside:.1%} of them are cut off."
        )
    if fault == "inflated":
        times = (worst.given[1] - worst.given[0]) / max(worst.used[1] - worst.used[0], 1e-30)
        return (
            f"{place}: the range in {name} is too wide. At {at} it is {_range(worst.given)}, {times:.3g} times what the"
            f" reference's values use, {_range(worst.used)}."
        )
    return (
        f"{place}: the zero point in {name} is wrong. At {at} it is {_zero_point(worst.stored)}, so the range"
        f" {_range(worst.given)} is wide enough for the reference's values, {_range(worst.used)}, and in another place."
    )


def _layer(evidence: Evidence, tensor: TensorName) -> str:
    """The layer of the reference that computes what a tensor of the export is; else that of its own name."""
    nodes = evidence.export.graph.nodes
    while nodes[tensor.node].op == "Identity" and nodes[tensor.node].inputs:
        tensor = nodes[tensor.node].inputs[0]
    node = evidence[reference_of].get(tensor.node)
    if node is None and tensor in evidence.export.inputs:
        node = evidence.reference.inputs[evidence.export.inputs.index(tensor)].node
    return layer_of(node if node is not None else tensor.node)


def _zero_point(stored: Stored) -> int:
    return int(stored.grid.zero_point.flat[0]) if stored.grid is not None else 0


def _range(ends: tuple[float, float]) -> str:
    return f"[{ends[0]:.3g}, {ends[1]:.3g}]"
