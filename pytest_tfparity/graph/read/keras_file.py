"""A file of a Keras model, read without Keras: its architecture, and its weights by name; nothing in it runs.

``.keras`` is a zip archive with ``config.json``, ``metadata.json`` and ``model.weights.h5``; Keras 2 kept all in one
HDF5 file. Format: ``saving_lib.py`` and ``legacy_h5_format.py`` of keras/src/saving; the order in which a layer makes
its weights stands in keras/src/layers.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...errors import ModelError
from ..graph import Tensor
from .tensors import dtype_of, sealed

HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LARGEST_CONFIG = 256 << 20
"""Bytes. That of a model of a thousand layers has 2 MB."""
_KERNEL = ("kernel", "bias")
_SCALED = ("gamma", "beta")
_ORDER: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Dense", "EinsumDense", "DepthwiseConv1D", "DepthwiseConv2D"), _KERNEL),
    **{f"Conv{rank}D{kind}": _KERNEL for rank in (1, 2, 3) for kind in ("", "Transpose")},
    **{f"SeparableConv{rank}D": ("depthwise_kernel", "pointwise_kernel", "bias") for rank in (1, 2)},
    "BatchNormalization": (*_SCALED, "moving_mean", "moving_variance"),
    "LayerNormalization": _SCALED,
    "GroupNormalization": _SCALED,
    "Embedding": ("embeddings",),
    "PReLU": ("alpha",),
    "Normalization": ("mean", "variance", "count"),
}
"""The weights of a layer in the order in which it makes them, by its class."""
_CELL = ("kernel", "recurrent_kernel", "bias")
"""The weights of the cell of every recurrent layer."""
_OPTIONAL = {"gamma": "scale", "beta": "center", "bias": "use_bias"}
"""Weights that a layer may have been told to do without, by the key of its configuration that says so."""


def is_zipped(path: Path, label: str) -> bool:
    """Whether a file is a zip archive, as Keras 3 writes one; else it is to be HDF5.

    Raises ModelError where it is neither, or an archive that is cut off.
    """
    if zipfile.is_zipfile(path):
        return True
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    if start == HDF5:
        return False
    if start.startswith(_ZIP):
        raise ModelError(
            f"{label} is a .keras archive that is cut off: its directory is missing. Copy it again."
        )
    raise ModelError(
        f"{label} is no Keras model: neither a .keras archive nor an HDF5 file. Save it with model.save(...)."
    )


def keras_config(path: Path, label: str) -> Any:
    """The architecture that a file states. Raises ModelError where it has none, or is damaged."""
    if is_zipped(path, label):
        with _archive(path, label) as archive:
            if _CONFIG not in archive.namelist():
                raise ModelError(f"{label} is a zip archive without {_CONFIG}, not a .keras model.")
            return _json(archive, _CONFIG, label)
    with _hdf5(path, label) as file:
        held = file.attrs.get("model_config")
    if held is None:
        raise ModelError(
            f"{label} holds weights alone, no model to run them in. Save the whole model: model.save(...), not"
            " model.save_weights(...)."
        )
    try:
        return json.loads(held)
    except ValueError:
        raise ModelError(f"{label} is damaged: its model_config is no JSON. Save or copy it again.") from None


def keras_version(path: Path, label: str) -> str:
    """The Keras that wrote an archive; empty if it does not say. Raises ModelError."""
    with _archive(path, label) as archive:
        if _METADATA not in archive.namelist():
            return ""
        held = _json(archive, _METADATA, label)
    return str(held.get("keras_version", "")) if isinstance(held, Mapping) else ""


def keras_weights(path: Path, label: str) -> Mapping[str, Tensor]:
    """The weights of the model in a file, by layer and name, in the order of the file; without its optimizer.

    A weight of a layer that this module does not know is called by its number (``encoder/query/0``). Raises
    ModelError where the file is damaged, or h5py is not installed.
    """
    configs = _configs(keras_config(path, label))
    zipped = is_zipped(path, label)
    found: dict[str, Tensor] = {}

    def note(place: str, held: Any) -> None:
        if not hasattr(held, "shape") or _refused(held):
            return
        name = _archived(place, held, configs) if zipped else _legacy(place)
        if name is not None:
            shown = name if name not in found else place
            kind = dtype_of(np.zeros(0, held.dtype))
            found[shown] = Tensor(kind, tuple(held.shape), _loader(path, label, place))

    with _hdf5(path, label) as file:
        file.visititems(note)
    return found


def _refused(held: Any) -> bool:
    """Whether a data set is more than numbers that stand in the file itself: of another file, or not written at all."""
    plain = held.dtype.kind in "fiub" and not held.is_virtual and not held.external
    return not plain or held.nbytes != held.id.get_storage_size()


def _loader(path: Path, label: str, place: str) -> Callable[[], np.ndarray[Any, Any]]:
    def load() -> np.ndarray[Any, Any]:
        with _hdf5(path, label) as file:
            return sealed(np.asarray(file[place]))

    return load


def _archived(place: str, held: Any, configs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """The name of a data set ``.../vars/2`` of an archive; None for what is no weight of the model."""
    *scopes, holder, number = place.split("/")
    if holder != "vars" or not number.isdigit() or scopes[:1] == ["optimizer"] or "metrics" in scopes:
        return None
    group = held.parent
    count = sum(1 for each in group.values() if hasattr(each, "shape"))
    names = _layers(scopes, held.file)
    known = _weights_of(names[-1] if names else "", scopes[-1:] == ["cell"], count, configs)
    return "/".join([*names, known[int(number)] if int(number) < len(known) else number])


def _layers(scopes: Sequence[str], file: Any) -> list[str]:
    """What the layer at ``scopes`` and those that it wraps are called; a model within the model gives no name."""
    start = max((index + 1 for index, each in enumerate(scopes) if each == "layers"), default=0)
    return [
        str(file["/".join([*scopes[: end + 1], "vars"])].attrs.get("name", scopes[end]))
        if "/".join([*scopes[: end + 1], "vars"]) in file
        else scopes[end]
        for end in range(start, len(scopes))
    ]


def _weights_of(
    layer: str, is_cell: bool, count: int, configs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Sequence[str]:
    """What the ``count`` weights of a layer are called, in their order; empty if that is not known."""
    if is_cell:
        return _CELL[:count]
    found = {
        tuple(
            weight
            for weight in _ORDER.get(str(each.get("class_name")), ())
            if each["config"].get(_OPTIONAL.get(weight, ""), True)
        )
        for each in configs.get(layer, ())
    }
    names = next(iter(found)) if len(found) == 1 else ()
    return names if len(names) == count else ()


def _legacy(place: str) -> str | None:
    """The name of a data set of a file of Keras 2, which has the layer before it; None for what is no weight."""
    first, _, rest = place.partition("/")
    return rest.partition("/")[2].partition(":")[0] if first == "model_weights" else None


def _configs(config: Any) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The layers' own entries of an architecture, by their names; of models within the model too."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in mappings(config):
        inner = each.get("config")
        if "class_name" in each and isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            found.setdefault(inner["name"], []).append(each)
    return found


def mappings(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping of an architecture, however deep."""
    stack = [config]
    while stack:
        each = stack.pop()
        if isinstance(each, Mapping):
            yield each
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)


