"""Dropout and other random ops left in."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
