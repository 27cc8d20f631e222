"""Running both sides of a check again: on other inputs, with a changed export, node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ..comparison.compare import compare
from ..comparison.tolerance import Tolerance
from ..errors import ModelError
from ..formats.format import Role
from ..formats.model import HasSession, Model, Repairable, Rewritten
from ..graph.graph import Array
from ..graph.proof.proof import Side
from ..result import OutputComparison
from ..runtime.activations import Activation, measure
from ..runtime.importing import registered_ops
from ..runtime.session import SessionKind

OutputArrays: TypeAlias = tuple[Array, ...]


class Runner(Protocol):
    """What can be run of a check. Every method but ``knows`` raises TfparityError where a side cannot be run."""

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The inputs that both sides were compared on, by the reference's names."""

    @property
    def comparable(self) -> bool:
        """Whether the reference's answer to ``inputs`` is known, so that a changed export can be compared with it."""

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

    ``run`` answers for a side as it was given, by its own names, to inputs by the reference's. ``reference_side`` is
    what the reference computes, ``input_names`` are the inputs by their names in the reference and in the export.
    ``expected`` is the reference's answer to ``inputs`` by its own tensor names, None where it could not be run.
    """

    reference: Model
    export: Model
    run: Callable[[Role, Mapping[str, Array]], Mapping[str, Array]]
    reference_side: Side
    input_names: tuple[tuple[str, str], ...]
    outputs: tuple[ComparedOutput, ...]
    inputs: Mapping[str, Array]
    expected: Mapping[str, Array] | None
    session: SessionKind

    @property
    def comparable(self) -> bool:
        """See :attr:`Runner.comparable`."""
        return self.expected is not None and isinstance(self.export, Repairable)

    def answers(self, role: Role, inputs: Mapping[str, Array]) -> OutputArrays:
        """See :meth:`Runner.answers`."""
        found = self.run(role, inputs)
        return tuple(found[getattr(output, role)] for output in self.outputs)

    def compare(self, export: Side) -> tuple[OutputComparison, ...]:
        """See :meth:`Runner.compare`."""
        feeds = {
            str(tensor): self.inputs[name]
            for tensor, (name, _) in zip(export.inputs, self.input_names, strict=True)
        }
        with closing(self._rewritten(export)) as model:
            found = model.run(feeds, list(map(str, export.outputs)), session=self.session)
        return self.judged(tuple(found[str(tensor)] for tensor in export.outputs))

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
        return self.reference.graph_def().library if isinstance(self.reference, HasSession) else None

    def knows(self, op: str) -> bool:
        """See :meth:`Runner.knows`."""
        return op in registered_ops()
