"""Checks in a process of their own: what crashes, hangs or grows there costs one check, not the session."""

from __future__ import annotations

import atexit
import math
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from ..formats.store import ModelStore
from ..result import ParityResult
from ..settings.spec import ParitySpec
from .check import Update, check, draft_result

_LOOK = 0.05
"""Seconds from one look at the worker's memory to the next."""
_LONGEST = 3600.0
"""Seconds of one wait: the system takes no endless number of them."""
_GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class _Ended:
    """Why a worker gave no result: a clause about it. ``grown``: it held more memory than the check may."""

    clause: str
    grown: bool = False


class Worker:
    """One process, started when first needed and again after it ended; it keeps its models open.

    It ends with the process that started it, however that happens, and whenever a check is broken off.
    """

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def check(
        self, spec: ParitySpec, *, nodeid: str, update: Update | None, details: bool = False
    ) -> ParityResult:
        """Decide one check in the worker.

        A crash there, more seconds than ``spec.timeout`` or more gigabytes than ``spec.memory`` are verdict
        ``"error"``. What the check raises is raised.
        """
        fresh = self._process is None
        found = self._asked((spec, nodeid, update, details), spec)
        if isinstance(found, _Ended) and found.grown and not fresh:
            # What earlier checks have left open counts too: this one is asked again on its own.
            found = self._asked((spec, nodeid, update, details), spec)
        if isinstance(found, ParityResult):
            return found
        if isinstance(found, BaseException):
            raise found
        message = f"{spec.name}: {found.clause}. The other checks went on in a new process."
        return replace(draft_result(spec, nodeid), error=message)

    def close(self) -> None:
        """End the process, if there is one."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        atexit.unregister(self.close)
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join()

    def _asked(self, request: tuple[Any, ...], spec: ParitySpec) -> ParityResult | BaseException | _Ended:
        process, pipe = self._running()
        answered = False
        try:
            with suppress(BrokenPipeError):
                pipe.send(request)
            found = _answer(process, pipe, spec)
            answered = not isinstance(found, _Ended)
            return found
        finally:  # an interrupt included: what is under way is of no use to anybody
            if not answered:
                self.close()

    def _running(self) -> tuple[BaseProcess, Connection]:
        if self._process is None or self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other,), name="tfparity-worker")
            self._process.start()
            other.close()
            atexit.register(self.close)  # else Python would wait for the process before it ends itself
        return self._process, self._pipe


def _answer(
    process: BaseProcess, pipe: Connection, spec: ParitySpec
) -> ParityResult | BaseException | _Ended:
    """What the worker says, or why it says nothing."""
    ends = time.monotonic() + spec.timeout
    limited = not math.isinf(spec.memory)
    while not pipe.poll(max(0.0, min(_LOOK if limited else _LONGEST, ends - time.monotonic()))):
        if time.monotonic() >= ends:
            return _Ended(f"the check did not end within {spec.timeout:g} seconds (`timeout`) and was ended")
        if limited and (held := _resident(process)) > spec.memory * _GIGABYTE:
            return _Ended(
                f"the check held {held / _GIGABYTE:.1f} GB of memory, {spec.memory:g} are allowed (`memory`), and was"
                " ended",
                grown=True,
            )
    try:
        found: ParityResult | BaseException = pipe.recv()
    except (EOFError, OSError):
        process.join()
        return _Ended(f"TensorFlow ended the process that checked it ({_ending(process.exitcode)})")
    return found


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {-code}, {signal.Signals(-code).name}"
    return f"signal {-code}"


def _resident(process: BaseProcess) -> int:
    """The bytes of memory that a process holds; 0 where the system does not say."""
    try:
        with open(f"/proc/{process.pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        pass
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True, timeout=10)
        return int(said.stdout) * 1024
    return 0


# --- in the worker


def _serve(pipe: Connection) -> None:
    """Answer checks until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks is interrupted too, and ends this process
    threading.Thread(target=_end_with_parent, name="tfparity-parent", daemon=True).start()
    while True:
        try:
            spec, nodeid, update, details = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            found: ParityResult | BaseException = check(
                spec, _models(), nodeid=nodeid, update=update, details=details
            )
        except (
            Exception
        ) as error:  # a defect of ours, or of a function of the project: shown where it was asked
            found = _sendable(error)
        pipe.send(found)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _sendable(error: Exception) -> Exception:
    """``error`` with its traceback as a note, in a form that reaches the other process."""
    import pickle
    import traceback

    told = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(told)
    error.__cause__ = RuntimeError(told)
    return error


@cache
def _models() -> ModelStore:
    return ModelStore()
