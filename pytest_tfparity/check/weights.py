"""``compare: weights``: a reference that has no graph against the constants of the export."""

from __future__ import annotations

from dataclasses import replace

from ..diagnosis.weights_parity import WeightsComparison, weights_parity
from ..errors import ModelError, SettingsError
from ..formats.model import HasGraph, HasWeights
from ..formats.registry import formats_for
from ..formats.store import ModelStore
from ..graph.graph import Tensor
from ..result import ParityResult
from ..settings.spec import ParitySpec
from ..wording import counted, verb
from .verdict import refused

_SHOWN = 8
"""Differences that are listed, one a line; the others are counted. So that a failure fits on a screen."""


def compare_weights(spec: ParitySpec, models: ModelStore, draft: ParityResult) -> ParityResult:
    """State whether the export's constants are the reference's, bit for bit.

    A pass is no proof of parity: how the constants are wired is not compared. That TensorFlow would not import the
    file is a note: it is judged by its weights alone. Raises
    ``SettingsError`` where the reference holds moving averages and nobody said which were meant.
    """
    usual = formats_for("reference")[0].noun
    if spec.reference is None:
        raise SettingsError(f"`compare: weights` needs a `reference`, such as a {usual}.")
    export = models.open(spec.export, spec.root)
    if not isinstance(export, HasGraph):
        raise SettingsError(f"`compare: weights` needs an export with a graph; {export.label} has none.")
    reference = models.open(spec.reference, spec.root)
    if not isinstance(reference, HasWeights):
        raise SettingsError(
            f"`compare: weights` needs a reference that holds weights by name, such as a {usual};"
            f" {reference.label} ({reference.noun}) holds none."
        )
    constants = constants_of(export, [output.export for output in spec.outputs])
    found = weights_parity(constants, reference.tensors(), ema=reference.ema)
    if found.undecided and found.passed:
        raise SettingsError(
            f"{draft.reference} holds moving averages, and the export holds"
            f" {'averages' if found.averaged else 'raw weights'}. Say which is right: `ema: none`, `trainable`,"
            " `all` or name patterns under `reference`."
        )
    notes = (*_notes(found, reference.noun), *refused(spec, export))
    if found.passed:
        return replace(
            draft, verdict="pass", unproven="the weights alone were compared, not the graph", notes=notes
        )
    return replace(draft, verdict="fail", notes=notes)


def constants_of(export: HasGraph, outputs: list[str]) -> dict[str, Tensor]:
    """The constants and restored variables that the outputs (default: all final tensors) need, by node name."""
    live = export.graph.live(outputs or list(export.outputs()))
    if not live:
        raise ModelError(
            f"{export.label} computes none of the outputs that the check names. Name tensors that it has under"
            " `outputs`, or none, to compare all weights."
        )
    held = {name: node.attrs.get("value") for name, node in live.items() if node.op == "Const"}
    constants = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    return {**constants, **{name: value for name, value in export.restored.items() if name in live}}


def _notes(found: WeightsComparison, noun: str) -> tuple[str, ...]:
    if found.passed:
        lacking = verb(found.left_out, "is", "are")
        left = (
            f" {counted(len(found.left_out), 'variable')} of the {noun} {lacking} not in it."
            if found.left_out
            else ""
        )
        equal = f"{counted(found.equal, 'constant')} {'is' if found.equal == 1 else 'are'}"
        return (f"{equal} the {noun}'s, bit for bit.{left}",)
    shown = [mismatch.told(noun) for mismatch in found.mismatches[:_SHOWN]]
    more = len(found.mismatches) - _SHOWN
    head = f"the weights are not the {noun}'s: {len(found.mismatches)} differences"
    return (head, *shown, *([f"and {more} more"] if more > 0 else []))
