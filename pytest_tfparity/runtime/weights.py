"""Large constants of a graph held in variables: TensorFlow copies what a constant holds some five times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any, TypeVar

from ..graph.edit.pruning import Part
from ..graph.graph import Array, Node, Tensor, TensorName
from ..graph.read.mapped import count_read

_LARGE = 1 << 14
"""Constants of more elements are held in variables, where that is asked for.

Measured with TensorFlow 2.21, of float32, for opening a session and one run, when such a constant was fed: one of 1,024
elements costs 0.06 ms more than in the graph, one of 4,096 costs 0.08 ms less, one of 16,384 costs 0.45 ms less."""
_OF_WEIGHTS = frozenset({1, 2, 19})
"""float, double, half: what no shape is made of, and what numpy holds as TensorFlow does."""
_AT_ONCE = 64 << 20
"""Bytes that are fed in one run where several will do: what is fed is held twice until the run ends."""
_PREFIX = "tfparity_weight"

_Key = TypeVar("_Key")


def weights_of(part: Part, kept: Iterable[TensorName]) -> dict[str, Tensor]:
    """The large constants of the part that a variable can stand for; none of ``kept``."""
    if part.initialisers:  # which are run before any variable has a value
        return {}
    others = {tensor.node for tensor in kept}
    return {
        name: value
        for name, node in part.nodes.items()
        if (value := _large_constant(node)) is not None and name not in others and name not in part.controls
    }


def _large_constant(node: Node) -> Tensor | None:
    value = node.attrs.get("value") if node.op == "Const" else None
    if not isinstance(value, Tensor) or value.dtype.number not in _OF_WEIGHTS:
        return None
    return value if prod(value.shape) > _LARGE and min(value.shape, default=1) > 0 else None


def add_weight(definition: Any, name: str, value: Tensor, prefix: str = "") -> None:
    """Add to a ``GraphDef`` a node ``name`` that reads a variable like ``value``, with what gives it its value.

    ``prefix`` is that under which the graph will be imported.
    """
    variable, given = f"{_PREFIX}/{name}", f"{_PREFIX}/{name}/given"
    handle = definition.node.add(name=variable, op="VarHandleOp")
    handle.attr["shared_name"].s = _scoped(prefix, variable).encode()
    placeholder = definition.node.add(name=given, op="Placeholder")
    for node in (handle, placeholder):
        node.attr["shape"].shape.SetInParent()
        for size in value.shape:
            node.attr["shape"].shape.dim.add(size=size)
    assign = definition.node.add(name=f"{variable}/assign", op="AssignVariableOp", input=[variable, given])
    read = definition.node.add(name=name, op="ReadVariableOp", input=[variable])
    for node in (handle, placeholder, assign, read):
        node.attr["dtype"].type = value.dtype.number


def set_weights(session: Any, weights: Mapping[str, Tensor], prefix: str = "") -> None:
    """Give the variables of :func:`add_weight` their values. Raises OpError of TensorFlow."""
    for portion in portions(weights):
        places = {name: _scoped(prefix, f"{_PREFIX}/{name}") for name in portion}
        session.run(
            [session.graph.get_operation_by_name(f"{place}/assign") for place in places.values()],
            {f"{places[name]}/given:0": array for name, array in portion.items()},
        )


def portions(weights: Mapping[_Key, Tensor]) -> Iterator[dict[_Key, Array]]:
    """What ``weights`` hold, some at a time; use each before the next is asked for."""
    portion: dict[_Key, Array] = {}
    size = 0
    for key, weight in weights.items():
        array = weight.array
        if portion and size + array.nbytes > _AT_ONCE:
            yield portion
            _were_read(portion)
            portion, size = {}, 0
        portion[key] = array
        size += array.nbytes
    if portion:
        yield portion
        _were_read(portion)


def _were_read(portion: Mapping[_Key, Array]) -> None:
    for array in portion.values():
        count_read(array, array.nbytes)


def _scoped(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
