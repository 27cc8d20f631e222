"""The batch norms of both sides, side by side."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from .find import BatchNorm

By: TypeAlias = Literal["node", "weights", "scope"]
_Key: TypeAlias = Callable[[BatchNorm], object]
Content: TypeAlias = Callable[[str], "bytes | None"]
"""The digest of the weight of that name, or None where the weight says nothing about which it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormPair:
    """A batch norm of the reference and the one in its place in the export.

    ``by`` says what brought them together: aligned nodes, equal weights, or the same scope.
    """

    reference: BatchNorm
    export: BatchNorm
    by: By

    @property
    def scope(self) -> str:
        """The layer's name scope, as in the export."""
        return self.export.scope or self.reference.scope


def pair_batch_norms(
    reference: Sequence[BatchNorm],
    export: Sequence[BatchNorm],
    alignment: Mapping[str, str] | None = None,
    *,
    reference_content: Content | None = None,
    export_content: Content | None = None,
) -> tuple[BatchNormPair, ...]:
    """Pair by aligned node, else by equal weights, else by scope; in the reference's order.

    ``alignment`` maps nodes of the export to nodes of the reference. Of several layers with the same
    weights or scope (towers) the first goes with the first, but only if there are as many on both sides.
    """
    pairs: dict[int, tuple[int, By]] = {}
    taken: set[int] = set()

    def join(of_reference: _Key, of_export: _Key, by: By) -> None:
        waiting = _grouped(export, of_export, taken)
        for key, group in _grouped(reference, of_reference, pairs).items():
            if len(waiting.get(key, ())) == len(group):
                for one, other in zip(group, waiting[key], strict=True):
                    pairs[one] = (other, by)
                    taken.add(other)

    nodes = alignment or {}
    join(lambda each: each.node, lambda each: nodes.get(each.node), "node")
    if nodes:
        join(lambda each: each.output.node, lambda each: nodes.get(each.output.node), "node")
    if reference_content is not None and export_content is not None:
        join(partial(_signature, reference_content), partial(_signature, export_content), "weights")
    join(_scope, _scope, "scope")
    return tuple(
        BatchNormPair(reference=reference[one], export=export[other], by=by)
        for one, (other, by) in sorted(pairs.items())
    )


def _grouped(records: Sequence[BatchNorm], key: _Key, done: Container[int]) -> dict[object, list[int]]:
    groups: dict[object, list[int]] = {}
    for index, record in enumerate(records):
        found = key(record)
        if found is not None and index not in done:
            groups.setdefault(found, []).append(index)
    return groups


def _scope(record: BatchNorm) -> str | None:
    return record.scope or None


def _signature(content: Content, record: BatchNorm) -> tuple[bytes | None, ...] | None:
    """Gamma and beta alone: statistics are what a training-mode export lacks."""
    parts = tuple(None if name is None else content(name) for name in (record.gamma, record.beta))
    return parts if any(parts) else None
