"""Running both sides of a check again: on other inputs, with a changed export, node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..comparison.compare import compare
from ..comparison.tolerance import Tolerance
from ..errors import ModelError, TfparityError
from ..formats.format import Role
from ..formats.model import HasOwnRuntime, HasSession, Model, Repairable, Rewritten
from ..graph.graph import Array, TensorName
from ..graph.lift.lifted import Stored
from ..graph.proof.proof import Side
from ..result import OutputComparison
from ..runtime.activations import Activation, measure
from ..runtime.importing import registered_ops
from ..runtime.session_config import SessionKind

OutputArrays: TypeAlias = tuple[Array, ...]


class Runner(Protocol):
    """What can be run of a check. Every method but ``knows`` raises TfparityError where a side cannot be run."""

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The inputs that both sides were compared on, by the reference's names."""

    @property
    def comparable(self) -> bool:
        """Whether the reference's answer to ``inputs`` is known, so that a changed export can be compared with it."""

    @property
    def answered(self) -> bool:
        """Whether the reference's answer to ``inputs`` is known."""

    def answers(self, role: Role, inputs: Mapping[str, Array]) -> OutputArrays:
        """The compared outputs of a side as it was given, in their order, for inputs by the reference's names."""

    def judged(self, answers: OutputArrays) -> tuple[OutputComparison, ...]:
        """How answers of the export, to whatever inputs, compare with the reference's answer to ``inputs``."""

    def compare(self, export: Side) -> tuple[OutputComparison, ...]:
        """A changed export, run on ``inputs`` and compared with the reference's answer."""

    def measure(self, export: Side, aligned: Mapping[str, str]) -> tuple[Activation, ...]:
        """How a changed export differs node by node; ``aligned`` maps nodes of the reference to those of the export."""

    def knows(self, op: str) -> bool:
        """Whether an op can be run."""

    @property
    def translation(self) -> Translation | None:
        """How the translation of an export is run that another runtime runs; None for any other export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedOutput:
    """An output by its name on both sides, the tolerance that it is compared under, and its quantum if it has one."""

    reference: str
    export: str
    tolerance: Tolerance
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRunner:
    """Runs two opened models; see :class:`Runner`.

    ``run`` answers for a side as it was given, by its own names, to inputs by the reference's. ``reference_side`` and
    ``export_side`` are what both compute as they were given, ``input_names`` the inputs by their names in the reference
    and in the export. ``expected`` is the reference's answer to ``inputs`` by its own tensor names, None where it could
    not be run. ``in_float`` leaves out the grids of a translation where a changed export is run: their ranges are those
    of the export as it was given.
    """

    reference: Model
    export: Model
    run: Callable[[Role, Mapping[str, Array]], Mapping[str, Array]]
    reference_side: Side
    export_side: Side
    input_names: tuple[tuple[str, str], ...]
    outputs: tuple[ComparedOutput, ...]
    inputs: Mapping[str, Array]
    expected: Mapping[str, Array] | None
    session: SessionKind
    in_float: bool = False
    _faithful: list[bool] = field(default_factory=list, repr=False)

    @property
    def comparable(self) -> bool:
        """See :attr:`Runner.comparable`."""
        return self.expected is not None and isinstance(self.export, Repairable) and self.faithful

    @property
    def faithful(self) -> bool:
        """Whether TensorFlow answers as the export itself does, so that what it answers to a repair counts.

        Only the translation of what another runtime runs can be anything else: then within the tolerance of the check,
        for the inputs of the check.
        """
        if not isinstance(self.export, HasOwnRuntime):
            return True
        if not self._faithful:
            self._faithful.append(self._as_its_runtime())
        return self._faithful[0]

    def _as_its_runtime(self) -> bool:
        try:
            own = self.answers("export", self.inputs)
            translated = replace(self, in_float=False)._run(self.export_side)
        except TfparityError:
            return False
        return all(
            compare(
                one,
                other,
                output.tolerance,
                reference_name=output.export,
                export_name=output.export,
                step=output.step,
            ).passed
            for output, one, other in zip(self.outputs, own, translated, strict=True)
        )

    @property
    def translation(self) -> Translation | None:
        """See :attr:`Runner.translation`."""
        if not isinstance(self.export, HasOwnRuntime) or self.expected is None:
            return None
        return Translation(export=self.export, runner=self)

    @property
    def answered(self) -> bool:
        """See :attr:`Runner.answered`."""
        return self.expected is not None

    def answers(self, role: Role, inputs: Mapping[str, Array]) -> OutputArrays:
        """See :meth:`Runner.answers`."""
        found = self.run(role, inputs)
        return tuple(found[getattr(output, role)] for output in self.outputs)

    def compare(self, export: Side) -> tuple[OutputComparison, ...]:
        """See :meth:`Runner.compare`."""
        return self.judged(self._run(export))

    def feeds(self, export: Side) -> dict[str, Array]:
        """``inputs`` by the names of a changed export."""
        return {
            str(tensor): self.inputs[name]
            for tensor, (name, _) in zip(export.inputs, self.input_names, strict=True)
        }

    def _run(self, export: Side) -> OutputArrays:
        if self.in_float and isinstance(self.export, HasOwnRuntime):
            values = self.export.translated(
                self.feeds(export), export.outputs, graph=export.graph, activations={}
            )
            return tuple(values[name] for name in export.outputs)
        with closing(self._rewritten(export)) as model:
            names = [str(name) for name in export.outputs]
            found = model.run(self.feeds(export), names, session=self.session)
        return tuple(found[name] for name in names)

    def judged(self, answers: OutputArrays) -> tuple[OutputComparison, ...]:
        """See :meth:`Runner.judged`."""
        expected = self.expected or {}
        return tuple(
            compare(
                expected[output.reference],
                answer,
                output.tolerance,
                reference_name=output.reference,
                export_name=output.export,
                step=output.step,
            )
            for output, answer in zip(self.outputs, answers, strict=True)
        )

    def measure(self, export: Side, aligned: Mapping[str, str]) -> tuple[Activation, ...]:
        """See :meth:`Runner.measure`."""
        side = self.reference_side
        return measure(
            side,
            export,
            aligned,
            {
                tensor: self.inputs[name]
                for tensor, (name, _) in zip(side.inputs, self.input_names, strict=True)
            },
            libraries=(
                self._reference_library,
                lambda: self._rewritten(export).library(),
            ),
        )

    def _rewritten(self, export: Side) -> Rewritten:
        if not isinstance(self.export, Repairable):
            raise ModelError(f"{self.export.label} ({self.export.noun}) cannot be run with another graph.")
        return self.export.rewritten(export, self.reference)

    def _reference_library(self) -> Any:
        return self.reference.outline().library if isinstance(self.reference, HasSession) else None

    def knows(self, op: str) -> bool:
        """See :meth:`Runner.knows`."""
        return op in registered_ops()


_ROUNDING = 1e-4
"""Share of an output's largest value that float32 may round by: below 2e-5 in 13 right float exports of random
networks, 5e-7 in a MobileNetV2; five times the former for deeper ones."""


def _largest(value: Array) -> float:
    if value.dtype.kind not in "fiu":
        return 0.0
    sizes = np.abs(value.astype(np.float64))
    return float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """Runs the translation of an export, on other grids than the file's."""

    export: HasOwnRuntime
    runner: ModelRunner

    @property
    def faithful(self) -> bool:
        """See :attr:`ModelRunner.faithful`."""
        return self.runner.faithful

    def values(
        self,
        side: Side,
        tensors: Sequence[TensorName],
        activations: Mapping[TensorName, Stored] | None = None,
    ) -> dict[TensorName, Array]:
        """What ``side`` computes for ``tensors``, rounded to the grids of ``activations`` (default: none)."""
        feeds = self.runner.feeds(side)
        return self.export.translated(feeds, tensors, graph=side.graph, activations=activations or {})

    def is_right(self, side: Side, activations: Mapping[TensorName, Stored]) -> bool:
        """Whether ``side`` on these grids answers as the reference does but for the rounding of float32.

        A tolerance may be below that: what it then fails by is no fault of the graph. Raises TfparityError.
        """
        found = self.values(side, side.outputs, activations)
        expected = self.runner.expected or {}
        judged = self.runner.judged(tuple(found[name] for name in side.outputs))
        return all(
            each.passed
            or (
                each.problem is None
                and each.max_abs is not None
                and each.max_abs <= _ROUNDING * _largest(expected[output.reference])
            )
            for each, output in zip(judged, self.runner.outputs, strict=True)
        )

    def passes(self, side: Side, activations: Mapping[TensorName, Stored]) -> bool:
        """Whether ``side`` on these grids answers as the reference does, within tolerance. Raises TfparityError."""
        found = self.values(side, side.outputs, activations)
        return all(each.passed for each in self.runner.judged(tuple(found[name] for name in side.outputs)))
