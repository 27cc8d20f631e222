"""What explains a verdict may break off, for any reason at all, and the verdict stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Made = TypeVar("_Made")


def result_or_error(make: Callable[[], _Made]) -> _Made | Exception:
    """What ``make`` gives, or the exception that it raised, a defect of ours included.

    For what is made beside a verdict alone, a diagnosis or a picture: whoever calls says that it is missing.
    """
    try:
        return make()
    except Exception as error:
        return error
