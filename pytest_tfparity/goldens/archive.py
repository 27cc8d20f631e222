"""Arrays in an ``.npz`` file that is the same, byte for byte, wherever equal arrays are written.

A zip file (stored, dated 1980-01-01, entries sorted by name) of ``.npy`` entries in format 1.0,
little-endian and in C order, as in
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. ``numpy.load`` reads it: an
ordinary tensor is the entry ``NAME.npy``. What the npy format cannot hold without pickling has
entries with a ``#``, which occurs in no tensor name:

- strings: ``NAME#bytes.npy``, uint8 [n], all strings one after the other, and ``NAME#ends.npy``,
  int64 of the tensor's shape, where each ends in it;
- dtypes of ml_dtypes: ``NAME#bfloat16.npy`` (or ``#float8_e5m2``, ``#int4``, ...), the bits as
  unsigned integers of the same size;
- quantised integers of TensorFlow: ``NAME#qint8.npy`` (``#quint8``, ...), the plain integers.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..comparison.dtypes import small_dtype
from ..graph.graph import Array

_QUANTISED = {"qint8": "i1", "quint8": "u1", "qint16": "<i2", "quint16": "<u2", "qint32": "<i4"}
_SMALL = re.compile(r"bfloat16|float[468]_\w+|u?int[24]")
_LFS = b"version https://git-lfs.github.com/spec/"


class ArchiveProblem(ValueError):
    """Why a tensor or a file cannot be written or read, as a clause about it (``is a ...``)."""


def write_archive(tensors: Mapping[str, Array]) -> bytes:
    """The file that holds ``tensors``. Raises ArchiveProblem for a dtype that has no place in it."""
    entries = {f"{key}.npy": data for name, array in tensors.items() for key, data in _entries(name, array)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, entries[name])
    return buffer.getvalue()


def read_archive(data: bytes) -> dict[str, Array]:
    """The tensors inside ``data``, read-only, by name. Raises ArchiveProblem, and nothing else."""
    if problem := foreign(data):
        raise ArchiveProblem(problem)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > len(data):
                raise ArchiveProblem("is compressed, which goldens never are")
            return read_tensors(
                [name.removesuffix(".npy") for name in archive.namelist()],
                lambda key: _parse(archive.read(f"{key}.npy")),
            )
    except ArchiveProblem:
        raise
    except Exception as error:  # a damaged zip makes zipfile and numpy raise nearly anything
        raise ArchiveProblem(f"is damaged ({type(error).__name__}: {error})") from error


def read_tensors(keys: Iterable[str], load: Callable[[str], Array]) -> dict[str, Array]:
    """The tensors that the entries ``keys`` stand for; ``load`` gives the array of one entry."""
    tensors: dict[str, Array] = {}
    for key in sorted(keys):
        name, _, encoding = key.partition("#")
        if encoding == "ends":
            continue  # read together with the bytes
        tensor = load(key) if not encoding else _decode(name, encoding, load)
        tensor.flags.writeable = False
        if name in tensors:
            raise ArchiveProblem(f"holds two tensors named {name}")
        tensors[name] = tensor
    return tensors


def tensor_sha256(name: str, array: Array) -> str:
    """The hash of the npy entries that hold ``array``: of its dtype, shape and bits."""
    digest = hashlib.sha256()
    for _, data in _entries(name, array):
        digest.update(data)
    return digest.hexdigest()


def quantised_integers(array: npt.NDArray[Any]) -> Array:
    """The integers that a quantised tensor stores, which numpy holds as the one field of a record."""
    integers: Array = array[array.dtype.names[0]] if array.dtype.names else array
    return integers


def array_dtype_name(array: Array) -> str:
    """The field's name of the dtype: ``float32``, ``string``, ``bfloat16``, ``qint8``."""
    if array.dtype.kind in "OSU":
        return "string"
    return array.dtype.names[0] if array.dtype.names else array.dtype.name


