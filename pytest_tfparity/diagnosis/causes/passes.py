"""Faults that TensorFlow's own graph passes make."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
