"""All parts of the details of a check. One that cannot be made is left out and says so; the verdict stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...diagnosis.diagnose import Diagnosis
from ...diagnosis.evidence import Evidence
from ...formats.model import HasOwnRuntime
from ...result import OutputComparison
from ...result_details import Details, LayerRow
from ..attempt import result_or_error
from ..diagnosed import case_of
from ..pair import Pair
from ..run import RunOutputs
from .averages import weight_rows
from .batch_norms import batch_norm_rows
from .depth import node_differences
from .grad_cam import grad_cam
from .layers import layer_rows
from .neighbourhood import neighbourhoods
from .values import output_differences

MOST_DIFFERENCES = 500
"""Nodes that the picture of the depth shows at most."""
MOST_NORMS = 200
"""Rows of the table of batch norms at most: more than ResNet-152 has (151)."""
MOST_WEIGHTS = 400
"""Rows of the table of averages at most: kernel and bias of as many layers."""
MOST_LAYERS = 300
"""Rows of the table of layers at most. A budget for the page, as the points of a plot are."""


def details_of(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    answers: RunOutputs,
    diagnosis: Diagnosis | None = None,
) -> Details:
    """The details of a check that was run.

    ``diagnosis`` is None where nothing was diagnosed, because the check passes or has no reference: then
    only what the numbers give, and the layers as another runtime computes them.
    """
    reference, export = answers.reference or {}, answers.export or {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "The histograms": lambda: {
            "outputs": output_differences(outputs, reference, export, pair.export.output_step)
        },
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
    if isinstance(pair.export, HasOwnRuntime) and pair.reference is not None and pair.without_graph() is None:
        parts["The table of layers"] = lambda: _counted("layers", _layers(pair, outputs, answers, diagnosis))
    problems: list[str] = []
    found: dict[str, Any] = {}
    for name, make in parts.items():
        found |= _made(name, make, problems)
    return Details(**found, problems=tuple(problems))


def _layers(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    answers: RunOutputs,
    diagnosis: Diagnosis | None,
) -> tuple[tuple[LayerRow, ...], int]:
    if diagnosis is not None:
        return layer_rows(diagnosis.evidence, diagnosis.findings, MOST_LAYERS)
    return layer_rows(Evidence.of(case_of(pair, outputs, answers)), (), MOST_LAYERS)


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
