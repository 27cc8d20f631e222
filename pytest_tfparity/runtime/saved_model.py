"""A SavedModel in TensorFlow: loaded as a server loads it, and asked by the names of its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FeedError, ModelError, TensorNotFound
from ..graph import ops
from ..graph.edit.writer import node_bytes
from ..graph.effects import effect_of
from ..graph.graph import Array, Graph, TensorName, tensor_name
from ..graph.read.restore import run_by
from ..graph.read.served import Served
from ..graph.read.tensors import numpy_dtype
from ..graph.references import References
from ..graph.variables import storage_of
from .batches import cut_inputs, joined
from .c_library import CSession, Refused, c_library
from .feeds import NOT_NUMPY, checked, tensor_spec
from .importing import first_line
from .session_config import SessionKind, session_config
from .tensorflow import tensorflow


class Server:
    """One graph of the SavedModel in ``folder``, loaded with its variables, tables and assets when first asked.

    ``served`` is the signature that is asked, ``constants`` what is always fed, by its names.
    """

    def __init__(
        self,
        folder: Path,
        label: str,
        tags: Sequence[str],
        served: Served,
        constants: Mapping[TensorName, Array],
    ) -> None:
        self._folder = folder
        self._label = label
        self._tags = list(tags)
        self._served = served
        self._constants = constants
        self._sessions: dict[SessionKind, Any] = {}
        self._given_away = False
        self._in_c: dict[SessionKind, CSession] = {}

    def only_answers(self, outputs: Sequence[str]) -> bool:
        """Whether a run of ``outputs`` changes nothing, so that the next one answers the same.

        Raises ModelError where it changes a variable that the answer is made of, or what a load would run is more
        than filling tables and setting variables.
        """
        graph = self._served.graph
        self._refuse_effects_of_loading(graph)
        nodes = {tensor_name(name).node for name in outputs}
        ran = {node.name: node for name in nodes for node in run_by(graph, name)}
        references = References(graph.nodes.get, graph.functions)
        writers = [
            found
            for node in ran.values()
            if effect_of(graph, node) is not None and (found := references.writer(node))
        ]
        read = [
            node
            for node in graph.live(nodes).values()
            if node.op in ops.VARIABLES and any(found.changes(storage_of(node)) for found in writers)
        ]
        if read:
            writer = next(found for found in writers if found.changes(storage_of(read[0])))
            raise ModelError(
                f"Running {', '.join(outputs)} of {self._label} also runs {writer.node.op} ({writer.node.name}), which"
                f" changes {read[0].name}, and they are computed from it: what comes out is not a function of the"
                " inputs. Export a signature for inference."
            )
        return all(effect_of(graph, node) is None for node in ran.values())

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], kind: SessionKind) -> dict[str, Array]:
        """See :meth:`Model.run`."""
        graph, served = self._served.graph, self._served
        fetches = {name: self._tensor(name) for name in outputs}
        given = {**checked(graph, self._label, inputs), **self._constants}
        for tensor in given:
            if tensor.node not in served.inputs or tensor.port:
                known = ", ".join(served.inputs)
                raise FeedError(f"{tensor} of {self._label} is no input of its signature, which has {known}.")
        self._refuse_missing(graph, outputs, given)
        cut = cut_inputs(graph, self._label, given)
        feeds = [self._feed(piece) for piece in cut.pieces]
        results = self._in_library(fetches, feeds, kind)
        if results is None:
            results = [self._run(self._session(kind), fetches, feed) for feed in feeds]
        return joined(self._label, cut, results)

    def session(self) -> Any:
        """A session with the loaded model, for the user. Raises ModelError if TensorFlow does not load it."""
        self._given_away = True
        return self._session("graph")

    def rest(self) -> None:
        """Close the sessions, unless the user has one."""
        if not self._given_away:
            self.close()

    def _session(self, kind: SessionKind) -> Any:
        if kind not in self._sessions:
            tf = tensorflow()
            from tensorflow.python.saved_model.loader_impl import SavedModelLoader

            session = tf.compat.v1.Session(graph=tf.Graph(), config=session_config(kind))
            try:
                with session.graph.as_default():
                    SavedModelLoader(str(self._folder)).load(session, self._tags, clear_devices=True)
            except Exception as error:  # ValueError, TypeError, KeyError, OSError and every kind of OpError
                session.close()
                raise ModelError(
                    f"TensorFlow {tf.__version__} does not load {self._label}: {first_line(error)}."
                ) from None
            self._sessions[kind] = session
        return self._sessions[kind]

    def graph_def(self) -> Any:
        """The graph as the file has it, a ``GraphDef``."""
        return self._meta_graph_def.graph_def

    def plain_graph_def(self, graph: Graph) -> Any:
        """``graph``, made from the file's, as a ``GraphDef`` without what its large constants hold."""
        found = tensorflow().compat.v1.GraphDef()
        found.versions.CopyFrom(self.graph_def().versions)
        found.library.CopyFrom(self.graph_def().library)
        for node in graph.nodes.values():
            found.node.add().ParseFromString(node_bytes(node, bare=True))
        return found

    def close(self) -> None:
        """Close the sessions."""
        for session in self._sessions.values():
            session.close()
        for each in self._in_c.values():
            each.close()
        self._sessions.clear()
        self._given_away = False
        self._in_c.clear()
        self.__dict__.pop("_meta_graph_def", None)

    @cached_property
    def _meta_graph_def(self) -> Any:
        tensorflow()
        from tensorflow.python.saved_model.loader_impl import SavedModelLoader

        return SavedModelLoader(str(self._folder)).get_meta_graph_def_from_tags(self._tags)

    def _feed(self, piece: Mapping[TensorName, Array]) -> dict[str, Array]:
        """What is fed of a piece of the inputs, by the names of the loaded graph."""
        graph, inputs = self._served.graph, self._served.inputs
        feed = {str(inputs[tensor.node]): value for tensor, value in piece.items()}
        feed |= {
            str(tensor): _anything(graph, name) for name, tensor in inputs.items() if str(tensor) not in feed
        }
        return feed

    def _in_library(
        self, fetches: Mapping[str, str], feeds: Sequence[Mapping[str, Array]], kind: SessionKind
    ) -> list[dict[str, Array]] | None:
        """What TensorFlow's C library answers to each of ``feeds``; None where Python's package is to be asked."""
        library = c_library() if kind not in self._sessions else None
        if library is None:
            return None
        try:
            if kind not in self._in_c:
                self._in_c[kind] = CSession.of_saved_model(library, self._folder, self._tags, kind)
            session, tensors = self._in_c[kind], list(fetches.values())
            return [dict(zip(fetches, session.run(tensors, feed), strict=True)) for feed in feeds]
        except Refused:
            return None

    def _run(self, session: Any, fetches: Mapping[str, str], feed: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = session.run(fetches, feed)
        except tensorflow().errors.OpError as error:
            node = error.node_def
            place = f" at {node.name} ({node.op})" if node is not None else ""
            reason = first_line(error).partition(". This could mean")[0]
            raise ModelError(f"{self._label} cannot be run: TensorFlow stops{place}: {reason}.") from None
        except (ValueError, TypeError) as error:
            raise FeedError(f"{self._label} cannot be fed: {first_line(error)}.") from None
        return {
            name: np.asarray(value, dtype=object if isinstance(value, bytes) else None)
            for name, value in results.items()
        }

    def _tensor(self, name: str) -> str:
        tensor = tensor_name(name)
        found = self._served.outputs.get(tensor.node) or self._served.inputs.get(tensor.node)
        if found is None or tensor.port:
            known = ", ".join(self._served.outputs)
            raise TensorNotFound(f"{self._label} has no output {name!r}. Its signature has {known}.")
        return str(found)

    def _refuse_missing(
        self, graph: Graph, outputs: Sequence[str], given: Mapping[TensorName, Array]
    ) -> None:
        live = graph.live(outputs, map(str, given))
        for name, node in live.items():
            if node.op in ops.PLACEHOLDERS and TensorName(name, 0) not in given:
                spec = tensor_spec(graph, TensorName(name, 0))
                if name in self._served.inputs:
                    names = ", ".join(map(str, given)) or "nothing"
                    raise FeedError(
                        f"{self._label} needs a value for {name} ({spec}); given is {names}. Name it under `inputs`,"
                        " or under `feeds` of this side if it is a constant."
                    )
                raise FeedError(
                    f"{self._label} needs a value for placeholder {name} ({spec}), which is no input of its signature:"
                    " no server can answer. Export a signature that takes it, or a graph without it."
                )

    def _refuse_effects_of_loading(self, graph: Graph) -> None:
        for start in self._served.loading:
            for node in run_by(graph, start):
                effect = effect_of(graph, node)
                if effect is not None and (effect.function or not _initialises(effect.op)):
                    raise ModelError(
                        f"Loading {self._label} runs {effect.op} ({node.name}), which does more than compute and set"
                        " variables: it is not run here. Export the model without it."
                    )


def _initialises(op: str) -> bool:
    return ops.initialises_table(op) or op in ops.ASSIGNS


def _anything(graph: Graph, name: str) -> Array:
    """A value for an input that the outputs do not depend on, but that the function takes."""
    spec = tensor_spec(graph, TensorName(name, 0))
    shape = tuple(max(size, 1) for size in spec.dims or ())
    if spec.dtype is None or spec.dtype.number in NOT_NUMPY:
        dtype = tensorflow().as_dtype(spec.dtype.number if spec.dtype is not None else 1).as_numpy_dtype
    else:
        dtype = numpy_dtype(spec.dtype)
    return np.full(shape, b"", object) if dtype is object else np.zeros(shape, dtype)
