"""Constants that hold the reference's in lower precision: how, and where they stand in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..graph.align.divergence import Divergence, Kind
from ..graph.edit.repair import Constant
from ..graph.graph import DType, Node, Tensor
from ..graph.read.tensors import values
from .alignment import divergences, reference_of
from .arrays import informative, is_float
from .evidence import Evidence
from .needed import live_export
from .places.weights import WrongConstant, wrong_constants
from .query import query
from .relations.half_precision import low_precision
from .relations.steps import HALF_STEP, equal_step

Precision: TypeAlias = Literal["float16", "bfloat16", "rounded", "8 bit"]

HALF, BFLOAT16 = 19, 14
_HALVES: Mapping[str, Precision] = {"float16": "float16", "bfloat16": "bfloat16"}
BYTES = frozenset({4, 6, 11, 12})
"""uint8, int8, qint8 and quint8, as ``types.proto`` numbers them."""
_FLOATS = frozenset({1, 2})
_LEAST_STEPS = 2
"""Fewer steps are no rounding: every value is one of two."""
_EIGHT_BITS = (250.0, 255.5)
"""Steps between smallest and largest value of 8 bits: 255, or 254 where -128 is left out, or a few less where the
range was widened so that 0 is a level."""
_NEAR_STEP = 0.02
"""How near the largest value may lie to the step that it is: values that float32 moves by half as much
are on no steps (:mod:`.relations.steps`)."""
_MOST_BEHIND = 24
"""How many nodes may turn a stored constant into the weight: a cast, a scale, an offset, a reshape. Measured: 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredConstant:
    """A constant of the export in lower precision than the reference's.

    ``node`` is the node of the export that gives the value, ``name`` what its layer is called after,
    ``right`` the value that it lowers. ``steps`` are those of a rounding to equal steps.
    """

    node: str
    name: str
    right: Tensor
    precision: Precision
    readers: tuple[str, ...]
    weight: bool
    steps: float | None = None

    @property
    def edit(self) -> Constant:
        """What puts it right."""
        return Constant(node=self.node, value=self.right)


@query
def lowered_constants(evidence: Evidence) -> tuple[LoweredConstant, ...]:
    """Every constant of the export that is the reference's in lower precision."""
    wrong = [each for each in evidence[wrong_constants] if _in_float(each.held) and _in_float(each.right)]
    images = [(one, each) for one in wrong if (each := _image_of(evidence, one)) is not None]
    # One number throughout is an image of much: it is one beside others that show it.
    shown = {each.precision for one, each in images if informative(values(one.held))}
    found = [each for _, each in images if each.precision in shown]
    known = {each.node for each in found}
    rest = [each for each in wrong if each.constant not in known]
    return (*found, *_rounded(rest), *_stored(evidence))


def _in_float(tensor: Tensor) -> bool:
    return tensor.dtype.number in (*_FLOATS, HALF, BFLOAT16)


def _image_of(evidence: Evidence, wrong: WrongConstant) -> LoweredConstant | None:
    """A constant that went through float16 or bfloat16: of its place's value, or of another tensor's."""
    if wrong.held.dtype.number not in _FLOATS:
        return None
    found = low_precision(values(wrong.held), values(wrong.right))
    if found is not None:
        return _half(wrong, wrong.right, found.kind)
    source = evidence.case.checkpoint.get(wrong.source or "")
    if source is None or source.shape != wrong.held.shape:
        return None
    return _half(wrong, source, wrong.kind)


def _half(wrong: WrongConstant, right: Tensor, kind: str) -> LoweredConstant | None:
    precision = _HALVES.get(kind)
    return None if precision is None else _lowered(wrong, right, precision)


def _lowered(
    wrong: WrongConstant, right: Tensor, precision: Precision, steps: float | None = None
) -> LoweredConstant:
    return LoweredConstant(
        node=wrong.constant,
        name=wrong.name,
        right=right,
        precision=precision,
        readers=wrong.readers,
        weight=wrong.key is not None,
        steps=steps,
    )


def _rounded(wrong: list[WrongConstant]) -> Iterator[LoweredConstant]:
    """Constants rounded to equal steps: large ones show it, and what they show holds for the small ones."""
    steps: dict[str, float] = {}
    for each in wrong:
        if _by_channel(each):
            yield _lowered(each, each.right, "8 bit")
        elif (step := _step(each)) is not None:
            steps[each.constant] = _range(each.right) / step
    if not steps:
        return
    fewest = min(steps.values())
    precisions = {
        each.constant: _precision_of_steps(each, steps[each.constant])
        for each in wrong
        if each.constant in steps
    }
    usual: Precision = "rounded" if "rounded" in precisions.values() else "8 bit"
    for each in wrong:
        count = steps.get(each.constant)
        if count is None and not _by_channel(each) and each.has_right_shape and _within(each, fewest):
            count = fewest
        if count is not None and count >= _LEAST_STEPS:
            yield _lowered(each, each.right, precisions.get(each.constant, usual), count)


def _step(wrong: WrongConstant) -> float | None:
    """The step between the values of a constant that was rounded to equal ones."""
    if not wrong.has_right_shape:
        return None
    relation = wrong.relation
    known = relation.factors[0] if relation is not None and relation.kind == "rounded" else None
    return known or equal_step(values(wrong.held), values(wrong.right))


