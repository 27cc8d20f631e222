"""One side of a check, opened: what every format can do, and what some can do beside.

A capability is a class to derive from. Whoever needs one asks ``isinstance(model, HasGraph)``, which reads no
file, and says which evidence is missing where the answer is no.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import FeedError, TensorNotFound, UnreadableFile, did_you_mean
from ..graph import ops
from ..graph.graph import Array, Graph, Node, Tensor, TensorName, tensor_name
from ..graph.proof.proof import Side
from ..graph.read.restore import Ema, RestoredKey
from ..runtime.feeds import TensorSpec, checked, tensor_spec

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..graph.lift.lifted import Lifted, Stored
    from ..runtime.exact import Exact
    from ..runtime.session import Sessions, Source
    from ..runtime.session_config import SessionKind


class Model(ABC):
    """One side of a check. Nothing is read or run before it is asked for.

    ``noun`` is how messages call the format ("frozen graph"), ``label`` how they call the file.
    """

    noun: ClassVar[str]
    label: str

    @property
    @abstractmethod
    def path(self) -> Path:
        """The file that is read; of a folder, the one in it that is meant. Raises ModelError."""

    @abstractmethod
    def outputs(self) -> Sequence[str]:
        """The names of the tensors that the model answers with. Raises ModelError, UnreadableFile."""

    @abstractmethod
    def inputs(self, outputs: Iterable[str]) -> Mapping[str, TensorSpec]:
        """What must be fed for ``outputs``, by tensor name, without what is always fed.

        Raises ModelError, UnreadableFile.
        """

    @abstractmethod
    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """The values of ``outputs``, by the names as given, for ``inputs`` by tensor name.

        ``session`` is for what TensorFlow runs. Raises TensorNotFound, FeedError, ModelError, TensorFlowMissing.
        """

    def has_tensor(self, name: str) -> bool:
        """Whether the model has a tensor of this name."""
        return name in self._known_tensors()

    def require(self, names: Iterable[str]) -> None:
        """Raise TensorNotFound, with the nearest names, for the first name that the model does not have.

        Says nothing of a file that only a runtime may know: running it will tell.
        """
        for name in names:
            try:
                known = self.has_tensor(name)
            except UnreadableFile:
                return
            if not known:
                raise TensorNotFound(f"{self._place} has no tensor {name!r}.{self.nearest_tensors(name)}")

    @property
    def _place(self) -> str:
        """The file that has, or lacks, tensors."""
        return self.label

    def nearest_tensors(self, name: str) -> str:
        """A sentence that suggests tensors of the model by names like ``name``; empty if none is near."""
        return did_you_mean(name, self._known_tensors())

    @property
    def taken(self) -> str:
        """What of the file was taken, where that says more than its name; else empty. Raises ModelError."""
        return ""

    @property
    def graph_noun(self) -> str:
        """How messages call what has this side's tensors: the "checkpoint's graph", the "frozen graph"."""
        return self.noun

    def check_inputs(self, inputs: Mapping[str, Array]) -> None:
        """Raise FeedError if the model cannot be fed with ``inputs``, without running it."""
        known = self.inputs(self.outputs())
        for name in inputs:
            if name not in known:
                raise FeedError(f"{self.label} has no input {name!r}.{did_you_mean(name, known)}")

    def output_step(self, output: str) -> float | None:
        """The distance of two neighbouring values of an output that the file quantises; None where it does not.

        Raises ModelError, UnreadableFile.
        """
        return None

    @property
    def open_bytes(self) -> int:
        """Size of the files of this model while a runtime holds it, else 0."""
        return 0

    def rest(self) -> None:  # noqa: B027 - most formats hold nothing open
        """Let go of what runs have left open, and not of sessions that the user has."""

    def close(self) -> None:  # noqa: B027 - most formats hold nothing open
        """Let go of what a runtime holds. The model can be used again afterwards."""

    def _known_tensors(self) -> list[str]:
        outputs = self.outputs()
        return [*outputs, *self.inputs(outputs)]


