"""Both sides of a check, opened, with inputs and outputs found where the user did not name them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import FeedError, ModelError, SettingsError, UnreadableFile, nearest
from ..formats.format import ROLES, Role
from ..formats.model import HasGraph, HasOwnRuntime, Model, Repairable
from ..formats.registry import format_of
from ..formats.store import OPEN_BYTES, ModelStore
from ..graph.graph import Array, tensor_name
from ..graph.proof.fingerprint import Contents
from ..graph.proof.proof import NormalSide, Side, normalised
from ..settings.spec import InputSpec, OutputSpec, ParitySpec
from ..wording import enumerated


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both sides of ``spec``; ``reference`` is None where the goldens must stand in for it.

    ``inputs`` and ``outputs`` are complete and exist on both sides.
    """

    spec: ParitySpec
    reference: Model | None
    export: Model
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    _contents: Contents = field(default_factory=Contents, repr=False)
    _normal: dict[Role, NormalSide] = field(default_factory=dict, repr=False)

    def model(self, role: Role) -> Model:
        """The model of one side. Raises ModelError if the goldens stand in for it."""
        model = self.reference if role == "reference" else self.export
        if model is None:
            raise ModelError(not_at_hand(self.spec))
        return model

    def graph_model(self, role: Role) -> HasGraph:
        """The model of one side, whose graph is wanted. Raises ModelError if it has none."""
        model = self.model(role)
        if not isinstance(model, HasGraph):
            raise ModelError(
                f"{model.label} has no graph: nothing can be read of how it computes its outputs."
            )
        return model

    def side(self, role: Role) -> Side:
        """One side as the proof wants it. Raises ModelError if it has no graph."""
        side = _side(
            self.graph_model(role),
            [getattr(entry, role) for entry in self.inputs],
            [getattr(output, role) for output in self.outputs],
            mended=role == "export",
        )
        return self._turned(side) if role == "export" else side

    def _turned(self, export: Side) -> Side:
        """The export, or another in its place, asked in the layout of the reference."""
        axes = [entry.transpose for entry in self.inputs], [output.transpose for output in self.outputs]
        if not any(map(any, axes)):
            return export
        from ..graph.edit.transposed import transposed  # late: hardly ever needed

        return transposed(export, *axes)

    def normal(self, role: Role) -> NormalSide:
        """One side in normal form, made once for proof and diagnosis. Raises ModelError if it has no graph."""
        if role not in self._normal:
            self._normal[role] = normalised(self.side(role), self._contents)
        return self._normal[role]

    def normal_of(self, model: HasGraph, inputs: Sequence[str], outputs: Sequence[str]) -> NormalSide:
        """Another model in the place of the export. Raises ModelError if it cannot be read."""
        return normalised(self._turned(_side(model, inputs, outputs, mended=True)), self._contents)

    def without_graph(self) -> Model | None:
        """The first of the models that has no graph: then nothing can be proven, aligned or diagnosed."""
        models = (model for model in (self.reference, self.export) if model is not None)
        return next((model for model in models if not isinstance(model, HasGraph)), None)

    def check_inputs(self, inputs: Mapping[str, Array]) -> None:
        """Raise ``FeedError`` if ``inputs`` (by the reference's names) do not fit the placeholders of a side."""
        for role in ROLES:
            if role == "export" or self.reference is not None:
                feeds = {
                    getattr(entry, role): fed(entry, inputs[entry.reference], role)
                    for entry in self.inputs
                    if entry.reference in inputs
                }
                self.model(role).check_inputs(feeds)

    def run(self, role: Role, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one side on ``inputs`` (by the reference's names); its own tensor names to arrays.

        Both are in the layout of the reference.
        """
        model = self.model(role)
        feeds = {
            getattr(entry, role): fed(entry, _value(inputs, entry.reference), role) for entry in self.inputs
        }
        known = {entry.reference for entry in self.inputs}
        feeds.update({name: value for name, value in inputs.items() if name not in known})
        names = [getattr(output, role) for output in self.outputs]
        independent = role == "reference" and isinstance(self.export, HasOwnRuntime)
        if independent and self.spec.session == "graph" and isinstance(model, HasGraph):
            answers = model.run_as_read(feeds, names)
        else:
            answers = model.run(feeds, names, session=self.spec.session)
        for output in self.outputs if role == "export" else ():
            answers[output.export] = given(output, answers[output.export])
        return answers

    def answer(self, role: Role, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The same for who will hardly ask again: a model that is too large to stay open is not left open."""
        found = self.run(role, inputs)
        model = self.model(role)
        if model.open_bytes > OPEN_BYTES:
            model.rest()
        return found


def fed(entry: InputSpec, value: Array, role: Role) -> Array:
    """``value`` of an input of the reference as a side takes it. Raises SettingsError."""
    if role == "reference" or entry.transpose is None:
        return value
    return _transposed(value, entry.transpose, entry.transpose, f"input {entry.reference}")


def given(output: OutputSpec, answer: Array) -> Array:
    """What the export answers for an output, in the layout of the reference. Raises SettingsError."""
    if output.transpose is None:
        return answer
    order = tuple(sorted(range(len(output.transpose)), key=output.transpose.__getitem__))
    return _transposed(answer, order, output.transpose, f"output {output.export}")


def _transposed(value: Array, order: tuple[int, ...], stated: tuple[int, ...], what: str) -> Array:
    value = np.asarray(value)
    if value.ndim != len(order):
        raise SettingsError(
            f"'transpose' of {what} is {list(stated)}, of {len(stated)} axes, but the shape is"
            f" {list(value.shape)}. State each axis once."
        )
    return np.ascontiguousarray(value.transpose(order))


def _side(model: HasGraph, inputs: Sequence[str], outputs: Sequence[str], *, mended: bool) -> Side:
    """``model`` for a proof; one that may be ``mended`` with its weights as constants where it can be."""
    constant = model.constant_graph if mended and isinstance(model, Repairable) else model.graph
    return Side(
        graph=constant,
        outputs=tuple(map(tensor_name, outputs)),
        inputs=tuple(map(tensor_name, inputs)),
        feeds=model.feeds,
        variables=model.restored,
    )


def not_at_hand(spec: ParitySpec) -> str:
    """That a reference is not there which is needed, and what to do."""
    if spec.reference is None:
        return f"{spec.name} states no reference. Name one under `reference` of the model."
    noun, path = format_of(spec.reference.format).noun, spec.shown(spec.reference.path)
    return (
        f"The {noun} of {spec.name} is not at hand: {path}. Fetch it, or use the goldens alone, which answer"
        " for their own inputs."
    )


def open_pair(spec: ParitySpec, models: ModelStore) -> Pair:
    """Open both sides of ``spec`` and complete its inputs and outputs."""
    export = models.open(spec.export, spec.root)
    reference = _reference(spec, models)
    outputs = spec.outputs or tuple(
        OutputSpec(reference=name, export=name, tolerance=spec.tolerance)
        for name in _common_outputs(spec, reference, export)
    )
    named: list[InputSpec | OutputSpec] = [*spec.inputs, *outputs]
    export.require(each.export for each in named)
    if reference is not None:
        reference.require(each.reference for each in named)
    return Pair(
        spec=spec,
        reference=reference,
        export=export,
        outputs=outputs,
        inputs=_inputs(spec, reference, export, outputs),
    )


def _value(inputs: Mapping[str, Array], name: str) -> Array:
    if name not in inputs:
        near = nearest(name, inputs, 1)
        instead = f" Name them {name!r}, not {near[0]!r}." if near else ""
        raise FeedError(f"No values for input {name}; given are {', '.join(inputs) or 'none'}.{instead}")
    return np.asarray(inputs[name])


def _reference(spec: ParitySpec, models: ModelStore) -> Model | None:
    """The reference, or None if goldens may stand in for it."""
    stated = spec.reference
    if stated is None:
        return None
    if stated.optional and spec.golden is not None and not format_of(stated.format).at_hand(stated):
        return None
    return models.open(stated, spec.root)


def _common_outputs(spec: ParitySpec, reference: Model | None, export: Model) -> list[str]:
    """Where the export ends, if the reference has tensors of the same names.

    Raises ``SettingsError`` when a final tensor of the export has no namesake: which tensor it
    should be compared with is for the user to say.
    """
    try:
        finals = final_outputs(export)
        lost = [name for name in finals if reference is not None and not reference.has_tensor(name)]
    except UnreadableFile as error:
        raise SettingsError(
            f"{spec.name}: name the outputs to compare, they cannot be found: {error}"
        ) from error
    if lost and reference is not None:
        raise SettingsError(
            f"{spec.name}: {lacking(reference, export, lost)} Name the outputs on both sides:"
            f" outputs: [{{reference: NAME, export: {lost[0]!r}}}]"
        )
    return finals


def final_outputs(export: Model) -> list[str]:
    """The tensors that the export ends in. Raises ModelError if there are none."""
    finals = list(export.outputs())
    if not finals:
        raise ModelError(f"{export.label} computes nothing: it has no node that could be an output.")
    return finals


def some(names: Collection[str]) -> str:
    """The first of ``names``, as many as a sentence bears; "none" if there are none."""
    return enumerated(names) or "none"


def lacking(reference: Model, export: Model, lost: list[str]) -> str:
    """That the reference lacks tensors that the export ends in, with the nearest that it has."""
    return (
        f"{export.label} ends in {some(lost)}, which the {reference.graph_noun} does not have."
        f"{reference.nearest_tensors(lost[0])}"
    )


def _inputs(
    spec: ParitySpec, reference: Model | None, export: Model, outputs: tuple[OutputSpec, ...]
) -> tuple[InputSpec, ...]:
    """The declared inputs, and every other one that both sides need under one name."""
    try:
        of_export = export.inputs(output.export for output in outputs)
        of_reference = (
            of_export if reference is None else reference.inputs(output.reference for output in outputs)
        )
    except UnreadableFile:
        return spec.inputs
    declared = {entry.export for entry in spec.inputs} | {entry.reference for entry in spec.inputs}
    shared = [name for name in of_export if name in of_reference and name not in declared]
    return (*spec.inputs, *(InputSpec(reference=name, export=name) for name in shared))
