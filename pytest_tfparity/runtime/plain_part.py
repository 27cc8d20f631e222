"""A part of a graph without functions, variables and tables, in a session of TensorFlow's C library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import FeedError
from ..graph import ops
from ..graph.edit.pruning import Part
from ..graph.edit.writer import node_bytes
from ..graph.graph import Array, DType, Graph, Node, Shape, Tensor, TensorName
from ..graph.read import messages
from ..graph.signatures import ANY, types_of
from .c_library import CSession, Refused, c_library
from .feeds import tensor_spec
from .importing import placeholder_names
from .session_config import SessionKind
from .weights import weights_of

_LEFT_OUT = frozenset({"_output_shapes", "_class"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPart:
    """An opened part; ``fed`` maps tensors that can be fed to placeholders, ``weights`` are fed at every run."""

    session: CSession
    fed: Mapping[TensorName, str]
    weights: Mapping[str, Tensor]

    @classmethod
    def opened(
        cls,
        graph: Graph,
        part: Part,
        outputs: Sequence[TensorName],
        feeds: Mapping[TensorName, Array],
        kind: SessionKind,
        *,
        feed_weights: bool,
    ) -> PlainPart | None:
        """``part`` of ``graph``, which is plain; None where only Python's package runs it, or says why not.

        It is imported as :func:`.importing.import_part` does.
        """
        library = c_library()
        if library is None or any(value.dtype.hasobject for value in feeds.values()):
            return None
        fed = placeholder_names(part, outputs, feeds)
        weights = weights_of(part, {*outputs, *fed}) if feed_weights else {}
        try:
            placeholders = [
                _placeholder(graph, tensor, name, feeds[tensor].ndim) for tensor, name in fed.items()
            ]
            nodes = [*placeholders, *_nodes(part, fed, weights)]
            session = CSession.of_graph_def(library, _graph_def(graph, nodes), kind)
        except (Refused, FeedError):
            return None
        return cls(session=session, fed=fed, weights=weights)

    def run(self, wanted: Mapping[str, TensorName], feeds: Mapping[TensorName, Array]) -> dict[str, Array]:
        """The values of ``wanted``, by its keys. Raises Refused."""
        names = [
            str(TensorName(self.fed[tensor], 0) if tensor in self.fed else tensor)
            for tensor in wanted.values()
        ]
        given = {f"{self.fed[tensor]}:0": value for tensor, value in feeds.items() if tensor in self.fed}
        held = {f"{name}:0": weight.array for name, weight in self.weights.items()}
        return dict(zip(wanted, self.session.run(names, given | held), strict=True))


def is_plain(part: Part) -> bool:
    """Whether a part is made of nodes alone that need nothing but their inputs."""
    return not (part.functions or part.initialisers or part.contexts) and not any(
        node.op in ops.VARIABLES for node in part.nodes.values()
    )


def _placeholder(graph: Graph, tensor: TensorName, name: str, rank: int) -> Node:
    """A placeholder for ``tensor``, of the rank that is given where the graph does not say. Raises Refused."""
    known = tensor_spec(graph, tensor)
    dtype = known.dtype or _output_type(graph.nodes[tensor.node], tensor.port)
    dims = known.dims if known.dims is not None else (-1,) * rank
    return _placeholder_node(name, dtype, dims)


def _placeholder_node(name: str, dtype: DType, dims: tuple[int, ...]) -> Node:
    return Node(name=name, op="Placeholder", attrs={"dtype": dtype, "shape": Shape(dims)})


def _output_type(node: Node, port: int) -> DType:
    types = types_of(node.op, node.attrs)
    if types is None or port >= len(types[1]) or types[1][port] == ANY:
        raise Refused(f"the type of {node.name}:{port} is not known")
    return DType(types[1][port] % 100)


def _nodes(part: Part, fed: Mapping[TensorName, str], weights: Mapping[str, Tensor]) -> Iterator[Node]:
    for name, node in part.nodes.items():
        if name in weights:
            yield _placeholder_node(name, weights[name].dtype, weights[name].shape)
            continue
        yield node._replace(
            inputs=tuple(TensorName(fed[source], 0) if source in fed else source for source in node.inputs),
            controls=part.controls.get(name, ()),
            attrs=_attributes(node),
        )


def _attributes(node: Node) -> Mapping[str, Any]:
    kept = {key: value for key, value in node.attrs.items() if key not in _LEFT_OUT}
    return {**kept, "N": len(node.inputs)} if node.op in ops.MERGES else kept


def _graph_def(graph: Graph, nodes: Sequence[Node]) -> bytes:
    """A serialized ``GraphDef``."""
    raw = messages.GraphDef()
    raw.versions.producer = graph.producer
    for node in nodes:
        raw.node.add().ParseFromString(node_bytes(node))
    data: bytes = raw.SerializeToString()
    return data
