"""Runs the part of a graph that outputs need, in TensorFlow sessions that are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FeedError, ModelError, TensorNotFound, did_you_mean
from ..graph import ops
from ..graph.edit.pruning import Part, effects_of_part, endless_calls, prune
from ..graph.effects import Effect, does_more, harmless
from ..graph.graph import Array, Graph, Tensor, TensorName, tensor_name
from ..graph.read.tensors import STRING
from ..graph.variables import written_variable
from .batches import Cut, cut_inputs, joined
from .c_library import Refused, c_library
from .feeds import checked, tensor_spec
from .importing import Imported, first_line, import_part, registered_ops
from .plain_part import PlainPart, is_plain
from .session_config import SessionKind, session_config
from .tensorflow import tensorflow
from .weights import set_weights

Arrays = dict[TensorName, np.ndarray[Any, Any]]
_FEW_PIECES = 4
"""Feeding weights costs a copy of them at every run, holding them in the graph some five copies once: so many runs are
cheaper fed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model as sessions need it.

    ``graph`` was read from ``graph_def()``, which may lack what large constants hold; ``constants`` are always
    fed; ``producer_ops()`` are the op definitions that the graph was written with, if it says. ``check`` raises,
    before TensorFlow sees it, if a part cannot be run; ``restore`` gives the variables of a part in a session their
    values.
    """

    label: str
    graph: Graph
    graph_def: Callable[[], Any]
    constants: Mapping[TensorName, np.ndarray[Any, Any]]
    check: Callable[[Part], None]
    restore: Callable[[Any, Part], None]
    producer_ops: Callable[[], Any] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    session: Any
    imported: Imported


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be run: ``feeds`` are those of the first of ``pieces``.

    With ``feed_weights`` the C library is fed with large constants: a session of it that runs often, or that optimises,
    holds them itself.
    """

    part: Part
    wanted: Mapping[str, TensorName]
    feeds: Arrays
    cut: Cut
    pieces: Sequence[Arrays]
    kind: SessionKind
    feed_weights: bool

    @property
    def key(self) -> object:
        """What a session for it is kept by."""
        ranks = frozenset((tensor, value.ndim) for tensor, value in self.feeds.items())
        decided = frozenset((tensor, bool(value)) for tensor, value in _predicates(self.feeds).items())
        return frozenset(self.wanted.values()), ranks, decided, self.kind


@dataclass(frozen=True, slots=True)
class _UserKey:
    """The session that the user asked for, with these tensors."""

    tensors: tuple[TensorName, ...]