@contextmanager
def _archive(path: Path, label: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ModelError(f"{label} is a damaged .keras archive: {error}. Save or copy it again.") from None


def _json(archive: zipfile.ZipFile, name: str, label: str) -> Any:
    if archive.getinfo(name).file_size > _LARGEST_CONFIG:
        raise ModelError(
            f"{label} is no Keras model: its {name} would fill {archive.getinfo(name).file_size} bytes."
        )
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError):
        raise ModelError(f"{label} is damaged: its {name} is no JSON. Save or copy it again.") from None


@contextmanager
def _member(archive: zipfile.ZipFile, path: Path) -> Iterator[Any]:
    """The weights of an archive as a file; as Keras stores them, without compression, nothing is copied."""
    info = archive.getinfo(_WEIGHTS)
    if info.compress_type != zipfile.ZIP_STORED:
        with archive.open(info) as compressed:
            yield compressed
        return
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        names = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
        yield _Window(file, info.header_offset + 30 + names, info.file_size)


class _Window(io.RawIOBase):
    """A part of a file as a file of its own, for reading."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view)  # type: ignore[attr-defined]
        self._at += count
        return int(count)


@contextmanager
def _hdf5(path: Path, label: str) -> Iterator[Any]:
    """The HDF5 file with the weights, that of an archive too."""
    try:
        import h5py
    except ImportError:
        raise ModelError(
            f"The weights of {label} are read with h5py, which is not installed: python -m pip install h5py"
            " (it comes with TensorFlow)."
        ) from None
    try:
        if not is_zipped(path, label):
            with h5py.File(path, "r") as file:
                yield file
            return
        with _archive(path, label) as archive:
            if _WEIGHTS not in archive.namelist():
                raise ModelError(f"{label} has no {_WEIGHTS}: no weights were saved in it. Save it again.")
            with _member(archive, path) as member, h5py.File(member, "r") as file:
                yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise ModelError(f"{label} is a damaged HDF5 file: {error}. Save or copy it again.") from None
