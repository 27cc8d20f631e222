"""What the commands of ``tfparity`` do."""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..check.check import decided_without_running, try_proof
from ..check.pair import open_pair
from ..errors import SettingsError, TfparityError, did_you_mean, missing_file, printable, shown_path
from ..formats.format import ROLES, Format, Role, is_elsewhere
from ..formats.registry import format_of, recognised, resembled
from ..formats.section import Key
from ..formats.store import ModelStore
from ..reports.terminal import report
from ..result import ParityResult
from ..settings.resolve import resolve
from ..settings.roles import keywords
from ..settings.schema import MANIFEST_FILE
from ..settings.spec import ParitySpec
from ..settings.values import EMA
from .defaults import completed


def check_files(options: argparse.Namespace) -> int:
    """Compare one export with its reference and print the report: 0 equal, 1 different, 2 not comparable."""
    spec = _fetched(_spec(options))
    say = _silent if options.json else _print
    with closing(ModelStore()) as models:
        if spec.compare == "outputs":
            spec = _complete(spec, models, say, _whole_files(options, spec))
        result = _checked(spec, models, details=options.report is not None)
        other = None if result.passed else _other_reading(spec, models)
    if spec.origins:
        from ..check.at_hand import named_by_origin

        result = named_by_origin(result, spec)
    for line in report(result):
        say(line)
    if other is not None:
        say(f"\nWith {other} the export is proven equal: say so if that is what is meant.")
    if result.unproven and result.verdict == "pass":
        say(f"Not proven, but measured on these inputs: {result.unproven}.")
    if options.write_repaired and not result.passed:
        say(_write_repaired(spec, options.write_repaired))
    if options.report or options.json:
        from ..check.environment import environment

        if options.report:
            from ..diagnosis.causes.pages import page_of
            from ..reports.folder import write_reports

            say(f"Report: {write_reports(options.report, [result], environment(), page_of)}")
        if options.json:
            from ..reports.json import document

            print(json.dumps(document([result], environment()), indent=1))
    return {"proven": 0, "pass": 0, "fail": 1, "error": 2}[result.verdict]


def _checked(spec: ParitySpec, models: ModelStore, *, details: bool) -> ParityResult:
    """The check; what must be run is run in a process of its own."""
    found = decided_without_running(spec, models, nodeid=spec.name, details=details)
    if found is not None:
        return found
    from ..check.worker import Worker

    with closing(Worker()) as worker:
        return worker.check(spec, nodeid=spec.name, details=details)


def _elsewhere(spec: ParitySpec) -> bool:
    return any(is_elsewhere(side.path) for side in (spec.reference, spec.export) if side is not None)


def _fetched(spec: ParitySpec) -> ParitySpec:
    """``spec`` with files of this machine in the place of URLs. Raises RemoteError."""
    if not _elsewhere(spec):
        return spec
    from ..check.at_hand import at_hand
    from ..remote.cache import DEFAULT_LIMIT, Cache, default_folder
    from ..remote.fetch import Fetch

    return at_hand(spec, Fetch(Cache(default_folder(), DEFAULT_LIMIT)))


def _silent(text: str) -> None:
    """Print nothing."""


def _print(text: str) -> None:
    """Print a sentence, which may quote names out of files."""
    print(printable(text))


