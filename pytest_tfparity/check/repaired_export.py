"""Writing the export of a failing check, put right."""

from __future__ import annotations

from pathlib import Path

from ..diagnosis.diagnose import diagnose
from ..formats.model import Repairable
from ..formats.store import ModelStore
from ..settings.spec import ParitySpec
from .compared import compare_all
from .diagnosed import case_of
from .inputs import inputs_of
from .pair import open_pair
from .run import RunOutputs


def write_repaired_export(spec: ParitySpec, models: ModelStore, path: Path) -> float | None:
    """Write the export of a failing check, repaired, to ``path``: the largest difference that is left.

    It is a file of the export's format with the outputs' own names. Nothing is written, and None returned, where
    the repairs do not restore parity.
    """
    pair = open_pair(spec, models)
    if pair.without_graph() is not None or not isinstance(pair.export, Repairable):
        return None
    if any(entry.transpose for entry in pair.inputs) or any(output.transpose for output in pair.outputs):
        return None  # what is repaired takes the layout of the reference, so it is not the file that was exported
    inputs = inputs_of(pair)
    answers = RunOutputs(
        inputs=inputs, reference=pair.run("reference", inputs), export=pair.run("export", inputs)
    )
    diagnosis = diagnose(case_of(pair, compare_all(pair, answers, "reference"), answers))
    if diagnosis.remaining is None or not diagnosis.remaining.passed or not diagnosis.findings:
        return None
    names = pair.side("export").outputs
    pair.export.rewritten(diagnosis.repaired, pair.model("reference"), names).write(path)
    return diagnosis.remaining.max_abs
