"""The nodes of one graph, or of one function, and what stands for each of their tensors in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeAlias

from .. import ops
from ..graph import Attr, DType, Node, TensorName
from ..signatures import REFERENCE, Signature, signature, types_of
from .attributes import allowed, complete, has_float32, on_values, stated, types_in, widened_attributes
from .emit import PREFIX, Emitter, Spelling
from .spelt import REMAINDERS, SPELT, remainder
from .types import DOUBLE, FLOAT, HANDLES, STRING, VARIANT, WIDE, decides

Kernels: TypeAlias = Callable[[str, Mapping[str, int]], bool]
"""Whether a CPU has a kernel for an op with these types (numbers of ``tensorflow.DataType``) of its attributes."""
Twin: TypeAlias = "tuple[TensorName, int]"
"""What stands for a tensor, and its type: float64, complex128, or that of an array or list of such tensors."""
_MAKERS = frozenset(
    {"TensorArrayV3", "EmptyTensorList", "TensorListReserve", "TensorListFromTensor", "TensorListSplit"}
)
"""Ops that make an array or a list of tensors."""


class Unwidened(Exception):
    """A graph cannot be computed in float64; the message is a clause that says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Island:
    """A node that runs in float32 on rounded inputs; ``function`` is the function of the library it stands in."""

    node: str
    op: str
    function: str | None = None


