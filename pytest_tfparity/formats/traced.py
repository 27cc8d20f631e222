"""A Keras model, opened: traced in TensorFlow in inference mode, and from there on a SavedModel."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from ..graph.graph import Tensor
from ..graph.read.mapped import mapped
from .format import FeedValue
from .saved_signature import SavedModel


class KerasModel(SavedModel):
    """A ``.keras`` or HDF5 file. Loaded and traced when first needed."""

    noun = "Keras model"
    remake = "save again"

    def __init__(
        self,
        path: Path,
        root: Path,
        *,
        custom_objects: str | None = None,
        trusted: bool = False,
        feeds: Mapping[str, FeedValue] = MappingProxyType({}),
    ) -> None:
        super().__init__(path, feeds=feeds)
        self._root = root
        self._custom_objects = custom_objects
        self._trusted = trusted

    def __repr__(self) -> str:
        return f"KerasModel({self.label!r})"

    @property
    def folder(self) -> Path:
        """Where the traced model lies. Raises ModelError if the file is no model that can be traced."""
        return self._traced / "model"

    @property
    def taken(self) -> str:
        """See :attr:`.model.Model.taken`."""
        return "a Keras model, traced in inference mode"

    def siblings(self) -> Mapping[Path, Mapping[str, Tensor]]:
        """None: each would have to be loaded and traced."""
        return {}

    def close(self) -> None:
        """Close the sessions and delete what was traced; what was read of it stays."""
        super().close()
        if "_traced" in self.__dict__:
            shutil.rmtree(self.__dict__.pop("_traced"), ignore_errors=True)

    @cached_property
    def _traced(self) -> Path:
        from ..runtime.keras import trace

        mapped(self.path, self.noun)  # which names a file that is missing, empty or a pointer
        made = Path(tempfile.mkdtemp(prefix="tfparity-keras-"))
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        trace(
            self.path,
            self.label,
            made,
            root=self._root,
            custom_objects=self._custom_objects,
            trusted=self._trusted,
        )
        return made
