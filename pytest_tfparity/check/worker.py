"""A process for what a check runs: what crashes, hangs or grows there costs one check, not the session."""

from __future__ import annotations

import atexit
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import ModuleType

from ..formats.format import SideSpec
from ..formats.registry import format_of
from ..result import ParityResult, quotable
from ..settings.spec import ParitySpec
from ..wording import enumerated
from .check import Update, draft_result
from .run import is_under_way, under_way, under_way_now
from .serving import Request, serve
from .surroundings import Conftest, surroundings

_LOOK = 0.05
"""Seconds from one look at the worker's memory to the next."""
_LONGEST = 3600.0
"""Seconds of one wait: the system takes no endless number of them."""
_GIGABYTE = 10**9
_OUT_OF_MEMORY = 9
_DOING = {
    "load": "while it read the files",
    "proof": "while it compared the graphs",
    "run": "while it ran them",
    "diagnosis": "while it looked for the cause",
}


@dataclass(frozen=True, slots=True)
class _Ended:
    """Why a worker gave no result: a clause about it. ``grown``: it held more memory than the check may."""

    clause: str
    grown: bool = False


class Worker:
    """One process, started when something must be run and again after it ended; it keeps its models open.

    It ends with the process that started it, however that happens, and whenever a check is broken off.
    """

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def check(
        self,
        spec: ParitySpec,
        *,
        nodeid: str,
        update: Update | None = None,
        details: bool = False,
        conftests: tuple[Conftest, ...] = (),
        since: float | None = None,
    ) -> ParityResult:
        """Decide one check in the worker, in which ``conftests`` are imported first.

        A crash there, more seconds than ``spec.timeout`` from ``since`` (by ``time.monotonic``; default: now) or more
        gigabytes than ``spec.memory`` are verdict ``"error"``. What the check raises is raised.
        """
        started = time.monotonic() if since is None else since
        request = Request(
            spec=spec, nodeid=nodeid, update=update, details=details, surroundings=surroundings(conftests)
        )
        return self._answered(request, started)

    def close(self) -> None:
        """End the process, if there is one."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        atexit.unregister(self.close)
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join()

    def _answered(self, request: Request, started: float) -> ParityResult:
        spec, fresh = request.spec, self._process is None
        found = self._asked(request, started)
        if isinstance(found, _Ended) and found.grown and not fresh:
            # What earlier checks have left open counts too: this one is asked again on its own.
            found = self._asked(request, started)
        if isinstance(found, ParityResult):
            return found
        if isinstance(found, BaseException):
            raise found
        draft = draft_result(spec, request.nodeid)
        compared = [_files(spec, side) for side in (spec.export, spec.reference) if side is not None]
        if spec.reference is None and draft.golden:
            compared.append(draft.golden)
        message = (
            f"{spec.name}: {found.clause}. It compared {' with '.join(compared)}; the other checks went on in a new"
            " process."
        )
        return quotable(replace(draft, error=message))

    def _asked(self, request: Request, started: float) -> ParityResult | BaseException | _Ended:
        answered = False
        try:
            with under_way_now(""):
                process, pipe = self._running()
                with suppress(BrokenPipeError):
                    pipe.send(request)
                found = _answer(process, pipe, request.spec, started)
            answered = not isinstance(found, _Ended)
            return found
        except OSError as error:
            return _Ended(
                f"no process could be started for it ({error.strerror}); `isolate: false` checks it without one"
            )
        finally:  # an interrupt included: what is under way is of no use to anybody
            if not answered:
                self.close()

    def _running(self) -> tuple[BaseProcess, Connection]:
        if self._process is None or self._pipe is None:
            # A copy of this process (fork) would lack the threads of TensorFlow, and hang, if it is loaded here.
            context = multiprocessing.get_context("spawn")
            pipe, other = context.Pipe()
            # Linux ends a process with the thread that started it
            lasting = threading.current_thread() is threading.main_thread()
            process = context.Process(target=serve, args=(other, lasting), name="tfparity-worker")
            with _closed_on_error(pipe), other, _nothing_as_main():
                process.start()
            self._process, self._pipe = process, pipe
            atexit.register(self.close)  # else Python would wait for the process before it ends itself
        return self._process, self._pipe


@contextmanager
def _closed_on_error(pipe: Connection) -> Iterator[None]:
    """Close ``pipe`` if the block raises."""
    try:
        yield
    except BaseException:
        pipe.close()
        raise


@contextmanager
def _nothing_as_main() -> Iterator[None]:
    """Keep a process that is started from importing the program that runs here, which may be a script of the user's.

    That would cost the time of importing pytest, and run the script again if it does not look out for it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _answer(
    process: BaseProcess, pipe: Connection, spec: ParitySpec, started: float
) -> ParityResult | BaseException | _Ended:
    """What the worker says, or why it says nothing."""
    ends = started + spec.timeout
    limited = not math.isinf(spec.memory)
    while True:
        if not pipe.poll(max(0.0, min(_LOOK if limited else _LONGEST, ends - time.monotonic()))):
            if time.monotonic() >= ends:
                return _Ended(
                    f"the check did not end within {spec.timeout:g} seconds (`timeout`) and was ended"
                )
            if limited and (held := _resident(process)) > spec.memory * _GIGABYTE:
                return _Ended(
                    f"the check held {held / _GIGABYTE:.1f} GB of memory, {spec.memory:g} are allowed (`memory`), and"
                    " was ended",
                    grown=True,
                )
            continue
        try:
            found: ParityResult | BaseException | str = pipe.recv()
        except (EOFError, OSError):
            process.join()
            return _Ended(f"the process that checked it ended{_doing()} ({_ending(process.exitcode)})")
        if not isinstance(found, str):
            return found
        is_under_way(found)


def _doing() -> str:
    return f" {_DOING[under_way()]}" if under_way() in _DOING else ""


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    if -code == _OUT_OF_MEMORY:
        return f"signal {-code}, SIGKILL, by which a system short of memory ends processes"
    with suppress(ValueError):
        return f"signal {-code}, {signal.Signals(-code).name}"
    return f"signal {-code}"


def _files(spec: ParitySpec, side: SideSpec) -> str:
    """A side by its path, with the names of the files that it is read from where they are others."""
    others = [
        path.name for path in format_of(side.format).files(side) if path != side.path and path.is_file()
    ]
    return f"{spec.shown(side.path)}{f' ({enumerated(others, 4)})' if others else ''}"


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
