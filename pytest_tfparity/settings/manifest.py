"""``tfparity.yaml``: read with the line of everything in it, validated in full before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Problem, SettingsError, shown_path
from ..formats.section import KINDS, Key
from . import schema
from .document import read_document
from .entries import InputEntry
from .models import Models, expanded, misnamed
from .readers import SECTION_READERS
from .resolve import ModelEntry
from .rules import shown_from
from .sections import read_section, sentence
from .spec import NpzSource
from .stated import Layer, Reading, Stated, Written, Wrong, must_be


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The models of a manifest in file order, and what is wrong with it.

    ``found`` holds each problem with the name of its model, None for those of the file as a whole.
    """

    path: Path
    models: Models = field(default_factory=Models)
    found: tuple[tuple[str | None, Problem], ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem once, in the order of lines."""
        unique = dict.fromkeys(problem for _, problem in self.found)
        return tuple(sorted(unique, key=lambda problem: problem.line or 0))


def manifest_in(folder: Path) -> Path | None:
    """The manifest that is found in ``folder`` by its name. Raises SettingsError if there are two."""
    found = [folder / name for name in schema.MANIFEST_FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise SettingsError(
            f"{shown_path(found[0])} and {shown_path(found[1])} are two manifests for one folder, and only one would"
            " be read: put their models into one file, or name one of them otherwise."
        )
    return found[0] if found else None


def load_manifest(path: Path) -> Manifest:
    """The manifest, if nothing is wrong with it. Raises SettingsError with every problem."""
    manifest = read_manifest(path)
    if manifest.problems:
        raise SettingsError(manifest.problems)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest and everything that is wrong with it, missing files included. Raises nothing."""
    path = Path(os.path.abspath(path))
    reading = _reading(path)
    try:
        top = _top(reading, read_document(path))
    except Wrong as wrong:
        reading.problem(wrong.line, sentence(str(wrong)))
        top = {}
    found: list[tuple[str | None, Problem]] = [(None, problem) for problem in reading.problems]
    defaults: Layer = top["defaults"].value or {} if "defaults" in top else {}
    stated: Mapping[str, Written] = top["models"].value or {} if "models" in top else {}
    models = Models()
    read: list[ModelEntry] = []
    for name, value in stated.items():
        made = expanded(path, name, value, defaults)
        found += [(name, problem) for problem in (*made.problems, *models.add(made))]
        read += made.read
    found += _goldens(read)
    return Manifest(path=path, models=models, found=tuple(found))


def _reading(path: Path) -> Reading:
    return Reading(
        file=path, root=path.parent, readers={**SECTION_READERS, "defaults": _defaults, "models": _models}
    )


def _top(reading: Reading, document: Written) -> dict[str, Stated]:
    if document.value is None:
        raise Wrong("the manifest is empty; state your models under 'models'.", document.line)
    if not isinstance(document.value, dict):
        expected = must_be("a mapping with the keys defaults and models", document)
        raise Wrong(f"the manifest {expected}.", document.line)
    top = read_section(reading, schema.MANIFEST, document, "the manifest")
    if "models" not in top:
        reading.problem(document.line, "the manifest has no 'models'; state each model under its name there.")
    return top


def _defaults(reading: Reading, value: Written, key: Key, owner: str) -> dict[str, Stated]:
    return read_section(reading, schema.DEFAULTS, value, "'defaults'")


def _models(reading: Reading, value: Written, key: Key, owner: str) -> Mapping[str, Written]:
    if not isinstance(value.value, dict):
        raise must_be(KINDS[key.kind], value)
    if not value.value:
        raise Wrong("is empty; state at least one model")
    named: dict[str, Written] = {}
    for name, model in value.value.items():
        if clause := misnamed(name):
            reading.problem(model.line, clause)
        else:
            named[name] = model
    return named


def _goldens(models: Sequence[ModelEntry]) -> list[tuple[str | None, Problem]]:
    """Goldens that two models would write, or that would be written over an input."""
    found: list[tuple[str | None, Problem]] = []
    writers: dict[Path, ModelEntry] = {}
    for entry in models:
        golden = _value(entry, "golden")
        if golden is None:
            continue
        first = writers.setdefault(golden, entry)
        if first is not entry:
            message = (
                f"{entry.owner} and {first.owner} (line {first.line}) write one golden, "
                f"{shown_from(golden, entry.root)}; give each its own."
            )
            found.append((entry.name, _problem(entry, "golden", message)))
    for entry in models:
        inputs: tuple[InputEntry, ...] = _value(entry, "inputs") or ()
        for given in inputs:
            source = given.spec.source
            if isinstance(source, NpzSource) and source.path in writers:
                writer = writers[source.path]
                message = (
                    f"{given.label} is read from {shown_from(source.path, entry.root)}, which is the golden of "
                    f"{writer.owner}: an update would overwrite it. Give the golden another name."
                )
                found.append(
                    (entry.name, Problem(file=given.place.file, line=given.place.line, message=message))
                )
    return found


def _value(entry: ModelEntry, setting: str) -> Any:
    return entry.own[setting].value if setting in entry.own else None


def _problem(entry: ModelEntry, setting: str, message: str) -> Problem:
    place = entry.own[setting].place
    return Problem(file=place.file, line=place.line, message=message)
