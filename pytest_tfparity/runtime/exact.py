"""What a model would answer if its arithmetic did not round: its graph run with one in float64 beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ..errors import ModelError
from ..graph.edit.writer import function_bytes, node_bytes
from ..graph.exact.decisions import Decision, decision_behind
from ..graph.exact.emit import PREFIX
from ..graph.exact.scope import Island, Unwidened
from ..graph.exact.widen import Widened, widened
from ..graph.graph import Array, TensorName, tensor_name
from ..graph.read import messages
from .c_library import Refused, c_library, registered_kernels
from .session import Sessions, Source
from .session_config import SessionKind
from .tensorflow import tensorflow

_MOST_REFUSED = 8
"""Nodes that may have no kernel in float64 after all, though one is registered: each costs one more run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedOn:
    """What an output of integers is decided by: its operands in the model's own arithmetic, and in float64."""

    decision: Decision
    plain: tuple[Array, ...]
    exact: tuple[Array, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """The exact answers by the outputs' names, float64 or complex128, of those that are floats.

    ``plain`` are the model's own answers of the same run, of all outputs; ``decided`` says of integers what decides
    them, where that is known. ``islands`` are the nodes that could be run in float32 alone: behind one the answers are
    approximations.
    """

    outputs: Mapping[str, Array]
    plain: Mapping[str, Array]
    decided: Mapping[str, DecidedOn]
    islands: tuple[Island, ...]


def run_exactly(
    source: Source, inputs: Mapping[str, Array], outputs: Sequence[str], kind: SessionKind = "graph"
) -> Exact:
    """The exact answers of ``source`` to ``inputs``. Raises ModelError, FeedError, TensorNotFound."""
    wanted = {name: tensor_name(name) for name in outputs}
    decisions = _decisions(source, wanted)
    operands = tuple(each for decision in decisions.values() for each in decision.operands)
    feeds = {*map(tensor_name, inputs), *source.constants}
    refused: set[str] = set()
    while True:
        try:
            wide = widened(source.graph, (*wanted.values(), *operands), feeds, has_kernel, refused)
        except Unwidened as why:
            raise ModelError(f"{source.label} cannot be computed in float64: {why}.") from None
        asked = _Asked.of(wide, wanted, decisions)
        sessions = Sessions(_source(source, wide))
        try:
            return asked.answer(sessions.run(inputs, asked.names, kind) if asked.names else {})
        except ModelError as error:
            failed = _failed(error, refused)
            if failed is None or len(refused) >= _MOST_REFUSED:
                raise
            refused.add(failed)
        finally:
            sessions.close()


def _decisions(source: Source, wanted: Mapping[str, TensorName]) -> dict[str, Decision]:
    """What decides the outputs that are integers, where that is known."""
    found = ((name, decision_behind(source.graph, tensor)) for name, tensor in wanted.items())
    return {name: decision for name, decision in found if decision is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a widened graph is run for: the exact tensors of ``floats``, and those that ``decisions`` are made on."""

    wide: Widened
    floats: Mapping[str, TensorName]
    decisions: Mapping[str, Decision]

    @classmethod
    def of(cls, wide: Widened, wanted: Mapping[str, TensorName], decisions: Mapping[str, Decision]) -> _Asked:
        """All that the widened graph has in float64 of what is wanted."""
        return cls(
            wide=wide,
            floats={name: wide.exact[tensor] for name, tensor in wanted.items() if tensor in wide.exact},
            decisions={
                name: decision
                for name, decision in decisions.items()
                if all(each in wide.exact for each in decision.operands)
            },
        )

    @property
    def names(self) -> list[str]:
        """The tensors to fetch, each once."""
        operands = [each for decision in self.decisions.values() for each in decision.operands]
        tensors = [*self.floats.values(), *operands, *(self.wide.exact[each] for each in operands)]
        return list(dict.fromkeys([*self.floats, *self.decisions, *map(str, tensors)]))

    def answer(self, found: Mapping[str, Array]) -> Exact:
        """The exact answers among what was fetched."""
        return Exact(
            outputs={name: np.asarray(found[str(tensor)]) for name, tensor in self.floats.items()},
            plain={name: np.asarray(found[name]) for name in (*self.floats, *self.decisions)},
            decided={
                name: _decided_on(decision, self.wide, found) for name, decision in self.decisions.items()
            },
            islands=self.wide.islands,
        )


def _decided_on(decision: Decision, wide: Widened, found: Mapping[str, Array]) -> DecidedOn:
    def fetched(tensors: Iterable[TensorName]) -> tuple[Array, ...]:
        return tuple(np.asarray(found[str(tensor)]) for tensor in tensors)

    return DecidedOn(
        decision=decision,
        plain=fetched(decision.operands),
        exact=fetched(wide.exact[each] for each in decision.operands),
    )


def _failed(error: ModelError, refused: set[str]) -> str | None:
    """The node whose float64 kernel refused, so that it can be run in float32."""
    _, _, rest = str(error).partition(f"TensorFlow stops at {PREFIX}")
    name, _, _ = rest.partition(" (")
    return name if name and name not in refused else None


def _source(source: Source, wide: Widened) -> Source:
    """The model with the float64 graph in it."""

    def graph_def() -> Any:
        found = tensorflow().compat.v1.GraphDef()
        found.CopyFrom(source.graph_def())
        for node in wide.added.values():
            found.node.add().ParseFromString(node_bytes(node))
        for function in wide.functions:
            found.library.function.add().ParseFromString(function_bytes(function.body, function.results))
        return found

    return replace(source, graph=wide.graph, graph_def=graph_def)


@cache
def _kernels(op: str) -> tuple[Mapping[str, frozenset[int]], ...]:
    """The types that each CPU kernel of ``op`` (one for any device among them) is registered for, by attribute."""
    return tuple(
        {each.name: frozenset(each.allowed_values.list.type) for each in kernel.constraint}
        for kernel in _registered(op).kernel
        if kernel.device_type in ("CPU", "DEFAULT")
    )


def _registered(op: str) -> Any:
    """The ``KernelList`` of ``op``."""
    library = c_library()
    if library is not None:
        with suppress(Refused):
            return messages.KernelList.FromString(registered_kernels(library, op))
    tensorflow()
    from tensorflow.python.framework import kernels

    return kernels.get_registered_kernels_for_op(op)


def has_kernel(op: str, types: Mapping[str, int]) -> bool:
    """Whether TensorFlow has a CPU kernel for ``op`` with these types of its attributes."""
    return any(
        all(types.get(name) in allowed for name, allowed in kernel.items() if name in types)
        for kernel in _kernels(op)
    )
