"""What a check looks into beside the numbers: the checkpoint's health, and why a check failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..diagnosis.arrays import is_float, values
from ..diagnosis.case import Case, Tensors
from ..diagnosis.causes import CAUSES, ON_WRONG_INPUTS
from ..diagnosis.causes.comparability import UnloadableReferences
from ..diagnosis.diagnose import Diagnosis, diagnose, suspect
from ..diagnosis.health import checkpoint_health
from ..diagnosis.runner import ComparedOutput, ModelRunner
from ..errors import FeedError, ModelError, TensorNotFound, TfparityError
from ..formats.checkpoint import Checkpoint
from ..formats.repaired import graph_def_of
from ..graph.batch_norm.find import find_batch_norms
from ..graph.graph import Array
from ..graph.proof.proof import Side
from ..graph.read.bundle import Bundle, other_checkpoints
from ..graph.read.loadable import lost_references
from ..result import Finding, Health, OutputComparison
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
    return diagnose(case_of(pair, (), inputs, expected), causes)


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
        outputs=(),
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
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
    expected: Mapping[str, Array] | None,
) -> Case:
    """Both sides as the diagnosis wants them; ``expected`` is None where the reference could not be run."""
    checkpoint = pair.model("reference")
    assert isinstance(checkpoint, Checkpoint)
    reference = pair.side("reference")
    return Case(
        reference=reference,
        export=pair.side("export"),
        contents=pair.contents,
        checkpoint=checkpoint.bundle.tensors,
        keys=_keys(checkpoint),
        parts={name: key.slice for name, key in checkpoint.keys.items() if key.slice},
        others=_OtherCheckpoints(pair, checkpoint),
        outputs=outputs,
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
        reference_name=pair.spec.shown(checkpoint.prefix),
        runner=ModelRunner(
            reference=checkpoint,
            export=pair.export,
            reference_side=reference,
            input_names=tuple((entry.reference, entry.export) for entry in pair.inputs),
            outputs=tuple(
                ComparedOutput(reference=output.reference, export=output.export, tolerance=output.tolerance)
                for output in pair.outputs
            ),
            inputs=inputs,
            expected=expected,
            session=pair.spec.session,
        ),
    )


class _OtherCheckpoints(Mapping[str, Tensors]):
    """The other checkpoints near the reference's, as the user would name them; opened when first asked for."""

    def __init__(self, pair: Pair, checkpoint: Checkpoint) -> None:
        self._pair = pair
        self._checkpoint = checkpoint

    def __getitem__(self, name: str) -> Tensors:
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)

    @cached_property
    def _opened(self) -> dict[str, Tensors]:
        prefixes = nearby_checkpoints(self._checkpoint)
        return {self._pair.spec.shown(prefix): Bundle(prefix).tensors for prefix in prefixes}


def write_repaired(pair: Pair, side: Side, path: Path) -> None:
    """Write the repaired export ``side`` as a frozen graph with the outputs' own names."""
    names = pair.side("export").outputs
    graph_def = graph_def_of(side, names, pair.export, pair.model("reference"))
    path.write_bytes(graph_def.SerializeToString())


def stale(pair: Pair, outputs: tuple[OutputComparison, ...]) -> tuple[Health, ...]:
    """A warning if the export is within tolerance, but with the weights of another step or run."""
    case = replace(case_of(pair, outputs, {}, None), runner=None)
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
