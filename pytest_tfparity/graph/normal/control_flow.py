"""Conditionals, loops and calls of both generations: which side lives, which function runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..graph import Attr, Function, FunctionBody, Node, TensorName
from .attributes import ALIASES, listed, plain_op
from .form import Edge, Guard
from .values import Scalar

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_BRANCHES = {"If": ("then_branch", "else_branch"), "While": ("cond", "body"), "Case": ("branches",)}
FUNCTIONAL = frozenset({*_BRANCHES, "StatelessIf", "StatelessWhile", "StatelessCase"})
"""Ops that run functions and may stay in the normal form."""
CALLERS = FUNCTIONAL | CALLS


def is_back_edge(nodes: Mapping[str, Node], source: TensorName) -> bool:
    """Whether a tensor that a Merge reads comes from the end of a loop."""
    seen: set[str] = set()
    while source.node not in seen:
        seen.add(source.node)
        node = nodes.get(source.node)
        if node is None:
            return False
        if plain_op(node.op) == "NextIteration":
            return True
        if node.op not in ALIASES or not node.inputs:
            return False
        source = node.inputs[0]
    return False


def functions_of(node: Node) -> Iterator[tuple[str, Function]]:
    """The functions that a conditional or loop runs, each with the attribute that names it."""
    for attr in _BRANCHES[plain_op(node.op)]:
        value = node.attrs.get(attr)
        if isinstance(value, Function):
            yield attr, value
        else:
            for number, each in enumerate(listed(value) or ()):
                if isinstance(each, Function):
                    yield f"{attr} {number}", each


def callee(
    node: Node,
    edges: Sequence[Edge],
    value: Callable[[Edge], Scalar | None],
    functions: Mapping[str, FunctionBody],
) -> tuple[Function | None, Sequence[Edge]]:
    """The one function that ``node`` runs and its arguments; None if that depends on the input."""
    if node.op in functions:
        return Function(node.op, node.attrs), edges
    if node.op in CALLS:
        return _function(node.attrs.get("f")), edges
    kind = plain_op(node.op)
    if kind == "While" or not edges:
        return None, edges
    chosen = value(edges[0])
    if chosen is None:
        return None, edges
    if kind == "If":
        return _function(node.attrs.get("then_branch" if chosen else "else_branch")), edges[1:]
    branches = listed(node.attrs.get("branches"))
    if not branches:
        return None, edges
    # Out of range means the last branch (functional_ops.cc, Case).
    index = int(chosen) if 0 <= int(chosen) < len(branches) else len(branches) - 1
    return _function(branches[index]), edges[1:]


def _function(value: Attr) -> Function | None:
    return value if isinstance(value, Function) else None


def exclusive(lives: Sequence[frozenset[Guard]]) -> bool:
    """Whether at most one of several tensors lives: any two need a predicate to be both true and false."""
    for position, life in enumerate(lives):
        opposite = {Guard(node, port, 1 - side) for node, port, side in life if side >= 0}
        if any(not opposite & other for other in lives[position + 1 :]):
            return False
    return True


def common_life(lives: Sequence[frozenset[Guard]]) -> frozenset[Guard] | None:
    """When a Merge of two opposite sides lives, if that no longer depends on their predicate."""
    if len(lives) != 2:
        return None
    first, second = lives
    decided = {
        (node, port) for node, port, side in first if side >= 0 and Guard(node, port, 1 - side) in second
    }
    rests = [frozenset(guard for guard in life if guard[:2] not in decided) for life in lives]
    return rests[0] if len(decided) == 1 and rests[0] == rests[1] else None
