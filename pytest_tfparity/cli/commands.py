"""What the commands of ``python -m pytest_tfparity`` do."""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..check.check import check, try_proof
from ..check.pair import open_pair
from ..errors import SettingsError, TfparityError, did_you_mean, missing_file, shown_path
from ..formats.format import ROLES
from ..formats.registry import format_of, recognised
from ..formats.section import Key
from ..formats.store import ModelStore
from ..reports.terminal import report
from ..settings.resolve import resolve
from ..settings.roles import keywords
from ..settings.spec import ParitySpec
from ..settings.values import EMA
from .defaults import completed


def check_files(options: argparse.Namespace) -> int:
    """Compare one export with its reference and print the report: 0 equal, 1 different, 2 not comparable."""
    spec = _spec(options)
    with closing(ModelStore()) as models:
        if spec.compare == "outputs":
            spec = _complete(spec, models)
        result = check(spec, models, nodeid=spec.name, details=options.report is not None)
    print("\n".join(report(result)))
    if result.unproven and result.verdict == "pass":
        print(f"Not proven, but measured on these inputs: {result.unproven}.")
    if options.write_repaired and not result.passed:
        print(_write_repaired(spec, options.write_repaired))
    if options.report:
        from ..check.environment import environment
        from ..reports.folder import write_reports

        print(f"Report: {write_reports(options.report, [result], environment())}")
    return {"proven": 0, "pass": 0, "fail": 1, "error": 2}[result.verdict]


def init(options: argparse.Namespace) -> int:
    """Write a first manifest for a reference and its export."""
    path: Path = options.manifest
    if path.exists():
        raise SettingsError(
            f"{path} is there already; it is not overwritten. Name another file: --manifest FILE"
        )
    spec = _spec(options)
    with closing(ModelStore()) as models:
        spec = _proven_reading(_complete(spec, models), models)
    from ..settings.draft import command_for, write_manifest

    write_manifest(path, [spec])
    print(
        f"wrote {path}: model {spec.name}, inputs {_names(spec, 'inputs')}, outputs {_names(spec, 'outputs')}"
    )
    print(f"check it: {command_for(shown_path(Path(os.path.abspath(path))))}")
    return 0


def report_again(options: argparse.Namespace) -> int:
    """Make the page of one or several reports, merged."""
    from ..reports.folder import write_reports
    from ..reports.html import missing_packages, write_page
    from .merge import read_reports

    output: Path | None = options.output
    if output is None and len(options.folder) > 1:
        raise SettingsError("Say where the merged report goes: --output DIR")
    merged = read_reports(options.folder)
    missing = missing_packages()
    if missing:
        raise SettingsError(
            f"A page needs {', '.join(missing)}. Install what it is made with: pip install 'pytest-tfparity[report]'"
        )
    if output is None:
        only: Path = options.folder[0]
        folder = only.parent if only.suffix == ".json" else only
        print(f"Report: {write_page(folder, merged.results, merged.environment)}")
    else:
        print(f"Report: {write_reports(output, merged.results, merged.environment)}")
    return 0


def merge(options: argparse.Namespace) -> int:
    """Make one report of those of several machines."""
    from .merge import merge as merge_reports

    return merge_reports(options)


def explain(options: argparse.Namespace) -> int:
    """Print the page of a cause, or the list of all."""
    from ..diagnosis.causes import CATALOGUE
    from ..diagnosis.causes.pages import page_of, title_of

    if options.cause is None:
        width = max(map(len, CATALOGUE))
        print("\n".join(f"{name:{width}}  {title_of(name)}" for name in sorted(CATALOGUE)))
        return 0
    if options.cause not in CATALOGUE:
        raise SettingsError(
            f"There is no cause {options.cause!r}.{did_you_mean(options.cause, CATALOGUE)}"
            " `python -m pytest_tfparity explain` lists them."
        )
    print(page_of(options.cause).rstrip())
    return 0


def _write_repaired(spec: ParitySpec, path: Path) -> str:
    """Write the repaired export; a sentence about what was done."""
    from ..check.repaired_export import write_repaired_export

    with closing(ModelStore()) as models:
        remaining = write_repaired_export(spec, models, path)
    if remaining is None:
        return "Nothing was written: no repair restores parity."
    return f"Wrote {path}: with every finding repaired it matches to {remaining:.3g}."


