"""What a check is about, while it is diagnosed: both sides, the checkpoint, and how to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from ..graph.graph import Tensor
from ..graph.ops import op
from ..graph.proof.fingerprint import Contents
from ..graph.proof.proof import Side
from ..result import OutputComparison
from ..runtime.activations import Activation
from .behaviour import Behaviour, Trials

Tensors: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What stays the same while a check is diagnosed.

    ``checkpoint`` are all tensors of the checkpoint; ``keys`` says which of them each variable node of
    the reference is restored from, ``parts`` which part of it (as RestoreV2 spells it) where not the whole.
    ``others`` are the other checkpoints of its folder by name, read when
    asked for. ``outputs`` is what was measured. ``run`` measures a changed export against
    the reference, with other values for some inputs if they are given (by the reference's names);
    None where nothing can be run. ``export_name`` and ``reference_name`` are the files as the user named them,
    ``reference_graph`` what the graph of the reference is called (``the checkpoint's graph``).
    ``trials`` runs both sides in other ways than the comparison did; ``measure`` measures a changed export node by
    node (the nodes that correspond, reference to export, are given). ``known_op`` says whether an op can be run.
    """

    reference: Side
    export: Side
    checkpoint: Tensors
    keys: Mapping[str, str]
    others: Callable[[], Mapping[str, Tensors]]
    outputs: tuple[OutputComparison, ...]
    export_name: str
    reference_name: str
    run: Callable[[Side], tuple[OutputComparison, ...]] | None = None
    trials: Trials | None = None
    measure: Callable[[Side, Mapping[str, str]], tuple[Activation, ...]] | None = None
    known_op: Callable[[str], bool] = lambda name: op(name) is not None
    contents: Contents = field(default_factory=Contents)
    parts: Mapping[str, str] = field(default_factory=dict)
    reference_graph: str = "checkpoint's graph"

    @cached_property
    def behaviour(self) -> Behaviour | None:
        """How both sides behave when run again or on one row; None where nothing can be run."""
        return None if self.trials is None else Behaviour(trials=self.trials)
