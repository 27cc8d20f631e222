"""Correct folds of a batch norm into the kernel before it: another graph, the same function."""

from __future__ import annotations

from collections.abc import Iterator

from ..graph.graft import Repair
from .evidence import Evidence


def neutral_folds(evidence: Evidence) -> Iterator[Repair]:
    """For each layer of the export that is a correct fold: put kernel and batch norm back as in the reference.

    This takes the fold out of the comparison, so that only what is wrong is left to explain.
    """
    return iter(())
