"""Weights of another time, place or run."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
