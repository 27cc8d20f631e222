"""Variables of a graph as constants, as freezing writes them: so that a repair can exchange their values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from ..graph import Attr, DType, Graph, Node, Tensor, TensorName
from ..references import References
from ..variables import Variables, storage_of
from .repair import constant_node, tensor_of_array

_INT32 = DType(3)
_READS = {"VarHandleOp": frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"})}
_REFERENCE_READS = frozenset({"Identity"})


def frozen(graph: Graph, values: Mapping[str, Tensor]) -> Graph:
    """``graph`` with the variables that have one of ``values`` and are only read as constants of their names.

    A variable that anything else refers to, a loop or what may assign to it, under any name, stays one. Of a gather
    the axis is a constant beside it, as ``convert_variables_to_constants`` writes it.
    """
    known = _unchanged(graph, values)
    nodes = dict(graph.nodes)
    for name, readers in _readers(graph, known).items():
        waits = graph.nodes[name].controls
        nodes[name] = constant_node(name, known[name])._replace(controls=waits)
        for reader in readers:
            nodes.update(_read(nodes[reader], known[name], nodes))
    return replace(graph, nodes=nodes)


def _unchanged(graph: Graph, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The variables of ``graph`` with their values, of those that nothing in it may change."""
    references = References(graph.nodes.get, graph.functions)
    writers = [writer for node in graph.nodes.values() if (writer := references.writer(node))]
    variables = Variables(graph, values)
    return {
        name: value
        for name in values
        if name in graph.nodes
        and (value := variables.value(graph.nodes[name])) is not None
        and not any(writer.changes(storage_of(graph.nodes[name])) for writer in writers)
    }


def _readers(graph: Graph, variables: Collection[str]) -> dict[str, list[str]]:
    """The nodes that read each of ``variables``, without those that something else refers to."""
    readers: dict[str, list[str]] = {name: [] for name in variables}
    for node in graph.nodes.values():
        for position, source in enumerate(node.inputs):
            if source.node in readers:
                reads = node.op in _READS.get(graph.nodes[source.node].op, _REFERENCE_READS) and not position
                if reads:
                    readers[source.node].append(node.name)
                else:
                    del readers[source.node]
    return readers


def _read(node: Node, value: Tensor, taken: Mapping[str, Node]) -> dict[str, Node]:
    """What reads a constant as ``node`` reads a variable."""
    if node.op in ("Identity", "ReadVariableOp"):
        return {node.name: node._replace(op="Identity", attrs={"T": value.dtype})}
    if node.op == "VariableShape":
        return {node.name: node._replace(op="Shape", attrs={**_kept(node, "out_type"), "T": value.dtype})}
    indices = _kept(node, "Tindices")
    if node.op == "ResourceGatherNd":
        return {node.name: node._replace(op="GatherNd", attrs={**indices, "Tparams": value.dtype})}
    name, number = f"{node.name}/axis", 0
    while name in taken:
        number += 1
        name = f"{node.name}/axis_{number}"
    axis = constant_node(name, tensor_of_array(np.array(0, np.int32)))
    attrs = {**indices, **_kept(node, "batch_dims"), "Tparams": value.dtype, "Taxis": _INT32}
    gather = node._replace(op="GatherV2", inputs=(*node.inputs, TensorName(name, 0)), attrs=attrs)
    return {node.name: gather, name: axis}


def _kept(node: Node, name: str) -> dict[str, Attr]:
    return {name: node.attrs[name]} if name in node.attrs else {}
