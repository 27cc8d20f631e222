"""Lookup tables with other entries."""

from __future__ import annotations

from collections.abc import Iterator

from ...graph.layer import layers_of
from ...wording import counted, verb
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..places.tables import OtherTable, as_reference, other_tables


def _other_entries(evidence: Evidence) -> Iterator[Suspicion]:
    """Tables that both graphs fill from constants, and not with the same entries."""
    for other in evidence[other_tables]:
        yield Suspicion(
            cause="lookup-table-differs",
            nodes=(other.table, other.held.initialiser),
            scopes=layers_of([other.table]),
            message=_said(evidence, other),
            fix="Build the table of the export from the list (the vocabulary file) of training, in the same order.",
            repair=as_reference(evidence, other),
        )


def _said(evidence: Evidence, other: OtherTable) -> str:
    export, graph = evidence.case.export_name, f"the {evidence.case.reference_graph}"
    right, held = other.right.entries, other.held.entries
    moved = [key for key in right if key in held and right[key] != held[key]]
    lost, new = [key for key in right if key not in held], [key for key in held if key not in right]
    facts = []
    if moved:
        key = moved[0]
        how_many = f"{len(moved)} of {counted(len(right), 'key')} {verb(moved, 'has', 'have')}"
        facts.append(
            f"{how_many} another value: {_spelt(key)} is {_spelt(right[key])} in {graph} and {_spelt(held[key])} in"
            f" {export}"
        )
    if lost:
        facts.append(
            f"{counted(len(lost), 'key')} of {graph} {verb(lost, 'is', 'are')} not in {export} ({_spelt(lost[0])})"
        )
    if new:
        facts.append(
            f"{counted(len(new), 'key')} of {export} {verb(new, 'is', 'are')} not in {graph} ({_spelt(new[0])})"
        )
    return f"{other.table}: {'; '.join(facts)}."


def _spelt(entry: object) -> str:
    return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)


LOOKUP_TABLE = Cause(id="lookup-table-differs", ways=(_other_entries,))

CAUSES: tuple[Cause, ...] = (LOOKUP_TABLE,)
