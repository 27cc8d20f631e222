"""Where the time of a check goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ..result import Seconds

_under_way: list[str] = []


def under_way() -> str:
    """The part of a check that this process is in; nothing between two parts."""
    return (_under_way or [""])[-1]


class Clock:
    """Adds up the wall time of each part of a check, in seconds."""

    def __init__(self) -> None:
        self._spent = {"load": 0.0, "proof": 0.0, "run": 0.0, "diagnosis": 0.0}

    @contextmanager
    def __call__(self, part: Literal["load", "proof", "run", "diagnosis"]) -> Iterator[None]:
        """Measure the block as ``part``."""
        started = time.perf_counter()
        _under_way.append(part)
        try:
            yield
        finally:
            _under_way.pop()
            self._spent[part] += time.perf_counter() - started

    def seconds(self) -> Seconds:
        """What has been spent so far."""
        return Seconds(**self._spent)
