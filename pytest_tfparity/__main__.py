"""``python -m pytest_tfparity``: one command, its exit code, and mistakes as sentences."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .cli.parser import parser

if TYPE_CHECKING:
    from .formats.format import Format

UNREAD = 141
"""The exit code where nobody reads what is printed, ``| head`` say: that of a program which the signal ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when the export matches (or the work is done), 1 when it does not, 2 for a mistake."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:
        parser().print_help(sys.stderr)
        return 2
    options = parser(_formats(given)).parse_args(given)
    from .cli import commands
    from .errors import TfparityError

    try:
        done: int = getattr(commands, getattr(options, "function", options.command))(options)
        sys.stdout.flush()
    except TfparityError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        _print_no_more()
        return UNREAD
    except OSError as error:
        what = error.filename or "A file or the output"
        print(f"{what} cannot be read or written: {error.strerror or error}. Name another.", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _print_no_more()
        return 2
    return done


def _print_no_more() -> None:
    """Drop what the output has not taken: else Python complains of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _formats(arguments: Sequence[str]) -> Sequence[Format]:
    """The formats, whose keys are options of what opens models; help and the other commands do not import them."""
    if not {"check", "init"} & set(arguments[:1]):
        return ()
    from .formats.registry import FORMATS

    return FORMATS


if __name__ == "__main__":
    sys.exit(main())
