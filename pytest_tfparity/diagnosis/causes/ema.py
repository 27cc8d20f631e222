"""Moving averages applied, not applied, or half applied."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
