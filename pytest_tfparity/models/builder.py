"""A user's function that builds the graph of a checkpoint, called where it can do no harm."""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from ..errors import ModelError
from .tensorflow import tensorflow


def build_meta_graph(builder: str, root: Path) -> Any:
    """The ``MetaGraphDef`` of the graph that ``"module:function"`` builds in a fresh ``tf.Graph``.

    The module is imported with ``root`` first on the path. If the function returns a
    ``tf.compat.v1.train.Saver``, that says what is restored. Raises ModelError with the user's own line
    if the function cannot be imported or raises.
    """
    tf = tensorflow()
    with _importable(root), tf.Graph().as_default() as graph:
        function = _function(builder, root)
        try:
            returned = function()
        except Exception as error:  # whatever the user's code raises
            raise _failed(builder, "raised", error, root) from error
    if not graph.get_operations():
        raise ModelError(
            f"builder {builder} built nothing in the graph that it was called in. It must add the network to"
            " the default graph, not to a tf.Graph of its own."
        )
    saver_def = returned.saver_def if isinstance(returned, tf.compat.v1.train.Saver) else None
    with graph.as_default():
        return tf.compat.v1.train.export_meta_graph(graph=graph, saver_def=saver_def, clear_devices=True)


def _function(builder: str, root: Path) -> Callable[[], Any]:
    name, _, attribute = builder.partition(":")
    try:
        found: Any = _module(name, root)
    except Exception as error:  # SyntaxError, ImportError, or what the module's own code raises
        raise _failed(builder, "cannot be imported:", error, root) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ModelError(f"builder {builder}: {name} ({found.__file__}) has no function {attribute!r}.")
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(f"builder {builder}: {attribute} is a {type(found).__name__}, not a function.")
    return found  # type: ignore[no-any-return]


def _module(name: str, root: Path) -> ModuleType:
    """The project's module ``name``, even if another project's module of that name was imported before."""
    top = name.partition(".")[0]
    loaded = sys.modules.get(top)
    spec = PathFinder.find_spec(top, [str(root)])
    if loaded is None or spec is None or _origin(loaded.__spec__) == _origin(spec):
        return importlib.import_module(name)
    hidden = {
        key: sys.modules.pop(key) for key in list(sys.modules) if key == top or key.startswith(f"{top}.")
    }
    try:
        return importlib.import_module(name)
    finally:
        for key in [key for key in sys.modules if key == top or key.startswith(f"{top}.")]:
            del sys.modules[key]
        sys.modules.update(hidden)


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
        sys.path.remove(str(root))


def _failed(builder: str, what: str, error: Exception, root: Path) -> ModelError:
    message = next(iter(str(error).strip().splitlines()), "")
    return ModelError(
        f"builder {builder} {what} {type(error).__name__}{f': {message}' if message else ''}"
        f"{_place(error.__traceback__, root)}"
    )


def _place(trace: TracebackType | None, root: Path) -> str:
    """The innermost line of the user's own code in a traceback, ``", in model.py:12: line"``."""
    for frame in reversed(traceback.extract_tb(trace)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            line = frame.line or linecache.getline(frame.filename, frame.lineno or 0).strip()
            return f", in {path.relative_to(root)}:{frame.lineno}: {line}"
    return "."
