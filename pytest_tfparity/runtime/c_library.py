"""TensorFlow's C library: runs graphs without the Python package, of which the import alone takes longer.

Source of the functions: tensorflow/c/c_api.h, which is kept stable. It is the library that the package itself calls.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..graph.graph import Array, DType, tensor_name
from ..graph.read.mapped import count_read
from ..graph.read.tensors import numpy_dtype
from . import may_run
from .feeds import NOT_NUMPY
from .quiet import LEVEL, stderr_held_back
from .session_config import CONFIGS, SessionKind

_FILES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")
_PLUGINS = "tensorflow-plugins"
"""The folder beside the package whose libraries bring further devices: Python's import alone loads them."""

_POINTER, _TEXT, _INT, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t


class _Output(ctypes.Structure):
    """``TF_Output``: an output of an operation."""

    _fields_ = (("oper", _POINTER), ("index", _INT))


class _Buffer(ctypes.Structure):
    """``TF_Buffer``: bytes that the library holds."""

    _fields_ = (("data", _POINTER), ("length", _SIZE), ("deallocator", _POINTER))


_FUNCTIONS: Mapping[str, tuple[Any, Sequence[Any]]] = {
    "TF_NewStatus": (_POINTER, ()),
    "TF_DeleteStatus": (None, (_POINTER,)),
    "TF_GetCode": (_INT, (_POINTER,)),
    "TF_Message": (_TEXT, (_POINTER,)),
    "TF_GetRegisteredKernelsForOp": (ctypes.POINTER(_Buffer), (_TEXT, _POINTER)),
    "TF_NewBufferFromString": (_POINTER, (_TEXT, _SIZE)),
    "TF_DeleteBuffer": (None, (_POINTER,)),
    "TF_NewGraph": (_POINTER, ()),
    "TF_DeleteGraph": (None, (_POINTER,)),
    "TF_NewImportGraphDefOptions": (_POINTER, ()),
    "TF_DeleteImportGraphDefOptions": (None, (_POINTER,)),
    "TF_GraphImportGraphDef": (None, (_POINTER, _POINTER, _POINTER, _POINTER)),
    "TF_GraphOperationByName": (_POINTER, (_POINTER, _TEXT)),
    "TF_OperationNumOutputs": (_INT, (_POINTER,)),
    "TF_OperationOutputType": (_INT, (_Output,)),
    "TF_NewSessionOptions": (_POINTER, ()),
    "TF_DeleteSessionOptions": (None, (_POINTER,)),
    "TF_SetConfig": (None, (_POINTER, _TEXT, _SIZE, _POINTER)),
    "TF_NewSession": (_POINTER, (_POINTER, _POINTER, _POINTER)),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        (_POINTER, _POINTER, _TEXT, _POINTER, _INT, _POINTER, _POINTER, _POINTER),
    ),
    "TF_SessionRun": (
        None,
        (
            *(_POINTER, _POINTER),
            *(_POINTER, _POINTER, _INT),
            *(_POINTER, _POINTER, _INT),
            *(_POINTER, _INT, _POINTER, _POINTER),
        ),
    ),
    "TF_CloseSession": (None, (_POINTER, _POINTER)),
    "TF_DeleteSession": (None, (_POINTER, _POINTER)),
    "TF_AllocateTensor": (_POINTER, (_INT, _POINTER, _INT, _SIZE)),
    "TF_DeleteTensor": (None, (_POINTER,)),
    "TF_TensorData": (_POINTER, (_POINTER,)),
    "TF_TensorType": (_INT, (_POINTER,)),
    "TF_TensorByteSize": (_SIZE, (_POINTER,)),
    "TF_NumDims": (_INT, (_POINTER,)),
    "TF_Dim": (ctypes.c_int64, (_POINTER, _INT)),
}


class Refused(Exception):
    """The C library does not do this: Python's package, asked the same, does it or says why not."""


def c_library() -> Any | None:
    """The library, loaded; None where it is not found, or where Python's package is imported already.

    That may know more ops and devices by then, and costs nothing any more.
    """
    may_run()
    return None if "tensorflow" in sys.modules else _loaded()


@cache
def _loaded() -> Any | None:
    """The library with the types of its functions. What it writes while it is loaded is dropped."""
    found = importlib.util.find_spec("tensorflow")
    folders = [Path(each) for each in (found.submodule_search_locations or ())] if found is not None else []
    if any((folder.parent / _PLUGINS).exists() for folder in folders):
        return None
    files = [folder / name for folder in folders for name in _FILES if (folder / name).is_file()]
    if not files:
        return None
    os.environ.setdefault(LEVEL, "3")
    os.environ.setdefault("TF2_BEHAVIOR", "1")  # as Python's package does
    try:
        with stderr_held_back():
            library = ctypes.CDLL(str(files[0]))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, list(arguments)
    except (OSError, AttributeError):  # Python's package says what is broken
        return None
    return library


