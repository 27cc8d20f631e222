"""A check as the diagnosis wants it: both sides, the checkpoint, what was measured, how to run them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TypeVar

from ..diagnosis.case import Case, Tensors
from ..diagnosis.runner import ComparedOutput, ModelRunner
from ..formats.model import HasGraph, HasSignatures, HasWeights, Repairable
from ..graph.proof.proof import NormalSide, written_alike
from ..result import OutputComparison
from ..settings.spec import ParitySpec
from .pair import Pair
from .run import RunOutputs

_T = TypeVar("_T")


def case_of(pair: Pair, outputs: tuple[OutputComparison, ...], answers: RunOutputs | None) -> Case:
    """Both sides of ``pair`` with ``outputs``, how they differ; without ``answers`` nothing is run again.

    Raises UnreadableFile where only TensorFlow may know a graph.
    """
    reference = pair.model("reference")
    weights = reference if isinstance(reference, HasWeights) else None
    keys = weights.keys() if weights is not None else {}
    sides = written_alike(pair.normal("reference"), pair.normal("export"))
    return Case(
        reference=sides[0],
        export=sides[1],
        checkpoint=weights.tensors() if weights is not None else {},
        keys={name: key.key for name, key in keys.items()},
        parts={name: key.slice for name, key in keys.items() if key.slice},
        others=Opened(partial(other_checkpoints, pair.spec, weights)) if weights is not None else {},
        outputs=outputs,
        export_name=pair.spec.shown(pair.spec.export.path),
        reference_name=pair.spec.shown(reference.path),
        reference_noun=reference.noun,
        reference_graph=reference.graph_noun,
        remake=pair.export.remake if isinstance(pair.export, Repairable) else "export again",
        unrestored=pair.graph_model("export").unrestored,
        signatures=(
            Opened(partial(_other_signatures, pair, pair.export))
            if isinstance(pair.export, HasSignatures)
            else {}
        ),
        runner=None if answers is None else _runner(pair, outputs, answers),
    )


def case_of_export(pair: Pair) -> Case:
    """The export beside itself: for what is wrong with its file whatever the reference is."""
    side, export = pair.normal("export"), pair.model("export")
    return Case(
        reference=side,
        export=side,
        checkpoint={},
        keys={},
        outputs=(),
        export_name=pair.spec.shown(pair.spec.export.path),
        reference_name="",
        reference_noun=export.noun,
        reference_graph=export.graph_noun if isinstance(export, HasGraph) else export.noun,
    )


class Opened(Mapping[str, _T]):
    """What has to be opened, by the names that a user would give it: done when it is first asked for."""

    def __init__(self, opened: Callable[[], Mapping[str, _T]]) -> None:
        self._open = opened

    def __getitem__(self, name: str) -> _T:
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)

    @cached_property
    def _opened(self) -> Mapping[str, _T]:
        return self._open()


def other_checkpoints(spec: ParitySpec, weights: HasWeights) -> dict[str, Tensors]:
    """The other checkpoints near the reference's: those of its folder and of the folders in it."""
    return {spec.shown(path): tensors for path, tensors in weights.siblings().items()}


def _other_signatures(pair: Pair, export: HasSignatures) -> dict[str, NormalSide]:
    """What the export computes under its other signatures, of those that take and give the same by name or number."""
    found = {}
    for name, model in export.other_signatures().items():
        outputs = _alike([output.export for output in pair.outputs], model.outputs())
        inputs = _alike([entry.export for entry in pair.inputs], [*model.inputs(outputs or ())])
        if outputs is not None and inputs is not None:
            found[name] = pair.normal_of(model, inputs, outputs)
    return found


def _alike(wanted: Sequence[str], known: Sequence[str]) -> Sequence[str] | None:
    """The names among ``known`` that are ``wanted``, or the only one for the only one; None where one is not there."""
    if all(name in known for name in wanted):
        return wanted
    return known if len(known) == len(wanted) == 1 else None


def _runner(pair: Pair, outputs: tuple[OutputComparison, ...], answers: RunOutputs) -> ModelRunner:
    units = {output.reference: output.rounding or 0.0 for output in outputs}
    return ModelRunner(
        reference=pair.model("reference"),
        export=pair.export,
        run=pair.answer,
        reference_side=pair.side("reference"),
        export_side=pair.side("export"),
        input_names=tuple((entry.reference, entry.export) for entry in pair.inputs),
        outputs=tuple(
            ComparedOutput(
                reference=output.reference,
                export=output.export,
                tolerance=output.tolerance.within(units.get(output.reference, 0.0)),
                step=None if output.tolerance.steps is None else pair.export.output_step(output.export),
            )
            for output in pair.outputs
        ),
        inputs=answers.inputs,
        expected=answers.reference,
        session=pair.spec.session,
    )
