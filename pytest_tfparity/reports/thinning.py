"""Reports that can be mailed and opened: what pictures show is thinned out where there is too much of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from ..result import ParityResult
from ..result_details import Details

LIMIT = 1_500_000
"""Bytes of details that all checks may have together; the page takes up to three times as many."""


def fitted(results: Sequence[ParityResult], limit: int = LIMIT) -> list[ParityResult]:
    """The results with less details where they have too many: passing checks give first, then the largest."""
    kept = list(results)
    sizes = [_size(result) for result in kept]
    for smaller in (thinned, _without):
        order = sorted(range(len(kept)), key=lambda index: (not kept[index].passed, -sizes[index]))
        for index in order:
            if sum(sizes) <= limit:
                return kept
            details = kept[index].details
            if details is not None:
                kept[index] = replace(kept[index], details=smaller(details))
                sizes[index] = _size(kept[index])
    return kept


def thinned(details: Details) -> Details:
    """The part of the details that tells most: what is wrong, and a sample of the rest.

    Measured: 28 kB at most, of 134 kB for 500 nodes. Some fifty failing checks stay below the limit with it.
    """
    ranked = sorted(details.nodes, key=lambda node: (not node.culprit, -(node.own or 0.0)))[:40]
    shown = {node.index for node in [*ranked, *details.nodes[:: max(1, len(details.nodes) // 60)]]}
    return replace(
        details,
        nodes=tuple(node for node in details.nodes if node.index in shown),
        outputs=tuple(replace(output, points=output.points[:80]) for output in details.outputs[:4]),
        batch_norms=details.batch_norms[:20],
        weights=details.weights[:20],
        neighbourhoods=details.neighbourhoods[:2],
        grad_cam=details.grad_cam[:1],
    )


def _without(details: Details) -> None:
    return None


def _size(result: ParityResult) -> int:
    if result.details is None:
        return 0
    return len(json.dumps(replace(result).to_json()["details"], separators=(",", ":")))
