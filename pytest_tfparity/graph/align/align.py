"""Both graphs side by side: which node is which, and where their own computations differ.

The walk begins at the outputs and goes towards the inputs, and stops where fingerprints agree. Nodes
are paired by position; where that fails (a node stands on one side only, or was replaced), the place
is found again by fingerprints, by structure, then by names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ..graph import Attr
from ..normal.attributes import attribute, commutes, encoded
from ..normal.form import Edge, NormalGraph
from ..proof.proof import NormalSide, comparable
from .divergence import Alignment, Divergence, Kind, attribute_told, constants_told, nodes_told
from .view import View, unnumbered

NodePair: TypeAlias = "tuple[int, int]"
_NEAR = 24
"""Nodes among which the true partner of a node is looked for, where one side has more nodes of the same op: with
fewer than 3 inserted ones are mistaken in the tests, and from 6 on nothing changes."""
_FAR = 200
"""Nodes that one side may lack in one piece, and the cost of each place where both part; no test needs more than 12."""


def align(reference: NormalSide, export: NormalSide) -> Alignment:
    """Pair the nodes of both sides and list where they differ."""
    sides = comparable(reference, export)
    views = [View(side.form, side.contents, side.fingerprints) for side in sides]
    named = [side.taken.nodes if side.lowered else side.side.graph.nodes for side in sides]
    walk = _Walk(views[0], views[1])
    walk.run()
    names = {
        walk.reference.nodes[a].name: walk.export.nodes[b].name
        for a, b in walk.paired.items()
        if walk.reference.nodes[a].name in named[0] and walk.export.nodes[b].name in named[1]
    }
    return Alignment(divergences=walk.sorted_divergences(), nodes=names)


@dataclass(slots=True)
class _Found:
    """A divergence with the indices of its nodes, from which its place in the graphs follows."""

    divergence: Divergence
    reference: tuple[int, ...]
    export: tuple[int, ...]


@dataclass(slots=True)
class _Walk:
    reference: View
    export: View
    queue: deque[tuple[Edge, Edge, NodePair | None]] = field(default_factory=deque)
    paired: dict[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    visited: set[tuple[Edge, Edge]] = field(default_factory=set)
    compared: set[NodePair] = field(default_factory=set)
    found: dict[tuple[object, ...], _Found] = field(default_factory=dict)

    def run(self) -> None:
        for reference, export in zip(self.reference.form.outputs, self.export.form.outputs, strict=False):
            self.queue.append((reference, export, None))
        while self.queue:
            reference, export, reader = self.queue.popleft()
            if (reference, export) in self.visited:
                continue
            self.visited.add((reference, export))
            if self.reference.edge(reference) == self.export.edge(export):
                self.pair_equal(reference.node, export.node)
            else:
                self.meet(reference, export, reader)

    # --- two tensors that should be the same and are not

    def meet(self, reference: Edge, export: Edge, reader: NodePair | None) -> None:
        a, b = self.reference.nodes[reference.node], self.export.nodes[export.node]
        if a.op == "Const" and b.op == "Const":
            self.constant(reference.node, export.node, reader)
        elif a.op == b.op and not self.shifted(reference.node, export.node):
            if reference.port != export.port and reader is not None:
                self.wiring(reader, reference, export)
            self.compare(reference.node, export.node)
        else:
            self.resynchronise(reference.node, export.node, reader)

    def shifted(self, a: int, b: int) -> bool:
        """Whether one of two nodes with the same op has its true partner close before the other."""
        if self.same_place(a, b):
            return False
        near = [(a, other) for other in self.export.before(b, _NEAR)]
        near += [(other, b) for other in self.reference.before(a, _NEAR)]
        if any(self.reference.prints[mine] == self.export.prints[other] for mine, other in near):
            return True
        # Automatic names shift when a node is added, and weights may be exchanged: what nodes do to
        # their input, and what has been done to it before, says more.
        alike = self.reference.settings(a) == self.export.settings(b) is not None
        alike = alike or self.reference.skeletons[a] == self.export.skeletons[b]
        return not alike and any(self.same_place(mine, other) for mine, other in near)

    def same_place(self, a: int, b: int) -> bool:
        """Whether name or weights say that two nodes are the same one, whatever comes before them."""
        reference, export = self.reference.nodes[a], self.export.nodes[b]
        if reference.op != export.op:
            return False
        weights = self.reference.weights(a)
        return self.namesakes(a, b) or bool(weights and weights == self.export.weights(b))

    def namesakes(self, a: int, b: int) -> bool:
        """Whether two nodes have one name, and no node was added or removed that would have shifted its number."""
        return self.reference.nodes[a].name == self.export.nodes[b].name and self.name_tells(
            self.reference.nodes[a].name
        )

    def name_tells(self, name: str) -> bool:
        """Whether both sides have as many nodes of this name with one number or another."""
        like = unnumbered(name)
        return self.reference.names_like[like] == self.export.names_like[like]

    def constant(self, a: int, b: int, reader: NodePair | None) -> None:
        self.pair(a, b)
        if self.reference.own(a) == self.export.own(b):
            return  # two that wait for other nodes, each in its loop, are one value all the same
        detail = constants_told(self.reference.nodes[a], self.export.nodes[b])
        self.report(Kind.CONSTANT, (a,), (b,), detail, reader=reader)

    def compare(self, a: int, b: int) -> None:
        """Two nodes with the same op: their attributes, then their inputs."""
        if (a, b) in self.compared:
            return
        self.compared.add((a, b))
        self.pair(a, b)
        reference, export = self.reference.nodes[a], self.export.nodes[b]
        changed = self.attributes(a, b)
        pairs = self.inputs(a, b)
        if reference.op.startswith("FusedBatchNorm") and "is_training" in changed:
            # Which statistics are handed in follows from the mode; they are no fault of their own.
            pairs = pairs[:3]
        if len(reference.inputs) != len(export.inputs):
            self.wiring((a, b), None, None)
        for mine, other in pairs:
            self.queue.append((mine, other, (a, b)))
        if reference.guards or export.guards:
            self.guards(a, b)

    def attributes(self, a: int, b: int) -> list[str]:
        reference, export = self.reference.nodes[a], self.export.nodes[b]
        changed = []
        for name in sorted({*reference.attrs, *export.attrs}):
            values = (
                attribute(reference.op, reference.attrs, name),
                attribute(export.op, export.attrs, name),
            )
            if encoded(values[0]) != encoded(values[1]):
                changed.append(name)
                right, held = map(attribute_told, values)
                detail = f"{name} is {right} in the reference and {held} in the export"
                self.report(Kind.ATTRIBUTE, (a,), (b,), detail, attribute=name, values=values)
        for name in sorted({*reference.functions, *export.functions}):
            forms = reference.functions.get(name), export.functions.get(name)
            prints = [None if form is None else self.reference.function(form) for form in forms]
            if prints[0] != prints[1]:
                changed.append(name)
                inside = () if forms[0] is None or forms[1] is None else self.inside(forms[0], forms[1])
                detail = "".join(f": {each.node}: {each.detail}" for each in inside[:1])
                detail = f"function {name} differs{detail}"
                self.report(Kind.ATTRIBUTE, (a,), (b,), detail, attribute=name, inside=inside)
        return changed

    def inside(self, reference: NormalGraph, export: NormalGraph) -> tuple[Divergence, ...]:
        """Where two functions differ."""
        walk = _Walk(self.reference.of(reference), self.export.of(export))
        walk.run()
        return walk.sorted_divergences()

    def inputs(self, a: int, b: int) -> list[tuple[Edge, Edge]]:
        """The inputs of two nodes that should be the same; those that read something else are reported."""
        reference, export = list(self.reference.nodes[a].inputs), list(self.export.nodes[b].inputs)
        if self.commuted(a, b):
            export.reverse()
        pairs = list(zip(reference, export, strict=False))
        open_pairs = [pair for pair in pairs if self.reference.edge(pair[0]) != self.export.edge(pair[1])]
        if len(open_pairs) > 1:
            mine = sorted(self.reference.edge(edge) for edge, _ in open_pairs)
            other = sorted(self.export.edge(edge) for _, edge in open_pairs)
            variable = any(self.reference.varies(edge.node) for edge, _ in open_pairs)
            if mine == other and variable:
                self.wiring((a, b), *open_pairs[0])
                return [pair for pair in pairs if pair not in open_pairs]
        kept = []
        for mine_edge, other_edge in pairs:
            partners = self.elsewhere(mine_edge, other_edge)
            if partners is None:
                kept.append((mine_edge, other_edge))
            else:
                self.wiring((a, b), mine_edge, other_edge)
                kept.extend(partners)
        return kept

    def commuted(self, a: int, b: int) -> bool:
        reference, export = self.reference.nodes[a], self.export.nodes[b]
        if (
            len(reference.inputs) != 2
            or len(export.inputs) != 2
            or not commutes(reference.op, reference.attrs)
        ):
            return False

        def fit(first: Edge, second: Edge) -> int:
            same = self.reference.edge(first) == self.export.edge(second)
            mine, other = self.reference.nodes[first.node], self.export.nodes[second.node]
            alike = self.reference.skeletons[first.node] == self.export.skeletons[second.node]
            named = self.namesakes(first.node, second.node)
            return 8 * same + 4 * alike + 2 * (mine.op == other.op) + named

        (x, y), (u, v) = reference.inputs, export.inputs
        return fit(x, v) + fit(y, u) > fit(x, u) + fit(y, v)

    def elsewhere(self, mine: Edge, other: Edge) -> list[tuple[Edge, Edge]] | None:
        """The true partners of two tensors that a node reads, if these stand elsewhere; else None."""
        if self.reference.edge(mine) == self.export.edge(other):
            return None
        if not self.reference.varies(mine.node) or not self.export.varies(other.node):
            return None
        if self.same_place(mine.node, other.node):
            return None
        # A tensor that the other side has too, unchanged and not just before: another one is read.
        if self.kept(mine.node, self.reference, self.export):
            before = map(self.export.prints.__getitem__, self.export.before(other.node, _FAR))
            return None if self.reference.prints[mine.node] in before else []
        if self.kept(other.node, self.export, self.reference):
            before = map(self.reference.prints.__getitem__, self.reference.before(mine.node, _FAR))
            return None if self.export.prints[other.node] in before else []
        # Behind another fault only structure and names are left to tell.
        if self.reference.skeletons[mine.node] == self.export.skeletons[other.node]:
            return None
        export = self.export.by_skeleton.get(self.reference.skeletons[mine.node])
        reference = self.reference.by_skeleton.get(self.export.skeletons[other.node])
        if export is None or reference is None:
            return None
        if not self.same_place(mine.node, export) or not self.same_place(reference, other.node):
            return None
        return [(mine, Edge(export, mine.port)), (Edge(reference, other.port), other)]

    @staticmethod
    def kept(index: int, here: View, there: View) -> bool:
        """Whether the other side has a node too, as often as this one: twins may have changed singly."""
        return there.prints_of[here.prints[index]] >= here.prints_of[here.prints[index]]

    def guards(self, a: int, b: int) -> None:
        mine = [self.reference.prints[guard.node] for guard in self.reference.nodes[a].guards]
        other = [self.export.prints[guard.node] for guard in self.export.nodes[b].guards]
        sides = [
            [guard[1:] for guard in view]
            for view in (self.reference.nodes[a].guards, self.export.nodes[b].guards)
        ]
        if len(mine) != len(other) or sides[0] != sides[1]:
            self.wiring((a, b), None, None)
            return
        for first, second in zip(self.reference.nodes[a].guards, self.export.nodes[b].guards, strict=True):
            self.queue.append((Edge(*first[:2]), Edge(*second[:2]), (a, b)))

    # --- finding the place again

    def resynchronise(self, a: int, b: int, reader: NodePair | None) -> None:
        """Nodes that stand on one side only, or instead of others, and where both sides meet before them."""
        reference, export, pairs = self.between(a, b)
        for mine, other in pairs:
            self.queue.append((mine, other, None))
        names = [nodes_told(self.reference, reference), nodes_told(self.export, export)]
        if not export:
            self.report(Kind.ONLY_IN_REFERENCE, reference, (), f"the export lacks {names[0]}", reader=reader)
        elif not reference:
            self.report(Kind.ONLY_IN_EXPORT, (), export, f"the reference has no {names[1]}", reader=reader)
        else:
            detail = f"{names[0]} in the reference, {names[1]} in the export"
            self.report(Kind.OP, reference, export, detail, reader=reader)

    def between(self, a: int, b: int) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[Edge, Edge]]]:
        """What lies between two nodes and the nearest ones before them that correspond, and these."""
        if not self.reference.varies(a) or not self.export.varies(b):
            return (a,), (b,), []
        partners = self.partners([a, *self.reference.before(a, _FAR)], [b, *self.export.before(b, _FAR)])
        partners.pop(a, None) if partners.get(a) == b else None
        region_a, ends_a = self.reference.region(a, partners, _FAR)
        region_b, ends_b = self.export.region(b, partners.values(), _FAR)
        met = {edge.node: edge for edge in reversed(ends_b)}
        pairs = [
            (edge, Edge(met[partners[edge.node]].node, edge.port))
            for edge in ends_a
            if partners[edge.node] in met
        ]
        if not pairs:
            return (a,), (b,), []
        return tuple(region_a), tuple(region_b), pairs

    def partners(self, reference: list[int], export: list[int]) -> dict[int, int]:
        """Nodes of both sides that correspond, told by the surest sign that they share."""
        found: dict[int, int] = {}
        taken: set[int] = set()
        mine, other = self.reference, self.export
        signs: list[tuple[_Sign, _Sign, bool]] = [
            (mine.prints.get, other.prints.get, False),
            (lambda i: self.telling_name(mine, i), lambda i: self.telling_name(other, i), False),
            (mine.skeletons.get, other.skeletons.get, True),
            (lambda i: mine.weights(i) or None, lambda i: other.weights(i) or None, True),
            (mine.outline, other.outline, False),
        ]
        for reference_sign, export_sign, once in signs:
            waiting = _by_sign([index for index in export if index not in taken], export_sign)
            asking = _by_sign([index for index in reference if index not in found], reference_sign)
            for sign, indices in asking.items():
                partners = waiting.get(sign, [])
                if once and (len(indices) > 1 or len(partners) > 1):
                    continue
                for first, second in zip(indices, partners, strict=False):
                    found[first] = second
                    taken.add(second)
        return found

    def telling_name(self, view: View, index: int) -> tuple[str, str] | None:
        """Op and name of a node of either side, None where its number may have shifted."""
        node = view.nodes[index]
        return (node.op, node.name) if self.name_tells(node.name) else None

    # --- bookkeeping

    def pair(self, a: int, b: int) -> None:
        if a not in self.paired and b not in self.taken:
            self.paired[a] = b
            self.taken.add(b)

    def pair_equal(self, a: int, b: int) -> None:
        """Pair the nodes of two equal subgraphs."""
        stack = [(a, b)]
        while stack:
            mine, other = stack.pop()
            if mine in self.paired or other in self.taken:
                continue
            self.pair(mine, other)
            reference, export = self.reference.nodes[mine].inputs, list(self.export.nodes[other].inputs)
            if reference and self.reference.edge(reference[0]) != self.export.edge(export[0]):
                export.reverse()
            stack.extend((first.node, second.node) for first, second in zip(reference, export, strict=False))

    def wiring(self, pair: NodePair, mine: Edge | None, other: Edge | None) -> None:
        detail = "the inputs differ in number or condition"
        if mine is not None and other is not None:
            detail = f"reads {self.reference.name(mine)} in the reference and {self.export.name(other)} in the export"
        self.report(Kind.WIRING, (pair[0],), (pair[1],), detail)

    def report(
        self,
        kind: Kind,
        reference: tuple[int, ...],
        export: tuple[int, ...],
        detail: str,
        *,
        reader: NodePair | None = None,
        attribute: str | None = None,
        values: tuple[Attr, Attr] | None = None,
        inside: tuple[Divergence, ...] = (),
    ) -> None:
        readers: tuple[str, ...] = () if reader is None else (self.export.nodes[reader[1]].name,)
        key = (kind, reference, export, attribute, detail if kind is Kind.WIRING else "")
        before = self.found.get(key)
        if before is not None:
            merged = tuple(dict.fromkeys((*before.divergence.readers, *readers)))
            before.divergence = replace(before.divergence, readers=merged)
            return
        made = Divergence(
            kind=kind,
            reference=tuple(self.reference.nodes[index].name for index in reference),
            export=tuple(self.export.nodes[index].name for index in export),
            detail=detail,
            attribute=attribute,
            values=values,
            readers=readers,
            inside=inside,
            ops=(
                tuple(self.reference.nodes[index].spelling for index in reference),
                tuple(self.export.nodes[index].spelling for index in export),
            ),
        )
        self.found[key] = _Found(made, reference, export)

    def sorted_divergences(self) -> tuple[Divergence, ...]:
        """What was found, those nearest to the inputs first, each told whether it is downstream."""
        after_reference = self.reference.after(
            {index for each in self.found.values() for index in each.reference}
        )
        after_export = self.export.after({index for each in self.found.values() for index in each.export})
        done: list[tuple[bool, int, int, Divergence]] = []
        for each in self.found.values():
            # Of several nodes the last is the one nearest to the input.
            downstream = bool(
                after_reference & set(each.reference[-1:]) or after_export & set(each.export[-1:])
            )
            order = min((*each.export, *each.reference))
            done.append((downstream, order, len(done), replace(each.divergence, downstream=downstream)))
        return tuple(item[3] for item in sorted(done, key=lambda item: item[:3]))


_Sign: TypeAlias = "Callable[[int], object]"


def _by_sign(indices: list[int], sign: _Sign) -> dict[object, list[int]]:
    found: dict[object, list[int]] = {}
    for index in indices:
        value = sign(index)
        if value is not None:
            found.setdefault(value, []).append(index)
    return found
