"""Overlays for Google's Model Explorer: the differences, on the frozen graph.

The format is ``ModelNodeData`` of ``model_explorer.node_data_builder`` (PyPI ``ai-edge-model-explorer``): graph
id, then node id, then value and colour. Model Explorer calls the graph of a GraphDef ``main`` and its nodes by
their place in the file, whatever the model is: so each check has a file of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..result import ParityResult
from ..result_details import NodeDifference

FOLDER = "model_explorer"
_GRAPH = "main"
_CULPRIT = {"bgColor": "#c62828", "textColor": "#ffffff"}
_LEAST, _MOST = "#ffffff", "#f9a825"


def overlay(result: ParityResult) -> dict[str, Any] | None:
    """The accumulated difference of each node of the export, culprits in red; None where nothing was measured."""
    nodes = result.details.nodes if result.details is not None else ()
    values = {str(node.position): _value(node) for node in nodes if node.position is not None}
    if not values:
        return None
    gradient = [{"stop": 0, "bgColor": _LEAST}, {"stop": 1, "bgColor": _MOST}]
    return {_GRAPH: {"results": values, "name": f"tfparity: {result.model}", "gradient": gradient}}


def write_overlays(folder: Path, results: Sequence[ParityResult]) -> list[Path]:
    """Write ``folder/model_explorer/MODEL.json`` for each check that has an overlay; remove older ones."""
    place = folder / FOLDER
    for old in place.glob("*.json"):
        old.unlink()
    written: list[Path] = []
    for result in sorted(results, key=lambda result: result.nodeid):
        content = overlay(result)
        if content is None:
            continue
        place.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.-]+", "_", result.model)
        path = place / f"{name}.json"
        for number in range(2, len(results) + 2):
            if path not in written:
                break
            path = place / f"{name}-{number}.json"
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
        written.append(path)
    return written


def _value(node: NodeDifference) -> dict[str, Any]:
    """A number, or a word where there is none: one side is not finite, or has another shape."""
    value = "not comparable" if node.accumulated is None else node.accumulated
    if node.culprit:
        return {"value": value, **_CULPRIT}
    return {"value": value} if node.accumulated is not None else {"value": value, "bgColor": _MOST}
