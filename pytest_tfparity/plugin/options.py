"""The plugin's options and ini values, and the manifest that they may name."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from ..formats.section import Key
from ..settings import schema


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and ini value; those that are settings of a check come from the schema."""
    group = parser.getgroup("tfparity", "TensorFlow export parity")
    group.addoption(
        "--tfparity-update",
        nargs="?",
        const="all",
        default=None,
        metavar="all|new|force",
        help="Write goldens from the reference: what is missing or differs beyond tolerance; 'new': only what is"
        " missing; 'force': also in CI.",
    )
    group.addoption(
        "--tfparity-prune", action="store_true", help="Remove goldens that no check uses, on a full run."
    )
    group.addoption(
        "--tfparity-report",
        metavar="DIR",
        default=None,
        help="Write report.json, and a page of pictures, into this folder.",
    )
    group.addoption(
        "--tfparity-manifest",
        metavar="FILE",
        default=None,
        help="The manifest, instead of the nearest tfparity.yaml.",
    )
    parser.addini("tfparity_manifest", "The manifest, instead of the nearest tfparity.yaml.", default=None)
    cache = (
        "The file that remembers what was proven, which a team can share; off: nothing is remembered."
        " Default: a file in pytest's cache."
    )
    group.addoption("--tfparity-cache", metavar="FILE|off", default=None, help=cache)
    parser.addini("tfparity_cache", cache, default=None)
    parser.addini(
        "tfparity_downloads",
        "The folder for copies of files in buckets. Default: in the user's cache.",
        default=None,
    )
    parser.addini(
        "tfparity_downloads_limit",
        "Gigabytes that copies of files in buckets may take. Default: 20.",
        default=None,
    )
    for key in schema.CONFIGURABLE:
        parser.addini(key.ini, f"{key.description} Default: {key.default}.", default=None)
        group.addoption(
            key.flag, metavar=_metavar(key), default=None, help=f"{key.description} Default: {key.default}."
        )


UPDATE = "--tfparity-update"
_MODES = ("all", "new", "force")


def separate_update(arguments: list[str]) -> None:
    """Say in ``arguments`` that what follows ``--tfparity-update`` is a test where it is no mode."""
    for index, argument in enumerate(arguments[:-1]):
        following = arguments[index + 1]
        if argument == UPDATE and following not in _MODES and not following.startswith("-"):
            arguments[index] = f"{UPDATE}=all"


def refuse_update_in_ci(config: pytest.Config) -> None:
    """Raise ``pytest.UsageError`` where goldens would be written in CI and nobody said ``force``."""
    mode = config.getoption(UPDATE)
    if mode is not None and mode not in _MODES:
        raise pytest.UsageError(f"{UPDATE} takes {', '.join(_MODES[:-1])} or {_MODES[-1]}, not {mode!r}.")
    asked = config.getoption("--tfparity-update") not in (None, "force")
    if asked and os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise pytest.UsageError(
            "--tfparity-update does not write goldens in CI (the environment variable CI is set): a red check"
            " must not repair itself. Update on your machine and commit, or say --tfparity-update=force."
        )


def manifest_setting(config: pytest.Config) -> Path | None:
    """The manifest that an option or ini value names: an option counts from where pytest was started."""
    option = config.getoption("--tfparity-manifest")
    if option:
        return _absolute(config.invocation_params.dir, option)
    ini = config.getini("tfparity_manifest")
    return _absolute(config.rootpath, ini) if ini else None


def cache_setting(config: pytest.Config) -> Path | Literal[False] | None:
    """The file that remembers verdicts, False where nothing is to be remembered, None where nobody says."""
    option, ini = config.getoption("--tfparity-cache"), config.getini("tfparity_cache")
    stated = option or ini
    if stated == "off":
        return False
    folder = config.invocation_params.dir if option else config.rootpath
    return _absolute(folder, stated) if stated else None


def downloads_setting(config: pytest.Config) -> tuple[Path | None, int | None]:
    """The folder for copies of files in buckets, and its limit in bytes, where stated. Raises ``pytest.UsageError``."""
    stated, gigabytes = config.getini("tfparity_downloads"), config.getini("tfparity_downloads_limit")
    try:
        limit = int(float(gigabytes) * 10**9) if gigabytes else None
    except ValueError:
        raise pytest.UsageError(
            f"tfparity_downloads_limit must be a number of gigabytes, not {gigabytes!r}."
        ) from None
    return (_absolute(config.rootpath, os.path.expanduser(stated)) if stated else None), limit


def _absolute(folder: Path, path: str) -> Path:
    """``path`` in ``folder``, without ``..``: so pytest spells the paths of the files that it collects."""
    return Path(os.path.abspath(folder / path))


def option_settings(config: pytest.Config) -> Mapping[str, Any]:
    """The settings of a check that the command line states, by name."""
    stated = {key.name: config.getoption(key.flag) for key in schema.CONFIGURABLE}
    return {name: value for name, value in stated.items() if value is not None}


def ini_settings(config: pytest.Config) -> Mapping[str, Any]:
    """The settings of a check that the ini file states, by name."""
    stated = {key.name: _ini_value(config, key.ini) for key in schema.CONFIGURABLE}
    return {name: value for name, value in stated.items() if value not in (None, "")}


def _ini_value(config: pytest.Config, name: str) -> Any:
    """An ini value; a number or boolean too, which ``[tool.pytest]`` of pytest 9 may state where it wants text."""
    try:
        return config.getini(name)
    except (pytest.UsageError, TypeError):
        return _typed_values(config).get(name)


def _typed_values(config: pytest.Config) -> Mapping[str, Any]:
    """What a TOML file of pytest 9 states, with the types that it states it in."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # a dependency of pytest there

    path = config.inipath
    content = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
    found: Mapping[str, Any] = content.get("tool", content).get("pytest", {})
    return found


def verbosity(config: pytest.Config) -> int:
    """How much pytest is to say, 0 by default; without its terminal plugin (``-p no:terminal``) nobody states it."""
    stated: int = config.getoption("verbose", 0)
    return stated


def _metavar(key: Key) -> str:
    return "|".join(key.choices) if key.choices else {"boolean": "BOOL"}.get(key.kind, "X")
