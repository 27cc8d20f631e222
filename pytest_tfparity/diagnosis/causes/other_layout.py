"""An export that wants its inputs in another layout: channels first where the reference has them last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import TfparityError
from ...graph.edit.repair import Rewrite, Wire, constant_node, tensor_of_array
from ...graph.edit.transposed import inverse
from ...graph.graph import Array, DType, Node, Shape, TensorName
from ...runtime.feeds import tensor_spec
from ...wording import enumerated
from ..cause import Cause, Suspicion
from ..evidence import Evidence
from ..runner import OutputArrays, Runner

_ORDERS: Mapping[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 2, 1),),
    4: ((0, 3, 1, 2), (0, 2, 3, 1)),
    5: ((0, 4, 1, 2, 3), (0, 2, 3, 4, 1)),
}
"""By the rank of an input: channels taken from the end to the front, and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turned:
    """Inputs of the reference by name in the layout ``orders`` that gives parity, and how outputs come then."""

    orders: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]


def _other_layout(evidence: Evidence) -> Iterator[Suspicion]:
    """Outputs that match once inputs are transposed."""
    found = next(_matching(evidence), None)
    if found is None:
        return
    case = evidence.case
    names = {
        str(right): got.node
        for right, got in zip(evidence.reference.inputs, evidence.export.inputs, strict=True)
    }
    turned = [f"{name}: {list(order)}" for name, order in found.orders.items()]
    given = [f"{name}: {list(order)}" for name, order in found.outputs.items()]
    states = f"State `transpose` for the inputs {', '.join(turned)}"
    yield Suspicion(
        cause="nhwc-transposed",
        nodes=tuple(names[name] for name in found.orders),
        scopes=tuple(names[name] for name in found.orders),
        message=(
            f"{case.export_name} takes {enumerated([names[name] for name in found.orders])} with its axes in"
            " another order than the reference."
        ),
        fix=states + (f", and for the outputs {', '.join(given)}." if given else "."),
        evidence=("fed in that order, it answers what the reference answers",),
        repair=() if found.outputs else tuple(_repair(evidence, found)),
    )


def _matching(evidence: Evidence) -> Iterator[_Turned]:
    """The layouts in which the export answers what the reference answers."""
    runner = evidence.case.runner
    if runner is None or not runner.answered:
        return
    for position in (0, 1):
        orders = _orders(evidence, runner.inputs, position)
        if not orders:
            continue
        inputs = {
            name: np.ascontiguousarray(np.transpose(value, orders[name])) if name in orders else value
            for name, value in runner.inputs.items()
        }
        try:
            answers = runner.answers("export", inputs)
            back = _turned_back(runner, answers, position)
        except TfparityError:
            continue
        if back is not None:
            yield _Turned(orders=orders, outputs=back)


def _turned_back(runner: Runner, answers: OutputArrays, position: int) -> dict[str, tuple[int, ...]] | None:
    """Which outputs must be transposed back, and from which order, so that all match; None where they do not."""
    judged, values = runner.judged(answers), list(answers)
    back: dict[str, tuple[int, ...]] = {}
    for index, (each, answer) in enumerate(zip(judged, answers, strict=True)):
        for order in _ORDERS.get(answer.ndim, ())[position : position + 1] if not each.passed else ():
            values[index] = np.ascontiguousarray(np.transpose(answer, inverse(order)))
            back[each.export] = order
    if back:
        judged = runner.judged(tuple(values))
    return back if judged and all(each.passed for each in judged) else None


def _orders(evidence: Evidence, inputs: Mapping[str, Array], position: int) -> dict[str, tuple[int, ...]]:
    """For each input that may be transposed, how: those whose transposed values the export takes."""
    found = {}
    pairs = zip(evidence.reference.inputs, evidence.export.inputs, strict=True)
    for right, got in pairs:
        value = inputs.get(str(right))
        if value is None or got.node not in evidence.export.graph.nodes:
            continue
        dims = tensor_spec(evidence.export.graph, got).dims
        for order in _ORDERS.get(value.ndim, ())[position : position + 1]:
            if dims is not None and _takes(dims, [value.shape[axis] for axis in order]):
                found[str(right)] = order
    return found


def _takes(dims: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether an input of ``dims`` takes an array of ``shape``; the leading dimension may be cut to size."""
    return len(dims) == len(shape) and all(
        size < 0 or size == given for size, given in zip(dims[1:], shape[1:], strict=True)
    )


def _repair(evidence: Evidence, found: _Turned) -> Iterator[Rewrite | Wire]:
    """Each input transposed before it is read."""
    nodes = evidence.export.graph.nodes
    for right, got in zip(evidence.reference.inputs, evidence.export.inputs, strict=True):
        order, node = found.orders.get(str(right)), nodes[got.node]
        if order is None or node.op != "Placeholder":
            continue
        axes, name = f"{got.node}_transposed/perm", f"{got.node}_transposed"
        shape = node.attrs.get("shape")
        dims = shape.dims if isinstance(shape, Shape) and shape.dims else (-1,) * len(order)
        turned = Shape(tuple(dims[axis] for axis in inverse(order)))
        dtype = node.attrs.get("dtype", DType(1))
        yield Rewrite(node=Node(name=node.name, op=node.op, attrs={"dtype": dtype, "shape": turned}))
        yield Rewrite(node=constant_node(axes, tensor_of_array(np.array(order, np.int32))))
        yield Rewrite(
            node=Node(
                name=name,
                op="Transpose",
                inputs=(got, TensorName(axes, 0)),
                attrs={"T": dtype, "Tperm": DType(3)},
            )
        )
        for reader in nodes.values():
            for place, source in enumerate(reader.inputs):
                if source == got:
                    yield Wire(node=reader.name, position=place, source=TensorName(name, 0))


CAUSES: tuple[Cause, ...] = (Cause(id="nhwc-transposed", ways=(_other_layout,)),)