def _proven_reading(spec: ParitySpec, models: ModelStore) -> ParitySpec:
    """``spec`` with the reading of the reference (moving averages, say) that alone makes it provable."""
    if spec.reference is None or try_proof(open_pair(spec, models)).proven:
        return spec
    for reading in format_of(spec.reference.format).readings(spec.reference):
        other = replace(spec, reference=reading)
        try:
            if try_proof(open_pair(other, models)).proven:
                return other
        except TfparityError:
            continue
    return spec


def _complete(spec: ParitySpec, models: ModelStore) -> ParitySpec:
    export = models.open(spec.export, spec.root)
    reference = models.open(spec.reference, spec.root) if spec.reference else None
    found = completed(spec, reference, export)
    for model in filter(None, (reference, export)):
        if model.taken:
            print(f"{shown_path(model.path)}: {model.taken}")
    return found


def _spec(options: argparse.Namespace) -> ParitySpec:
    """The command line as a check, by the same rules as a marker."""
    given = {
        **_stated_sides(options),
        "feeds": {name: _value(value) for name, value in _named(options, "feed")} or None,
        "outputs": [dict(zip(ROLES, _pair(text), strict=False)) for text in options.output] or None,
        "inputs": _inputs(options) or None,
    }
    given.update({name: getattr(options, name, None) for name in ("atol", "rtol", "compare", "run")})
    name = getattr(options, "name", None) or Path(options.export).stem
    return resolve(None, marker=given, ini={}, options={}, root=Path.cwd(), name=name)


def _stated_sides(options: argparse.Namespace) -> dict[str, Any]:
    """Both sides as a marker's keywords, with the options that are keys of their formats.

    An option goes to the first side whose format has the key.
    """
    given: dict[str, Any] = {}
    left = {name: value for name in options.format_keys if (value := getattr(options, name)) is not None}
    nouns = []
    for role in ROLES:
        file = getattr(options, role)
        form = recognised(Path.cwd() / file, role)
        own = [key for key in form.section.keys if key.name in left]
        stated = {form.word: file, **{key.name: _typed(key, left.pop(key.name)) for key in own}}
        given |= keywords(role, form, stated)
        nouns.append(form.noun)
    if left:
        raise SettingsError(
            f"--{min(left)} means nothing here: it is no key of a side ({' and '.join(nouns)})."
        )
    return given


def _typed(key: Key, text: str) -> Any:
    """An option of a format as a manifest would state it: a list where commas stand."""
    if key.kind == "texts" or (key.kind == "ema" and text not in EMA):
        return text.split(",")
    return {"true": True, "false": False}.get(text, text) if key.kind == "boolean" else text


def _inputs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    inputs: dict[str, dict[str, Any]] = {
        name: {"export": export} for name, export in _named(options, "input")
    }
    file = getattr(options, "inputs", None)
    if file:
        for name in _arrays(Path(file)):
            full = name if ":" in name else f"{name}:0"
            inputs.setdefault(full, {}).update(npz=file, key=name)
    return inputs


def _arrays(file: Path) -> list[str]:
    """The names of the arrays in an ``.npz`` file. Raises SettingsError if it is none."""
    if clause := missing_file(file):
        raise SettingsError(f"--inputs names {file}{clause}")
    try:
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    except (zipfile.BadZipFile, ValueError):
        raise SettingsError(
            f"{file} is no .npz file, or a damaged one. Give a file that numpy.savez wrote, with an array for each"
            " input under the input's name."
        ) from None


def _named(options: argparse.Namespace, option: str) -> Iterator[tuple[str, ...]]:
    """Both parts of each ``NAME=OTHER`` that was given to an option. Raises SettingsError for one without."""
    for text in getattr(options, option):
        if "=" not in text:
            raise SettingsError(f"--{option} {text}: say NAME=... with a name and what belongs to it.")
        yield _pair(text)


def _pair(text: str) -> tuple[str, ...]:
    """``NAME=OTHER`` as both parts, ``NAME`` as one."""
    name, equals, other = text.partition("=")
    return (name, other) if equals else (name,)


def _value(text: str) -> Any:
    """A constant feed as typed: JSON where it is JSON (also True and False), else text."""
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return text


def _names(spec: ParitySpec, what: str) -> str:
    return ", ".join(entry.reference for entry in getattr(spec, what)) or "none"
