"""A model that is a graph of TensorFlow, run in sessions that stay open until it is closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph.graph import Array
from .model import HasExactAnswer, HasGraph, HasSession

if TYPE_CHECKING:
    from ..runtime.exact import Exact
    from ..runtime.session import SessionKind, Sessions, Source


def _digest(inputs: Mapping[str, Array]) -> str:
    """The values of all inputs, by their names, as a hash."""
    hashed = sha256()
    for name, value in sorted(inputs.items()):
        given = np.asarray(value)
        content = repr(given.tolist()).encode() if given.dtype == object else np.ascontiguousarray(given).data
        hashed.update(f"{name} {given.dtype} {given.shape} ".encode())
        hashed.update(content)
    return hashed.hexdigest()


class GraphModel(HasGraph, HasSession, HasExactAnswer):
    """What every format that TensorFlow runs as a graph has in common; each says what its sessions run."""

    @abstractmethod
    def source(self) -> Source:
        """What is imported and how its variables get their values. Raises ModelError."""

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`; only the part of the graph that the outputs need is run."""
        return self._sessions.run(inputs, outputs, session)

    def run_exactly(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Exact:
        """See :meth:`.model.HasExactAnswer.run_exactly`; the graph as it is written, answered once for the same."""
        from ..runtime.exact import run_exactly

        asked = tuple(outputs), _digest(inputs)
        if asked not in self._exact:
            self._exact[asked] = run_exactly(self.source(), inputs, outputs)
        return self._exact[asked]

    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """See :meth:`.model.HasSession.session`."""
        return self._sessions.session(outputs)

    def close(self) -> None:
        """Close the sessions."""
        if self.is_open:
            self.__dict__.pop("_sessions").close()

    @property
    def is_open(self) -> bool:
        """Whether TensorFlow may hold the model."""
        return "_sessions" in self.__dict__

    @cached_property
    def _exact(self) -> dict[object, Exact]:
        return {}

    @cached_property
    def _sessions(self) -> Sessions:
        from ..runtime.session import Sessions

        return Sessions(self.source())
