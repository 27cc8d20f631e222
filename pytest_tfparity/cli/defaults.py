"""What a command line leaves out, found in the files: outputs, inputs and constant feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..check.pair import final_outputs, some
from ..check.random_inputs import STRING, NoRandomNumbers, random_source, type_number
from ..errors import SettingsError, did_you_mean
from ..formats.format import ROLES, Decision, FeedValue, Role
from ..formats.model import HasGraph, Model
from ..formats.store import ModelStore
from ..graph import ops
from ..graph.graph import TensorName, tensor_name
from ..graph.proof.proof import Side
from ..runtime.feeds import TensorSpec, tensor_spec
from ..settings.spec import BytesSource, InputSource, InputSpec, NpzSource, OutputSpec, ParitySpec

if TYPE_CHECKING:
    from ..graph.phase import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A check in full, and what a reader should know of it.

    ``said`` are sentences about what is fed by itself. ``remarks`` say why a part of a manifest is as it is, by its
    key with that of its side before it (``"reference.ema"``); ``open`` are the remarks that are questions, ``reading``
    the one of them about how the reference is to be read.
    """

    spec: ParitySpec
    said: tuple[str, ...] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    reading: Decision | None = None

    def with_answer(self, word: str) -> Completed:
        """The same with ``reading`` answered by one of its words."""
        if self.reading is None or self.spec.reference is None:
            return self
        options = {**self.spec.reference.options, **self.reading.answers[word]}
        return replace(
            self,
            spec=replace(self.spec, reference=replace(self.spec.reference, options=options)),
            remarks={**self.remarks, f"reference.{self.reading.about}": self.reading.because},
            open=tuple(text for text in self.open if text != self.reading.question),
            reading=None,
        )


class _Sides(NamedTuple):
    """Both models (the export twice where there is no reference) with the inputs that their outputs need."""

    reference: Model
    export: Model
    of_reference: Mapping[str, TensorSpec]
    of_export: Mapping[str, TensorSpec]


def completed(
    spec: ParitySpec, models: ModelStore, *, examples: bool = False, files: tuple[Path, ...] = ()
) -> Completed:
    """``spec`` with outputs where the export ends, inputs with random values, and feeds that end a training phase.

    Text has the ``files`` for its values if there are any. Else an input of which no values can be made up has none,
    or, where ``examples`` are wanted, names files that the user is to make. Raises ``SettingsError`` where only the
    user can know.
    """
    export = models.open(spec.export, spec.root)
    reference = models.open(spec.reference, spec.root) if spec.reference is not None else None
    spec = replace(spec, outputs=spec.outputs or _outputs(spec, reference, export))
    spec, said = _phases_fed(spec, models)
    export = models.open(spec.export, spec.root)
    reference = models.open(spec.reference, spec.root) if spec.reference is not None else None
    of_export = export.inputs(output.export for output in spec.outputs)
    of_reference = of_export
    if reference is not None:
        of_reference = reference.inputs(output.reference for output in spec.outputs)
    sides = _Sides(reference or export, export, of_reference, of_export)
    pairs = _named(spec, sides)
    remarks: dict[str, str] = {}
    inputs = _inputs(spec, pairs, sides, files)
    if examples:
        inputs = [_with_example(entry, sides, spec.root, remarks) for entry in inputs]
    spec = replace(spec, inputs=tuple(inputs))
    _require_all(sides, pairs)
    for role in ROLES:
        about = " ".join(sentence for each, sentence in said if each == role)
        remarks |= {f"{role}.feeds": about} if about else {}
    shown = tuple(f"{spec.shown(_side(spec, role))}: {sentence}" for role, sentence in said)
    return Completed(spec=spec, said=shown, remarks=remarks)


def _inputs(
    spec: ParitySpec, pairs: Mapping[str, str], sides: _Sides, files: tuple[Path, ...]
) -> list[InputSpec]:
    """The inputs with the values that the command line gives them. Raises SettingsError if none takes ``files``."""
    inputs = [_input(spec, name, other, sides, files) for name, other in pairs.items()]
    if files and not any(isinstance(entry.source, BytesSource) for entry in inputs):
        raise SettingsError(
            f"{spec.shown(files[0])} is no .npz file, and no input takes whole files: {_types(sides.of_reference)}."
            " Give a file that numpy.savez wrote, with an array for each input under the input's name."
        )
    return inputs


def _require_all(sides: _Sides, pairs: Mapping[str, str]) -> None:
    """Raise ``SettingsError`` if the reference needs an input that the export does not have."""
    model = sides.reference
    for name, taken in sides.of_reference.items():
        if name not in pairs and model is not sides.export:
            raise SettingsError(
                f"The {model.graph_noun} needs {name} ({taken}), which the export does not have."
                f" Say what to feed: --feed {name}=VALUE"
            )


def _outputs(spec: ParitySpec, reference: Model | None, export: Model) -> tuple[OutputSpec, ...]:
    """Where the export ends, with the reference's tensor of that name, or the one that must be meant."""
    pairs = {name: name for name in final_outputs(export)}
    if reference is not None and not all(map(reference.has_tensor, pairs)):
        from .matching import matched_outputs

        pairs = matched_outputs(list(pairs), reference, export)
    return tuple(
        OutputSpec(reference=other, export=name, tolerance=spec.tolerance) for name, other in pairs.items()
    )


