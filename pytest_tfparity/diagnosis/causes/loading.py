"""Why an export cannot be loaded or run as it is: not frozen, references lost, ops that TensorFlow does not know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...graph import ops
from ...graph.edit.repair import Constant, Repair, Rewrite
from ...graph.function_body import named_functions
from ...graph.graph import Graph, Node, Shape, Tensor, TensorName
from ...graph.layer import layer_of, layers_of
from ...graph.proof.proof import Side
from ...graph.read.reference_edges import lost_references, written_constant
from ...runtime.matching import Half
from ...wording import counted, enumerated, verb
from ..alignment import divergences, reference_of
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..places.batch_norms import export_norms
from ..places.repairs import as_reference_at

_AGAIN = re.compile(r"_\d+$")


def _not_frozen(evidence: Evidence) -> Iterator[Suspicion]:
    """Variables are left on the way to the outputs."""
    export, case = evidence.export, evidence.case
    left = [
        node.name
        for node in Half.of(export).part.nodes.values()
        if node.op in ops.VARIABLES and node.name not in {*export.variables, *case.unrestored}
    ]
    if not left:
        return
    yield Suspicion(
        cause="export-not-frozen",
        nodes=tuple(left),
        scopes=layers_of(left),
        message=f"{case.export_name} is not frozen: {counted(len(left), 'variable')} {verb(left, 'is', 'are')} left in"
        f" it ({enumerated(left)}), without a value in the file.",
        fix=f"In one session, {case.restored}, then freeze with convert_variables_to_constants.",
        repair=tuple(_values(evidence, left)),
    )


def _not_restored(evidence: Evidence) -> Iterator[Suspicion]:
    """Variables that the outputs need, and that the export's own restore function leaves out."""
    export, case = evidence.export, evidence.case
    left = [name for name in Half.of(export).part.nodes if name in case.unrestored]
    if not left:
        return
    yield Suspicion(
        cause="saved-model-variable-not-restored",
        nodes=tuple(left),
        scopes=layers_of(left),
        message=f"{case.export_name} computes its outputs from {counted(len(left), 'variable')} ({enumerated(left)})"
        f" that its restore function puts no value into: who loads it finds {verb(left, 'it', 'them')}"
        " uninitialised.",
        fix="Let the exported object hold every layer as an attribute (or in a list that is one) before it is"
        " exported; in TensorFlow 1, save all of tf.global_variables().",
        evidence=(f"no RestoreV2 leads to an assignment to {enumerated(left)}",),
        repair=tuple(_values(evidence, left)),
    )


def _values(evidence: Evidence, variables: Iterable[str]) -> Iterator[Constant]:
    """The checkpoint's values in the place of variables of the export."""
    nodes = evidence.export.graph.nodes
    readers = evidence.export.graph.consumers()
    for name in variables:
        value = _value_of(evidence, nodes[name])
        if value is None:
            continue
        if nodes[name].op != "VarHandleOp":
            yield Constant(node=name, value=value)
            continue
        for reader, _ in readers.get(TensorName(name, 0), ()):
            if nodes[reader].op == "ReadVariableOp":
                yield Constant(node=reader, value=value)


def _value_of(evidence: Evidence, variable: Node) -> Tensor | None:
    """The reference's value for a variable of the export: of its name, of its partner, or of its name before another
    had it (``gamma_1``). Which it is shows when the export is compared with it."""
    names = (variable.name, evidence[reference_of].get(variable.name), _AGAIN.sub("", variable.name))
    shape = variable.attrs.get("shape")
    for name in names:
        value = evidence.reference.value(name) if name is not None else None
        if value is not None and shape in (None, Shape(None), Shape(value.shape)):
            return value
    return None


def _lost_references(evidence: Evidence) -> Iterator[Suspicion]:
    """Nodes that assign to constants: TensorFlow refuses the file."""
    graph = evidence.export.graph
    lost = lost_references(graph)
    if not lost:
        return
    written = list(dict.fromkeys(filter(None, (written_constant(graph, name) for name in lost))))
    first = graph.nodes[lost[0]]
    yield Suspicion(
        cause="pb-unloadable-ref-edges",
        nodes=tuple(lost),
        scopes=tuple(dict.fromkeys(_layer_of_statistic(evidence, name) for name in written)),
        message=f"TensorFlow does not import {evidence.case.export_name}: {first.op} {first.name} wants a"
        f" reference to {written_constant(graph, first.name)}, which was frozen into a constant"
        f" ({counted(len(lost), 'such node')}).",
        fix="Build the graph with is_training=False, restore, freeze again; or, in the GraphDef before"
        " freezing, make RefSwitch a Switch, AssignSub a Sub and Assign an Identity.",
        repair=_without_references(graph, lost),
    )


