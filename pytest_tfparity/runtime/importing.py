"""A part of a graph, imported into a TensorFlow graph of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import FeedError, ModelError
from ..graph import ops
from ..graph.edit.pruning import Part
from ..graph.edit.writer import fill_bare
from ..graph.graph import DType, Graph, Tensor, TensorName
from ..wording import enumerated
from .feeds import tensor_spec
from .tensorflow import tensorflow
from .weights import add_weight, weights_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """``graph`` is a ``tf.Graph``; ``fed`` maps each tensor that can be fed to its placeholder there.

    ``weights`` are the large constants that are held in variables, by the name of the node that reads each: a session
    has to be given them (:func:`.weights.set_weights`).
    """

    graph: Any
    fed: Mapping[TensorName, str]
    weights: Mapping[str, Tensor]


def import_part(
    *,
    label: str,
    graph: Graph,
    graph_def: Any,
    part: Part,
    outputs: Sequence[TensorName],
    ranks: Mapping[TensorName, int],
    producer_ops: Any = None,
    hold_weights: bool = False,
) -> Imported:
    """Import ``part`` of ``graph_def`` (which ``graph`` was read from) into a fresh ``tf.Graph``.

    What large constants hold is taken from ``graph`` where ``graph_def`` lacks it (:meth:`.model.HasSession.outline`).

    The tensors of ``ranks`` are fed: each that the part reads becomes a placeholder; where its shape is not
    known it takes the rank given, so that shape inference refuses a wrong one before a kernel meets it.
    Devices, ``_output_shapes`` and ``_class`` are left out. ``producer_ops`` are the op definitions that the
    graph was written with. With ``hold_weights`` large constants are held in variables.
    Raises ModelError: unknown ops, a graph that TensorFlow refuses.
    """
    tf = tensorflow()
    _require_known_ops(label, graph, part)
    fed = placeholder_names(part, outputs, ranks)
    pruned = tf.compat.v1.GraphDef()
    pruned.versions.CopyFrom(graph_def.versions)
    for name in part.contexts:
        _add_context(pruned, graph_def, name, part.contexts[name])
    wanted = {tensor.node for tensor in fed}
    sources = {node.name: node for node in graph_def.node if node.name in wanted}
    for tensor, name in fed.items():
        known = tensor_spec(graph, tensor)
        dtype = known.dtype or _output_dtype(sources[tensor.node], tensor.port)
        _add_placeholder(pruned, name, dtype, known.dims if known.dims is not None else (-1,) * ranks[tensor])
    weights = weights_of(part, {*outputs, *fed}) if hold_weights else {}
    for node in graph_def.node:
        if node.name in weights:
            add_weight(pruned, node.name, weights[node.name])
        elif node.name in part.nodes:
            _add_node(pruned, node, part, fed)
    _add_functions(pruned, graph_def, part)
    try:
        return Imported(graph=_imported(tf, pruned, producer_ops), fed=fed, weights=weights)
    except (
        Exception
    ) as error:  # ValueError, TypeError, KeyError and every kind of OpError, as TensorFlow pleases
        raise _refused(tf, label, pruned, fed, graph, ranks, producer_ops, error) from None


def _imported(tf: Any, graph_def: Any, producer_ops: Any) -> Any:
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="", producer_op_list=producer_ops)
    return graph


def _refused(
    tf: Any,
    label: str,
    pruned: Any,
    fed: Mapping[TensorName, str],
    graph: Graph,
    ranks: Mapping[TensorName, int],
    producer_ops: Any,
    error: Exception,
) -> Exception:
    """The import's error as a sentence; a FeedError if the graph loads where no ranks are given."""
    reason = first_line(error)
    guessed = [tensor for tensor in fed if tensor_spec(graph, tensor).dims is None]
    if guessed:
        names = {fed[tensor] for tensor in guessed}
        for node in pruned.node:
            if node.name in names:
                node.attr["shape"].shape.Clear()
                node.attr["shape"].shape.unknown_rank = True
        try:
            _imported(tf, pruned, producer_ops)
        except Exception:  # the graph itself is refused, whatever is fed
            pass
        else:
            given = ", ".join(f"{tensor} with {ranks[tensor]} dimensions" for tensor in guessed)
            return FeedError(f"{label} does not take {given}: {reason}")
    if "_ref" in reason:
        reason += (
            " (it assigns to a variable that was frozen into a constant; build the inference graph without"
            " update ops and freeze that)"
        )
    return ModelError(f"TensorFlow {tf.__version__} does not load {label}: {reason}")


