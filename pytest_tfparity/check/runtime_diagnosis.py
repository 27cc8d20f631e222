"""What is wrong with an export that another runtime runs: its weights, its graph, or what integers do to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..diagnosis.alignment import divergences, reference_of
from ..diagnosis.case import Case
from ..diagnosis.causes import GRAPH
from ..diagnosis.diagnose import Diagnosis, diagnose
from ..diagnosis.evidence import Evidence
from ..diagnosis.quantised.findings import Quantised, quantisation_findings
from ..diagnosis.quantised.layers import layer_noise, sentence
from ..diagnosis.quantised.unrelated import unrelated_weights
from ..diagnosis.quantised.weights import overflowed
from ..diagnosis.runner import ModelRunner
from ..errors import TfparityError
from ..formats.model import HasOwnRuntime
from ..graph.layer import layer_of
from ..graph.proof.proof import Side
from ..result import Finding
from .certified import Certified, certified, sentences, size_of
from .pair import Pair

_GRAPHS = frozenset(cause.id for cause in GRAPH)
"""Causes that are differences of the graphs: where the numbers agree, other spellings leave them too."""


def diagnosis_of(pair: Pair, export: HasOwnRuntime, case: Case) -> Diagnosis:
    """What is behind a difference of an export that another runtime runs.

    Where the graph answers rightly once its weights are the reference's and nothing is rounded, weights and rounding
    are all that can be wrong: other spellings in the graph are no causes. What is wrong with the graph is looked for in
    float: ranges of integers are those of the graph as it is, and wrong with it.
    """
    found = certified(pair, export, case)
    wrong, right_graph = found.certificate.standing("wrong"), _has_right_graph(found)
    unrelated = unrelated_weights(found.certificate, case)
    diagnosis = (
        _nothing_but_rounding(found)
        if unrelated is not None or (right_graph and not wrong)
        else diagnose(_in_float(found.case))
    )
    if unrelated is not None:
        return _noted(pair, export, found, replace(diagnosis, findings=(unrelated,)))
    findings = diagnosis.findings
    if right_graph and wrong:
        diagnosis = replace(diagnosis, findings=_of_weights(found, diagnosis), repaired=_as_right(found))
        return _noted(pair, export, found, _with_ranges_of_wrong_weights(found, diagnosis))
    more, rounding = _of_quantisation(found, case, diagnosis, findings)
    findings = (*findings, *more)
    if not findings and wrong:
        findings = (differing(found),)
    notes = (*(() if findings or rounding else diagnosis.notes), *rounding)
    if not any(each.certainty == "proven" for each in findings) and not rounding:
        stands_out = sentence(diagnosis.evidence[layer_noise], export.runtime)
        notes = (*notes, *([stands_out] if stands_out is not None else []))
    return _noted(pair, export, found, replace(diagnosis, findings=findings, notes=notes))


def _in_float(case: Case) -> Case:
    """The case with an export that is run without the grids of its file."""
    runner = case.runner
    return replace(case, runner=replace(runner, in_float=True)) if isinstance(runner, ModelRunner) else case


def _noted(pair: Pair, export: HasOwnRuntime, found: Certified, diagnosis: Diagnosis) -> Diagnosis:
    """A diagnosis with what is known of the weights, its layers called as the reference calls them."""
    told = sentences(found.certificate, pair.spec.shown(export.path))
    called = tuple(_with_layers_of_reference(diagnosis.evidence, each) for each in diagnosis.findings)
    return replace(diagnosis, findings=called, notes=(*diagnosis.notes, *told))


def _with_layers_of_reference(evidence: Evidence, finding: Finding) -> Finding:
    """A finding whose scopes are the reference's: a converter gives nodes names of its own."""
    nodes, aligned = evidence.reference.graph.nodes, dict(evidence[reference_of])
    for each in evidence[divergences]:
        aligned |= {name: each.reference[0] for name in each.export if each.reference and name not in aligned}
    of_scope: dict[str, str] = {}
    for name in finding.nodes:
        if name in aligned:
            of_scope.setdefault(layer_of(name), layer_of(aligned[name]))
            of_scope.setdefault(name, layer_of(aligned[name]))

    def called(scope: str) -> str:
        if scope in nodes:
            return layer_of(scope)
        return scope if any(name.startswith(f"{scope}/") for name in nodes) else of_scope.get(scope, scope)

    return replace(finding, scopes=tuple(dict.fromkeys(map(called, finding.scopes))))


