"""A reference that is no function: running it changes it."""

from __future__ import annotations

from collections.abc import Iterator

from ...graph import ops
from ...graph.edit.pruning import effects_of_part
from ...graph.layer import layers_of
from ...graph.variables import written_variable
from ...runtime.matching import Half
from ...wording import enumerated, verb
from ..alignment import alignment
from ..behaviour import reference_repeats
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..random_ops import export_random_ops, reference_random_ops


def _stateful(evidence: Evidence) -> Iterator[Suspicion]:
    """Running the reference changes it."""
    graph = evidence.reference.graph
    part = Half.of(evidence.reference).part
    found = [each for each in effects_of_part(graph, part) if ops.writes(each.op)]
    if not found:
        return
    variables = [each.variable or written_variable(graph, each.node) or each.node for each in found]
    first = found[0]
    output = next(
        (output for output in evidence.reference.outputs if first.node in graph.live([output.node])),
        evidence.reference.outputs[0],
    )
    more = f" ({len(found) - 1} more such ops)" if len(found) > 1 else ""
    yield Suspicion(
        cause="stateful-reference",
        nodes=tuple(dict.fromkeys(each.node for each in found)),
        scopes=layers_of(variables),
        message=f"Running {output} of {evidence.case.reference_name} also runs {first.op} {first.node}, which"
        f" changes {variables[0]}{more}: the reference is not a function of its inputs.",
        fix="Use the inference graph: name its .meta under `meta`, or a function that builds it under"
        " `builder`, without update ops (create_eval_graph, is_training=False).",
    )


def _random(evidence: Evidence) -> Iterator[Suspicion]:
    """Random ops that both sides have: the reference answers otherwise each time, and so does a right export."""
    drawn, partners = evidence[reference_random_ops], evidence[alignment].nodes
    shared = [name for name in drawn if partners.get(name) in evidence[export_random_ops]]
    if not shared or evidence[reference_repeats] is not False:
        return
    nodes = [partners[name] for name in shared]
    yield Suspicion(
        cause="stateful-reference",
        nodes=tuple(nodes),
        scopes=layers_of(nodes),
        message=f"{evidence.case.reference_name} answers differently each time that it is run:"
        f" {enumerated([f'{drawn[name]} {name}' for name in shared])} {verb(shared, 'draws', 'draw')}"
        f" random numbers, in {evidence.case.export_name} too. The reference is not a function of its inputs.",
        fix="Compare an output before the random numbers (the probabilities, not what is drawn from them), or feed"
        " what is drawn.",
        evidence=("Two runs of the reference in one session on the same inputs differ.",),
    )


CAUSES: tuple[Cause, ...] = (Cause(id="stateful-reference", ways=(_stateful, _random)),)
