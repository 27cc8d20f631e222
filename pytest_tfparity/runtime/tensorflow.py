"""TensorFlow, imported when it is first needed, and what to do where it is missing or broken."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any

from ..errors import TensorFlowMissing
from . import may_run
from .quiet import LEVEL, stderr_held_back

INSTALL = 'python -m pip install "pytest-tfparity[tensorflow]"'
INSTALL_CPU = 'python -m pip install "pytest-tfparity[cpu]"'


def tensorflow() -> Any:
    """The module ``tensorflow``.

    What it writes to stderr while it is imported (about CPU flags and missing GPUs) is dropped, and later
    only what ends the process is let through, unless ``TF_CPP_MIN_LOG_LEVEL`` is set. Neither eager
    execution nor the default graph is touched. Raises TensorFlowMissing, with the command that installs it,
    if it is not installed, and with its own reason if it is installed but cannot be imported.
    """
    may_run()
    return _imported()


@cache
def _imported() -> Any:
    quiet = LEVEL not in os.environ
    os.environ.setdefault(LEVEL, "3")
    if importlib.util.find_spec("tensorflow") is None:
        raise TensorFlowMissing(
            f"Running a model needs TensorFlow 2.12 or later, which is not installed. Install it: {INSTALL}"
            f" (without a GPU: {INSTALL_CPU})."
        )
    try:
        if quiet:
            with stderr_held_back():
                import tensorflow as tf
        else:
            import tensorflow as tf

        tf.compat.v1.Session, tf.raw_ops.RestoreV2  # noqa: B018 - a folder named tensorflow has neither
    except (
        Exception
    ) as error:  # a broken install raises anything: TypeError from protobuf, OSError from libraries
        raise TensorFlowMissing(
            f"TensorFlow is installed but cannot be imported: {_first_line(error)}. Install it again:"
            f" {INSTALL} (without a GPU: {INSTALL_CPU})."
        ) from error
    return tf


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
