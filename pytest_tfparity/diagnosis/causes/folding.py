"""Batch norm folded into kernels, wrongly."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
