"""What a cause is: an entry of the catalogue that looks at evidence and says what it sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..graph.edit.graft import Repair
from .evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A cause seen at work, before its repair has been tried.

    ``nodes`` are named as in the export (as in the reference where the export lacks them), ``scopes``
    are the layers' name scopes. ``message`` says what is wrong, ``fix`` what to change, ``evidence``
    the facts that show it. ``certainty`` is what the evidence alone is worth. ``repair`` puts it
    right in memory; empty where nothing can be repaired. ``change`` says what was changed but not where, so that
    the same change of several places is known as one.
    """

    cause: str
    nodes: tuple[str, ...]
    scopes: tuple[str, ...]
    message: str
    fix: str
    evidence: tuple[str, ...] = ()
    certainty: Literal["decisive", "suggestive"] = "decisive"
    repair: Repair = ()
    change: str = ""


class Cause:
    """An entry of the catalogue. Subclasses set ``id`` and look for themselves; ``pages/ID.md`` is its page.

    ``apart`` is set by causes that are no difference between the sides: they are asked even where both are
    proven to compute the same.
    """

    id: ClassVar[str]
    apart: ClassVar[bool] = False

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        """What of this cause the evidence shows; nothing if it shows nothing.

        The export of ``evidence`` holds the repairs of the causes before this one, so what they
        explain is no longer there.
        """
        raise NotImplementedError
