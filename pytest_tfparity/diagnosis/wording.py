"""Words of messages: many names in a few, and how many there are of a thing."""

from __future__ import annotations

from collections.abc import Sequence, Sized

MOST_SCOPES = 3
"""How many scopes a message spells out."""


def enumerated(names: Sequence[str], most: int = MOST_SCOPES) -> str:
    """``a, b and c``, or ``a, b, c and 7 more``."""
    names = list(dict.fromkeys(names))
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: int, thing: str) -> str:
    """``1 batch norm``, ``3 batch norms``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def verb(things: Sized, one: str, several: str) -> str:
    """The form of a verb that goes with ``things``."""
    return one if len(things) == 1 else several
