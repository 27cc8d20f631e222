"""Batch norms of the export whose mode a feed decides: what is known of them where this run does not feed training."""

from __future__ import annotations

from dataclasses import dataclass

from ...graph.batch_norm.pairs import BatchNormPair
from ...wording import enumerated, verb
from ..evidence import Evidence
from ..query import query
from ..run_mode import mode_in_this_run
from .batch_norms import nodes_inside, norm_pairs
from .divergences import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """The batch norms that the reference always runs in inference mode and the export as a feed says.

    ``nodes`` are the nodes of the export that they are made of. ``message`` says which feed decides and what this run
    feeds, ``fix`` what to do about it.
    """

    nodes: frozenset[str]
    message: str
    fix: str


@query
def undecided(evidence: Evidence) -> Undecided | None:
    """All such batch norms; None if there is none."""
    pairs = [
        pair
        for pair in evidence[norm_pairs]
        if pair.reference.mode == "inference" and pair.export.mode == "unknown"
    ]
    if not pairs:
        return None
    runs = {run.decider: run for pair in pairs for run in [mode_in_this_run(evidence, pair.export)]}
    feeds = [
        f"{run.decider} (which this run {'does not feed' if run.value is None else f'feeds {run.value}'})"
        for run in runs.values()
    ]
    return Undecided(
        nodes=frozenset(name for pair in pairs for name in nodes_inside(evidence, pair.export)),
        message=_message(evidence, pairs, feeds),
        fix=f"Feed {enumerated(runs)} wherever the export runs, or export it with the value of inference as a"
        " constant.",
    )


def _message(evidence: Evidence, pairs: list[BatchNormPair], feeds: list[str]) -> str:
    scopes, case = list(dict.fromkeys(pair.scope for pair in pairs)), evidence.case
    return (
        f"Whether {enumerated(scopes)} of {case.export_name} {verb(scopes, 'normalises', 'normalise')} with the"
        f" current batch or with {verb(scopes, 'its', 'their')} moving"
        f" statistics is up to {enumerated(feeds)}; the {case.reference_graph} always uses the moving statistics."
    )


def undecided_norms(difference: Difference) -> Undecided | None:
    """The batch norms whose mode a feed decides, where a difference lies in one of them."""
    found = difference.evidence[undecided]
    export = {*difference.divergence.export, *difference.divergence.readers}
    return found if found is not None and found.nodes & export else None
