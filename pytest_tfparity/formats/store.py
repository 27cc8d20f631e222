"""Open models of any format, one object for equal specifications."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from ..errors import ModelError, irregular
from .format import SideSpec
from .model import Model
from .registry import format_of

OPEN_BYTES = 1 << 29
"""Bytes of files whose models may be open in TensorFlow at once; a session takes several times as much."""

MOST_MODELS = 32
"""Models that are kept. A small one, read, takes 1 to 3 MB: of a thousand in one session that would be gigabytes, and
checks that share a file mostly follow one another."""

_Stamp: TypeAlias = "tuple[str, int, int] | None"


class ModelStore:
    """Loads each model once and shares it. A model whose files were written again is loaded again.

    When the open models together grow large, those that were not asked for lately give up their
    sessions; they open again when they are run. When there are many, those are forgotten.
    """

    def __init__(self) -> None:
        self._models: dict[str, tuple[list[_Stamp], Model]] = {}

    def open(self, spec: SideSpec, root: Path) -> Model:
        """The model that ``spec`` names; the same object for equal specs while it is kept. Nothing is read yet.

        Functions are imported from ``root``. Raises SettingsError where the settings of a side exclude each other,
        ModelError where a device or a pipe is named.
        """
        form = format_of(spec.format)
        key = form.identity(spec, root)
        stamps = [_stamp(path) for path in form.files(spec)]
        known = self._models.pop(key, None)
        if known is not None and known[0] != stamps:
            known[1].close()
            known = None
        self._models[key] = known or (stamps, form.open(spec, root))
        self._make_room()
        return self._models[key][1]

    def close(self) -> None:
        """Close every session of every model."""
        for _, model in self._models.values():
            model.close()
        self._models.clear()

    def _make_room(self) -> None:
        """Close the models that were asked for longest ago, but never the last three: a pair and the next."""
        while len(self._models) > MOST_MODELS:
            _, forgotten = self._models.pop(next(iter(self._models)))
            forgotten.close()
        models = [model for _, model in self._models.values()]
        size = sum(model.open_bytes for model in models)
        for model in models[:-3]:
            if size <= OPEN_BYTES:
                return
            size -= model.open_bytes
            model.close()


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if kind := irregular(path):
        raise ModelError(f"{path} is {kind}, not a file.")
    return str(path), status.st_mtime_ns, status.st_size
