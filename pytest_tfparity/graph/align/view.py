"""One side of an alignment: what is asked of a normal form while both are walked."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

from ..graph import Shape
from ..normal.attributes import encoded
from ..normal.form import Edge, NormalGraph, NormalNode
from ..proof.fingerprint import (
    DIGEST_SIZE,
    Contents,
    Fingerprint,
    edge_fingerprint,
    fingerprints,
    graph_fingerprint,
    own_encoding,
)


class View:
    """A normal form with fingerprints, skeletons (structure without attributes and values) and neighbours."""

    def __init__(
        self, form: NormalGraph, contents: Contents, prints: Mapping[int, Fingerprint] | None = None
    ) -> None:
        self.form = form
        self.nodes = form.nodes
        self._contents = contents
        self.prints = fingerprints(form, contents) if prints is None else prints
        self.live = form.live()
        self.skeletons: dict[int, bytes] = {}
        self._varying: set[int] = set()
        for index in self.live:
            self._describe(index)
        self._own: dict[int, bytes] = {}

    def _describe(self, index: int) -> None:
        node = self.nodes[index]
        text = [node.op.encode(), b"%d" % len(node.inputs)]
        if node.value is not None:
            text += [encoded(node.value.dtype), encoded(Shape(node.value.shape))]
        elif node.op == "Input":
            text.append(encoded(node.attrs["index"]))
        text += [self.skeletons.get(source, b"loop") + b"%d" % port for source, port in node.inputs]
        self.skeletons[index] = hashlib.blake2b(b" ".join(text), digest_size=DIGEST_SIZE).digest()
        # An op without inputs that is no constant (a placeholder, say) may be anything.
        if node.op != "Const" and (
            not node.inputs or any(edge.node in self._varying for edge in node.inputs)
        ):
            self._varying.add(index)

    def edge(self, edge: Edge) -> bytes:
        """The fingerprint of a tensor."""
        return edge_fingerprint(edge, self.prints)

    def of(self, form: NormalGraph) -> View:
        """A function of this side likewise."""
        return View(form, self._contents)

    def function(self, form: NormalGraph) -> bytes:
        """The fingerprint of a function."""
        return graph_fingerprint(form, self._contents)

    def varies(self, index: int) -> bool:
        """Whether a node depends on more than constants."""
        return index in self._varying

    def name(self, edge: Edge) -> str:
        """A tensor as the user would write it."""
        return f"{self.nodes[edge.node].name}:{edge.port}"

    def own(self, index: int) -> bytes:
        """What a node is without its inputs."""
        if index not in self._own:
            self._own[index] = own_encoding(self.nodes[index], self._contents)
        return self._own[index]

    def weights(self, index: int) -> tuple[bytes, ...]:
        """The fingerprints of the inputs that are constant, if any holds more than a few numbers."""
        sources = [edge.node for edge in self.nodes[index].inputs if edge.node not in self._varying]
        telling = any(_size(self.nodes[source]) >= _TELLING for source in sources)
        return tuple(self.prints[source] for source in sources) if telling else ()

    def settings(self, index: int) -> bytes | None:
        """What a node does to its input: op, attributes and constants; None for a node without constants."""
        sources = [edge.node for edge in self.nodes[index].inputs if edge.node not in self._varying]
        return self.own(index) + b"".join(self.prints[source] for source in sources) if sources else None

    def outline(self, index: int) -> bytes | None:
        """Op, attributes and the shapes of its weights; None for a node without weights."""
        node = self.nodes[index]
        shapes = [self.skeletons[edge.node] for edge in node.inputs if edge.node not in self._varying]
        return self.own(index) + b"".join(shapes) if shapes and index in self._varying else None

    @cached_property
    def prints_of(self) -> Counter[bytes]:
        """How often each fingerprint occurs among the nodes that depend on the input."""
        return Counter(self.prints[index] for index in self.live if index in self._varying)

    @cached_property
    def names_like(self) -> Counter[str]:
        """How many nodes have a name, whatever number stands behind it: ``mul``, ``mul_1`` and ``mul_2`` are three."""
        return Counter(unnumbered(self.nodes[index].name) for index in self.live)

    @cached_property
    def by_skeleton(self) -> dict[bytes, int]:
        """The nodes whose structure occurs once."""
        found: dict[bytes, int] = {}
        twice = set()
        for index in self.live:
            if self.skeletons[index] in found:
                twice.add(self.skeletons[index])
            found[self.skeletons[index]] = index
        return {skeleton: index for skeleton, index in found.items() if skeleton not in twice}

    def before(self, index: int, limit: int) -> list[int]:
        """The nodes before a node, nearest first, constants left out, at most ``limit``."""
        seen = {index}
        order = [index]
        for current in order:
            for edge in self.nodes[current].inputs:
                if edge.node not in seen and edge.node in self._varying:
                    seen.add(edge.node)
                    order.append(edge.node)
            if len(order) > limit:
                break
        return order[1 : limit + 1]

    def region(self, index: int, ends: Iterable[int], limit: int) -> tuple[list[int], list[Edge]]:
        """The nodes from ``index`` back to ``ends`` (not included), and what they read of the ends."""
        stop = set(ends)
        if index in stop:
            return [], [Edge(index, 0)]
        seen, order, reached = {index}, [index], dict[Edge, None]()
        for current in order:
            for edge in self.nodes[current].inputs:
                if edge.node in stop:
                    reached[edge] = None
                elif edge.node not in seen and edge.node in self._varying and len(order) < limit:
                    seen.add(edge.node)
                    order.append(edge.node)
        return order, list(reached)

    def after(self, changed: set[int]) -> set[int]:
        """The live nodes that depend on one of ``changed``; these themselves only if on another of them."""
        found: set[int] = set()
        for index in self.live:
            if any(source in found or source in changed for source in self.form.dependencies(index)):
                found.add(index)
        return found


def unnumbered(name: str) -> str:
    """A name without the number that TensorFlow puts behind one that is taken."""
    return _NUMBER.sub("", name)


_NUMBER = re.compile(r"_\d+$")
_TELLING = 8
"""Numbers from which a constant is taken to tell one layer from another: fewer are strides, axes and paddings."""


def _size(node: NormalNode) -> int:
    size = 1
    for dim in node.value.shape if node.value is not None else ():
        size *= dim
    return size if node.value is not None else 0
