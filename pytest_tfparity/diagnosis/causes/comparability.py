"""Why two sides could not be compared at all, or not fairly: an export that is no frozen graph, or cannot
be loaded; ops that TensorFlow does not know; a reference that changes when it is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...graph import ops
from ...graph.edit.graft import Constant, Repair, Rewrite
from ...graph.edit.pruning import effects
from ...graph.graph import Function, Graph, Node, TensorName
from ...graph.proof.proof import Side
from ...graph.read.loadable import lost_references, written_constant
from ...graph.variables import written_variable
from ...runtime.splice import Half
from ..cause import Cause, Page, Suspicion
from ..evidence import Evidence
from ..places import layer_of, layers_of
from ..wording import counted, listed

_READS = frozenset({"ReadVariableOp"})


class ExportNotFrozen(Cause):
    """Variables are left on the way to the outputs."""

    id = "export-not-frozen"
    title = "variables are still variables in the export"
    page = Page(
        what="A frozen graph holds every weight as a constant. In this file some weights that the outputs need"
        " are still variables: a program that loads it finds them uninitialised and stops"
        ' ("Attempting to use uninitialized value").',
        how="The session's graph was written as it is (`tf.io.write_graph`), a text graph that lies beside a"
        " checkpoint was taken for an export, or the freezing call left variables out"
        " (`variable_names_blacklist`, a whitelist of scopes).",
        proof="Variable ops among the nodes that the outputs need. With the checkpoint's values put in, the"
        " export is compared again. Variables that no output needs are no fault.",
        fix="Restore the checkpoint and freeze the session:"
        " `tf.compat.v1.graph_util.convert_variables_to_constants(session, graph_def, output_node_names)`.",
        links=("https://github.com/davidsandberg/facenet/issues/195",),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        export, setting = evidence.export, evidence.setting
        left = [
            node.name
            for node in Half.of(export).part.nodes.values()
            if node.op in ops.VARIABLES and node.name not in export.variables
        ]
        if not left:
            return
        are = "are still variables" if len(left) > 1 else "is still a variable"
        yield Suspicion(
            cause=self.id,
            nodes=tuple(left),
            scopes=layers_of(left),
            message=f"{setting.export_name} is not frozen: {counted(len(left), 'variable')} ({listed(left)})"
            f" {are}, without a value in the file.",
            fix="Restore the checkpoint, then freeze with convert_variables_to_constants.",
            repair=tuple(_values(evidence, left)),
        )


def _values(evidence: Evidence, variables: Iterable[str]) -> Iterator[Constant]:
    """The checkpoint's values in the place of variables of the export."""
    nodes = evidence.export.graph.nodes
    readers = evidence.export.graph.consumers()
    for name in variables:
        value = evidence.reference.variables.get(name)
        partner = evidence.reference_of.get(name)
        if value is None and partner is not None:
            value = evidence.reference.variables.get(partner)
        if value is None:
            continue
        if nodes[name].op != "VarHandleOp":
            yield Constant(node=name, value=value)
            continue
        for reader, _ in readers.get(TensorName(name, 0), ()):
            if nodes[reader].op in _READS:
                yield Constant(node=reader, value=value)


