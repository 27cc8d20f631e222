"""Other precision of weights or arithmetic."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
