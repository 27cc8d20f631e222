"""``python -m pytest_tfparity``: the one-off question, and a first manifest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .cli.parser import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when the export matches (or the work is done), 1 when it does not, 2 for a mistake."""
    options = parser().parse_args(arguments)
    from .cli import commands
    from .errors import TfparityError

    try:
        done: int = getattr(commands, getattr(options, "function", options.command))(options)
    except TfparityError as error:
        print(error, file=sys.stderr)
        return 2
    return done


if __name__ == "__main__":
    sys.exit(main())