class HasGraph(Model):
    """A model whose computation is known as a plain graph: it can be proven equal, aligned and diagnosed."""

    @property
    @abstractmethod
    def graph(self) -> Graph:
        """The whole graph, read without TensorFlow. Raises UnreadableFile, ModelError."""

    @property
    def imported_graph(self) -> Graph:
        """The graph that TensorFlow imports as a whole: the file's own, where ``graph`` is made of it."""
        return self.graph

    @property
    def graph_file(self) -> Path | None:
        """The file that the graph is read from; None where a function built it."""
        return self.path

    @property
    def _place(self) -> str:
        file = self.graph_file
        return self.label if file is None or file.name in self.label else f"{self.label} ({file.name})"

    @property
    @abstractmethod
    def feeds(self) -> Mapping[TensorName, Array]:
        """The constant feeds of this side, in the dtypes of their placeholders. Raises FeedError."""

    @property
    def restored(self) -> Mapping[str, Tensor]:
        """Variable node name to the value that the restore puts there; empty where weights are constants."""
        return {}

    @property
    def unrestored(self) -> Collection[str]:
        """The variable nodes that the outputs need and that the model's own restore leaves out."""
        return ()

    def outputs(self) -> Sequence[str]:
        """The tensors that the graph ends in: read by no other node, and the answer of a computing op.

        The pivots of a conditional or a loop, which only say when others run, are no answers.
        """
        nodes = self.graph.nodes
        read = {source.node for node in nodes.values() for source in node.inputs}
        awaited = {name for node in nodes.values() for name in node.controls}
        ends = [node for node in nodes.values() if node.name not in read and node.op not in ops.NO_ANSWER]
        return [
            f"{node.name}:0"
            for node in ends
            if ops.gives_tensors(node.op) and not (node.op in ops.CARRIERS and node.name in awaited)
        ]

    def inputs(self, outputs: Iterable[str]) -> Mapping[str, TensorSpec]:
        """The placeholders that ``outputs`` need and that no constant feed fills."""
        graph, fed = self.graph, self.feeds
        filled = {name.node for name in fed}
        return {
            f"{node.name}:0": tensor_spec(graph, TensorName(node.name, 0))
            for node in graph.leaves(list(outputs), [str(name) for name in fed])
            if node.op in ops.PLACEHOLDERS and node.name not in filled
        }

    def live(self, outputs: Iterable[str]) -> Mapping[str, Node]:
        """The nodes that ``outputs`` need where the constant feeds are given."""
        return self.graph.live(list(outputs), [str(name) for name in self.feeds])

    def has_tensor(self, name: str) -> bool:
        """Whether the graph has a node of this tensor's name."""
        return tensor_name(name).node in self.graph.nodes

    def nearest_tensors(self, name: str) -> str:
        """A sentence that suggests nodes of the graph by names like that of the tensor ``name``."""
        return did_you_mean(tensor_name(name).node, self.graph.nodes)

    def check_inputs(self, inputs: Mapping[str, Array]) -> None:
        """Raise FeedError if ``inputs`` do not fit the placeholders."""
        checked(self.graph, self.label, inputs)

    def run_as_read(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """The same as ``run``, where that costs less of the plain graph as it was read.

        For who compares it with another runtime's answers: an error of reading would not change those alike.
        """
        return self.run(inputs, outputs)


class HasOwnRuntime(HasGraph):
    """A model that another runtime than TensorFlow runs, with kernels of its own: never proven, its weights certified.

    ``graph`` is a translation, which serves to compare and to repair; answers come from ``runtime`` alone.
    """

    runtime: ClassVar[str]

    @property
    @abstractmethod
    def lifted(self) -> Lifted:
        """The file as a graph of TensorFlow ops, and how the file holds what stands in it. Raises ModelError."""

    @abstractmethod
    def translated(
        self,
        inputs: Mapping[str, Array],
        tensors: Sequence[TensorName],
        *,
        graph: Graph | None = None,
        activations: Mapping[TensorName, Stored] | None = None,
    ) -> dict[TensorName, Array]:
        """What TensorFlow computes for ``tensors`` of the translation, or of ``graph``, which was made of it.

        ``activations`` are the grids that it rounds to: those of the file unless others are given. Raises as ``run``.
        """

    @abstractmethod
    def values(
        self, inputs: Mapping[str, Array], tensors: Collection[TensorName]
    ) -> Mapping[TensorName, Array]:
        """What the runtime computes for ``tensors`` of the graph, as real numbers; without those it does not keep.

        Raises as ``run``.
        """


class HasWeights(Model):
    """A model whose file holds weights by name: their provenance and health can be told."""

    ema: Ema = None
    """Which variables take their moving average, as the user stated it."""

    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """Everything that the file holds, by name. Raises UnreadableFile, ModelError."""

    @abstractmethod
    def keys(self) -> Mapping[str, RestoredKey]:
        """Variable node name to the tensor that it is restored from. Raises UnreadableFile, ModelError."""

    @abstractmethod
    def variable_names(self) -> Sequence[str]:
        """The variables that the model declares, whether the file holds them or not."""

    @abstractmethod
    def variables(self) -> Mapping[str, Array]:
        """Variable name to restored value, read when asked for."""

    @abstractmethod
    def siblings(self) -> Mapping[Path, Mapping[str, Tensor]]:
        """What the other files of this format nearby hold: other steps, other runs."""


class HasSession(Model):
    """A model that TensorFlow runs: what the fixtures' ``.session`` and ``.graph_def`` give."""

    @abstractmethod
    def graph_def(self) -> Any:
        """The whole graph as a ``tf.compat.v1.GraphDef``; do not change it. Raises ModelError."""

    def outline(self) -> Any:
        """The same, which may lack what large constants hold: for who has the plain graph as well."""
        return self.graph_def()

    @abstractmethod
    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """A ``tf.compat.v1.Session`` with the part that ``outputs`` need (None: all that is harmless)."""


class HasSignatures(Model):
    """A model that answers under several signatures."""

    @abstractmethod
    def other_signatures(self) -> Mapping[str, HasGraph]:
        """The same file under each of its other signatures. Raises ModelError."""


class GraphModel(HasGraph, HasSession):
    """A model that TensorFlow runs as a graph, in sessions that stay open until ``close``; each says what they run."""

    @abstractmethod
    def source(self) -> Source:
        """What is imported and how its variables get their values. Raises ModelError."""

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`; only the part of the graph that the outputs need is run."""
        return self._sessions.run(inputs, outputs, session)

    def run_exactly(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Exact:
        """The exact values of those ``outputs`` that are floats, of the graph as it is written.

        Raises as :meth:`.model.Model.run` does.
        """
        from ..runtime.exact import run_exactly

        return run_exactly(self.source(), inputs, outputs)

    def inner_values(
        self,
        inputs: Mapping[str, Array],
        tensors: Sequence[TensorName],
        given: Mapping[TensorName, Array] = MappingProxyType({}),
    ) -> dict[TensorName, Array]:
        """What is computed for ``tensors`` of the graph where all that reads one of ``given`` reads that value.

        Raises as :meth:`.model.Model.run` does.
        """
        from ..runtime.inner_values import inner_values

        return inner_values(self.source(), inputs, tensors, given)

    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """See :meth:`.model.HasSession.session`."""
        return self._sessions.session(outputs)

    def rest(self) -> None:
        """See :meth:`.model.Model.rest`."""
        if "_sessions" in self.__dict__:
            self._sessions.rest()

    def close(self) -> None:
        """Close the sessions."""
        if "_sessions" in self.__dict__:
            self.__dict__.pop("_sessions").close()

    @property
    def is_open(self) -> bool:
        """Whether TensorFlow may hold the model."""
        return "_sessions" in self.__dict__

    @cached_property
    def _sessions(self) -> Sessions:
        from ..runtime.session import Sessions

        return Sessions(self.source())


class Rewritten(HasGraph, HasSession):
    """A changed model, in memory alone."""

    @abstractmethod
    def library(self) -> Any:
        """The functions of its graph as a ``FunctionDefLibrary``."""

    @abstractmethod
    def write(self, path: Path) -> None:
        """Write it as a file of the format that it was made from."""


class Repairable(HasGraph, HasSession):
    """A model that can be run and written with a changed graph, so that a repair can be tried."""

    @property
    def constant_graph(self) -> Graph:
        """The graph with its weights as constants, which a repair exchanges."""
        return self.graph

    remake: ClassVar[str]
    """How such a file is made again, after the model was built and its weights were read."""

    @abstractmethod
    def require_values(self, part: Part, label: str) -> None:
        """Raise ModelError unless the variables of ``part`` get values; ``label`` is what is to be run."""

    @abstractmethod
    def rewritten(self, side: Side, donor: Model, names: Sequence[TensorName] | None = None) -> Rewritten:
        """The model with the graph of ``side``, whose outputs are called ``names`` (default: as they are there).

        ``donor`` is the model that functions were taken from that this one lacks.
        """
