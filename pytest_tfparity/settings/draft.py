"""A ``tfparity.yaml`` written from specifications: what ``load_manifest`` reads back as the same ones."""

from __future__ import annotations

import math
import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from ..comparison.tolerance import METRICS, Tolerance
from ..errors import SettingsError, relative_to
from ..formats.format import ROLES, SideSpec
from ..formats.registry import format_of
from . import schema
from .document import parse_document
from .json_schema import FILE as SCHEMA_FILE
from .roles import PLAIN, side_description
from .spec import (
    BytesSource,
    CallSource,
    ImageSource,
    InputSource,
    InputSpec,
    NpzSource,
    OutputSpec,
    ParitySpec,
    RandomSource,
)
from .stated import Written, Wrong

_PROPOSAL = "# tolerance: rounding  # in place of atol: as exact as the reference's own arithmetic, measured"
"""The tolerance that nobody has to pick, for whoever reads a first manifest."""


Remarks: TypeAlias = Mapping[str, str]
"""Sentences about parts of a model, by key, that of its side before it: ``"reference.ema"``, ``"outputs"``."""


def write_manifest(path: Path, specs: Sequence[ParitySpec], remarks: Remarks = MappingProxyType({})) -> None:
    """Write a manifest of ``specs``; ``remarks`` are about the first. Raises SettingsError if the file exists."""
    text = manifest_text(specs, Path(os.path.abspath(path)), remarks)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(
            f"{path} exists already and is left as it is; remove it first, or edit it."
        ) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from None


def command_for(manifest: str) -> str:
    """What checks a manifest: pytest collects a file of another name only where an option says so."""
    file = shlex.quote(manifest)
    return f"pytest {file}{'' if Path(manifest).name in schema.MANIFEST_FILES else f' --tfparity-manifest={file}'}"


def add_to_manifest(path: Path, spec: ParitySpec, remarks: Remarks = MappingProxyType({})) -> None:
    """Write a model behind the others of a manifest. Raises SettingsError if it cannot be added.

    The text of the file stays as it is: what is written is only kept if it is read back as the same models and the
    new one.
    """
    try:
        before = path.read_text(encoding="utf-8-sig")
        known = _models(before)
    except (OSError, Wrong) as error:
        raise SettingsError(f"{path} cannot be added to: {error}") from None
    if spec.name in known:
        raise SettingsError(
            f"{path} has a model {spec.name!r} already. Give the new one another name: --name NAME"
        )
    lines = list(_model_lines(spec, Path(os.path.abspath(path)).parent, remarks))
    after = "\n".join([before.rstrip("\n"), *(f"  {line}" for line in lines)]) + "\n"
    try:
        added = _models(after)
    except Wrong:
        added = {}
    if {name: added.get(name) for name in known} != known or spec.name not in added:
        text = "\n".join(lines)
        raise SettingsError(
            f"{path} does not end with its models, so nothing was added. Write this under its `models`:\n{text}"
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(after, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)


def _models(text: str) -> Mapping[str, Any]:
    """The models of a manifest's text, as plain values. Raises :class:`Wrong`."""
    top = parse_document(text).value
    models = top.get("models") if isinstance(top, dict) else None
    return _plain(models) if models is not None and isinstance(models.value, dict) else {}


def _plain(value: Written) -> Any:
    if isinstance(value.value, dict):
        return {name: _plain(each) for name, each in value.value.items()}
    return [_plain(each) for each in value.value] if isinstance(value.value, list) else value.value


def manifest_text(specs: Sequence[ParitySpec], path: Path, remarks: Remarks = MappingProxyType({})) -> str:
    """The text of a manifest at ``path`` (absolute), with what each part is for beside the first model."""
    editors = f"# yaml-language-server: $schema={SCHEMA_FILE}"
    lines = [
        *([editors] if (path.parent / SCHEMA_FILE).is_file() else []),
        "# Each export must match its reference within the tolerance.",
        f"# Check them: {command_for(path.name)}",
        "models:",
    ]
    for spec in specs:
        first = spec is specs[0]
        about = remarks if first else MappingProxyType({})
        lines += [f"  {line}" for line in _model_lines(spec, path.parent, about, purposes=first)]
    return "\n".join(lines) + "\n"


def _model_lines(
    spec: ParitySpec, folder: Path, remarks: Remarks, *, purposes: bool = False
) -> Iterator[str]:
    """A model as it stands below ``models``, with ``remarks`` and, for whoever reads a first one, ``purposes``."""
    yield f"{_text(spec.name)}:"
    for name, body in _model(spec, folder, remarks, proposal=purposes):
        if purposes and name in schema.MODEL.by_name and name not in remarks.keys() - {"inputs", "outputs"}:
            yield f"  # {_purpose(spec, name)}"
        yield from (f"  {line}" for line in body)


def _remark(text: str | None) -> list[str]:
    """A sentence as lines of comment."""
    return [f"# {line}" for line in textwrap.wrap(text, 96)] if text else []


def _purpose(spec: ParitySpec, name: str) -> str:
    """What a key of a model is for: of a side, with the format that it has here."""
    for role in ROLES:
        side = spec.side(role)
        if name == role and side is not None:
            return side_description(role, [format_of(side.format)])
    return schema.MODEL.by_name[name].description


def _model(
    spec: ParitySpec, folder: Path, remarks: Remarks, *, proposal: bool
) -> Iterator[tuple[str, list[str]]]:
    """Each key of a model with its lines, in the order of the schema; with the ``proposal`` of another tolerance."""
    for role in ROLES:
        side = spec.side(role)
        if side is not None:
            about = {name: remarks.get(f"{role}.{name}") for name in (*side.options, "ema", "feeds")}
            yield role, _block(role, _side(side, folder), about)
    if spec.inputs:
        yield (
            "inputs",
            [
                "inputs:",
                *(f"  {line}" for line in _remark(remarks.get("inputs"))),
                *_block("inputs", {given.reference: _input(given, folder) for given in spec.inputs})[1:],
            ],
        )
    if spec.outputs:
        outputs = (_output(output, spec.tolerance) for output in spec.outputs)
        lines = [*_remark(remarks.get("outputs")), *(f"- {_flow(output)}" for output in outputs)]
        yield "outputs", ["outputs:", *(f"  {line}" for line in lines)]
    if spec.golden is not None:
        yield "golden", [f"golden: {_flow(_path(spec.golden, folder))}"]
    if not _without_atol(spec.tolerance):
        yield "atol", [f"atol: {_flow(spec.tolerance.atol)}", *([_PROPOSAL] if proposal else [])]
    others = {**_changed(spec.tolerance, Tolerance(atol=spec.tolerance.atol)), **_conduct(spec)}
    for name, value in others.items():
        yield name, [*_remark(remarks.get(name)), f"{name}: {_flow(value)}"]


def _without_atol(tolerance: Tolerance) -> bool:
    """Whether something else stands in place of ``atol``."""
    return tolerance.rounding is not None or (bool(tolerance.metrics) and math.isinf(tolerance.atol))


def _block(
    name: str, entries: Mapping[str, Any], about: Mapping[str, str | None] = MappingProxyType({})
) -> list[str]:
    lines = [f"{name}:"]
    for key, value in entries.items():
        lines += [*(f"  {line}" for line in _remark(about.get(key))), f"  {_text(key)}: {_flow(value)}"]
    unsaid = (text for key, text in about.items() if key not in entries)
    return lines + [f"  {line}" for text in unsaid for line in _remark(text)]


def _side(side: SideSpec, folder: Path) -> dict[str, Any]:
    """The keys of a reference or export that are not at their defaults."""
    stated: dict[str, Any] = {side.format: _path(side.path, folder)}
    for key in format_of(side.format).section.keys:
        value = side.options.get(key.name)
        if value is not None:
            stated[key.name] = _path(value, folder) if isinstance(value, Path) else value
    if side.feeds:
        stated["feeds"] = side.feeds
    if side.optional:
        stated["optional"] = True
    return stated


def _conduct(spec: ParitySpec) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(ParitySpec)}
    stated = {key.name: getattr(spec, key.name) for key in schema.CONDUCT}
    return {name: value for name, value in stated.items() if value != defaults[name]}