@dataclass(slots=True, kw_only=True)
class Scope:
    """``nodes`` are those that are needed, inputs first, ``whole`` all that there are.

    ``fed`` are tensors that are given, ``refused`` nodes that could not be run in float64; ``islands`` are added to.
    """

    nodes: Mapping[str, Node]
    whole: Mapping[str, Node]
    kernels: Kernels
    islands: list[Island]
    fed: Set[TensorName] = frozenset()
    refused: Set[str] = frozenset()
    function: str | None = None
    emitter: Emitter = field(default_factory=Emitter)
    twins: dict[TensorName, Twin] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    _promised: set[str] = field(default_factory=set)
    _types: dict[str, tuple[int, ...]] = field(default_factory=dict)

    # --- tensors

    def exact(self, tensor: TensorName) -> Twin | None:
        """What holds ``tensor`` in float64; None for what has no float in it. Raises :class:`Unwidened`."""
        if tensor not in self.fed and tensor in self.twins:
            return self.twins[tensor]
        given = self.type_of(tensor)
        if given not in WIDE:
            return None
        if tensor.node in self.nodes and tensor.node not in self.done and tensor not in self.fed:
            raise Unwidened(f"{tensor} is needed before it is computed")
        return self.emitter.cast(tensor, given, WIDE[given]), WIDE[given]

    def type_of(self, tensor: TensorName) -> int:
        """The type of a tensor of the graph as it is. Raises :class:`Unwidened` if that is not known."""
        if tensor.node not in self._types:
            self._types[tensor.node] = self._types_of(tensor)
        types = self._types[tensor.node]
        if tensor.port >= len(types):
            raise Unwidened(f"the type of {tensor} is not known")
        return types[tensor.port]

    def _types_of(self, tensor: TensorName) -> tuple[int, ...]:
        node = self.whole.get(tensor.node)
        if node is None:
            raise Unwidened(f"{tensor} is not there")
        if node.op == ops.ARGUMENT:
            kind = node.attrs.get("T")
            return (kind.number,) if isinstance(kind, DType) else ()
        found = types_of(node.op, node.attrs)
        if found is None:
            raise Unwidened(f"what {node.op} ({node.name}) computes is not known")
        return tuple(number % REFERENCE for number in found[1])

    # --- nodes

    def add(self, node: Node) -> None:
        """What computes ``node`` in float64, if there is anything to it: no op that runs functions."""
        if node.op == ops.ARGUMENT or decides(node.op):
            return
        told, types = signature(node.op), types_of(node.op, node.attrs)
        if told is None or types is None:
            raise Unwidened(f"what {node.op} ({node.name}) computes is not known")
        takes, gives = types
        inputs = tuple(self._input(node, source) for source in node.inputs)
        if len(takes) != len(inputs):
            raise Unwidened(f"{node.op} ({node.name}) has {len(inputs)} inputs where it takes {len(takes)}")
        if STRING in takes or not self._computes(node, takes, gives, inputs):
            return
        if any(inputs) or _holds_floats(node):
            self._compute(node, told, inputs)
        elif node.op == "Cast" and gives[0] in WIDE:
            # What is cast from an integer is exact, though float32 may not hold it.
            exact = self.emitter.cast(node.inputs[0], takes[0] % REFERENCE, WIDE[gives[0]])
            self.twins[TensorName(node.name, 0)] = exact, WIDE[gives[0]]

    def check_loops(self) -> None:
        """Raise :class:`Unwidened` if the end of a loop was promised to its beginning and is not there."""
        for name in self._promised - self.emitter.nodes.keys():
            raise Unwidened(f"the loop behind {name.removeprefix(PREFIX)} is not closed in float64")

    def _input(self, node: Node, source: TensorName) -> Twin | None:
        """What an input is in float64; the end of a loop, which comes later, as its beginning is."""
        if node.op not in ops.MERGES or source.node in self.done or source in self.fed:
            return self.exact(source)
        first = next((self.exact(each) for each in node.inputs if each.node in self.done), None)
        if first is None:
            return None
        name = f"{PREFIX}{source.node}"
        self._promised.add(name)
        return TensorName(name, source.port), first[1]

    def _computes(
        self, node: Node, takes: Sequence[int], gives: Sequence[int], inputs: Sequence[Twin | None]
    ) -> bool:
        """Whether ``node`` gives floats, or holds them, that are not simply there."""
        if _holds_floats(node):
            return True
        held = any(twin is not None and twin[1] in HANDLES for twin in inputs)
        floats = any(number % REFERENCE in WIDE for number in gives)
        if node.op.startswith("TensorList") and VARIANT in takes and inputs[takes.index(VARIANT)] is None:
            if floats:  # a list that has no copy in float64
                self.islands.append(Island(node=node.name, op=node.op, function=self.function))
            return False
        if node.op in ops.ARRAYS:
            return held  # else it is of integers, and its flow a float that counts nothing
        return held or floats

    def _compute(self, node: Node, told: Signature, inputs: Sequence[Twin | None]) -> None:
        """``node`` on inputs in float64: as it is, written out, or in its own types."""
        if node.op in REMAINDERS:
            self._spell(node, self._remainder(node, inputs))
            return
        attrs = complete(node)
        wide = widened_attributes(told, attrs, [None if twin is None else twin[1] for twin in inputs])
        runs = (
            node.name not in self.refused
            and allowed(told, wide)
            and self.kernels(on_values(node.op, wide)[0], types_in(wide))
        )
        if node.op in SPELT and not (runs and not has_float32(node.op, wide)):
            given = [s if twin is None else twin[0] for s, twin in zip(node.inputs, inputs, strict=True)]
            spelt = SPELT[node.op](self._spelling(node), attrs, given)
            if spelt is not None:
                self._spell(node, spelt)
                return
        self._place(node, wide if runs else attrs, inputs)

    def _spelling(self, node: Node) -> Spelling:
        return Spelling(emitter=self.emitter, node=node, beside=node.inputs[0].node)

    def _spell(self, node: Node, outputs: Mapping[int, TensorName]) -> None:
        self.twins.update({TensorName(node.name, port): (found, DOUBLE) for port, found in outputs.items()})

    def _remainder(self, node: Node, inputs: Sequence[Twin | None]) -> Mapping[int, TensorName]:
        write = self._spelling(node)
        exact = [twin[0] for twin in inputs if twin is not None]
        plain = (*node.inputs, TensorName(node.name, 0))
        return remainder(write, [*exact, *(write.cast(each, self.type_of(each)) for each in plain)])

    def _place(self, node: Node, attrs: Mapping[str, Attr], inputs: Sequence[Twin | None]) -> None:
        """``node`` with ``attrs``, its inputs cast to what it then takes, its outputs to float64."""
        op, attrs = on_values(node.op, attrs)
        found = types_of(op, attrs)
        if found is None:
            raise Unwidened(f"what {op} ({node.name}) computes is not known")
        takes, gives = found
        given = [
            source if twin is None else self._as(twin, wanted)
            for source, twin, wanted in zip(node.inputs, inputs, takes, strict=True)
        ]
        rounds = _loses(inputs, takes)
        name = f"{PREFIX}{node.name}"
        self.emitter.add(name, op, given, stated(node, attrs), () if node.inputs else node.controls)
        flows = op in ops.ARRAYS or (op in ops.CARRIERS and not rounds)
        for port, number in enumerate(gives):
            here = TensorName(name, port)
            if number in HANDLES or (flows and number == FLOAT):
                self.twins[TensorName(node.name, port)] = here, number
            elif number in WIDE:
                rounds = rounds or number != WIDE[number]
                cast = self.emitter.cast(here, number, WIDE[number])
                self.twins[TensorName(node.name, port)] = cast, WIDE[number]
        if rounds:
            self.islands.append(Island(node=node.name, op=node.op, function=self.function))

    def _as(self, twin: Twin, wanted: int) -> TensorName:
        return twin[0] if twin[1] in HANDLES else self.emitter.cast(*twin, wanted)


def _loses(inputs: Sequence[Twin | None], takes: Sequence[int]) -> bool:
    """Whether a wide input is cast to another type to be taken."""
    return any(twin is not None and twin[1] != wanted for twin, wanted in zip(inputs, takes, strict=True))


def _holds_floats(node: Node) -> bool:
    """Whether ``node`` makes an array or a list of float tensors."""
    dtype = node.attrs.get("element_dtype", node.attrs.get("dtype"))
    return node.op in _MAKERS and isinstance(dtype, DType) and dtype.number in WIDE
