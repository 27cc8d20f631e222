"""Why two sides could not be compared at all, or not fairly."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
