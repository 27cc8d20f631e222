"""What a cause is: an entry of the catalogue, found in one or more ways, and what it says where it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..graph.edit.repair import Repair
from .evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A cause seen at work, before its repair has been tried.

    ``nodes`` are named as in the export (as in the reference where the export lacks them), ``scopes``
    are the layers' name scopes. ``message`` says what is wrong, ``fix`` what to change, ``evidence``
    the facts that show it. ``certainty`` is what the evidence alone is worth. ``repair`` puts it
    right in memory; empty where nothing can be repaired. ``provable`` says that parity after the repair proves the
    whole sentence: the repair undoes what the message says and nothing else, or the message follows from bits. It is
    False where the reference's value would mend whatever happened to the place. ``change`` says what was changed but
    not where, so that the same change of several places is known as one. ``rewrite`` says that a pass that keeps the
    function may leave the same trace, so that this is a fault only if parity needs its repair.
    """

    cause: str
    nodes: tuple[str, ...]
    scopes: tuple[str, ...]
    message: str
    fix: str
    evidence: tuple[str, ...] = ()
    certainty: Literal["decisive", "suggestive"] = "decisive"
    repair: Repair = ()
    provable: bool = True
    change: str = ""
    rewrite: bool = False


Way: TypeAlias = Callable[[Evidence], Iterable[Suspicion]]
"""A way to find a cause: what of it the evidence shows, nothing if it shows nothing.

The export of the evidence holds the repairs of the causes before, so what they explain is no longer there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """An entry of the catalogue; ``pages/ID.md`` is its page.

    ``ways`` are the ways in which it is found, each asked about what the one before left; none for what the health
    of a checkpoint alone shows. ``apart`` is set by causes that are no difference between the sides: they are asked
    even where both are proven to compute the same. Most causes are told from one kind of place (``causes/kinds``);
    this class takes those whose evidence is no place.
    """

    id: str
    ways: tuple[Way, ...]
    apart: bool = False
