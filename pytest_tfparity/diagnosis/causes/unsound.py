"""What only the checkpoint itself shows: both sides agree, and both are wrong (see ``diagnosis/health``)."""

from __future__ import annotations

from collections.abc import Iterable

from ..cause import Cause, Suspicion
from ..evidence import Evidence


class NeverUpdated(Cause):
    """Moving statistics that training never touched. A warning of health: no difference comes of it."""

    id = "bn-stats-never-updated"

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        return ()


UNSOUND: tuple[Cause, ...] = (NeverUpdated(),)
