"""All parts of the details of a check. One that cannot be made is left out and says so; the verdict stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...diagnosis.diagnose import Diagnosis
from ...result import OutputComparison
from ...result_details import Details
from ..attempt import result_or_error
from ..pair import Pair
from ..run import RunOutputs
from .averages import weight_rows
from .batch_norms import batch_norm_rows
from .depth import node_differences
from .grad_cam import grad_cam
from .neighbourhood import neighbourhoods
from .values import output_differences

MOST_DIFFERENCES = 500
"""Nodes that the picture of the depth shows at most."""
MOST_NORMS = 200
"""Rows of the table of batch norms at most: more than ResNet-152 has (151)."""
MOST_WEIGHTS = 400
"""Rows of the table of averages at most: kernel and bias of as many layers."""


def details_of(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    answers: RunOutputs,
    diagnosis: Diagnosis | None = None,
) -> Details:
    """The details of a check that was run.

    ``diagnosis`` is None where nothing was diagnosed, because the check passes or has no reference: then
    only what the numbers give.
    """
    reference, export = answers.reference or {}, answers.export or {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "The histograms": lambda: {"outputs": output_differences(outputs, reference, export)},
    }
    spec = pair.spec.grad_cam
    if spec is not None and pair.reference is not None and answers.inputs:
        parts["Grad-CAM"] = lambda: {"grad_cam": grad_cam(pair, spec, answers.inputs, reference, export)}
    if diagnosis is not None:
        evidence, findings = diagnosis.evidence, diagnosis.findings
        parts |= {
            "The picture of the depth": lambda: _counted(
                "nodes", node_differences(evidence, findings, MOST_DIFFERENCES)
            ),
            "The table of batch norms": lambda: _counted(
                "batch_norms", batch_norm_rows(evidence, MOST_NORMS)
            ),
            "The table of averages": lambda: _counted("weights", weight_rows(evidence, MOST_WEIGHTS)),
            "The drawings": lambda: {"neighbourhoods": neighbourhoods(evidence, findings)},
        }
    problems: list[str] = []
    found: dict[str, Any] = {}
    for name, make in parts.items():
        found |= _made(name, make, problems)
    return Details(**found, problems=tuple(problems))


def _made(name: str, make: Callable[[], dict[str, Any]], problems: list[str]) -> dict[str, Any]:
    made = result_or_error(make)
    if isinstance(made, Exception):
        problems.append(f"{name} could not be made: {_sentence(made)}")
        return {}
    return made


def _counted(name: str, rows: tuple[tuple[Any, ...], int]) -> dict[str, Any]:
    return {name: rows[0], f"{name}_total": rows[1]}


def _sentence(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0]
    return f"{text or type(error).__name__}" + ("" if text.endswith(".") else ".")
