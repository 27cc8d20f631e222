"""Inputs and outputs as a settings file states them: sources of values, names on both sides."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comparison.tolerance import TopK
from ..formats.format import is_elsewhere
from ..formats.section import KINDS, Key
from . import schema
from .sections import complete, read_section, sentence, values_of
from .spec import (
    BytesSource,
    CallSource,
    GradCamSpec,
    ImageSource,
    InputSource,
    InputSpec,
    NpzSource,
    RandomSource,
    TensorPair,
)
from .stated import Layer, Place, Reading, Written, Wrong, must_be
from .values import list_of, tensor_of, text_of, top_k_of


@dataclass(frozen=True, slots=True, kw_only=True)
class InputEntry:
    """An input as it was stated; ``place`` and ``label`` are for messages."""

    spec: InputSpec
    place: Place
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEntry:
    """An output as it was stated, with the tolerance settings of its own."""

    reference: str
    export: str
    own: Layer
    transpose: tuple[int, ...] | None = None


def read_top_k(reading: Reading, value: Written, key: Key, owner: str) -> TopK | None:
    """How many largest entries must be the same; None if something in it is wrong."""
    settings = read_section(reading, schema.TOP_K, value, f"'top_k' of {owner}")
    return top_k_of(values_of(settings)) if complete(settings) else None


def read_images(reading: Reading, value: Written, key: Key, owner: str) -> ImageSource | None:
    """Image files, as a pattern, a list or a section; None if something in it is wrong."""
    if not isinstance(value.value, dict):
        return ImageSource(paths=read_paths(reading, value, key, owner))
    settings = read_section(reading, schema.IMAGES, value, f"'images' of {owner}")
    if not complete(settings):
        return None
    if "paths" not in settings:
        raise Wrong("needs 'paths', the image files")
    plain = values_of(settings)
    return ImageSource(
        paths=plain["paths"], channels=int(plain.get("channels", 3)), dtype=plain.get("dtype", "uint8")
    )


def read_random(reading: Reading, value: Written, key: Key, owner: str) -> RandomSource | None:
    """A random source; None if something in it is wrong."""
    settings = read_section(reading, schema.RANDOM, value, f"'random' of {owner}")
    return random_source_of(values_of(settings)) if complete(settings) else None


_MEANINGLESS = {"normal": ("low", "high"), "uniform": ("mean", "stddev"), "integers": ("mean", "stddev")}


def random_source_of(plain: Mapping[str, Any]) -> RandomSource:
    """The settings of a ``random`` section as a source. Raises :class:`Wrong` if they do not fit together."""
    distribution = plain.get("distribution", "normal")
    dtype = plain.get("dtype", "int64" if distribution == "integers" else "float32")
    if "shape" not in plain:
        raise Wrong("needs 'shape', such as [8, 28, 28, 1]")
    for name in _MEANINGLESS[distribution]:
        if name in plain:
            raise Wrong(f"has {name!r}, which means nothing for the distribution {distribution}")
    if distribution != "integers" and dtype not in schema.FLOAT_DTYPES:
        raise Wrong(
            f"cannot have dtype {dtype} with the distribution {distribution}; use distribution: integers"
        )
    stated = {name: plain[name] for name in ("seed", "mean", "stddev", "low", "high") if name in plain}
    low, high = stated.get("low", 0), stated.get("high", 1 if distribution == "uniform" else math.inf)
    if low >= high:
        raise Wrong(f"must have low below high, but low is {low:g} and high is {high:g}")
    if distribution == "integers" and any(stated.get(name, 0) % 1 for name in ("low", "high")):
        raise Wrong("must have whole numbers as low and high of integers")
    return RandomSource(distribution=distribution, shape=plain["shape"], dtype=dtype, **stated)


def read_inputs(reading: Reading, value: Written, key: Key, owner: str) -> tuple[InputEntry, ...]:
    """The inputs that are right; the others become problems of their own."""
    if not isinstance(value.value, dict):
        raise must_be(f"{KINDS[key.kind]}, such as {{'image:0': {{npz: images.npz}}}}", value)
    entries: list[InputEntry] = []
    for name, item in value.value.items():
        label = f"input {name!r} of {owner}"
        try:
            reference = tensor_of(name)
            spec = _input(reading, item, reference, label)
        except Wrong as wrong:
            reading.problem(item.line, sentence(f"{label} {wrong}"))
            continue
        entries.append(InputEntry(spec=spec, place=Place(reading.file, item.line), label=label))
    for side in ("reference", "export"):
        seen: set[str] = set()
        for entry in entries:
            tensor = getattr(entry.spec, side)
            if tensor in seen:
                reading.problem(
                    entry.place.line, f"{entry.label} is a second source for {tensor!r} of the {side}."
                )
                break
            seen.add(tensor)
    return tuple(entries)


def _input(reading: Reading, item: Written, reference: str, label: str) -> InputSpec:
    if item.value is None:
        return InputSpec(reference=reference, export=reference)
    settings = read_section(reading, schema.INPUT, item, label)
    sources = [key.name for key in schema.SOURCES if key.name in settings]
    if len(sources) > 1:
        raise Wrong(f"has {len(sources)} sources, {' and '.join(sources)}; keep one of them")
    if "key" in settings and sources != ["npz"]:
        raise Wrong("has 'key', which names an array of an .npz file, but no 'npz'")
    plain = values_of(settings)
    return InputSpec(
        reference=reference,
        export=plain.get("export", reference),
        source=_source(plain),
        transpose=plain.get("transpose"),
    )


def _source(plain: Mapping[str, Any]) -> InputSource | None:
    if "npz" in plain:
        return NpzSource(path=plain["npz"], key=plain.get("key"))
    if "bytes" in plain:
        return BytesSource(paths=plain["bytes"])
    if "call" in plain:
        return CallSource(function=plain["call"])
    return plain.get("random") or plain.get("images")


def read_outputs(reading: Reading, value: Written, key: Key, owner: str) -> tuple[OutputEntry, ...]:
    """The outputs that are right; the others become problems of their own."""
    if not isinstance(value.value, list):
        raise must_be(KINDS[key.kind], value)
    if not value.value:
        raise Wrong("is an empty list. Leave it out to compare what both graphs have in common", value.line)
    entries: list[OutputEntry] = []
    seen: set[tuple[str, str]] = set()
    for item in value.value:
        try:
            entry = _output(reading, item, owner)
        except Wrong as wrong:
            reading.problem(item.line, sentence(f"an output of {owner} {wrong}"))
            continue
        if entry is None:
            continue
        if (entry.reference, entry.export) in seen:
            reading.problem(item.line, f"output {entry.reference!r} of {owner} is listed twice.")
        seen.add((entry.reference, entry.export))
        entries.append(entry)
    return tuple(entries)


def _output(reading: Reading, item: Written, owner: str) -> OutputEntry | None:
    if not isinstance(item.value, dict):
        name = tensor_of(text_of(item, "a tensor name or a mapping such as {reference: 'logits:0'}"))
        return OutputEntry(reference=name, export=name, own={})
    stated = item.value.get("reference")
    called = f"output {stated.value!r}" if stated and isinstance(stated.value, str) else "an output"
    settings = read_section(reading, schema.OUTPUT, item, f"{called} of {owner}")
    if "reference" not in settings:
        raise Wrong("needs 'reference', its name in the reference")
    plain = values_of(settings)
    if "reference" not in plain:
        return None
    names = ("reference", "export", "transpose")
    return OutputEntry(
        reference=plain["reference"],
        export=plain.get("export", plain["reference"]),
        own={name: value for name, value in settings.items() if name not in names},
        transpose=plain.get("transpose"),
    )


def read_tensor_names(reading: Reading, value: Written, key: Key, owner: str) -> TensorPair | None:
    """A tensor of both sides; None if something in it is wrong."""
    if not isinstance(value.value, dict):
        name = tensor_of(text_of(value, KINDS[key.kind]))
        return TensorPair(reference=name, export=name)
    settings = read_section(reading, schema.TENSORS, value, f"{key.name!r} of {owner}")
    if not complete(settings):
        return None
    if "reference" not in settings:
        raise Wrong("needs 'reference', its name in the reference")
    plain = values_of(settings)
    return TensorPair(reference=plain["reference"], export=plain.get("export", plain["reference"]))


def read_grad_cam(reading: Reading, value: Written, key: Key, owner: str) -> GradCamSpec | None:
    """The tensors of Grad-CAM; None if something in it is wrong."""
    settings = read_section(reading, schema.GRAD_CAM, value, f"'grad_cam' of {owner}")
    if not complete(settings):
        return None
    missing = [repr(each.name) for each in schema.GRAD_CAM.keys if each.name not in settings]
    if missing:
        raise Wrong(f"needs {' and '.join(missing)} too")
    return GradCamSpec(**values_of(settings))


def read_paths(reading: Reading, value: Written, key: Key, owner: str) -> tuple[Path, ...]:
    """The files, sorted within a pattern. A pattern that matches nothing is kept as it is written."""
    found: list[Path] = []
    for item in list_of(value, KINDS[key.kind]):
        path = reading.path(text_of(item, KINDS[key.kind]))
        single = os.path.isfile(path) or is_elsewhere(path)
        matches = [] if single else matching_files(reading.root, text_of(item, KINDS[key.kind]))
        found.extend(map(Path, matches or [str(path)]))
    return tuple(found)


def matching_files(root: Path, pattern: str) -> list[str]:
    """The files that a pattern of paths below ``root`` matches, sorted; a path without wildcards matches itself."""
    try:
        matches = glob.glob(os.path.join(glob.escape(str(root)), pattern), recursive=True)
    except (OSError, ValueError):
        return []
    return sorted(os.path.normpath(match) for match in matches if os.path.isfile(match))
