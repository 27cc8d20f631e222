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
from ..proof.fingerprint import Contents
from ..proof.proof import Side, forms_of
from .divergence import Alignment, Divergence, Kind, constants_told, nodes_told, shown
from .view import View

Pair: TypeAlias = "tuple[int, int]"
_NEAR, _FAR, _SHOWN = 24, 200, 8


def divergences(reference: Side, export: Side) -> tuple[Divergence, ...]:
    """Where both sides part; empty if they are the same."""
    return align(reference, export).divergences


def align(reference: Side, export: Side, contents: Contents | None = None) -> Alignment:
    """Pair the nodes of both sides and list where they differ."""
    contents = contents or Contents()
    forms = forms_of(reference, export)
    walk = _Walk(View(forms[0], contents), View(forms[1], contents), contents)
    for ours, theirs in zip(walk.ours.form.outputs, walk.theirs.form.outputs, strict=False):
        walk.queue.append((ours, theirs, None))
    walk.run()
    names = {
        walk.ours.nodes[a].name: walk.theirs.nodes[b].name
        for a, b in walk.paired.items()
        if walk.ours.nodes[a].name in reference.graph.nodes
        and walk.theirs.nodes[b].name in export.graph.nodes
    }
    return Alignment(divergences=walk.sorted_divergences(), nodes=names)


@dataclass(slots=True)
class _Found:
    """A divergence with the indices of its nodes, from which its place in the graphs follows."""

    divergence: Divergence
    ours: tuple[int, ...]
    theirs: tuple[int, ...]


