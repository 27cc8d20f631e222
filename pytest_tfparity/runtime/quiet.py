"""What native code writes to stderr by itself, about processors and delegates: held back."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own setting of what it logs, from 0 (all) to 3 (what ends the process)."""


def show_all() -> None:
    """Let TensorFlow and LiteRT log what they like, unless the environment says what they log."""
    os.environ.setdefault(LEVEL, "0")


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keep what native code writes to stderr to itself; show it if the block fails, or if all is to be shown."""
    if os.environ.get(LEVEL) == "0":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
