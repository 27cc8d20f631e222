"""What a test holds in its hands: the reference and the export of one check, and their golden inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..check.check import Update, judge, write_goldens
from ..check.inputs import golden_of, inputs_of
from ..check.outputs import Origin, Outputs, digest_of
from ..check.pair import Pair, not_at_hand, open_pair
from ..errors import UsageError
from ..formats.model import HasSession, HasWeights
from ..formats.store import ModelStore
from ..goldens.store import Golden
from ..graph.graph import Array
from ..result import ParityResult
from ..settings.spec import ParitySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What both sides of one test share: the check, the open models and where results go.

    ``stated`` is the check as the manifest states it, without the test's own tolerance: goldens
    belong to the model, whichever test writes them.
    """

    spec: ParitySpec
    stated: ParitySpec
    models: ModelStore
    nodeid: str
    record: Callable[[ParityResult], None]
    written: Callable[[ParityResult], None]
    details: bool = False

    def pair(self) -> Pair:
        """Both sides, opened."""
        return open_pair(self.spec, self.models)

    def golden_inputs(self, update: Update | None) -> GoldenInputs:
        """The inputs to compare on; nothing is read before one is asked for."""
        return GoldenInputs(self.spec, lambda: self._inputs(update))

    def golden_outputs(self, update: Update | None) -> Outputs:
        """The stored outputs of the reference."""
        golden = self._golden(update)
        return self.outputs("golden", golden.outputs, golden.inputs)

    def _inputs(self, update: Update | None) -> Mapping[str, Array]:
        return inputs_of(self.pair()) if self.spec.golden is None else self._golden(update).inputs

    def _golden(self, update: Update | None) -> Golden:
        if update is not None:
            self.written(write_goldens(self.stated, self.models, update, nodeid=self.nodeid))
        return golden_of(self.spec)

    def judge(self, export: Outputs, reference: Outputs) -> ParityResult:
        """Compare computed outputs and record what was found."""
        result = judge(
            self.spec,
            self.models,
            reference,
            export,
            nodeid=self.nodeid,
            golden=reference.origin.role == "golden",
            inputs=reference.origin.inputs,
            details=self.details,
        )
        self.record(result)
        return result

    def outputs(
        self,
        role: Literal["export", "reference", "golden"],
        arrays: Mapping[str, Array],
        inputs: Mapping[str, Array],
    ) -> Outputs:
        """``arrays`` as comparable outputs of one side."""
        return Outputs(arrays, Origin(role=role, model=self.spec.name, inputs=inputs, judge=self.judge))


class GoldenInputs(Mapping[str, Array]):
    """Input tensor (by the reference's name) to a read-only array, loaded when first used."""

    def __init__(self, spec: ParitySpec, load: Callable[[], Mapping[str, Array]]) -> None:
        self.spec = spec
        self._load = load

    def __repr__(self) -> str:
        return f"<golden inputs of {self.spec.name}>"

    @cached_property
    def _arrays(self) -> Mapping[str, Array]:
        return self._load()

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class _Model:
    """One side of a check. Nothing is loaded before it is needed."""

    _role: Literal["export", "reference"]

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def __repr__(self) -> str:
        return f"<{self._role} of {self.bench.spec.name}>"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that are fed, on this side."""
        return tuple(getattr(entry, self._role) for entry in self.bench.pair().inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors that are compared, on this side."""
        return tuple(getattr(output, self._role) for output in self.bench.pair().outputs)

    @property
    def graph_def(self) -> Any:
        """The whole graph as a ``tf.compat.v1.GraphDef``."""
        return self._with_session("graph_def").graph_def()

    @property
    def session(self) -> Any:
        """A ``tf.compat.v1.Session`` that holds the part of the graph that the outputs need."""
        return self._with_session("session").session(self.outputs)

    def _with_session(self, what: str) -> HasSession:
        model = self.bench.pair().model(self._role)
        if not isinstance(model, HasSession):
            raise UsageError(f"{model.label} ({model.noun}) has no .{what}: TensorFlow does not run it.")
        return model

    def run(self, inputs: Mapping[str, Array] | None = None, outputs: Iterable[str] | None = None) -> Outputs:
        """Run this side on ``inputs`` and return the compared outputs, or those that are named.

        ``inputs`` are arrays by tensor name, the reference's or this side's own. ``outputs`` are
        tensor names of this side.
        """
        __tracebackhide__ = True
        pair = self.bench.pair()
        feeds = self._by_reference_name(pair, inputs or {})
        if outputs is not None:
            pair = replace(pair, outputs=tuple(self._requested(pair, list(outputs))))
        return self.bench.outputs(self._role, pair.run(self._role, feeds), feeds)

    def _by_reference_name(self, pair: Pair, inputs: Mapping[str, Array]) -> dict[str, Array]:
        names = {getattr(entry, self._role): entry.reference for entry in pair.inputs}
        references = set(names.values())
        feeds = {}
        for name, value in inputs.items():
            full = name if ":" in name else f"{name}:0"
            feeds[full if full in references else names.get(full, full)] = np.asarray(value)
        return feeds

    def _requested(self, pair: Pair, names: list[str]) -> Iterable[Any]:
        declared = {getattr(output, self._role): output for output in pair.outputs}
        spare = pair.outputs[0]
        for name in names:
            full = name if ":" in name else f"{name}:0"
            yield declared.get(full) or replace(
                spare, reference=full, export=full, tolerance=pair.spec.tolerance
            )


class ExportModel(_Model):
    """The export under test."""

    _role = "export"


class ReferenceModel(_Model):
    """The reference, or its goldens where it is not at hand."""

    _role = "reference"

    @property
    def variables(self) -> Mapping[str, Array]:
        """Variable name to restored value."""
        model = self.bench.pair().model("reference")
        if not isinstance(model, HasWeights):
            raise UsageError(f"{model.label} ({model.noun}) has no .variables: it holds no weights by name.")
        return model.variables()

    def run(self, inputs: Mapping[str, Array] | None = None, outputs: Iterable[str] | None = None) -> Outputs:
        """Run the reference; see :meth:`ExportModel.run`."""
        __tracebackhide__ = True
        if self.bench.pair().reference is not None:
            return super().run(inputs, outputs)
        golden = golden_of(self.bench.spec)
        if inputs is None or digest_of(dict(inputs)) != digest_of(golden.inputs):
            raise UsageError(f"{not_at_hand(self.bench.spec)} To use the goldens, run it on golden_inputs.")
        return self.bench.outputs("golden", golden.outputs, golden.inputs)
