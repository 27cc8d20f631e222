"""A check as the diagnosis wants it: both sides, the checkpoint, what was measured, how to run them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from ..diagnosis.case import Case, Tensors
from ..diagnosis.runner import ComparedOutput, ModelRunner
from ..formats.checkpoint import Checkpoint
from ..graph.read.bundle import Bundle, other_checkpoints
from ..result import OutputComparison
from .pair import Pair
from .run import Answers

_OTHERS = 12
"""How many other checkpoints near the reference's are looked at, the nearest by name first. Opening one reads its
index (5 ms for 33 tensors), comparing reads one tensor for each constant of unknown origin."""


def case_of(pair: Pair, outputs: tuple[OutputComparison, ...], answers: Answers | None) -> Case:
    """Both sides of ``pair`` with ``outputs``, how they differ; without ``answers`` nothing is run again.

    Raises UnreadableFile where only TensorFlow may know a graph.
    """
    checkpoint = pair.model("reference")
    assert isinstance(checkpoint, Checkpoint)
    return Case(
        reference=pair.side("reference"),
        export=pair.side("export"),
        contents=pair.contents,
        checkpoint=checkpoint.bundle.tensors,
        keys={name: key.key for name, key in checkpoint.keys.items()},
        parts={name: key.slice for name, key in checkpoint.keys.items() if key.slice},
        others=OtherCheckpoints(pair, checkpoint),
        outputs=outputs,
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
        reference_name=pair.spec.shown(checkpoint.prefix),
        runner=None if answers is None else _runner(pair, checkpoint, answers),
    )


def case_of_export(pair: Pair) -> Case:
    """The export beside itself: for what is wrong with its file whatever the reference is."""
    side = pair.side("export")
    return Case(
        reference=side,
        export=side,
        checkpoint={},
        keys={},
        outputs=(),
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
        reference_name="",
    )


class OtherCheckpoints(Mapping[str, Tensors]):
    """The other checkpoints near the reference's, by the names that a user would give them.

    They are those of its folder and of the folders in it, opened when first asked for.
    """

    def __init__(self, pair: Pair, checkpoint: Checkpoint) -> None:
        self._spec = pair.spec
        self._prefix = checkpoint.prefix

    def __getitem__(self, name: str) -> Tensors:
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)

    @cached_property
    def _opened(self) -> dict[str, Tensors]:
        return {self._spec.shown(prefix): Bundle(prefix).tensors for prefix in self._nearby()}

    def _nearby(self) -> list[Path]:
        found = list(other_checkpoints(self._prefix))
        for folder in sorted(path for path in self._prefix.parent.iterdir() if path.is_dir()):
            found += other_checkpoints(folder / "-")
        return found[:_OTHERS]


def _runner(pair: Pair, checkpoint: Checkpoint, answers: Answers) -> ModelRunner:
    return ModelRunner(
        reference=checkpoint,
        export=pair.export,
        reference_side=pair.side("reference"),
        input_names=tuple((entry.reference, entry.export) for entry in pair.inputs),
        outputs=tuple(
            ComparedOutput(reference=output.reference, export=output.export, tolerance=output.tolerance)
            for output in pair.outputs
        ),
        inputs=answers.inputs,
        expected=answers.reference,
        session=pair.spec.session,
    )
