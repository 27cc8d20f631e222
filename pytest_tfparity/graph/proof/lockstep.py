"""Two graphs walked side by side: where both are the same nodes throughout, they compute the same.

The cheap case of a proof: an export that freezing made of the reference's graph, and that nothing rewrote since. Each
step is one that the normal form takes too, and asks for no more than the two nodes in front of it. Whatever else there
is (a conditional, a loop, a function, an effect, another spelling) ends the walk; then the normal forms decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from .. import ops
from ..graph import Graph, Node, Tensor, TensorName
from ..normal.attributes import meaningful
from ..normal.form import NormalNode
from ..predicates import fed_tensor
from ..references import may_change
from ..valid import has_cycle
from ..variables import Variables
from .fingerprint import Contents, own_encoding

if TYPE_CHECKING:
    from .proof import Side

_Kind: TypeAlias = Literal["hands on", "computes", "constant", "variable", "beside"]
"""What the walk knows of an op; ``beside``: nothing but that it may run without a trace in what is read."""
_Found: TypeAlias = tuple[Node, int]
"""A node, and which of its outputs."""

_INPUT = "<input>"
"""The op of a node that stands for a tensor that is fed; no file can hold one, since a file's ops are looked up."""
_OTHERWISE = (
    ops.SWITCHES | ops.MERGES | ops.ENTERS | ops.EXITS | ops.NEXT_ITERATIONS | ops.FUNCTIONAL | ops.CALLS
    | {"LoopCond", "IdentityN", "Gather", "ResourceGather"}
)  # fmt: skip
"""Ops that the normal form makes something else of, or that say when others run."""


def in_lockstep(reference: Side, export: Side, contents: Contents) -> bool:
    """Whether both sides are the same ops on the same constants, tensor by tensor: then so are their outputs.

    False where that is not so, or is more than this walk can tell. Both have as many inputs and as many outputs.
    Raises UnreadableFile, ModelError where a constant cannot be read.

    Each tensor gets a partner, from the outputs on: the same output of the same op, whose inputs are partners again;
    the same input; or a constant with the same bits. No tensor of the export depends on itself, so that partners
    compute the same follows from the inputs on.
    """
    if not (_is_plain(reference.graph) and _is_plain(export.graph)) or has_cycle(export.graph):
        return False
    one, other = _Steps(reference), _Steps(export)
    partners: dict[int, Node] = {}
    pairs = list(zip(reference.outputs, export.outputs, strict=True))
    while pairs:
        tensor, given = pairs.pop()
        found, partner = one.source(tensor), other.source(given)
        if found is None or partner is None or found[1] != partner[1]:
            return False
        node, match = found[0], partner[0]
        known = partners.get(id(node))
        if known is match:
            continue
        if not _are_alike(node, match, contents):
            return False
        if known is None:
            partners[id(node)] = match
            pairs += zip(node.inputs, match.inputs, strict=True)
        elif node.inputs:  # written once on one side and twice on the other
            return False
    return one.ends_well() and other.ends_well()


def _is_plain(graph: Graph) -> bool:
    """Whether a graph is one that this walk may be tried on."""
    return not graph.functions and not graph.demands


class _Steps:
    """The steps on one side, from a tensor to the node that computes it."""

    def __init__(self, side: Side) -> None:
        self._nodes = side.graph.nodes
        self._variables = Variables(side.graph, side.variables)
        self._values: dict[str, _Found | None] = {}
        self._waits: dict[str, Sequence[str]] = {}
        # What is fed, and what was found through nodes that only hand on.
        self._known: dict[TensorName, _Found | None] = {}
        for tensor, array in side.feeds.items():
            self._known[tensor] = _held(tensor.node, fed_tensor(self._nodes.get(tensor.node), array))
        for index, tensor in enumerate(side.inputs):
            self._known[tensor] = Node(tensor.node, _INPUT, attrs={"index": index}), 0
        self._fed = frozenset(self._known)

    def source(self, tensor: TensorName) -> _Found | None:
        """What computes ``tensor``, a variable as the constant that it holds; None where that cannot be told."""
        handed: list[TensorName] = []
        while tensor not in self._known:
            node = self._nodes.get(tensor.node)
            if node is None:
                return None
            if node.controls:
                self._waits[node.name] = node.controls
            kind = _kind(node.op)
            if kind == "computes":
                found: _Found | None = node, tensor.port
                break
            if tensor.port:
                return None
            if kind != "hands on":
                found = self._value(node, kind)
                break
            if not node.inputs or len(handed) > len(self._nodes):
                return None
            handed.append(tensor)
            tensor = node.inputs[0]
        else:
            found = self._known[tensor]
        for each in handed:
            self._known[each] = found
        return found

    def _value(self, node: Node, kind: _Kind | None) -> _Found | None:
        """The constant that ``node`` is; None if it is none."""
        if kind == "constant":
            value = node.attrs.get("value")
            sound = isinstance(value, Tensor) and node.attrs.get("dtype", value.dtype) == value.dtype
            return (node, 0) if sound and not node.inputs else None
        if kind != "variable" or node.inputs or node.controls:
            return None
        if node.name not in self._values:
            held = self._variables.value(node)
            self._values[node.name] = None if held is None else _held(node.name, held)
        return self._values[node.name]

    def ends_well(self) -> bool:
        """Whether what the nodes that were met wait for may run without a trace."""
        stack = [name for controls in self._waits.values() for name in controls]
        seen = set(stack)
        while stack:
            node = self._nodes.get(stack.pop())
            if node is None or _kind(node.op) is None:
                return False
            needed = {source.node for source in node.inputs if source not in self._fed}.union(node.controls)
            stack += needed - seen
            seen |= needed
        return True


def _held(name: str, value: Tensor) -> _Found:
    return Node(name, "Const", attrs={"dtype": value.dtype, "value": value}), 0


@cache
def _kind(op: str) -> _Kind | None:
    """What kind of op it is; None of one that ends the walk."""
    known = ops.registered(op)
    if known is None or may_change(op) or op in _OTHERWISE or op.startswith("TensorArray"):
        return None
    if op in ops.PASS_THROUGH or op == "PlaceholderWithDefault":
        return "hands on"
    if op in ops.VARIABLES:
        return "variable"
    if op == "Const":
        return "constant"
    return "computes" if known.pure and op not in ops.PLACEHOLDERS else "beside"


def _are_alike(node: Node, other: Node, contents: Contents) -> bool:
    """Whether two nodes do the same with their inputs."""
    if node.op != other.op or len(node.inputs) != len(other.inputs):
        return False
    value, given = node.attrs.get("value"), other.attrs.get("value")
    if node.op == "Const" and isinstance(value, Tensor) and isinstance(given, Tensor):
        return contents.alike(value, given)
    if node.attrs is other.attrs:
        return True
    return _own(node, contents) == _own(other, contents)


def _own(node: Node, contents: Contents) -> bytes:
    return own_encoding(NormalNode("", node.op, attrs=meaningful(node.op, node.attrs)), contents)