def _phases_fed(spec: ParitySpec, models: ModelStore) -> tuple[ParitySpec, list[tuple[Role, str]]]:
    """``spec`` with each side's training phases fed, and a sentence about each.

    Of the reference every phase is fed that is not at inference by default; of the export only those that somebody must
    feed, as it is the export's default that is served.
    """
    said: list[tuple[Role, str]] = []
    for role in ROLES:
        side = spec.side(role)
        model = models.open(side, spec.root) if side is not None else None
        if side is None or not isinstance(model, HasGraph):
            continue
        outputs = [getattr(output, role) for output in spec.outputs]
        stated = {getattr(entry, role) for entry in spec.inputs}
        feeds: dict[str, FeedValue] = {}
        for phase in _phases(model, outputs):
            must = phase.default != phase.inference if role == "reference" else phase.default is None
            if must and str(phase.tensor) not in stated:
                feeds[str(phase.tensor)] = phase.inference
                said.append((role, _fed(phase)))
        if feeds:
            spec = spec.with_side(role, replace(side, feeds={**side.feeds, **feeds}))
    return spec, said


def _phases(model: HasGraph, outputs: list[str]) -> tuple[Phase, ...]:
    """The phases of ``model``, looked for where it has an input beside its data."""
    scalars = [
        name
        for name, node in model.live(outputs).items()
        if node.op in ops.PLACEHOLDERS | {"PlaceholderWithDefault"}
        and not tensor_spec(model.graph, TensorName(name, 0)).dims
    ]
    if not scalars:
        return ()
    from ..graph.phase import find_phases

    return find_phases(
        Side(
            graph=model.graph,
            outputs=tuple(map(tensor_name, outputs)),
            feeds=model.feeds,
            variables=model.restored,
        )
    )


def _fed(phase: Phase) -> str:
    value = str(phase.inference).lower()
    return f"{phase.tensor} decides {phase.decides}, so it is fed {value}, as at inference."


def _side(spec: ParitySpec, role: Role) -> Path:
    side = spec.side(role)
    assert side is not None  # a sentence is about a side that was stated
    return side.path


def _named(spec: ParitySpec, sides: _Sides) -> Mapping[str, str]:
    """Input of the reference to that of the export. Raises ``SettingsError`` for a name that a side lacks."""
    for entry in spec.inputs:
        if entry.source is None or entry.reference != entry.export:  # else an array that nothing need take
            _require(entry, "reference", sides.reference, sides.of_reference)
            _require(entry, "export", sides.export, sides.of_export)
    pairs = {entry.reference: entry.export for entry in spec.inputs if entry.export in sides.of_export}
    taken = {*pairs.values()}
    pairs |= {name: name for name in sides.of_export if name in sides.of_reference and name not in taken}
    if len(pairs) < len(sides.of_export):
        from .matching import matched_inputs

        pairs = matched_inputs(pairs, sides.reference, sides.export, sides.of_reference, sides.of_export)
    given = [entry.reference for entry in spec.inputs if entry.source is not None]
    if given and not pairs.keys() & set(given):
        raise SettingsError(
            f"--inputs gives values for {some(given)}, which no input is called. Inputs of the reference:"
            f" {some(pairs)}. These are what the outputs of {sides.reference.label} and {sides.export.label} need."
        )
    return pairs


def _input(spec: ParitySpec, name: str, other: str, sides: _Sides, files: tuple[Path, ...]) -> InputSpec:
    """One input with the values that the command line gives it, or random ones; without where none can be made up."""
    given = [entry.source for entry in spec.inputs if entry.reference == name and entry.source is not None]
    if given:
        return InputSpec(reference=name, export=other, source=given[-1])
    taken = sides.of_reference[name], sides.of_export[other]
    source: InputSource | None = None
    try:
        source = random_source(*taken)
    except NoRandomNumbers:
        if files and _is_text(taken[0]):
            source = BytesSource(paths=files)
    return InputSpec(reference=name, export=other, source=source)


def _with_example(entry: InputSpec, sides: _Sides, root: Path, remarks: dict[str, str]) -> InputSpec:
    """``entry`` with files to be made where it has no values, and a remark that asks for them."""
    if entry.source is not None:
        return entry
    source, remarks["inputs"] = _example(
        entry.reference, sides.of_reference[entry.reference], sides.reference, root
    )
    return replace(entry, source=source)


def _is_text(taken: TensorSpec) -> bool:
    return type_number(taken.dtype) == STRING


def _types(inputs: Mapping[str, TensorSpec]) -> str:
    return ", ".join(f"{name} ({taken})" for name, taken in inputs.items()) or "there is none"


def _example(name: str, taken: TensorSpec, model: Model, root: Path) -> tuple[InputSource, str]:
    """A source that names files which are not there yet, and what the user is to put in their place."""
    if _is_text(taken) and isinstance(model, HasGraph) and _decodes(model):
        return (
            BytesSource(paths=(root / "images" / "*.jpg",)),
            f"The graph decodes {name} itself: name image files of your own here.",
        )
    return (
        NpzSource(path=root / "inputs.npz"),
        f"No values can be made up for {name} ({taken}): name an .npz file that has an array of that name.",
    )


def _decodes(model: HasGraph) -> bool:
    """Whether the graph decodes image files, in a function of it too."""
    bodies = (node.op for body in model.graph.functions.values() for node in body.nodes)
    return any(op in ops.DECODERS for op in (*(node.op for node in model.graph.nodes.values()), *bodies))


def _require(entry: InputSpec, role: Role, model: Model, known: Mapping[str, TensorSpec]) -> None:
    """Raise ``SettingsError`` if a side has no input of the name that the command line gives it."""
    name = getattr(entry, role)
    if name not in known:
        raise SettingsError(
            f"--input {entry.reference}={entry.export}: the outputs of {model.label} need no input {name}."
            f"{did_you_mean(name, known)} Inputs of the {role}: {some(known)}."
        )