class Sessions:
    """The sessions of one model, one for each set of outputs and feeds that was asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._open: dict[object, _Open] = {}
        self._plain: dict[object, PlainPart | None] = {}

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], kind: SessionKind) -> dict[str, Array]:
        """Run as :meth:`Model.run` says."""
        asked = self._asked(inputs, outputs, kind)
        results = self._in_library(asked)
        if results is None:
            opened = self._opened(asked)
            results = [self._run(opened, asked.wanted, piece) for piece in asked.pieces]
        return joined(self.source.label, asked.cut, results)

    def run_in_library(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], kind: SessionKind
    ) -> dict[str, Array] | None:
        """The same by TensorFlow's C library; None where that is not there or refuses. Raises as ``run`` does."""
        if c_library() is None:
            return None
        asked = self._asked(inputs, outputs, kind)
        results = self._in_library(asked)
        return None if results is None else joined(self.source.label, asked.cut, results)

    def _asked(self, inputs: Mapping[str, Array], outputs: Sequence[str], kind: SessionKind) -> _Asked:
        source = self.source
        wanted = {name: self._existing(name) for name in outputs}
        given = checked(source.graph, source.label, inputs)
        inputs_only = {tensor: value for tensor, value in given.items() if tensor not in source.constants}
        feeds = {**inputs_only, **source.constants}
        part = self._part(tuple(wanted.values()), feeds)
        read = part.read() | set(wanted.values())
        cut = cut_inputs(
            source.graph,
            source.label,
            {tensor: value for tensor, value in inputs_only.items() if tensor in read},
        )
        return _Asked(
            part=part,
            wanted=wanted,
            feeds={**feeds, **cut.pieces[0]},
            cut=cut,
            pieces=[{**piece, **source.constants} for piece in cut.pieces],
            kind=kind,
            feed_weights=kind == "graph" and len(cut.pieces) <= _FEW_PIECES,
        )

    def session(self, outputs: Sequence[str] | None) -> Any:
        """A session for the user alone, with the part that ``outputs`` need (None: all but side effects)."""
        graph = self.source.graph
        if outputs is None:
            tensors = tuple(harmless(graph, registered_ops()))
        else:
            tensors = tuple(self._existing(name) for name in outputs)
        key = _UserKey(tensors)
        if key not in self._open:
            part = prune(graph, tensors)
            self._refuse_effects(part, tensors)
            self._refuse_more(part, tensors)
            if outputs is not None:
                self.source.check(part)
            self._open[key] = self._import(part, tensors, {}, "graph", hold_weights=False)
        return self._open[key].session

    def rest(self) -> None:
        """Close every session but those that the user has."""
        for key, opened in list(self._open.items()):
            if not isinstance(key, _UserKey):
                opened.session.close()
                del self._open[key]
        self._close_plain()

    def close(self) -> None:
        """Close every session."""
        for opened in self._open.values():
            opened.session.close()
        self._open.clear()
        self._close_plain()

    def _close_plain(self) -> None:
        for plain in self._plain.values():
            if plain is not None:
                plain.session.close()
        self._plain.clear()

    def _existing(self, name: str) -> TensorName:
        tensor = tensor_name(name)
        nodes = self.source.graph.nodes
        if tensor.node not in nodes:
            raise TensorNotFound(
                f"{self.source.label} has no tensor {name!r}.{did_you_mean(tensor.node, nodes)}"
            )
        return tensor

    def _part(self, wanted: tuple[TensorName, ...], feeds: Arrays) -> Part:
        known = {**_predicates(feeds), **self.source.constants}
        part = prune(self.source.graph, wanted, feeds.keys(), known)
        self._refuse_effects(part, wanted)
        self._refuse_missing(part, wanted, feeds)
        self._refuse_more(part, wanted)
        self.source.check(part)
        return part

    def _opened(self, asked: _Asked) -> _Open:
        """A session for what is asked."""
        if asked.key not in self._open:
            outputs = tuple(asked.wanted.values())
            self._open[asked.key] = self._import(
                asked.part, outputs, asked.feeds, asked.kind, hold_weights=asked.kind == "graph"
            )
        return self._open[asked.key]

    def _in_library(self, asked: _Asked) -> list[dict[str, Any]] | None:
        """What TensorFlow's C library answers to each piece; None where Python's package is to be asked."""
        if asked.key in self._open or not is_plain(asked.part) or self.source.producer_ops() is not None:
            return None
        key = asked.key, asked.feed_weights
        if key not in self._plain:
            self._plain[key] = PlainPart.opened(
                self.source.graph,
                asked.part,
                tuple(asked.wanted.values()),
                asked.feeds,
                asked.kind,
                feed_weights=asked.feed_weights,
            )
        opened = self._plain[key]
        if opened is None:
            return None
        try:
            return [opened.run(asked.wanted, piece) for piece in asked.pieces]
        except Refused:
            return None

    def _import(
        self,
        part: Part,
        wanted: tuple[TensorName, ...],
        feeds: Arrays,
        kind: SessionKind,
        *,
        hold_weights: bool,
    ) -> _Open:
        source = self.source
        imported = import_part(
            label=source.label,
            graph=source.graph,
            graph_def=source.graph_def(),
            part=part,
            outputs=wanted,
            ranks={tensor: value.ndim for tensor, value in feeds.items()},
            producer_ops=source.producer_ops(),
            hold_weights=hold_weights,
        )
        session = tensorflow().compat.v1.Session(graph=imported.graph, config=session_config(kind))
        try:
            source.restore(session, part)
            set_weights(session, imported.weights)
            if part.initialisers:
                session.run([imported.graph.get_operation_by_name(name) for name in part.initialisers])
        except tensorflow().errors.OpError as error:
            session.close()
            raise self._failed(error) from None
        except BaseException:
            session.close()
            raise
        return _Open(session=session, imported=imported)

    def _run(self, opened: _Open, wanted: Mapping[str, TensorName], feeds: Arrays) -> dict[str, Any]:
        imported = opened.imported
        fetches = {name: self._fetch(imported, name, tensor) for name, tensor in wanted.items()}
        feed = {
            f"{imported.fed[tensor]}:0": value for tensor, value in feeds.items() if tensor in imported.fed
        }
        try:
            results = opened.session.run(fetches, feed)
        except tensorflow().errors.OpError as error:
            raise self._failed(error) from None
        except (ValueError, TypeError) as error:
            raise FeedError(f"{self.source.label} cannot be fed: {first_line(error)}.") from None
        return {name: _array(value) for name, value in results.items()}

    def _fetch(self, imported: Imported, name: str, tensor: TensorName) -> Any:
        if tensor in imported.fed:
            return imported.graph.get_tensor_by_name(f"{imported.fed[tensor]}:0")
        outputs = imported.graph.get_operation_by_name(tensor.node).outputs
        label = self.source.label
        if not outputs:
            raise TensorNotFound(f"{name} of {label} is an operation without any output, not a tensor.")
        if tensor.port >= len(outputs):
            raise TensorNotFound(
                f"{label} has no tensor {name!r}: node {tensor.node} has"
                f" {f'outputs :0 to :{len(outputs) - 1}' if len(outputs) > 1 else 'one output, :0'}."
            )
        found = outputs[tensor.port]
        if found.dtype.base_dtype.name in ("resource", "variant"):
            raise TensorNotFound(
                f"{name} of {label} is a {found.dtype.base_dtype.name}, which has no value to compare."
            )
        return found

    def _failed(self, error: Any) -> ModelError:
        node = error.node_def
        place = f" at {node.name} ({node.op})" if node is not None else ""
        return ModelError(f"{self.source.label} cannot be run: TensorFlow stops{place}: {first_line(error)}.")

    def _refuse_effects(self, part: Part, wanted: Sequence[TensorName]) -> None:
        graph, label = self.source.graph, self.source.label
        effect = next(effects_of_part(graph, part), None)
        if effect is None:
            return
        output = _output_of(graph, effect.node, wanted)
        place = f"{effect.op} ({effect.node}{f', in function {effect.function}' if effect.function else ''})"
        if ops.calls_python(effect.op):
            raise ModelError(
                f"Running {output} of {label} also runs {place}: a Python function that is not in the file."
                " Compare outputs that do not need it, or feed the tensor that it makes."
            )
        variable = effect.variable or written_variable(graph, effect.node)
        raise ModelError(
            f"Running {output} of {label} also runs {place}, which changes {variable or 'its state'}: what it"
            " computes is not a function of its inputs. Use the inference graph, without update ops."
        )

    def _refuse_more(self, part: Part, wanted: Sequence[TensorName]) -> None:
        """Raise ModelError for what does more than compute, and for calls without an end."""
        graph, label = self.source.graph, self.source.label
        found = next(
            (each for each in does_more(graph, part.nodes.values()) if not self._fills(part, each)), None
        )
        if found is not None:
            place = f"{found.op} ({found.node}{f', in function {found.function}' if found.function else ''})"
            raise ModelError(
                f"Running {_output_of(graph, found.node, wanted)} of {label} also runs {place}, which does more than"
                " compute: what reads files, calls other programs or waits for them is never run. Compare outputs"
                " that do not need it, or feed the tensor that it makes."
            )
        endless = endless_calls(graph, part)
        if endless is not None:
            raise ModelError(f"{label} cannot be run: {endless}. Export the model without such functions.")

    def _fills(self, part: Part, found: Effect) -> bool:
        """Whether this fills a lookup table from a file of the folder that the tests run in, or below it."""
        inputs = part.nodes[found.node].inputs
        if found.node not in part.initialisers or found.function is not None or len(inputs) < 2:
            return False
        file = self.source.graph.nodes.get(inputs[1].node)
        value = file.attrs.get("value") if file is not None and file.op == "Const" else None
        if not isinstance(value, Tensor) or value.shape or value.dtype.number != STRING:
            return False
        try:
            return Path(os.fsdecode(value.array.item())).resolve().is_relative_to(Path.cwd().resolve())
        except (OSError, ValueError):  # a name that no file can have
            return False

    def _refuse_missing(self, part: Part, wanted: Sequence[TensorName], feeds: Arrays) -> None:
        graph, label = self.source.graph, self.source.label
        missing = [node.name for node in part.nodes.values() if node.op in ops.PLACEHOLDERS]
        if missing:
            names = ", ".join(f"{name}:0 ({tensor_spec(graph, TensorName(name, 0))})" for name in missing)
            given = ", ".join(map(str, feeds)) or "nothing"
            raise FeedError(
                f"{label} needs a value for {names} to compute {_output_of(graph, missing[0], wanted)}; given"
                f" is {given}. Name it under `inputs`, or under `feeds` of this side if it is a constant."
            )
        source = next((node for node in part.nodes.values() if ops.reads_data(node.op)), None)
        if source is not None:
            raise FeedError(
                f"{_output_of(graph, source.name, wanted)} of {label} takes its input from {source.name}"
                f" ({source.op}), a data pipeline that is not run. Name {source.name}:0 under `inputs`."
            )


def _predicates(feeds: Arrays) -> dict[TensorName, Array]:
    """The scalar booleans among the feeds: they decide branches before anything runs."""
    return {tensor: value for tensor, value in feeds.items() if value.dtype == np.bool_ and value.ndim == 0}


def _output_of(graph: Graph, node: str, wanted: Sequence[TensorName]) -> TensorName:
    """The first of the outputs that needs ``node``."""
    return next((output for output in wanted if node in graph.live([output.node])), wanted[0])


def _array(value: Any) -> np.ndarray[Any, Any]:
    """A fetched value as an array: numpy scalars get no dimension, a lone string stays ``bytes``."""
    return np.asarray(value, dtype=object if isinstance(value, bytes) else None)
