"""``report.json``, schema 1: the result for other programs, and the one that every page is made from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..result import ParityResult

SCHEMA = 1


def document(results: Sequence[ParityResult], environment: Mapping[str, str]) -> dict[str, Any]:
    """All checks of a session, ordered by node id, as the content of ``report.json``."""
    ordered = sorted(results, key=lambda result: result.nodeid)
    checks: list[Any] = [_finite(result.to_json()) for result in ordered]
    return {"schema": SCHEMA, "environment": dict(environment), "checks": checks}


def write_report(folder: Path, results: Sequence[ParityResult], environment: Mapping[str, str]) -> Path:
    """Write ``folder/report.json``, replacing an older one in one step; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    draft = folder / f".report.json.{os.getpid()}"
    draft.write_text(json.dumps(document(results, environment), indent=1, allow_nan=False) + "\n", "utf-8")
    os.replace(draft, path)
    return path


def _finite(value: Any) -> Any:
    """``value`` with infinities and NaN as None: JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
