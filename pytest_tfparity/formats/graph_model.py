"""A model that is a graph of TensorFlow, run in sessions that stay open until it is closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..graph.graph import Array
from .model import HasGraph, HasSession

if TYPE_CHECKING:
    from ..runtime.session import SessionKind, Sessions, Source


class GraphModel(HasGraph, HasSession):
    """What every format that TensorFlow runs as a graph has in common; each says what its sessions run."""

    @abstractmethod
    def source(self) -> Source:
        """What is imported and how its variables get their values. Raises ModelError."""

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`; only the part of the graph that the outputs need is run."""
        return self._sessions.run(inputs, outputs, session)

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
    def _sessions(self) -> Sessions:
        from ..runtime.session import Sessions

        return Sessions(self.source())
