"""Batch norm in another mode, with another epsilon, axis or scale."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
