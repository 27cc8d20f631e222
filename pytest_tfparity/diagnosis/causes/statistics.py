"""Moving statistics of batch norm that are not the checkpoint's."""

from __future__ import annotations

from ..cause import Cause

CAUSES: tuple[Cause, ...] = ()
