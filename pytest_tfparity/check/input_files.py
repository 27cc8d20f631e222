"""Golden inputs that a file holds, or that a function of the project returns."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError, did_you_mean, irregular
from ..goldens.archive import ArchiveProblem, encoded_strings, foreign, read_tensors
from ..graph.graph import Array
from ..settings.spec import BytesSource, CallSource, ImageSource, NpzSource
from ..wording import enumerated


def array_of(source: NpzSource | BytesSource | ImageSource | CallSource, root: Path, name: str) -> Array:
    """The array that ``source`` holds or returns for the input ``name``. Raises InputError."""
    if isinstance(source, NpzSource):
        return _from_npz(source, name)
    if isinstance(source, BytesSource):
        return _from_bytes(source, name)
    if isinstance(source, ImageSource):
        return _from_images(source, name)
    return _from_call(source, root, name)


def _from_npz(source: NpzSource, name: str) -> Array:
    """One array of an npz file, or a whole npy file."""
    path = source.path
    _require_file(path, name)
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"Input {name}: {path} cannot be read: {error.strerror or error}.") from None
    with file:
        start = file.read(64)
        file.seek(0)
        if start.startswith(b"\x93NUMPY"):
            if source.key is not None:
                raise InputError(f"Input {name}: {path} is a single array, so it has no key {source.key!r}.")
            return np.array(_checked(_load(file, path, name), name, str(path)))
        if (problem := foreign(start)) and "truncated" not in problem:
            raise InputError(f"Input {name}: {path} {problem}.")
        with _load(file, path, name) as archive:
            return _entry(archive, source, name)


def _load(file: IO[bytes], path: Path, name: str) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except Exception as error:  # a damaged file makes zipfile and numpy raise nearly anything
        raise _refused(name, path, error) from None


def _entry(archive: Any, source: NpzSource, name: str) -> Array:
    key = name if source.key is None else source.key
    keys: list[str] = archive.files
    wanted = [entry for entry in keys if entry == key or entry.startswith(f"{key}#")]
    if not wanted:
        known = sorted({entry.partition("#")[0] for entry in keys})
        raise InputError(
            f"Input {name}: {source.path} holds no array {key!r} (it holds {enumerated(known, 8)})."
            f"{did_you_mean(key, known)} State the array's name as `key`."
        )
    try:
        (array,) = read_tensors(wanted, archive.__getitem__).values()
    except ArchiveProblem as error:
        raise InputError(f"Input {name}: {source.path} {error}.") from None
    except Exception as error:
        raise _refused(name, source.path, error) from None
    return _checked(array, name, f"{key} in {source.path}")


def stated_array(source: NpzSource, name: str) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """The shape and type that the file states of the array, before any of its values is read.

    None where it does not say: reading the array will tell why.
    """
    key = name if source.key is None else source.key
    if irregular(source.path):
        return None
    try:
        with zipfile.ZipFile(source.path) as archive, archive.open(f"{key}.npy") as entry:
            version = np.lib.format.read_magic(entry)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[version](entry)
    except Exception:  # as for np.load
        return None
    return tuple(shape), dtype


def _refused(name: str, path: Path, error: Exception) -> InputError:
    if "allow_pickle" in str(error):
        return InputError(
            f"Input {name}: {path} holds pickled Python objects, which are never loaded. Store strings as a"
            " numpy array of dtype S, or as files under `bytes`."
        )
    what = " ".join(str(error).split())
    return InputError(f"Input {name}: {path} is damaged ({type(error).__name__}: {what}).")


def _from_bytes(source: BytesSource, name: str) -> Array:
    array = np.empty(len(source.paths), object)
    for index, path in enumerate(source.paths):
        array[index] = _read(path, name)
    return _checked(array, name, "bytes")


def _require_file(path: Path, name: str) -> None:
    if kind := irregular(path):
        raise InputError(f"Input {name}: {path} is {kind}, not a file.")


def _read(path: Path, name: str) -> bytes:
    _require_file(path, name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"Input {name}: {path} cannot be read: {error.strerror or error}.") from None
    if (problem := foreign(data[:64])) and "LFS" in problem:
        raise InputError(f"Input {name}: {path} {problem}.")
    return data


def _from_images(source: ImageSource, name: str) -> Array:
    """Images as TensorFlow decodes them; another dtype than uint8 holds the same numbers, 0 to 255."""
    from ..runtime.images import decode_images

    for path in source.paths:
        _read(path, name)
    pixels = decode_images(source.paths, source.channels)
    return np.array(pixels, dtype=np.dtype(source.dtype))


def _from_call(source: CallSource, root: Path, name: str) -> Array:
    subject = f"Input {name}: {source.function}"
    from ..runtime.project import call_project

    value = call_project(source.function, root, subject=subject, error=InputError)
    if value is None:
        raise InputError(f"{subject} returned nothing. It must return the array.")
    try:
        array = np.array(value)  # a copy: the function may go on using its own
    except Exception as error:  # ragged lists, symbolic tensors
        what = " ".join(str(error).split())
        raise InputError(f"{subject} returned a {type(value).__name__} that is no array: {what}") from None
    return _checked(array, name, f"what {source.function} returned")


def _checked(array: Array, name: str, origin: str) -> Array:
    """The array with strings as ``bytes``, if a tensor can hold it and it holds anything."""
    if not array.size:
        raise InputError(
            f"Input {name}: {origin} is empty (shape {list(array.shape)}), so it proves nothing."
        )
    if array.dtype.kind in "OSU":
        try:
            return encoded_strings(array)
        except ArchiveProblem as error:
            raise InputError(f"Input {name}: {origin} {error}.") from None
    if array.dtype.kind in "Mm" or (array.dtype.names is not None and len(array.dtype.names) != 1):
        raise InputError(f"Input {name}: {origin} has dtype {array.dtype}, which no tensor has.")
    return array