def _changed(tolerance: Tolerance, base: Tolerance) -> dict[str, Any]:
    """The fields of a tolerance that differ from those of ``base``."""
    changed: dict[str, Any] = {}
    for field in fields(Tolerance):
        value = getattr(tolerance, field.name)
        if value != getattr(base, field.name):
            is_top_k = field.name == "top_k" and value is not None
            changed[field.name] = {"k": value.k, "agree": value.agree} if is_top_k else value
    if changed.get("atol") == math.inf and changed.keys() & set(METRICS) and not tolerance.rtol:
        changed = {
            name: value for name, value in changed.items() if name not in PLAIN
        }  # what metrics mean anyway
    return changed


def _output(output: OutputSpec, base: Tolerance) -> str | dict[str, Any]:
    own = _changed(output.tolerance, base)
    if output.reference == output.export and output.transpose is None and not own:
        return output.reference
    return {"reference": output.reference, **_elsewhere(output), **own}


def _elsewhere(entry: InputSpec | OutputSpec) -> dict[str, Any]:
    """What an input or output is called in the export, and in which order it has its axes there."""
    name = {} if entry.export == entry.reference else {"export": entry.export}
    return name if entry.transpose is None else {**name, "transpose": list(entry.transpose)}


def _input(given: InputSpec, folder: Path) -> dict[str, Any]:
    stated = _source(given.source, folder) if given.source is not None else {}
    return {**stated, **_elsewhere(given)}


def _source(source: InputSource, folder: Path) -> dict[str, Any]:
    match source:
        case NpzSource():
            key = {} if source.key is None else {"key": source.key}
            return {"npz": _path(source.path, folder), **key}
        case RandomSource():
            return {"random": _random(source)}
        case ImageSource():
            paths = [_path(path, folder) for path in source.paths]
            return {"images": {"paths": paths, "channels": source.channels, "dtype": source.dtype}}
        case BytesSource():
            return {"bytes": [_path(path, folder) for path in source.paths]}
        case CallSource():
            return {"call": source.function}


def _random(source: RandomSource) -> dict[str, Any]:
    bounds = ("mean", "stddev") if source.distribution == "normal" else ("low", "high")
    defaults = {field.name: field.default for field in fields(RandomSource)}
    stated = {name: getattr(source, name) for name in ("distribution", "shape", "dtype", "seed")}
    named = {name: getattr(source, name) for name in bounds}
    return stated | {name: value for name, value in named.items() if value != defaults[name]}


def _path(path: Path, folder: Path) -> str:
    return relative_to(path, folder).as_posix()


_PLAIN = re.compile(r"(\.{0,2}/)*[A-Za-z_][A-Za-z0-9_./-]*(\([0-9.]+\))?")
_RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def _flow(value: Any) -> str:
    """A value on one line, as every YAML reader understands it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case str():
            return _text(value)
        case Mapping():
            return "{" + ", ".join(f"{_text(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(_flow(item) for item in value) + "]"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa}{'.0' if exponent and '.' not in mantissa else ''}{exponent}{power}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08X}"