@dataclass(slots=True)
class _Walk:
    ours: View
    theirs: View
    contents: Contents
    queue: deque[tuple[Edge, Edge, Pair | None]] = field(default_factory=deque)
    paired: dict[int, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    visited: set[tuple[Edge, Edge]] = field(default_factory=set)
    compared: set[Pair] = field(default_factory=set)
    found: dict[tuple[object, ...], _Found] = field(default_factory=dict)

    def run(self) -> None:
        while self.queue:
            ours, theirs, reader = self.queue.popleft()
            if (ours, theirs) in self.visited:
                continue
            self.visited.add((ours, theirs))
            if self.ours.edge(ours) == self.theirs.edge(theirs):
                self.pair_equal(ours.node, theirs.node)
            else:
                self.meet(ours, theirs, reader)

    # --- two tensors that should be the same and are not

    def meet(self, ours: Edge, theirs: Edge, reader: Pair | None) -> None:
        a, b = self.ours.nodes[ours.node], self.theirs.nodes[theirs.node]
        if a.op == "Const" and b.op == "Const":
            self.constant(ours.node, theirs.node, reader)
        elif a.op == b.op and not self.shifted(ours.node, theirs.node):
            if ours.port != theirs.port and reader is not None:
                self.wiring(reader, ours, theirs)
            self.compare(ours.node, theirs.node)
        else:
            self.resynchronise(ours.node, theirs.node, reader)

    def shifted(self, a: int, b: int) -> bool:
        """Whether one of two nodes with the same op has its true partner close before the other."""
        if self.same_place(a, b):
            return False
        near = [(a, other) for other in self.theirs.before(b, _NEAR)]
        near += [(other, b) for other in self.ours.before(a, _NEAR)]
        if any(self.ours.prints[mine] == self.theirs.prints[other] for mine, other in near):
            return True
        # Automatic names shift when a node is added, and weights may be exchanged: what nodes do to
        # their input, and what has been done to it before, says more.
        alike = self.ours.settings(a) == self.theirs.settings(b) is not None
        alike = alike or self.ours.skeletons[a] == self.theirs.skeletons[b]
        return not alike and any(self.same_place(mine, other) for mine, other in near)

    def same_place(self, a: int, b: int) -> bool:
        """Whether name or weights say that two nodes are the same one, whatever comes before them."""
        ours, theirs = self.ours.nodes[a], self.theirs.nodes[b]
        if ours.op != theirs.op:
            return False
        weights = self.ours.weights(a)
        return ours.name == theirs.name or bool(weights and weights == self.theirs.weights(b))

    def constant(self, a: int, b: int, reader: Pair | None) -> None:
        self.pair(a, b)
        detail = constants_told(self.ours.nodes[a], self.theirs.nodes[b])
        self.report(Kind.CONSTANT, (a,), (b,), detail, reader=reader)

    def compare(self, a: int, b: int) -> None:
        """Two nodes with the same op: their attributes, then their inputs."""
        if (a, b) in self.compared:
            return
        self.compared.add((a, b))
        self.pair(a, b)
        ours, theirs = self.ours.nodes[a], self.theirs.nodes[b]
        changed = self.attributes(a, b)
        pairs = self.inputs(a, b)
        if ours.op.startswith("FusedBatchNorm") and "is_training" in changed:
            # Which statistics are handed in follows from the mode; they are no fault of their own.
            pairs = pairs[:3]
        if len(ours.inputs) != len(theirs.inputs):
            self.wiring((a, b), None, None)
        for mine, other in pairs:
            self.queue.append((mine, other, (a, b)))
        if ours.guards or theirs.guards:
            self.guards(a, b)

    def attributes(self, a: int, b: int) -> list[str]:
        ours, theirs = self.ours.nodes[a], self.theirs.nodes[b]
        changed = []
        for name in sorted({*ours.attrs, *theirs.attrs}):
            values = (attribute(ours.op, ours.attrs, name), attribute(theirs.op, theirs.attrs, name))
            if encoded(values[0]) != encoded(values[1]):
                changed.append(name)
                detail = f"{name} is {shown(values[0])} in the reference and {shown(values[1])} in the export"
                self.report(Kind.ATTRIBUTE, (a,), (b,), detail, attribute=name, values=values)
        for name in sorted({*ours.functions, *theirs.functions}):
            forms = ours.functions.get(name), theirs.functions.get(name)
            prints = [None if form is None else self.ours.function(form) for form in forms]
            if prints[0] != prints[1]:
                changed.append(name)
                inside = () if forms[0] is None or forms[1] is None else self.inside(forms[0], forms[1])
                detail = "".join(f": {each.node}: {each.detail}" for each in inside[:1])
                detail = f"function {name} differs{detail}"
                self.report(Kind.ATTRIBUTE, (a,), (b,), detail, attribute=name, inside=inside)
        return changed

    def inside(self, ours: NormalGraph, theirs: NormalGraph) -> tuple[Divergence, ...]:
        """Where two functions differ."""
        walk = _Walk(View(ours, self.contents), View(theirs, self.contents), self.contents)
        for mine, other in zip(ours.outputs, theirs.outputs, strict=False):
            walk.queue.append((mine, other, None))
        walk.run()
        return walk.sorted_divergences()

    def inputs(self, a: int, b: int) -> list[tuple[Edge, Edge]]:
        """The inputs of two nodes that should be the same; those that read something else are reported."""
        ours, theirs = list(self.ours.nodes[a].inputs), list(self.theirs.nodes[b].inputs)
        if self.commuted(a, b):
            theirs.reverse()
        pairs = list(zip(ours, theirs, strict=False))
        open_pairs = [pair for pair in pairs if self.ours.edge(pair[0]) != self.theirs.edge(pair[1])]
        if len(open_pairs) > 1:
            mine = sorted(self.ours.edge(edge) for edge, _ in open_pairs)
            other = sorted(self.theirs.edge(edge) for _, edge in open_pairs)
            variable = any(self.ours.varies(edge.node) for edge, _ in open_pairs)
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
        ours, theirs = self.ours.nodes[a], self.theirs.nodes[b]
        if len(ours.inputs) != 2 or len(theirs.inputs) != 2 or not commutes(ours.op, ours.attrs):
            return False

        def fit(first: Edge, second: Edge) -> int:
            same = self.ours.edge(first) == self.theirs.edge(second)
            mine, other = self.ours.nodes[first.node], self.theirs.nodes[second.node]
            alike = self.ours.skeletons[first.node] == self.theirs.skeletons[second.node]
            return 8 * same + 4 * alike + 2 * (mine.op == other.op) + (mine.name == other.name)

        (x, y), (u, v) = ours.inputs, theirs.inputs
        return fit(x, v) + fit(y, u) > fit(x, u) + fit(y, v)

    def elsewhere(self, mine: Edge, other: Edge) -> list[tuple[Edge, Edge]] | None:
        """The true partners of two tensors that a node reads, if these stand elsewhere; else None."""
        if self.ours.edge(mine) == self.theirs.edge(other):
            return None
        if not self.ours.varies(mine.node) or not self.theirs.varies(other.node):
            return None
        if self.same_place(mine.node, other.node):
            return None
        # A tensor that the other side has too, unchanged and not just before: another one is read.
        if self.kept(mine.node, self.ours, self.theirs):
            before = map(self.theirs.prints.__getitem__, self.theirs.before(other.node, _FAR))
            return None if self.ours.prints[mine.node] in before else []
        if self.kept(other.node, self.theirs, self.ours):
            before = map(self.ours.prints.__getitem__, self.ours.before(mine.node, _FAR))
            return None if self.theirs.prints[other.node] in before else []
        # Behind another fault only structure and names are left to tell.
        if self.ours.skeletons[mine.node] == self.theirs.skeletons[other.node]:
            return None
        theirs = self.theirs.by_skeleton.get(self.ours.skeletons[mine.node])
        ours = self.ours.by_skeleton.get(self.theirs.skeletons[other.node])
        if theirs is None or ours is None:
            return None
        if not self.same_place(mine.node, theirs) or not self.same_place(ours, other.node):
            return None
        return [(mine, Edge(theirs, mine.port)), (Edge(ours, other.port), other)]

    @staticmethod
    def kept(index: int, here: View, there: View) -> bool:
        """Whether the other side has a node too, as often as this one: twins may have changed singly."""
        return there.prints_of[here.prints[index]] >= here.prints_of[here.prints[index]]

    def guards(self, a: int, b: int) -> None:
        mine = [self.ours.prints[guard.node] for guard in self.ours.nodes[a].guards]
        other = [self.theirs.prints[guard.node] for guard in self.theirs.nodes[b].guards]
        sides = [
            [guard[1:] for guard in view] for view in (self.ours.nodes[a].guards, self.theirs.nodes[b].guards)
        ]
        if len(mine) != len(other) or sides[0] != sides[1]:
            self.wiring((a, b), None, None)
            return
        for first, second in zip(self.ours.nodes[a].guards, self.theirs.nodes[b].guards, strict=True):
            self.queue.append((Edge(*first[:2]), Edge(*second[:2]), (a, b)))

    # --- finding the place again

    def resynchronise(self, a: int, b: int, reader: Pair | None) -> None:
        """Nodes that stand on one side only, or instead of others, and where both sides meet before them."""
        ours, theirs, pairs = self.between(a, b)
        for mine, other in pairs:
            self.queue.append((mine, other, None))
        names = [nodes_told(self.ours, ours), nodes_told(self.theirs, theirs)]
        if not theirs:
            self.report(Kind.ONLY_IN_REFERENCE, ours, (), f"the export lacks {names[0]}", reader=reader)
        elif not ours:
            self.report(Kind.ONLY_IN_EXPORT, (), theirs, f"the reference has no {names[1]}", reader=reader)
        else:
            detail = f"{names[0]} in the reference, {names[1]} in the export"
            self.report(Kind.OP, ours, theirs, detail, reader=reader)

    def between(self, a: int, b: int) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[Edge, Edge]]]:
        """What lies between two nodes and the nearest ones before them that correspond, and these."""
        if not self.ours.varies(a) or not self.theirs.varies(b):
            return (a,), (b,), []
        partners = self.partners([a, *self.ours.before(a, _FAR)], [b, *self.theirs.before(b, _FAR)])
        partners.pop(a, None) if partners.get(a) == b else None
        region_a, ends_a = self.ours.region(a, partners, _FAR)
        region_b, ends_b = self.theirs.region(b, partners.values(), _FAR)
        met = {edge.node: edge for edge in reversed(ends_b)}
        pairs = [
            (edge, Edge(met[partners[edge.node]].node, edge.port))
            for edge in ends_a
            if partners[edge.node] in met
        ]
        if not pairs:
            return (a,), (b,), []
        return tuple(region_a), tuple(region_b), pairs

    def partners(self, ours: list[int], theirs: list[int]) -> dict[int, int]:
        """Nodes of both sides that correspond, told by the surest sign that they share."""
        found: dict[int, int] = {}
        taken: set[int] = set()
        mine, other = self.ours, self.theirs
        signs: list[tuple[_Sign, _Sign, bool]] = [
            (mine.prints.get, other.prints.get, False),
            (
                lambda i: (mine.nodes[i].op, mine.nodes[i].name),
                lambda i: (other.nodes[i].op, other.nodes[i].name),
                False,
            ),
            (mine.skeletons.get, other.skeletons.get, True),
            (lambda i: mine.weights(i) or None, lambda i: other.weights(i) or None, True),
            (mine.outline, other.outline, False),
        ]
        for ours_sign, theirs_sign, once in signs:
            waiting = _by_sign([index for index in theirs if index not in taken], theirs_sign)
            asking = _by_sign([index for index in ours if index not in found], ours_sign)
            for sign, indices in asking.items():
                partners = waiting.get(sign, [])
                if once and (len(indices) > 1 or len(partners) > 1):
                    continue
                for first, second in zip(indices, partners, strict=False):
                    found[first] = second
                    taken.add(second)
        return found

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
            ours, theirs = self.ours.nodes[mine].inputs, list(self.theirs.nodes[other].inputs)
            if ours and self.ours.edge(ours[0]) != self.theirs.edge(theirs[0]):
                theirs.reverse()
            stack.extend((first.node, second.node) for first, second in zip(ours, theirs, strict=False))

    def wiring(self, pair: Pair, mine: Edge | None, other: Edge | None) -> None:
        detail = "the inputs differ in number or condition"
        if mine is not None and other is not None:
            detail = (
                f"reads {self.ours.name(mine)} in the reference and {self.theirs.name(other)} in the export"
            )
        self.report(Kind.WIRING, (pair[0],), (pair[1],), detail)

    def report(
        self,
        kind: Kind,
        ours: tuple[int, ...],
        theirs: tuple[int, ...],
        detail: str,
        *,
        reader: Pair | None = None,
        attribute: str | None = None,
        values: tuple[Attr, Attr] | None = None,
        inside: tuple[Divergence, ...] = (),
    ) -> None:
        readers: tuple[str, ...] = () if reader is None else (self.theirs.nodes[reader[1]].name,)
        key = (kind, ours, theirs, attribute, detail if kind is Kind.WIRING else "")
        before = self.found.get(key)
        if before is not None:
            merged = tuple(dict.fromkeys((*before.divergence.readers, *readers)))
            before.divergence = replace(before.divergence, readers=merged)
            return
        made = Divergence(
            kind=kind,
            reference=tuple(self.ours.nodes[index].name for index in ours),
            export=tuple(self.theirs.nodes[index].name for index in theirs),
            detail=detail,
            attribute=attribute,
            values=values,
            readers=readers,
            inside=inside,
            ops=(
                tuple(self.ours.nodes[index].spelling for index in ours),
                tuple(self.theirs.nodes[index].spelling for index in theirs),
            ),
        )
        self.found[key] = _Found(made, ours, theirs)

    def sorted_divergences(self) -> tuple[Divergence, ...]:
        """What was found, those nearest to the inputs first, each told whether it is downstream."""
        after_ours = self.ours.after({index for each in self.found.values() for index in each.ours})
        after_theirs = self.theirs.after({index for each in self.found.values() for index in each.theirs})
        done: list[tuple[bool, int, int, Divergence]] = []
        for each in self.found.values():
            # Of several nodes the last is the one nearest to the input.
            downstream = bool(after_ours & set(each.ours[-1:]) or after_theirs & set(each.theirs[-1:]))
            order = min((*each.theirs, *each.ours))
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
