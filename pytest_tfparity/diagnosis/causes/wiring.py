"""Another graph: ops, attributes and edges that differ."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