def foreign(data: bytes) -> str | None:
    """A clause that says what a file is that is no npz file at all; None if it may be one."""
    if data.startswith(_LFS):
        return "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
    if not data:
        return "is empty"
    if data.startswith(b"PK") and b"PK\x05\x06" not in data[-65_557:]:
        return "is truncated: the directory at its end is missing"
    if not data.startswith(b"PK"):
        return "is not an npz file"
    return None


def encoded_strings(values: Array) -> Array:
    """``values`` (bytes or str, any shape) as an object array of ``bytes``."""
    strings = np.empty(values.shape, object)
    for index, value in enumerate(values.reshape(-1).tolist()):
        if not isinstance(value, (bytes, str)):
            raise ArchiveProblem(f"holds a Python {type(value).__name__}, where only strings can be stored")
        strings.flat[index] = value.encode() if isinstance(value, str) else value
    return strings


def _entries(name: str, array: Array) -> list[tuple[str, bytes]]:
    """The entries that hold one tensor: their keys and their npy bytes."""
    if "#" in name:
        raise ArchiveProblem(f"cannot be stored under the name {name!r}, which has a #")
    if array.dtype.kind in "OSU":
        strings = encoded_strings(array).reshape(-1).tolist()
        ends = np.cumsum([len(text) for text in strings], dtype=np.int64).reshape(array.shape)
        joined = np.frombuffer(b"".join(strings), np.uint8)
        return [(f"{name}#bytes", _npy(joined)), (f"{name}#ends", _npy(ends))]
    plain, encoding = array, array_dtype_name(array)
    if array.dtype.names is not None:
        if encoding not in _QUANTISED or len(array.dtype.names) != 1:
            raise ArchiveProblem(f"has dtype {array.dtype}, which cannot be stored")
        plain = quantised_integers(array)
    elif array.dtype.kind == "V" or _SMALL.fullmatch(encoding):
        if not _SMALL.fullmatch(encoding):
            raise ArchiveProblem(f"has dtype {array.dtype}, which cannot be stored")
        plain = np.ascontiguousarray(array).reshape(array.shape).view(f"u{array.dtype.itemsize}")
    elif array.dtype.kind in "biufc":
        return [(name, _npy(array))]
    else:
        raise ArchiveProblem(f"has dtype {array.dtype}, which cannot be stored")
    return [(f"{name}#{encoding}", _npy(plain))]


def _npy(array: Array) -> bytes:
    """``array`` in npy format 1.0. numpy's own writer pads the header differently from version to version."""
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    shape = tuple(int(size) for size in array.shape)
    header = f"{{'descr': '{little.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return (
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode("latin1") + little.tobytes()
    )


def _parse(data: bytes) -> Array:
    stream = io.BytesIO(data)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):
        raise ArchiveProblem("is damaged (bytes after the end of an array)")
    return array


def _decode(name: str, encoding: str, load: Callable[[str], Array]) -> Array:
    stored = load(f"{name}#{encoding}")
    if encoding == "bytes":
        return _strings(stored, load(f"{name}#ends"))
    if encoding in _QUANTISED:
        return stored.astype(_QUANTISED[encoding], copy=False).view(
            np.dtype([(encoding, _QUANTISED[encoding])])
        )
    if not _SMALL.fullmatch(encoding):
        raise ArchiveProblem(f"holds {name} in an unknown encoding, {encoding}")
    try:
        return stored.view(small_dtype(encoding))
    except LookupError as error:
        raise ArchiveProblem(str(error.args[0])) from None


def _strings(joined: Array, ends: Array) -> Array:
    data, bounds = joined.tobytes(), [0, *ends.reshape(-1).tolist()]
    if bounds != sorted(bounds) or bounds[-1] != len(data):
        raise ArchiveProblem("is damaged (its strings do not add up)")
    strings = np.empty(ends.shape, object)
    for index, (start, end) in enumerate(itertools.pairwise(bounds)):
        strings.flat[index] = data[start:end]
    return strings
