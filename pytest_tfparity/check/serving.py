"""In a worker: makes the checks that it is asked for, one after the other, until nobody asks any more."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.connection import Connection

from ..formats.store import ModelStore
from ..result import ParityResult, quotable
from ..settings.spec import ParitySpec
from .check import Update, check, draft_result
from .run import tell_what_is_under_way
from .surroundings import Surroundings, enter

_SIGNAL_AT_DEATH_OF_PARENT = 1
"""``PR_SET_PDEATHSIG`` of ``linux/prctl.h``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A check to be made, with what :func:`.check` takes."""

    spec: ParitySpec
    nodeid: str
    update: Update | None
    details: bool
    surroundings: Surroundings


def serve(pipe: Connection, lasting: bool) -> None:
    """Answer each Request of ``pipe`` with its result or what it raised, and before with the parts it comes to.

    ``lasting``: the thread that started this process lives as long as the process that it belongs to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks is interrupted too, and ends this process
    _end_with_parent(lasting)
    tell_what_is_under_way(pipe.send)
    while True:
        try:
            request: Request = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            found: ParityResult | BaseException = _made(request)
        except Exception as error:  # a defect of ours: shown where the check was asked for
            found = _sendable(error)
        except BaseException as error:  # such as the outcomes of pytest, which cannot be sent
            found = _left(request, error)
        pipe.send(found)


def _made(request: Request) -> ParityResult:
    missing = tuple(enter(request.surroundings))
    result = check(
        request.spec, _models(), nodeid=request.nodeid, update=request.update, details=request.details
    )
    if result.error is not None:
        return replace(result, error=" ".join((result.error, *missing)))
    return result if result.passed else replace(result, notes=(*result.notes, *missing))


def _left(request: Request, error: BaseException) -> ParityResult:
    """The result of a check that a function of the project broke off."""
    name, spec = type(error).__name__, request.spec
    message = (
        f"{spec.name}: a function of the project raised {name}: {error}, which pytest does not see in the process of"
        " the check. State `skip` or `xfail` of the model, or `isolate: false`."
    )
    return quotable(replace(draft_result(spec, request.nodeid), error=message))


def _end_with_parent(lasting: bool) -> None:
    """End this process when the one that started it has ended, however it did, whatever runs here."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    threading.Thread(target=_end_after, args=(parent,), name="tfparity-parent", daemon=True).start()
    if (
        lasting and sys.platform == "linux"
    ):  # the thread may have to wait for code that does not let others run
        ctypes.CDLL(None).prctl(_SIGNAL_AT_DEATH_OF_PARENT, signal.SIGKILL)
        if os.getppid() != parent.pid:
            os._exit(1)


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _sendable(error: Exception) -> Exception:
    """``error`` with its traceback as a note, in a form that reaches the other process."""
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
