"""Another input pipeline before the network."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
