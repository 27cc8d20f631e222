"""Batch norms of the export whose mode a feed decides: what is known of them, where no cause can be."""

from __future__ import annotations

from ..evidence import Evidence
from ..places.batch_norms import Pair, pairs_of
from ..places.divergences import Difference
from ..query import query
from ..run_mode import mode_in_this_run
from ..wording import listed


@query
def undecided(evidence: Evidence) -> tuple[Pair, ...]:
    """The batch norms that the reference runs in inference mode and the export as a feed says."""
    return tuple(
        pair
        for pair in pairs_of(evidence)
        if pair.reference.mode == "inference" and pair.export.mode == "unknown"
    )


def undecided_said(difference: Difference) -> str:
    """What decides the mode of the batch norms in a difference, and what this run feeds; empty where there are none."""
    evidence = difference.evidence
    names = {*difference.divergence.reference, *difference.divergence.export}
    pairs = [
        pair
        for pair in evidence[undecided]
        if names & {pair.reference.node, pair.export.node, pair.export.output.node}
    ]
    if not pairs:
        return ""
    runs = {run.decider: run for pair in pairs for run in [mode_in_this_run(evidence, pair.export)]}
    said = [
        f"{run.decider} (which this run {'does not feed' if run.value is None else f'feeds {run.value}'})"
        for run in runs.values()
    ]
    return (
        f" Whether {listed([pair.scope for pair in pairs])} normalises with the current batch or with its moving"
        f" statistics is up to {listed(said)}."
    )