class CSession:
    """A session of the C library, until ``close``. Everything raises Refused."""

    def __init__(self, library: Any, kind: SessionKind, opened: Callable[[Any, Any, Any], Any]) -> None:
        """``opened`` makes the session of a graph, options and a status, each a pointer."""
        self._library = library
        self._graph = _POINTER(library.TF_NewGraph())
        options = _POINTER(library.TF_NewSessionOptions())
        config = CONFIGS[kind]
        try:
            with _status(library) as status:
                library.TF_SetConfig(options, config, len(config), status)
            with _status(library) as status:
                self._session = _POINTER(opened(self._graph, options, status))
        except BaseException:
            library.TF_DeleteGraph(self._graph)
            raise
        finally:
            library.TF_DeleteSessionOptions(options)

    @classmethod
    def of_saved_model(cls, library: Any, folder: Path, tags: Sequence[str], kind: SessionKind) -> CSession:
        """One graph of a SavedModel, loaded as a server loads it."""
        known = (_TEXT * len(tags))(*(tag.encode() for tag in tags))

        def opened(graph: Any, options: Any, status: Any) -> Any:
            return library.TF_LoadSessionFromSavedModel(
                options, None, os.fsencode(folder), known, len(tags), graph, None, status
            )

        with stderr_held_back():
            return cls(library, kind, opened)

    @classmethod
    def of_graph_def(cls, library: Any, graph_def: bytes, kind: SessionKind) -> CSession:
        """A graph without variables, from a serialized ``GraphDef``."""

        def opened(graph: Any, options: Any, status: Any) -> Any:
            buffer = _POINTER(library.TF_NewBufferFromString(graph_def, len(graph_def)))
            importing = _POINTER(library.TF_NewImportGraphDefOptions())
            library.TF_GraphImportGraphDef(graph, buffer, importing, status)
            library.TF_DeleteImportGraphDefOptions(importing)
            library.TF_DeleteBuffer(buffer)
            return None if library.TF_GetCode(status) else library.TF_NewSession(graph, options, status)

        return cls(library, kind, opened)

    def run(self, fetches: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The values of ``fetches``, tensors by name, where ``feeds`` are given, of the types that they have there."""
        library = self._library
        wanted = [self._output(name) for name in fetches]
        fed = [self._output(name) for name in feeds]
        given: list[Any] = []
        answers = (_POINTER * len(wanted))()
        try:
            for output, value in zip(fed, feeds.values(), strict=True):
                given.append(self._tensor(library.TF_OperationOutputType(output), value))
            with _status(library) as status:
                library.TF_SessionRun(
                    *(self._session, None),
                    *((_Output * len(fed))(*fed), (_POINTER * len(given))(*given), len(given)),
                    *((_Output * len(wanted))(*wanted), answers, len(wanted)),
                    *(None, 0, None, status),
                )
            return [self._array(_POINTER(answer)) for answer in answers]
        finally:
            for pointer in (*given, *map(_POINTER, answers)):
                if pointer.value is not None:
                    library.TF_DeleteTensor(pointer)

    def close(self) -> None:
        """Close the session and let go of its graph."""
        library = self._library
        if self._session.value is None:
            return
        status = _POINTER(library.TF_NewStatus())
        library.TF_CloseSession(self._session, status)
        library.TF_DeleteSession(self._session, status)
        library.TF_DeleteStatus(status)
        library.TF_DeleteGraph(self._graph)
        self._session = _POINTER(None)

    def _output(self, name: str) -> _Output:
        tensor = tensor_name(name)
        operation = self._library.TF_GraphOperationByName(self._graph, tensor.node.encode())
        if not operation or tensor.port >= self._library.TF_OperationNumOutputs(operation):
            raise Refused(f"there is no tensor {name}")
        return _Output(operation, tensor.port)

    def _tensor(self, number: int, value: Array) -> Any:
        """A copy of ``value`` as a tensor of the type with this number."""
        if _numpy_dtype(number) != value.dtype:
            raise Refused(f"{value.dtype} is given for a tensor of type {number}")
        plain = np.ascontiguousarray(value)
        dims = (ctypes.c_int64 * value.ndim)(*value.shape)
        tensor = _POINTER(self._library.TF_AllocateTensor(number, dims, value.ndim, plain.nbytes))
        ctypes.memmove(self._library.TF_TensorData(tensor), plain.ctypes.data, plain.nbytes)
        count_read(value, value.nbytes)  # a file's pages, of a weight
        return tensor

    def _array(self, tensor: Any) -> Array:
        library = self._library
        dtype = _numpy_dtype(library.TF_TensorType(tensor))
        shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
        found = np.empty(shape, dtype)
        if found.nbytes != library.TF_TensorByteSize(tensor):
            raise Refused(f"a tensor of {dtype} and shape {shape} has another size")
        ctypes.memmove(found.ctypes.data, library.TF_TensorData(tensor), found.nbytes)
        return found


def registered_kernels(library: Any, op: str) -> bytes:
    """The kernels of ``op``, a serialized ``KernelList``. Raises Refused."""
    with _status(library) as status:
        found = library.TF_GetRegisteredKernelsForOp(op.encode(), status)
    try:
        return ctypes.string_at(found.contents.data, found.contents.length)
    finally:
        library.TF_DeleteBuffer(found)


@contextmanager
def _status(library: Any) -> Iterator[Any]:
    """A status for the calls of the block. Raises Refused where they did not succeed."""
    status = _POINTER(library.TF_NewStatus())
    try:
        yield status
        if library.TF_GetCode(status):
            raise Refused(library.TF_Message(status).decode(errors="replace"))
    finally:
        library.TF_DeleteStatus(status)


def _numpy_dtype(number: int) -> np.dtype[Any]:
    """The type of arrays that hold tensors of a type, by its number. Raises Refused where numpy has none."""
    dtype = None if number in NOT_NUMPY else numpy_dtype(DType(number))
    if dtype is None or dtype.hasobject:
        raise Refused(f"tensors of type {number} are not handed over")
    return dtype
