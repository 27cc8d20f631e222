"""What a model computes inside: tensors of its graph, also where what they are made of is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..graph.edit.writer import node_bytes
from ..graph.graph import Array, DType, Graph, Node, Shape, TensorName
from ..graph.read.tensors import base_dtype, numpy_dtype
from ..graph.signatures import ANY, types_of
from .session import Sessions, Source
from .tensorflow import tensorflow


def inner_values(
    source: Source,
    inputs: Mapping[str, Array],
    tensors: Sequence[TensorName],
    given: Mapping[TensorName, Array],
) -> dict[TensorName, Array]:
    """What the model computes for ``tensors`` where all that reads one of ``given`` reads that value.

    A tensor itself is still computed where it is given, too. What is given for a tensor of no known float type is left
    out. Raises ModelError, FeedError.
    """
    types = {tensor: dtype for tensor in given if (dtype := _float_type(source.graph, tensor)) is not None}
    cuts = {tensor: TensorName(_unused(source.graph, tensor), 0) for tensor in types}
    graph = _cut(source.graph, cuts, types)
    sessions = Sessions(replace(source, graph=graph, graph_def=lambda: _graph_def(source, graph)))
    feeds = {str(cut): given[tensor].astype(numpy_dtype(types[tensor])) for tensor, cut in cuts.items()}
    try:
        found = sessions.run({**inputs, **feeds}, list(map(str, tensors)), "graph")
    finally:
        sessions.close()
    return {tensor: np.asarray(found[str(tensor)]) for tensor in tensors}


def _float_type(graph: Graph, tensor: TensorName) -> DType | None:
    node = graph.nodes.get(tensor.node)
    types = None if node is None else types_of(node.op, node.attrs)
    if types is None or tensor.port >= len(types[1]) or types[1][tensor.port] == ANY:
        return None
    dtype = base_dtype(DType(types[1][tensor.port]))
    kind = numpy_dtype(dtype)
    return dtype if kind is not None and kind.kind == "f" else None


def _unused(graph: Graph, tensor: TensorName) -> str:
    name = f"{tensor.node}/given_{tensor.port}"
    while name in graph.nodes:
        name += "_"
    return name


def _cut(graph: Graph, cuts: Mapping[TensorName, TensorName], types: Mapping[TensorName, DType]) -> Graph:
    """The graph in which what reads a tensor of ``cuts`` reads a placeholder in its stead."""
    nodes = {
        cut.node: Node(cut.node, "Placeholder", attrs={"dtype": types[tensor], "shape": Shape(None)})
        for tensor, cut in cuts.items()
    }
    for name, node in graph.nodes.items():
        read = tuple([cuts.get(source, source) for source in node.inputs])
        nodes[name] = node if read == node.inputs else node._replace(inputs=read)
    return replace(graph, nodes=nodes)


def _graph_def(source: Source, graph: Graph) -> Any:
    original = source.graph_def()
    found = tensorflow().compat.v1.GraphDef()
    found.versions.CopyFrom(original.versions)
    found.library.CopyFrom(original.library)
    for node in graph.nodes.values():
        found.node.add().ParseFromString(node_bytes(node, bare=True))
    return found
