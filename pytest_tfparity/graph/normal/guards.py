"""Conditionals that a feed decides: under which conditions a tensor lives, and which side a Merge takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from .form import Guard

Life: TypeAlias = "tuple[Guard, ...]"
"""All the conditions under which something lives; empty if it always does."""


def union(some: Life, others: Life) -> Life:
    """The conditions of both."""
    if not others or some == others:
        return some
    return tuple(dict.fromkeys((*some, *others)))


def less(some: Life, others: Iterable[Guard]) -> Life:
    """The conditions that are not among ``others``."""
    if not some:
        return some
    known = set(others)
    return tuple(guard for guard in some if guard not in known)


def exclusive(lives: Sequence[frozenset[Guard]]) -> bool:
    """Whether at most one of several tensors lives: any two need a predicate to be both true and false."""
    for position, life in enumerate(lives):
        opposite = {Guard(node, port, 1 - side) for node, port, side in life if side >= 0}
        if any(not opposite & other for other in lives[position + 1 :]):
            return False
    return True


def common_life(lives: Sequence[frozenset[Guard]]) -> frozenset[Guard] | None:
    """When a Merge of two opposite sides lives, if that no longer depends on their predicate."""
    if len(lives) != 2:
        return None
    first, second = lives
    decided = {
        (node, port) for node, port, side in first if side >= 0 and Guard(node, port, 1 - side) in second
    }
    rests = [frozenset(guard for guard in life if guard[:2] not in decided) for life in lives]
    return rests[0] if len(decided) == 1 and rests[0] == rests[1] else None
