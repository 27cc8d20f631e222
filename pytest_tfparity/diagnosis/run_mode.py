"""What this very run feeds the export, and the mode that this puts a batch norm into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..graph.batch_norm.find import BatchNorm, Mode
from ..graph.graph import Array, TensorName
from .evidence import Evidence
from .places.batch_norms import norms_with_feeds
from .query import query


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMode:
    """The mode that a batch norm has in this run: what ``decider`` is fed puts it there.

    ``value`` is what it is fed; None where nothing is, or where that is not known, and then the mode is ``"unknown"``.
    """

    decider: str
    mode: Mode
    value: bool | int | float | None = None


@query
def fed(evidence: Evidence) -> Mapping[TensorName, Array]:
    """What this run feeds the inputs of the export; empty where nothing is run."""
    inputs = {} if evidence.case.runner is None else evidence.case.runner.inputs
    pairs = zip(evidence.reference.inputs, evidence.export.inputs, strict=True)
    return {export: value for name, export in pairs if (value := inputs.get(str(name))) is not None}


def mode_in_this_run(evidence: Evidence, norm: BatchNorm) -> RunMode:
    """The mode of ``norm``, of the export, whose mode a feed decides."""
    decider = norm.decided_by or ""
    tensor = TensorName(decider, 0)
    value = evidence[fed].get(tensor)
    if value is None or value.size != 1:
        return RunMode(decider=decider, mode="unknown")
    number = value.reshape(()).item()
    export = evidence.export
    norms = norms_with_feeds(replace(export, feeds={**export.feeds, tensor: value}))
    modes = {each.mode for each in norms if each.input == norm.input or each.output == norm.output}
    mode = modes.pop() if len(modes) == 1 else "unknown"
    return RunMode(decider=decider, mode=mode, value=number)
