"""Kinds of dtypes, those among them that numpy itself lacks."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import numpy as np

NumberKind: TypeAlias = Literal["float", "complex", "integer", "string", "other"]


def kind(dtype: np.dtype[Any]) -> NumberKind:
    """How values of ``dtype`` are compared; also for the dtypes of ml_dtypes (bfloat16, float8, int4)."""
    if dtype.kind in "biu" or re.fullmatch(r"u?int\d+", dtype.name):
        return "integer"
    if dtype.kind in "OSU":
        return "string"
    if dtype.kind == "c":
        return "complex"
    return "float" if dtype.kind == "f" or re.match(r"b?float\d", dtype.name) else "other"


def small_dtype(name: str) -> np.dtype[Any]:
    """A dtype of ml_dtypes (``bfloat16``, ``float8_e5m2``, ``int4``) by its name.

    Raises LookupError, with a clause that says what is needed, where it is not to be had.
    """
    try:
        import ml_dtypes
    except ImportError:
        raise LookupError(f"needs {name}: python -m pip install ml_dtypes") from None
    if not hasattr(ml_dtypes, name):
        raise LookupError(f"needs {name}, which the installed ml_dtypes does not know")
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype
