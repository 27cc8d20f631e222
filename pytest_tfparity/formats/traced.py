"""Models that are traced in TensorFlow, in inference mode, and from there on are SavedModels."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType

from ..errors import ModelError, TensorFlowMissing
from ..graph.graph import Tensor
from ..graph.read.bundle import Bundle
from ..graph.read.checkpoints import (
    MOST_NEARBY,
    checkpoint_text,
    find_checkpoint,
    other_checkpoints,
    other_files,
)
from ..graph.read.keras_file import keras_weights
from ..graph.read.mapped import mapped
from ..graph.read.object_graph import children, variable_names
from ..graph.read.tensors import STRING
from .format import FeedValue
from .saved_signature import SavedModel


class Traced(SavedModel):
    """A model that is loaded and traced when it is first needed."""

    @property
    def folder(self) -> Path:
        """Where the traced model lies. Raises ModelError if the file is no model that can be traced."""
        return self._traced / "model"

    def close(self) -> None:
        """Close the sessions and delete what was traced; what was read of it stays."""
        super().close()
        if "_traced" in self.__dict__:
            shutil.rmtree(self.__dict__.pop("_traced"), ignore_errors=True)

    @abstractmethod
    def trace(self, folder: Path) -> None:
        """Write the model as a SavedModel into a folder ``model`` of ``folder``. Raises ModelError."""

    @cached_property
    def _traced(self) -> Path:
        made = Path(tempfile.mkdtemp(prefix="tfparity-"))
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        self.trace(made)
        return made


class KerasModel(Traced):
    """A ``.keras`` or HDF5 file."""

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
    def taken(self) -> str:
        """See :attr:`.model.Model.taken`."""
        return "a Keras model, traced in inference mode"

    def tensors(self) -> Mapping[str, Tensor]:
        """See :meth:`.model.HasWeights.tensors`: what the file itself says where the model cannot be traced.

        That needs no TensorFlow, and none of the classes that the model was built of.
        """
        try:
            return super().tensors()
        except (ModelError, TensorFlowMissing):
            return keras_weights(self.path, self.label)

    def siblings(self) -> Mapping[Path, Mapping[str, Tensor]]:
        """The other Keras models of the folder, each weight by the name of that in its place in this file."""
        names = _names_by_value(self.tensors(), keras_weights(self.path, self.label))
        beside = [path for path in other_files(self.path.parent, self.path.suffix) if path != self.path]
        found = {}
        for path in beside[:MOST_NEARBY]:
            with suppress(ModelError):  # what is wrong with those is no concern of this check
                held = keras_weights(path, str(path))
                found[path] = {names.get(place, place): value for place, value in held.items()}
        return found

    def trace(self, folder: Path) -> None:
        """See :meth:`Traced.trace`."""
        from ..runtime.keras import trace

        mapped(self.path, self.noun)  # which names a file that is missing, empty or a pointer
        trace(
            self.path,
            self.label,
            folder,
            root=self._root,
            custom_objects=self._custom_objects,
            trusted=self._trusted,
        )


def _names_by_value(named: Mapping[str, Tensor], placed: Mapping[str, Tensor]) -> Mapping[str, str]:
    """The name in ``named`` of what each key of ``placed`` holds, where just one of either has those values."""
    names, places = _by_value(named), _by_value(placed)
    return {
        keys[0]: names[value][0]
        for value, keys in places.items()
        if len(keys) == len(names.get(value, ())) == 1
    }


def _by_value(tensors: Mapping[str, Tensor]) -> Mapping[bytes, Sequence[str]]:
    found: dict[bytes, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.dtype.number != STRING:
            about = f"{tensor.dtype.number} {tensor.shape}".encode()
            value = blake2b(tensor.array.tobytes(), key=about[:64])
            found.setdefault(value.digest(), []).append(name)
    return found


class ObjectCheckpoint(Traced):
    """A checkpoint that ``tf.train.Checkpoint`` wrote, with the function that builds the objects."""

    noun = "checkpoint"
    remake = "save again"

    def __init__(
        self, path: Path, root: Path, *, builder: str, feeds: Mapping[str, FeedValue] = MappingProxyType({})
    ) -> None:
        super().__init__(path, feeds=feeds)
        self._root = root
        self._builder = builder

    def __repr__(self) -> str:
        return f"ObjectCheckpoint({self.label!r})"

    @property
    def path(self) -> Path:
        """The checkpoint's prefix. Raises ModelError."""
        return find_checkpoint(self._path)

    @property
    def graph_noun(self) -> str:
        """The graph is not the checkpoint itself."""
        return "checkpoint's graph"

    @property
    def graph_file(self) -> Path | None:
        """See :attr:`.model.HasGraph.graph_file`: a function builds it."""
        return None

    @property
    def taken(self) -> str:
        """See :attr:`.model.Model.taken`."""
        return f"an object-based checkpoint, restored into what {self._builder} builds"

    def siblings(self) -> Mapping[Path, Mapping[str, Tensor]]:
        """The other object-based checkpoints of the folder, their values by the names of the variables."""
        found = {}
        for prefix in other_checkpoints(self.path)[:MOST_NEARBY]:
            tensors = Bundle(prefix).tensors
            names = variable_names(tensors, str(prefix))
            found[prefix] = {name: tensors[key] for key, name in names.items() if key in tensors}
        return found

    def trace(self, folder: Path) -> None:
        """See :meth:`Traced.trace`."""
        from ..runtime.object_checkpoint import trace

        trace(
            checkpoint_text(self.path),
            self.label,
            folder,
            builder=self._builder,
            root=self._root,
            children=children(Bundle(self.path).tensors, self.label),
        )
