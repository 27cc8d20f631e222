"""Writing the export of a failing check, put right."""

from __future__ import annotations

from pathlib import Path

from ..diagnosis.diagnose import diagnose
from ..formats.repaired import graph_def_of
from ..formats.store import ModelStore
from ..settings.spec import ParitySpec
from .case import case_of
from .inputs import load_inputs
from .pair import open_pair
from .run import Answers
from .verdict import compare_all


def repair(spec: ParitySpec, models: ModelStore, path: Path) -> float | None:
    """Write the export of a failing check, repaired, to ``path``: the largest difference that is left.

    It is a frozen graph with the outputs' own names. Nothing is written, and None returned, where the repairs do
    not restore parity.
    """
    pair = open_pair(spec, models)
    inputs = load_inputs(spec)
    answers = Answers(
        inputs=inputs, reference=pair.run("reference", inputs), export=pair.run("export", inputs)
    )
    diagnosis = diagnose(case_of(pair, compare_all(pair, answers, "reference"), answers))
    if diagnosis.remaining is None or not diagnosis.remaining.passed or not diagnosis.findings:
        return None
    names = pair.side("export").outputs
    graph_def = graph_def_of(diagnosis.repaired, names, pair.export, pair.model("reference"))
    path.write_bytes(graph_def.SerializeToString())
    return diagnosis.remaining.max_abs