def _with_ranges_of_wrong_weights(found: Certified, diagnosis: Diagnosis) -> Diagnosis:
    """A diagnosis of wrong weights; where right ones alone do not restore parity, no finding is called proven.

    The ranges of integers were taken from what the wrong weights compute: they are wrong with them, and no cause.
    """
    run = found.case.runner.translation if found.case.runner is not None else None
    try:
        mends = run is not None and run.passes(diagnosis.repaired, run.export.lifted.activations)
    except TfparityError:
        mends = False
    if mends:
        return replace(diagnosis, notes=())
    note = (
        "With the reference's weights the export is right in float; its ranges were taken from what the wrong ones"
        " compute, and are made again with them."
    )
    told = tuple(
        replace(each, certainty="decisive", repaired_max_abs=None) if each.certainty == "proven" else each
        for each in diagnosis.findings
    )
    grids = run is not None and any(each.grid is not None for each in run.export.lifted.activations.values())
    return replace(diagnosis, findings=told if grids else diagnosis.findings, notes=(note,) if grids else ())


def _nothing_but_rounding(found: Certified) -> Diagnosis:
    """Of an export whose graph and weights are right: there is no cause to ask."""
    evidence = Evidence.of(found.case)
    return Diagnosis(
        findings=(),
        first_divergence=None,
        downstream=0,
        repaired=evidence.export,
        remaining=None,
        alike=True,
        evidence=evidence,
    )


def _of_weights(found: Certified, diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """What a diagnosis says of the weights that are wrong; that they are, where it says nothing."""
    places = _places_of_wrong(found)
    about = [
        each
        for each in diagnosis.findings
        if each.cause not in _GRAPHS and places & {*each.nodes, *each.scopes}
    ]
    told = [each for each in about if each.certainty != "suggestive"]
    named = {name for each in told for name in (*each.nodes, *each.scopes)}
    # What is only suggested of others is all that is known of them; beside nothing sure the certificate says more.
    more = [each for each in about if each not in told and not named & {*each.nodes, *each.scopes}]
    return (*told, *more) if told else (differing(found),)


def _places_of_wrong(found: Certified) -> set[str]:
    """Nodes and layers by which a finding may name a weight that is wrong."""
    wrong = found.certificate.standing("wrong")
    names = {each.constant for each in wrong}
    nodes = found.case.export.side.graph.nodes.values()
    readers = {node.name for node in nodes if any(source.node in names for source in node.inputs)}
    layers = {each.layer for each in wrong} | {layer_of(name) for each in wrong for name in each.source}
    return names | readers | layers


def _as_right(found: Certified) -> Side:
    """The export with its weights as the reference has them."""
    return Evidence.of(found.case).after(found.certificate.as_right()).export


def _has_right_graph(found: Certified) -> bool:
    """Whether the export answers as the reference does once its weights are right and nothing is rounded."""
    run = found.case.runner.translation if found.case.runner is not None else None
    if run is None or any(each.right is None for each in found.certificate.standing("wrong")):
        return False
    try:
        return run.is_right(_as_right(found), {})
    except TfparityError:
        return False


def _of_quantisation(
    found: Certified, given: Case, diagnosis: Diagnosis, findings: Sequence[Finding]
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What rounding explains, and a note about it, where the other findings do not explain all."""
    run = given.runner.translation if given.runner is not None else None
    if run is None:
        return (), ()
    export = Quantised(
        case=found.case,
        given=given,
        side=diagnosis.repaired,
        certificate=found.certificate,
        evidence=diagnosis.evidence,
        run=run,
    )
    if not findings:
        return quantisation_findings(export)
    if not export.grids or export.passes(export.side.graph, export.grids):
        return (), ()
    if not export.is_right(export.side.graph, {}):
        return quantisation_findings(export)
    return (), (_RANGES_AS_GIVEN,)


_RANGES_AS_GIVEN = (
    "Repaired, the export is right in float; on the ranges of the file it still differs. They were taken from what it"
    " computes as it is, and are made again by converting."
)


def findings_of_weights(found: Certified) -> tuple[Finding, ...]:
    """What the files alone say of the weights that are wrong, though the numbers agree."""
    return _of_weights(found, diagnose(found.case))


def differing(found: Certified) -> Finding:
    """That weights are not the reference's: beyond what float16 can hold, or without a known cause."""
    wrong, case = found.certificate.standing("wrong"), found.case
    lost = overflowed(wrong, case)
    if lost is not None:
        return lost
    first = max(wrong, key=lambda each: each.distance.worst if each.distance is not None else 0.0)
    apart = first.distance
    how_many = "Values" if apart is None else f"{apart.outside} of {apart.total} values"
    more = f"; {len(wrong) - 1} more weights likewise" if len(wrong) > 1 else ""
    return Finding(
        cause="weights-differ",
        certainty="suggestive",
        nodes=tuple(each.constant for each in wrong),
        scopes=tuple(dict.fromkeys(each.layer for each in wrong if each.layer)),
        message=(
            f"{how_many} of {first.stored.name.split(';')[0]} in {case.export_name} are farther from what {first.layer}"
            f" has in {case.reference_name} than {first.stored.type} can explain, by up to {size_of(first)}{more}."
        ),
        fix=f"Convert {case.reference_name} again, with the weights that it has now.",
        evidence=(),
    )
