"""Both sides of a check, opened, with inputs and outputs found where the user did not name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..errors import FeedError, ModelError, SettingsError, TensorNotFound, UnreadableFile, did_you_mean
from ..formats.format import Model
from ..formats.store import ModelStore
from ..graph import ops
from ..graph.graph import Array, DType, Graph, Node, Shape, TensorName, tensor_name
from ..graph.proof.fingerprint import Contents
from ..graph.proof.proof import Side
from ..runtime.feeds import checked
from ..settings.spec import InputSpec, OutputSpec, ParitySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both sides of ``spec``; ``reference`` is None where the goldens must stand in for it.

    ``inputs`` and ``outputs`` are complete and exist on both sides. ``contents`` remembers what was hashed.
    """

    spec: ParitySpec
    reference: Model | None
    export: Model
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    contents: Contents = field(default_factory=Contents)

    def model(self, role: Literal["reference", "export"]) -> Model:
        """The model of one side."""
        model = self.reference if role == "reference" else self.export
        if model is None:
            raise ModelError(f"The checkpoint of {self.spec.name} is not at hand.")
        return model

    def side(self, role: Literal["reference", "export"]) -> Side:
        """One side as the proof wants it."""
        model = self.model(role)
        return Side(
            graph=model.graph,
            outputs=tuple(tensor_name(getattr(output, role)) for output in self.outputs),
            inputs=tuple(tensor_name(getattr(entry, role)) for entry in self.inputs),
            feeds=model.feeds,
            variables=model.restored,
        )

    def check_inputs(self, inputs: Mapping[str, Array]) -> None:
        """Raise ``FeedError`` if ``inputs`` (by the reference's names) do not fit the placeholders of a side."""
        for role in ("reference", "export"):
            model = self.export if role == "export" else self.reference
            if model is not None:
                feeds = {
                    getattr(entry, role): inputs[entry.reference]
                    for entry in self.inputs
                    if entry.reference in inputs
                }
                checked(model.graph, model.label, feeds)

    def run(self, role: Literal["reference", "export"], inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one side on ``inputs`` (by the reference's names); its own tensor names to arrays."""
        model = self.model(role)
        feeds = {getattr(entry, role): _value(inputs, entry.reference) for entry in self.inputs}
        known = {entry.reference for entry in self.inputs}
        feeds.update({name: value for name, value in inputs.items() if name not in known})
        return model.run(feeds, [getattr(output, role) for output in self.outputs], session=self.spec.session)


def open_pair(spec: ParitySpec, models: ModelStore) -> Pair:
    """Open both sides of ``spec`` and complete its inputs and outputs."""
    export = models.export(spec.export)
    reference = _reference(spec, models)
    outputs = _outputs(spec, reference, export)
    named: list[InputSpec | OutputSpec] = [*spec.inputs, *outputs]
    _require(export, [each.export for each in named])
    if reference is not None:
        _require(reference, [each.reference for each in named])
    return Pair(
        spec=spec,
        reference=reference,
        export=export,
        outputs=outputs,
        inputs=_inputs(spec, reference, export, outputs),
    )


def _require(model: Model, names: list[str]) -> None:
    """Raise ``TensorNotFound``, with the nearest names, for a name that ``model`` does not have."""
    try:
        known = model.graph.nodes
    except UnreadableFile:
        return  # running it will tell
    for name in names:
        node = tensor_name(name).node
        if node not in known:
            raise TensorNotFound(f"{model.label} has no tensor {name!r}.{did_you_mean(node, known)}")


def final_outputs(graph: Graph) -> list[str]:
    """The tensors that a graph ends in: read by no other node, and the answer of a computing op."""
    read = {source.node for node in graph.nodes.values() for source in node.inputs}
    return [
        f"{node.name}:0"
        for node in graph.nodes.values()
        if node.name not in read and node.op not in ops.NO_ANSWER
    ]


def live_placeholders(graph: Graph, outputs: list[str], feeds: Mapping[TensorName, Array]) -> dict[str, Node]:
    """The placeholders that ``outputs`` need and that no constant feed fills, by tensor name."""
    fed = {name.node for name in feeds}
    live = graph.live(outputs, [str(name) for name in feeds])
    return {
        f"{name}:0": node for name, node in live.items() if node.op in ops.PLACEHOLDERS and name not in fed
    }


def dtype_and_shape(node: Node) -> tuple[DType | None, tuple[int, ...] | None]:
    """What a placeholder takes: its dtype and its shape (-1 unknown dimension, None unknown rank)."""
    dtype, shape = node.attrs.get("dtype"), node.attrs.get("shape")
    dims = shape.dims if isinstance(shape, Shape) else None
    return dtype if isinstance(dtype, DType) else None, dims


def _value(inputs: Mapping[str, Array], name: str) -> Array:
    if name not in inputs:
        raise FeedError(
            f"No values for input {name}; given are {', '.join(inputs) or 'none'}.{did_you_mean(name, inputs)}"
        )
    return np.asarray(inputs[name])


def _reference(spec: ParitySpec, models: ModelStore) -> Model | None:
    """The reference, or None if goldens may stand in for it."""
    if spec.reference is None:
        return None
    if spec.reference.optional and spec.golden is not None and not models.at_hand(spec.reference):
        return None
    return models.reference(spec.reference, spec.root)


def _outputs(spec: ParitySpec, reference: Model | None, export: Model) -> tuple[OutputSpec, ...]:
    if spec.outputs:
        return spec.outputs
    return tuple(
        OutputSpec(reference=theirs, export=ours, tolerance=spec.tolerance)
        for theirs, ours in find_outputs(spec, reference, export)
    )


def find_outputs(spec: ParitySpec, reference: Model | None, export: Model) -> list[tuple[str, str]]:
    """Where the export ends, each with the reference's tensor of the same name.

    Raises ``SettingsError`` when a final tensor of the export has no namesake: which tensor it
    should be compared with is for the user to say.
    """
    try:
        finals = final_outputs(export.graph)
        known = reference.graph.nodes if reference is not None else export.graph.nodes
    except UnreadableFile as error:
        raise SettingsError(
            f"{spec.name}: name the outputs to compare, they cannot be found: {error}"
        ) from error
    if not finals:
        raise ModelError(f"{export.label} computes nothing: it has no node that could be an output.")
    lost = [name for name in finals if tensor_name(name).node not in known]
    if lost:
        raise SettingsError(
            f"{spec.name}: {export.label} ends in {', '.join(lost)}, which the checkpoint's graph does not have."
            f"{did_you_mean(tensor_name(lost[0]).node, known)} Name the outputs on both sides:"
            f" outputs: [{{reference: NAME, export: {lost[0]!r}}}]"
        )
    return [(name, name) for name in finals]


def _inputs(
    spec: ParitySpec, reference: Model | None, export: Model, outputs: tuple[OutputSpec, ...]
) -> tuple[InputSpec, ...]:
    """The declared inputs, and every other placeholder that both sides need under one name."""
    try:
        on_export = live_placeholders(export.graph, [output.export for output in outputs], export.feeds)
        on_reference = (
            on_export
            if reference is None
            else live_placeholders(reference.graph, [output.reference for output in outputs], reference.feeds)
        )
    except UnreadableFile:
        return spec.inputs
    declared = {entry.export for entry in spec.inputs} | {entry.reference for entry in spec.inputs}
    shared = [name for name in on_export if name in on_reference and name not in declared]
    return (*spec.inputs, *(InputSpec(reference=name, export=name) for name in shared))
