"""By how much every pair of nodes of two graphs differs, and whose fault it is: the measurement itself.

The reference is there once, the export twice: on its own, and with every value that both sides have taken
from the reference. What differs in the first copy may come from anywhere before it; a node that differs in
the second got the reference's inputs and is itself at fault. Differences are reduced inside TensorFlow
to a few scalars for each node, so no intermediate tensor leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import ModelError
from ..graph.graph import Array, TensorName
from ..graph.proof.proof import Side
from .importing import first_line
from .matching import Splice
from .reductions import Reduction, Reductions, measurable
from .side_by_side import EXPORT, OWN, REFERENCE, Library, SideBySide
from .tensorflow import tensorflow

MEMORY = 2 << 30
"""Bytes of intermediate tensors that one run may have to keep. A budget, not measured: less costs further runs, never
a result."""
_ROUNDING = 1e-5
"""Share of a tensor's largest value within which the same op, given the same inputs, may still differ.

Measured on a CPU over 55 right exports: 1,713 of 1,743 nodes do not differ at all, and the other 30, into which a
batch norm was folded, by more than a hundredth. The room is for kernels that add up in another order."""
_MOST_FAILURES = 12
"""Nodes that may fail to run before the measurement is given up: each costs one more run of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """How the values of two corresponding nodes differ.

    ``accumulated`` is the largest absolute difference of both sides run on their own, ``own`` that of
    the export's node given the reference's values as inputs, ``scale`` the reference's largest
    absolute value. A difference is infinite where shapes differ, one side is not finite, or
    the export's node cannot be run; ``own`` is None where it could not be measured. ``finite`` says whether
    all values are: of the reference, of the export on its own.
    """

    reference: str
    export: str
    accumulated: float
    own: float | None
    scale: float
    finite: tuple[bool, bool] = (True, True)

    @property
    def at_fault(self) -> bool:
        """Whether the node differs by more than rounding although its inputs are the reference's."""
        return self.own is not None and self.own > _ROUNDING * self.scale

    @property
    def differs(self) -> bool:
        """Whether the values differ by more than rounding when each side runs on its own."""
        return self.accumulated > _ROUNDING * self.scale


def measure(
    reference: Side,
    export: Side,
    aligned: Mapping[str, str],
    inputs: Mapping[TensorName, Array],
    *,
    libraries: tuple[Library, Library] = (lambda: None, lambda: None),
    memory: int = MEMORY,
) -> tuple[Activation, ...]:
    """Run both sides on ``inputs`` (by the reference's names) and compare each pair of ``aligned`` nodes.

    ``aligned`` maps nodes of the reference to nodes of the export. ``libraries`` give the functions of
    both sides as a ``FunctionDefLibrary``, asked for only where a side has functions. One run measures
    all nodes whose tensors fit into ``memory`` bytes. In the order of the export. Raises ModelError
    where TensorFlow loads or runs one of the graphs not at all.
    """
    splice = Splice.of(reference, export, aligned)
    if not splice.pairs:
        return ()
    both = SideBySide(splice, inputs, libraries)
    try:
        both.load()
        return tuple(_Measurement(both).measured(memory))
    except tensorflow().errors.OpError as error:
        raise ModelError(f"The two graphs cannot be run side by side: {first_line(error)}.") from None
    finally:
        both.close()


