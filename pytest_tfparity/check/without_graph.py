"""What a checkpoint and an export tell of each other by their tensors, where the checkpoint's graph cannot be had."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..diagnosis.case import Case
from ..diagnosis.causes import arrangement, averages, non_finite, precision, statistics, weights
from ..diagnosis.diagnose import diagnose
from ..diagnosis.evidence import Evidence
from ..diagnosis.health import checkpoint_health
from ..diagnosis.places.weights import provenances
from ..diagnosis.weights_parity import meant
from ..errors import TfparityError
from ..formats.model import HasGraph, HasOwnRuntime, HasWeights
from ..formats.store import ModelStore
from ..graph.edit.repair import Constant, repaired
from ..graph.graph import tensor_name
from ..graph.proof.proof import Side, normalised
from ..result import ParityResult
from ..settings.spec import ParitySpec
from .diagnosed import Opened, other_checkpoints
from .weights import constants_of

_CAUSES = (
    precision.FLOAT16,
    precision.BF16,
    arrangement.SHAPES_DIFFER,
    statistics.STATISTICS_NOT_FINITE,
    *averages.CAUSES,
    weights.STALE,
    weights.FOREIGN,
    *non_finite.CAUSES,
)
"""What bits decide, or all weights together. Anything else may be a fold of batch norm, which a graph would tell."""


def with_what_tensors_tell(spec: ParitySpec, models: ModelStore, result: ParityResult) -> ParityResult:
    """The result of a check that could not be opened with what its tensors tell, if the checkpoint lacks its graph."""
    found = None if spec.reference is None else models.open(spec.reference, spec.root)
    if not isinstance(found, HasWeights) or not isinstance(found, HasGraph) or _has_graph(found):
        return result
    export = models.open(spec.export, spec.root)
    if not isinstance(export, HasGraph) or isinstance(export, HasOwnRuntime):
        return result
    case = _case(spec, found, export)
    equal = [each for each in Evidence.of(case)[provenances].values() if each.kind in ("own", "shadow")]
    findings = tuple(
        replace(each, certainty="decisive", repaired_max_abs=None) if each.certainty == "proven" else each
        for each in diagnose(case, _CAUSES).findings
    )
    note = (
        f"Compared without a graph: of {len(case.keys)} constants of {case.export_name} that are named like a tensor of"
        f" {case.reference_name}, {len(equal)} hold that tensor or its average, bit for bit."
    )
    return replace(
        result,
        findings=findings,
        health=(*result.health, *checkpoint_health(found.tensors(), averages_used=False)),
        notes=(*result.notes, note),
    )


def _has_graph(model: HasGraph) -> bool:
    try:
        return bool(model.graph.nodes)
    except TfparityError:
        return False


def _case(spec: ParitySpec, reference: HasWeights, export: HasGraph) -> Case:
    """The export beside itself with the checkpoint's values in the constants that are named like its tensors."""
    outputs = [output.export for output in spec.outputs] or list(export.outputs())
    tensors, held = reference.tensors(), constants_of(export, outputs)
    keys = meant(held, tensors, reference.ema)
    constant = tuple(Constant(node=name, value=value) for name, value in export.restored.items())
    side = Side(
        graph=export.graph,
        outputs=tuple(map(tensor_name, outputs)),
        inputs=tuple(map(tensor_name, export.inputs(outputs))),
        feeds=export.feeds,
        variables=export.restored,
    )
    side = repaired(side, side, constant)
    right = tuple(Constant(node=name, value=tensors[key]) for name, key in keys.items())
    return Case(
        reference=normalised(repaired(side, side, right)),
        export=normalised(side),
        checkpoint=tensors,
        keys=keys,
        others=Opened(partial(other_checkpoints, spec, reference)),
        outputs=(),
        export_name=spec.shown(spec.export.path),
        reference_name=spec.shown(reference.path),
        reference_noun=reference.noun,
        reference_graph=f"{reference.noun}'s graph",
    )
