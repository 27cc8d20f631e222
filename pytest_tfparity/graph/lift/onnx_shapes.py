"""What is known of an ONNX file's shapes while it is translated: whole numbers that are computed from sizes.

Exporters compute the shape of a ``Reshape`` from that of an image, element by element. Of such lists each number is
either known or not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from ..read.onnx import OnnxNode

Numbers: TypeAlias = "tuple[int | None, ...]"
"""A list of whole numbers, or a single one; None for a number that is not known."""
_MOST = 16
"""Numbers of a list that is followed: no shape has more."""

_Known: TypeAlias = Callable[[int], "Numbers | None"]
_PASSED_ON = frozenset({"Cast", "Identity", "Unsqueeze", "Squeeze"})
_PAIRS: Mapping[str, Callable[[int, int], int]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.floordiv,
    "Max": max,
    "Min": min,
}


def numbers_of(
    node: OnnxNode, dims: tuple[int, ...] | None, known: _Known, axes: Callable[[], Sequence[int] | None]
) -> Numbers | None:
    """What ``node`` computes, as far as it is known; None where that is no short list of whole numbers.

    ``dims`` is the shape of its first input, ``known`` gives what is known of an input, ``axes`` its axes.
    """
    if node.op == "Shape":
        return _sizes(node, dims)
    if node.op == "Concat":
        return _concatenated([known(position) for position in range(len(node.inputs))])
    first = known(0)
    if first is None:
        return None
    if node.op in _PASSED_ON:
        return first
    if node.op == "Reshape":
        return first if len(first) == 1 else None
    if node.op in _PAIRS:
        return _combined(_PAIRS[node.op], first, known(1) if len(node.inputs) == 2 else None)
    if node.op == "Gather":
        return _gathered(first, known(1))
    if node.op == "ReduceProd":
        return (_product(first),)
    return _sliced(node, first, known, axes()) if node.op == "Slice" else None


def _sizes(node: OnnxNode, dims: tuple[int, ...] | None) -> Numbers | None:
    if dims is None or len(dims) > _MOST or "start" in node.attrs or "end" in node.attrs:
        return None
    return tuple(None if size < 0 else size for size in dims)


def _concatenated(parts: Sequence[Numbers | None]) -> Numbers | None:
    found: list[int | None] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return tuple(found) if len(found) <= _MOST else None


def _combined(by: Callable[[int, int], int], first: Numbers, second: Numbers | None) -> Numbers | None:
    if second is None or (len(first) != len(second) and 1 not in (len(first), len(second))):
        return None
    count = max(len(first), len(second))
    pairs = zip(first * (count // len(first)), second * (count // len(second)), strict=True)
    try:
        return tuple(None if a is None or b is None else by(a, b) for a, b in pairs)
    except ZeroDivisionError:
        return None


def _gathered(first: Numbers, indices: Numbers | None) -> Numbers | None:
    if indices is None or not all(
        index is not None and -len(first) <= index < len(first) for index in indices
    ):
        return None
    return tuple(first[index] for index in indices if index is not None)


def _product(numbers: Numbers) -> int | None:
    found = 1
    for number in numbers:
        if number is None:
            return None
        found *= number
    return found


def _sliced(node: OnnxNode, first: Numbers, known: _Known, axes: Sequence[int] | None) -> Numbers | None:
    steps: Numbers | None = (1,)
    if len(node.inputs) > 1:
        starts, ends = known(1), known(2)
        steps = known(4) if len(node.inputs) > 4 else steps
    else:
        starts, ends = (_whole(node.attrs.get(name)) for name in ("starts", "ends"))
    if axes not in (None, (0,), [0]) or any(each is None or len(each) != 1 for each in (starts, ends, steps)):
        return None
    start, end, step = ((each or (None,))[0] for each in (starts, ends, steps))
    return None if start is None or end is None or not step else first[start:end:step]


def _whole(stated: object) -> Numbers | None:
    """An attribute that is a list of whole numbers."""
    if not isinstance(stated, tuple) or not all(isinstance(each, int) for each in stated):
        return None
    return tuple(stated)
