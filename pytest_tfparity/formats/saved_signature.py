"""A SavedModel, opened: one signature of it, as a server answers it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, TfparityError, did_you_mean
from ..graph import ops
from ..graph.edit.freeze import frozen
from ..graph.edit.pruning import executed
from ..graph.graph import Array, Graph, Node, Shape, Tensor, TensorName, tensor_name
from ..graph.proof.proof import Side
from ..graph.read.bundle import Bundle
from ..graph.read.checkpoints import MOST_NEARBY
from ..graph.read.object_graph import shown_names, variable_names
from ..graph.read.restore import RestoredKey, restored
from ..graph.read.saved_model import (
    SERVE,
    SERVING,
    SavedGraph,
    Signature,
    read_saved_model,
    saved_model_file,
)
from ..graph.read.served import Served, served
from ..runtime.feeds import constant_feeds
from ..wording import enumerated
from .format import FeedValue
from .model import GraphModel, HasGraph, HasSignatures, HasWeights, Model, Repairable

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..runtime.saved_model import Server
    from ..runtime.session import Source
    from ..runtime.session_config import SessionKind
    from .rewritten_graph import RewrittenGraph


class SavedModel(GraphModel, Repairable, HasWeights, HasSignatures):
    """One ``signature`` of the graph with ``tags``. Read when first needed; run in sessions until ``close``.

    Inputs and outputs have the names of the signature. ``feeds`` are constants for some of the inputs.
    """

    noun = "SavedModel"
    remake = "export again"

    def __init__(
        self,
        path: Path,
        *,
        signature: str = SERVING,
        tags: Sequence[str] = SERVE,
        feeds: Mapping[str, FeedValue] = MappingProxyType({}),
    ) -> None:
        self.label = str(path)
        self.tags = tuple(tags)
        self._path = path
        self._signature_name = signature
        self._stated_feeds = feeds

    def __repr__(self) -> str:
        return f"SavedModel({self.label!r})"

    @property
    def path(self) -> Path:
        """The folder that the user named."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder that is read and loaded."""
        return self._path

    @property
    def taken(self) -> str:
        """See :attr:`.model.Model.taken`."""
        writer = f" of TensorFlow {self.saved.version}" if self.saved.version else ""
        count = len(self.saved.signatures)
        of_several = f" of {count}" if count > 1 else ""
        return f"a SavedModel{writer}, signature {self._signature_name}{of_several}"

    @cached_property
    def saved(self) -> SavedGraph:
        """The graph with the tags, as the file has it. Raises ModelError."""
        return read_saved_model(self.folder, self.tags)

    @cached_property
    def signature(self) -> Signature:
        """The signature. Raises ModelError, with those that there are, if there is none of its name."""
        known = self.saved.signatures
        found = known.get(self._signature_name)
        if found is None:
            if not known:
                raise ModelError(
                    f"{self.label} has no signature at all, so that no server can ask it. Save it with one:"
                    " tf.saved_model.save(module, folder, signatures=function)."
                )
            raise ModelError(
                f"{self.label} has no signature {self._signature_name!r}."
                f"{did_you_mean(self._signature_name, known)} It has {', '.join(known)}. Name one under `signature`."
            )
        if found.composite:
            raise ModelError(
                f"{', '.join(found.composite)} of signature {self._signature_name} of {self.label} is a sparse or"
                " ragged tensor, which is several tensors. Compare another signature, of dense tensors."
            )
        return found

    @cached_property
    def bundle(self) -> Bundle | None:
        """The values of the variables; None where there are none. Raises ModelError, UnreadableFile."""
        prefix = self.folder / "variables" / "variables"
        if not prefix.with_name("variables.index").exists():
            return None
        return Bundle(prefix)

    @property
    def graph(self) -> Graph:
        """What the signature computes, functions written out. Raises ModelError, UnreadableFile."""
        return self.served.graph

    @property
    def imported_graph(self) -> Graph:
        """See :attr:`.model.HasGraph.imported_graph`."""
        return self.saved.meta.graph

    @cached_property
    def constant_graph(self) -> Graph:
        """See :attr:`.model.Repairable.constant_graph`: what the outputs need, restored variables as constants."""
        return frozen(executed(self.graph, self.served.outputs), self.restored)

    @cached_property
    def feeds(self) -> Mapping[TensorName, Array]:
        """The constant feeds, in the dtypes of the signature. Raises FeedError."""
        return MappingProxyType(constant_feeds(self.graph, self.label, self._stated_feeds))

    @cached_property
    def served(self) -> Served:
        """The signature as a plain graph. Raises ModelError, UnreadableFile."""
        found = served(self.saved, self.signature, self._own_names, self.folder)
        if found.live and self.bundle is None:
            raise ModelError(
                f"{self.label} has no variables/variables.index, and its signature {self._signature_name} needs"
                f" {len(found.live)} variables ({min(found.live)}, for one). Copy the whole folder."
            )
        known = self.bundle.tensors if self.bundle is not None else {}
        lost = [found.keys[name].key for name in sorted(found.live) if found.keys[name].key not in known]
        if lost:
            raise ModelError(
                f"{self.label} restores {enumerated(lost)}, which its"
                " variables folder does not hold: it is of another SavedModel. Copy the whole folder."
            )
        for name in sorted(found.live):
            self._require_shape(found.graph.nodes[name], found.keys[name], known)
        return found

    def _require_shape(self, variable: Node, key: RestoredKey, known: Mapping[str, Tensor]) -> None:
        """Raise ModelError unless the variables folder has a value of the shape that ``variable`` takes."""
        shape = variable.attrs.get("shape")
        wanted = shape.dims if isinstance(shape, Shape) else None
        if key.slice or wanted is None or -1 in wanted or wanted == known[key.key].shape:
            return
        raise ModelError(
            f"{self.label} restores {variable.name} with shape {list(wanted)}, and its variables folder holds it with"
            f" {list(known[key.key].shape)}: that is of another SavedModel. Copy the whole folder."
        )

    @cached_property
    def restored(self) -> Mapping[str, Tensor]:
        """Variable node name to the value that the restore function puts there."""
        bundle = self.bundle
        if bundle is None:
            return {}
        found = {name: key for name, key in self.served.keys.items() if key.key in bundle.tensors}
        return MappingProxyType({name: restored(key, bundle) for name, key in found.items()})

    @cached_property
    def unrestored(self) -> Collection[str]:
        """See :attr:`.model.HasGraph.unrestored`."""
        live = self.graph.live(self.served.outputs).values()
        known = {*self.served.keys, *self.served.initialised}
        return frozenset(node.name for node in live if node.op in ops.VARIABLES and node.name not in known)

    def other_signatures(self) -> Mapping[str, HasGraph]:
        """See :meth:`.model.HasSignatures.other_signatures`."""
        names = [name for name in self.saved.signatures if name != self._signature_name]
        return {name: SavedModel(self.path, signature=name, tags=self.tags) for name in names}

    def outputs(self) -> Sequence[str]:
        """The outputs of the signature."""
        return [f"{name}:0" for name in self.served.outputs]

    def has_tensor(self, name: str) -> bool:
        """Whether a server can be asked for this tensor, or fed with it."""
        tensor = tensor_name(name)
        return not tensor.port and (tensor.node in self.served.outputs or tensor.node in self.served.inputs)

    def nearest_tensors(self, name: str) -> str:
        """A sentence that suggests inputs and outputs of the signature by names like that of the tensor ``name``."""
        known = [*self.served.outputs, *self.served.inputs]
        return did_you_mean(tensor_name(name).node, known) or (
            f" Signature {self._signature_name} has the inputs {', '.join(self.served.inputs)} and the outputs"
            f" {', '.join(self.served.outputs)}."
        )

    def tensors(self) -> Mapping[str, Tensor]:
        """See :meth:`.model.HasWeights.tensors`: variables by the names that they were made with."""
        bundle = self.bundle
        known = bundle.tensors if bundle is not None else {}
        return {name: known[key] for key, name in self._shown.items() if key in known}

    def keys(self) -> Mapping[str, RestoredKey]:
        """See :meth:`.model.HasWeights.keys`."""
        return {
            name: replace(key, key=self._shown[key.key])
            for name, key in self.served.keys.items()
            if key.key in self._shown
        }

    def variable_names(self) -> Sequence[str]:
        """The variables that the signature needs."""
        return sorted(self.served.live)

    def variables(self) -> Mapping[str, Array]:
        """See :meth:`.model.HasWeights.variables`."""
        return {name: value.array for name, value in self.restored.items() if name in self.served.live}

    def siblings(self) -> Mapping[Path, Mapping[str, Tensor]]:
        """The other SavedModels of the folder that it lies in."""
        beside = sorted(path for path in self.path.parent.iterdir() if saved_model_file(path) is not None)
        found = {}
        for path in [path for path in beside if path != self.path][:MOST_NEARBY]:
            with suppress(ModelError):  # what is wrong with those is no concern of this check
                found[path] = SavedModel(path, tags=self.tags).tensors()
        return found

    def graph_def(self) -> Any:
        """See :meth:`.model.HasSession.graph_def`: the file's own graph."""
        return self._server.graph_def()

    def source(self) -> Source:
        """See :meth:`.model.GraphModel.source`: with constants, for runs that leave something out or add to it."""
        from ..runtime.session import Source

        inputs = {name: self.graph.nodes[name] for name in self.served.inputs}
        graph = replace(self.constant_graph, nodes={**inputs, **self.constant_graph.nodes})
        return Source(
            label=self.label,
            graph=graph,
            graph_def=lambda: self._server.plain_graph_def(graph),
            constants=self.feeds,
            check=lambda part: self.require_values(part, self.label),
            restore=self._restore,
        )

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`: as a server answers.

        Where the signature changes something beside answering, it is the part that answers that is run. Raises
        ModelError where what is changed is also read: the next answer would be another.
        """
        if self._server.only_answers(outputs):
            return self._server.run(inputs, outputs, session)
        return super().run(inputs, outputs, session=session)

    def run_as_read(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """See :meth:`.model.HasGraph.run_as_read`: loading the model takes longer than running it."""
        found = None
        if self._server.only_answers(outputs):
            with suppress(TfparityError):  # the server says what is wrong
                found = self._sessions.run_in_library(inputs, outputs, "graph")
        return found or self.run(inputs, outputs)

    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """See :meth:`.model.HasSession.session`: the loaded model."""
        return self._server.session()

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        if not (self.is_open or "_server" in self.__dict__):
            return 0
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def rest(self) -> None:
        """See :meth:`.model.Model.rest`."""
        super().rest()
        if "_server" in self.__dict__:
            self._server.rest()

    def close(self) -> None:
        """Close the sessions and forget TensorFlow's copy of the graph."""
        super().close()
        if "_server" in self.__dict__:
            self.__dict__.pop("_server").close()

    def require_values(self, part: Part, label: str) -> None:
        """See :meth:`.model.Repairable.require_values`: the restore function does."""
        from .restorable import require_restored

        require_restored(part, self.served.keys, self.restored, label)

    def rewritten(
        self, side: Side, donor: Model, names: Sequence[TensorName] | None = None
    ) -> RewrittenGraph:
        """See :meth:`.model.Repairable.rewritten`."""
        from .rewritten_graph import RewrittenGraph

        return RewrittenGraph(self, side, donor, names)

    @cached_property
    def _server(self) -> Server:
        from ..runtime.saved_model import Server

        return Server(self.folder, self.label, self.tags, self.served, self.feeds)

    @cached_property
    def _own_names(self) -> Mapping[str, str]:
        return variable_names(self.bundle.tensors, self.label) if self.bundle is not None else {}

    @cached_property
    def _shown(self) -> Mapping[str, str]:
        known = self.bundle.tensors if self.bundle is not None else {}
        live = [key.key for name, key in self.served.keys.items() if name in self.served.live]
        return shown_names(known, self._own_names, live)

    def _restore(self, session: Any, part: Part) -> None:
        from ..runtime.restoring import restore

        restore(session, part, self.served.keys, str(self.folder / "variables" / "variables"))
