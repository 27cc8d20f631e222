"""What must hold between settings: files that exist, sides that are complete, nothing stated twice.

Works on the settings of one check after all layers are put together, whoever stated them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import Problem, did_you_mean
from .entries import InputEntry, OutputEntry
from .sections import Layer, Place, Stated
from .spec import BytesSource, ImageSource, NpzSource


def check(settings: Layer, *, owner: str, place: Place, root: Path) -> list[Problem]:
    """Every problem of a check's settings. ``owner`` names it, ``place`` is where it begins.

    A setting whose value is None was wrong already and is not complained about again. Paths in
    messages are relative to ``root`` where they lie in it.
    """
    rules = (
        _export,
        _reference,
        _golden_alone,
        _weights,
        _graph_source,
        _checkpoint,
        _files,
        _inputs,
        _vacuous,
    )
    return [
        Problem(file=at.file, line=at.line, message=message)
        for rule in rules
        for at, message in rule(settings, owner, place, root)
    ]


def _export(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    if "frozen_graph" not in settings:
        how = "export: {frozen_graph: PATH}" if owner.startswith("model ") else "frozen_graph=PATH"
        yield place, f"{owner} has no export; state the frozen graph under test as {how}."


def _reference(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    if "checkpoint" in settings:
        return
    for name in ("meta", "builder", "ema", "feeds"):
        if name in settings:
            stated = settings[name]
            yield stated.place, f"{stated.label} means nothing without a 'checkpoint'."
            return
    if "golden" not in settings:
        yield (
            place,
            (
                f"{owner} has neither a reference nor a golden; "
                "state the checkpoint that the export must match, or a golden that was made from it."
            ),
        )


def _golden_alone(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    golden = settings.get("golden")
    if golden is None or golden.value is None or os.path.isfile(golden.value):
        return
    checkpoint = settings.get("checkpoint")
    names = f"{golden.label} names {shown(golden.value, root)}, which does not exist"
    if checkpoint is None:
        yield golden.place, f"{names}, and without a reference nothing can write it."
    elif checkpoint.value is not None and _optional(settings) and not _found(checkpoint.value):
        yield (
            golden.place,
            (
                f"{names}, and neither does the optional checkpoint {shown(checkpoint.value, root)}: "
                "there is nothing to compare the export with."
            ),
        )


def _weights(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    compare = settings.get("compare")
    if compare is not None and compare.value == "weights" and "checkpoint" not in settings:
        yield compare.place, f"{compare.label} is weights, which needs a checkpoint to compare them with."


def _graph_source(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    if "builder" in settings and "meta" in settings:
        builder, meta = settings["builder"], settings["meta"]
        message = (
            f"{builder.label} and 'meta' exclude each other: a rebuilt network mixed with an imported one "
            "holds two copies of the variables, of which only one is restored. Keep one of the two."
        )
        yield max(builder.place, meta.place, key=lambda at: at.line or 0), message


_FILE_OF_CHECKPOINT = re.compile(r"(?P<prefix>.+)\.(index|meta|data-\d+-of-\d+)")


def _checkpoint(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    stated = settings.get("checkpoint")
    if stated is None or stated.value is None:
        return
    path: Path = stated.value
    names = f"{stated.label} names {shown(path, root)}"
    part = _FILE_OF_CHECKPOINT.fullmatch(str(path))
    if part and os.path.isfile(path) and not os.path.isfile(f"{path}.index"):
        prefix = shown(Path(part["prefix"]), root)
        yield stated.place, f"{names}, which is one file of a checkpoint; name its prefix, {prefix}."
    elif not _found(path) and not (_optional(settings) and "golden" in settings):
        prefixes = [name.removesuffix(".index") for name in _siblings(path) if name.endswith(".index")]
        missing = f"there is neither a file {path.name}.index nor a folder of that name in {_folder(path)}."
        hints = did_you_mean(path.name, prefixes, 2) + _golden_hint(settings)
        yield stated.place, f"{names}, but {missing}{hints}"


def _golden_hint(settings: Layer) -> str:
    golden = settings.get("golden")
    if golden is None or golden.value is None or not os.path.isfile(golden.value):
        return ""
    return " If the golden may stand in for it, add optional: true to the reference."


def _optional(settings: Layer) -> bool:
    return "optional" in settings and bool(settings["optional"].value)


def _found(checkpoint: Path) -> bool:
    return os.path.isfile(f"{checkpoint}.index") or os.path.isdir(checkpoint) or os.path.isfile(checkpoint)


def _files(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    golden = settings.get("golden")
    has_golden = golden is not None and golden.value is not None and os.path.isfile(golden.value)
    for name in ("meta", "frozen_graph"):
        stated = settings.get(name)
        excused = name == "meta" and _optional(settings) and has_golden
        if stated is not None and stated.value is not None and not excused:
            yield from _file(stated, stated.value, root)
    if has_golden or "inputs" not in settings:
        return
    for entry in settings["inputs"].value or ():
        source = entry.spec.source
        stated = Stated(value=None, place=entry.place, label=entry.label)
        if isinstance(source, NpzSource):
            yield from _file(stated, source.path, root)
        elif isinstance(source, (ImageSource, BytesSource)):
            for path in source.paths:
                yield from _file(stated, path, root)


def _file(stated: Stated, path: Path, root: Path) -> Iterator[tuple[Place, str]]:
    if os.path.isfile(path):
        return
    names = f"{stated.label} names {shown(path, root)}"
    if os.path.isdir(path):
        yield stated.place, f"{names}, which is a folder; name a file."
    elif any(char in str(path) for char in "*?["):
        yield stated.place, f"{names}, a pattern that no file matches."
    else:
        here = did_you_mean(path.name, _siblings(path), 2)
        yield stated.place, f"{names}, but there is no such file in {_folder(path)}.{here}"


def _siblings(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path.parent))
    except (OSError, ValueError):
        return []


def _folder(path: Path) -> str:
    folder = path.parent
    return f"{folder}" if os.path.isdir(folder) else f"{folder} (the folder does not exist either)"


def shown(path: Path, root: Path) -> str:
    """A path in quotes, relative to ``root`` where it lies in it."""
    try:
        return repr(path.relative_to(root).as_posix())
    except ValueError:
        return repr(str(path))


def _inputs(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    entries: tuple[InputEntry, ...] = settings["inputs"].value or () if "inputs" in settings else ()
    for side, name in (("reference", "feeds"), ("export", "export_feeds")):
        feeds = settings.get(name)
        constants = feeds.value or {} if feeds is not None else {}
        for entry in entries:
            if entry.spec.source is not None and getattr(entry.spec, side) in constants:
                yield (
                    entry.place,
                    (
                        f"{entry.label} has two sources: it is also a constant in the feeds of the {side}. "
                        "Keep one of them."
                    ),
                )


def _vacuous(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    outputs: tuple[OutputEntry, ...] = settings["outputs"].value or () if "outputs" in settings else ()
    for own in [output.own for output in outputs] or [{}]:
        merged = {**settings, **own}
        atol = merged.get("atol")
        if atol is not None and atol.value == math.inf and "top_k" not in merged:
            hint = "state top_k beside it, or a number"
            yield atol.place, f"{atol.label} is infinite, which passes anything; {hint}."
