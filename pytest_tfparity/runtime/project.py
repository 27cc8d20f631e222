"""Functions of the user's project, named ``module:function`` in a settings file."""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from ..errors import TfparityError, did_you_mean
from . import may_run


def call_project(function: str, root: Path, *, subject: str, error: type[TfparityError]) -> Any:
    """What ``function`` (``"module:function"``) returns, imported and called with ``root`` on the path.

    Raises ``error`` with a sentence about ``subject`` that gives the user's own line, if the
    function cannot be imported, is none, or raises. Afterwards ``sys.path`` is as it was.
    """
    name, _, attribute = function.partition(":")
    may_run()
    if not name or not attribute:
        raise error(f"{subject} must name a function as module:function, not {function!r}.")
    with _importable(root):
        try:
            found: Any = _module(name, root)
        except (Exception, SystemExit) as cause:  # SyntaxError, or what the module's own code raises
            raise error(f"{subject}: {name} cannot be imported: {_said(cause, root)}") from cause
        place = getattr(found, "__file__", None) or name
        for part in attribute.split("."):
            if not hasattr(found, part):
                hint = did_you_mean(part, [known for known in dir(found) if not known.startswith("_")])
                raise error(f"{subject}: {place} has no function {attribute!r}.{hint}")
            found = getattr(found, part)
        if not callable(found):
            raise error(f"{subject}: {attribute} in {place} is a {type(found).__name__}, not a function.")
        try:
            return found()
        except (Exception, SystemExit) as cause:  # whatever the user's code raises
            raise error(f"{subject} raised {_said(cause, root)}") from cause


def _module(name: str, root: Path) -> ModuleType:
    """The project's module ``name``, even if another project's module of that name was imported before."""
    top = name.partition(".")[0]
    loaded, spec = sys.modules.get(top), PathFinder.find_spec(top, [str(root)])
    if loaded is None or spec is None or _origin(loaded.__spec__) == _origin(spec):
        return importlib.import_module(name)
    hidden = {key: sys.modules.pop(key) for key in _family(top)}
    try:
        return importlib.import_module(name)
    finally:
        for key in _family(top):
            del sys.modules[key]
        sys.modules.update(hidden)


def _family(top: str) -> list[str]:
    return [key for key in sys.modules if key == top or key.startswith(f"{top}.")]


def _origin(spec: Any) -> object:
    places = list(getattr(spec, "submodule_search_locations", None) or [])
    return (getattr(spec, "origin", None), *places[:1])


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if str(root) in sys.path:  # the function may have tidied up itself
            sys.path.remove(str(root))


def _said(error: BaseException, root: Path) -> str:
    message = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}{f': {message}' if message else ''}{_place(error.__traceback__, root)}"


def _place(trace: TracebackType | None, root: Path) -> str:
    """The innermost line of the project's own code in a traceback, ``", in data.py:12: line"``."""
    for frame in reversed(traceback.extract_tb(trace)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            line = frame.line or linecache.getline(frame.filename, frame.lineno or 0).strip()
            return f", in {path.relative_to(root)}:{frame.lineno}: {line}"
    return "."
