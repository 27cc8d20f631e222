"""One check on its way through the pipeline: both sides, what is known of them, where its time goes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import TfparityError
from ..graph.graph import Array
from ..graph.proof.proof import Proof
from ..result import Seconds
from .pair import Pair

if TYPE_CHECKING:
    from .exact import ExactAnswers

_under_way: list[str] = []
_told: list[Callable[[str], None]] = []


def under_way() -> str:
    """The part of a check that this process is in, or its worker; nothing between two parts."""
    return (_under_way or [""])[-1]


def tell_what_is_under_way(told: Callable[[str], None]) -> None:
    """Call ``told`` from now on with each part of a check that this process comes to."""
    _told.append(told)


def is_under_way(part: str) -> None:
    """Say that the worker that this process waits for, in :func:`under_way_now`, is in ``part`` now."""
    _under_way[-1] = part


@contextmanager
def under_way_now(part: str) -> Iterator[None]:
    """Say that this process is in ``part`` of a check."""
    _under_way.append(part)
    try:
        _tell()
        yield
    finally:
        _under_way.pop()
        _tell()


def _tell() -> None:
    for told in _told:
        told(under_way())


class Clock:
    """Adds up the wall time of each part of a check, in seconds."""

    def __init__(self) -> None:
        self._spent = {"load": 0.0, "proof": 0.0, "run": 0.0, "diagnosis": 0.0}

    @contextmanager
    def __call__(self, part: Literal["load", "proof", "run", "diagnosis"]) -> Iterator[None]:
        """Measure the block as ``part``."""
        started = time.perf_counter()
        try:
            with under_way_now(part):
                yield
        finally:
            self._spent[part] += time.perf_counter() - started

    def seconds(self) -> Seconds:
        """What has been spent so far."""
        return Seconds(**self._spent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Both sides of a check, opened, with the attempt to prove them equal. ``details`` asks for what pictures need."""

    pair: Pair
    proof: Proof
    clock: Clock
    details: bool = False

    def reference(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The reference's answer, by its own tensor names."""
        with self.clock("run"):
            return self.pair.answer("reference", inputs)

    def exact(self, inputs: Mapping[str, Array], answered: Mapping[str, Array]) -> ExactAnswers:
        """What the reference, which ``answered``, would have if its arithmetic did not round. Raises ModelError."""
        from .exact import exact_answers

        with self.clock("run"):
            return exact_answers(self.pair, inputs, answered)

    def export(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The export's answer, by its own tensor names."""
        with self.clock("run"):
            return self.pair.answer("export", inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutputs:
    """What both sides answered to ``inputs``, these by the reference's names, answers by each side's own.

    ``reference`` is None where it could not be run, ``export`` likewise; ``error`` then says why not.
    """

    inputs: Mapping[str, Array]
    reference: Mapping[str, Array] | None = None
    export: Mapping[str, Array] | None = None
    error: TfparityError | None = None


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Keep the cyclic collector from walking over a growing graph again and again.

    A graph of 100,000 nodes is over a million objects, none of them garbage; walking over them took half
    of the time of a check and more than linearly so. Leaves the collector as it was.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
