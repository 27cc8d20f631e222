"""The command line as argparse has it: every command, its options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings.schema import MANIFEST_FILE

if TYPE_CHECKING:
    from ..formats.format import Format
    from ..formats.section import Key


SHELLS = ("bash", "zsh", "fish")
"""The shells whose completion is printed."""


def parser(formats: Sequence[Format] = ()) -> argparse.ArgumentParser:
    """Every command and its options; those that open models have the keys of ``formats`` too."""
    made = argparse.ArgumentParser(
        prog="tfparity",
        description="Does an exported model compute what its reference computes?",
    )
    made.add_argument("--version", action="version", version=f"pytest-tfparity {version('pytest-tfparity')}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="compare an export with its reference, once")
    check.set_defaults(function="check_files")
    _sides(check, formats)
    _values(check)
    check.add_argument("--atol", metavar="X", help="absolute tolerance (default: 1e-5)")
    check.add_argument("--rtol", metavar="X", help="relative tolerance (default: 0)")
    check.add_argument(
        "--rounding",
        metavar="K",
        nargs="?",
        const="8",
        type=_times,
        help="in place of both: within K times the reference's own rounding of the exact answer (default K: 8)",
    )
    check.add_argument(
        "--compare", choices=("outputs", "weights"), help="compare only the weights, where there is no graph"
    )
    check.add_argument(
        "--run", choices=("unproven", "always"), help="also run both sides when they are proven equal"
    )
    check.add_argument(
        "--write-repaired",
        metavar="PB",
        type=Path,
        help="write the export with all findings repaired to this file, if that restores parity",
    )
    check.add_argument(
        "--report", metavar="DIR", type=Path, help="write report.json and a page into this folder"
    )
    check.add_argument("--json", action="store_true", help="print what report.json says, and nothing else")

    init = commands.add_parser("init", help="write a first tfparity.yaml for a reference and its export")
    _sides(init, formats)
    _values(init)
    init.add_argument("--add", action="store_true", help="add the model to a manifest that is there already")
    init.add_argument(
        "--name", metavar="NAME", help="what to call the model (default: the name of the export)"
    )
    init.add_argument(
        "--manifest", metavar="FILE", type=Path, help=f"the file to write (default: {MANIFEST_FILE})"
    )

    report = commands.add_parser("report", help="make the page of a report again, or merge several reports")
    report.set_defaults(function="report_again")
    report.add_argument("folder", metavar="DIR", type=Path, nargs="+", help="a folder with a report.json")
    report.add_argument(
        "--output", metavar="DIR", type=Path, help="where to write (default: DIR, if it is one)"
    )

    merge = commands.add_parser("merge", help="make one report of those that several machines wrote")
    merge.add_argument(
        "folder", metavar="DIR", type=Path, nargs="+", help="a folder that --tfparity-report wrote"
    )
    merge.add_argument("--output", metavar="DIR", type=Path, required=True, help="where to write")

    explain = commands.add_parser("explain", help="say what a cause is, how it comes about and how to fix it")
    explain.add_argument("cause", nargs="?", help="an id such as bn-training-mode (default: list them all)")

    commands.add_parser(
        "schema",
        help="print the JSON schema of a manifest, for editors: tfparity schema > tfparity.schema.json",
    )

    completion = commands.add_parser("completion", help="print what a shell needs to complete these commands")
    completion.add_argument("shell", choices=SHELLS, help="the shell that is to read it")
    return made


def _times(text: str) -> str:
    """What stands behind ``--rounding``; a file there was meant for something else."""
    try:
        float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number; put --rounding behind the files, or write --rounding=8"
        ) from None
    return text


def _values(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--inputs",
        metavar="FILE.npz|FILES",
        help="values of the inputs by tensor name; or files, such as 'images/*.jpg', for a graph that decodes them"
        " (default: seeded random numbers)",
    )


def _sides(command: argparse.ArgumentParser, formats: Sequence[Format]) -> None:
    """The two sides of a check, and how to load them; their formats are told by what is in the files."""
    command.add_argument(
        "reference", metavar="REFERENCE", help="the model that is right, such as the prefix of a checkpoint"
    )
    command.add_argument("export", metavar="EXPORT", help="the model under test, such as a frozen graph")
    command.add_argument(
        "--output",
        metavar="NAME[=EXPORT]",
        action="append",
        default=[],
        help="an output to compare, with its name in the export if that is another (default: where the export ends)",
    )
    command.add_argument(
        "--input",
        metavar="NAME=EXPORT",
        action="append",
        default=[],
        help="an input that has another name in the export",
    )
    command.add_argument(
        "--feed",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a constant fed to the reference",
    )
    keys = {key.name: key for each in formats for key in each.section.keys if key.name != each.word}
    command.set_defaults(format_keys=frozenset(keys))
    for key in keys.values():
        command.add_argument(
            f"--{key.name.replace('_', '-')}",
            dest=key.name,
            metavar=f"{_METAVARS.get(key.kind, 'VALUE')}[=EXPORT]",
            help=_help(key),
        )


_METAVARS = {"path": "FILE", "function": "MODULE:FUNCTION", "ema": "none|trainable|all|PATTERN,..."}


def _help(key: Key) -> str:
    default = f" (default: {key.default})" if key.default else ""
    return f"{key.description[:1].lower()}{key.description[1:].rstrip('.')}{default}"
