"""What every format can do: hand over its graph and run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from ..graph.graph import Array, Graph, Tensor, TensorName

SessionKind: TypeAlias = Literal["graph", "default"]
"""``"graph"``: the graph as it is written, unoptimised; ``"default"``: TensorFlow's own options."""


class Model(Protocol):
    """One side of a check. Nothing is read or run before it is asked for."""

    @property
    def label(self) -> str:
        """The file as messages name it."""

    @property
    def graph(self) -> Graph:
        """The whole graph, read without TensorFlow. Raises UnreadableFile, ModelError."""

    @property
    def feeds(self) -> Mapping[TensorName, np.ndarray[Any, Any]]:
        """The constant feeds of this side, in the dtypes of their placeholders. Raises FeedError."""

    @property
    def restored(self) -> Mapping[str, Tensor]:
        """Variable node name to the value that the restore puts there; empty for a frozen graph."""

    @property
    def variables(self) -> Mapping[str, Array]:
        """Variable name to restored value; empty for a frozen graph."""

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """Run the part of the graph that ``outputs`` need, fed with ``inputs`` and the constant feeds.

        Names are tensor names (``"logits"`` is ``"logits:0"``); the result is keyed by the names as
        given. Raises TensorNotFound, FeedError, ModelError, TensorFlowMissing.
        """

    def graph_def(self) -> Any:
        """The whole graph as a ``tf.compat.v1.GraphDef``."""

    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """A ``tf.compat.v1.Session`` that holds the part that ``outputs`` need (None: all harmless)."""

    @property
    def open_bytes(self) -> int:
        """Size of the files of this model while TensorFlow holds it, else 0."""

    def close(self) -> None:
        """Close every TensorFlow session. The model can be used again afterwards."""
