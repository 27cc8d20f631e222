"""What an integer output decides, and of which float tensors: the largest of a row, the sign of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .. import ops
from ..graph import DType, Graph, Node, TensorName
from ..predicates import constant_scalar
from .types import WIDE

DecisionKind: TypeAlias = Literal["largest", "ranked", "sign", "floor", "ceil", "round", "truncate"]
"""``largest``: where the largest of a row stands; ``ranked``: where its k largest stand, in their order; ``sign``:
whether a difference is above 0; the others: the whole number beside a value."""
_ROUNDERS: Mapping[str, DecisionKind] = {"Floor": "floor", "Ceil": "ceil", "Round": "round", "Rint": "round"}
_EXTREMES = {"ArgMax": 1, "ArgMin": -1}
_WIDE_INTEGERS = frozenset({3, 9, 22, 23})
"""int32, int64, uint32 and uint64, which hold the place of any element."""
_BOOL = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How an integer output follows from float tensors; its elements stand in the order in which they are decided.

    What is decided on is ``sign`` times ``operands[0]``, or times ``operands[0] - operands[1]`` where there are two.
    ``axis`` is that of the rows of a ``largest`` or ``ranked``.
    """

    kind: DecisionKind
    operands: tuple[TensorName, ...]
    sign: int = 1
    axis: int = -1


def decision_behind(graph: Graph, output: TensorName) -> Decision | None:
    """The decision that the integers of ``output`` are, as they are or in another shape or type; None for any other."""
    seen: set[str] = set()
    while True:
        node = graph.nodes.get(output.node)
        if node is None or node.name in seen:
            return None
        seen.add(node.name)
        if not _hands_on(node):
            return _decision(graph, node, output.port)
        output = node.inputs[0]


def _hands_on(node: Node) -> bool:
    """Whether ``node`` gives the integers that it is given, in their order."""
    if node.op != "Cast":
        return node.op in ops.PASS_THROUGH | ops.RESHAPES
    given, wanted = (_number(node, name) for name in ("SrcT", "DstT"))
    return wanted in _WIDE_INTEGERS and (given in _WIDE_INTEGERS or given == _BOOL)


def _decision(graph: Graph, node: Node, port: int) -> Decision | None:
    if node.op in _EXTREMES:
        dimension = graph.nodes.get(node.inputs[1].node)
        axis = None if dimension is None else constant_scalar(dimension)
        if axis is None:
            return None
        return Decision(kind="largest", operands=node.inputs[:1], sign=_EXTREMES[node.op], axis=int(axis))
    if node.op in ("TopK", "TopKV2") and port == 1 and node.attrs.get("sorted") is not False:
        return Decision(kind="ranked", operands=node.inputs[:1])
    if node.op in ops.INEQUALITIES:
        return Decision(
            kind="sign", operands=node.inputs[:2], sign=1 if node.op.startswith("Greater") else -1
        )
    if node.op == "Cast" and _number(node, "SrcT") in WIDE:
        return _whole(graph, node.inputs[0])
    return None


def _whole(graph: Graph, value: TensorName) -> Decision:
    """The whole number that a cast makes of ``value``, which may have been rounded before."""
    before = graph.nodes.get(value.node)
    if before is not None and before.op in _ROUNDERS:
        return Decision(kind=_ROUNDERS[before.op], operands=before.inputs[:1])
    return Decision(kind="truncate", operands=(value,))


def _number(node: Node, attribute: str) -> int | None:
    kind = node.attrs.get(attribute)
    return kind.number if isinstance(kind, DType) else None
