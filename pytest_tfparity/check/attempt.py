"""What explains a verdict may break off, for any reason at all, and the verdict stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def result_or_error(make: Callable[[], T]) -> T | Exception:
    """What ``make`` gives, or the exception that it raised, a defect of ours included.

    For what is made beside a verdict alone, a diagnosis or a picture: whoever calls says that it is missing.
    """
    try:
        return make()
    except Exception as error:
        return error
