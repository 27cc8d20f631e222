"""Open models, one object for equal specifications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import ModelError, UnreadableFile
from ..graph.checkpoints import checkpoint_file, find_checkpoint
from ..settings.resolve import ExportSpec, ReferenceSpec
from .checkpoint import Checkpoint
from .frozen_graph import FrozenGraph
from .model import Model

_M = TypeVar("_M", FrozenGraph, Checkpoint)


class ModelStore:
    """Loads each model once and shares it. A model whose files were written again is loaded again."""

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
        known = self._models.get(key)
        if known is not None:
            if known[0] == stamp:
                return known[1]  # type: ignore[return-value]
            known[1].close()
        model = make()
        self._models[key] = (stamp, model)
        return model


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