def _layer_of_statistic(evidence: Evidence, constant: str) -> str:
    """The batch norm whose statistic a constant is, else the scope of the constant."""
    for norm in evidence[export_norms]:
        if constant in (norm.mean, norm.variance) and norm.scope:
            return norm.scope
    return layer_of(constant)


_PLAIN = {
    "RefSwitch": "Switch",
    "RefMerge": "Merge",
    "RefEnter": "Enter",
    "RefExit": "Exit",
    "RefNextIteration": "NextIteration",
    "RefIdentity": "Identity",
    "AssignSub": "Sub",
    "AssignAdd": "Add",
    "Assign": "Identity",
}
_ASSIGN_ATTRIBUTES = frozenset({"use_locking", "validate_shape"})


def _without_references(graph: Graph, lost: Iterable[str]) -> Repair:
    """The nodes as what they compute, without a reference; empty where one has no such form."""
    edits = []
    for name in lost:
        node = graph.nodes[name]
        if node.op not in _PLAIN:
            return ()
        inputs = node.inputs[1:] if node.op == "Assign" else node.inputs
        attrs = {key: value for key, value in node.attrs.items() if key not in _ASSIGN_ATTRIBUTES}
        edits.append(Rewrite(node=Node(name, _PLAIN[node.op], inputs, node.controls, attrs)))
    return tuple(edits)


def _unregistered(evidence: Evidence) -> Iterator[Suspicion]:
    """Ops on the way to the outputs that TensorFlow does not know."""
    case = evidence.case
    unknown = {
        case.export_name: _unknown(evidence, evidence.export),
        f"the {case.reference_graph}": _unknown(evidence, evidence.reference),
    }
    nodes = [node for found in unknown.values() for node in found]
    if not nodes:
        return
    named = tuple(dict.fromkeys(node.name for node in nodes))
    files = " and ".join(name for name, found in unknown.items() if found)
    first = {node.op: node.name for node in reversed(nodes)}
    which = "; ".join(_described(op, name) for op, name in first.items())
    places = [each for each in evidence[divergences] if set(each.export) & set(named)]
    yield Suspicion(
        cause="unregistered-op",
        nodes=named,
        scopes=named,
        message=f"The outputs of {files} need {which}, which this TensorFlow does not know.",
        fix="Load the library that has it (tf.load_op_library in conftest.py), build the layer from plain"
        " ops, or compare outputs before it.",
        evidence=_statically(evidence),
        repair=tuple(edit for each in places for edit in as_reference_at(evidence, each)),
    )


def _unknown(evidence: Evidence, side: Side) -> list[Node]:
    """The nodes that the outputs of ``side`` need and that have or call an op that is not known.

    An op that another runtime has, which is what runs it, is not missing.
    """
    functions, part, runner = side.graph.functions, Half.of(side).part, evidence.case.runner

    def unknown(op: str) -> bool:
        known = ops.registered(op) is not None if runner is None else runner.knows(op)
        return op not in functions and not known and not ops.is_foreign(op)

    lacking = {name for name in part.functions if any(unknown(node.op) for node in functions[name].nodes)}
    return [
        node
        for node in part.nodes.values()
        if unknown(node.op)
        or any(each.name in lacking for each in named_functions(node.op, node.attrs, functions))
    ]


def _described(op: str, name: str) -> str:
    library = ops.library_of(op)
    return f"{op} ({name}{f'; from {library}' if library else ''})"


def _statically(evidence: Evidence) -> tuple[str, ...]:
    """What comparing the two graphs without running them says, where nothing can be run."""
    if evidence[divergences]:
        return ()
    return ("Compared without running, both graphs have the same nodes, wiring and weights.",)


LOST_REFERENCES = Cause(id="pb-unloadable-ref-edges", ways=(_lost_references,), apart=True)

CAUSES: tuple[Cause, ...] = (
    LOST_REFERENCES,
    Cause(id="export-not-frozen", ways=(_not_frozen,)),
    Cause(id="saved-model-variable-not-restored", ways=(_not_restored,)),
    Cause(id="unregistered-op", ways=(_unregistered,)),
)