@dataclass(slots=True)
class _Measurement:
    """All pairs of a graph with both sides in it, reduced and fetched."""

    both: SideBySide

    def measured(self, memory: int) -> Iterator[Activation]:
        """What was found for each node of the export, its outputs taken together."""
        pairs = self._pairs()
        with self.both.graph.as_default():
            self._add_reductions(pairs)
        failures = _Failures(self.both.graph)
        for group in _groups(pairs, memory):
            self._run(group, failures)
        found: dict[str, Activation] = {}
        unfair = self.both.unfair()
        for pair in pairs:
            each = _activation(pair)
            if pair.names[1].node in unfair:
                each = replace(each, own=None)
            name = pair.names[1].node
            found[name] = _worse(found[name], each) if name in found else each
        return iter(found.values())

    def _pairs(self) -> list[Reduction]:
        rows = max((value.shape[0] for value in self.both.feeds.values() if np.ndim(value)), default=1)
        pairs = []
        for of_reference, of_export in self.both.splice.pairs:
            tensors = (
                self.both.tensor(REFERENCE, of_reference),
                self.both.tensor(EXPORT, of_export),
                self.both.tensor(OWN, of_export),
            )
            if all(map(measurable, tensors)):
                pairs.append(
                    Reduction(
                        names=(of_reference, of_export), tensors=tensors, bytes=_bytes(tensors[0], rows)
                    )
                )
        return pairs

    def _add_reductions(self, pairs: Sequence[Reduction]) -> None:
        tf = tensorflow()
        definition = tf.compat.v1.GraphDef()
        plan = Reductions(definition)
        given: dict[str, Any] = {}
        for index, pair in enumerate(pairs):
            for role, tensor in zip("rao", pair.tensors, strict=True):
                given[f"{role}{index}:0"] = tensor
            plan.add(index, pair)
        tf.import_graph_def(definition, name="measure", input_map=given)

    def _run(self, pairs: Sequence[Reduction], failures: _Failures) -> None:
        """One run for all pairs, and one more for each node that cannot be run."""
        while True:
            fetches = {
                (index, what): self.both.graph.get_tensor_by_name(f"measure/{name}:0")
                for index, pair in enumerate(pairs)
                for what, name in pair.fetches.items()
                if f"measure/{name}" not in failures.lost
            }
            if not fetches:
                return
            try:
                values = self.both.session.run(list(fetches.values()), self.both.feeds)
            except tensorflow().errors.OpError as error:
                if not failures.add(error):
                    raise
                continue
            for (index, what), value in zip(fetches, values, strict=True):
                pairs[index].values[what] = value
            return


@dataclass(slots=True)
class _Failures:
    """Nodes of the export that cannot be run, and what depends on them."""

    graph: Any
    count: int = 0
    lost: set[str] = field(default_factory=set)

    def add(self, error: Any) -> bool:
        """Leave out what depends on the node that failed; False if there is nothing to be done."""
        name = error.node_def.name if error.node_def is not None else ""
        if self.count >= _MOST_FAILURES or not name.startswith((f"{EXPORT}/", f"{OWN}/", "measure/")):
            return False
        self.count += 1
        stack = [self.graph.get_operation_by_name(name)]
        while stack:
            operation = stack.pop()
            if operation.name not in self.lost:
                self.lost.add(operation.name)
                stack.extend(reader for tensor in operation.outputs for reader in tensor.consumers())
        return True


def _bytes(tensor: Any, rows: int) -> int:
    """What three copies of a tensor and their difference take, an unknown dimension counted as the batch."""
    if tensor.shape.rank is None:
        return 0
    dims = [rows if size is None else size for size in tensor.shape.as_list()]
    return 4 * math.prod(dims) * int(tensor.dtype.base_dtype.size or 4)


def _groups(pairs: Sequence[Reduction], memory: int) -> Iterator[list[Reduction]]:
    """Pairs that are measured in one run, neighbours together."""
    group: list[Reduction] = []
    held = 0
    for pair in pairs:
        if group and held + pair.bytes > memory:
            yield group
            group, held = [], 0
        group.append(pair)
        held += pair.bytes
    if group:
        yield group


def _activation(pair: Reduction) -> Activation:
    values = pair.values
    finite = bool(values.get("finite r", True)), bool(values.get("finite a", True))
    accumulated = _difference(pair, "a", 0)
    own = _difference(pair, "o", 1)
    scale = float(values.get("scale", 0.0))
    return Activation(
        reference=pair.names[0].node,
        export=pair.names[1].node,
        accumulated=math.inf if accumulated is None else accumulated,
        own=own,
        scale=max(scale, 0.0) if finite[0] else math.inf,
        finite=finite,
    )


def _difference(pair: Reduction, role: str, which: int) -> float | None:
    """The difference of one copy from the reference; None where it was not measured."""
    values = pair.values
    if pair.other_shape[which]:
        return math.inf
    if f"difference {role}" not in values:
        return None
    shapes = values.get("shape r"), values.get(f"shape {role}")
    if shapes[0] is not None and shapes[1] is not None and list(shapes[0]) != list(shapes[1]):
        return math.inf
    if bool(values["finite r"]) and bool(values[f"finite {role}"]):
        return max(float(values[f"difference {role}"]), 0.0)
    return 0.0 if not values["finite r"] and not values[f"finite {role}"] else math.inf


def _worse(one: Activation, other: Activation) -> Activation:
    """Of two outputs of a node the one that differs more, for its size."""

    def badness(each: Activation) -> tuple[bool, bool, float]:
        return each.at_fault, each.differs, each.own if each.own is not None else -1.0

    return max(one, other, key=badness)
