"""What a command line leaves out, found in the files: outputs, inputs and constant feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ..check.pair import final_outputs, lacking, some
from ..errors import SettingsError, did_you_mean
from ..formats.format import FeedValue, Role
from ..formats.model import Model
from ..graph.graph import DType
from ..runtime.feeds import TensorSpec
from ..settings.spec import InputSpec, OutputSpec, ParitySpec, RandomSource

BATCH = 4
"""How many rows random inputs have where the placeholder leaves it open: few enough for any network, and several, so
that what mixes the rows of a batch shows."""

# numbers of tensorflow.DataType (types.proto) that random inputs are made for
_FLOATS = {1: "float32", 2: "float64", 19: "float16"}
_INTEGERS = {
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    17: "uint16",
    22: "uint32",
    23: "uint64",
}
_BOOL = 10


def completed(spec: ParitySpec, reference: Model | None, export: Model) -> ParitySpec:
    """``spec`` with outputs where the export ends, inputs with random values, and feeds for a training phase.

    Raises ``SettingsError`` where only the user can know.
    """
    outputs = spec.outputs or _outputs(spec, reference, export)
    of_export = export.inputs(output.export for output in outputs)
    of_reference = of_export
    if reference is not None:
        of_reference = reference.inputs(output.reference for output in outputs)
    sides = _Sides(reference or export, export, of_reference, of_export)
    pairs = _named(spec, sides)
    inputs = tuple(_input(spec, name, other, sides) for name, other in pairs.items())
    found = replace(spec, inputs=inputs, outputs=outputs)
    alone = {
        name: _phase(name, taken, sides.reference)
        for name, taken in of_reference.items()
        if name not in pairs
    }
    if spec.reference is None or not alone:
        return found
    return replace(found, reference=replace(spec.reference, feeds={**spec.reference.feeds, **alone}))


class _Sides(NamedTuple):
    """Both models (the export twice where there is no reference) with the inputs that their outputs need."""

    reference: Model
    export: Model
    of_reference: Mapping[str, TensorSpec]
    of_export: Mapping[str, TensorSpec]


def _named(spec: ParitySpec, sides: _Sides) -> Mapping[str, str]:
    """Input of the reference to that of the export. Raises ``SettingsError`` for a name that a side lacks."""
    for entry in spec.inputs:
        if entry.source is None or entry.reference != entry.export:  # else an array that nothing need take
            _require(entry, "reference", sides.reference, sides.of_reference)
            _require(entry, "export", sides.export, sides.of_export)
    pairs = _pairs(spec, sides.reference, sides.of_reference, sides.of_export)
    given = [entry.reference for entry in spec.inputs if entry.source is not None]
    if given and not pairs.keys() & set(given):
        raise SettingsError(
            f"--inputs gives values for {some(given)}, which no input is called. Inputs of the reference:"
            f" {some(pairs)}."
        )
    return pairs


def _input(spec: ParitySpec, name: str, other: str, sides: _Sides) -> InputSpec:
    """One input with the values that the command line gives it, or random ones."""
    given = [entry.source for entry in spec.inputs if entry.reference == name and entry.source is not None]
    source = given[-1] if given else random_source(name, sides.of_reference[name], sides.of_export[other])
    return InputSpec(reference=name, export=other, source=source)


def random_source(name: str, *sides: TensorSpec) -> RandomSource:
    """Seeded random numbers that fit what every one of ``sides`` takes for one input."""
    dtype = _number(sides[0].dtype)
    shape = _shape(name, sides)
    if dtype in _FLOATS:
        return RandomSource(distribution="normal", shape=shape, dtype=_FLOATS[dtype])
    if dtype in _INTEGERS:
        high = 256 if _INTEGERS[dtype] == "uint8" else 2
        return RandomSource(distribution="integers", shape=shape, dtype=_INTEGERS[dtype], low=0, high=high)
    raise SettingsError(
        f"Random values cannot be made up for input {name} ({_described(sides[0])})."
        " Give its values: --inputs FILE.npz with an array under that name."
    )


def _outputs(spec: ParitySpec, reference: Model | None, export: Model) -> tuple[OutputSpec, ...]:
    """Where the export ends, with the reference's tensor of that name, or its own single final tensor."""
    finals = final_outputs(export)
    lost = [name for name in finals if reference is not None and not reference.has_tensor(name)]
    if reference is None or not lost:
        return tuple(_output(spec, name, name) for name in finals)
    candidates = reference.outputs()
    if len(finals) == 1 and len(candidates) == 1:
        return (_output(spec, candidates[0], finals[0]),)
    raise SettingsError(
        f"{lacking(reference, export, lost)} Say which tensor it should be compared with:"
        f" --output NAME={lost[0]}"
    )