class UnloadableReferences(Cause):
    """Nodes that assign to constants: TensorFlow refuses the file."""

    id = "pb-unloadable-ref-edges"
    title = "the frozen graph cannot be imported: it still assigns to what are now constants"
    apart = True
    page = Page(
        what="The file holds ops that change a variable (`RefSwitch`, `AssignSub`, `Assign`), and that variable"
        " was frozen into a constant. TensorFlow imports no graph with such an edge: `Input 0 of node"
        " .../AssignMovingAvg/Switch was passed float ... incompatible with expected float_ref`.",
        how="Batch norm of `tf.contrib` or slim with a phase placeholder and `updates_collections=None`, or"
        " `ema.apply` inside a `tf.cond`: the updates of the moving statistics hang on the output, so that"
        " freezing keeps them.",
        proof="Ops that take a reference whose first input leads to a constant, anywhere in the file: the whole"
        " file is refused, also where the outputs do not need those nodes. The check itself imports only what"
        " the outputs need, which is why it can still say whether the numbers are right.",
        fix="Build the inference graph (`is_training=False`) and freeze that. If the training code is gone,"
        " change `RefSwitch` to `Switch`, `AssignSub` to `Sub` and `Assign` to `Identity` of its value in the"
        " GraphDef before freezing.",
        links=(
            "https://github.com/tensorflow/tensorflow/issues/3628",
            "https://github.com/tensorflow/tensorflow/issues/31524",
            "https://github.com/davidsandberg/facenet/issues/161",
            "https://github.com/onnx/tensorflow-onnx/issues/77",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        graph = evidence.export.graph
        lost = lost_references(graph)
        if not lost:
            return
        written = list(dict.fromkeys(filter(None, (written_constant(graph, name) for name in lost))))
        first = graph.nodes[lost[0]]
        yield Suspicion(
            cause=self.id,
            nodes=tuple(lost),
            scopes=tuple(dict.fromkeys(_layer(evidence, name) for name in written)),
            message=f"TensorFlow does not import {evidence.setting.export_name}: {first.op} {first.name} wants a"
            f" reference to {written_constant(graph, first.name)}, which was frozen into a constant"
            f" ({counted(len(lost), 'such node')}).",
            fix="Build the graph with is_training=False, restore, freeze again; or, in the GraphDef before"
            " freezing, make RefSwitch a Switch, AssignSub a Sub and Assign an Identity.",
            repair=_without_references(graph, lost),
        )


def _layer(evidence: Evidence, constant: str) -> str:
    """The batch norm whose statistic a constant is, else the scope of the constant."""
    for norm in evidence.export_norms:
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


class UnregisteredOp(Cause):
    """An op on the way to the outputs that TensorFlow does not know."""

    id = "unregistered-op"
    title = "an op that this TensorFlow does not know"
    page = Page(
        what="A node that the outputs need has an op that is not registered in the TensorFlow at hand, so the"
        " graph cannot be run here.",
        how="The op comes from `tf.contrib`, from a library that was not loaded, from a custom build, or was"
        " removed since the graph was written.",
        proof="The op's name is not in TensorFlow's registry. Both graphs are still compared without running"
        " them, and differences that show so are reported too.",
        fix="Load the library before the check (`tf.load_op_library` in `conftest.py`), rebuild the layer from"
        " plain ops, or compare outputs before it.",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        setting = evidence.setting
        sides = ((evidence.export, setting.export_name), (evidence.reference, "the checkpoint's graph"))
        unknown = [(side, name, _unknown(evidence, side)) for side, name in sides]
        named = dict.fromkeys(node.name for _, _, nodes in unknown for node in nodes)
        if not named:
            return
        files = " and ".join(name for _, name, nodes in unknown if nodes)
        found = {node.op: node.name for _, _, nodes in reversed(unknown) for node in reversed(nodes)}
        which = "; ".join(_described(op, name) for op, name in found.items())
        places = [each for each in evidence.divergences if set(each.export) & set(named)]
        yield Suspicion(
            cause=self.id,
            nodes=tuple(named),
            scopes=tuple(named),
            message=f"The outputs of {files} need {which}, which this TensorFlow does not know.",
            fix="Load the library that has it (tf.load_op_library in conftest.py), build the layer from plain"
            " ops, or compare outputs before it.",
            evidence=_statically(evidence),
            repair=tuple(edit for each in places for edit in evidence.as_reference_at(each)),
        )


def _unknown(evidence: Evidence, side: Side) -> list[Node]:
    known, functions = evidence.setting.known_op, side.graph.functions
    found = []
    part = Half.of(side).part
    inside = {name: [node.op for node in functions[name].nodes] for name in part.functions}
    lacking = {
        name for name, inner in inside.items() for op in inner if not known(op) and op not in functions
    }
    for node in part.nodes.values():
        called = {value.name for value in node.attrs.values() if isinstance(value, Function)} & lacking
        if called or (not known(node.op) and node.op not in functions) or node.op in lacking:
            found.append(node)
    return found


def _described(op: str, name: str) -> str:
    library = ops.origin(op)
    return f"{op} ({name}{f'; from {library}' if library else ''})"


def _statically(evidence: Evidence) -> tuple[str, ...]:
    """What comparing the two graphs without running them says, where nothing can be run."""
    if evidence.divergences:
        return ()
    return ("Compared without running, both graphs have the same nodes, wiring and weights.",)


class StatefulReference(Cause):
    """Running the reference changes it."""

    id = "stateful-reference"
    title = "the reference changes when it is run"
    page = Page(
        what="The outputs of the reference hang on an op that assigns to a variable, so each run changes the"
        " next one: the reference is not a function of its inputs, and nothing can be equal to it.",
        how="A training graph stands in for the inference graph: quantisation-aware training moves its ranges"
        " (`tf.contrib.quantize.create_training_graph`), an update of a running statistic feeds the output.",
        proof="Assigning ops among the nodes that the outputs need through data inputs, dead branches left"
        " out. Two runs of such a graph differ.",
        fix="Name the `.meta` of the inference graph under `meta`, or a function that builds it under"
        " `builder` (`create_eval_graph`, `is_training=False`).",
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        graph = evidence.reference.graph
        part = Half.of(evidence.reference).part
        found = [each for each in effects(graph, part) if ops.writes(each.op)]
        if not found:
            return
        variables = [written_variable(graph, each.node) or each.node for each in found]
        first = found[0]
        output = next(
            (output for output in evidence.reference.outputs if first.node in graph.live([output.node])),
            evidence.reference.outputs[0],
        )
        more = f" ({len(found) - 1} more such ops)" if len(found) > 1 else ""
        yield Suspicion(
            cause=self.id,
            nodes=tuple(dict.fromkeys(each.node for each in found)),
            scopes=layers_of(variables),
            message=f"Running {output} of {evidence.setting.reference_name} also runs {first.op} {first.node}, which"
            f" changes {variables[0]}{more}: the reference is not a function of its inputs.",
            fix="Use the inference graph: name its .meta under `meta`, or a function that builds it under"
            " `builder`, without update ops (create_eval_graph, is_training=False).",
        )


CAUSES: tuple[Cause, ...] = (
    UnloadableReferences(),
    ExportNotFrozen(),
    UnregisteredOp(),
    StatefulReference(),
)
