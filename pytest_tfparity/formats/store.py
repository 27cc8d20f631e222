"""Open models, one object for equal specifications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import ModelError, UnreadableFile
from ..graph.read.checkpoints import checkpoint_file, find_checkpoint
from ..settings.resolve import ExportSpec, ReferenceSpec
from .checkpoint import Checkpoint
from .format import Model
from .frozen_graph import FrozenGraph

_M = TypeVar("_M", FrozenGraph, Checkpoint)


OPEN_BYTES = 1 << 29
"""Bytes of files whose models may be open in TensorFlow at once; a session takes several times as much."""


class ModelStore:
    """Loads each model once and shares it. A model whose files were written again is loaded again.

    When the open models together grow large, those that were not asked for lately give up their
    sessions; they open again when they are run.
    """

    def __init__(self) -> None:
        self._models: dict[str, tuple[object, Model]] = {}

    def export(self, spec: ExportSpec) -> FrozenGraph:
        """The export that ``spec`` names; the same object for equal specs. Nothing is read yet."""
        key = repr((str(spec.frozen_graph), sorted(spec.feeds.items())))
        return self._shared(f"export {key}", _stamp(spec.frozen_graph), lambda: FrozenGraph(spec))

    def reference(self, spec: ReferenceSpec, root: Path) -> Checkpoint:
        """The reference that ``spec`` names; the same object for equal specs. Nothing is read yet."""
        stated = (str(spec.checkpoint), str(spec.meta), spec.builder, spec.ema, str(root))
        key = repr((stated, sorted(spec.feeds.items())))
        stamps = [_stamp(path) for path in _files(spec)]
        return self._shared(f"reference {key}", stamps, lambda: Checkpoint(spec, root))

    def at_hand(self, spec: ReferenceSpec) -> bool:
        """Whether the files of this reference exist."""
        try:
            prefix = find_checkpoint(spec.checkpoint)
        except UnreadableFile:
            return True
        except ModelError:
            return False
        return checkpoint_file(prefix, ".index").exists()

    def close(self) -> None:
        """Close every session of every model."""
        for _, model in self._models.values():
            model.close()
        self._models.clear()

    def _shared(self, key: str, stamp: object, make: Callable[[], _M]) -> _M:
        known = self._models.pop(key, None)
        if known is not None and known[0] != stamp:
            known[1].close()
            known = None
        self._models[key] = known or (stamp, make())
        self._make_room()
        return self._models[key][1]  # type: ignore[return-value]

    def _make_room(self) -> None:
        """Close the models that were asked for longest ago, but never the last three: a pair and the next."""
        models = [model for _, model in self._models.values()]
        size = sum(model.open_bytes for model in models)
        for model in models[:-3]:
            if size <= OPEN_BYTES:
                return
            size -= model.open_bytes
            model.close()


def _files(spec: ReferenceSpec) -> list[Path]:
    """The files that a reference is read from, as far as they can be named without reading one."""
    checkpoint = spec.checkpoint
    if checkpoint.is_dir():
        found = [*checkpoint.glob("*.index"), *checkpoint.glob("*.meta"), checkpoint / "checkpoint"]
    else:
        found = [checkpoint_file(checkpoint, suffix) for suffix in (".index", ".meta")]
    return sorted(found) + ([spec.meta] if spec.meta is not None else [])


def _stamp(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size
