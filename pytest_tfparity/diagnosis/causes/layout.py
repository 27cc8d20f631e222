"""Another layout of the data: padding, flattening, transposed axes."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
