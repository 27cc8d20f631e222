"""A changed export as a GraphDef of TensorFlow: to run it, or to write it to a file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..graph.edit.writer import node_bytes
from ..graph.graph import Array, Graph, Node, TensorName
from ..graph.proof.proof import Side
from ..runtime.tensorflow import tensorflow
from ..settings.spec import ExportSpec
from .format import Model, SessionKind
from .frozen_graph import FrozenGraph


def graph_def_of(side: Side, names: Sequence[TensorName], export: Model, reference: Model) -> Any:
    """The changed export ``side`` as a ``tf.compat.v1.GraphDef`` whose outputs are called ``names``.

    Functions are those of both sides. Constant feeds become constants.
    """
    tf = tensorflow()
    found = tf.compat.v1.GraphDef()
    original = export.graph_def()
    found.versions.CopyFrom(original.versions)
    found.library.CopyFrom(original.library)
    bodies = side.graph.functions
    taken = {name for name, body in bodies.items() if body is not export.graph.functions.get(name)}
    if taken:
        kept = [each for each in found.library.function if each.signature.name not in taken]
        added = [each for each in reference.graph_def().library.function if each.signature.name in taken]
        del found.library.function[:]
        found.library.function.extend([*kept, *added])
    for node in _named(side, names).nodes.values():
        found.node.add().ParseFromString(node_bytes(node))
    return found


def run_repaired(
    side: Side,
    inputs: Mapping[str, Array],
    export: Model,
    reference: Model,
    *,
    session: SessionKind = "graph",
) -> dict[TensorName, Array]:
    """Run the changed export on ``inputs`` (by the export's names); its outputs by tensor name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repaired.pb"
        path.write_bytes(graph_def_of(side, side.outputs, export, reference).SerializeToString())
        with closing(FrozenGraph(ExportSpec(frozen_graph=path))) as model:
            feeds = {str(name): value for name, value in side.feeds.items()}
            found = model.run({**inputs, **feeds}, list(map(str, side.outputs)), session=session)
    return {name: found[str(name)] for name in side.outputs}


def _named(side: Side, names: Sequence[TensorName]) -> Graph:
    """The graph of ``side`` with its outputs under ``names``: what stood there before is renamed."""
    nodes = dict(side.graph.nodes)
    for output, name in zip(side.outputs, names, strict=True):
        if output == name or name.port != 0:
            continue
        if name.node in nodes:
            _rename(nodes, name.node, f"{name.node}_before_repair")
        dtype = _dtype(nodes.get(output.node))
        nodes[name.node] = Node(name=name.node, op="Identity", inputs=(output,), attrs=dtype)
    return Graph(nodes=nodes, functions=side.graph.functions, producer=side.graph.producer)


def _rename(nodes: dict[str, Node], old: str, new: str) -> None:
    for key, node in list(nodes.items()):
        if any(source.node == old for source in node.inputs):
            inputs = tuple(TensorName(new, s.port) if s.node == old else s for s in node.inputs)
            nodes[key] = replace(node, inputs=inputs)
    nodes[new] = replace(nodes.pop(old), name=new)


def _dtype(node: Node | None) -> dict[str, Any]:
    dtype = node.attrs.get("T", node.attrs.get("dtype")) if node is not None else None
    return {} if dtype is None else {"T": dtype}