def _precision_of_steps(wrong: WrongConstant, count: float) -> Precision:
    """Whether so many steps are those of eight bits: of the whole range, or of 127 or 128 to the largest value."""
    largest = float(np.abs(values(wrong.held)).max()) * count / (_range(wrong.right) or 1.0)
    symmetric = any(abs(largest - steps) < _NEAR_STEP for steps in (127, 128))
    return "8 bit" if symmetric or _EIGHT_BITS[0] < count < _EIGHT_BITS[1] else "rounded"


def _by_channel(wrong: WrongConstant) -> bool:
    """Whether each channel is the nearest of at most 256 equal steps of its own."""
    relation = wrong.relation
    return relation is not None and relation.kind == "rounded" and relation.axis is not None


def _range(tensor: Tensor) -> float:
    array = values(tensor)
    return float(array.max() - array.min()) if array.size else 0.0


def _within(wrong: WrongConstant, steps: float) -> bool:
    """Whether a constant is nowhere further from the right one than half a step of its own range."""
    held, right = values(wrong.held), values(wrong.right)
    if not informative(right):
        return False
    return bool(np.abs(np.subtract(held, right)).max() <= HALF_STEP * _range(wrong.right) / steps)


def _stored(evidence: Evidence) -> Iterator[LoweredConstant]:
    """Weights that the export stores in few bits and widens when it runs: a cast, ``Dequantize``, a scale."""
    nodes = evidence.export.graph.nodes
    for divergence in evidence[divergences]:
        if divergence.kind is not Kind.OP or not divergence.export:
            continue
        right = evidence.reference.value(divergence.reference[0])
        precision = _precision(nodes, divergence.export[0])
        if right is None or precision is None or not is_float(values(right)):
            continue
        node = divergence.reference[0]
        yield LoweredConstant(
            node=divergence.export[0],
            name=node,
            right=right,
            precision=precision,
            readers=divergence.readers,
            weight=node in evidence.case.keys,
        )


def _precision(nodes: Mapping[str, Node], top: str) -> Precision | None:
    """How the constants are stored that ``top`` alone is computed from; None if they are not lowered."""
    behind = _constant_part(nodes, top)
    if behind is None:
        return None
    stored = {number for node in behind.values() for number in _stored_types(node, top)}
    if stored & BYTES:
        return "8 bit"
    if len(behind) == 1 or not _widened(behind[top]):
        return None
    return "float16" if HALF in stored else "bfloat16" if BFLOAT16 in stored else None


def _constant_part(nodes: Mapping[str, Node], top: str) -> Mapping[str, Node] | None:
    """``top`` and all nodes that it is computed from; None if these are many, or not constants in the end."""
    found: dict[str, Node] = {}
    stack = [top]
    while stack:
        node = nodes.get(stack.pop())
        if node is None or len(found) > _MOST_BEHIND or (node.op != "Const" and not node.inputs):
            return None
        if node.name not in found:
            found[node.name] = node
            stack.extend(source.node for source in node.inputs)
    return found


def _stored_types(node: Node, top: str) -> Iterator[int]:
    """The types that a constant is stored in, or that a cast before ``top`` narrows it to."""
    held, narrow = node.attrs.get("value"), node.attrs.get("DstT")
    if node.op == "Const" and isinstance(held, Tensor) and len(held.shape) > 0:
        yield held.dtype.number
    if node.op == "Cast" and isinstance(narrow, DType) and node.name != top:
        yield narrow.number


def _widened(node: Node) -> bool:
    """Whether the value that ``node`` gives is a full float again."""
    given = node.attrs.get("DstT", node.attrs.get("T", node.attrs.get("dtype")))
    return not isinstance(given, DType) or given.number in _FLOATS


@query
def half_precision_nodes(evidence: Evidence) -> tuple[str, ...]:
    """The aligned nodes of the export that compute in half where the reference computes in full floats."""
    found = []
    for name, partner in evidence[reference_of].items():
        node, other = evidence[live_export].get(name), evidence.reference.graph.nodes.get(partner)
        if node is None or other is None or node.op in ("Cast", "Const"):
            continue
        types = [each.attrs.get("T") for each in (node, other)]
        numbers = [each.number for each in types if isinstance(each, DType)]
        if len(numbers) == 2 and numbers[0] in (HALF, BFLOAT16) and numbers[1] in _FLOATS:
            found.append(name)
    return tuple(found)


@query
def lost_fake_quants(evidence: Evidence) -> tuple[Divergence, ...]:
    """The places where the reference quantises, in training's fashion, and the export does not."""
    reference, export = evidence.reference.graph.nodes, evidence.export.graph.nodes
    return tuple(
        divergence
        for divergence in evidence[divergences]
        if any(_fakes(reference, name) for name in divergence.reference)
        and not any(_fakes(export, name) for name in divergence.export)
    )


def _fakes(nodes: Mapping[str, Node], name: str) -> bool:
    return name in nodes and (
        nodes[name].op.startswith("FakeQuant") or "QuantizeAndDequantize" in nodes[name].op
    )
