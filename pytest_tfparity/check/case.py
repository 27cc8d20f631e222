"""What a check looks into beside the numbers: the checkpoint's health, and why a check failed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison.compare import compare
from ..diagnosis.behaviour import Answers, Role, Trials
from ..diagnosis.case import Case, Tensors
from ..diagnosis.causes import CAUSES, ON_WRONG_INPUTS
from ..diagnosis.causes.comparability import UnloadableReferences
from ..diagnosis.diagnose import Diagnosis, diagnose, suspect
from ..diagnosis.health import checkpoint_health
from ..diagnosis.relations import is_float, values
from ..errors import FeedError, ModelError, TensorNotFound, TfparityError
from ..formats.model import HasGraph, HasSession, HasWeights, Model, Repairable
from ..graph.batch_norm.find import find_batch_norms
from ..graph.graph import Array
from ..graph.proof.proof import Side
from ..graph.read.loadable import lost_references
from ..result import Finding, Health, OutputComparison
from ..runtime.activations import Activation
from ..runtime.activations import measure as activations
from ..runtime.importing import registered_ops
from .pair import Pair


def health_of(pair: Pair) -> tuple[Health, ...]:
    """What is wrong with the checkpoint itself, read without TensorFlow."""
    model = pair.reference
    if not isinstance(model, HasWeights) or not isinstance(model, HasGraph):
        return ()
    side = pair.side("reference")
    keys = _keys(model)
    return checkpoint_health(
        model.tensors(),
        batch_norms=[
            norm.named_by(keys)
            for norm in find_batch_norms(side.graph, side.outputs, side.inputs, side.feeds, side.variables)
        ],
        named=model.variable_names(),
        graph=side.graph,
        averages_used=any(key.endswith("/ExponentialMovingAverage") for key in keys.values()),
    )


def examine(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
) -> Diagnosis:
    """Why the export differs: ``outputs`` is how, ``expected`` the reference's answer to ``inputs``."""
    return diagnose(case_of(pair, outputs, inputs, expected))


def examine_error(
    pair: Pair, error: TfparityError, inputs: Mapping[str, Array], expected: Mapping[str, Array] | None
) -> Diagnosis | None:
    """What can be said without numbers where a side cannot be run; None where the error says it all.

    ``expected`` is the reference's answer where that could be run, so that a repair can be tried.
    """
    if isinstance(error, TensorNotFound) or not isinstance(error, ModelError | FeedError):
        return None
    causes = CAUSES if isinstance(error, ModelError) else ON_WRONG_INPUTS
    case = case_of(pair, (), inputs, expected or {})
    if expected is None:
        case = replace(case, run=None, measure=None)
    return diagnose(case, causes)


def unloadable(pair: Pair) -> Finding | None:
    """Why TensorFlow does not import the export as a whole, although what the outputs need of it runs."""
    if not isinstance(pair.export, HasGraph) or not lost_references(pair.export.graph):
        return None
    side = pair.side("export")
    case = Case(
        reference=side,
        export=side,
        checkpoint={},
        keys={},
        others=dict,
        outputs=(),
        export_name=pair.spec.shown(pair.spec.export.path),
        reference_name="",
    )
    return next(iter(diagnose(case, (UnloadableReferences(),)).findings), None)


def unsound_weights(pair: Pair) -> bool:
    """Whether a weight that the outputs of the reference need is not finite."""
    side = pair.side("reference")
    live = side.graph.live(map(str, side.outputs), map(str, side.feeds))
    arrays = (values(side.variables[name]) for name in live if name in side.variables)
    return any(is_float(array) and not np.isfinite(array).all() for array in arrays)


def case_of(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
) -> Case:
    """Both sides as the diagnosis wants them."""
    reference = pair.model("reference")
    others: dict[str, Tensors] = {}

    def other_tensors() -> Mapping[str, Tensors]:
        if not others and isinstance(reference, HasWeights):
            others.update({pair.spec.shown(path): held for path, held in reference.siblings().items()})
        return others

    def run(side: Side) -> tuple[OutputComparison, ...]:
        feeds = {
            str(name): inputs[entry.reference] for name, entry in zip(side.inputs, pair.inputs, strict=True)
        }
        names = list(map(str, side.outputs))
        with closing(_repairable(pair).rewritten(side, reference)) as model:
            found = model.run(feeds, names, session=pair.spec.session)
        return tuple(
            compare(
                expected[output.reference],
                found[name],
                output.tolerance,
                reference_name=output.reference,
                export_name=output.export,
            )
            for output, name in zip(pair.outputs, names, strict=True)
        )

    def answer(role: Role, feeds: Mapping[str, Array]) -> Answers:
        found = pair.run(role, feeds)
        return tuple(found[getattr(output, role)] for output in pair.outputs)

    def measure(side: Side, aligned: Mapping[str, str]) -> tuple[Activation, ...]:
        measured = pair.side("reference")
        return activations(
            measured,
            side,
            aligned,
            {name: inputs[entry.reference] for name, entry in zip(measured.inputs, pair.inputs, strict=True)},
            libraries=(
                lambda: _library(reference),
                lambda: _repairable(pair).rewritten(side, reference).library(),
            ),
        )

    weights = reference if isinstance(reference, HasWeights) else None
    repairable = isinstance(pair.export, Repairable)
    return Case(
        reference=pair.side("reference"),
        export=pair.side("export"),
        contents=pair.contents,
        checkpoint=weights.tensors() if weights else {},
        keys=_keys(weights) if weights else {},
        parts={name: key.slice for name, key in weights.keys().items() if key.slice} if weights else {},
        others=other_tensors,
        outputs=outputs,
        export_name=pair.spec.shown(pair.spec.export.path),
        reference_name=pair.spec.shown(reference.path),
        run=run if repairable else None,
        trials=Trials(inputs=inputs, answer=answer) if inputs else None,
        measure=measure if inputs and repairable else None,
        known_op=lambda op: op in registered_ops(),
    )


def write_repaired(pair: Pair, side: Side, path: Path) -> None:
    """Write the repaired export ``side`` as a file of its format with the outputs' own names."""
    names = pair.side("export").outputs
    _repairable(pair).rewritten(side, pair.model("reference"), names).write(path)


def stale(pair: Pair, outputs: tuple[OutputComparison, ...]) -> tuple[Health, ...]:
    """A warning if the export is within tolerance, but with the weights of another step or run."""
    case = replace(case_of(pair, outputs, {}, {}), run=None)
    return tuple(
        Health(
            cause="stale-export",
            scopes=suspicion.scopes,
            message=f"The export is within tolerance, but its weights are others: {suspicion.message}",
        )
        for suspicion in suspect(case, ("stale-export", "other-run"))
    )


def _repairable(pair: Pair) -> Repairable:
    if not isinstance(pair.export, Repairable):
        raise ModelError(
            f"{pair.export.label} ({pair.export.noun}) cannot be repaired: this format is not written."
        )
    return pair.export


def _library(model: Model) -> Any:
    return model.graph_def().library if isinstance(model, HasSession) else None


def _keys(model: HasWeights) -> Mapping[str, str]:
    return {name: key.key for name, key in model.keys().items()}
