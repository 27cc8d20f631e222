"""TensorFlow, imported when it is first needed, and what to do where it is missing or broken."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any

from ..errors import TensorFlowMissing

INSTALL = 'python -m pip install "pytest-tfparity[tensorflow]"'
INSTALL_CPU = 'python -m pip install "pytest-tfparity[cpu]"'


@cache
def tensorflow() -> Any:
    """The module ``tensorflow``.

    Its log is limited to errors unless ``TF_CPP_MIN_LOG_LEVEL`` says otherwise. Neither eager
    execution nor the default graph is touched. Raises TensorFlowMissing, with the command that
    installs it, if it is not installed, and with TensorFlow's own reason if it is but cannot be imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if importlib.util.find_spec("tensorflow") is None:
        raise TensorFlowMissing(
            f"Running a model needs TensorFlow 2.12 or later, which is not installed: {INSTALL}"
            f" (without a GPU: {INSTALL_CPU})."
        )
    try:
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
