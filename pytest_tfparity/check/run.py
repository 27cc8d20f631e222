"""One check on its way through the pipeline: both sides, what is known of them, the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import TfparityError
from ..graph.graph import Array
from ..graph.proof.proof import Proof
from .clock import Clock
from .pair import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Both sides of a check, opened, with the attempt to prove them equal. ``details`` asks for what pictures need."""

    pair: Pair
    proof: Proof
    clock: Clock
    details: bool = False

    def reference(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The reference's answer, by its own tensor names."""
        with self.clock("run"):
            return self.pair.run("reference", inputs)

    def export(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The export's answer, by its own tensor names."""
        with self.clock("run"):
            return self.pair.run("export", inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutputs:
    """What both sides answered to ``inputs``, these by the reference's names, answers by each side's own.

    ``reference`` is None where it could not be run, ``export`` likewise; ``error`` then says why not.
    """

    inputs: Mapping[str, Array]
    reference: Mapping[str, Array] | None = None
    export: Mapping[str, Array] | None = None
    error: TfparityError | None = None
