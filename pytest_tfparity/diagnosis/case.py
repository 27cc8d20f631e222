"""What a check is about, while it is diagnosed: both sides, the checkpoint, what was measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..graph.graph import Tensor
from ..graph.proof.fingerprint import Contents
from ..graph.proof.proof import NormalSide
from ..result import OutputComparison
from .runner import Runner

Tensors: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What stays the same while a check is diagnosed.

    ``checkpoint`` are all tensors of the checkpoint; ``keys`` says which of them each variable node of
    the reference is restored from, ``parts`` which part of it (as RestoreV2 spells it) where not the whole.
    ``others`` are the other checkpoints of its folder by name. ``outputs`` is what was measured, empty where
    nothing was. ``export_name`` and ``reference_name`` are the files as the user named them, ``reference_noun`` what
    the reference is ("checkpoint") and ``reference_graph`` what its graph is called, neither with an article.
    ``remake`` is how such an export is made again, an order. ``unrestored`` are variables that the export's own restore
    leaves out, ``signatures`` what the export computes for the same inputs and outputs under other names of its own.
    ``runner`` runs both sides; None where only the files are to be looked at.
    """

    reference: NormalSide
    export: NormalSide
    checkpoint: Tensors
    keys: Mapping[str, str]
    outputs: tuple[OutputComparison, ...]
    export_name: str
    reference_name: str
    reference_noun: str
    reference_graph: str
    others: Mapping[str, Tensors] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    remake: str = "export again"
    unrestored: Collection[str] = ()
    signatures: Mapping[str, NormalSide] = field(default_factory=dict)
    runner: Runner | None = None

    @property
    def restored(self) -> str:
        """What to do for the reference's weights, as an order: ``restore model.ckpt``."""
        return f"restore {self.reference_name}" if self.keys else f"take the weights of {self.reference_name}"

    @property
    def contents(self) -> Contents:
        """What was hashed of either side."""
        return self.reference.contents

    @property
    def comparable(self) -> bool:
        """Whether a changed export can be run and compared with the reference."""
        return self.runner is not None and self.runner.comparable
