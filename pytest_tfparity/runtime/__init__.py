"""Everything that needs TensorFlow or the user's own code to run, imported late; and whether it may run here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class RunWanted(BaseException):
    """A runtime, or code of the project, was wanted where nothing may run.

    Not an ``Exception``: nothing that explains a failure may take it for one.
    """


_nothing_runs: ContextVar[bool] = ContextVar("nothing_runs", default=False)


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Raise RunWanted in the block as soon as it wants to run something."""
    token = _nothing_runs.set(True)
    try:
        yield
    finally:
        _nothing_runs.reset(token)


def may_run() -> None:
    """To be asked before anything is run, and before a runtime is imported. Raises RunWanted where nothing may run."""
    if _nothing_runs.get():
        raise RunWanted
