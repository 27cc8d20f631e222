"""One weight of an export and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...graph.lift.lifted import Stored
from .meant import Numbers
from .resolution import Distance

Standing: TypeAlias = Literal["certified", "wrong", "unexplained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One constant of an export: what it is made of, and how far it is from that.

    ``constant`` is the node of the lifted graph, ``stored`` how the file holds it; ``layer`` the scope in the
    reference, ``source`` weights of the reference. ``meant`` is the value that explains it (None: nothing does).
    ``right`` is what the reference has in its place, where that is known, and ``distance`` that from it.
    ``standing``:

    - ``certified``: it is what the reference has there, as near as its type can hold;
    - ``wrong``: its place is known, and it is something else (``meant``, if that is known);
    - ``unexplained``: it is near nothing that the reference has, and its place is not known.
    """

    constant: str
    stored: Stored
    standing: Standing
    distance: Distance | None = None
    layer: str = ""
    source: tuple[str, ...] = ()
    meant: Numbers | None = field(default=None, repr=False)
    right: Numbers | None = field(default=None, repr=False)
