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
    draft.write_text(_text(document(results, environment)), "utf-8")
    os.replace(draft, path)
    return path


def read_report(path: Path) -> tuple[list[ParityResult], dict[str, str]]:
    """The results and the environment of a ``report.json``. Raises ValueError in a sentence, OSError."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no report: {error}.") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"{path} is no report of schema {SCHEMA} (its schema is {found}).")
    try:
        results = [ParityResult.from_json(check) for check in content["checks"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a report: {error}.") from None
    return results, dict(content.get("environment", {}))


def _text(content: Mapping[str, Any]) -> str:
    """Readable line by line, but for the details: thousands of numbers of which each would take a line."""
    details = {f"details of {index}": check["details"] for index, check in enumerate(content["checks"])}
    checks = [
        {**check, "details": name if value is not None else None}
        for check, (name, value) in zip(content["checks"], details.items(), strict=True)
    ]
    text = json.dumps({**content, "checks": checks}, indent=1, allow_nan=False)
    for name, value in details.items():
        if value is not None:
            short = json.dumps(value, separators=(",", ":"), allow_nan=False)
            text = text.replace(f'"details": "{name}"', f'"details": {short}', 1)
    return text + "\n"


def _finite(value: Any) -> Any:
    """``value`` with infinities and NaN as None: JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
