"""Inputs, outputs and feeds of two sides that nobody has named yet, for the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..check.pair import dtype_and_shape, final_outputs, live_placeholders
from ..comparison.compare import Tolerance
from ..errors import ModelError, SettingsError, did_you_mean
from ..formats.format import Model
from ..graph.graph import DType, Node, tensor_name
from ..settings.spec import FeedValue, InputSpec, OutputSpec, ParitySpec, RandomSource

BATCH = 4
"""How many rows random inputs have where the placeholder leaves it open."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What was found: ``feeds`` are for placeholders that the reference alone has."""

    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    feeds: dict[str, FeedValue]


def guess(spec: ParitySpec, reference: Model | None, export: Model) -> Guess:
    """Complete ``spec``: outputs where the export ends, inputs with random values, feeds for a phase.

    Raises ``SettingsError`` where only the user can know.
    """
    outputs = spec.outputs or _outputs(spec, reference, export)
    ours = live_placeholders(export.graph, [output.export for output in outputs], export.feeds)
    theirs = ours
    if reference is not None:
        theirs = live_placeholders(reference.graph, [output.reference for output in outputs], reference.feeds)
    pairs = _pairs(spec, theirs, ours)
    stated = {entry.reference: entry.source for entry in spec.inputs}
    inputs = tuple(
        InputSpec(
            reference=name,
            export=other,
            source=stated.get(name) or random_source(name, theirs[name], ours[other]),
        )
        for name, other in pairs.items()
    )
    feeds = {name: _constant(name, node) for name, node in theirs.items() if name not in pairs}
    return Guess(inputs=inputs, outputs=outputs, feeds=feeds)


def random_source(name: str, *nodes: Node) -> RandomSource:
    """Seeded random numbers that fit every one of ``nodes``: placeholders of one input on both sides."""
    dtype = _dtype(nodes[0])
    shape = _shape(name, nodes)
    if dtype in _FLOATS:
        return RandomSource(distribution="normal", shape=shape, dtype=_FLOATS[dtype])
    if dtype in _INTEGERS:
        high = 256 if _INTEGERS[dtype] == "uint8" else 2
        return RandomSource(distribution="integers", shape=shape, dtype=_INTEGERS[dtype], low=0, high=high)
    raise SettingsError(
        f"Random values cannot be made up for input {name} ({_described(nodes[0])})."
        " Give its values: --inputs FILE.npz with an array under that name."
    )


def _outputs(spec: ParitySpec, reference: Model | None, export: Model) -> tuple[OutputSpec, ...]:
    """Where the export ends, with the reference's tensor of that name, or its own single final tensor."""
    finals = final_outputs(export.graph)
    if not finals:
        raise ModelError(f"{export.label} computes nothing: it has no node that could be an output.")
    known = export.graph.nodes if reference is None else reference.graph.nodes
    lost = [name for name in finals if tensor_name(name).node not in known]
    if not lost:
        return tuple(_output(name, name, spec.tolerance) for name in finals)
    candidates = final_outputs(reference.graph) if reference is not None else []
    if len(finals) == 1 and len(candidates) == 1:
        return (_output(candidates[0], finals[0], spec.tolerance),)
    raise SettingsError(
        f"{export.label} ends in {', '.join(lost)}, which the checkpoint's graph does not have."
        f"{did_you_mean(tensor_name(lost[0]).node, known)} Say which tensor it should be compared with:"
        f" --output NAME={lost[0]}"
    )


def _output(reference: str, export: str, tolerance: Tolerance) -> OutputSpec:
    return OutputSpec(reference=reference, export=export, tolerance=tolerance)


def _pairs(spec: ParitySpec, theirs: dict[str, Node], ours: dict[str, Node]) -> dict[str, str]:
    """The export's placeholders by those of the reference: as stated, of one name, or the only one of its kind."""
    pairs = {entry.reference: entry.export for entry in spec.inputs if entry.export in ours}
    pairs.update({name: name for name in ours if name in theirs and name not in pairs.values()})
    for name, node in ours.items():
        if name in pairs.values():
            continue
        alike = [
            other for other, node_ in theirs.items() if other not in pairs and _dtype(node_) == _dtype(node)
        ]
        if len(alike) != 1:
            raise SettingsError(
                f"Which input of the checkpoint's graph ({', '.join(theirs) or 'it has none'}) is {name} of the"
                f" export? Say it: --input NAME={name}"
            )
        pairs[alike[0]] = name
    return pairs


def _constant(name: str, node: Node) -> FeedValue:
    """The value of a phase that the export no longer has: inference."""
    dtype, (_, shape) = _dtype(node), dtype_and_shape(node)
    if dtype == _BOOL:
        return False
    if dtype in _FLOATS and shape in ((), None):
        return 1.0
    raise SettingsError(
        f"The checkpoint's graph needs {name} ({_described(node)}), which the export does not have."
        f" Say what to feed: --feed {name}=VALUE"
    )


def _dtype(node: Node) -> int:
    dtype, _ = dtype_and_shape(node)
    return dtype.number if isinstance(dtype, DType) else 0


def _shape(name: str, nodes: tuple[Node, ...]) -> tuple[int, ...]:
    """The shape that all of ``nodes`` take, the first known dimension winning, ``BATCH`` rows if left open."""
    shapes = [dims for dims in (dtype_and_shape(node)[1] for node in nodes) if dims]
    if not shapes or len({len(dims) for dims in shapes}) > 1:
        raise _unknown_shape(name, nodes[0])
    dims = [max(sizes) for sizes in zip(*shapes, strict=True)]
    if dims[0] < 0:
        dims[0] = BATCH
    if min(dims) < 0:
        raise _unknown_shape(name, nodes[0])
    return tuple(dims)


def _unknown_shape(name: str, node: Node) -> SettingsError:
    return SettingsError(
        f"The shape of input {name} is not known ({_described(node)}), so no values can be made up for it."
        " Give its values: --inputs FILE.npz with an array under that name."
    )


def _described(node: Node) -> str:
    dtype, dims = dtype_and_shape(node)
    names = {**_FLOATS, **_INTEGERS, _BOOL: "bool", 7: "string"}
    shape = "unknown shape" if dims is None else f"[{', '.join('?' if d < 0 else str(d) for d in dims)}]"
    return f"{names.get(dtype.number, 'another dtype') if dtype else 'unknown dtype'} {shape}"


def completed(spec: ParitySpec, found: Guess) -> ParitySpec:
    """``spec`` with what was found put in."""
    reference = spec.reference
    if reference is not None and found.feeds:
        reference = replace(reference, feeds={**reference.feeds, **found.feeds})
    return replace(spec, reference=reference, inputs=found.inputs, outputs=found.outputs)
