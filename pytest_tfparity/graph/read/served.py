"""What a server computes for one signature of a SavedModel, as a plain graph.

Functions are written out, inputs and outputs have the names of the signature, variables the names that they were made
with. Which value of the checkpoint each variable takes is read off the restore function, by its wiring.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import ops
from ..graph import DType, Graph, Node, Shape, Tensor, TensorName, tensor_name
from ..references import References
from ..variables import Storage, storage_of
from ..written_out import WrittenOut
from .restore import RestoredKey, run_by, saver_keys
from .saved_model import SavedGraph, Signature, SignatureTensor

_STRING = DType(7)
_NO_NAME = re.compile(r"[^A-Za-z0-9_./\\-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One signature. ``inputs`` and ``outputs``: node of ``graph`` to the tensor of the file that it stands for.

    ``keys``: variable node to what it is restored from, ``live`` those that the outputs need. ``initialised`` are
    variables that the model's own initialisers change afterwards: their values are not known. ``loading`` are the nodes
    that a load of the model runs, for both.
    """

    graph: Graph
    inputs: Mapping[str, TensorName]
    outputs: Mapping[str, TensorName]
    keys: Mapping[str, RestoredKey]
    live: frozenset[str]
    initialised: frozenset[str]
    loading: tuple[str, ...]


def served(saved: SavedGraph, signature: Signature, names: Mapping[str, str], folder: Path) -> Served:
    """The graph of ``signature``; ``names`` are the variables' own by key, ``folder`` is where assets lie.

    Raises ModelError if the restore op is not in the graph.
    """
    graph = saved.meta.graph
    saver = saved.meta.saver
    run = [*saved.initialisers, *([tensor_name(saver.restore_op).node] if saver else [])]
    ends = [info.tensor for info in signature.outputs.values()]
    written = WrittenOut(_with_assets(graph, saved.assets, folder), ends, run)
    initialised = _initialised(written.graph, saved.initialisers)
    restored = saver_keys(written.graph, saver) if saver else {}
    keys = {name: key for name, key in restored.items() if name not in initialised}
    inputs = _named(signature.inputs)
    outputs = _named(signature.outputs, inputs)
    live = written.graph.live(str(written.tensor(info.tensor)) for info in outputs.values())
    own = {name: names.get(key.key, name) for name, key in keys.items() if name in live}
    renamed = _renamed(written.graph.nodes, own, {*inputs, *outputs})
    nodes = _with_names(written, renamed, inputs, outputs)
    return Served(
        graph=replace(written.graph, nodes=nodes),
        inputs={name: info.tensor for name, info in inputs.items()},
        outputs={name: info.tensor for name, info in outputs.items()},
        keys={renamed.get(name, name): key for name, key in keys.items()},
        live=frozenset(renamed.get(name, name) for name in keys.keys() & live.keys()),
        initialised=frozenset(renamed.get(name, name) for name in initialised),
        loading=tuple(renamed.get(name, name) for name in run),
    )


def node_name(name: str) -> str:
    """What a signature calls a tensor, as a name that a node can have."""
    plain = _NO_NAME.sub("_", tensor_name(name).node)
    return plain if plain[:1].isalnum() or plain[:1] == "." else f"x{plain}"


def _named(tensors: Mapping[str, SignatureTensor], taken: Collection[str] = ()) -> dict[str, SignatureTensor]:
    """The tensors of a signature by the names of their nodes, none of which is ``taken``."""
    found: dict[str, SignatureTensor] = {}
    for name, info in tensors.items():
        found[_free(node_name(name), {*taken, *found})] = info
    return found


def _initialised(graph: Graph, initialisers: Iterable[str]) -> frozenset[str]:
    """The variables of ``graph`` that the initialisers may change."""
    changed = _changed(graph, initialisers)
    return frozenset(
        name
        for name, node in graph.nodes.items()
        if node.op in ops.VARIABLES and (changed is None or storage_of(node) in changed)
    )


def _changed(graph: Graph, initialisers: Iterable[str]) -> frozenset[Storage] | None:
    """The variables that the initialisers change; None if that may be any."""
    references = References(graph.nodes.get, graph.functions)
    found: set[Storage] = set()
    for start in initialisers:
        for node in run_by(graph, start):
            writer = references.writer(node)
            if writer is not None:
                if writer.anything:
                    return None
                found |= writer.storages
    return frozenset(found)


def _with_assets(graph: Graph, assets: Mapping[TensorName, str], folder: Path) -> Graph:
    """``graph`` with the paths of assets as a loader feeds them."""
    nodes = dict(graph.nodes)
    for tensor, file in assets.items():
        if tensor.node in nodes:
            path = np.array(str(folder / "assets" / file).encode(), object)
            value = Tensor(_STRING, (), lambda path=path: path)  # type: ignore[misc]
            nodes[tensor.node] = Node(tensor.node, "Const", attrs={"dtype": _STRING, "value": value})
    return replace(graph, nodes=nodes)


def _renamed(nodes: Mapping[str, Node], own: Mapping[str, str], reserved: Collection[str]) -> dict[str, str]:
    """New names: variables take their ``own``, where only one has it; what stands in the way of a name gives way."""
    count = Counter(own.values())
    new = {
        node: name
        for node, name in own.items()
        if node != name and count[name] == 1 and name not in reserved and _NO_NAME.search(name) is None
    }
    taken = {*nodes, *new.values(), *reserved}
    for name in (*reserved, *new.values()):
        if name in nodes and name not in new:
            new[name] = _free(name, taken)
            taken.add(new[name])
    return new


def _free(name: str, taken: Container[str]) -> str:
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _with_names(
    written: WrittenOut,
    new: Mapping[str, str],
    inputs: Mapping[str, SignatureTensor],
    outputs: Mapping[str, SignatureTensor],
) -> Mapping[str, Node]:
    """The nodes under their ``new`` names, with a placeholder for each input and an identity for each output."""
    fed = {info.tensor: TensorName(name, 0) for name, info in reversed(list(inputs.items()))}

    def tensor(source: TensorName) -> TensorName:
        source = written.tensor(source)
        return fed.get(source) or TensorName(new.get(source.node, source.node), source.port)

    nodes = {}
    for name, node in written.graph.nodes.items():
        controls = tuple(new.get(each, each) for each in node.controls)
        moved = new.get(name, name)
        nodes[moved] = Node(moved, node.op, tuple(map(tensor, node.inputs)), controls, node.attrs)
    for name, info in inputs.items():
        shape = _placeholder_shape(written.graph.nodes.get(info.tensor.node)) or info.shape
        nodes[name] = Node(name, "Placeholder", attrs={"dtype": info.dtype, "shape": shape})
    for name, info in outputs.items():
        runs = tuple(new.get(each, each) for each in written.effects(info.tensor))
        nodes[name] = Node(name, "Identity", (tensor(info.tensor),), runs, {"T": info.dtype})
    return nodes


def _placeholder_shape(node: Node | None) -> Shape | None:
    """What a placeholder says of its shape, which can be more than the signature does."""
    shape = node.attrs.get("shape") if node is not None and node.op in ops.PLACEHOLDERS else None
    return shape if isinstance(shape, Shape) else None
