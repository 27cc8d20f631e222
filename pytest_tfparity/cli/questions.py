"""What only the user can decide: found in the reference's own files, asked where somebody is there to answer."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..check.pair import some
from ..errors import printable
from ..formats.model import HasGraph, Model
from ..formats.registry import format_of
from ..formats.store import ModelStore
from ..graph.graph import tensor_name
from ..graph.heads import heads, variables_behind
from ..settings.spec import OutputSpec
from .defaults import Completed

_WIDEST = 100
"""Columns beyond which a question is hard to read, however wide the terminal is."""


def decided(found: Completed, models: ModelStore) -> Completed:
    """What the reference's own files say of how it is to be read, and of what more it answers.

    Nothing here looks at what the export holds: it is what is to be judged.
    """
    spec, remarks, questions = found.spec, dict(found.remarks), list(found.open)
    if spec.reference is None:
        return found
    model = models.open(spec.reference, spec.root)
    outputs = [output.reference for output in spec.outputs]
    decision = format_of(spec.reference.format).decided(spec.reference, model, outputs)
    reading = decision if decision is not None and decision.question else None
    if decision is not None:
        remarks[f"reference.{decision.about}"] = decision.question or decision.because
        questions += [reading.question] if reading is not None else []
        options = {**spec.reference.options, **decision.options}
        spec = replace(spec, reference=replace(spec.reference, options=options))
    more = _unheeded_ends(model, [entry.reference for entry in spec.inputs], outputs)
    if more:
        remarks["outputs"] = (
            f"The {model.graph_noun} goes on to {some(more)}, with variables of its own. Remove that line if the"
            " export is not meant to."
        )
        questions.append(remarks["outputs"])
        added = (OutputSpec(reference=name, export=name, tolerance=spec.tolerance) for name in more)
        spec = replace(spec, outputs=(*spec.outputs, *added))
    return replace(found, spec=spec, remarks=remarks, open=tuple(questions), reading=reading)


def answered(found: Completed) -> Completed:
    """``found`` with an answer to how the reference is to be read, if it is open and a terminal is there to ask on.

    Else as it is: the manifest then states that it is open, and its first run fails with the question.
    """
    question = found.reading
    if question is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return found
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    print(*(textwrap.fill(printable(line), width) for line in question.question.splitlines()), sep="\n")
    words = "/".join(question.answers)
    while True:
        try:
            given = input(f"{words} (Enter: decide later) ").strip()
        except EOFError:
            return found
        if not given:
            return found
        if given in question.answers:
            return found.with_answer(given)
        print(f"Answer with one of {', '.join(question.answers)}.")


def _unheeded_ends(model: Model, inputs: Iterable[str], outputs: Sequence[str]) -> list[str]:
    """Answers of ``model`` to the same ``inputs`` that rest on more of its variables than ``outputs`` do.

    A network of which an inner tensor or an auxiliary head is compared goes on; one with a softmax or an argmax behind
    its logits does not, as that takes no variable.
    """
    if not isinstance(model, HasGraph):
        return []
    graph, fed = model.graph, [str(name) for name in model.feeds]
    known = variables_behind(graph, outputs, fed)
    found = []
    for name in heads(graph, map(tensor_name, inputs), model.feeds):
        variables = variables_behind(graph, [name], fed)
        if len(variables) > len(known) and not variables <= known:
            found.append(name)
    return found
