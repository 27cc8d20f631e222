"""Checks in a process of their own: a crash inside TensorFlow costs one check, not the session."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache

from ..formats.store import ModelStore
from ..result import ParityResult
from ..settings.spec import ParitySpec
from .check import Update, check, draft_result


class Worker:
    """One process, started when first needed and again after a crash; it keeps its models open."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def check(
        self, spec: ParitySpec, *, nodeid: str, update: Update | None, details: bool = False
    ) -> ParityResult:
        """Decide one check in the worker; a crash there is verdict ``"error"``."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(max_workers=1, mp_context=context)
        try:
            return self._pool.submit(_check, spec, nodeid, update, details).result()
        except BrokenProcessPool:
            self.close()
            message = (
                f"TensorFlow ended the process while {spec.name} was being checked. Run the check without"
                " `isolate: true` to see what it printed; the other checks went on in a new process."
            )
            return replace(draft_result(spec, nodeid), error=message)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


@cache
def _models() -> ModelStore:
    return ModelStore()


def _check(spec: ParitySpec, nodeid: str, update: Update | None, details: bool) -> ParityResult:
    return check(spec, _models(), nodeid=nodeid, update=update, details=details)
