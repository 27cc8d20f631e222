"""Faults that a wide tolerance hides: the check passes, with a warning of what differs, or in silence for a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from faults.cases.averages import EMA
from faults.cases.batch_norm import BATCH_NORM
from faults.cases.graph import GRAPH
from faults.cases.input import PREPROCESSING
from faults.cases.relations import RELATIONS
from faults.cases.weights import WEIGHTS
from faults.corpus import Case

_WARNED = (
    "bn-epsilon-mismatch",
    "bn-training-mode",
    "bn-stats-initial-values",
    "bn-folded-wrong-epsilon",
    "bn-folded-wrong-formula",
    "bn-stats-transformed",
    "ema-not-applied",
    "ema-partially-applied",
    "ema-applied-unexpectedly",
    "stale-export",
    "partial-restore",
    "weights-altered",
    "weights-permuted",
    "weights-differ",
    "graph-const-differs",
    "resize-attr",
    "graph-op-differs",
)
"""Causes of which the files alone leave no doubt: one fault of each."""
_SILENT = (
    "weights-fp16",
    "weights-quantised-8bit",
    "graph-op-missing",
    "padding",
)
"""What a tolerance is stated for, and what a right rewrite may leave: a step less, another padding."""


def _first(causes: tuple[str, ...]) -> Iterator[tuple[str, Case]]:
    """The first fault of each cause that is all that is wrong."""
    cases = (*BATCH_NORM, *EMA, *WEIGHTS, *RELATIONS, *GRAPH, *PREPROCESSING)
    for cause in causes:
        alone = (
            each
            for each in cases
            if [finding.cause for finding in each.findings] == [cause]
            and each.verdict == ("fail",)
            and not each.health
        )
        yield cause, next(alone)


def _hidden(case: Case, cause: str | None) -> Case:
    scopes = case.findings[0].scopes if cause is not None else ()
    return replace(
        case,
        name=f"hidden by the tolerance: {case.name}",
        findings=(),
        verdict=("pass",),
        health={} if cause is None else {cause: scopes},
        atol=1e30,
    )


HIDDEN = (
    *(_hidden(case, cause) for cause, case in _first(_WARNED)),
    *(_hidden(case, None) for _, case in _first(_SILENT)),
)
