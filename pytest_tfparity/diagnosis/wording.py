"""Words of messages: many scopes in a few, and files by their names."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3
"""How many scopes a message spells out."""


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """``a, b and c``, or ``a, b, c and 7 more``."""
    names = list(dict.fromkeys(names))
    if len(names) > shown + 1:
        return f"{', '.join(names[:shown])} and {len(names) - shown} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: int, thing: str) -> str:
    """``1 batch norm``, ``3 batch norms``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
