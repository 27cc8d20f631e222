"""Words of messages: many names in a few, and what goes with how many there are of a thing."""

from __future__ import annotations

from collections.abc import Iterable, Sized

MOST_NAMED = 3
"""How many names a message spells out where it does not say otherwise."""


def enumerated(names: Iterable[str], most: int = MOST_NAMED) -> str:
    """``a, b and c``, or ``a, b, c and 7 more``; each name once."""
    different = list(dict.fromkeys(names))
    if len(different) > most + 1:
        return f"{', '.join(different[:most])} and {len(different) - most} more"
    return " and ".join(filter(None, [", ".join(different[:-1]), *different[-1:]]))


def counted(count: int, thing: str) -> str:
    """``1 batch norm``, ``3 batch norms``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def verb(things: Sized, one: str, several: str) -> str:
    """The form of a verb or a pronoun that goes with ``things``."""
    return one if len(things) == 1 else several
