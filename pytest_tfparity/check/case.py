"""What a check looks into beside the numbers: the checkpoint's health, and why a check failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..comparison.compare import compare
from ..diagnosis.behaviour import Answers, Role, Trials
from ..diagnosis.case import Case, Tensors
from ..diagnosis.causes import CAUSES, ON_WRONG_INPUTS
from ..diagnosis.causes.loading import LOST_REFERENCES
from ..diagnosis.diagnose import Diagnosis, diagnose, suspect
from ..diagnosis.health import checkpoint_health
from ..diagnosis.relations import is_float, values
from ..errors import FeedError, ModelError, TensorNotFound, TfparityError
from ..formats.checkpoint import Checkpoint
from ..formats.repaired import graph_def_of, run_repaired
from ..graph.batch_norm.find import find_batch_norms
from ..graph.graph import Array
from ..graph.proof.proof import Side
from ..graph.read.bundle import Bundle, other_checkpoints
from ..graph.read.loadable import lost_references
from ..result import Finding, Health, OutputComparison
from ..runtime.activations import Activation
from ..runtime.activations import measure as activations
from ..runtime.importing import registered_ops
from .pair import Pair

_OTHERS = 12
"""How many other checkpoints near the reference's are looked at, the nearest by name first."""


def health_of(pair: Pair) -> tuple[Health, ...]:
    """What is wrong with the checkpoint itself, read without TensorFlow."""
    checkpoint = pair.reference
    if not isinstance(checkpoint, Checkpoint):
        return ()
    side = pair.side("reference")
    tensors = checkpoint.bundle.tensors
    return checkpoint_health(
        tensors,
        batch_norms=[
            norm.named_by(_keys(checkpoint))
            for norm in find_batch_norms(side.graph, side.outputs, side.inputs, side.feeds, side.variables)
        ],
        named=[variable.name for variable in checkpoint.meta.variables],
        graph=side.graph,
        averages_used=any(key.key.endswith("/ExponentialMovingAverage") for key in checkpoint.keys.values()),
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
    if not lost_references(pair.export.graph):
        return None
    side = pair.side("export")
    case = Case(
        reference=side,
        export=side,
        checkpoint={},
        keys={},
        others=dict,
        outputs=(),
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
        reference_name="",
    )
    return next(iter(diagnose(case, (LOST_REFERENCES,)).findings), None)


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
    checkpoint = pair.model("reference")
    assert isinstance(checkpoint, Checkpoint)
    others: dict[str, Tensors] = {}

    def other_tensors() -> Mapping[str, Tensors]:
        if not others:
            for prefix in nearby_checkpoints(checkpoint):
                others[pair.spec.shown(prefix)] = Bundle(prefix).tensors
        return others

    def run(side: Side) -> tuple[OutputComparison, ...]:
        feeds = {
            str(name): inputs[entry.reference] for name, entry in zip(side.inputs, pair.inputs, strict=True)
        }
        found = run_repaired(side, feeds, pair.export, checkpoint, session=pair.spec.session)
        return tuple(
            compare(
                expected[output.reference],
                found[name],
                output.tolerance,
                reference_name=output.reference,
                export_name=output.export,
            )
            for output, name in zip(pair.outputs, side.outputs, strict=True)
        )

    def answer(role: Role, feeds: Mapping[str, Array]) -> Answers:
        found = pair.run(role, feeds)
        return tuple(found[getattr(output, role)] for output in pair.outputs)

    def measure(side: Side, aligned: Mapping[str, str]) -> tuple[Activation, ...]:
        reference = pair.side("reference")
        return activations(
            reference,
            side,
            aligned,
            {
                name: inputs[entry.reference]
                for name, entry in zip(reference.inputs, pair.inputs, strict=True)
            },
            libraries=(
                lambda: checkpoint.graph_def().library,
                lambda: graph_def_of(side, side.outputs, pair.export, checkpoint).library,
            ),
        )

    return Case(
        reference=pair.side("reference"),
        export=pair.side("export"),
        contents=pair.contents,
        checkpoint=checkpoint.bundle.tensors,
        keys=_keys(checkpoint),
        parts={name: key.slice for name, key in checkpoint.keys.items() if key.slice},
        others=other_tensors,
        outputs=outputs,
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
        reference_name=pair.spec.shown(checkpoint.prefix),
        run=run,
        trials=Trials(inputs=inputs, answer=answer) if inputs else None,
        measure=measure if inputs else None,
        known_op=lambda op: op in registered_ops(),
    )


def write_repaired(pair: Pair, side: Side, path: Path) -> None:
    """Write the repaired export ``side`` as a frozen graph with the outputs' own names."""
    names = pair.side("export").outputs
    graph_def = graph_def_of(side, names, pair.export, pair.model("reference"))
    path.write_bytes(graph_def.SerializeToString())


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


def nearby_checkpoints(checkpoint: Checkpoint) -> list[Path]:
    """The other checkpoints of the folder, and of the folders in it."""
    prefix = checkpoint.prefix
    found = list(other_checkpoints(prefix))
    for folder in sorted(path for path in prefix.parent.iterdir() if path.is_dir()):
        found += other_checkpoints(folder / "-")
    return found[:_OTHERS]


def _keys(checkpoint: Checkpoint) -> Mapping[str, str]:
    return {name: key.key for name, key in checkpoint.keys.items()}
