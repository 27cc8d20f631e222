"""What makes a check the same check: the content of every file, all that is stated, the program that decides."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..formats.format import ROLES
from ..formats.registry import format_of
from ..settings.spec import CallSource, NpzSource, ParitySpec

_ABOUT_A_RUN = (
    "name",
    "root",
    "manifest",
    "line",
    "isolate",
    "timeout",
    "memory",
    "grad_cam",
    "offline",
    "origins",
)
"""What is stated about where and how a check runs, and not about what must hold."""


def content_files(spec: ParitySpec) -> Sequence[Path] | None:
    """Every file that a proof of ``spec`` reads.

    None where they cannot be named, or where functions of the project have a say: those can do anything.
    """
    found: list[Path] = []
    for role in ROLES:
        side = spec.side(role)
        files = format_of(side.format).content(side) if side is not None else None
        if files is None:
            return None
        found += files
    for entry in spec.inputs:
        if isinstance(entry.source, CallSource):
            return None
        if isinstance(entry.source, NpzSource):
            found.append(entry.source.path)
    if spec.golden is not None:
        found += [spec.golden, spec.golden.with_suffix(".yaml")]
    return list(dict.fromkeys(found))


def key_of(spec: ParitySpec, hashes: Iterable[tuple[Path, str]]) -> str:
    """The key of a check whose files have these hashes. Paths count from the manifest's folder, on every machine."""
    stated = {
        field.name: getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if field.name not in _ABOUT_A_RUN
    }
    identity = {
        "stated": {name: _plain(value, spec) for name, value in stated.items()},
        "files": sorted((spec.shown(path), found) for path, found in hashes),
        "program": _program(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _plain(value: Any, spec: ParitySpec) -> Any:
    """A stated value as JSON that tells values of other types apart (1, 1.0, True)."""
    if isinstance(value, Path):
        return ["path", spec.shown(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [type(value).__name__, {name: _plain(each, spec) for name, each in fields.items()}]
    if isinstance(value, dict):
        return ["mapping", {str(name): _plain(each, spec) for name, each in value.items()}]
    if isinstance(value, list | tuple):
        return [_plain(each, spec) for each in value]
    return value if value is None or isinstance(value, str | bool | int | float) else repr(value)


@cache
def _program() -> dict[str, str]:
    """What decides: this package to the letter, and what it computes and reads with."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    versions = {name: metadata.version(name) for name in ("numpy", "protobuf", "google-crc32c")}
    return {"source": digest.hexdigest(), "python": platform.python_version(), **versions}
