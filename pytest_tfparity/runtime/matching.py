"""Which nodes of two graphs can be measured against each other, and what each side consists of.

Plain data, without TensorFlow: :mod:`.activations` puts it into one graph and runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..graph import ops
from ..graph.edit.pruning import Part, prune
from ..graph.graph import Attr, Node, TensorName
from ..graph.loops import is_of_loop, opens_loop
from ..graph.proof.proof import Side

_CONTROL_FLOW = ops.ENTERS | ops.EXITS | ops.SWITCHES | ops.MERGES | ops.NEXT_ITERATIONS | ops.IDENTITIES
_VALUES_OF_ARRAYS = ("Read", "Gather", "Concat", "Size")


@dataclass(frozen=True, kw_only=True)
class Half:
    """The part of one side that its outputs need."""

    side: Side
    part: Part

    @classmethod
    def of(cls, side: Side) -> Half:
        """The part of ``side`` that runs when its inputs and constant feeds are given."""
        fed = frozenset(side.inputs) | frozenset(side.feeds)
        return cls(side=side, part=prune(side.graph, side.outputs, fed, side.feeds))

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes as they are run, inputs first; of a loop, its head before its end."""
        found = {
            name: Node(name, "Identity", (source,), attrs=self._type_of(source))
            for name, source in self.part.contexts.items()
        }
        for name, node in self.part.nodes.items():
            controls = self.part.controls.get(name, ())
            attrs = dict(node.attrs)
            if node.op in ops.MERGES:
                attrs["N"] = len(node.inputs)
            found[name] = Node(name, node.op, node.inputs, controls, attrs)
        return _sorted(found)

    def _type_of(self, source: TensorName) -> Mapping[str, Attr]:
        return {"T": self.side.graph.nodes[source.node].attrs["T"]}

    @cached_property
    def depth(self) -> Mapping[str, int]:
        """How many branches and loops each node's outputs are in; 0 can be fetched and read from anywhere."""
        found: dict[str, int] = {}
        for name, node in self.nodes.items():
            reads = [*(source.node for source in node.inputs), *node.controls]
            inside = max((found[source] for source in reads if source in found), default=0)
            found[name] = max(0, inside + self._step(node))
        return found

    def _step(self, node: Node) -> int:
        """By how many branches and loops a node's outputs are deeper than its inputs."""
        nodes = self.side.graph.nodes
        if node.op in ops.ENTERS:
            return 1
        if node.op in ops.EXITS:
            return -1
        if node.op in ops.SWITCHES:
            # The taken side of a decided conditional is in no branch.
            return 0 if is_of_loop(nodes.get, node) or node.name in self.part.decided else 1
        if node.op in ops.MERGES:
            return 0 if opens_loop(nodes.get, node) or len(node.inputs) == 1 else -1
        return 0

    @cached_property
    def varying(self) -> set[str]:
        """The nodes whose value depends on the inputs, or on chance: all but weights and what follows from
        them alone."""
        fed = set(self.side.inputs)
        found: set[str] = set()
        for name, node in self.nodes.items():
            known = ops.registered(node.op)
            held = node.op in ops.VARIABLES or node.op in ops.TABLES
            by_itself = not held and (known is None or known.stateful)
            if by_itself or any(source in fed or source.node in found for source in node.inputs):
                found.add(name)
        return found

    @cached_property
    def bound(self) -> set[str]:
        """The nodes that hand on a TensorArray or table of this graph: they cannot stand in for another's."""
        found: set[str] = set()
        for name, node in self.nodes.items():
            array = node.op.startswith("TensorArray") and not any(op in node.op for op in _VALUES_OF_ARRAYS)
            held = array or node.op in ops.TABLES or node.op in ops.VARIABLES
            handed = node.op in _CONTROL_FLOW and any(source.node in found for source in node.inputs)
            if held or handed:
                found.add(name)
        return found

    @cached_property
    def read(self) -> set[TensorName]:
        """The tensors that a node reads or that are outputs."""
        return {source for node in self.nodes.values() for source in node.inputs} | set(self.side.outputs)


@dataclass(frozen=True, kw_only=True)
class Splice:
    """Two halves and how their nodes correspond.

    ``pairs`` are tensors that stand for each other (reference, export), in the order of the export: values
    that depend on the inputs, outside of branches and loops. ``own`` are the nodes of the export that are
    there once more, to be fed from the reference.
    """

    reference: Half
    export: Half
    pairs: tuple[tuple[TensorName, TensorName], ...]
    own: Mapping[str, Node]

    @classmethod
    def of(cls, reference: Side, export: Side, aligned: Mapping[str, str]) -> Splice:
        """``aligned`` maps nodes of the reference to those of the export."""
        halves = Half.of(reference), Half.of(export)
        partners = {of_export: of_reference for of_reference, of_export in aligned.items()}
        pairs = [
            (TensorName(partners[tensor.node], tensor.port), tensor)
            for tensor in _in_order(halves[1])
            if _comparable(halves[1], tensor.node)
            and tensor.node in partners
            and _comparable(halves[0], partners[tensor.node])
        ]
        own = {
            name: node
            for name, node in halves[1].nodes.items()
            if name in halves[1].varying or halves[1].depth.get(name)
        }
        return cls(reference=halves[0], export=halves[1], pairs=tuple(pairs), own=own)


def _sorted(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """``nodes``, each after those that it reads, but for the way back to a loop's head."""
    waiting: dict[str, int] = {}
    readers: dict[str, list[str]] = {}
    for name, node in nodes.items():
        reads = {*(source.node for source in node.inputs), *node.controls}
        before = [each for each in reads if each in nodes and nodes[each].op not in ops.NEXT_ITERATIONS]
        waiting[name] = len(before)
        for each in before:
            readers.setdefault(each, []).append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:
        for reader in readers.get(name, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return {name: nodes[name] for name in ready}


def _in_order(half: Half) -> list[TensorName]:
    places = {name: index for index, name in enumerate(half.nodes)}
    known = [tensor for tensor in half.read if tensor.node in places]
    return sorted(known, key=lambda tensor: (places[tensor.node], tensor.port))


def _comparable(half: Half, name: str) -> bool:
    return (
        name in half.varying
        and not half.depth.get(name)
        and name not in half.bound
        and half.nodes[name].op not in ops.INPUTS
    )
