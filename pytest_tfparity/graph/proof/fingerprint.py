"""Hashes of what a tensor computes: op, attributes, constants and the fingerprints of its inputs.

Equal fingerprints mean the same function: everything that a result depends on goes into the hash,
in an encoding that cannot be read in two ways, and the hash has 128 bits.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..graph import Array, Attr, Shape, SharedAttrs, Tensor, once
from ..normal.attributes import commutes, encoded, encoded_text
from ..normal.form import Edge, NormalGraph, NormalNode, components
from ..read.mapped import count_read, pieces

Fingerprint = bytes
DIGEST_SIZE = 16
_SMALL = 4096
"""Bytes up to which a constant is hashed outright: that takes 3 us, less than looking for one that is equal."""
_NEAR = 4
"""Steps along inputs within which operands of a loop are told apart."""


_NUMBERS = count()


class Contents:
    """Names of constants: two have the same one if dtype, shape and every bit are the same, and only then.

    What is equal to something named before is only compared: that runs at the speed of memory, hashing at a fraction
    of it, and most constants of an export are those of its reference. So a large constant that is new gets a number,
    which means nothing elsewhere; ``lasting`` names are hashes, the same in every process.
    """

    def __init__(self, *, lasting: bool = False) -> None:
        self._lasting = lasting
        self._of: dict[int, tuple[Tensor, bytes]] = {}
        self._written: dict[bytes, bytes] = {}
        self._similar: dict[bytes, list[tuple[Array, bytes]]] = {}
        # Attributes are shared by many nodes; each mapping is kept, so that its id stays its own.
        self.encodings: dict[tuple[str, int], tuple[Mapping[str, Attr], bytes]] = {}

    def digest(self, tensor: Tensor) -> bytes:
        """The name of a constant, ``DIGEST_SIZE`` bytes; the same for the same bits, whoever stores them."""
        known = self._of.get(id(tensor))
        if known is None:
            known = self._of[id(tensor)] = (tensor, self._digest_once(tensor))
        return known[1]

    def alike(self, one: Tensor, other: Tensor) -> bool:
        """Whether two constants have the same dtype, shape and bits."""
        if one.written is not None and one.written == other.written:
            return one.array is not None  # which raises if it cannot be read
        return self.digest(one) == self.digest(other)

    def _digest_once(self, tensor: Tensor) -> bytes:
        """The name of a constant that was not asked for; most small ones stand in the other side's file, too."""
        if tensor.written is None:
            return self._digest(tensor)
        name = self._written.get(tensor.written)
        if name is None:
            name = self._written[tensor.written] = self._digest(tensor)
        return name

    def _digest(self, tensor: Tensor) -> bytes:
        array = tensor.array
        head = encoded(tensor.dtype) + encoded(Shape(tensor.shape))
        if array.dtype == object:
            return _hash(head, _strings(array))
        if array.size == 0:
            return _hash(head, ())
        bits = _bits(array)
        if bits.nbytes <= _SMALL:
            return _hash(head, (bits,))
        sample = head + bits[:64].tobytes() + bits[-64:].tobytes() + bits[:: bits.size // 32].tobytes()
        count_read(bits, bits.nbytes)
        similar = self._similar.setdefault(sample, [])
        for other, digest in similar:
            if _same(bits, other):
                return digest
        digest = _hash(head, pieces(bits)) if self._lasting else self._number()
        similar.append((bits, digest))
        return digest

    @staticmethod
    def _number() -> bytes:
        # Hashed by another function than contents are, and counted in the whole process: the name of nothing else.
        return _blake2b(b"number", b"%d" % next(_NUMBERS))


def fingerprints(graph: NormalGraph, contents: Contents) -> dict[int, Fingerprint]:
    """The fingerprint of every live node, by index."""
    if graph.loops:
        return _with_loops(graph, contents)
    found: dict[int, Fingerprint] = {}
    for index in graph.live():
        node = graph.nodes[index]
        found[index] = node_fingerprint(node, contents, _sources(node, found))
    return found


def _with_loops(graph: NormalGraph, contents: Contents) -> dict[int, Fingerprint]:
    """The fingerprints of a graph where a node may depend on itself.

    A node of a loop is described by a walk from it: nodes are numbered as they are first reached, along
    inputs in their order, and written down with these numbers. Two descriptions are equal only if the
    parts that can be reached are the same but for names: inputs are ordered, so the walk leaves no choice.
    """
    found: dict[int, Fingerprint] = {}
    parts = components(graph)
    part_of = {index: number for number, part in enumerate(parts) for index in part}
    readers = {edge.node for edge in graph.outputs}
    for index, part in part_of.items():
        readers.update(source for source in graph.dependencies(index) if part_of[source] != part)
    for component in parts:
        if len(component) == 1 and component[0] not in graph.dependencies(component[0]):
            index = component[0]
            found[index] = node_fingerprint(graph.nodes[index], contents, _sources(graph.nodes[index], found))
        else:
            found.update(_loop(graph, component, readers, contents, found))
    return found


def _loop(
    graph: NormalGraph,
    component: list[int],
    read: set[int],
    contents: Contents,
    found: dict[int, Fingerprint],
) -> dict[int, Fingerprint]:
    """Fingerprints of the nodes of one loop.

    Those that are read from outside are described one by one. Any other is told by its number in the
    walk from the one whose description comes first.
    """
    own = {index: own_encoding(graph.nodes[index], contents) for index in component}
    inputs = _ordered(graph, own, found)
    walks = [_described(graph, root, own, inputs, found) for root in component if root in read]
    first, numbers = min(
        walks or [_described(graph, component[0], own, inputs, found)], key=lambda walk: walk[0]
    )
    inner = {index: _blake2b(b"inner", first, b"%d" % number) for index, number in numbers.items()}
    return inner | {next(iter(numbers)): description for description, numbers in walks}


def _ordered(
    graph: NormalGraph, own: Mapping[int, bytes], found: Mapping[int, Fingerprint]
) -> dict[int, Sequence[Edge]]:
    """The inputs of the nodes of a loop; operands that may change places in an order that does not depend on theirs.

    They are told by what stands near them. Two that are not told apart stay as they are: then there may be no proof.
    """
    nodes = {index: graph.nodes[index] for index in own}
    pairs = {
        index for index, node in nodes.items() if len(node.inputs) == 2 and commutes(node.op, node.attrs)
    }
    inputs: dict[int, Sequence[Edge]] = {index: node.inputs for index, node in nodes.items()}
    if not pairs:
        return inputs
    near: Mapping[int, bytes] = own

    def told(edge: Edge) -> bytes:
        return edge_fingerprint(edge, found if edge.node in found else near)

    for _ in range(_NEAR):
        near = {
            index: _blake2b(text, *(sorted if index in pairs else list)(map(told, inputs[index])))
            for index, text in own.items()
        }
    for index in pairs:
        inputs[index] = sorted(inputs[index], key=told)
    return inputs


def _described(
    graph: NormalGraph,
    root: int,
    own: dict[int, bytes],
    inputs: Mapping[int, Sequence[Edge]],
    found: dict[int, Fingerprint],
) -> tuple[Fingerprint, dict[int, int]]:
    """The description of a loop as seen from ``root``, and the numbers that its nodes have there."""
    numbers = {root: 0}
    order = [root]
    text = hashlib.blake2b(b"loop", digest_size=DIGEST_SIZE)
    for index in order:
        node = graph.nodes[index]
        text.update(b"%d;" % len(own[index]) + own[index] + b"%d;%d;" % (len(node.inputs), len(node.guards)))
        for source, *where in (*inputs[index], *node.guards):
            if source not in own:
                text.update(b"x" + found[source])
            else:
                if source not in numbers:
                    numbers[source] = len(order)
                    order.append(source)
                text.update(b"n%d;" % numbers[source])
            text.update(b",".join(b"%d" % part for part in where) + b";")
    return text.digest(), numbers


def edge_fingerprint(edge: Edge, found: Mapping[int, Fingerprint]) -> bytes:
    """The fingerprint of one tensor: that of its node, and which output it is."""
    return found[edge.node] + b"%d;" % edge.port


def graph_fingerprint(graph: NormalGraph, contents: Contents) -> Fingerprint:
    """One hash of all outputs of a graph, in their order."""
    found = fingerprints(graph, contents)
    return combined(edge_fingerprint(edge, found) for edge in graph.outputs)


def combined(parts: Iterable[bytes]) -> Fingerprint:
    """One hash of several, in their order."""
    return _blake2b(b"outputs", *(b"%d;" % len(part) + part for part in parts))


def own_encoding(node: NormalNode, contents: Contents) -> bytes:
    """What a node is by itself, without its inputs: op, attributes, constant, functions."""
    if node.value is not None or node.functions or node.label is not None:
        return _own_encoding(node, contents)
    if isinstance(node.attrs, SharedAttrs):
        return _shared_encoding(node.op, node.attrs)
    key = (node.op, id(node.attrs))
    known = contents.encodings.get(key)
    if known is None:
        known = contents.encodings[key] = (node.attrs, _own_encoding(node, contents))
    return known[1]


def _own_encoding(node: NormalNode, contents: Contents) -> bytes:
    parts = [encoded_text(node.op)]
    if node.value is not None:
        parts.append(b"v" + contents.digest(node.value))
    if node.label is not None:
        parts.append(b"#%d;" % node.label)
    parts += [encoded(name.encode()) + _attr(node.attrs[name], contents) for name in sorted(node.attrs)]
    for name in sorted(node.functions):
        parts += [b"f", encoded(name.encode()), graph_fingerprint(node.functions[name], contents)]
    return b"".join(parts)


@once
def _shared_encoding(op: str, attrs: Mapping[str, Attr]) -> bytes:
    return b"".join(
        [encoded_text(op), *(encoded(name.encode()) + encoded(attrs[name]) for name in sorted(attrs))]
    )


def node_fingerprint(node: NormalNode, contents: Contents, sources: Sequence[bytes]) -> Fingerprint:
    """The fingerprint of a node whose inputs and guards have the encodings ``sources``."""
    own = own_encoding(node, contents)
    text = b"%d;" % len(own) + own + b"%d;%d;" % (len(node.inputs), len(node.guards)) + b"".join(sources)
    return _blake2b(text)


def _sources(node: NormalNode, found: Mapping[int, Fingerprint]) -> list[bytes]:
    inputs = [found[source] + b"%d;" % port for source, port in node.inputs]
    if len(inputs) == 2 and commutes(node.op, node.attrs):
        inputs.sort()
    if node.guards:
        inputs += sorted(found[source] + b"%d,%d;" % (port, side) for source, port, side in node.guards)
    return inputs


def _attr(value: Attr, contents: Contents) -> bytes:
    return b"T" + contents.digest(value) if isinstance(value, Tensor) else encoded(value)


def _bits(array: Array) -> Array:
    """The bits of an array as little-endian bytes, in C order; not copied if they are that already."""
    if array.dtype.byteorder == ">" or (sys.byteorder == "big" and array.dtype.byteorder == "="):
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _same(bits: Array, others: Array) -> bool:
    if bits.nbytes != others.nbytes:
        return False
    if bits.ctypes.data == others.ctypes.data:
        return True
    if bits.nbytes % 8 == 0 and bits.ctypes.data % 8 == others.ctypes.data % 8 == 0:
        bits, others = bits.view(np.uint64), others.view(np.uint64)
    return all(
        bool(np.array_equal(one, other)) for one, other in zip(pieces(bits), pieces(others), strict=True)
    )


def _strings(array: Array) -> Iterable[bytes]:
    for text in array.reshape(-1).tolist():
        data = text if isinstance(text, bytes) else str(text).encode()
        yield b"%d;" % len(data)
        yield data


def _hash(head: bytes, parts: Iterable[Any]) -> bytes:
    # SHA-256 has instructions of its own on present-day processors: twice as fast as blake2b there.
    made = hashlib.sha256(b"%d;" % len(head) + head)
    for part in parts:
        made.update(part)
    return made.digest()[:DIGEST_SIZE]


def _blake2b(*parts: bytes) -> Fingerprint:
    return hashlib.blake2b(b"".join(parts), digest_size=DIGEST_SIZE).digest()