def _output(spec: ParitySpec, reference: str, export: str) -> OutputSpec:
    return OutputSpec(reference=reference, export=export, tolerance=spec.tolerance)


def _require(entry: InputSpec, role: Role, model: Model, known: Mapping[str, TensorSpec]) -> None:
    """Raise ``SettingsError`` if a side has no input of the name that the command line gives it."""
    name = getattr(entry, role)
    if name not in known:
        raise SettingsError(
            f"--input {entry.reference}={entry.export}: the outputs of {model.label} need no input {name}."
            f"{did_you_mean(name, known)} Inputs of the {role}: {some(known)}."
        )


def _pairs(
    spec: ParitySpec,
    reference: Model,
    of_reference: Mapping[str, TensorSpec],
    of_export: Mapping[str, TensorSpec],
) -> dict[str, str]:
    """The export's inputs by those of the reference: as stated, of one name, or the only one of its kind."""
    pairs = {entry.reference: entry.export for entry in spec.inputs if entry.export in of_export}
    pairs.update({name: name for name in of_export if name in of_reference and name not in pairs.values()})
    for name, taken in of_export.items():
        if name in pairs.values():
            continue
        alike = [
            other
            for other, its in of_reference.items()
            if other not in pairs and _number(its.dtype) == _number(taken.dtype)
        ]
        if len(alike) != 1:
            raise SettingsError(
                f"Which input of the {reference.graph_noun} ({some(of_reference)}) is {name}"
                f" of the export? Say it: --input NAME={name}"
            )
        pairs[alike[0]] = name
    return pairs


def _phase(name: str, taken: TensorSpec, reference: Model) -> FeedValue:
    """The value of an input that the export no longer has, of a training phase: inference."""
    dtype = _number(taken.dtype)
    if dtype == _BOOL:
        return False
    if dtype in _FLOATS and taken.dims in ((), None):
        return 1.0
    raise SettingsError(
        f"The {reference.graph_noun} needs {name} ({_described(taken)}), which the export does not have."
        f" Say what to feed: --feed {name}=VALUE"
    )


def _number(dtype: DType | None) -> int:
    return dtype.number if dtype is not None else 0


def _shape(name: str, sides: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """The shape that all of ``sides`` take, the first known dimension winning, ``BATCH`` rows if left open."""
    shapes = [side.dims for side in sides if side.dims]
    if not shapes or len({len(dims) for dims in shapes}) > 1:
        raise _unknown_shape(name, sides[0])
    dims = [max(sizes) for sizes in zip(*shapes, strict=True)]
    if dims[0] < 0:
        dims[0] = BATCH
    if min(dims) < 0:
        raise _unknown_shape(name, sides[0])
    return tuple(dims)


def _unknown_shape(name: str, taken: TensorSpec) -> SettingsError:
    return SettingsError(
        f"The shape of input {name} is not known ({_described(taken)}), so no values can be made up for it."
        " Give its values: --inputs FILE.npz with an array under that name."
    )


def _described(taken: TensorSpec) -> str:
    names = {**_FLOATS, **_INTEGERS, _BOOL: "bool", 7: "string"}
    shape = (
        "unknown shape"
        if taken.dims is None
        else f"[{', '.join('?' if d < 0 else str(d) for d in taken.dims)}]"
    )
    return f"{names.get(taken.dtype.number, 'another dtype') if taken.dtype else 'unknown dtype'} {shape}"
