"""An object-based checkpoint restored into what a function of the project builds, and saved for servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..wording import enumerated
from .importing import first_line
from .keras import save_for_servers, serving, variables, without_deprecations
from .project import call_project
from .tensorflow import tensorflow


def trace(
    prefix: str, label: str, folder: Path, *, builder: str, root: Path, children: Sequence[str]
) -> None:
    """Write what the checkpoint ``prefix`` computes in inference mode as a SavedModel into ``folder``.

    ``builder`` (``"module:function"``, imported with ``root`` on the path) returns a Keras model, a trackable object
    whose ``__call__`` is a ``tf.function`` with an input signature, or a pair of a trackable object and such a
    function. ``children`` are what the checkpoint calls the objects right below its root: what is built is the root
    or one of them. Raises ModelError, also if the checkpoint lacks a variable of what was built.
    """
    tf = tensorflow()
    built = call_project(builder, root, subject=f"builder {builder}", error=ModelError)
    with without_deprecations():
        trackable, function = _parts(tf, built, builder)
        status = _restored(tf, trackable, prefix, label, builder, children)
        if function is None:
            function = serving(tf, trackable, f"what builder {builder} returns")
        save_for_servers(tf, trackable, function, label, folder)
        try:
            status.assert_existing_objects_matched()  # tracing may have made variables
        except AssertionError as error:
            raise _unmatched(label, builder, error) from None


def _parts(tf: Any, built: Any, builder: str) -> tuple[Any, Any]:
    """The trackable object, and the function that computes its outputs; None for that of a Keras model."""
    functions = (type(tf.function(lambda: None)), tf.types.experimental.ConcreteFunction)
    if isinstance(built, tuple) and len(built) == 2:
        first, second = built
        return (second, first) if isinstance(first, functions) else (first, second)
    if getattr(built, "inputs", None):
        return built, None
    call = built.__call__ if callable(built) else None
    if isinstance(call, functions) and getattr(call, "input_signature", True) is not None:
        return built, call
    raise ModelError(
        f"builder {builder} returns a {type(built).__name__}, and the checkpoint is an object-based one. Return a Keras"
        " model that is built, or a trackable object with the tf.function (with an input_signature) that computes the"
        " outputs: `return model, function`."
    )


def _restored(tf: Any, trackable: Any, prefix: str, label: str, builder: str, children: Sequence[str]) -> Any:
    """The status of the restore that finds every variable of ``trackable`` in the checkpoint. Raises ModelError."""
    first: AssertionError | None = None
    for checkpoint in _candidates(tf, trackable, children):
        try:
            status = checkpoint.read(prefix).expect_partial()
            status.assert_existing_objects_matched()
        except AssertionError as error:
            first = first or error
            continue
        except Exception as error:  # another shape, a damaged file: every kind of OpError and ValueError
            raise ModelError(
                f"{label} cannot be restored into what builder {builder} returns: {first_line(error)}."
                " Build the network that it was saved from."
            ) from None
        return status
    raise _unmatched(label, builder, first or AssertionError("it has no variable"))


def _candidates(tf: Any, trackable: Any, children: Sequence[str]) -> Iterator[Any]:
    """The checkpoint objects that the file may have been written by, the likeliest first."""
    if isinstance(trackable, tf.train.Checkpoint):
        yield trackable
        return
    for child in sorted(children, key=lambda name: name not in ("model", "net", "network")):
        yield tf.train.Checkpoint(**{child: trackable})
    if variables(trackable):
        yield tf.train.Checkpoint(trackable)


def _unmatched(label: str, builder: str, error: AssertionError) -> ModelError:
    named = enumerated(path or name for path, name in _VARIABLE.findall(str(error)))
    return ModelError(
        f"{label} lacks variables of what builder {builder} returns: {named or first_line(error)}. Build the network"
        " that it was saved from, with the same attributes."
    )


_VARIABLE = re.compile(r"<Variable path=([^,>]+)|<tf\.Variable '([^':]+)")
"""How Keras 3 and TensorFlow show a variable."""
