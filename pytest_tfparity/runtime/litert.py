"""LiteRT, imported when it is first needed: a TFLite file opened and run, fed and answering in real numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, RuntimeMissing
from ..graph.graph import Array
from ..graph.lift.lifted import Grid
from . import may_run
from .quiet import stderr_held_back

INSTALL = 'python -m pip install "pytest-tfparity[tflite]"'
_MOST_THREADS = 4
_NODE = re.compile(r"\.?Node number (\d+) \((\w+)\) failed to \w+\.?$")
"""The place, which the interpreter writes right behind what a kernel says."""


def interpreter_class() -> tuple[Any, Any]:
    """The class of LiteRT's interpreter and its op resolvers. Raises RuntimeMissing."""
    may_run()
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except Exception as error:  # a broken install raises anything
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({type(error).__name__}: {error})"
        raise RuntimeMissing(
            f"Running a TFLite file needs LiteRT, which cannot be imported{reason}. Install it: {INSTALL}"
        ) from None
    return Interpreter, OpResolverType


class Interpreter:
    """A file in LiteRT. ``keeps_all`` holds every tensor of a run, which costs memory and the fast kernels."""

    def __init__(self, path: Path, label: str, *, keeps_all: bool = False) -> None:
        made, resolvers = interpreter_class()
        self._label = label
        options: dict[str, Any] = {"num_threads": min(os.cpu_count() or 1, _MOST_THREADS)}
        if keeps_all:
            options["experimental_preserve_all_tensors"] = True
            options["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        with self._told("open"), stderr_held_back():
            self._interpreter = made(model_path=str(path), **options)
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._allocated = False

    def run(
        self,
        feeds: Mapping[int, Array],
        tensors: Iterable[int],
        grids: Mapping[int, Grid],
        *,
        subgraph: int = 0,
    ) -> dict[int, Array]:
        """The values of ``tensors``, by index, for ``feeds``; those with a grid (of both) are real numbers.

        Tensors that the run does not keep are left out. Raises ModelError.
        """
        self._resize({index: value.shape for index, value in feeds.items()})
        with self._told("run"):
            for index, value in feeds.items():
                self._interpreter.set_tensor(index, self._quantised(index, value, grids.get(index)))
            self._interpreter.invoke()
        found = {}
        for index in tensors:
            try:
                value = self._interpreter.get_tensor(index)
            except ValueError:
                continue
            found[index] = real(value, grids.get(index))
        return found

    def _resize(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        if self._allocated and self._shapes == shapes:
            return
        known = {each["index"]: tuple(each["shape"]) for each in self._interpreter.get_input_details()}
        with self._told("allocate"), stderr_held_back():
            for index, shape in shapes.items():
                if known.get(index) != shape:
                    self._interpreter.resize_tensor_input(index, list(shape), strict=False)
            self._interpreter.allocate_tensors()
        self._shapes, self._allocated = dict(shapes), True

    def _quantised(self, index: int, value: Array, grid: Grid | None) -> Array:
        details = {each["index"]: each for each in self._interpreter.get_input_details()}
        if index not in details:
            raise ModelError(
                f"{self._label} is damaged: its signature names tensor {index} as an input, which its graph does not"
                " take. Copy it again, or convert it again."
            )
        dtype = np.dtype(details[index]["dtype"])
        if grid is None:
            return value.astype(dtype, copy=False)
        return quantised(value, grid).astype(dtype)

    def _told(self, what: str) -> _Told:
        return _Told(self._label, what)


class _Told:
    """Turns what LiteRT raises into a sentence."""

    def __init__(self, label: str, what: str) -> None:
        self._label, self._what = label, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (ValueError, RuntimeError, TypeError)):
            lines = str(error).strip().splitlines() or [type(error).__name__]
            said = _NODE.sub(r" (node \1, \2)", lines[0]).rstrip(".")
            raise ModelError(f"LiteRT does not {self._what} {self._label}: {said}.") from None


def quantised(value: Array, grid: Grid) -> Array:
    """Real numbers as integers of a grid (int64), rounded to the nearest, halves away from zero as LiteRT does."""
    steps = value.astype(np.float64) / grid.scale
    rounded = np.where(steps < 0, np.ceil(steps - 0.5), np.floor(steps + 0.5)) + grid.zero_point
    return np.clip(rounded, grid.lowest, grid.highest).astype(np.int64)


def real(value: Array, grid: Grid | None) -> Array:
    """What integers of a grid mean (float32); others as they are, float16 widened."""
    if grid is None:
        return value.astype(np.float32) if value.dtype == np.float16 else np.array(value)
    return ((value.astype(np.float64) - grid.zero_point) * grid.scale).astype(np.float32)