def init(options: argparse.Namespace) -> int:
    """Write a first manifest for a reference and its export, or add a model to one."""
    from ..settings.draft import add_to_manifest, command_for, write_manifest
    from ..settings.manifest import manifest_in
    from .questions import answered, decided

    path: Path = options.manifest or manifest_in(Path()) or Path(MANIFEST_FILE)
    if path.exists() and not options.add:
        raise SettingsError(
            f"{path} is there already and is not overwritten. Add the model to it with --add, or name another file:"
            " --manifest FILE"
        )
    if options.add and not path.exists():
        raise SettingsError(f"--add: there is no {path} to add a model to. Leave --add out to write one.")
    spec = _spec(options)
    if _elsewhere(spec):
        raise SettingsError(
            "init reads files of this machine, no URLs. Write the manifest for a copy of them, and put the URLs in."
        )
    with closing(ModelStore()) as models:
        files = (spec.root / options.inputs,) if _names_whole_files(options) else ()
        found = decided(completed(spec, models, examples=True, files=files), models)
        _say_taken(found.spec, models, _print)
    found = answered(found)
    spec = replace(found.spec, health="error")
    if options.add:
        add_to_manifest(path, spec, found.remarks)
    else:
        write_manifest(path, [spec], {**found.remarks, "health": STRICT})
    for sentence in found.said:
        _print(sentence)
    _print(
        f"{'added to' if options.add else 'wrote'} {path}: model {spec.name}, inputs {_names(spec, 'inputs')},"
        f" outputs {_names(spec, 'outputs')}"
    )
    for question in found.open:
        _print(f"to be decided in {path}: {question}")
    print(f"check it: {command_for(shown_path(Path(os.path.abspath(path))))}")
    return 0


STRICT = "An unsound checkpoint fails too, and so does a difference that the tolerance hides."
"""Why a first manifest asks for more than the default."""


def report_again(options: argparse.Namespace) -> int:
    """Make the page of one or several reports, merged."""
    from ..diagnosis.causes.pages import page_of
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
        print(f"Report: {write_page(folder, merged.results, merged.environment, page_of)}")
    else:
        print(f"Report: {write_reports(output, merged.results, merged.environment, page_of)}")
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
            " `tfparity explain` lists them."
        )
    print(page_of(options.cause).rstrip())
    return 0


def schema(options: argparse.Namespace) -> int:
    """Print the JSON schema of a manifest."""
    from ..settings.json_schema import json_schema

    print(json.dumps(json_schema(), indent=1))
    return 0


def completion(options: argparse.Namespace) -> int:
    """Print the script that completes commands and options in a shell."""
    from ..diagnosis.causes import CATALOGUE
    from ..formats.registry import FORMATS
    from .completion import completion as script
    from .parser import parser

    print(script(options.shell, parser(FORMATS), sorted(CATALOGUE)), end="")
    return 0


def _write_repaired(spec: ParitySpec, path: Path) -> str:
    """Write the repaired export; a sentence about what was done."""
    from ..check.repaired_export import write_repaired_export

    with closing(ModelStore()) as models:
        remaining = write_repaired_export(spec, models, path)
    if remaining is None:
        return "Nothing was written: no repair restores parity."
    return f"Wrote {path}: with every finding repaired it matches to {remaining:.3g}."


def _complete(
    spec: ParitySpec, models: ModelStore, say: Callable[[str], None], files: tuple[Path, ...]
) -> ParitySpec:
    """``spec`` in full for one check; what was found is said."""
    found = completed(spec, models, files=files)
    _say_taken(found.spec, models, say)
    for sentence in found.said:
        say(sentence)
    return found.spec


def _say_taken(spec: ParitySpec, models: ModelStore, say: Callable[[str], None]) -> None:
    for side in filter(None, (spec.reference, spec.export)):
        model = models.open(side, spec.root)
        if model.taken:
            say(f"{shown_path(model.path)}: {model.taken}")


def _other_reading(spec: ParitySpec, models: ModelStore) -> str | None:
    """The options under which the reference is read in another way, which proves the export equal; None without."""
    if spec.reference is None:
        return None
    form = format_of(spec.reference.format)
    for reading in form.readings(spec.reference):
        try:
            proven = try_proof(open_pair(replace(spec, reference=reading), models)).proven
        except TfparityError:
            continue
        if proven:
            stated = {
                name: value for name, value in reading.options.items() if name not in spec.reference.options
            }
            return " ".join(f"--{name} {value}" for name, value in stated.items())
    return None


_STATED = ("atol", "rtol", "rounding", "compare", "run")
"""Options that are keys of a marker by the same name."""


def _spec(options: argparse.Namespace) -> ParitySpec:
    """The command line as a check, by the same rules as a marker."""
    given = {
        **_stated_sides(options),
        "feeds": {name: _value(value) for name, value in _named(options, "feed")} or None,
        "outputs": [dict(zip(ROLES, _pair(text), strict=False)) for text in options.output] or None,
        "inputs": _inputs(options) or None,
    }
    given.update({name: getattr(options, name, None) for name in _STATED})
    name = getattr(options, "name", None) or Path(options.export).stem
    return resolve(None, marker=given, ini={}, options={}, root=Path.cwd(), name=name)


def _stated_sides(options: argparse.Namespace) -> dict[str, Any]:
    """Both sides as a marker's keywords, with the options that are keys of their formats.

    Where both have the key, ``VALUE=EXPORT`` states it for each; a value alone is meant for both, a file for the
    reference.
    """
    forms = {role: _format_named(getattr(options, role), role) for role in ROLES}
    known = {role: {key.name: key for key in form.section.keys} for role, form in forms.items()}
    stated: dict[Role, dict[str, Any]] = {
        role: {form.word: getattr(options, role)} for role, form in forms.items()
    }
    for name in sorted(options.format_keys):
        text = getattr(options, name)
        if text is not None:
            keys = {role: known[role][name] for role in ROLES if name in known[role]}
            if not keys:
                nouns = " and ".join(form.noun for form in forms.values())
                raise SettingsError(
                    f"--{name.replace('_', '-')} means nothing here: it is no key of a side ({nouns})."
                )
            for role, value in _of_sides(keys, text):
                stated[role][name] = _typed(keys[role], value)
    return {
        word: value for role in ROLES for word, value in keywords(role, forms[role], stated[role]).items()
    }


def _of_sides(keys: Mapping[Role, Key], text: str) -> Iterator[tuple[Role, str]]:
    """The sides whose key an option is, each with its value."""
    values = _pair(text) if len(keys) > 1 else (text,)
    if len(values) == 1 and next(iter(keys.values())).kind != "path":
        values *= len(keys)
    yield from zip(keys, values, strict=False)


def _format_named(file: str, role: Role) -> Format:
    """The format of a side, told by what is in its file; of one that lies elsewhere by its name."""
    return resembled(Path(file), role) if "://" in file else recognised(Path.cwd() / file, role)


def _typed(key: Key, text: str) -> Any:
    """An option of a format as a manifest would state it: a list where commas stand."""
    if key.kind == "texts" or (key.kind == "ema" and text not in EMA):
        return text.split(",")
    return {"true": True, "false": False}.get(text, text) if key.kind == "boolean" else text


def _inputs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    inputs: dict[str, dict[str, Any]] = {
        _tensor(name): {"export": export} for name, export in _named(options, "input")
    }
    file = getattr(options, "inputs", None)
    if file and not _names_whole_files(options):
        for name in _arrays(Path(file)):
            full = _tensor(name)
            if not full.rpartition(":")[2].isdecimal():
                raise SettingsError(
                    f"{file} has an array {name!r}, which is the name of no tensor. Write it under the name of an"
                    " input, such as image:0."
                )
            inputs.setdefault(full, {}).update(npz=file, key=name)
    return inputs


def _tensor(name: str) -> str:
    """``"image:0"`` for ``"image"``: one tensor has one entry, however it is spelt."""
    return name if ":" in name else f"{name}:0"


def _names_whole_files(options: argparse.Namespace) -> bool:
    """Whether ``--inputs`` names files of which each is a value, encoded images say, and no file of arrays."""
    file = getattr(options, "inputs", None)
    return file is not None and Path(file).suffix not in (".npz", ".npy")


def _whole_files(options: argparse.Namespace, spec: ParitySpec) -> tuple[Path, ...]:
    """The files that ``--inputs`` names in a pattern. Raises SettingsError if there is none."""
    if not _names_whole_files(options):
        return ()
    from ..settings.entries import matching_files

    found = matching_files(spec.root, options.inputs)
    if not found:
        raise SettingsError(f"--inputs names {options.inputs}{missing_file(spec.root / options.inputs)}")
    return tuple(map(Path, found))


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