def first_line(error: Exception) -> str:
    """What an error of TensorFlow says, without the node's definition and the places in Python."""
    lines = [
        line.strip() for line in str(getattr(error, "message", None) or error).splitlines() if line.strip()
    ]
    node = next((place for place, line in enumerate(lines) if line.startswith("Node: ")), None)
    if node is not None:
        lines = lines[node + 1 :]
    lines = [
        line
        for line in lines
        if not line.startswith(("[[", "Graph execution error", "Detected at node", "File ", "Original stack"))
    ]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _require_known_ops(label: str, graph: Graph, part: Part) -> None:
    known = registered_ops()
    unknown: dict[str, list[str]] = {}
    for node in part.nodes.values():
        if node.op not in known and node.op not in graph.functions:
            unknown.setdefault(node.op, []).append(node.name)
    for function in part.functions:
        for inner in graph.functions[function].nodes:
            if inner.op not in known and inner.op not in graph.functions:
                unknown.setdefault(inner.op, []).append(f"{inner.name} of function {function}")
    if unknown:
        raise ModelError(
            f"{label} needs ops that TensorFlow {tensorflow().__version__} does not know: "
            + "; ".join(_unknown(op, nodes) for op, nodes in unknown.items())
            + ". Load the library that has them (tf.load_op_library) in conftest.py, or compare outputs"
            " before them."
        )


def _unknown(op: str, nodes: list[str]) -> str:
    library = ops.library_of(op)
    return f"{op} (node {enumerated(nodes, 1)}{f'; from {library}' if library else ''})"


class registered_ops:  # noqa: N801 - reads as the set that it is
    """The names of the ops that TensorFlow knows now, custom libraries included."""

    def __init__(self) -> None:
        tensorflow()
        from tensorflow.python.framework import op_def_registry

        self._registry = op_def_registry

    def __contains__(self, op: object) -> bool:
        return self._registry.get(op) is not None


def placeholder_names(
    part: Part, outputs: Sequence[TensorName], ranks: Iterable[TensorName]
) -> dict[TensorName, str]:
    """The tensors among ``ranks`` that the part reads or that are asked for, with a name for each."""
    read = part.read() | set(outputs)
    names = {}
    for tensor in ranks:
        if tensor in read:
            free = tensor.port == 0 and tensor.node not in part.nodes
            names[tensor] = tensor.node if free else f"tfparity_feed/{tensor.node}/{tensor.port}"
    return names


def _output_dtype(node_def: Any, port: int) -> DType:
    from tensorflow.python.framework import op_def_registry

    op_def = op_def_registry.get(node_def.op)
    for types in _output_types(op_def, node_def) if op_def is not None else ():
        if port < len(types):
            return DType(types[port] % 100)
        port -= len(types)
    raise FeedError(f"{node_def.name} ({node_def.op}) cannot be fed: the type of its output is not known.")


def _output_types(op_def: Any, node_def: Any) -> Iterator[list[int]]:
    for output in op_def.output_arg:
        if output.type_list_attr:
            yield list(node_def.attr[output.type_list_attr].list.type)
        else:
            dtype = node_def.attr[output.type_attr].type if output.type_attr else output.type
            yield [dtype] * (node_def.attr[output.number_attr].i if output.number_attr else 1)


def _add_placeholder(pruned: Any, name: str, dtype: DType, dims: Iterable[int]) -> None:
    node = pruned.node.add(name=name, op="Placeholder")
    node.attr["dtype"].type = dtype.number
    shape = node.attr["shape"].shape
    shape.SetInParent()
    for size in dims:
        shape.dim.add(size=size)


def _add_context(pruned: Any, graph_def: Any, name: str, source: TensorName) -> None:
    switch = next(node for node in graph_def.node if node.name == source.node)
    node = pruned.node.add(name=name, op="Identity", input=[_text(source)])
    node.attr["T"].CopyFrom(switch.attr["T"])


def _add_node(pruned: Any, original: Any, part: Part, fed: Mapping[TensorName, str]) -> None:
    node = pruned.node.add()
    node.CopyFrom(original)
    inputs = part.nodes[node.name].inputs
    del node.input[:]
    node.input.extend(fed[source] if source in fed else _text(source) for source in inputs)
    node.input.extend(f"^{control}" for control in part.controls.get(node.name, ()))
    if node.op in ops.MERGES:
        node.attr["N"].i = len(inputs)
    fill_bare(node, part.nodes[node.name])
    _strip(node)


def _strip(node: Any) -> None:
    node.device = ""
    for attribute in ("_output_shapes", "_class"):
        if attribute in node.attr:
            del node.attr[attribute]


def _add_functions(pruned: Any, graph_def: Any, part: Part) -> None:
    for function in graph_def.library.function:
        if function.signature.name in part.functions:
            copy = pruned.library.function.add()
            copy.CopyFrom(function)
            for node in copy.node_def:
                _strip(node)
            for attribute in ("_output_shapes", "_class"):
                if attribute in copy.attr:
                    del copy.attr[attribute]
    for gradient in graph_def.library.gradient:
        if {gradient.function_name, gradient.gradient_func} <= set(part.functions):
            pruned.library.gradient.add().CopyFrom(gradient)


def _text(tensor: TensorName) -> str:
    return str(tensor) if tensor.port else tensor.node
